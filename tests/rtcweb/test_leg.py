"""The browser's half-call: Fig. 7 in both roles, and every request answered once."""

from __future__ import annotations

from rtcgw.model.events import (
    Accept,
    Confirm,
    End,
    Progress,
    ProgressAck,
    ProgressAcked,
    Setup,
    Stage,
)
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.legstates import LegEvent, LegState
from rtcgw.rtcweb.legtable import LEG_TABLE
from rtcgw.rtcweb.useragent import OWED_LIMIT
from tests.peers.browser import SDP
from tests.rtcweb.doubles import ALICE, CAROL, checked
from tests.rtcweb.legcase import ANSWER, EARLY, OFFER, SETUP, LegCase


class CallerTests(LegCase):
    """The page calls."""

    def test_states(self) -> None:
        """Fig. 7: Calling, InCall, Hangup."""
        session = self.calling()
        self.assertEqual(self.state(), "Calling")
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.state(), "InCall")
        self.page.expect("OK", for_="OFFER", sdp=SDP, sdpType="answer")
        self.page.hang_up(session)
        self.assertEqual(self.state(), "Hangup")
        self.assertEqual(self.world.taken(), [End(Reason.HANGUP)])
        self.assertEqual(self.side.users.sessions["alice"].legs, set())

    def test_setup(self) -> None:
        """The caller is whom the login proved, never what the page says."""
        self.calling()
        setup = self.world.placed[0]
        self.assertEqual((setup.caller.uri, setup.caller.display), ("sip:alice@ims.test", "Alice"))
        self.assertEqual((setup.callee.uri, setup.description), ("bob", OFFER))

    def test_progress_without_capability(self) -> None:
        """A page that does not know PROGRESS gets early sound with RINGING."""
        page = self.side.browser("carol", capabilities=[])
        session = page.call("bob")
        self.world.deliver(Progress(Stage.SESSION, EARLY))
        page.expect("RINGING", session=session, sdp=SDP, sdpType="pranswer")
        self.world.deliver(Progress(Stage.SESSION))
        self.world.deliver(Progress(Stage.TRYING))
        page.nothing()
        self.world.deliver(Progress(Stage.RINGING))
        page.expect("RINGING", session=session, sdp=None)
        checked(page)

    def test_acknowledgements(self) -> None:
        """Each PRANSWER is answered once, in order, however late the network is."""
        session = self.calling()
        first, second = self.page.pranswer(session), self.page.pranswer(session)
        self.assertEqual(self.world.taken(), [ProgressAck(), ProgressAck()])
        self.page.nothing()
        self.world.deliver(ProgressAcked())
        self.page.expect("OK", for_="PRANSWER", id=first)
        self.world.deliver(Accept(ANSWER))
        self.page.expect("OK", for_="PRANSWER", id=second)
        self.page.expect("OK", for_="OFFER")
        self.world.deliver(ProgressAcked())
        self.page.expect("OK", for_="PRANSWER", id=self.page.pranswer(session))
        self.page.nothing()

    def test_too_many_acknowledgements(self) -> None:
        """What waits for the network is bounded; at the call's end each is answered."""
        session = self.calling()
        sent = [self.page.pranswer(session) for _ in range(OWED_LIMIT)]
        self.page.expect("ERROR", id=self.page.pranswer(session), code="limit")
        self.world.deliver(End(Reason.BUSY, "Busy", 486))
        for request in sent:
            self.page.expect("ERROR", id=request, code="ended")
        self.page.expect("HANGUP", reason="busy", text="Busy", status=486)
        self.page.nothing()

    def test_cancel(self) -> None:
        """Giving up before the answer is a cancellation."""
        self.page.hang_up(self.calling())
        self.assertEqual(self.world.taken(), [End(Reason.CANCELLED)])

    def test_offerless(self) -> None:
        """A call without a description: the network offers, the page's PRANSWER or ANSWER must answer."""
        session = self.calling(None)
        self.assertIsNone(self.world.placed[0].description)
        self.world.deliver(Progress(Stage.SESSION, OFFER, True))
        self.page.expect("PROGRESS", sdpType="offer")
        self.refused("sdp-required", "PRANSWER", session=session)
        self.page.pranswer(session, SDP)
        self.assertEqual(self.world.taken(), [ProgressAck(ANSWER)])

    def test_offerless_answer(self) -> None:
        """The same, with the offer in the answer to the call; nobody confirms in the page's stead."""
        session = self.calling(None)
        self.world.deliver(Accept(OFFER))
        self.page.expect("OK", for_="OFFER", sdpType="offer")
        self.refused("sdp-required", "ANSWER", session=session)
        self.clock.advance(10)
        self.assertEqual(self.world.taken(), [])
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session, SDP))
        self.assertEqual(self.world.taken(), [Confirm(ANSWER)])

    def test_silent_caller(self) -> None:
        """A page that never sends its final ANSWER does not keep the other side waiting; a late one is accepted."""
        session = self.calling()
        self.world.deliver(Accept(ANSWER))
        self.page.expect("OK", for_="OFFER")
        self.clock.advance(self.side.desk.confirm_wait)
        self.assertEqual(self.world.taken(), [Confirm()])
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session))
        self.assertEqual(self.world.taken(), [])

    def test_description_ignored(self) -> None:
        """A caller's ANSWER carries no description; one that does changes nothing."""
        session = self.calling()
        self.world.deliver(Accept(ANSWER))
        self.page.expect("OK", for_="OFFER")
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [Confirm()])


