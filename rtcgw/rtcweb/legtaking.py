"""A page takes a call up: one that comes back after a reload or a change of network, or another page of the user.

    its page is away   -> PAGE_RETURNS     the other side is told that the party is there again
    it has a page      -> TAKEN_OVER       that page hears ERROR `moved`; the other side hears nothing of it

Either way the page brings a fresh description, and the call decides it like any change. Two cases must wait:

    not answered yet            the page hears WAITING, and RINGING where it rings, as if it had just placed the call;
                                its offer waits for the answer (`recalling`)
    another offer is decided    the new one waits for that (`returning`)

The old offer is not withdrawn for the new one's sake. A phone cannot be relied on to give it back (an UPDATE has no
CANCEL); and the other page's ANSWER may be on its way already, and would pass for one to the new offer.

Before the answer a new offer cannot take the place of the first: that one is with the called already, whose answer is
going to be an answer to it, and media that have one side only cannot be changed. To wait costs one exchange with the
gateway after the answer, and the early sound of the network; nobody else hears of it. An early description that comes
meanwhile would answer the old offer, so the page is not given it, and makes its own ring-back tone.

Each function is an action of `legtable.LEG_TABLE`, called with the leg after the machine has moved.
"""

from __future__ import annotations

from attrs import evolve

from rtcgw.model.events import Accept, Away, Description, Kind, Progress, Ringback, Sound, Stage, Update, UpdateReject
from rtcgw.model.reason import Reason
from rtcgw.rtcweb import legchange as change
from rtcgw.rtcweb import legsetup as setup
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legleaving import let_go
from rtcgw.rtcweb.useragent import BrowserLeg, IPage

# -- once the call is answered ---------------------------------------------------------------


def returns(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The page is back with a fresh description."""
    _offers(leg, message, page)
    leg.report(Away(False))


def returns_meanwhile(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The page is back while what it had offered before is still being decided.

    Its new offer waits: two at once could not be told apart by their outcomes. The old one is taken back, so that this
    does not take as long as a person may think about a camera.
    """
    _waits(leg, message, page)
    leg.owed.append(("OFFER", message.id))
    leg.report(Away(False))
    leg.report(UpdateReject(Reason.CANCELLED))


def moves(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """Another page takes over."""
    let_go(leg, "moved")
    _offers(leg, message, page)
    _tell_roster(leg)


def moves_unconfirmed(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The same before the caller's page has given its final reply: the gateway gives it."""
    setup.confirm_alone(leg)
    moves(leg, message, page)


def moves_while_asked(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The same while the page that had it was asked something: the new page's offer is all the answer there is."""
    change.nobody_there(leg)
    moves(leg, message, page)


def moves_meanwhile(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The same while what the other page had offered is being decided."""
    let_go(leg, "moved")
    _waits(leg, message, page)
    leg.owed.append(("OFFER", message.id))
    leg.report(UpdateReject(Reason.CANCELLED))
    _tell_roster(leg)


# -- before it is answered -------------------------------------------------------------------


def returns_early(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """The caller's page is back, and it still rings at the other side, or is on its way there."""
    _waits_early(leg, message, page)
    leg.report(Away(False))


def moves_early(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    """Another page of the caller's takes over."""
    let_go(leg, "moved")
    _waits_early(leg, message, page)


def progressed(leg: BrowserLeg, event: Progress) -> None:
    """The call has come further; what is described answers the old offer."""
    setup.progressed(leg, evolve(event, description=None))


def progressed_away(leg: BrowserLeg, event: Progress) -> None:
    """The same while there is no page: it is told when it comes back."""
    leg.facts.rang = leg.facts.rang or event.stage is Stage.RINGING


def ring_back(leg: BrowserLeg, event: Ringback) -> None:
    """The network's sound does not reach the page yet; silence instead would seem to be a fault."""
    setup.ring_back(leg, Ringback(Sound.LOCAL) if event.sound is Sound.NETWORK else event)


def ring_back_away(leg: BrowserLeg, event: Ringback) -> None:
    """The same while there is no page."""
    leg.facts.sound = event.sound


def acknowledges(leg: BrowserLeg, message: native.Pranswer) -> None:
    """PRANSWER of a page that has been given no description: the other side does not wait for it."""
    leg.send(native.Ok(for_="PRANSWER", id=message.id, session=leg.session))


def accepted(leg: BrowserLeg, event: Accept) -> None:
    """The call is answered: confirmed at once, and now the page's own offer. Its OK is that of the call."""
    setup.accepted_away(leg, event)
    _take_up(leg)


# -- what they share -------------------------------------------------------------------------


def offer_waiting(leg: BrowserLeg, event: object) -> None:
    """The old offer is decided, and of no use to anybody: now the new one."""
    change.decided_unseen(leg, event)
    _take_up(leg)


def _take_up(leg: BrowserLeg) -> None:
    waiting, leg.waiting = leg.waiting, None
    leg.facts.hold = None
    if waiting is not None:
        leg.report(Update(Description(Kind.OFFER, waiting.sdp or "")))
    leg.release()


def _offers(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    _adopt(leg, page)
    leg.described = True
    change.page_changes(leg, message)


def _tell_roster(leg: BrowserLeg) -> None:
    """A page that comes back is told by the call, since it was away; this one has nobody else to tell it."""
    if leg.facts.roster is not None:
        change.tell(leg, leg.facts.roster)


def _waits(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    _adopt(leg, page)
    leg.described = False
    leg.waiting = message


def _waits_early(leg: BrowserLeg, message: native.Offer, page: IPage) -> None:
    _waits(leg, message, page)
    leg.unnoted = 0
    leg.send(native.Waiting(id=message.id, session=leg.session, to=leg.facts.remote.uri))
    if leg.facts.rang:
        leg.send(native.Alerting(session=leg.session))
    if leg.facts.sound is not None:
        ring_back(leg, Ringback(leg.facts.sound))


def _adopt(leg: BrowserLeg, page: IPage) -> None:
    leg.page = page
    leg.peer = page.name
    page.adopt(leg)
    leg.home.changed()
