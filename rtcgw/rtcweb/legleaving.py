"""The page goes, and the browser's half of a call waits for it or ends.

Each function is an action of `legtable.LEG_TABLE`, called with the leg after the machine has moved.
"""

from __future__ import annotations

from twisted.logger import Logger

from rtcgw.model.events import Away, End
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legstates import FAULTS, REFUSALS, reason_given
from rtcgw.rtcweb.useragent import BrowserLeg

log = Logger()


def cancel(leg: BrowserLeg, message: native.Hangup | None = None) -> None:
    """The caller gives up, or logs out."""
    _leave(leg, message, End(Reason.CANCELLED))


def refuse(leg: BrowserLeg, message: native.Hangup) -> None:
    """The called user does not want it."""
    _leave(leg, message, End(reason_given(message, REFUSALS, Reason.DECLINED)))


def hang_up(leg: BrowserLeg, message: native.Hangup | None = None) -> None:
    """The page ends the call, or logs out."""
    _leave(leg, message, End(reason_given(message, FAULTS, Reason.HANGUP)))


def log_out(leg: BrowserLeg) -> None:
    """The user is gone on purpose while it rings: nobody is waited for on this page."""
    leg.over()
    leg.report(End(Reason.OFFLINE))


def cancel_elsewhere(leg: BrowserLeg, message: native.Hangup) -> None:
    """The user gives up on another page."""
    _leave_elsewhere(leg, End(Reason.CANCELLED))


def refuse_elsewhere(leg: BrowserLeg, message: native.Hangup) -> None:
    """The user refuses on another page, which does not ring itself."""
    _leave_elsewhere(leg, End(reason_given(message, REFUSALS, Reason.DECLINED)))


def hang_up_elsewhere(leg: BrowserLeg, message: native.Hangup) -> None:
    """The user ends it on another page."""
    _leave_elsewhere(leg, End(Reason.HANGUP))


def _leave_elsewhere(leg: BrowserLeg, end: End) -> None:
    """The page that has the call, if there is one, hears that it is over."""
    leg.settle_all()
    leg.send(native.Ended(session=leg.session, reason=end.reason.word, text="Ended on another page."))
    leg.over()
    leg.report(end)


def _leave(leg: BrowserLeg, message: native.Hangup | None, end: End) -> None:
    """The page ends its part: what it still waited for is settled first."""
    leg.settle_all()
    if message is not None:
        leg.send(native.Ok(for_="HANGUP", id=message.id, session=leg.session))
    leg.over()
    leg.report(end)


def go_away(leg: BrowserLeg) -> None:
    """The page is lost; the grace time runs. What it had not yet described is of no use to another page."""
    let_go(leg)
    log.info("call {session}: {page} lost its page", session=leg.session, page=leg.peer)
    leg.home.changed()
    leg.report(Away(True))


def let_go(leg: BrowserLeg, code: str = "") -> None:
    """The leg parts from its page, which is told by ERROR with `code` where it can still be told."""
    if code:
        leg.send(leg.error(None, code, native.CODES[code]))
    leg.settle_all()
    leg.held.clear()
    leg.waiting = None
    page, leg.page = leg.page, None
    if page is not None:
        page.drop(leg)


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
            session=leg.session,
            reason=event.reason.word,
            text=event.text or event.reason.text,
            status=event.status,
            said=event.text,
        )
    )
    leg.over()
