"""Whole calls at a steady rate, from OFFER to the answered BYE, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

from attrs import define, field

from tests.bench.core import Core
from tests.bench.descriptions import BROWSER_OFFER
from tests.bench.loop import Loop, now
from tests.bench.page import News, Page

HOLD = 0.02
"""Seconds from the page's ANSWER to its HANGUP."""
PATIENCE = 5.0
"""Seconds after which a call that is not over counts as failed."""
QUEUE = 0.3
"""Seconds that the last calls may take when the rate can be called sustained; they last 0.04."""
_STEP = 4
"""Request ids per call: OFFER, ANSWER, HANGUP, and one to spare."""


@define(eq=False)
class Run:
    """One stretch of load. Delays are in seconds."""

    rate: float
    seconds: float
    started: int = 0
    done: int = 0
    cpu: float = 0.0
    """Seconds of the gateway's own run time."""
    to_invite: list[float] = field(factory=list)
    """From OFFER sent to INVITE received."""
    to_ringing: list[float] = field(factory=list)
    """From 180 sent to RINGING received."""
    faults: Counter[str] = field(factory=Counter)
    late: float = 0.0
    """The generator's own longest turn."""

    behind: float = 0.0
    """Seconds from the time at which the last call was due to the end of all."""

    @property
    def kept_up(self) -> bool:
        """No call failed, and no queue of them was left at the end."""
        return not self.failed and self.behind < QUEUE

    @property
    def failed(self) -> int:
        """Calls that did not go as they should."""
        return self.started - self.done

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU per call."""
        return 1000 * self.cpu / max(1, self.started)


@define(eq=False)
class _Call:
    number: int
    page: Page
    offered: float
    session: str = ""
    rang: float = 0.0
    """When 180 went out."""
    invited: bool = False
    gone: int = 0
    """Of two: the OK for HANGUP and the BYE."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 where there is none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


class Calls:
    """Places calls on `pages` in turn."""

    def __init__(self, loop: Loop, core: Core, offer: str = BROWSER_OFFER) -> None:
        self.pages: list[Page] = []
        self.offer = offer
        self._loop = loop
        self._numbers = count(1)
        self._calls: dict[int, _Call] = {}
        self._sessions: dict[str, _Call] = {}
        self._run = Run(0, 0)
        core.on_invite, core.on_ringing, core.on_bye = self._invited, self._rang, self._bye

    def drive(self, rate: float, seconds: float, cpu: Callable[[], float]) -> Run:
        """Place calls for a while, wait for the last, and say what it took. `cpu()`: the gateway's run time so far."""
        run = self._run = Run(rate, seconds)
        total = int(rate * seconds)
        self._loop.late, before = 0.0, cpu()
        began = now()
        while run.started < total:
            due = min(total, 1 + int((now() - began) * rate))
            while run.started < due:
                self._place(run)
            self._loop.turn(max(0.0, began + run.started / rate - now()))
        self._loop.until(lambda: not self._calls, PATIENCE)
        run.behind = now() - began - seconds
        run.cpu, run.late = cpu() - before, self._loop.late
        run.faults["not over in time"] += len(self._calls)
        self._calls.clear()
        self._sessions.clear()
        return run

    def _place(self, run: Run) -> None:
        number = next(self._numbers)
        page = self.pages[number % len(self.pages)]
        run.started += 1
        self._calls[number] = _Call(number, page, now())
        page.send(type="OFFER", id=number * _STEP, to=f"sip:c{number}@bench.test", sdp=self.offer)

    # -- what the pages hear -----------------------------------------------------------------

    def news(self, page: Page, news: News) -> None:
        """A message of the gateway."""
        kind = news.type
        if kind == "WAITING":
            call = self._calls.get((news.id or 0) // _STEP)
            if call is not None:
                call.session = news.session or ""
                self._sessions[call.session] = call
            return
        call = self._sessions.get(news.session or "")
        if kind in ("ERROR", "HANGUP"):
            self._failed(call or self._calls.get((news.id or 0) // _STEP), f"{kind} {news.code or news.reason}")
        elif call is None:
            return
        elif kind == "RINGING":
            self._run.to_ringing.append(now() - call.rang)
        elif news.for_ == "OFFER":
            page.send(type="ANSWER", id=call.number * _STEP + 1, session=call.session)
        elif news.for_ == "ANSWER":
            self._loop.after(HOLD, lambda: self._hang_up(call))
        elif news.for_ == "HANGUP":
            self._gone(call)

    def _hang_up(self, call: _Call) -> None:
        call.page.send(type="HANGUP", id=call.number * _STEP + 2, session=call.session)

    # -- what the core hears -----------------------------------------------------------------

    def _invited(self, number: int, when: float) -> None:
        call = self._calls.get(number)
        if call is not None and not call.invited:
            call.invited = True
            self._run.to_invite.append(when - call.offered)

    def _rang(self, number: int, when: float) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.rang = when

    def _bye(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            self._gone(call)

    def _gone(self, call: _Call) -> None:
        call.gone += 1
        if call.gone == 2 and self._calls.pop(call.number, None) is not None:
            self._sessions.pop(call.session, None)
            self._run.done += 1

    def _failed(self, call: _Call | None, why: str) -> None:
        self._run.faults[why] += 1
        if call is not None:
            self._calls.pop(call.number, None)
            self._sessions.pop(call.session, None)
