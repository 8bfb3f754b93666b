"""The incoming SIP half-call, every row of its table."""

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
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.translator.sipanswers import PROGRESS_LIMIT
from rtcgw.translator.sipstate import State
from rtcgw.translator.siptable import INCOMING
from tests.translator import test_sipcaller, test_siprefer
from tests.translator.sipbench import UasBench, rows, walk
from tests.translator.test_sipmatrix import CancelledTests

RINGING = Progress(Stage.RINGING)
EARLY = Progress(Stage.SESSION, Description(Kind.PRANSWER, "early"))
FINAL = Accept(Description(Kind.ANSWER, "final"))


class IncomingTests(SynchronousTestCase):
    """Each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UasBench()

    def answering(self) -> UasBench:
        """The page has answered; the 200 waits for the PRACK of the early answer."""
        self.bench.leg.deliver(EARLY)
        self.bench.leg.deliver(FINAL)
        return self.bench

    def accepted(self) -> UasBench:
        self.bench.leg.deliver(FINAL)
        return self.bench

    def talking(self) -> UasBench:
        self.accepted().ack()
        return self.bench

    def test_progress(self) -> None:
        """One reliable 1xx at a time, each waiting for its PRACK; a PRACK of nothing is told so."""
        bench = self.bench
        bench.leg.deliver(Progress(Stage.TRYING))
        bench.leg.deliver(RINGING)
        bench.leg.deliver(EARLY)
        self.assertEqual(bench.tx.statuses, [180])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        self.assertEqual(bench.request("PRACK", None, ("rack", "1 1 INVITE")).statuses, [481])
        self.assertEqual(bench.prack().statuses, [200])
        self.assertEqual(bench.heard, [ProgressAck()])
        self.assertEqual(bench.tx.statuses, [180, 183])
        self.assertEqual(bench.prack().statuses, [200])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        bench.end(Reason.BUSY)
        self.assertEqual((bench.tx.statuses[-1], bench.clock.getDelayedCalls()), (486, []))

    def test_progress_is_bounded(self) -> None:
        """A page that rings and rings while no PRACK comes fills no memory."""
        bench = self.bench
        for _ in range(PROGRESS_LIMIT + 10):
            bench.leg.deliver(RINGING)
        for _ in range(PROGRESS_LIMIT):
            bench.prack()
        self.assertEqual(bench.tx.statuses, [180] * (PROGRESS_LIMIT + 1))
        bench.end(Reason.DECLINED)

    def test_offer_in_prack(self) -> None:
        """A caller that already has its answer may offer again in the PRACK, and is answered in its 200."""
        bench = self.bench
        bench.leg.deliver(EARLY)
        prack = bench.prack("more")
        self.assertEqual((bench.heard, prack.statuses), ([Update(Description(Kind.OFFER, "more"))], []))
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "yes")))
        self.assertEqual((prack.statuses, prack.responses[-1].body), ([200], b"yes"))
        bench.end(Reason.BUSY)

    def test_offer_in_a_late_prack(self) -> None:
        """The same while the page has answered already: both get their answers."""
        for taken in (True, False):
            bench = self.answering()
            prack = bench.prack("more")
            self.assertIs(bench.state, State.ACCEPTED)
            bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "yes")) if taken else UpdateReject(Reason.MEDIA))
            self.assertEqual(prack.statuses, [200 if taken else 488])
            self.walked = bench.walked
            bench.ack()
            bench.end()
            self.bench = UasBench() if taken else bench
            self.bench.walked |= self.walked

    def test_slow_change_while_answering(self) -> None:
        """An UPDATE whose answer takes its time is answered, though the page has answered the call meanwhile."""
        for taken in (True, False):
            bench = self.bench
            bench.leg.deliver(EARLY)
            bench.prack()
            update = bench.request("UPDATE", "more")
            bench.leg.deliver(Progress(Stage.SESSION, Description(Kind.PRANSWER, "early")))
            bench.leg.deliver(FINAL)
            bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "yes")) if taken else UpdateReject(Reason.MEDIA))
            self.assertEqual(update.statuses, [200 if taken else 488])
            bench.end(Reason.BUSY)
            walked = bench.walked
            self.bench = UasBench()
            self.bench.walked |= walked

    def test_never_pracked(self) -> None:
        bench = self.bench
        bench.leg.deliver(RINGING)
        bench.clock.pump([0.5] * 64)
        self.assertEqual(bench.tx.statuses, [180] * 7 + [504])
        self.assertEqual((bench.heard, bench.port.dialogs), ([End(Reason.TIMEOUT)], {}))

    def test_overload_says_when_to_come_back(self) -> None:
        """A 503 names a time, which keeps the core from trying at once; another refusal names none."""
        for reason, named in ((Reason.OVERLOADED, True), (Reason.BUSY, False)):
            bench = UasBench()
            bench.end(reason)
            retry = bench.tx.responses[-1].get("retry-after")
            self.assertEqual(retry is not None and 5 <= int(retry) < 10, named)

    def test_early_changes(self) -> None:
        """No second offer while the first is unanswered; afterwards it is the parent's to answer."""
        bench = self.bench
        self.assertEqual(bench.request("UPDATE", "new").statuses, [500])
        self.assertEqual(bench.request("UPDATE").statuses, [200])
        bench.leg.deliver(EARLY)
        self.assertEqual(bench.request("UPDATE", "new").statuses, [500])
        bench.prack()
        tx = bench.request("UPDATE", "new")
        self.assertEqual(bench.heard[-1], Update(Description(Kind.OFFER, "new")))
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "newer")))
        self.assertEqual(tx.statuses, [200])
        tx = bench.request("UPDATE", "bad")
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        self.assertEqual(tx.statuses, [488])
        bench.cancel()
        self.assertEqual((bench.tx.statuses[-1], bench.heard[-1]), (487, End(Reason.CANCELLED)))

    def test_bye_while_ringing(self) -> None:
        bench = self.bench
        self.assertEqual(bench.request("BYE").statuses, [200])
        self.assertEqual((bench.tx.statuses, bench.heard), ([487], [End(Reason.CANCELLED)]))

    def test_answer_waits_for_the_prack(self) -> None:
        bench = self.answering()
        self.assertEqual(bench.request("UPDATE", "new").statuses, [500])
        self.assertEqual(bench.request("UPDATE").statuses, [200])
        self.assertEqual((bench.state, bench.tx.statuses), (State.ANSWERING, [183]))
        bench.prack()
        self.assertEqual((bench.state, bench.tx.statuses), (State.ACCEPTED, [183, 200]))
        self.assertEqual(bench.tx.responses[-1].body, b"early")
        bench.ack()

    def test_ended_while_answering(self) -> None:
        """Whoever ends the call while the 200 waits: it is refused, and nothing repeats."""
        for end, status in (
            (lambda bench: bench.end(), 480),
            (lambda bench: bench.cancel(), 487),
            (lambda bench: bench.request("BYE"), 487),
            (lambda bench: bench.clock.pump([0.5] * 64), 504),
        ):
            self.bench, walked = UasBench(), self.bench.walked
            self.answering().walked |= walked
            end(self.bench)
            self.assertEqual((self.bench.state, self.bench.tx.statuses[-1]), (State.ENDED, status))
            self.assertEqual((self.bench.clock.getDelayedCalls(), self.bench.port.dialogs), ([], {}))

    def test_waiting_for_the_ack(self) -> None:
        """A late PRACK still finds its 1xx, a change waits, the ACK brings an answer where there was none."""
        self.bench = bench = UasBench(None)
        bench.leg.deliver(RINGING)
        bench.leg.deliver(FINAL)
        self.assertEqual(bench.prack().statuses, [200])
        self.assertEqual(bench.request("UPDATE", "new").statuses, [491])
        bench.clock.advance(0.5)
        self.assertEqual(bench.tx.statuses, [180, 200, 200])
        bench.ack("theirs")
        self.assertEqual(bench.heard[-1], Confirm(Description(Kind.ANSWER, "theirs")))
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_never_acked(self) -> None:
        bench = self.accepted()
        bench.clock.pump([0.5] * 64)
        self.assertEqual((bench.heard, bench.sent), ([End(Reason.TIMEOUT)], ["BYE"]))
        bench.silence_last()
        self.assertEqual((bench.state, bench.port.dialogs), (State.ENDED, {}))

    def test_bye_before_the_ack(self) -> None:
        bench = self.accepted()
        self.assertEqual(bench.request("BYE").statuses, [200])
        self.assertEqual((bench.heard, bench.clock.getDelayedCalls()), ([End(Reason.HANGUP)], []))

    def test_abandoned(self) -> None:
        """Hung up before the ACK: BYE waits for it, or for the end of waiting, unless the peer's BYE comes first."""
        bench = self.accepted()
        bench.end()
        self.assertEqual(bench.request("PRACK").statuses, [481])
        self.assertEqual(bench.request("UPDATE", "new").statuses, [481])
        self.assertEqual(bench.sent, [])
        bench.ack()
        self.assertEqual((bench.sent, bench.state), (["BYE"], State.LEAVING))
        for _ in range(2):
            self.bench, walked = UasBench(), self.bench.walked
            self.accepted().walked |= walked
            self.bench.end()
        self.bench.clock.pump([0.5] * 64)
        self.assertEqual(self.bench.sent, ["BYE"])
        other, self.bench = self.bench, UasBench()
        self.accepted().end()
        self.assertEqual(self.bench.request("BYE").statuses, [200])
        self.assertEqual((self.bench.state, self.bench.port.dialogs), (State.ENDED, {}))
        self.bench.walked |= other.walked

    def test_talking(self) -> None:
        bench = self.talking()
        self.assertEqual(bench.request("PRACK").statuses, [481])
        tx = bench.request("INVITE", "hold")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "held")))
        bench.ack()
        tx = bench.request("UPDATE", "bad")
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        self.assertEqual(tx.statuses, [488])
        self.assertEqual(bench.request("OPTIONS").statuses, [200])
        self.assertEqual(bench.request("MESSAGE").statuses, [405])
        self.assertEqual(bench.request("BYE").statuses, [200])
        for method in ("BYE", "UPDATE", "PRACK"):
            self.assertEqual(bench.request(method).statuses, [481])
        self.assertEqual((bench.state, bench.heard[-1]), (State.ENDED, End(Reason.HANGUP)))

    def test_change_never_acked(self) -> None:
        bench = self.talking()
        bench.request("INVITE", "hold")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "held")))
        bench.clock.pump([0.5] * 64)
        self.assertEqual((bench.heard[-1], bench.sent), (End(Reason.TIMEOUT), ["BYE"]))

    def test_leaving(self) -> None:
        bench = self.talking()
        bench.end()
        self.assertEqual(bench.request("BYE").statuses, [200])
        self.assertEqual(bench.request("UPDATE", "new").statuses, [481])
        self.assertEqual(bench.request("PRACK").statuses, [481])
        bench.answer_last()
        self.assertEqual((bench.state, bench.port.dialogs), (State.ENDED, {}))

    def test_view(self) -> None:
        """The inspector sees who is there, where it stands, what was said; no description."""
        view = self.talking().leg.view()
        self.assertEqual((view.kind, view.peer, view.state), ("sip", "sip:echo@ims.test", "talking"))
        self.assertEqual(view.last, ("<- INVITE", "-> 200", "<- ACK"))
        self.assertEqual(view.details, {"profile": "main", "call-id": "c1"})

    def test_every_row(self) -> None:
        """The tests above, and those of what else a leg may meet, walk each row of the table."""
        walked = set()
        for case in walk(IncomingTests, test_sipcaller.IncomingTests, test_siprefer.IncomingTests):
            assert isinstance(case, IncomingTests | test_sipcaller.IncomingTests | test_siprefer.IncomingTests)
            walked |= case.bench.walked
        for cancelled in walk(CancelledTests):
            assert isinstance(cancelled, CancelledTests)
            walked |= cancelled.walked
        self.assertEqual({str(row) for row in rows(INCOMING) - walked}, set())
