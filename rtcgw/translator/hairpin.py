"""Two pages that a transfer joins: each in a call of its own with one half of a phone that does not exist.

    page ── Call ── [media] ── Half   Half ── [media] ── Call ── page
                                 └── each says what the other is told ──┘

Pages that call each other are joined directly, for the one that calls makes an offer. A page that is moved makes none
before the other one has answered, and nobody else could; the gateway's own media can, towards a phone. So each page
gets such media, and what they write for the phone goes from one call to the other as it is. Sound and pictures then
take the way of calls to phones, twice.

What it is not: it translates nothing and decides nothing. It is no party of its own and is shown nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field
from zope.interface import implementer

from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Confirm,
    Connected,
    End,
    Event,
    Info,
    Keyframe,
    Progress,
    ProgressAck,
    ProgressAcked,
    Setup,
    Transfer,
    Transferring,
    TransferStage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import SessionId, new_session_id
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

_PASSED: Final = (
    Progress,
    ProgressAck,
    ProgressAcked,
    Accept,
    Confirm,
    Update,
    UpdateAccept,
    UpdateReject,
    Info,
    Keyframe,
    Connected,
)
"""What one call tells this half is what the other half reports."""


@implementer(ILeg, ILegParent)
@define(eq=False)
class Half:
    """One half; `other` is the one in the other call, until either call has ended."""

    session: SessionId
    parent: ILegParent | None = field(default=None, init=False)
    other: Half | None = field(default=None, init=False)
    access: Access = field(default=Access.CORE, init=False)
    _target: ILeg | None = field(default=None, init=False)
    """Whom the other half is to call, until it does."""
    _begin: Callable[[Half, Setup, ILeg], None] = field(default=lambda half, setup, target: None, init=False)

    def deliver(self, event: Event) -> None:
        """See `ILeg`. It has no ear for what pages alone are told, and cannot be sent elsewhere: it is moved."""
        other = self.other
        if other is None:
            return
        if other.parent is self.parent and not isinstance(event, End):
            # Both halves have been moved into one call: there is nobody at either end, only an echo between them.
            self._say(End(Reason.LOOP))
        elif isinstance(event, _PASSED):
            other._say(event)
        elif isinstance(event, Setup):
            target, self._target = self._target, None
            if target is not None:
                self._begin(other, event, target)
        elif isinstance(event, Transfer):
            self._say(Transferring(TransferStage.FAILED, Reason.PROTOCOL, 405))
        elif isinstance(event, End):
            self.other = other.other = None
            other._say(event)
            if self._target is not None:
                self._target.deliver(event)

    def report(self, leg: ILeg, event: Event) -> None:
        """See `ILegParent`: whoever is to be called may be gone before it has been."""
        if isinstance(event, End) and self._target is not None:
            self._target = None
            other = self.other
            if other is not None:
                self.other = other.other = None
            self._say(event)

    def view(self) -> LegView:
        """See `ILeg`."""
        return LegView("hairpin", "", "joined" if self.other is not None else "ended")

    def _say(self, event: Event) -> None:
        if self.parent is not None:
            self.parent.report(self, event)


def hairpin(session: SessionId, target: ILeg, begin: Callable[[Half, Setup, ILeg], None]) -> Half:
    """The half that a call of this session has as its callee's leg, in the place of `target`.

    `begin(other, setup, target)` is called when it is told of the call: the other half is to call the target.
    """
    here, there = Half(session), Half(new_session_id())
    here.other, there.other = there, here
    here._target, here._begin = target, begin
    target.parent = here
    return here
