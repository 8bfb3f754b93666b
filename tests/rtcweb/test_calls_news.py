"""The list of a user's calls: on every page, whole, and told anew whenever it changes."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Confirm, Connected, End, Hold, UpdateAccept
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from tests.peers.browser import SDP, Browser, BrowserSide
from tests.rtcweb.doubles import World, checked
from tests.rtcweb.legcase import ANSWER, SETUP


class CallsCase(SynchronousTestCase):
    """Alice on three pages, of which one does not know the word."""

    def setUp(self) -> None:
        self.clock, self.world = Clock(), World()
        self.side = BrowserSide(self.world, self.clock)
        self.desk, self.lap = (self.side.browser("alice", capabilities=["calls"]) for _ in range(2))
        self.old = self.side.browser("alice")

    def tearDown(self) -> None:
        for page in (self.desk, self.lap, self.old):
            checked(page)

    def news(self, page: Browser) -> list[list[dict[str, Any]]]:
        """The lists that the page has been told since the last look."""
        self.clock.advance(0)
        page.pump()
        found = [message["calls"] for message in page.received if message["type"] == "CALLS"]
        page.received.clear()
        return found

    def told(self, page: Browser) -> dict[str, Any]:
        """The only call in the only list that the page was told."""
        ((call,),) = self.news(page)
        return call

    def in_call(self) -> str:
        session = self.desk.call("bob")
        self.world.deliver(Accept(ANSWER))
        self.desk.answer(session)
        for page in (self.desk, self.lap, self.old):
            self.news(page)
        return session


class CallsTests(CallsCase):
    def test_life(self) -> None:
        """A call begins, is answered and ends: the other page follows it, and sees who is at the other end."""
        session = self.desk.call("bob")
        call = {"session": session, "role": "caller", "state": "Calling", "remote": {"uri": "bob"}}
        self.assertEqual(self.told(self.lap), call)
        self.assertEqual(self.told(self.desk), call | {"here": True})
        self.world.deliver(Accept(ANSWER))
        answered = self.told(self.lap)
        self.assertEqual(answered, call | {"state": "InCall", "answered": 0})
        self.clock.advance(5)
        self.desk.drop()
        away = self.told(self.lap)
        self.assertEqual(away, call | {"state": "Reloading", "answered": 5, "away": True})
        self.world.deliver(End(Reason.HANGUP))
        self.assertEqual(self.news(self.lap), [[]])
        self.assertEqual(self.news(self.old), [])

    def test_coalesced(self) -> None:
        """However much happens in one turn, a page is told once, how it stands at the end."""
        session = self.desk.call("bob")
        self.world.deliver(Accept(ANSWER))
        self.world.deliver(Hold(True), Hold(False), Hold(True))
        self.assertEqual(self.told(self.lap)["held"], True)
        self.desk.send("HANGUP", session=session)
        self.assertEqual(self.news(self.lap), [[]])

    def test_nobody_knows_the_word(self) -> None:
        """Where no page knows the word nothing is made ready for it."""
        carol = self.side.browser("carol")
        running = len(self.clock.getDelayedCalls())
        carol.call("bob")
        self.assertEqual(len(self.clock.getDelayedCalls()), running)

    def test_rings_on_three(self) -> None:
        """A call that rings on three pages is one call, shown as there on each of them."""
        self.world.ring(self.side, "alice", SETUP)
        for page in (self.desk, self.lap):
            call = self.told(page)
            self.assertEqual((call["role"], call["state"], call["here"]), ("callee", "Calling", True))
            self.assertEqual(call["remote"], {"uri": "tel:+15550100", "name": "Carol"})

    def test_callee_answers(self) -> None:
        """Its time runs from the ANSWER of the page."""
        session = self.world.ring(self.side, "alice", SETUP)[0].session
        self.desk.answer(session, SDP)
        self.clock.advance(2)
        self.world.legs[0].deliver(Confirm())
        self.world.legs[1].deliver(End(Reason.ANSWERED_ELSEWHERE))
        self.world.legs[2].deliver(End(Reason.ANSWERED_ELSEWHERE))
        call = self.news(self.lap)[-1][0]
        self.assertEqual((call["state"], call["answered"], call.get("here")), ("InCall", 2, None))

    def test_moved(self) -> None:
        """A call taken over by another page is there from now on."""
        session = self.in_call()
        self.lap.send("OFFER", session=session, sdp=SDP)
        self.assertEqual((self.told(self.desk).get("here"), self.told(self.lap)["here"]), (None, True))

    def test_hold(self) -> None:
        """Who holds whom."""
        session = self.in_call()
        self.desk.send("HOLD", session=session, on=True)
        self.world.deliver(UpdateAccept(None), Hold(True))
        call = self.told(self.lap)
        self.assertEqual((call["holding"], call["held"]), (True, True))
        self.desk.send("HOLD", session=session, on=False)
        self.world.deliver(UpdateAccept(None), Hold(False))
        call = self.told(self.lap)
        self.assertEqual((call.get("holding"), call.get("held")), (None, None))

    def test_somebody_else(self) -> None:
        """The network names the other side, or a transfer has changed it."""
        self.in_call()
        self.world.deliver(Connected(Identity("tel:+15550199", "Dave")))
        self.assertEqual(self.told(self.lap)["remote"], {"uri": "tel:+15550199", "name": "Dave"})

    def test_several(self) -> None:
        """The welcome of a page has all calls of the user, whoever has them, but none that is over."""
        first, second = self.desk.call("bob"), self.lap.call("dave")
        third = self.lap.call("echo")
        self.lap.send("HANGUP", session=third)
        welcome = self.side.browser("alice").transcript[0]
        self.assertEqual({call["session"] for call in welcome["calls"]}, {first, second})

    def test_everybody_gone(self) -> None:
        """The last page goes in the same turn: nobody is told anything, and nothing runs on."""
        self.desk.call("bob")
        for page in (self.desk, self.lap, self.old):
            page.drop()
        self.world.deliver(End(Reason.DECLINED))
        self.assertEqual(self.side.users.sessions, {})
        self.assertEqual(len(self.clock.getDelayedCalls()), 1, "the sweep")
