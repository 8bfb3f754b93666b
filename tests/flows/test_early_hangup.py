"""Hanging up in any state ends the call: what has been said of it is taken back, whatever crosses."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Rig, configured
from tests.peers.core_call import CoreCall
from tests.peers.network import Packet


class CallerTests(FlowCase):
    """The page has called, and hangs up at once."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def hang_up(self, session: str) -> None:
        self.alice.send("HANGUP", session=session)
        self.rig.advance()

    def methods(self) -> list[str]:
        return [request.method for request in self.rig.call.requests]

    def test_answered_without_a_1xx(self) -> None:
        """Hung up before any 1xx, and the first thing that comes is a 200: no CANCEL may go any more; ACK, BYE."""
        self.rig.phone(lambda call: call.answer("final"))
        self.rig.lose("100")
        session = self.alice.call(ECHO)
        self.hang_up(session)
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            alice -> HANGUP
            alice <- OK HANGUP
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core -> 200 INVITE final
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_refused_without_a_1xx(self) -> None:
        """The same with a refusal: its ACK, and nothing more."""
        self.rig.phone(lambda call: call.reject(486, "Busy Here"))
        self.rig.lose("100")
        self.hang_up(self.alice.call(ECHO))
        self.assertEqual(self.rig.ladder[-1], "core <- ACK")

    def test_answered_after_the_cancel(self) -> None:
        """A phone that takes no notice of CANCEL and answers later: ACK, then BYE (RFC 3261 §9.1)."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        phone = self.rig.call
        phone.ring()
        self.rig.advance()
        self.rig.core.silent = True
        self.hang_up(session)
        self.rig.core.silent = False
        self.rig.ladder.clear()
        phone.answer("final")
        self.rig.advance()
        self.assertEqual(self.rig.ladder[:3], ["core -> 200 INVITE final", "core <- ACK", "core <- BYE"])
        phone.answer_again()
        self.rig.advance(1)
        self.assertEqual([one for one in self.methods() if one != "CANCEL"], ["ACK", "BYE", "ACK"])

    def test_busy_crosses_the_cancel(self) -> None:
        """A refusal that crosses the CANCEL ends it."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.reject(486, "Busy Here")
        self.hang_up(session)
        self.assertNotIn("BYE", self.methods())

    def test_while_a_prack_is_out(self) -> None:
        """Hung up between a reliable 183 and the 200 of its PRACK."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        phone = self.rig.call
        self.rig.lose("PRACK")
        phone.progress("early")
        self.hang_up(session)
        self.rig.advance(1)
        self.assertEqual(self.methods().count("CANCEL"), 1)
        self.assertNotIn("BYE", self.methods())

    def test_on_the_second_try(self) -> None:
        """Hung up when the INVITE had to be sent anew: the new one is cancelled."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.reject(422, "Session Interval Too Small", ("Min-SE", "3600"))
        self.rig.advance()
        self.assertEqual(len(self.rig.core.calls), 2)
        self.hang_up(session)
        self.assertTrue(self.rig.call.cancelled)

    def test_challenged_at_once(self) -> None:
        """Hung up before the challenge is there: nobody is called with credentials any more."""
        self.rig.phone(lambda call: call.challenge())
        self.hang_up(self.alice.call(ECHO))
        self.assertEqual(len(self.rig.core.calls), 1)

    def test_with_the_ack_owed(self) -> None:
        """Called without an offer, the page hangs up instead of answering the phone's: ACK first, then BYE."""
        session = self.alice.call(ECHO, None)
        self.rig.advance()
        self.rig.call.answer("theirs")
        self.rig.advance()
        self.assertEqual(self.methods(), [])
        self.hang_up(session)
        self.assertEqual(self.methods(), ["ACK", "BYE"])

    def test_twice(self) -> None:
        """Hanging up again, while CANCEL is out, is an error, and changes nothing."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.core.silent = True
        self.hang_up(session)
        self.hang_up(session)
        self.rig.core.silent = False
        self.rig.advance(1)
        self.assertEqual(self.methods().count("CANCEL"), 1)


class SlowMediaTests(FlowCase):
    """The media take their time, and the page hangs up meanwhile."""

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(slow=True))

    @property
    def media(self) -> FlowMedia:
        assert isinstance(self.rig.media, FlowMedia)
        return self.rig.media

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def test_before_the_invite(self) -> None:
        """Hung up while the offer is being made: no INVITE goes out for it."""
        session = self.alice.call(ECHO)
        self.alice.send("HANGUP", session=session)
        while self.media.media.pending:
            self.media.media.fire()
        self.rig.advance()
        self.assertEqual(self.rig.core.calls, [])

    def test_callee_after_its_answer(self) -> None:
        """The callee's page answers and hangs up while the media work on its answer: the phone is refused, once."""
        phone = self.rig.ring()
        self.media.media.fire()
        self.rig.advance()
        self.alice.answer(self.alice.invited, "ours")
        self.alice.send("HANGUP", session=self.alice.invited)
        while self.media.media.pending:
            self.media.media.fire()
        self.rig.advance(1)
        finals = [one.status for one in phone.responses if one.status >= 200]
        self.assertEqual(finals, [480])


