"""A network that loses and doubles: calls come about all the same, and pages notice nothing."""

from __future__ import annotations

import itertools

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page
from tests.peers.network import Packet


class LossTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def place(self) -> str:
        self.rig.phone(lambda call: call.answer("final"))
        return self.alice.call(ECHO)

    def seen(self, page: Page) -> list[str]:
        return [line for line in self.rig.ladder if line.startswith(f"{page.name} <-")]

    def test_invite(self) -> None:
        """A lost INVITE is sent again."""
        self.rig.lose("INVITE")
        session = self.place()
        self.rig.advance(0.6)
        self.assertEqual(self.seen(self.alice)[-1], "alice <- OK OFFER callee-answer(final)")
        self.alice.send("HANGUP", session=session)

    def test_answer(self) -> None:
        """A lost 200: the phone repeats it, and the ACK reaches it."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.lose("200")
        self.rig.call.answer("final")
        self.rig.advance()
        self.assertFalse(self.rig.call.acked)
        self.rig.call.answer_again()
        self.rig.advance()
        self.assertTrue(self.rig.call.acked)
        self.alice.send("HANGUP", session=session)

    def test_ack(self) -> None:
        """A lost ACK: the repeated 200 gets it again, and the page hears of one answer."""
        session = self.place()
        self.rig.lose("ACK")
        self.rig.advance()
        self.rig.call.answer_again()
        self.rig.advance()
        self.assertTrue(self.rig.call.acked)
        self.assertEqual(self.seen(self.alice).count("alice <- OK OFFER callee-answer(final)"), 1)
        self.alice.send("HANGUP", session=session)

    def test_late_repetitions(self) -> None:
        """A 200 repeated while we hang up, and after: each gets its ACK, none a second BYE."""
        session = self.place()
        self.rig.advance()
        self.rig.core.silent = True
        self.alice.send("HANGUP", session=session)
        self.rig.advance(0.1)
        self.rig.core.silent = False
        self.rig.call.answer_again()
        self.rig.advance(1)
        self.rig.call.answer_again()
        self.rig.advance()
        self.assertEqual([request.method for request in self.rig.call.requests], ["ACK", "ACK", "BYE", "ACK"])

    def test_bye(self) -> None:
        """A lost BYE is sent again; one that is never answered is given up, the page does not wait."""
        session = self.place()
        self.rig.advance()
        self.rig.lose("BYE")
        self.alice.send("HANGUP", session=session)
        self.assertEqual(self.seen(self.alice)[-1], "alice <- OK HANGUP")
        self.rig.advance(0.6)
        self.assertTrue(self.rig.call.ended)

    def test_bye_never_answered(self) -> None:
        """A core that is gone when we hang up: nothing is left after 64*T1."""
        session = self.place()
        self.rig.advance()
        self.rig.core.silent = True
        self.alice.send("HANGUP", session=session)
        self.rig.advance(33)
        self.assertEqual(len(self.rig.index), 0)

    def test_prack(self) -> None:
        """A lost PRACK is sent again; a lost reliable 180 of ours as well."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.lose("PRACK")
        self.rig.call.progress("early")
        self.rig.advance(0.6)
        self.assertTrue(self.rig.call.pracked)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        phone = self.rig.ring()
        self.rig.lose("180")
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance(0.6)
        self.assertEqual(self.rig.ladder[-2:], ["core -> PRACK", "core <- 200 PRACK"])
        phone.cancel()

    def test_everything_twice(self) -> None:
        """Each packet arrives twice: each page message comes once."""
        self.rig.network.fate = lambda packet: 2
        session = self.place()
        self.rig.advance(1)
        self.alice.answer(session)
        self.alice.send("HANGUP", session=session)
        self.rig.advance(1)
        phone = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance(1)
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance(1)
        phone.bye()
        self.rig.advance(1)
        self.assertEqual(
            self.seen(self.alice),
            [
                "alice <- WAITING",
                "alice <- OK OFFER callee-answer(final)",
                "alice <- OK ANSWER",
                "alice <- OK HANGUP",
                "alice <- OFFER caller-offer(offer)",
                "alice <- OK RINGING",
                "alice <- OK ANSWER",
                "alice <- HANGUP hangup",
            ],
        )

    def test_every_third_of_ours(self) -> None:
        """A third of what the gateway sends is lost: calls take longer, and come about."""
        count = itertools.count(1)

        def fate(packet: Packet) -> int:
            return 0 if packet.source[1] == 5070 and next(count) % 3 == 0 else 1

        self.rig.network.fate = fate
        for _ in range(5):
            session = self.place()
            self.rig.advance(5)
            self.alice.answer(session)
            self.assertEqual(self.seen(self.alice)[-1], "alice <- OK ANSWER")
            if not self.rig.call.acked:
                self.rig.call.answer_again()
            self.alice.send("HANGUP", session=session)
            self.rig.advance(5)
            self.assertTrue(self.rig.call.ended)
