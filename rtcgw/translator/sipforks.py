"""A forked INVITE: several early dialogs in one call, one of which the caller hears (RFC 3261 §13.2.2.4, RFC 6228).

Each To tag is a dialog of its own, with its own route, CSeq and RSeq numbers; each reliable 1xx gets its PRACK, each
UPDATE its answer. But there is one caller with two ears and one media session, so one dialog is chosen for sound.
The rule, in this order:

    1. Who has described itself may be chosen, and the first one is.
    2. Another one takes its place only by rank, which is what its network says of early sound (P-Early-Media,
       RFC 5009): it sends some (sendrecv, sendonly) > it says nothing > it sends none (recvonly, inactive).
       Among equals nothing changes: a caller in the middle of an announcement is not torn out of it.
    3. Whoever offers a change before the answer (UPDATE with a description) is chosen, since to answer is to describe
       the caller's media to that one.
    4. As long as the chosen one has sent nothing, and its network has not said that it sends, the first packet
       that comes from where another one has described itself makes that one chosen (RFC 3960 §3.2).
    5. When the chosen one ends (199), the best of the others takes its place, the oldest among equals; without
       one the caller hears the local tone, if it rings.
    6. No change while an UPDATE is under way, ours or theirs; and none in an offerless call, where the caller has
       answered the one offer it was given.
    7. Who answers first has the call, chosen or not, heard of before or not.

The media are told of one description at a time and take packets from where it says; they say who else sends (rule 4)
where they see every packet themselves, which the embedded relay does and rtpengine does not.

Dialogs that are not the call's end by themselves: CANCEL and the final response end them at whoever forked (§9.1,
§16.7), and a second 2xx gets ACK and BYE. No BYE is sent in an early dialog.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from rtcgw.model.events import Progress, Stage, Stray
from rtcgw.sip.message import Request, Response
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator import sipuac as uac
from rtcgw.translator.sipdialog import AUTHORISED, Early, sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sippeer import sounds_of
from rtcgw.translator.sipstate import Asked

log = Logger()

OPTION: Final = "199"
"""The option tag of RFC 6228, which is the number of its status as well."""
TERMINATED: Final = int(OPTION)
"""Early Dialog Terminated."""
_STAGES: Final = {180: Stage.RINGING, 181: Stage.FORWARDED, 182: Stage.QUEUED}


def progressed(leg: SipLeg, response: Response) -> None:
    """A 1xx: learn its dialog, acknowledge it if it is reliable, tell the caller what is new."""
    assert leg.invite is not None
    early = leg.early.find(leg.invite, response)
    if early is None:
        _anonymous(leg, response)
        return
    if early.over:
        return  # a 1xx that 199 has overtaken
    leg.port.add_dialog(early.dialog.id, leg)
    early.dialog.refresh_target(response)
    order = leg.early.in_order(early, response)
    if order is False:
        return
    sdp = sdp_of(response)
    if order is True:
        uac.acknowledge(leg, early, response, sdp)
    if response.status == TERMINATED:
        _terminated(leg, early)
        return
    early.heard(sdp, sounds_of(response))
    _tell(leg, early, response, sdp)


def _anonymous(leg: SipLeg, response: Response) -> None:
    """A 1xx without a To tag, or of a fork beyond the bound: it rings, and is not heard before it answers.

    A peer without tags (RFC 2543) has one dialog, and may describe itself.
    """
    untagged = not response.to.tag and not leg.early.all()
    sdp = sdp_of(response) if untagged else None
    _report(leg, response.status, sdp, sounds_of(response) if untagged else None)


def _tell(leg: SipLeg, early: Early, response: Response, sdp: str | None) -> None:
    """What the caller hears of this 1xx, and of another dialog where that is the chosen one now."""
    before, tag = leg.early.described, early.tag
    chosen = leg.early.described = _choice(leg)
    if chosen == tag:
        switched = before is not None and before != tag
        # What has been agreed by UPDATE since is newer than what a 1xx repeats (RFC 6337 §3.1.1).
        described = early.description if switched else sdp if early.agreed is None else None
        _report(leg, response.status, described, early.sounds if switched else sounds_of(response), switched)
        return
    _report(leg, response.status, None, sounds_of(response) if chosen is None else None)
    if chosen != before:
        _switch(leg)


def _choice(leg: SipLeg) -> str | None:
    """The To tag of whom the caller hears from now on, see the module."""
    chosen = leg.early.described
    return chosen if chosen is not None and _settled_on(leg) else leg.early.best()


def _settled_on(leg: SipLeg) -> bool:
    """Whether the choice must stand for now."""
    return leg.asking.machine.state is not Asked.IDLE or leg.change.open or uac.offerless(leg)


def overheard(leg: SipLeg, event: Stray) -> None:
    """Sound has come from where the chosen one is not, and nothing from it: another fork's has come first."""
    chosen = leg.early.chosen
    if chosen is None or chosen.rank == AUTHORISED or _settled_on(leg):
        return
    found = leg.early.at(event.host, event.port)
    if found is not None and found is not chosen and found.rank > 0:  # a network that says it is silent is believed
        leg.early.described = found.tag
        _switch(leg)


def _switch(leg: SipLeg) -> None:
    """Another dialog is chosen than the one of which the caller was told last; or none."""
    now = leg.early.chosen
    if now is None:
        leg.report(Progress(Stage.TRYING, another=True))
    else:
        log.info("call {session}: another fork is heard", session=leg.session, ration="SIP")
        _report(leg, 183, now.description, now.sounds, True)


def _report(leg: SipLeg, status: int, sdp: str | None, sounds: bool | None, another: bool = False) -> None:
    stage = _STAGES.get(status, Stage.SESSION)
    if stage is not Stage.SESSION or sdp is not None or sounds is not None:
        leg.report(Progress(stage, uac.described(leg, sdp), sounds=sounds, another=another))


def _terminated(leg: SipLeg, early: Early) -> None:
    """199: this dialog is over, the call is not."""
    log.debug("call {session}: a fork has ended", session=leg.session)
    leg.port.drop_dialog(early.dialog.id)
    was_held = leg.early.holding
    leg.early.finish(early)
    if was_held and not leg.early.holding:
        leg.machine.cancel("hold")
    change = leg.change.request
    if change is not None and change.from_.tag == early.tag:
        leg.change.abandon()
    if leg.early.described != early.tag:
        return
    leg.asking.only(None)
    leg.early.described = None if uac.offerless(leg) else leg.early.best()
    _switch(leg)


def changing(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """UPDATE in an early dialog: no offer may come while ours is unanswered (RFC 3311 §5.2). INVITE: none may at all,
    for ours is open (RFC 3261 §14.2)."""
    tag = request.from_.tag or ""
    if request.method == "UPDATE" and sdp_of(request) is None:
        leg.changing(tx, request)
    elif request.method == "INVITE" or not leg.early.settled(tag):
        leg.too_early(tx, request)
    else:
        if tag != leg.early.described and leg.asking.machine.state is Asked.IDLE and not leg.change.open:
            leg.early.described = tag
            leg.report(Progress(Stage.TRYING, another=True))
        leg.changing(tx, request)