class CalleeTests(FlowCase):
    """The page is called, and hangs up while something else is under way."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def called(self, **options: str) -> CoreCall:
        phone = self.rig.ring(**options)
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        self.rig.ladder.clear()
        return phone

    def test_after_its_own_answer(self) -> None:
        """ANSWER and HANGUP in one breath: the 200 is out, so BYE follows its ACK (RFC 3261 §15)."""
        phone = self.called()
        self.alice.answer(self.alice.invited, "ours")
        self.alice.send("HANGUP", session=self.alice.invited)
        self.rig.advance()
        self.reads(
            """
            alice -> ANSWER ours
            alice -> HANGUP
            alice <- ERROR ended
            alice <- OK HANGUP
            core <- 200 INVITE callee-answer(ours)
            core -> ACK
            core <- BYE
            core -> 200 BYE
            """
        )
        self.assertTrue(phone.ended)

    def test_before_its_own_answer(self) -> None:
        """HANGUP and then ANSWER: the phone is refused, and the answer is an error."""
        phone = self.called()
        self.alice.send("HANGUP", session=self.alice.invited, reason="declined")
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual(phone.final.status, 603)
        self.assertIn("ERROR", self.rig.ladder[self.rig.ladder.index("alice -> ANSWER ours") + 1])

    def test_ack_never_comes(self) -> None:
        """Hung up before an ACK that never comes: BYE goes after 64*T1."""
        phone = self.called()
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, "ours")
        self.alice.send("HANGUP", session=self.alice.invited)
        self.rig.advance(31)
        self.assertFalse(phone.ended)
        self.rig.advance(2)
        self.assertTrue(phone.ended)

    def test_phone_leaves_before_its_ack(self) -> None:
        """The phone's ACK is lost and its BYE is not: the call is over, and no 200 is repeated."""
        phone = self.called()
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        phone.bye()
        self.rig.advance(5)
        self.assertEqual(self.rig.ladder.count("core <- 200 INVITE callee-answer(ours)"), 1)
        self.assertEqual(self.rig.ladder[-1], "core <- 200 BYE")


class RacingTests(FlowCase):
    """BYE, and a re-INVITE of either side."""

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(local=False))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.rig.phone(lambda call: call.respond(200, "OK", "final"))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.advance()
        self.rig.ladder.clear()
        self.phone = self.rig.call

    def test_ours_and_their_bye(self) -> None:
        """The phone hangs up while our re-INVITE is out: its late 200 is acknowledged, nothing else is said."""
        self.phone.canned["INVITE"] = [(200, "yes")]
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER video
            core -> BYE
            core <- INVITE re-offer(video)
            core -> 200 INVITE yes
            alice <- ERROR ended
            alice <- HANGUP hangup
            core <- 200 BYE
            core <- ACK
            """
        )

    def test_ours_and_our_bye(self) -> None:
        """The page hangs up while our re-INVITE is out: BYE at once, and the ACK when the 200 comes."""
        self.phone.canned["INVITE"] = [(200, "yes")]
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER video
            alice -> HANGUP
            alice <- ERROR ended
            alice <- OK HANGUP
            core <- INVITE re-offer(video)
            core -> 200 INVITE yes
            core <- BYE
            core -> 200 BYE
            core <- ACK
            """
        )

    def test_theirs_and_our_bye(self) -> None:
        """The page hangs up while it is asked for the phone's re-INVITE: 487, and BYE."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.reads(
            """
            core -> INVITE video
            alice <- OFFER re-offer(video)
            alice -> HANGUP
            alice <- OK HANGUP
            core <- 487 INVITE
            core -> ACK
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_theirs_and_their_bye(self) -> None:
        """The phone hangs up while the page decides: the page hears the end, and its answer is an error."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.phone.bye()
        self.rig.advance()
        self.alice.answer(self.session, "yes")
        self.assertEqual(self.rig.ladder[-2:], ["alice -> ANSWER yes", "alice <- ERROR no-session"])
        self.assertIn("core <- 487 INVITE", self.rig.ladder)

    def test_taken_back(self) -> None:
        """The phone cancels its re-INVITE: 487, the page need not decide, and the call goes on (RFC 6141)."""
        invite = self.phone.request("INVITE", "video")
        self.rig.advance()
        self.phone.cancel(invite=invite)
        self.rig.advance()
        self.alice.answer(self.session, "late")
        self.reads(
            """
            core -> INVITE video
            alice <- OFFER re-offer(video)
            core -> CANCEL
            alice <- ERROR withdrawn
            core <- 200 CANCEL
            core <- 487 INVITE
            core -> ACK
            alice -> ANSWER late
            alice <- ERROR withdrawn
            """
        )
        assert isinstance(self.rig.media, FlowMedia)
        self.assertEqual((self.rig.media.media.reverted, len(self.rig.translator.calls)), (1, 1))
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.answer(self.session, "yes")
        self.rig.advance()
        self.assertIn("core <- 200 INVITE caller-answer(yes)", self.rig.ladder)
        self.phone.bye()

    def test_taken_back_too_late(self) -> None:
        """The page has decided: CANCEL has no effect, the change stands (RFC 3261 §9.2)."""
        invite = self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.answer(self.session, "yes")
        self.phone.cancel(invite=invite)
        self.rig.advance()
        finals = [one.status for one in self.phone.responses if one.cseq == invite.cseq and one.status >= 200]
        self.assertEqual(finals, [200])
        self.phone.bye()

    def test_taken_back_on_a_bad_way(self) -> None:
        """The first CANCEL is lost, the second is not, and the third has come twice: one 487."""
        invite = self.phone.request("INVITE", "video")
        self.rig.advance()
        self.rig.lose("CANCEL")
        for _ in range(2):
            self.phone.cancel(invite=invite)
        self.rig.network.fate = _double
        self.phone.cancel(invite=invite)
        self.rig.advance(1)
        self.rig.network.fate = _once
        self.assertEqual(self.rig.ladder.count("alice <- ERROR withdrawn"), 1)
        self.assertIn("core <- 487 INVITE", self.rig.ladder)
        self.phone.bye()


def _double(packet: Packet) -> int:
    return 2


def _once(packet: Packet) -> int:
    return 1
