"""A page calls a phone behind the core."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.core_call import CoreCall

PLACED = """
    alice -> OFFER offer
    alice <- WAITING
    core <- INVITE caller-offer(offer)
    core -> 100 INVITE
"""
ANSWERED = """
    core -> 200 INVITE final
    alice <- OK OFFER callee-answer(final)
    core <- ACK
    alice -> ANSWER
    alice <- OK ANSWER
"""


class OutgoingCase(FlowCase):
    """Alice calls ECHO, whose phone does what the test says."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def place(self) -> str:
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.reads(PLACED)
        return session

    def answered(self, session: str) -> None:
        self.rig.call.answer("final")
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        self.reads(ANSWERED)

    def page_hangs_up(self, session: str) -> None:
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            """
        )

    def phone_hangs_up(self) -> None:
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )


class LadderTests(OutgoingCase):
    """Fig. 8 with `ladder = "auto"`."""

    def test_figure_8(self) -> None:
        """Early media, ringing, answer: the page sees Fig. 8's messages in Fig. 8's order."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.alice.pranswer(session)
        self.rig.call.ring()
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            alice -> PRANSWER
            alice <- OK PRANSWER
            core -> 180 INVITE
            alice <- RINGING
            """
        )
        self.answered(session)
        self.page_hangs_up(session)

    def test_pranswer_overtakes_the_200(self) -> None:
        """A quick page waits for the 200 to the PRACK before it hears OK, as the figure draws it."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance(0.0015)
        self.alice.pranswer(session)
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            alice -> PRANSWER
            core <- PRACK
            core -> 200 PRACK
            alice <- OK PRANSWER
            """
        )
        self.answered(session)
        self.phone_hangs_up()

    def test_both_reliable(self) -> None:
        """183 and 180 both reliable: one PRACK each, in order."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.rig.call.ring(reliable=True)
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            core -> 180 INVITE
            alice <- RINGING
            core <- PRACK
            core -> 200 PRACK
            """
        )
        pracks = [request.get("rack") for request in self.rig.call.requests]
        number = self.rig.call.invite.cseq.number
        self.assertEqual(pracks, [f"101 {number} INVITE", f"102 {number} INVITE"])
        self.answered(session)
        self.phone_hangs_up()

    def test_repeated_and_out_of_order(self) -> None:
        """A reliable 183 repeated is told once; one that skips a number gets no PRACK."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.rig.call.rseq = 100
        self.rig.call.progress("early")
        self.rig.call.rseq = 109
        self.rig.call.progress("other")
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            core -> 183 INVITE early
            core -> 183 INVITE other
            """
        )
        self.answered(session)
        self.page_hangs_up(session)

    def test_unreliable(self) -> None:
        """Without 100rel no PRACK goes out, and a PRANSWER is answered here."""
        session = self.place()
        self.rig.call.progress("early", reliable=False)
        self.rig.advance()
        self.alice.pranswer(session)
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            alice -> PRANSWER
            alice <- OK PRANSWER
            """
        )
        self.answered(session)
        self.page_hangs_up(session)

    def test_ringing_only(self) -> None:
        """The plainest phone: 180, 200."""
        session = self.place()
        self.rig.call.ring()
        self.rig.advance()
        self.reads(
            """
            core -> 180 INVITE
            alice <- RINGING
            """
        )
        self.answered(session)
        self.phone_hangs_up()

    def test_answer_without_description(self) -> None:
        """A 200 without a description: the page's answer is the early one, and its ANSWER may be left out."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.rig.call.answer(None)
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            core -> 200 INVITE
            alice <- OK OFFER callee-answer(early)
            core <- ACK
            """
        )
        self.rig.advance(5)
        self.page_hangs_up(session)

    def test_page_without_progress(self) -> None:
        """A page that does not know PROGRESS gets the early description with RINGING."""
        alice = self.rig.page("alice", "old", capabilities=[])
        session = alice.call(ECHO)
        self.rig.advance()
        self.rig.call.progress("early")
        self.rig.advance()
        alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            old -> OFFER offer
            old <- WAITING
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core -> 183 INVITE early
            old <- RINGING callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            old -> HANGUP
            old <- OK HANGUP
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )

    def test_challenge(self) -> None:
        """A proxy that wants credentials gets them; the page notices nothing."""
        self.rig.phone(lambda call: call.challenge() if len(self.rig.core.calls) == 1 else None)
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.reads(
            PLACED
            + """
            core -> 407 INVITE
            core <- ACK
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            """
        )
        self.assertIn('username="gw1@ims.test"', self.rig.call.invite.get("proxy-authorization") or "")
        self.answered(session)
        self.page_hangs_up(session)

    def test_challenge_refused(self) -> None:
        """Credentials refused once are refused for good: the call ends, it does not circle."""
        self.rig.phone(lambda call: call.challenge())
        self.alice.call(ECHO)
        self.rig.advance()
        self.assertEqual(len(self.rig.core.calls), 2)
        self.assertEqual(self.rig.ladder[-2:], ["alice <- HANGUP auth-failed", "core <- ACK"])


