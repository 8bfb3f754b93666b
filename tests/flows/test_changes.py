"""Changes inside a call: the media answers them, the other side hears nothing."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.core_call import CoreCall


class ChangeTests(FlowCase):
    """An established call, placed by the page."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.rig.phone(lambda call: call.answer("final"))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.ladder.clear()
        self.phone = self.rig.call

    def tearDown(self) -> None:
        if self.rig.translator.calls:
            self.phone.bye()
        super().tearDown()

    def test_hold(self) -> None:
        """A re-INVITE (hold, session refresh) is answered by the gateway; the page hears nothing."""
        self.phone.request("INVITE", "hold")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE hold
            core <- 200 INVITE re-answer(hold)
            core -> ACK
            """
        )

    def test_offerless(self) -> None:
        """A re-INVITE without an offer gets one, and its ACK answers it."""
        self.phone.auto_ack = False
        self.phone.request("INVITE")
        self.rig.advance()
        self.phone.ack("theirs")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE
            core <- 200 INVITE offer-for-callee
            core -> ACK theirs
            """
        )

    def test_update(self) -> None:
        """UPDATE with an offer is answered with 200, one without is a mere refresh."""
        self.phone.request("UPDATE", "new")
        self.phone.request("UPDATE")
        self.rig.advance()
        self.reads(
            """
            core -> UPDATE new
            core -> UPDATE
            core <- 200 UPDATE re-answer(new)
            core <- 200 UPDATE
            """
        )

    def test_unfit(self) -> None:
        """What cannot be used is refused with 488, and the call goes on (RFC 6141)."""
        self.phone.request("INVITE", "bad")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE bad
            core <- 488 INVITE
            core -> ACK
            """
        )
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(self.phone.ended)

    def test_two_at_once(self) -> None:
        """A second change while the first waits for its ACK: 500 with Retry-After (RFC 3261 §14.2)."""
        self.phone.auto_ack = False
        self.phone.request("INVITE", "hold")
        self.rig.advance()
        self.phone.request("UPDATE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core <- 500 UPDATE")
        self.assertIsNotNone(self.phone.responses[-1].get("retry-after"))
        self.phone.ack()

    def test_never_acknowledged(self) -> None:
        """The 200 to a re-INVITE repeats; without an ACK the call ends (§14.2, §13.3.1.4)."""
        self.phone.auto_ack = False
        self.phone.request("INVITE", "hold")
        self.rig.advance(32.1)
        self.assertEqual(
            self.rig.ladder[-4:],
            ["core <- 200 INVITE re-answer(hold)", "alice <- HANGUP timeout", "core <- BYE", "core -> 200 BYE"],
        )

    def test_target_moves(self) -> None:
        """A re-INVITE may bring a new Contact: our BYE goes there."""
        self.phone.name = "moved"
        self.phone.request("INVITE", "hold")
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertEqual(str(self.phone.last("BYE").uri), "sip:moved@127.0.0.1:5061")

    def test_ice_restart(self) -> None:
        """A new OFFER of the page is answered here; the phone hears nothing."""
        self.alice.send("OFFER", session=self.session, sdp="restart")
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER restart
            alice <- OK OFFER re-answer(restart)
            """
        )

    def test_unfit_offer_of_the_page(self) -> None:
        """A page's offer that cannot be used is refused; the call goes on."""
        self.alice.send("OFFER", session=self.session, sdp="bad")
        self.reads(
            """
            alice -> OFFER bad
            alice <- ERROR media-incompatible
            """
        )

    def test_out_of_order(self) -> None:
        """A request with an old number gets 500 (§12.2.2), one of the call before it is untouched."""
        assert self.phone.dialog is not None
        self.phone.request("UPDATE")
        self.phone.dialog.local_cseq -= 1
        self.phone.request("UPDATE")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- 200 UPDATE", "core <- 500 UPDATE"])
        self.phone.dialog.local_cseq += 5

    def test_alive(self) -> None:
        """OPTIONS and an empty INFO inside the call tell that it lives; a stray PRACK matches nothing."""
        self.phone.request("OPTIONS")
        self.phone.request("PRACK", None, ("RAck", "1 1 INVITE"))
        self.phone.request("INFO")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-3:], ["core <- 200 OPTIONS", "core <- 481 PRACK", "core <- 200 INFO"])

    def test_both_hang_up(self) -> None:
        """Both hang up at once: both BYEs are answered, the page hears one end."""
        self.phone.bye()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.reads(
            """
            core -> BYE
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            core <- 200 BYE
            """
        )

    def test_after_the_end(self) -> None:
        """A request after BYE finds no call."""
        self.phone.bye()
        self.rig.advance()
        self.phone.request("UPDATE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core <- 481 UPDATE")


class EarlyChangeTests(FlowCase):
    """Changes before the answer."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def test_update_in_an_early_dialog(self) -> None:
        """The phone changes its early media by UPDATE: answered in the early dialog."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.progress("early")
        self.rig.advance()
        self.rig.call.request("UPDATE", "new")
        self.rig.call.request("UPDATE")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- 200 UPDATE re-answer(new)", "core <- 200 UPDATE"])
        self.alice.send("HANGUP", session=session)
        self.rig.advance()

    def test_update_against_our_offer(self) -> None:
        """An offer while ours is unanswered: 491 (RFC 3311 §5.2)."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.ring()
        self.rig.advance()
        self.rig.call.request("UPDATE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core <- 491 UPDATE")
        self.alice.send("HANGUP", session=session)
        self.rig.advance()

    def incoming(self) -> CoreCall:
        phone = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        return phone

    def test_update_before_our_answer(self) -> None:
        """A second offer of a caller whose first is unanswered: 500 with Retry-After (RFC 3311 §5.2)."""
        phone = self.incoming()
        phone.request("UPDATE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core <- 500 UPDATE")
        self.assertIsNotNone(phone.responses[-1].get("retry-after"))
        phone.cancel()

    def test_update_after_the_pages_early_answer(self) -> None:
        """The page's early answer is not the phone's: its first offer is still unanswered, the next one must wait."""
        phone = self.incoming()
        self.alice.pranswer(self.alice.invited, "ours")
        self.rig.advance()
        phone.request("UPDATE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core <- 500 UPDATE")
        phone.cancel()

    def test_reinvite_before_the_ack(self) -> None:
        """A re-INVITE that overtakes the ACK is told to wait: 491."""
        phone = self.rig.ring()
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        phone.request("INVITE", "new")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- 491 INVITE", "core -> ACK"])
        phone.bye()
