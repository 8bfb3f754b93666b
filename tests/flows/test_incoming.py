"""A phone behind the core calls a page."""

from __future__ import annotations

from tests.flows.case import FlowCase

OFFERED = """
    core -> INVITE offer
    alice <- OFFER caller-offer(offer)
"""


class IncomingCase(FlowCase):
    """Alice is there."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")


class LadderTests(IncomingCase):
    """The messages of a call that succeeds."""

    def test_everything(self) -> None:
        """RINGING is a reliable 180, ANSWER the 200, and the ACK its OK.

        PRANSWER stays here: it connects the page's media, and a 183 would silence the phone's ring-back tone.
        """
        phone = self.rig.ring()
        session = self.alice.invited
        self.alice.send("RINGING", session=session)
        self.rig.advance()
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        self.reads(
            OFFERED
            + """
            alice -> RINGING
            alice <- OK RINGING
            core <- 180 INVITE
            core -> PRACK
            core <- 200 PRACK
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            """
        )
        self.alice.answer(session)
        self.rig.advance()
        phone.bye()
        self.rig.advance()
        self.reads(
            """
            alice -> ANSWER
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            alice <- OK ANSWER
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_early_answer_without_ringing(self) -> None:
        """A page that says PRANSWER only has the phone hear that it rings, once."""
        phone = self.rig.ring()
        session = self.alice.invited
        self.alice.pranswer(session, "ours")
        self.alice.send("RINGING", session=session)
        self.rig.advance()
        self.reads(
            OFFERED
            + """
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            alice -> RINGING
            alice <- OK RINGING
            core <- 180 INVITE
            core -> PRACK
            core <- 200 PRACK
            """
        )
        phone.cancel()

    def test_shown_caller(self) -> None:
        """The page is told who calls as the network asserts it."""
        phone = self.rig.ring()
        offer = self.alice.last("OFFER")
        self.assertEqual(offer["from"], {"uri": "sip:bob@ims.test", "name": "Bob"})
        phone.cancel()

    def test_answer_after_an_early_one(self) -> None:
        """A page may answer with another description than its early one: the phone has not seen that."""
        phone = self.rig.ring()
        session = self.alice.invited
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        self.alice.answer(session, "changed")
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual(phone.final.body, b"callee-answer(changed)")
        phone.bye()

    def test_without_100rel(self) -> None:
        """A phone without 100rel gets the same, unreliably, and never a PRACK to send."""
        self.rig.ring(supported="timer")
        session = self.alice.invited
        self.alice.send("RINGING", session=session)
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            OFFERED
            + """
            alice -> RINGING
            alice <- OK RINGING
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            core <- 180 INVITE
            alice -> ANSWER
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            alice <- OK ANSWER
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_one_reliable_at_a_time(self) -> None:
        """An offer goes in the 183 and waits for the 180's PRACK, the 200 for the 183's (RFC 3262 §3)."""
        phone = self.rig.ring(None)
        session = self.alice.invited
        phone.auto_prack = False
        self.alice.send("RINGING", session=session)
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        phone.prack()
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        self.reads(
            """
            core -> INVITE
            alice <- OFFER offer-for-callee
            alice -> RINGING
            alice <- OK RINGING
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            core <- 180 INVITE
            core -> PRACK
            core <- 183 INVITE callee-pranswer(ours)
            core <- 200 PRACK
            alice -> ANSWER
            """
        )
        phone.prack("theirs")
        self.rig.advance()
        self.reads(
            """
            core -> PRACK theirs
            core <- 200 PRACK
            core <- 200 INVITE
            core -> ACK
            alice <- OK ANSWER
            """
        )
        numbers = [int(response.get("rseq") or 0) for response in phone.responses if response.get("rseq")]
        self.assertEqual([number - numbers[0] for number in numbers], [0, 1])
        phone.bye()

    def test_trying(self) -> None:
        """A page that takes its time: the core hears 100 within 200 ms, so that it does not repeat."""
        phone = self.rig.ring()
        self.rig.advance(0.5)
        self.assertEqual([response.status for response in phone.responses], [100])
        phone.cancel()

    def test_offerless(self) -> None:
        """A phone that offers nothing: the page answers an offer of the gateway's, the phone answers in the ACK."""
        phone = self.rig.ring(None)
        phone.auto_ack = False
        session = self.alice.invited
        self.alice.answer(session, "ours")
        self.rig.advance()
        phone.ack("theirs")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE
            alice <- OFFER offer-for-callee
            alice -> ANSWER ours
            core <- 200 INVITE callee-answer(ours)
            core -> ACK theirs
            alice <- OK ANSWER
            """
        )
        phone.bye()

    def test_offerless_with_early_answer(self) -> None:
        """The offer goes in the reliable 183, the PRACK answers it; the 200 then carries none (RFC 6337 §2.2)."""
        phone = self.rig.ring(None)
        phone.auto_prack = False
        session = self.alice.invited
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        phone.prack("theirs")
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        self.reads(
            """
            core -> INVITE
            alice <- OFFER offer-for-callee
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            core <- 183 INVITE callee-pranswer(ours)
            core -> PRACK theirs
            core <- 200 PRACK
            alice -> ANSWER
            core <- 200 INVITE
            core -> ACK
            alice <- OK ANSWER
            """
        )
        phone.bye()

    def test_offerless_and_unreliable(self) -> None:
        """An offer may not go in an unreliable 183: it waits for the 200."""
        phone = self.rig.ring(None, supported="timer")
        phone.auto_ack = False
        session = self.alice.invited
        self.alice.pranswer(session, "ours")
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        phone.ack("theirs")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE
            alice <- OFFER offer-for-callee
            alice -> PRANSWER ours
            alice <- OK PRANSWER
            core <- 183 INVITE
            alice -> ANSWER
            core <- 200 INVITE callee-answer(ours)
            core -> ACK theirs
            alice <- OK ANSWER
            """
        )
        phone.bye()


