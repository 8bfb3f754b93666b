"""Quality-of-service preconditions of one media line (RFC 3312, RFC 4032): read from the core, and answered.

The browser's access knows no reservation, so our own segment is always met; what counts is what the other end
still waits for. Nothing of this is ever shown to a browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from attrs import frozen

from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason

MAX_LINES = 24
"""Lines of one kind that are read on a media line; there are three segments and two directions."""
_QOS = "qos"
_E2E, _LOCAL, _REMOTE = "e2e", "local", "remote"
_SEGMENTS = (_E2E, _LOCAL, _REMOTE)
_MIRROR = {_E2E: _E2E, _LOCAL: _REMOTE, _REMOTE: _LOCAL}
_WAYS = {"none": 0, "send": 1, "recv": 2, "sendrecv": 3}
_NAMES = {number: name for name, number in _WAYS.items()}
_TURNED = (0, 2, 1, 3)


class Strength(IntEnum):
    """How much a precondition is wanted (RFC 3312 §4)."""

    NONE = 0
    OPTIONAL = 1
    MANDATORY = 2


_STRENGTHS = {"none": Strength.NONE, "optional": Strength.OPTIONAL, "mandatory": Strength.MANDATORY}
_REFUSED = frozenset({"failure", "unknown"})


def _failed(detail: str) -> MediaError:
    return MediaError(Reason.PRECONDITION, detail)


@frozen
class Preconditions:
    """The status table of one media line, from our view: `local` is our segment, `remote` the phone's.

    Ways are 0 none, 1 send, 2 receive, 3 both, from our view too.
    """

    current: Mapping[str, int]
    desired: Mapping[str, tuple[Strength, int]]

    @property
    def met(self) -> bool:
        """Whether the phone has what it insists on. Our own segment is met at once."""
        for segment in (_E2E, _REMOTE):
            strength, ways = self.desired.get(segment, (Strength.NONE, 0))
            if strength is Strength.MANDATORY and ways & ~self.current.get(segment, 0):
                return False
        return True

    def lines(self) -> list[str]:
        """The attributes of our answer, and of our later offers: our segment met, the phone's as it told us.

        Where it still waits for its own we ask to be told (RFC 3312 §7, `a=conf`).
        """
        found = []
        end_to_end = _E2E in self.desired
        for segment in (_E2E,) if end_to_end else (_LOCAL, _REMOTE):
            found.append(f"a=curr:qos {segment} {_NAMES[3 if segment == _LOCAL else self.current.get(segment, 0)]}")
        for segment in (_E2E,) if end_to_end else (_LOCAL, _REMOTE):
            strength, ways = self.desired.get(segment, (Strength.OPTIONAL, 3))
            found.append(f"a=des:qos {strength.name.lower()} {segment} {_NAMES[ways or 3]}")
        if not self.met:
            found.append(f"a=conf:qos {_E2E if end_to_end else _REMOTE} sendrecv")
        return found


OURS = Preconditions({_LOCAL: 3, _REMOTE: 0}, {_LOCAL: (Strength.OPTIONAL, 3), _REMOTE: (Strength.OPTIONAL, 3)})
"""What we offer to a phone that has said nothing yet: ready here, nothing insisted on."""


def read(attributes: Mapping[str, Sequence[str]]) -> Preconditions | None:
    """The table of a media line as its phone describes it; None where it says nothing of preconditions.

    Raises `MediaError` (PRECONDITION): a mandatory one of a kind unknown here (RFC 3312 §11), or one that the
    phone reports as failed.
    """
    current: dict[str, int] = {}
    desired: dict[str, tuple[Strength, int]] = {}
    for value in attributes.get("curr", ())[:MAX_LINES]:
        words = value.split()
        if len(words) == 3 and words[0] == _QOS and words[1] in _SEGMENTS and words[2] in _WAYS:
            current[_MIRROR[words[1]]] = _TURNED[_WAYS[words[2]]]
    for value in attributes.get("des", ())[:MAX_LINES]:
        _desire(desired, value.split())
    return Preconditions(current, desired) if current or desired else None


def _desire(desired: dict[str, tuple[Strength, int]], words: Sequence[str]) -> None:
    """One `a=des`. Directions of one segment may stand in lines of their own; the stronger wish holds for both."""
    if len(words) != 4:
        return
    kind, strength, segment, ways = words
    if strength in _REFUSED:
        raise _failed(f"the phone reports its precondition {kind[:16]} {segment[:8]} as {strength}")
    wanted = _STRENGTHS.get(strength)
    if kind != _QOS:
        if wanted is Strength.MANDATORY:
            raise _failed(f"a precondition of the kind {kind[:16]} is required")
        return
    if wanted is None or segment not in _SEGMENTS or ways not in _WAYS:
        return
    place = _MIRROR[segment]
    before = desired.get(place, (Strength.NONE, 0))
    desired[place] = (max(before[0], wanted), before[1] | (_TURNED[_WAYS[ways]] if wanted else 0))
