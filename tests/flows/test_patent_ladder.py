"""`ladder = "patent"`: PRACK waits for PRANSWER and ACK for ANSWER, as Fig. 8 draws it, and not for ever."""

from __future__ import annotations

from typing import ClassVar

from tests.flows.test_outgoing import OutgoingCase


class PatentTests(OutgoingCase):
    settings: ClassVar = {"ladder": "patent", "hold_max": 2.0}

    def test_figure_8(self) -> None:
        """The core sees PRACK and ACK only after the page has spoken; the page sees what it sees with `auto`."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance(1)
        self.alice.pranswer(session)
        self.rig.advance()
        self.rig.call.ring()
        self.rig.advance()
        self.rig.call.answer("final")
        self.rig.advance(1)
        self.alice.answer(session)
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            alice -> PRANSWER
            core <- PRACK
            core -> 200 PRACK
            alice <- OK PRANSWER
            core -> 180 INVITE
            alice <- RINGING
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            alice -> ANSWER
            alice <- OK ANSWER
            core <- ACK
            """
        )
        self.page_hangs_up(session)

    def test_silent_page(self) -> None:
        """A page that says neither does not cost the call: the guard sends PRACK, then ACK."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance(1.9)
        self.assertFalse(self.rig.call.pracked)
        self.rig.advance(0.2)
        self.assertTrue(self.rig.call.pracked)
        self.rig.call.answer("final")
        self.rig.advance(1.9)
        self.assertFalse(self.rig.call.acked)
        self.rig.advance(0.2)
        self.assertTrue(self.rig.call.acked)
        self.rig.advance(2)
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            core <- ACK
            """
        )
        self.alice.pranswer(session)
        self.alice.answer(session)
        self.reads(
            """
            alice -> PRANSWER
            alice <- OK PRANSWER
            alice -> ANSWER
            alice <- OK ANSWER
            """
        )
        self.phone_hangs_up()

    def test_second_1xx_without_description(self) -> None:
        """A reliable 180 after the 183 has nothing that a page would acknowledge: its PRACK does not wait."""
        session = self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.alice.pranswer(session)
        self.rig.advance()
        self.rig.ladder.clear()
        self.rig.call.ring(reliable=True)
        self.rig.advance()
        self.reads(
            """
            core -> 180 INVITE
            alice <- RINGING
            core <- PRACK
            core -> 200 PRACK
            """
        )
        self.rig.call.answer("final")
        self.rig.advance()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            alice -> HANGUP
            alice <- OK HANGUP
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_answered_before_pranswer(self) -> None:
        """A 200 that comes while the PRACK is held sets it free; the phone's BYE before ANSWER finds its ACK."""
        self.place()
        self.rig.call.progress("early")
        self.rig.advance()
        self.rig.call.answer("final")
        self.rig.advance()
        self.rig.call.answer_again()
        self.rig.advance()
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            core <- PRACK
            core -> 200 PRACK
            core -> 200 INVITE final
            core -> BYE
            alice <- HANGUP hangup
            core <- ACK
            core <- 200 BYE
            """
        )