class GuardTests(IncomingCase):
    """Phones that do not say what they must."""

    def test_no_prack(self) -> None:
        """A reliable 180 repeats without a cap, and after 64*T1 the call is refused (RFC 3262 §3)."""
        phone = self.rig.ring()
        phone.auto_prack = False
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance(31.9)
        self.assertEqual([response.status for response in phone.responses].count(180), 7)
        self.rig.ladder.clear()
        self.rig.advance(0.2)
        self.reads(
            """
            alice <- HANGUP timeout
            core <- 504 INVITE
            core -> ACK
            """
        )

    def test_lost_ack(self) -> None:
        """An ACK that is lost is sent again for the repeated 200; the page hears one OK."""
        phone = self.rig.ring()
        self.rig.lose("ACK")
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance(0.7)
        self.reads(
            OFFERED
            + """
            alice -> ANSWER ours
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            alice <- OK ANSWER
            """
        )
        phone.bye()

    def test_no_ack(self) -> None:
        """A phone that never acknowledges: the 200 repeats up to every 4 s, after 64*T1 the call ends by BYE."""
        phone = self.rig.ring()
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance(31.9)
        self.assertEqual([response.status for response in phone.responses].count(200), 11)
        self.rig.ladder.clear()
        self.rig.advance(0.2)
        self.reads(
            """
            alice <- ERROR ended
            alice <- HANGUP timeout
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_hung_up_before_the_ack(self) -> None:
        """BYE waits for the ACK (RFC 3261 §15)."""
        phone = self.rig.ring()
        phone.auto_ack = False
        session = self.alice.invited
        self.alice.answer(session, "ours")
        self.rig.advance()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            OFFERED
            + """
            alice -> ANSWER ours
            core <- 200 INVITE callee-answer(ours)
            alice -> HANGUP
            alice <- ERROR ended
            alice <- OK HANGUP
            """
        )
        phone.ack()
        self.rig.advance()
        self.reads(
            """
            core -> ACK
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_hung_up_and_never_acknowledged(self) -> None:
        """BYE goes all the same in the end."""
        phone = self.rig.ring()
        phone.auto_ack = False
        session = self.alice.invited
        self.alice.answer(session, "ours")
        self.alice.send("HANGUP", session=session)
        self.rig.advance(32.1)
        self.assertTrue(phone.ended)

    def test_bye_before_the_ack(self) -> None:
        """The phone hangs up without acknowledging: the 200 stops at once."""
        phone = self.rig.ring()
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        self.rig.ladder.clear()
        phone.bye()
        self.rig.advance(10)
        self.reads(
            """
            core -> BYE
            alice <- ERROR ended
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )
