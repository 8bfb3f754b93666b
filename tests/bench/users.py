"""Pages that only are there: what they weigh, how fast they come, and what calls feel of a crowd at the door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from tests.bench.calls import Run
from tests.bench.gateway import Rig, token
from tests.bench.loop import now
from tests.bench.page import News, Page

AT_ONCE = 20
"""Log-ins under way at once when their rate is measured; each is a handshake and a LOGIN."""
_WAIT = 60.0


@frozen
class Crowd:
    """What many idle users cost."""

    users: int
    memory: float
    """KiB per user."""
    rate: float
    """Log-ins per second."""
    cpu: float
    """Milliseconds of CPU per log-in."""


def crowd(rig: Rig, users: int) -> Crowd:
    """Log in this many users, and see what the process has grown by."""
    with _leaving() as pages:
        tokens = [token(f"crowd{number}") for number in range(users)]
        before, cpu, began = rig.process.memory(), rig.process.cpu(), now()
        for number, each in enumerate(tokens):
            pages.append(_page(rig, each))
            rig.loop.until(lambda: sum(not page.user for page in pages[-AT_ONCE:]) < AT_ONCE, _WAIT)
            if number % AT_ONCE == 0:
                rig.loop.turn(0)
        if not rig.loop.until(lambda: all(page.user for page in pages[-AT_ONCE:]), _WAIT):
            raise RuntimeError("users cannot log in")
        seconds, spent = now() - began, rig.process.cpu() - cpu
        rig.loop.rest(0.5)
        return Crowd(users, (rig.process.memory() - before) / users, users / seconds, 1000 * spent / users)


def storm(rig: Rig, users: int, rate: float = 50, seconds: float = 3) -> Run:
    """Calls at a modest rate; one second into them, this many users log in at once."""
    with _leaving() as pages:
        tokens = [token(f"storm{number}") for number in range(users)]
        rig.loop.after(1.0, lambda: pages.extend(_page(rig, each) for each in tokens))
        run = rig.calls.drive(rate, seconds, rig.process.cpu)
        if not rig.loop.until(lambda: len(pages) == users and all(page.user for page in pages), _WAIT):
            raise RuntimeError("a storm of users cannot log in")
        return run


def _page(rig: Rig, text: str) -> Page:
    page = Page(rig.loop, rig.web, _nothing)
    page.login(text)
    return page


def _nothing(page: Page, news: News) -> None:
    """Nobody calls them."""


@contextmanager
def _leaving() -> Iterator[list[Page]]:
    pages: list[Page] = []
    try:
        yield pages
    finally:
        for page in pages:
            page.close()
