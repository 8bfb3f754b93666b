"""The browser's half-call under any sequence of what pages and calls may do: nobody waits in vain, nothing is left."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    Connected,
    End,
    Event,
    Hold,
    Info,
    Keyframe,
    Progress,
    ProgressAck,
    ProgressAcked,
    Ringback,
    Sound,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from tests.peers.browser import SDP, Browser, BrowserSide
from tests.rtcweb.doubles import CAROL, World
from tests.rtcweb.legcase import ANSWER, EARLY, OFFER, SETUP

ORDERS: tuple[Event, ...] = (
    Progress(Stage.TRYING, EARLY),
    Progress(Stage.RINGING),
    Progress(Stage.SESSION, EARLY, True),
    ProgressAck(),
    ProgressAcked(),
    Accept(ANSWER),
    Accept(OFFER),
    Confirm(),
    Update(OFFER),
    Update(None),
    UpdateAccept(ANSWER),
    UpdateReject(Reason.CONFLICT),
    Ringback(Sound.NETWORK),
    Candidates("candidate:1", "0"),
    Info("5"),
    Keyframe(),
    Hold(True),
    Connected(CAROL),
)
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("RINGING", {}),
    ("PRANSWER", {}),
    ("PRANSWER", {"sdp": SDP}),
    ("ANSWER", {}),
    ("ANSWER", {"sdp": SDP}),
    ("DECLINE", {}),
    ("OFFER", {"sdp": SDP}),
    ("HOLD", {"on": True}),
    ("HOLD", {"on": False}),
    ("TRANSFER", {"to": "dave"}),
    ("CANDIDATE", {"candidate": "candidate:2"}),
    ("DTMF", {"tones": "1"}),
    ("ICE", {"pair": {"rtt": 1}}),
)
STEPS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(ORDERS)),
    st.tuples(st.just("request"), st.sampled_from(REQUESTS)),
    st.tuples(st.sampled_from(["lose", "move", "wait"]), st.none()),
)
ENDS = st.sampled_from(
    ["the call ends", "the page hangs up", "the page is gone", "the page logs out", "another page hangs up"]
)


class Life:
    """One call of alice's, and the pages that she uses for it one after the other."""

    def __init__(self, calls: bool) -> None:
        self.clock, self.world = Clock(), World()
        self.side = BrowserSide(self.world, self.clock)
        self.pages: list[Browser] = []
        self.asked: list[tuple[Browser, int]] = []
        """Requests of pages that are still there."""
        self.open_page()
        if calls:
            self.session = self.page.call("bob")
        else:
            self.world.ring(self.side, "alice", SETUP)
            self.session = str(self.page.expect("OFFER")["session"])
        self.leg = self.world.legs[0]
        self.updates = 0
        """Orders to ask the page, each of which must be decided."""

    @property
    def page(self) -> Browser:
        return self.pages[-1]

    @property
    def over(self) -> bool:
        return self.leg.view().state == "Hangup"

    def open_page(self) -> None:
        self.pages.append(self.side.connect())
        self.page.login("alice", capabilities=["progress", "ringback", "dtmf"])

    def order(self, event: Event) -> None:
        self.updates += isinstance(event, Update) and not self.over
        self.leg.deliver(event)

    def request(self, what: tuple[str, dict[str, Any]]) -> None:
        self.asked.append((self.page, self.page.send(what[0], session=self.session, **what[1])))

    def lose(self, _: None) -> None:
        """The connection breaks, is noticed, and the page comes back on another."""
        self.page.drop()
        self.open_page()
        self.request(("OFFER", {"sdp": SDP}))

    def move(self, _: None) -> None:
        """The page comes back before the old connection is missed."""
        self.open_page()
        self.request(("OFFER", {"sdp": SDP}))

    def wait(self, _: None) -> None:
        for _second in range(16):
            self.clock.advance(1)
            for page in self.pages:
                page.pong()

    def end(self, how: str) -> None:
        if how == "the call ends":
            self.leg.deliver(End(Reason.HANGUP))
        elif how == "the page hangs up":
            self.request(("HANGUP", {}))
            self.leg.deliver(End(Reason.HANGUP))
        elif how == "another page hangs up":
            self.open_page()
            self.request(("HANGUP", {}))
        elif how == "the page logs out":
            for page in self.pages:
                page.send("LOGOUT")
        else:
            for page in self.pages:
                page.drop()
            self.clock.advance(self.side.desk.grace)


class AnyOrderTests(SynchronousTestCase):
    """Random lives of a leg."""

    @given(st.booleans(), st.lists(STEPS, max_size=14), ENDS)
    @settings(max_examples=60, deadline=None)
    def test_any_order(self, calls: bool, steps: list[tuple[str, Any]], how: str) -> None:
        """Every request of a page that stays is answered once, every change decided once, and nothing runs on."""
        life = Life(calls)
        for name, what in steps:
            getattr(life, name)(what)
        life.end(how)
        self.assertTrue(life.over)
        for page in life.pages:
            page.pump()
            asked = [request for owner, request in life.asked if owner is page]
            replies = [message["id"] for message in page.transcript if message.get("id") in asked]
            if not page.gone:
                self.assertEqual(sorted(replies), asked)
            self.assertEqual(len(replies), len(set(replies)))
        decisions = [event for event in life.world.reported if isinstance(event, UpdateAccept | UpdateReject)]
        decided = len(decisions) - decisions.count(UpdateReject(Reason.CANCELLED))  # these take back the page's own
        self.assertIn(life.updates - decided, (0, 1), "one may be cut off by the end")
        self.assertLessEqual(sum(isinstance(event, End) for event in life.world.reported), 1)
        away = [event.on for event in life.world.reported if isinstance(event, Away)]
        self.assertEqual(away, [number % 2 == 0 for number in range(len(away))], "gone, back, gone, ...")
        self.assertEqual(life.leg.view().timers, {})
        for session in life.side.users.sessions.values():
            self.assertEqual(session.legs, set())
