"""What each event of a leg sets off in its call: which part must know it, and what the other side is told.

    call.report -> in its turn -> ROUTES[type of event] -> here

These are functions that take the call. Most events are told the other leg as they are, or by way of the part whose
subject they are: the first descriptions (`opening.py`), later ones and holds (`change.py`), ring-back
(`ringback.py`), who takes part (`roster.py`), transfers (`transfer.py`).

What it is not: it does not say how far a call is; the machine's table is in `call.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rtcgw.media.backend import MediaError, Party
from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    Connected,
    Event,
    Focus,
    Hold,
    Info,
    Keyframe,
    Progress,
    ProgressAck,
    ProgressAcked,
    Roster,
    Stage,
    Transfer,
    Transferring,
    Unacceptable,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.translator.callstate import CallEvent, CallState
from rtcgw.translator.roster import Attendance

if TYPE_CHECKING:
    from rtcgw.translator.call import Call


def _passed(call: Call, party: Party, event: Event) -> None:
    call.joint.leg(party.other).deliver(event)


def _progressed(call: Call, party: Party, event: Progress) -> None:
    call.story.progressed(event, call.clock.seconds())
    if not call.caller.access.on_web and call.callee.access.on_web and not call.opening.bare:
        _page_progressed(call, event)
        return
    if event.stage is Stage.RINGING:
        call.machine.handle(CallEvent.RANG)
    call.opening.carry(party, event)
    if call.ringback is not None:
        call.joint.take(call.ringback.progressed, event)


def _page_progressed(call: Call, event: Progress) -> None:
    """A page that a phone calls. Its early answer is for the media alone, which thereby connect: a description
    in a 183 would silence the phone's own ring-back tone, and the page has nothing to play in its stead."""
    if event.description is not None:
        call.opening.learn(Party.CALLEE, event.description)
    if call.machine.state is CallState.CALLING:
        call.machine.handle(CallEvent.RANG)
        call.caller.deliver(Progress(Stage.RINGING, reliable=event.reliable))


def _acknowledged(call: Call, party: Party, event: ProgressAck) -> None:
    """The callee, who has not heard of the call, is not told that the caller has our own early answer."""
    if call.machine.state is not CallState.RESERVING:
        call.opening.carry(party, event)


def _accepted(call: Call, party: Party, event: Accept) -> None:
    call.machine.handle(CallEvent.ANSWERED)
    if call.story.answered is None:
        call.story.answered = call.clock.seconds()
    call.opening.carry(party, event)
    if call.ringback is not None:
        call.joint.take(call.ringback.answered)
    if call.caller.access.on_web or call.callee.access.on_web:
        call.joint.take(_attended, call)
    call.changes.resume()


def _attended(call: Call) -> None:
    if call.roster is None:
        call.roster = Attendance(call.setup, call.joint, absent=call.news.absent)
    call.roster.changed()
    if call.crowds is not None:
        call.crowds.look(call)


def _away(call: Call, party: Party, event: Away) -> None:
    call.story.moves += event.on
    call.news.away(party, event.on)
    call.changes.away(party, event.on)
    if call.roster is not None:
        call.roster.away(party, event.on)


def _connected(call: Call, party: Party, event: Connected) -> None:
    """The network names who is at the other end: somebody else than was called, or than it was until now."""
    if party is Party.CALLEE:
        call.story.connected = event.party
    if call.roster is not None:
        call.roster.named(party, event.party)
    _passed(call, party, event)


def _focused(call: Call, party: Party, event: Focus) -> None:
    if call.roster is not None and call.crowds is not None:
        call.crowds.look(call)


def _crowded(call: Call, party: Party, event: Roster) -> None:
    if call.roster is not None:
        call.roster.crowded(party, event)


def _confirmed(call: Call, party: Party, event: Confirm) -> None:
    if not call.changes.confirmed(party, event.description):
        call.opening.carry(party, event)


def _unacceptable(call: Call, party: Party, event: Unacceptable) -> None:
    call.machine.handle(CallEvent.REFUSED, event)


def _keys(call: Call, party: Party, event: Info) -> None:
    """Keys go in the sound where the media can say them there, else by signalling."""
    if not call.media.press(party.other, event.digits, event.duration):
        _passed(call, party, event)


def trickled(call: Call, party: Party, event: Candidates) -> None:
    """A candidate is the media's, or passes to the other side."""
    try:
        taken = call.media.candidate(party, event.candidate, event.mid, event.ufrag)
    except MediaError as error:
        call.media_failed(error)
        return
    if not taken and not call.joint.take(_passed, call, party, event):
        call.end(Reason.PROTOCOL)


def _keyframe(call: Call, party: Party, event: Keyframe) -> None:
    """A party that cannot say so by RTCP needs a whole picture of the other."""
    call.media.keyframe(party.other)


def _transfer(call: Call, party: Party, event: Transfer) -> None:
    if call.transfers is not None:
        call.transfers.asked(call, party, event)


def _transferring(call: Call, party: Party, event: Transferring) -> None:
    if call.transfers is not None:
        call.transfers.told(call, event)


ROUTES: Final[Mapping[type[Event], Callable[[Call, Party, Any], None]]] = {
    Progress: _progressed,
    ProgressAck: _acknowledged,
    ProgressAcked: _passed,
    Accept: _accepted,
    Confirm: _confirmed,
    Unacceptable: _unacceptable,
    Update: lambda call, party, event: call.changes.proposed(party, event.description),
    UpdateAccept: lambda call, party, event: call.changes.accepted(party, event.description),
    UpdateReject: lambda call, party, event: call.changes.refused(party, event.reason),
    Candidates: trickled,
    Info: _keys,
    Hold: lambda call, party, event: call.changes.held(party, event.on),
    Keyframe: _keyframe,
    Away: _away,
    Roster: _crowded,
    Focus: _focused,
    Connected: _connected,
    Transfer: _transfer,
    Transferring: _transferring,
}
"""What each event of a leg does. `Setup` and `Ringback` only ever go down to a leg."""
