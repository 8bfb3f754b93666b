"""Browsers that go away in the middle, and come back or not."""

from __future__ import annotations

from rtcgw.media.backend import News, Party
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO


class LostPageTests(FlowCase):
    """Alice's page is lost; `grace` is 30 s."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def talking(self) -> str:
        self.rig.phone(lambda call: call.answer("final"))
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(session)
        self.rig.ladder.clear()
        return session

    def test_killed(self) -> None:
        """A killed browser ends its call after the grace time, not before; meanwhile the phone is put on hold."""
        self.talking()
        self.alice.drop()
        self.rig.advance(29.9)
        self.assertFalse(self.rig.call.ended)
        self.rig.advance(0.2)
        self.reads(
            """
            core <- UPDATE caller-holds
            core -> 200 UPDATE
            core <- BYE
            core -> 200 BYE
            """
        )
        self.assertEqual(self.rig.call.last("BYE").get("reason"), "Q.850;cause=27")

    def test_reloaded(self) -> None:
        """A page that comes back in time has its call again: a new OFFER, answered by the gateway alone."""
        session = self.talking()
        self.alice.drop()
        self.rig.advance(3)
        again = self.rig.page("alice", "again")
        self.assertEqual(again.transcript[0]["calls"][0]["session"], session)
        again.send("OFFER", session=session, sdp="restart")
        self.rig.advance(60)
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            again -> OFFER restart
            again <- OK OFFER re-answer(restart)
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_phone_hangs_up_meanwhile(self) -> None:
        """The phone hangs up while the page is away: nothing waits for the page any more."""
        self.talking()
        self.alice.drop()
        self.rig.advance(5)
        self.rig.call.bye()
        self.rig.advance()
        self.assertEqual(self.rig.translator.calls, {})

    def test_answered_while_away(self) -> None:
        """The phone answers a caller whose page is reloading: it is acknowledged, and the page may take over."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.drop()
        self.rig.call.answer("final")
        self.rig.advance()
        self.assertTrue(self.rig.call.acked)
        again = self.rig.page("alice", "again")
        again.send("OFFER", session=session, sdp="restart")
        again.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- BYE", "core -> 200 BYE"])

    def test_caller_never_returns(self) -> None:
        """A caller that vanishes while it rings: the phone stops after the grace time."""
        self.rig.phone(lambda call: call.ring())
        self.alice.call(ECHO)
        self.rig.advance()
        self.alice.drop()
        self.rig.ladder.clear()
        self.rig.advance(30.1)
        self.assertEqual(self.rig.ladder[0], "core <- CANCEL")

    def test_ringing_page_lost(self) -> None:
        """A page that rings may be reloading: the phone rings on for the grace time, then hears 480."""
        phone = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        self.alice.drop()
        self.rig.advance(29.9)
        self.assertIsNone(phone.final)
        self.rig.advance(0.2)
        assert phone.final is not None
        self.assertEqual(phone.final.status, 480)

    def test_media_lost_meanwhile(self) -> None:
        """The old page's media count as lost while it is away: that is no news, its time is the grace time."""
        session = self.talking()
        self.alice.drop()
        self.rig.news(News.LOST, Party.CALLER)
        again = self.rig.page("alice", "again")
        again.send("OFFER", session=session, sdp="restart")
        self.rig.advance()
        self.assertFalse(self.rig.call.ended)
        self.rig.news(News.LOST, Party.CALLER)
        self.assertTrue(self.rig.call.ended)

    def test_other_media_lost_meanwhile(self) -> None:
        """The phone's own are another matter."""
        self.talking()
        self.alice.drop()
        self.rig.news(News.LOST, Party.CALLEE)
        self.assertTrue(self.rig.call.ended)

    def test_early_media_lost(self) -> None:
        """A called page had connected early and is lost; the page that comes in its stead rings on."""
        phone = self.rig.ring()
        self.alice.send("PRANSWER", session=self.alice.invited, sdp="early")
        self.alice.drop()
        self.rig.news(News.LOST, Party.CALLEE)
        again = self.rig.page("alice", "again")
        self.rig.advance(60)
        self.assertIsNone(phone.final)
        again.answer(again.invited, "again's")
        self.rig.advance()
        self.rig.news(News.LOST, Party.CALLEE)
        self.assertTrue(phone.ended)

    def test_logout(self) -> None:
        """Logging out is no loss: the call ends at once."""
        self.talking()
        self.alice.send("LOGOUT")
        self.rig.advance()
        self.assertTrue(self.rig.call.ended)

    def test_silent(self) -> None:
        """A page that no longer answers pings is taken as lost, and its call with it."""
        self.talking()
        self.alice.look = lambda: None  # type: ignore[method-assign]
        self.rig.advance(20 + 10 + 30 + 3)
        self.assertTrue(self.rig.call.ended)
