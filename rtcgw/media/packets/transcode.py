"""Sound from one codec into another: Opus, G.711 and G.722, packet by packet and without a timer.

An extra (`pip install rtcgw[transcode]`): the codecs are FFmpeg's through PyAV, which only `pyav.py` knows. G.711
needs no library. What comes in is one direction's packets in order, with word of how many are missing (`recast.py`);
what goes out are frames of another length if need be, on the receiver's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from rtcgw.media.packets.concealment import FADE, Concealer
from rtcgw.media.packets.g711 import decoder, encoder
from rtcgw.media.sdp import Codec

G711 = ("PCMU", "PCMA")
_KNOWN = {"OPUS": 48000, "PCMU": 8000, "PCMA": 8000, "G722": 8000}
"""Codecs that are converted, and the clock of their timestamps in Hz (G.722's is half its sampling rate for a
historical reason, RFC 3551 §4.5.2)."""
MAX_FRAME = 120
"""Milliseconds in a packet; one with more is taken for corrupt (RFC 6716 §2.1.4)."""
PACKETS = (10, 20, 30, 40, 50, 60)
"""Milliseconds per packet that are written; Opus has no frames of 30 and 50, it gets the next shorter ones."""
_OPUS = (10, 20, 40, 60)
BRIDGE = 200
"""Milliseconds of a hole that is filled from end to end; of a longer one, only what can be heard."""


def available() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def can(source: Codec, target: Codec) -> bool:
    """Whether `source` can be converted into `target` by a `Recoder` (mu-law and A-law need none)."""
    names = (source.name, target.name)
    if not all(name in _KNOWN for name in names) or source.name == target.name or set(names) == set(G711):
        return False
    return available()


class Places:
    """How many conversions may run at once; the backend owns it."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self) -> bool:
        """Take a place, if there is one."""
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def give(self) -> None:
        """Give a place back. Giving back more than was taken does nothing."""
        self.used = max(0, self.used - 1)


class Frame(NamedTuple):
    """One packet's worth of converted sound."""

    at: int
    """When it begins, in units of the receiver's clock, counted on without end."""
    payload: bytes
    first: bool
    """The first after a pause, or at all: its packet bears the marker (RFC 3551 §4.1)."""


