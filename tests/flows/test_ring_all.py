"""One user on two pages: both ring, the first to answer wins."""

from __future__ import annotations

from tests.flows.case import FlowCase


class RingAllTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.desk, self.lap = self.rig.page("alice", "desk"), self.rig.page("alice", "lap")
        self.phone = self.rig.ring()
        self.session = self.desk.invited
        self.assertEqual(self.lap.invited, self.session)

    def ring_both(self) -> None:
        self.desk.send("RINGING", session=self.session)
        self.lap.send("RINGING", session=self.session)
        self.rig.advance()
        self.reads(
            """
            core -> INVITE offer
            desk <- OFFER caller-offer(offer)
            lap <- OFFER caller-offer(offer)
            desk -> RINGING
            desk <- OK RINGING
            lap -> RINGING
            lap <- OK RINGING
            core <- 180 INVITE
            core -> PRACK
            core <- 200 PRACK
            """
        )

    def test_answered_elsewhere(self) -> None:
        """The page that did not answer stops ringing and says why; the other has the call."""
        self.ring_both()
        self.lap.answer(self.session, "lap's")
        self.rig.advance()
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            lap -> ANSWER lap's
            desk <- HANGUP answered-elsewhere
            core <- 200 INVITE callee-answer(lap's)
            core -> ACK
            lap <- OK ANSWER
            core -> BYE
            lap <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_declined(self) -> None:
        """Declining on one page is a person's decision: the other stops as well."""
        self.ring_both()
        self.desk.send("HANGUP", session=self.session, reason="declined")
        self.rig.advance()
        self.reads(
            """
            desk -> HANGUP
            desk <- OK HANGUP
            lap <- HANGUP answered-elsewhere
            core <- 603 INVITE
            core -> ACK
            """
        )

    def test_busy_on_one(self) -> None:
        """Busy on one page leaves the other ringing; busy on both is busy."""
        self.desk.send("HANGUP", session=self.session, reason="busy")
        self.rig.advance()
        self.assertIsNone(self.phone.final)
        self.lap.send("HANGUP", session=self.session, reason="no-answer")
        self.rig.advance()
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 486)

    def test_ringing_page_lost(self) -> None:
        """A page that is lost while it rings drops out; when the last one goes and none comes, the phone hears 480."""
        self.ring_both()
        self.desk.drop()
        self.rig.advance()
        self.assertIsNone(self.phone.final)
        self.lap.drop()
        self.rig.advance(30.1)
        assert self.phone.final is not None
        self.assertEqual((self.phone.final.status, self.phone.final.get("reason")), (480, "Q.850;cause=27"))

    def test_cancelled(self) -> None:
        """The phone gives up: both stop."""
        self.ring_both()
        self.phone.cancel()
        self.rig.advance()
        self.assertEqual(self.rig.ladder[1:3], ["desk <- HANGUP cancelled", "lap <- HANGUP cancelled"])

    def test_answered_twice(self) -> None:
        """Two people answer in the same moment: the second page is told that it came too late."""
        self.ring_both()
        self.desk.answer(self.session, "desk's")
        self.lap.answer(self.session, "lap's")
        self.rig.advance()
        self.reads(
            """
            desk -> ANSWER desk's
            lap <- HANGUP answered-elsewhere
            lap -> ANSWER lap's
            lap <- ERROR no-session
            core <- 200 INVITE callee-answer(desk's)
            core -> ACK
            desk <- OK ANSWER
            """
        )
        self.phone.bye()
