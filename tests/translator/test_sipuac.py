"""The outgoing SIP half-call, every row of its table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.sip.message import make_response
from rtcgw.sip.transaction import Failure
from rtcgw.translator.sipdialog import FORK_LIMIT
from rtcgw.translator.sipstate import State
from rtcgw.translator.siptable import OUTGOING
from tests.translator import test_sipagain, test_siprefer
from tests.translator.sipbench import UacBench, rows, walk
from tests.translator.test_sipforks import FirstMediaTests
from tests.translator.test_sipmatrix import CancelledTests
from tests.translator.test_sipredirect import RedirectTests
from tests.translator.test_siptimer import TooShortTests


def answer(sdp: str) -> Description:
    return Description(Kind.ANSWER, sdp)


class OutgoingTests(SynchronousTestCase):
    """Each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UacBench()

    def patent(self) -> UacBench:
        self.bench = UacBench(patent=True)
        return self.bench

    def talking(self) -> UacBench:
        self.bench.setup()
        self.bench.response(200, "final")
        return self.bench

    def leaving(self) -> UacBench:
        self.talking().end()
        return self.bench

    def test_never_placed(self) -> None:
        """Ended before its Setup: nothing is sent."""
        self.bench.end()
        self.assertEqual((self.bench.state, self.bench.sent), (State.ENDED, []))

    def test_no_address(self) -> None:
        self.bench.setup(target="nowhere")
        self.assertEqual(self.bench.heard, [End(Reason.NOT_FOUND)])
        self.assertEqual(self.bench.sent, [])

    def test_early_dialog(self) -> None:
        """In an early dialog BYE and PRACK of the callee match nothing; changes are answered, or wait."""
        bench = self.bench
        bench.setup()
        bench.response(183, "early", rseq=7)
        self.assertEqual(bench.request("BYE").statuses, [481])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        update = bench.request("UPDATE", "new")
        self.assertEqual(bench.heard[-1], Update(Description(Kind.OFFER, "new")))
        bench.leg.deliver(UpdateAccept(answer("newer")))
        self.assertEqual((update.statuses, update.responses[0].body), ([200], b"newer"))
        update = bench.request("UPDATE", "worse")
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        self.assertEqual(update.statuses, [488])
        self.assertEqual(bench.sent, ["INVITE offer", "PRACK"])

    def test_pranswer_while_prack_flies(self) -> None:
        """The OK waits for the 200 to the PRACK."""
        bench = self.bench
        bench.setup()
        bench.response(183, "early", rseq=7)
        bench.leg.deliver(ProgressAck())
        self.assertNotIn(ProgressAcked(), bench.heard)
        bench.answer_last()
        self.assertEqual(bench.heard[-1], ProgressAcked())

    def test_challenged(self) -> None:
        bench = self.bench
        bench.setup()
        bench.response(407)
        bench.response(407)
        self.assertEqual(bench.sent, ["INVITE offer", "INVITE offer"])
        self.assertEqual(bench.heard[-1], End(Reason.AUTH_FAILED, None, 407))

    def test_silence(self) -> None:
        """Nothing came, or nothing could be sent; either way the registration is doubted."""
        for failure, reason in ((Failure.TIMEOUT, Reason.TIMEOUT), (Failure.TRANSPORT, Reason.UNREACHABLE)):
            bench = UacBench()
            bench.setup()
            bench.silence(failure)
            self.assertEqual((bench.heard, bench.port.troubles), ([End(reason)], 1))
            self.bench.walked |= bench.walked

    def test_held(self) -> None:
        """`patent`: the guards send PRACK, then ACK."""
        bench = self.patent()
        bench.setup()
        bench.response(183, "early", rseq=7)
        self.assertEqual(bench.sent, ["INVITE offer"])
        bench.clock.advance(2)
        bench.response(200, "final")
        self.assertEqual(bench.sent[1:], ["PRACK"])
        bench.clock.advance(2)
        self.assertEqual(bench.sent[2:], ["ACK"])
        self.assertEqual((bench.state, bench.clock.getDelayedCalls()), (State.TALKING, []))

    def test_ack_owed(self) -> None:
        """While the ACK waits for ANSWER: a repeated 2xx is quiet, changes wait, PRANSWER is answered here."""
        bench = self.patent()
        bench.setup()
        bench.response(200, "final")
        bench.response(200, "final")
        bench.leg.deliver(ProgressAck())
        self.assertEqual(bench.heard[-1], ProgressAcked())
        self.assertEqual(bench.request("UPDATE", "new").statuses, [491])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        self.assertEqual(bench.sent, ["INVITE offer"])
        bench.leg.deliver(Confirm())
        self.assertEqual((bench.sent[1:], bench.state), (["ACK"], State.TALKING))

    def test_ended_before_the_ack(self) -> None:
        """Hung up while the ACK is owed: it goes before the BYE, whoever hangs up."""
        bench = self.patent()
        bench.setup()
        bench.response(200, "final")
        bench.end()
        self.assertEqual(bench.sent[1:], ["ACK", "BYE"])
        other = UacBench(patent=True)
        other.setup()
        other.response(200, "final")
        self.assertEqual(other.request("BYE").statuses, [200])
        self.assertEqual((other.sent[1:], other.heard[-1]), (["ACK"], End(Reason.HANGUP)))
        bench.walked |= other.walked

    def test_cancelled(self) -> None:
        """Given up: what the callee asks matches nothing, and any final response clears the INVITE."""
        for status in (487, 401):
            bench = UacBench()
            bench.setup()
            bench.response(183, "early", rseq=7)
            bench.end(Reason.CANCELLED)
            for method in ("BYE", "PRACK", "UPDATE"):
                self.assertEqual(bench.request(method).statuses, [481])
            bench.response(status)
            self.assertEqual((bench.state, bench.port.dialogs), (State.ENDED, {}))
            self.assertEqual(bench.sent, ["INVITE offer", "PRACK", "CANCEL"])
            self.bench.walked |= bench.walked

    def test_cancelled_and_silent(self) -> None:
        bench = self.bench
        bench.setup()
        bench.end()
        bench.silence()
        self.assertEqual((bench.state, bench.heard), (State.ENDED, []))

    def test_cancel_crosses_the_200(self) -> None:
        bench = self.bench
        bench.setup()
        bench.end()
        bench.response(200, "final")
        self.assertEqual(bench.sent, ["INVITE offer", "CANCEL", "ACK", "BYE"])

    def test_answered_after_all(self) -> None:
        """A fork that answers when all is over, and no dialog ever was: ACK and BYE."""
        bench = self.bench
        bench.setup()
        bench.response(486)
        bench.response(200, "late")
        self.assertEqual((bench.sent[1:], bench.state), (["ACK", "BYE"], State.ENDED))

    def test_talking(self) -> None:
        bench = self.talking()
        bench.leg.deliver(ProgressAck())
        bench.response(200, "final")
        bench.response(200, "other", tag="other")
        self.assertEqual(bench.sent, ["INVITE offer", "ACK", "ACK", "ACK", "BYE"])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        self.assertEqual(bench.heard, [Accept(answer("final")), ProgressAcked()])
        self.assertEqual(bench.request("BYE").statuses, [200])
        self.assertEqual((bench.heard[-1], bench.port.dialogs), (End(Reason.HANGUP), {}))

    def test_changes(self) -> None:
        """Taken, refused, offerless with its answer in the ACK, and never acknowledged."""
        bench = self.talking()
        bench.request("UPDATE", "bad")
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        tx = bench.request("INVITE")
        bench.leg.deliver(UpdateAccept(Description(Kind.OFFER, "gateway")))
        bench.ack("theirs")
        self.assertEqual(bench.heard[-1], Confirm(answer("theirs")))
        self.assertEqual(tx.statuses, [200])
        tx = bench.request("INVITE", "hold")
        bench.leg.deliver(UpdateAccept(answer("held")))
        bench.ack(late=True)
        bench.clock.pump([0.5] * 64)
        self.assertEqual(tx.statuses, [200] * 11)
        self.assertEqual((bench.heard[-1], bench.sent[-1]), (End(Reason.TIMEOUT), "BYE"))

    def test_hung_up_during_a_change(self) -> None:
        """An open change is answered when the call ends under it."""
        bench = self.talking()
        tx = bench.request("INVITE", "hold")
        bench.end()
        self.assertEqual((tx.statuses, bench.sent[-1]), ([487], "BYE"))

    def test_leaving(self) -> None:
        bench = self.leaving()
        bench.response(200, "final")
        self.assertEqual(bench.request("BYE").statuses, [200])
        self.assertEqual(bench.request("UPDATE", "new").statuses, [481])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        self.assertEqual(bench.sent, ["INVITE offer", "ACK", "BYE", "ACK"])

    def test_ended(self) -> None:
        bench = self.leaving()
        bench.answer_last()
        bench.response(200, "final")
        for method in ("BYE", "UPDATE", "PRACK"):
            self.assertEqual(bench.request(method).statuses, [481])
        self.assertEqual((bench.sent[-1], bench.port.dialogs), ("ACK", {}))

    def test_bye_challenged_and_unanswered(self) -> None:
        """BYE is sent again with credentials, once; silence ends the leg as well."""
        bench = self.leaving()
        bench.answer_last(407)
        self.assertEqual(bench.sent[-2:], ["BYE", "BYE"])
        bench.silence_last()
        self.assertEqual(bench.state, State.ENDED)

    def test_ack_bears_credentials(self) -> None:
        """A proxy that checks each request finds in the ACK what it found in the INVITE: it cannot ask again."""
        bench = self.bench
        bench.setup()
        assert bench.leg.invite is not None
        bench.leg.invite.set("proxy-authorization", "Digest response=1")
        bench.response(200, "final")
        assert bench.leg.ack is not None
        self.assertEqual(bench.leg.ack.get("proxy-authorization"), "Digest response=1")

    def test_headers_of_the_dialog(self) -> None:
        """What the core counts a call by goes with its PRACK and its BYE, whatever fork it came from; not with ACK."""
        bench = self.bench
        bench.setup()
        bench.response(183, "early", rseq=7)
        bench.response(200, "final", tag="other")
        bench.end()
        asked = [tx.request for tx in bench.port.asked[1:]]
        self.assertEqual([(one.method, one.get("x-dialog")) for one in asked], [("PRACK", "c1"), ("BYE", "c1")])
        assert bench.leg.ack is not None
        self.assertIsNone(bench.leg.ack.get("x-dialog"))

    def test_unreadable_contact(self) -> None:
        """A 200 whose Contact is no address ends the call at once, and nothing is left of it; a 183 is passed over."""
        bench = self.bench
        bench.setup()
        bench.response(183, "early", contact="<<<")
        self.assertEqual(bench.heard, [])
        bench.response(200, "final", contact="<<<")
        bench.response(200, "final", contact="<<<")
        self.assertEqual(bench.heard, [End(Reason.PROTOCOL)])
        self.assertEqual((bench.state, bench.port.dialogs), (State.ENDED, {}))
        bench.end()

    def test_challenged_while_another_request_flies(self) -> None:
        """The PRACK that is sent again does not take the number of one that was sent meanwhile."""
        bench = self.bench
        bench.setup()
        bench.response(183, "early", rseq=1)
        first = bench.port.asked[-1]
        bench.response(180, rseq=2)
        second = bench.port.asked[-1]
        first.user.got_response(first, make_response(first.request, 407, None))
        numbers = [tx.request.cseq.number for tx in (first, second, bench.port.asked[-1])]
        self.assertEqual(numbers, [11, 12, 13])

    def test_many_forks(self) -> None:
        """Early dialogs are bounded: further forks are told of, and not followed."""
        bench = self.bench
        bench.setup()
        for number in range(FORK_LIMIT + 3):
            bench.response(180, tag=f"t{number}")
        self.assertEqual(len(bench.port.dialogs), FORK_LIMIT)
        self.assertEqual(bench.heard, [Progress(Stage.RINGING)] * (FORK_LIMIT + 3))
        bench.response(200, "final", tag="t18")
        self.assertEqual(len(bench.port.dialogs), 1)

    def test_every_row(self) -> None:
        """The tests above, and those of what else a leg may meet, walk each row of the table."""
        walked = set()
        for case in walk(OutgoingTests, test_sipagain.OutgoingTests, test_siprefer.OutgoingTests):
            assert isinstance(case, OutgoingTests | test_sipagain.OutgoingTests | test_siprefer.OutgoingTests)
            walked |= case.bench.walked
        for timed in walk(TooShortTests, CancelledTests):
            assert isinstance(timed, TooShortTests | CancelledTests)
            walked |= timed.walked
        for other in walk(RedirectTests, FirstMediaTests):
            assert isinstance(other, RedirectTests | FirstMediaTests)
            walked |= other.bench.walked
        self.assertEqual({str(row) for row in rows(OUTGOING) - walked}, set())
