"""Calls between two pages: the core never hears of them, and the descriptions pass as they are."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import Page, lines
from tests.peers.browser import ANSWER_SDP, SDP


class PageToPageTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.rig.page("alice"), self.rig.page("bob")

    def said(self, name: str) -> list[str]:
        """The ladder of one end."""
        return [line for line in self.rig.ladder if line.startswith(name)]

    def trickle(self, page: Page, session: str, candidate: str | None) -> None:
        page.send("CANDIDATE", id=None, session=session, candidate=candidate, mid="0", mLineIndex=0)

    def whole_call(self) -> None:
        """Alice calls bob by his number; both trickle, bob answers and hangs up."""
        session = self.alice.call("tel:+1-555-0011", SDP)
        self.trickle(self.alice, session, "candidate:1")
        self.bob.send("RINGING", session=session)
        self.trickle(self.bob, session, "candidate:2")
        self.bob.answer(session, ANSWER_SDP)
        self.alice.answer(session)
        self.trickle(self.alice, session, None)
        self.bob.send("HANGUP", session=session)
        self.rig.advance()

    def test_ladders(self) -> None:
        """Offer, ringing, answer and candidates pass from page to page; nothing goes to the core."""
        self.whole_call()
        at_caller = """
            alice -> OFFER sdp
            alice <- WAITING
            alice -> CANDIDATE
            alice <- RINGING
            alice <- OK OFFER sdp
            alice <- CANDIDATE
            alice -> ANSWER
            alice <- OK ANSWER
            alice -> CANDIDATE
            alice <- HANGUP hangup
        """
        at_callee = """
            bob <- OFFER sdp
            bob <- CANDIDATE
            bob -> RINGING
            bob <- OK RINGING
            bob -> CANDIDATE
            bob -> ANSWER sdp
            bob <- OK ANSWER
            bob <- CANDIDATE
            bob -> HANGUP
            bob <- OK HANGUP
        """
        self.assertEqual((self.said("alice"), self.said("bob")), (lines(at_caller), lines(at_callee)))
        self.assertEqual(self.said("core"), [])

    def test_descriptions_and_candidates_as_they_are(self) -> None:
        """The two browsers talk to each other, so nothing of theirs is changed; the end of candidates passes too."""
        self.whole_call()
        self.assertEqual(self.bob.last("OFFER")["sdp"], SDP)
        answers = [message["sdp"] for message in self.alice.transcript if message.get("for") == "OFFER"]
        self.assertEqual(answers, [ANSWER_SDP])
        candidates = [message.get("candidate") for message in self.bob.transcript if message["type"] == "CANDIDATE"]
        self.assertEqual(candidates, ["candidate:1", None])

    def test_set_up_when_answered(self) -> None:
        """A page that another page calls sets its media up when it answers: they come directly, and begin once."""
        session = self.alice.call("bob", SDP)
        self.assertIs(self.bob.last("OFFER")["warm"], False)
        self.alice.send("HANGUP", session=session)

    def test_path(self) -> None:
        """Fig. 6: the destination is a web client that reads this dialect."""
        session = self.alice.call("bob", SDP)
        call = next(iter(self.rig.translator.calls.values()))
        self.assertEqual(call.path, "602-604-606-616-620")
        self.alice.send("HANGUP", session=session)
        self.assertEqual(self.bob.last("HANGUP")["reason"], "cancelled")

    def test_busy(self) -> None:
        """A page refuses a page."""
        self.alice.call("bob", SDP)
        self.bob.send("HANGUP", session=self.bob.invited, reason="busy")
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "busy")

    def test_early_answer(self) -> None:
        """PRANSWER of the callee is PROGRESS for the caller, whose PRANSWER gets its OK."""
        session = self.alice.call("bob", SDP)
        self.bob.pranswer(session, ANSWER_SDP)
        self.rig.advance()
        self.alice.pranswer(session)
        self.rig.advance()
        self.assertEqual(
            self.rig.ladder[-4:],
            ["bob <- OK PRANSWER", "alice <- PROGRESS sdp", "alice -> PRANSWER", "alice <- OK PRANSWER"],
        )
        self.alice.send("HANGUP", session=session)

    def test_offline(self) -> None:
        """Nobody is there."""
        self.alice.call("carol", SDP)
        self.assertEqual(self.alice.last("HANGUP")["reason"], "unavailable")