class OfferlessTests(OutgoingCase):
    """A page calls without a description: the phone offers, the page answers."""

    def bare(self) -> str:
        session = self.alice.call(ECHO, None)
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER
            alice <- WAITING
            core <- INVITE
            core -> 100 INVITE
            """
        )
        return session

    def test_answer_in_prack(self) -> None:
        """Fig. 8 read literally: the offer comes in the 183, the answer goes in the PRACK."""
        session = self.bare()
        self.rig.call.progress("theirs")
        self.rig.advance(1)
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE theirs
            alice <- PROGRESS callee-offer(theirs)
            alice -> PRANSWER ours
            core <- PRACK caller-answer(ours)
            core -> 200 PRACK
            alice <- OK PRANSWER
            """
        )
        self.rig.call.answer(None)
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE
            alice <- OK OFFER
            core <- ACK
            alice -> ANSWER
            alice <- OK ANSWER
            """
        )
        self.phone_hangs_up()

    def test_answer_in_ack(self) -> None:
        """The offer comes in the 200, the answer goes in the ACK; PRANSWER and ANSWER must carry it."""
        session = self.bare()
        self.rig.call.answer("theirs")
        self.rig.advance(1)
        self.alice.answer(session)
        self.alice.answer(session, "ours")
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE theirs
            alice <- OK OFFER callee-offer(theirs)
            alice -> ANSWER
            alice <- ERROR sdp-required
            alice -> ANSWER ours
            alice <- OK ANSWER
            core <- ACK caller-answer(ours)
            """
        )
        self.page_hangs_up(session)

    def test_page_never_answers_the_183(self) -> None:
        """A page that never answers the phone's early offer loses the call before the phone gives it up."""
        self.bare()
        self.rig.call.progress("theirs")
        self.rig.advance(30.1)
        self.reads(
            """
            core -> 183 INVITE theirs
            alice <- PROGRESS callee-offer(theirs)
            alice <- HANGUP timeout
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )

    def test_page_never_answers_the_200(self) -> None:
        """The same with the offer in the 200: ACK without an answer, and BYE."""
        self.bare()
        self.rig.call.answer("theirs")
        self.rig.advance(30.1)
        self.reads(
            """
            core -> 200 INVITE theirs
            alice <- OK OFFER callee-offer(theirs)
            alice <- HANGUP timeout
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )


class ForkTests(OutgoingCase):
    """The core rings several phones with one INVITE."""

    def setUp(self) -> None:
        super().setUp()
        self.session = self.place()
        self.first = self.rig.call
        self.second = CoreCall(self.rig.core, self.first.invite, self.first.flow)

    def test_two_answer(self) -> None:
        """Two early dialogs, two 200s: the first answer is the call, the other phone is hung up."""
        self.first.progress("one")
        self.rig.advance()
        self.second.progress("two")
        self.second.ring()
        self.rig.advance()
        self.second.answer("two")
        self.rig.advance()
        self.first.answer("one")
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE one
            alice <- PROGRESS callee-pranswer(one)
            core <- PRACK
            core -> 200 PRACK
            core -> 183 INVITE two
            core -> 180 INVITE
            alice <- RINGING
            core <- PRACK
            core -> 200 PRACK
            core -> 200 INVITE two
            alice <- OK OFFER callee-answer(two)
            core <- ACK
            core -> 200 INVITE one
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )
        self.assertEqual((self.first.ended, self.second.ended), (True, False))
        self.alice.answer(self.session)
        self.rig.ladder.clear()
        self.page_hangs_up(self.session)
        self.assertTrue(self.second.ended)

    def test_second_200_after_the_call(self) -> None:
        """A phone that answers when the call is over is hung up as well."""
        self.first.answer("one")
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.rig.ladder.clear()
        self.second.answer("two")
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE two
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )
