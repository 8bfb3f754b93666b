"""The browser's half of a call until it is answered and confirmed, in both roles.

Each function is an action of `legtable.LEG_TABLE`, called with the leg after the machine has moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Ringback,
    Setup,
    Stage,
)
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legchange import party_of
from rtcgw.rtcweb.legstates import Role
from rtcgw.rtcweb.useragent import OWED_LIMIT, BrowserLeg

_STAGES: Final[Mapping[Stage, Literal["forwarded", "queued"]]] = {
    Stage.FORWARDED: "forwarded",
    Stage.QUEUED: "queued",
}

# -- the caller's page ---------------------------------------------------------------------


def place(leg: BrowserLeg, message: native.Offer, remote: Identity) -> None:
    """The page calls."""
    leg.history.append("<- OFFER")
    leg.facts.remote = remote
    leg.facts.undescribed = message.sdp is None
    leg.home.changed()
    leg.send(native.Waiting(id=message.id, session=leg.session, to=message.to or ""))


def progressed(leg: BrowserLeg, event: Progress) -> None:
    """The call has come further: PROGRESS or RINGING, as the page understands it."""
    description = event.description
    leg.facts.rang = leg.facts.rang or event.stage is Stage.RINGING
    if event.stage is Stage.TRYING:
        if description is not None:
            _begin_early(leg, description)
        return
    _note(leg, event)
    sdp = None if description is None else description.sdp
    kind = None if description is None else description.kind
    stage = _STAGES.get(event.stage)
    if event.stage is not Stage.RINGING and (stage or sdp) is not None and leg.can("progress"):
        leg.send(native.Early(session=leg.session, stage=stage, sdp=sdp, sdp_type=kind))
    elif event.stage is Stage.RINGING or sdp is not None:
        leg.send(native.Alerting(session=leg.session, sdp=sdp, sdp_type=kind))


def _begin_early(leg: BrowserLeg, description: Description) -> None:
    """The gateway's own answer, so that ICE and DTLS are done while it rings.

    A page without the word would take it for ringing, so it waits for the real one.
    """
    if leg.can("progress"):
        leg.unnoted += 1
        leg.send(native.Early(session=leg.session, sdp=description.sdp, sdp_type=description.kind))


def _note(leg: BrowserLeg, event: Progress | Accept) -> None:
    """Remember whether the other side's description asks the page for an answer."""
    if event.description is not None:
        leg.offered = event.description.kind is Kind.OFFER


def ring_back(leg: BrowserLeg, event: Ringback) -> None:
    """Who makes what the user hears."""
    leg.facts.sound = event.sound
    if leg.can("ringback"):
        leg.send(native.Ringback(session=leg.session, sound=event.sound))


def page_acknowledges(leg: BrowserLeg, message: native.Pranswer) -> None:
    """The caller's PRANSWER: its OK is that of the PRACK (Fig. 8, S830)."""
    if leg.unnoted and message.sdp is None:
        # It is for the gateway's own early answer, of which the other side knows nothing.
        leg.unnoted -= 1
        leg.send(native.Ok(for_="PRANSWER", id=message.id, session=leg.session))
    elif message.sdp is None and leg.description_due:
        leg.bare(message)
    elif len(leg.owed) >= OWED_LIMIT:
        leg.refuse(message, "limit", "Too many requests of this call wait for an answer")
    else:
        leg.owed.append(("PRANSWER", message.id))
        leg.report(ProgressAck(_answer_in(leg, message)))


def acknowledges_late(leg: BrowserLeg, message: native.Pranswer) -> None:
    """PRANSWER when the call has been answered: too late to matter, and no mistake of a caller's."""
    if leg.role is Role.CALLER:
        leg.send(native.Ok(for_="PRANSWER", id=message.id, session=leg.session))
    else:
        leg.illegal(message)


def acked(leg: BrowserLeg, event: ProgressAcked) -> None:
    """The 200 to PRACK."""
    request = leg.settle("PRANSWER")
    if request is not None:
        leg.send(native.Ok(for_="PRANSWER", id=request, session=leg.session))


