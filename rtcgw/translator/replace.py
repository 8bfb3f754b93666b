"""An INVITE that takes the place of a call's dialog: RFC 3891 §3.

    confirmed   the party at the other end of that call is moved into a new one with whoever calls, and the phone
                whose dialog it was is told that it was replaced
    early       a phone of ours that rings: it is cancelled, the caller's page has its answer from the gateway, and is
                moved as above

The dialog must be one of ours and match exactly; what does not match or may not be replaced is refused before
anything is made of it. Whoever may call may replace: callers come through a core that is trusted to have asked them,
and an INVITE that names a web user replaces that user's dialogs only.

What it is not: it does not read headers (`siprefer.py`), and it does not know how a leg changes calls (`moved.py`).
"""

from __future__ import annotations

from typing import Final

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.media.backend import Access
from rtcgw.model.events import Accept, Description, End, Event, Stage
from rtcgw.model.identity import DialogRef, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.callstate import CallEvent
from rtcgw.translator.leg import ILeg, ILegParent, LegView
from rtcgw.translator.moved import MovedLeg, call_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipstate import State
from rtcgw.translator.transfer import IPlacer

_CONFIRMED: Final = frozenset({State.ANSWERED, State.ACCEPTED, State.TALKING})
_RINGING: Final = frozenset({State.CALLING})
"""Early, and begun by us."""
_OVER: Final = frozenset({State.CANCELLING, State.ABANDONED, State.LEAVING, State.ENDED})


@frozen
class Refused(Exception):
    """The INVITE is answered with `status`."""

    status: int
    phrase: str


class Newcomer:
    """Who moves the other party: whoever calls hears by SIP all that there is to say."""

    def progressed(self, stage: Stage) -> None:
        """See `IMover`."""

    def moved(self, leg: ILeg) -> None:
        """See `IMover`."""

    def stayed(self, end: End) -> None:
        """See `IMover`."""


class Pickup(Newcomer):
    """The same for a call that rings: if the newcomer is gone, nobody is left to answer it."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def stayed(self, end: End) -> None:
        """See `IMover`. Where the gateway could not answer in the newcomer's stead the phone rings on."""
        if self._call.answered:
            self._call.end(end.reason)


@implementer(ILeg)
class Absent:
    """The place of a phone that is cancelled, until the call that rang there is over."""

    access = Access.CORE

    def __init__(self, session: SessionId) -> None:
        self.session = session
        self.parent: ILegParent | None = None

    def deliver(self, event: Event) -> None:
        """See `ILeg`: nobody is there."""

    def view(self) -> LegView:
        """See `ILeg`."""
        return LegView("absent", "", "replaced")


def take_place(placer: IPlacer, clock: IReactorTime, ref: DialogRef, user: str) -> MovedLeg:
    """The leg that is to talk to the newcomer instead of the phone with this dialog.

    `user` is the web user that the INVITE names; empty: none. Raises `Refused`.
    """
    old: object = placer.dialog(ref)
    if not isinstance(old, SipLeg):
        raise Refused(481, "Call/Transaction Does Not Exist")
    state = old.machine.state
    if state in _OVER:
        raise Refused(603, "Decline")
    if state in _CONFIRMED and ref.early_only:
        raise Refused(486, "Busy Here")
    found = call_of(old)
    if found is None:
        raise Refused(491, "Request Pending")
    call, seat = found
    far = call.joint.leg(call.joint.party(seat).other)
    whose = far.view().user
    if user and whose and whose != user:
        raise Refused(403, "Forbidden")
    if state in _RINGING and far.access.on_web:
        _answer(call, seat)
        return MovedLeg(call, far, clock, Pickup(call), Reason.REPLACED)
    if state not in _CONFIRMED:
        raise Refused(481, "Call/Transaction Does Not Exist")
    moved = placer.move(call, far, Newcomer(), Reason.REPLACED)
    if moved is None:
        raise Refused(491, "Request Pending")
    return moved


def _answer(call: Call, ringing: ILeg) -> None:
    """The caller's page has its answer from the media alone, and the phone need not ring any longer.

    Where the media have no answer of their own nothing happens, and it rings on.
    """

    def answered(answer: Description) -> None:
        if call.answered or call.over:
            return
        nobody = Absent(ringing.session)
        call.put(nobody, ringing)
        nobody.parent = call
        ringing.deliver(End(Reason.ANSWERED_ELSEWHERE))
        call.machine.handle(CallEvent.ANSWERED)
        call.caller.deliver(Accept(answer))

    call.joint.take(call.opening.stand_in, answered)
