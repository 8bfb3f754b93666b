"""Hanging up before the answer, from either side, and the messages that cross."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO


class CallerGivesUpTests(FlowCase):
    """The page hangs up while the phone rings, or before anything is known of it."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def test_while_ringing(self) -> None:
        """The phone stops ringing."""
        self.rig.phone(lambda call: call.ring())
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            alice -> HANGUP
            alice <- OK HANGUP
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )
        self.assertEqual(self.rig.call.last("CANCEL").get("reason"), "Q.850;cause=16")

    def test_before_any_1xx(self) -> None:
        """CANCEL waits for the first 1xx (RFC 3261 §9.1), the page does not wait."""
        self.rig.core.silent = True
        session = self.alice.call(ECHO)
        self.rig.advance(0.2)
        self.alice.send("HANGUP", session=session)
        self.rig.core.silent = False
        self.rig.advance(0.5)
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            core <- INVITE caller-offer(offer)
            alice -> HANGUP
            alice <- OK HANGUP
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )

    def test_core_never_heard_of_it(self) -> None:
        """Hung up before any 1xx, and none ever comes: no CANCEL, and nothing is left."""
        self.rig.core.silent = True
        session = self.alice.call(ECHO)
        self.alice.send("HANGUP", session=session)
        self.rig.advance(40)
        self.assertNotIn("core <- CANCEL", self.rig.ladder)

    def test_core_ignores_the_cancel(self) -> None:
        """A phone that never ends its INVITE is given up after 64*T1."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.core.silent = True
        self.alice.send("HANGUP", session=session)
        self.rig.advance(33)
        self.assertEqual(len(self.rig.index), 0)

    def test_challenged_after_giving_up(self) -> None:
        """A challenge that arrives after CANCEL is a refusal like any other: nothing is placed again."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.challenge()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(len(self.rig.core.calls), 1)

    def test_200_crosses_cancel(self) -> None:
        """The phone answers in the moment of giving up: ACK, then BYE (§9.1)."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()
        self.rig.call.answer("final")
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE final
            alice -> HANGUP
            alice <- OK HANGUP
            core <- CANCEL
            core -> 481 CANCEL
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_nobody_answers(self) -> None:
        """A call that rings too long ends for both: the page hears no-answer, the phone stops ringing."""
        self.rig.phone(lambda call: call.ring())
        self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()
        self.rig.advance(180)
        self.reads(
            """
            alice <- HANGUP no-answer
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )


class PhoneGivesUpTests(FlowCase):
    """The phone hangs up while the page rings."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.phone = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        self.rig.ladder.clear()

    def test_while_ringing(self) -> None:
        """The page stops ringing."""
        self.phone.cancel()
        self.rig.advance()
        self.reads(
            """
            core -> CANCEL
            alice <- HANGUP cancelled
            core <- 200 CANCEL
            core <- 487 INVITE
            core -> ACK
            """
        )

    def test_answered_on_another_phone(self) -> None:
        """The core rang the user's desk phone as well, and that was answered: the page is told so."""
        self.phone.cancel(("Reason", 'SIP;cause=200;text="Call completed elsewhere"'))
        self.rig.advance()
        self.assertIn("alice <- HANGUP answered-elsewhere", self.rig.ladder)

    def test_cancel_crosses_the_200(self) -> None:
        """Answered in the same moment: the 200 stands, the phone acknowledges it and says BYE."""
        self.phone.cancel()
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            core -> CANCEL
            alice -> ANSWER ours
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            core <- 200 CANCEL
            alice <- OK ANSWER
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_bye_instead_of_cancel(self) -> None:
        """BYE in an early dialog ends the call as CANCEL does (§15)."""
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            core -> BYE
            alice <- HANGUP cancelled
            core <- 200 BYE
            core <- 487 INVITE
            core -> ACK
            """
        )