class CalleeTests(LegCase):
    """The page is called."""

    def test_states(self) -> None:
        """Calling until the ANSWER is confirmed, then InCall."""
        session = self.ringing()
        self.assertEqual(self.state(), "Calling")
        sent = self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [Accept(ANSWER)])
        self.assertEqual(self.state(), "Calling")
        self.page.nothing()
        self.world.deliver(Confirm())
        self.page.expect("OK", for_="ANSWER", id=sent)
        self.assertEqual(self.state(), "InCall")

    def test_offer(self) -> None:
        """The page hears who calls, as the network asserts it, and whom they asked for."""
        self.world.ring(self.side, "alice", SETUP)
        self.page.expect("OFFER", from_={"uri": "tel:+15550100", "name": "Carol"}, to="sip:alice@ims.test", sdp=SDP)

    def test_reasons(self) -> None:
        """A refusal carries the page's word where it is one that refuses; anything else is a plain decline."""
        for word, reason in (
            ("busy", Reason.BUSY),
            ("unwanted", Reason.UNWANTED),
            ("unavailable", Reason.OFFLINE),
            ("overloaded", Reason.DECLINED),
            ("nonsense", Reason.DECLINED),
        ):
            self.page.hang_up(self.ringing(), reason=word)
            self.assertEqual(self.world.taken(), [End(reason)])
        self.page.hang_up(self.in_call(), reason="media-failed")
        self.assertEqual(self.world.taken(), [End(Reason.MEDIA_FAILED)])
        self.page.hang_up(self.in_call(), reason="busy")
        self.assertEqual(self.world.taken(), [End(Reason.HANGUP)])

    def test_early_answer(self) -> None:
        """After PRANSWER the ANSWER may repeat it without a description; before, it may not."""
        session = self.ringing()
        self.refused("sdp-required", "ANSWER", session=session)
        self.refused("sdp-required", "PRANSWER", session=session)
        self.page.expect("OK", for_="PRANSWER", id=self.page.pranswer(session, SDP))
        self.world.deliver(ProgressAck())
        self.page.answer(session)
        self.assertEqual(self.world.taken(), [Progress(Stage.SESSION, EARLY), ProgressAcked(), Accept(None)])

    def test_ringing_again(self) -> None:
        """RINGING twice is answered twice and told once."""
        session = self.ringing()
        self.page.expect("OK", for_="RINGING", id=self.page.send("RINGING", session=session))
        self.assertEqual(self.world.taken(), [])

    def test_lost_race(self) -> None:
        """Answered here and elsewhere at once: the ANSWER is refused, and HANGUP says why."""
        session = self.ringing()
        sent = self.page.answer(session, SDP)
        self.world.deliver(End(Reason.ANSWERED_ELSEWHERE))
        self.page.expect("ERROR", id=sent, code="ended")
        self.page.expect("HANGUP", reason="answered-elsewhere")

    def test_no_offer(self) -> None:
        """Nothing to offer the page: the call fails with a reason, the page hears nothing."""
        self.world.ring(self.side, "alice", Setup(CAROL, ALICE))
        self.page.nothing()
        self.assertEqual(self.world.taken(), [End(Reason.MEDIA)])

    def test_gone_before_offered(self) -> None:
        """The caller gave up while the media was still being prepared: the page never hears of the call."""
        (leg,) = self.side.users.ring("alice", SessionId("S"))
        leg.deliver(End(Reason.CANCELLED))
        self.page.nothing()
        self.assertEqual(self.side.users.sessions["alice"].legs, set())


class IllegalTests(LegCase):
    """What makes no sense now is refused by name and changes nothing."""

    def test_caller(self) -> None:
        """A caller neither rings nor answers its own call, nor changes one that is not answered."""
        session = self.calling()
        self.refused("illegal-state", "RINGING", session=session)
        self.refused("illegal-state", "ANSWER", session=session)
        self.refused("illegal-state", "OFFER", session=session, sdp=SDP)

    def test_callee(self) -> None:
        """A callee that has answered does not answer again."""
        session = self.ringing()
        sent = self.page.answer(session, SDP)
        self.world.taken()
        for kind in ("ANSWER", "PRANSWER", "RINGING", "OFFER"):
            fields = {} if kind == "RINGING" else {"sdp": SDP}
            self.refused("illegal-state", kind, session=session, **fields)
        self.world.deliver(Confirm())
        self.page.expect("OK", for_="ANSWER", id=sent)
        for kind in ("ANSWER", "PRANSWER", "RINGING"):
            self.refused("illegal-state", kind, session=session)

    def test_over(self) -> None:
        """A call that is over is unknown."""
        session = self.in_call()
        self.world.deliver(End(Reason.HANGUP))
        self.page.expect("HANGUP", session=session)
        for kind, fields in (
            ("HANGUP", {}),
            ("ANSWER", {}),
            ("OFFER", {"sdp": SDP}),
            ("CANDIDATE", {"candidate": None}),
            ("ICE", {"pair": {}}),
        ):
            self.refused("no-session", kind, session=session, **fields)

    def test_every_pair(self) -> None:
        """Every request has an answer in every state in which a page can ask; Fig. 7 names every state."""
        requests = {event for event in LegEvent if event.name.startswith("PAGE_")} - {
            LegEvent.PAGE_LOST,
            LegEvent.PAGE_RETURNS,
        }
        for state in LegState:
            self.assertIn(state.figure, ("Idle", "Calling", "InCall", "Reloading", "Hangup"))
            if not state.away and state is not LegState.HANGUP:
                self.assertLessEqual(requests, set(LEG_TABLE.rows[state]), state)
