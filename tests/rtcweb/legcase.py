"""What the tests of the browser's half-call start from: a page, and the call's other side as a recorder."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Description,
    Kind,
    Setup,
)
from tests.peers.browser import SDP, BrowserSide
from tests.rtcweb.doubles import ALICE, CAROL, World, checked

OFFER = Description(Kind.OFFER, SDP)
EARLY = Description(Kind.PRANSWER, SDP)
ANSWER = Description(Kind.ANSWER, SDP)
SETUP = Setup(CAROL, ALICE, OFFER)


class LegCase(SynchronousTestCase):
    """Alice's page, and the call's other side as a recorder."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.world = World()
        self.side = BrowserSide(self.world, self.clock)
        self.page = self.side.browser("alice")

    def tearDown(self) -> None:
        checked(self.page)

    def state(self) -> str:
        """The state of Fig. 7 of the newest leg."""
        return self.world.legs[-1].view().state

    def calling(self, sdp: str | None = SDP) -> str:
        session = self.page.call("bob", sdp)
        self.world.taken()
        return session

    def in_call(self) -> str:
        session = self.calling()
        self.world.deliver(Accept(ANSWER))
        self.page.expect("OK", for_="OFFER", session=session)
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session))
        self.world.taken()
        return session

    def ringing(self) -> str:
        self.world.ring(self.side, "alice", SETUP)
        session = self.page.rung()
        self.world.taken()
        return session

    def refused(self, code: str, kind: str, **fields: Any) -> None:
        """The page sends what is refused, and nothing else happens."""
        before = self.state()
        sent = self.page.send(kind, **fields)
        self.page.expect("ERROR", id=sent, code=code)
        self.page.nothing()
        self.assertEqual((self.state(), self.world.taken()), (before, []))
