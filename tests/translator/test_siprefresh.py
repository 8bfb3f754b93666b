"""The refreshes that we send, what may be answered to them, and what else is asked meanwhile. RFC 4028 §7.4, §10."""

from __future__ import annotations

from rtcgw.model.events import Confirm, Description, End, Kind, Update, UpdateAccept, UpdateReject
from rtcgw.model.reason import Reason
from rtcgw.sip.transaction import Failure
from rtcgw.translator.sipchange import PATIENCE
from tests.translator.sipbench import UacBench
from tests.translator.timercase import NEW, OURS, TIMERS, Case


class RefreshTests(Case):
    """We refresh."""

    def test_by_update(self) -> None:
        """At half of the interval an UPDATE without a description asks for as much again; nobody else hears of it."""
        bench = self.placed("100;refresher=uac")
        for _ in range(3):
            bench.clock.advance(49.9)
            self.assertEqual(bench.sent, [])
            bench.clock.advance(0.2)
            self.assertEqual(bench.sent, ["UPDATE"])
            self.assertEqual(bench.port.asked[-1].request.get("session-expires"), "100;refresher=uac")
            bench.answer_last(200, None, OURS, TIMERS)
            bench.sent.clear()
        self.assertEqual(bench.heard, [])
        bench.end()
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_by_reinvite(self) -> None:
        """A peer without UPDATE gets the description once more that holds; its answer is not told to anybody."""
        bench = self.placed("100;refresher=uac", allow="INVITE, ACK, BYE")
        bench.clock.advance(50)
        tx = bench.port.asked[-1]
        bench.answer(tx, 183, "same", ("require", "100rel"), ("rseq", "7"))
        bench.answer_last(200)
        bench.answer(tx, 200, "same", OURS)
        bench.answer(tx, 200, "same", OURS)
        self.assertEqual((bench.sent, bench.heard), (["INVITE offer", "PRACK", "ACK", "ACK"], []))
        bench.request("INVITE", "theirs")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "ours")))
        bench.ack()
        bench.clock.advance(50)
        bench.answer(tx, 200, "same", OURS)
        self.assertEqual(bench.sent[4:], ["INVITE ours", "ACK"])

    def test_what_is_repeated(self) -> None:
        """What a refresh repeats is what was agreed last: the answer we gave, or the change that the peer took."""
        bench = self.taken("100;refresher=uas", allow="INVITE")
        bench.clock.advance(50)
        self.assertEqual(bench.sent, ["INVITE ours"])
        bench.answer_last(200, "same", OURS)
        bench.leg.deliver(NEW)
        bench.answer_last(488)
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", OURS)
        bench.clock.advance(50)
        self.assertEqual(bench.sent[-1], "INVITE new")
        bench.answer_last(200, "yes", OURS)
        bench.leg.deliver(Update(None))
        bench.answer_last(200, "theirs", OURS)
        bench.leg.deliver(Confirm(Description(Kind.ANSWER, "last")))
        bench.clock.advance(50)
        self.assertEqual(bench.sent[-1], "INVITE last")

    def test_offerless_call(self) -> None:
        """A call that began without an offer of ours repeats the answer that its ACK gave."""
        bench = UacBench()
        bench.setup(None)
        bench.response(200, "theirs", session_expires="100;refresher=uac", require="timer")
        bench.leg.deliver(Confirm(Description(Kind.ANSWER, "ours")))
        bench.clock.advance(50)
        self.assertEqual(bench.sent[-1], "INVITE ours")

    def test_not_by_update(self) -> None:
        """UPDATE refused as such, the refresh is a re-INVITE; it is challenged, and told to ask for more, as any is."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.answer_last(501)
        bench.answer_last(407)
        bench.answer_last(422, None, ("min-se", "300"))
        self.assertEqual(bench.sent, ["UPDATE", "INVITE offer", "INVITE offer", "INVITE offer"])
        request = bench.port.asked[-1].request
        self.assertEqual((request.get("session-expires"), request.get("min-se")), ("300;refresher=uac", "300"))
        bench.answer_last(200, "same", ("session-expires", "300;refresher=uac"))
        bench.clock.advance(149)
        self.assertEqual(bench.sent[-1], "ACK")
        bench.clock.advance(2)
        self.assertEqual(bench.sent[-1], "INVITE offer")

    def test_nothing_to_repeat(self) -> None:
        """Without UPDATE and without a description nothing can be sent; the call ends with its interval."""
        bench = self.placed("100;refresher=uac", allow="INVITE")
        bench.leg.said = None
        self.dead(bench, 100)
        other = self.placed("100;refresher=uac")
        other.leg.said = None
        other.clock.advance(50)
        other.answer_last(501)
        self.assertEqual(other.sent, ["UPDATE"])

    def test_glare(self) -> None:
        """491 and 500 are waited out within the interval; then the refresh is sent again."""
        for status, wait in ((491, 4.1), (500, 3.1)):
            bench = self.placed("100;refresher=uac")
            bench.clock.advance(50)
            bench.answer_last(status, None, ("retry-after", "3"))
            bench.clock.advance(wait)
            self.assertEqual(bench.sent, ["UPDATE", "UPDATE"])
            bench.answer_last(200, None, OURS)
            self.assertEqual(bench.heard, [])

    def test_refused(self) -> None:
        """Refused for good, it is tried a few times more, each after half of what is left, until the session ends."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.answer_last(503)
        for wait in (25, 12.5, 6.25, 5):
            count = len(bench.sent)
            bench.clock.advance(wait - 0.01)
            self.assertEqual(len(bench.sent), count)
            bench.clock.advance(0.01)
            self.assertEqual(len(bench.sent), count + 1)
            bench.answer_last(503)
        bench.clock.advance(10)
        self.assertEqual(bench.heard, [End(Reason.TIMEOUT)])
        self.assertEqual((bench.sent[-1], bench.clock.getDelayedCalls()), ("BYE", []))

    def test_dead(self) -> None:
        """408, 481 or silence end the call with BYE and its reason; so does an interval without an answer."""
        for status, end in ((481, End(Reason.GONE, status=481)), (408, End(Reason.TIMEOUT, status=408))):
            bench = self.placed("100;refresher=uac")
            bench.clock.advance(50)
            bench.answer_last(status)
            self.assertEqual((bench.heard, bench.sent), ([end], ["UPDATE", "BYE"]))
            cause = f"Q.850;cause={end.reason.cause}"
            self.assertEqual(bench.port.asked[-1].request.get("reason"), cause)
            self.assertEqual(bench.clock.getDelayedCalls(), [])
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.silence_last()
        self.assertEqual((bench.heard, bench.sent[-1]), ([End(Reason.TIMEOUT)], "BYE"))
        self.dead(self.placed("100;refresher=uac"), 100)

    def test_not_sent(self) -> None:
        """A refresh that could not be sent is tried again: the way may come back before the session ends."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        tx = bench.port.asked[-1]
        tx.user.got_failure(tx, Failure.TRANSPORT)
        bench.clock.advance(26)
        self.assertEqual(bench.sent, ["UPDATE", "UPDATE"])

    def test_slow(self) -> None:
        """A re-INVITE that finds no answer is cancelled; the interval then decides."""
        bench = self.placed("100;refresher=uac", allow="INVITE")
        bench.clock.advance(50)
        bench.answer_last(180)
        bench.clock.advance(PATIENCE)
        self.assertEqual(bench.sent, ["INVITE offer", "CANCEL"])
        bench.answer_last(487)
        bench.clock.advance(25.1)
        self.assertEqual(bench.sent[2:], ["INVITE offer", "BYE"])

    def test_while_a_change_is_open(self) -> None:
        """A change refreshes as well: while one of either side is open, the refresh waits."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(49)
        bench.leg.deliver(NEW)
        self.assertEqual(bench.port.asked[-1].request.get("session-expires"), "100;refresher=uac")
        bench.clock.advance(20)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.answer_last(200, "yes", OURS)
        bench.clock.advance(49)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.request("INVITE", "hold")
        bench.clock.advance(20)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        bench.clock.advance(5)
        self.assertEqual(bench.sent, ["UPDATE new", "UPDATE"])

    def test_a_change_meanwhile(self) -> None:
        """A change that is asked for while a refresh is out waits for it; a second one is too many."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.leg.deliver(NEW)
        bench.leg.deliver(NEW)
        self.assertEqual((bench.heard, bench.sent), ([UpdateReject(Reason.CONFLICT)], ["UPDATE"]))
        bench.answer_last(200, None, OURS)
        self.assertEqual(bench.sent, ["UPDATE", "UPDATE new"])

    def test_their_change_meanwhile(self) -> None:
        """Theirs may cross an UPDATE without an offer, not a re-INVITE; while it is open, ours finds no place."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.leg.deliver(NEW)
        self.assertEqual(bench.request("INVITE", "hold").statuses, [])
        bench.leg.deliver(NEW)
        self.assertEqual(len(bench.heard), 2)
        bench.answer_last(200, None, OURS)
        self.assertEqual(bench.heard[1:], [UpdateReject(Reason.CONFLICT)] * 2)
        bench = self.placed("100;refresher=uac", allow="INVITE")
        bench.clock.advance(50)
        self.assertEqual(bench.request("UPDATE", "hold").statuses, [491])

    def test_hung_up_meanwhile(self) -> None:
        """Hung up while a refresh is out: nothing runs on, whatever its answer."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        tx = bench.port.asked[-1]
        bench.end()
        bench.answer(tx, 200, None, OURS)
        self.assertEqual((bench.sent, bench.clock.getDelayedCalls()), (["UPDATE", "BYE"], []))
