"""Sound from one codec into another: Opus, G.711 and G.722, packet by packet and without a timer.

An extra (`pip install rtcgw[transcode]`): the codecs are FFmpeg's through PyAV, which only `pyav.py` knows. G.711
needs no library. What comes in is one direction's packets in order, with word of how many are missing (`recast.py`);
what goes out are frames of another length if need be, on the receiver's clock.
"""

from __future__ import annotations

from importlib.util import find_spec

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
