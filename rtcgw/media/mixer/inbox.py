"""What one party has sent and has not been heard yet: a bounded buffer that packets enter as they come, and that gives
20 ms of sound at each beat.

The sound lies at its timestamp in a ring of half a second, whatever size its packets have (RFC 3551 §4.2). It is
heard `delay` after it came, which grows where packets prove late, and is begun anew after every pause of the party;
where its clock runs fast, 20 ms are left out now and then. What was lost is filled in (`concealment.py`) for as long
as that is better than silence.

What it is not: it knows no packets' headers (`packets/rtp.py` has put them on one timeline) and no addresses.
"""

from __future__ import annotations

from typing import Final

from rtcgw.media.mixer.mixing import FRAME, Sound, silence
from rtcgw.media.packets.concealment import FADE, Concealer
from rtcgw.media.packets.g711 import decoder, encoder

RATE: Final = 8000
RING: Final = 4096
"""Samples that have room; a power of two, so that timestamps may wrap."""
SHORTEST: Final = 2 * FRAME
"""The delay that a party begins with: a packet that is one late is not missed."""
LONGEST: Final = 10 * FRAME
"""The delay that it never exceeds: 200 ms, at which people begin to talk at once."""
SLACK: Final = 3 * FRAME
"""Samples by which more may lie here than the delay asks for."""
PATIENCE: Final = 50
"""Beats that more lies here before 20 ms are left out."""
LATE: Final = 3
"""Packets in a row that came too late, after which the delay grows."""
_HOLE: Final = FADE * RATE // 1000 // FRAME
"""Frames filled in at most."""
_KNOWN: Final = b"\x01" * FRAME


class Inbox:
    """Of one party, in one law of G.711."""

    __slots__ = (
        "_before",
        "_concealer",
        "_delay",
        "_full",
        "_hole",
        "_known",
        "_last",
        "_late",
        "_newest",
        "_next",
        "_plays",
        "_sound",
        "filled",
        "late",
        "law",
        "skipped",
    )

    def __init__(self, law: str) -> None:
        self.law = law
        self._sound = bytearray(RING)
        self._known = bytearray(RING)
        """1 where there is sound."""
        self._plays = False
        """Something has come and is being heard; else the next packet begins anew."""
        self._next = 0
        """Timestamp of what is heard next."""
        self._newest = 0
        """Timestamp after the newest sample."""
        self._delay = SHORTEST
        self._full = 0
        """Beats in a row with too much here."""
        self._late = 0
        """Packets in a row that came too late."""
        self._hole = _HOLE
        """Frames that have been filled in since sound was heard last."""
        self._last = self._before = b""
        """The two frames heard last."""
        self._concealer: Concealer | None = None
        self.late = 0
        """Packets that came too late, altogether."""
        self.filled = 0
        """Frames filled in, altogether."""
        self.skipped = 0
        """Frames left out because too much lay here, altogether."""

    def put(self, ts: int, octets: bytes) -> None:
        """Sound of this timestamp (32 bits). What is longer than a quarter of the ring is no packet of sound."""
        if not octets or len(octets) > RING // 4:
            self.late += 1
            return
        if not self._plays:
            self._delay = max(SHORTEST, self._delay - FRAME)  # a pause is the moment to wait less
            self._begin(ts)
        place = _signed(ts - self._next)
        if place + len(octets) <= 0:
            if not self._missed():
                return
            self._begin(ts)
            place = self._delay
        elif place + len(octets) > RING:
            self._begin(ts)  # a leap that the timeline has let pass
            place = self._delay
        if place < 0:
            octets, place = octets[-place:], 0
        self._late = 0
        self._write((self._next + place) & 0xFFFFFFFF, octets)

    def take(self) -> Sound | None:
        """The next 20 ms; None is silence."""
        if not self._plays:
            return None
        start = self._next % RING
        octets, known = self._read(start)
        self._next = (self._next + FRAME) & 0xFFFFFFFF
        if known == _KNOWN:
            return self._hear(octets)
        if 1 in known:
            quiet = silence(self.law)[0]
            return self._hear(bytes(octet if there else quiet for octet, there in zip(octets, known, strict=True)))
        return self._miss()

    def reset(self) -> None:
        """The party is silent from now on: what has come of it is forgotten."""
        self._plays, self._hole = False, _HOLE
        self._known = bytearray(RING)

    # -- what comes ------------------------------------------------------------------------

    def _begin(self, ts: int) -> None:
        self.reset()
        self._plays = True
        self._next = (ts - self._delay) & 0xFFFFFFFF
        self._newest = ts
        self._full = self._late = 0

    def _missed(self) -> bool:
        """A packet came when its time was over. True: so did those before it, and all shall wait longer."""
        self.late += 1
        self._late += 1
        if self._late < LATE:
            return False
        self._delay = min(self._delay + FRAME, LONGEST)
        return True

    def _write(self, ts: int, octets: bytes) -> None:
        start, size = ts % RING, len(octets)
        first = min(size, RING - start)
        self._sound[start : start + first] = octets[:first]
        self._known[start : start + first] = b"\x01" * first
        if first < size:
            self._sound[: size - first] = octets[first:]
            self._known[: size - first] = b"\x01" * (size - first)
        end = (ts + size) & 0xFFFFFFFF
        if _signed(end - self._newest) > 0:
            self._newest = end

    # -- what is heard ---------------------------------------------------------------------

    def _read(self, start: int) -> tuple[bytes, bytes]:
        end = start + FRAME
        if end <= RING:
            found = bytes(self._sound[start:end]), bytes(self._known[start:end])
            self._known[start:end] = bytes(FRAME)
        else:
            rest = end - RING
            found = bytes(self._sound[start:] + self._sound[:rest]), bytes(self._known[start:] + self._known[:rest])
            self._known[start:], self._known[:rest] = bytes(RING - start), bytes(rest)
        return found

    def _hear(self, octets: bytes) -> Sound:
        if self._concealer is not None:
            octets = encoder(self.law)(self._concealer.hear(decoder(self.law)(octets)))
            self._concealer = None
        self._before, self._last, self._hole = self._last, octets, 0
        self._watch()
        return Sound(self.law, octets)

    def _watch(self) -> None:
        """A clock that runs faster than ours fills the buffer: now and then a frame is left out."""
        lies = _signed(self._newest - self._next)
        if lies <= self._delay + SLACK:
            self._full = 0
            return
        self._full += 1
        if self._full > PATIENCE or lies > LONGEST + SLACK:
            self._full = 0
            self.skipped += 1
            self._read(self._next % RING)
            self._next = (self._next + FRAME) & 0xFFFFFFFF

    def _miss(self) -> Sound | None:
        """Nothing is here for this moment: it was lost, or the party pauses."""
        if self._hole >= _HOLE:
            if _signed(self._newest - self._next) <= 0:
                self.reset()
            return None
        if self._concealer is None:
            self._concealer = Concealer(RATE)
            self._concealer.hear(decoder(self.law)(self._before + self._last))
        self._hole += 1
        self.filled += 1
        if self._hole == _HOLE:
            self._concealer = None
            return None
        return Sound(self.law, encoder(self.law)(self._concealer.fill(FRAME)))


def _signed(difference: int) -> int:
    """The nearest way from one 32-bit number to another."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
