"""The page goes, and the browser's half of a call waits for it or ends.

Each function is an action of `legtable.LEG_TABLE`, called with the leg after the machine has moved.
"""

from __future__ import annotations

from twisted.logger import Logger

from rtcgw.model.events import End
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legstates import FAULTS, REFUSALS, reason_given
from rtcgw.rtcweb.useragent import BrowserLeg

log = Logger()


def cancel(leg: BrowserLeg, message: native.Hangup | None) -> None:
    """The caller gives up."""
    _leave(leg, message, End(Reason.CANCELLED))


def refuse(leg: BrowserLeg, message: native.Hangup) -> None:
    """The called user does not want it."""
    _leave(leg, message, End(reason_given(message, REFUSALS, Reason.DECLINED)))


def hang_up(leg: BrowserLeg, message: native.Hangup | None) -> None:
    """The page ends the call."""
    _leave(leg, message, End(reason_given(message, FAULTS, Reason.HANGUP)))


def _leave(leg: BrowserLeg, message: native.Hangup | None, end: End) -> None:
    """The page ends its part: what it still waited for is settled first."""
    leg.settle_all()
    if message is not None:
        leg.send(native.Ok(for_="HANGUP", id=message.id, session=leg.session))
    leg.over()
    leg.report(end)


def go_away(leg: BrowserLeg) -> None:
    """The page is lost; the grace time runs. What it had not yet described is of no use to another page."""
    leg.settle_all()
    leg.held.clear()
    leg.waiting = None
    page, leg.page = leg.page, None
    if page is not None:
        page.drop(leg)
    log.info("call {session}: {page} lost its page", session=leg.session, page=leg.peer)


def give_up(leg: BrowserLeg) -> None:
    """The page does not come back."""
    leg.over()
    leg.report(End(Reason.CLIENT_LOST))


def vanish(leg: BrowserLeg, event: End) -> None:
    """The call ended before the page had heard of it, or while it is away."""
    leg.over()


def ended(leg: BrowserLeg, event: End) -> None:
    """The call is over."""
    leg.settle_all()
    leg.send(
        native.Ended(
            session=leg.session, reason=event.reason.word, text=event.text or event.reason.text, status=event.status
        )
    )
    leg.over()
