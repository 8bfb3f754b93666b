"""A call that has been answered and changes: offers of the page, offers to the page, holds, transfers; keys.

Each function is an action of `legtable.LEG_TABLE`, called with the leg after the machine has moved.

One change at a time, whoever wants it. The gateway never withdraws an OFFER because the page makes one of its own:
where the two cross, the page's is refused with `conflict`, so the page rolls back (RFC 8829 §4.1.10.2), answers, and
offers again. A fixed winner instead of ROAP's random tie-breakers, because here the two sides are not equals: what
the gateway asks stands for a phone's re-INVITE that is under way already, what the page asks can be asked again.
"""

from __future__ import annotations

from rtcgw.model.events import (
    Candidates,
    Connected,
    Description,
    Hold,
    Info,
    Kind,
    Roster,
    Transfer,
    Transferring,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legstates import DECLINES, Role, reason_given
from rtcgw.rtcweb.useragent import BrowserLeg

TONES_LIMIT = 32
"""Keys in one message."""

# -- the page offers -----------------------------------------------------------------------


def page_changes(leg: BrowserLeg, message: native.Offer) -> None:
    """A new offer; its answer waits for the call."""
    leg.owed.append(("OFFER", message.id))
    leg.facts.hold = None
    leg.report(Update(Description(Kind.OFFER, message.sdp or "")))


def page_holds(leg: BrowserLeg, message: native.Hold) -> None:
    """The page puts the other side on hold, or takes it back; decided like a change, with no description of its own."""
    leg.owed.append(("HOLD", message.id))
    leg.facts.hold = message.on
    leg.report(Hold(message.on))


def changed(leg: BrowserLeg, event: UpdateAccept) -> None:
    """The page's change is taken."""
    decided_unseen(leg, event)
    held = leg.settle("HOLD")
    if held is not None:
        leg.send(native.Ok(for_="HOLD", id=held, session=leg.session))
    else:
        leg.send_description(leg.settle("OFFER"), event.description)


def decided_unseen(leg: BrowserLeg, event: object) -> None:
    """What is decided with nobody there to hear it; the next page is told by its list of calls."""
    if isinstance(event, UpdateAccept) and leg.facts.hold is not None:
        leg.facts.holding = leg.facts.hold
        leg.home.changed()


def change_refused(leg: BrowserLeg, event: UpdateReject) -> None:
    """The page's change is refused: the call is as it was."""
    request = leg.settle("HOLD") or leg.settle("OFFER")
    leg.send(leg.error(request, event.reason.word, event.reason.text))


# -- the page is asked ---------------------------------------------------------------------


def ask(leg: BrowserLeg, event: Update) -> None:
    """The other side, or the media, want something else. Candidates for it wait until the page has answered."""
    assert event.description is not None
    leg.described = False
    leg.send(native.Change(session=leg.session, sdp=event.description.sdp, sdp_type="offer", fresh=event.fresh))


def page_takes(leg: BrowserLeg, message: native.Answer) -> None:
    """The page takes the change. Its OK comes at once: nothing more is to be waited for."""
    leg.send(native.Ok(for_="ANSWER", id=message.id, session=leg.session))
    leg.report(UpdateAccept(Description(Kind.ANSWER, message.sdp or "")))
    leg.release()


def page_declines(leg: BrowserLeg, message: native.Decline) -> None:
    """The page does not take it; the call stays as it was (RFC 6141)."""
    leg.send(native.Ok(for_="DECLINE", id=message.id, session=leg.session))
    leg.report(UpdateReject(reason_given(message, DECLINES, Reason.DECLINED)))
    leg.release()


def declines_late(leg: BrowserLeg, message: native.Decline) -> None:
    """Nothing is asked any more."""
    leg.refuse(message, "withdrawn", native.CODES["withdrawn"])


def answers_nothing(leg: BrowserLeg, message: native.Answer) -> None:
    """An ANSWER without a description while one is due. A caller's may be the belated end of the set-up."""
    if leg.role is Role.CALLER:
        leg.send(native.Ok(for_="ANSWER", id=message.id, session=leg.session))
    else:
        leg.bare(message)


def crossed(leg: BrowserLeg, message: native.Offer) -> None:
    """Glare: the gateway's OFFER stands."""
    leg.refuse(message, "conflict", native.CODES["conflict"])


def not_decided(leg: BrowserLeg) -> None:
    """The page did not answer in time. It is told, so that a late answer of its does not surprise it."""
    leg.send(leg.error(None, "withdrawn", native.CODES["withdrawn"]))
    leg.report(UpdateReject(Reason.TIMEOUT))
    leg.release()


def called_off(leg: BrowserLeg, event: UpdateReject) -> None:
    """The other side has taken its change back: the page need not decide, and an answer of its comes too late."""
    leg.send(leg.error(None, "withdrawn", native.CODES["withdrawn"]))
    leg.release()


def not_now(leg: BrowserLeg, event: Update) -> None:
    """Something else is under way: who wants the change tries again in a while."""
    leg.report(UpdateReject(Reason.CONFLICT))


def nobody_there(leg: BrowserLeg, event: Update | None = None) -> None:
    """The page is away. When it comes back it offers, so nothing is lost by not waiting for it."""
    leg.report(UpdateReject(Reason.CLIENT_LOST))


def unaskable(leg: BrowserLeg, event: Update) -> None:
    """A change without an offer: the dialect cannot ask a page to make one."""
    leg.report(UpdateReject(Reason.MEDIA))


# -- transfers and news --------------------------------------------------------------------


def page_transfers(leg: BrowserLeg, message: native.Transfer) -> None:
    """The page wants its other side connected to somebody else; how that goes is told by TRANSFER."""
    leg.send(native.Ok(for_="TRANSFER", id=message.id, session=leg.session))
    other = None if message.with_ is None else SessionId(message.with_)
    leg.report(Transfer(message.to or "", other))


def tell(leg: BrowserLeg, event: Hold | Transferring | Roster | Connected) -> None:
    """What the page is told and need not decide."""
    note(leg, event)
    if not isinstance(event, Roster) or leg.can("participants"):
        leg.send(message_of(leg.session, event))


def note(leg: BrowserLeg, event: Hold | Transferring | Roster | Connected) -> None:
    """What lasts is remembered, for the list of calls: a page that was away is told of it there."""
    if isinstance(event, Hold):
        leg.facts.on_hold = event.on
        leg.home.changed()
    elif isinstance(event, Connected):
        leg.facts.remote = event.party
        leg.home.changed()
    elif isinstance(event, Roster):
        leg.facts.roster = event


def message_of(session: SessionId, event: Hold | Transferring | Roster | Connected) -> native.GatewayMessage:
    """News of a call in the dialect's words."""
    if isinstance(event, Hold):
        return native.Held(session=session, on=event.on)
    if isinstance(event, Connected):
        return native.Connected(session=session, remote=party_of(event.party))
    if isinstance(event, Roster):
        members = tuple(
            native.Member(party=party_of(each.party), part=each.part, video=each.video) for each in event.participants
        )
        return native.Participants(session=session, version=event.version, participants=members)
    reason = event.reason
    return native.Transferring(
        session=session,
        stage=event.stage,
        reason=None if reason is None else reason.word,
        text=None if reason is None else reason.text,
        status=event.status,
    )


def party_of(identity: Identity) -> native.Party:
    """A party as pages see it."""
    return native.Party(uri=identity.uri, name=identity.display)


# -- candidates and keys -------------------------------------------------------------------


def trickle(leg: BrowserLeg, event: Candidates) -> None:
    """A candidate of the other side."""
    leg.send(
        native.Trickle(
            session=leg.session, candidate=event.candidate, mid=event.mid, m_line_index=event.mline, ufrag=event.ufrag
        )
    )


def page_presses(leg: BrowserLeg, message: native.Dtmf) -> None:
    """Keys, outside the sound."""
    if message.id is not None:
        leg.send(native.Ok(for_="DTMF", id=message.id, session=leg.session))
    leg.report(Info(message.tones))


def keys_pressed(leg: BrowserLeg, event: Info) -> None:
    """Keys of the other side."""
    if leg.can("dtmf"):
        leg.send(native.Keys(session=leg.session, tones=event.digits[:TONES_LIMIT]))