def accepted(leg: BrowserLeg, event: Accept) -> None:
    """The call is answered."""
    while leg.owed:
        acked(leg, ProgressAcked())  # PRACKs whose 200 was overtaken by the answer
    _note(leg, event)
    leg.connect()
    if leg.offered:
        leg.machine.cancel("confirm")  # nobody can make the page's answer in its stead
    leg.send_description(None, event.description)


def accepted_away(leg: BrowserLeg, event: Accept) -> None:
    """The call is answered while the page is away."""
    _note(leg, event)
    leg.connect()
    confirm_alone(leg)


def confirm_alone(leg: BrowserLeg) -> None:
    """The page is away or silent: the other side must not wait for it, unless for its answer."""
    if not leg.offered:
        leg.report(Confirm())


def page_confirms(leg: BrowserLeg, message: native.Answer) -> None:
    """The caller's ANSWER, Fig. 8's final reply."""
    leg.send(native.Ok(for_="ANSWER", id=message.id, session=leg.session))
    leg.report(Confirm(_answer_in(leg, message)))


def confirms_late(leg: BrowserLeg, message: native.Answer) -> None:
    """Late, because the gateway has confirmed already: accepted all the same (idempotent).

    One with a description answers a change that no longer stands: the page must not believe that it was taken.
    """
    if message.sdp is not None:
        leg.refuse(message, "withdrawn", native.CODES["withdrawn"])
    elif leg.role is Role.CALLER:
        leg.send(native.Ok(for_="ANSWER", id=message.id, session=leg.session))
    else:
        leg.illegal(message)


def _answer_in(leg: BrowserLeg, message: native.Pranswer | native.Answer) -> Description | None:
    """A caller's description counts only as the answer to an offer of the gateway."""
    if not leg.offered or message.sdp is None:
        return None
    leg.offered = leg.facts.undescribed = False
    return Description(Kind.ANSWER, message.sdp)


# -- the called page -----------------------------------------------------------------------


def offer(leg: BrowserLeg, event: Setup) -> None:
    """A call comes in."""
    assert event.description is not None
    leg.facts.remote = event.shown
    leg.home.changed()
    leg.send(
        native.Incoming(
            session=leg.session,
            from_=party_of(event.shown),
            to=event.callee.uri,
            sdp=event.description.sdp,
            sdp_type="offer",
            history=tuple(party_of(each) for each in event.history),
            referred_by=event.referred_by,
            headers=dict(event.headers) or None,
            warm=event.warm,
        )
    )


def cannot_ring(leg: BrowserLeg, event: Setup) -> None:
    """A call without an offer from a party for which the gateway cannot make one."""
    leg.over()
    leg.report(End(Reason.MEDIA))


def page_rings(leg: BrowserLeg, message: native.Ringing) -> None:
    """The user hears it ring."""
    leg.send(native.Ok(for_="RINGING", id=message.id, session=leg.session))
    leg.report(Progress(Stage.RINGING))


def rings_again(leg: BrowserLeg, message: native.Ringing) -> None:
    """The same again is no news."""
    leg.send(native.Ok(for_="RINGING", id=message.id, session=leg.session))


def page_pranswers(leg: BrowserLeg, message: native.Pranswer) -> None:
    """The callee's early answer."""
    if message.sdp is None:
        leg.bare(message)
        return
    leg.send(native.Ok(for_="PRANSWER", id=message.id, session=leg.session))
    leg.report(Progress(Stage.SESSION, Description(Kind.PRANSWER, message.sdp)))
    leg.release()


def ack_progress(leg: BrowserLeg, event: ProgressAck) -> None:
    """The caller has noted the callee's early answer; the page has nothing to add."""
    leg.report(ProgressAcked())


def page_answers(leg: BrowserLeg, message: native.Answer) -> None:
    """The callee's user answers; the OK comes when the caller has confirmed."""
    sdp = message.sdp
    leg.connect()
    leg.owed.append(("ANSWER", message.id))
    leg.report(Accept(None if sdp is None else Description(Kind.ANSWER, sdp)))
    leg.release()


def confirmed(leg: BrowserLeg, event: Confirm) -> None:
    """The caller knows."""
    request = leg.settle("ANSWER")
    if request is not None:
        leg.send(native.Ok(for_="ANSWER", id=request, session=leg.session))
