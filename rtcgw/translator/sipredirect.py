"""A call that is answered with another address is placed there (RFC 3261 §8.1.3.4): the action of a 3xx.

The call stays the same one: From, To and Call-ID are kept, the CSeq is the next one (§8.1.3.4), and the caller's
offer is made once more. The caller hears that the call is being sent on. Which targets there are, and which are not
followed, is `sipmoves.py`'s; the peer profile's `history` adds History-Info (RFC 7044).
"""

from __future__ import annotations

from attrs import evolve
from twisted.logger import Logger

from rtcgw.model.events import Progress, Stage
from rtcgw.model.identity import Identity
from rtcgw.sip.message import Response
from rtcgw.sip.transaction import Failure
from rtcgw.translator import sipuac as uac
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipmoves import FOLLOWED, Redirects, Target
from rtcgw.translator.sipstate import Input

log = Logger()


def follow(leg: SipLeg, outcome: Response | Failure) -> None:
    """The present target names others, or has failed while there are others: the next one, or it is a refusal."""
    assert leg.invite is not None
    moves = leg.redirects
    if moves is None:
        moves = leg.redirects = Redirects(leg.invite.uri, leg.policy)
    status = outcome.status if isinstance(outcome, Response) else 408
    moves.refused(status)
    if isinstance(outcome, Response) and status in FOLLOWED:
        moves.learn(outcome)
    target = moves.next()
    if target is None:
        leg.machine.handle(Input.REFUSED if isinstance(outcome, Response) else Input.SILENCE, outcome)
        return
    log.info(
        "call {session}: {status}, sent on to {target}",
        session=leg.session,
        status=status,
        target=target.uri.text[:256],
    )
    uac.forget_early(leg)
    leg.report(Progress(Stage.FORWARDED, another=True))
    _place(leg, moves, target)


def _place(leg: SipLeg, moves: Redirects, target: Target) -> None:
    assert leg.setup is not None
    invite = uac.invite_once_more(leg, evolve(leg.setup, callee=Identity(target.uri.text)))
    if invite is None:
        return
    if leg.peer.history:
        invite.set("history-info", *moves.history())
    uac.send(leg, invite)
