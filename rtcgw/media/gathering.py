"""A browser's description that waits for its candidates, for a party that cannot be sent them one by one.

What a browser says first has none (RFC 8838); they follow as messages, then the end of them. A peer without trickle
takes the description for one without ICE. So it is held until all are there, or for so long as a caller may well
wait, and goes out as RFC 8839 wants it: candidates in their media lines, a default one in `m=` and `c=`.

What it is not: it chooses no candidate and leaves none out; which of them work is found out by the parties.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtcgw.media.sdp import Session, net

PATIENCE: Final = 1.5
"""Seconds. Candidates of the machine itself are there in a fraction; what a lost STUN server would bring is done
without."""
MOST: Final = 64
"""Candidates of one description; more are left out."""

Found = tuple[str | None, str]
"""A media line's `mid`, None for the first line, and the attribute's value."""


def trickles(session: Session) -> bool:
    """Whether the candidates of a description are still to come."""
    lines = [media for media in session.media if media.port != 0]
    with_ice = any(session.value_of(media, "ice-ufrag") for media in lines)
    return with_ice and not any(media.get("candidate") for media in lines)


def ufrag(session: Session) -> str | None:
    """What names the candidates of a description; another one begins anew."""
    return next((name for media in session.media if (name := session.value_of(media, "ice-ufrag"))), None)


class Gathering:
    """The candidates of one description. `whole` is fired with both once, unless it is cancelled before."""

    __slots__ = ("_found", "_sdp", "_timer", "ufrag", "whole")

    def __init__(self, sdp: str, ufrag: str | None, clock: IReactorTime) -> None:
        self._sdp = sdp
        self.ufrag = ufrag
        self._found: list[Found] = []
        self._timer: IDelayedCall | None = clock.callLater(PATIENCE, self._done)
        self.whole: Deferred[str] = Deferred(lambda _: self.cancel())

    def add(self, candidate: str | None, mid: str | None) -> None:
        """A candidate, or None: that was the last. What comes too late is there for the description's repetition."""
        if candidate is None:
            if self._timer is not None:
                self._done()
        elif len(self._found) < MOST and "\r" not in candidate and "\n" not in candidate:
            self._found.append((mid, candidate.removeprefix("a=").removeprefix("candidate:")))

    def repeated(self, sdp: str) -> str:
        """The same description again, as answers are: early, then final. Nothing is waited for a second time."""
        return with_candidates(sdp, self._found)

    def cancel(self) -> None:
        """Nobody waits any more."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _done(self) -> None:
        self.cancel()
        self.whole.callback(with_candidates(self._sdp, self._found))


def with_candidates(sdp: str, found: Sequence[Found]) -> str:
    """The description with its candidates; every other line stays as it is."""
    head, *sections = sdp.replace("\r\n", "\n").split("\nm=")
    whole = [head.rstrip("\n")]
    for place, section in enumerate(sections):
        lines = ("m=" + section).rstrip("\n").split("\n")
        mid = next((line[6:] for line in lines if line.startswith("a=mid:")), None)
        mine = [value for name, value in found if name == mid or (name is None and place == 0)]
        whole += _line_with(lines, mine) if mine else lines
    return "\r\n".join([*(line for part in whole for line in part.split("\n")), ""])


def _line_with(lines: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """One media line. Its default candidate is the best of IPv4 and UDP, which every peer has (RFC 8839 §4.2.1)."""
    fields = [candidate.split() for candidate in candidates]
    plain = [one for one in fields if len(one) > 5 and one[2].lower() == "udp" and one[4].count(".") == 3]
    best = max((one for one in plain if one[3].isdigit()), key=lambda one: int(one[3]), default=None)
    out = []
    for line in lines:
        if best is not None and line.startswith("m="):
            kind, _, rest = line.split(" ", 2)
            out.append(f"{kind} {best[5]} {rest}")
        elif best is not None and line.startswith("c="):
            out.append(f"c={net(best[4])}")
        elif best is None or not line.startswith("a=rtcp:"):  # the default of RTCP, with rtcp-mux no other than RTP's
            out.append(line)
    return [*out, *(f"a=candidate:{candidate}" for candidate in candidates), "a=end-of-candidates"]