class Recoder:
    """Sound of one direction from `source` to `target`, `ptime` milliseconds in each packet written.

    It is given one source's packets in order (`take`). A hole is filled (`concealment.py`), a pause in which the
    timestamps have gone on without a packet missing stays one: the next frame is as much later.
    """

    __slots__ = (
        "_broken",
        "_concealer",
        "_decode",
        "_encode",
        "_first",
        "_head",
        "_interrupted",
        "_longest",
        "_next",
        "_octets",
        "_rate",
        "_shift",
        "_sound",
        "_step",
        "_ticks",
        "corrupt",
        "ptime",
        "source",
        "target",
    )

    def __init__(self, source: Codec, target: Codec, ptime: int) -> None:
        self.source = source
        self.target = target
        self.ptime = ptime
        """As asked for; a recoder of the same three may go on in place of this one."""
        wide = source.name not in G711 and target.name not in G711
        rate = self._rate = 16000 if wide else 8000
        length = _length(target.name, ptime)
        samples = rate * length // 1000
        self._decode = _decoding(source.name, rate)
        self._encode = encoding(target.name, rate, samples)
        self._octets = 2 * samples
        clock = _KNOWN[target.name]
        self._ticks = (clock, rate)
        """Units of the receiver's clock per sample, as a fraction."""
        self._step = clock * length // 1000
        self._longest = 2 * rate * MAX_FRAME // 1000
        self._concealer = Concealer(rate)
        self._sound = bytearray()
        """What is not yet a whole frame."""
        self._head = 0
        """When `_sound` begins."""
        self._next: int | None = None
        """When the next packet should begin; None before the first."""
        self._shift = 0
        """Added to all times: what a source got wrong that turned its timestamps back."""
        self._first = True
        self._interrupted = self._broken = False
        self.corrupt = 0
        """Payloads that were no sound."""

    @property
    def concealed(self) -> int:
        """Milliseconds that were made up."""
        return 1000 * self._concealer.filled // self._rate

    def take(self, at: int, payload: bytes, missing: bool) -> list[Frame]:
        """The frames that are complete with this packet, which begins `at`; `missing`: packets before it are lost."""
        sound = self._decode(payload)
        if sound is None or len(sound) > self._longest:
            self.corrupt += 1
            self._broken = True
            return []
        at += self._shift
        frames: list[Frame] = []
        if self._next is None:
            self._head = self._next = at
        elif at != self._next:
            at = self._bridge(at, missing or self._broken, frames)
        self._broken = self._interrupted = False
        self._next = at + self._units(len(sound))
        self._sound += self._concealer.hear(sound)
        self._cut(frames)
        return frames

    def interrupt(self) -> None:
        """Something else was heard in between (a key): what is not yet a frame is out of date, a gap is none."""
        self._interrupted = True

    def rest(self) -> None:
        """The source speaks another codec for now; when it comes back it begins anew."""
        self._sound.clear()
        self._next, self._first, self._shift = None, True, 0

    def _bridge(self, at: int, missing: bool, frames: list[Frame]) -> int:
        """From where the sound ended to where it goes on; when that is."""
        end = self._next or 0
        gap = at - end
        if gap < 0:
            self._shift -= gap
            return end
        if missing and not self._interrupted:
            whole = self._samples(gap)
            hole = whole if whole <= self._rate * BRIDGE // 1000 else self._rate * FADE // 1000
            self._sound += self._concealer.fill(hole)
            self._cut(frames)
            if hole == whole:
                return at
            end += self._units(2 * hole)
        self._pause(self._samples(at - end), at, frames)
        return at

    def _pause(self, samples: int, at: int, frames: list[Frame]) -> None:
        """Nothing for so many samples: the frame begun is ended in silence, the next one begins `at`."""
        if self._interrupted:
            self._sound.clear()
        elif self._sound:
            wanting = self._octets - len(self._sound)
            if 2 * samples <= wanting:
                self._sound += bytes(2 * samples)
                return
            self._sound += bytes(wanting)
            self._cut(frames)
        self._head, self._first = at, True

    def _cut(self, frames: list[Frame]) -> None:
        size, sound = self._octets, self._sound
        while len(sound) >= size:
            payload = self._encode(bytes(sound[:size]))
            del sound[:size]
            if payload:
                frames.append(Frame(self._head, payload, self._first))
                self._first = False
            self._head += self._step

    def _units(self, octets: int) -> int:
        """How long sound lasts on the receiver's clock."""
        clock, rate = self._ticks
        return octets * clock // (2 * rate)

    def _samples(self, units: int) -> int:
        clock, rate = self._ticks
        return units * rate // clock


def _length(name: str, ptime: int) -> int:
    """Milliseconds per packet that can be written, the nearest to `ptime` that is not longer."""
    return max((length for length in (_OPUS if name == "OPUS" else PACKETS) if length <= ptime), default=PACKETS[0])


def _decoding(name: str, rate: int) -> Callable[[bytes], bytearray | None]:
    """Payload -> sound at `rate`; None where it is none."""
    if name in G711:
        linear = decoder(name)  # its rate is 8000, and so is that of everything beside it
        return lambda payload: linear(payload) if payload else None
    from rtcgw.media.packets.pyav import Decoder, SoundError  # noqa: PLC0415 - 20 MB that only converted calls need

    decode = Decoder(name, rate).decode

    def tried(payload: bytes) -> bytearray | None:
        try:
            return decode(payload)
        except SoundError:
            return None

    return tried


def encoding(name: str, rate: int, samples: int) -> Callable[[bytes], bytes]:
    """Sound of one frame at `rate` -> payload, for frames in their order; G.711 is of 8000 only, and needs no extra."""
    if name in G711:
        return encoder(name)
    from rtcgw.media.packets.pyav import Encoder, Resampler  # noqa: PLC0415 - as above

    if name == "G722" and rate == 8000:
        widen, encode = Resampler(8000, 16000).resample, Encoder(name, 16000, 2 * samples).encode
        return lambda sound: encode(bytes(widen(sound)))
    return Encoder(name, rate, samples).encode
