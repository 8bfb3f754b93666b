"""Re-INVITE and UPDATE in every state of a call, sent and received: what each is answered, and who hears of it.

received    the columns of `RECEIVED`: re-INVITE and UPDATE, each with an offer and without
sent        `Update` delivered in the same states
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Description, End, Kind, Progress, Stage, Update, UpdateAccept, UpdateReject
from rtcgw.model.reason import Reason
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Request
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator.sipstate import State
from tests.translator.sipbench import SipBench, Tx, UacBench, UasBench

UPDATES = "INVITE, ACK, BYE, UPDATE"
ANSWER, PRANSWER = Description(Kind.ANSWER, "ours"), Description(Kind.PRANSWER, "ours")
NEW = Update(Description(Kind.OFFER, "new"))


# -- the states --------------------------------------------------------------------------------


def ringing() -> SipBench:
    """We call; the callee rings and has not described itself."""
    bench = UacBench()
    bench.setup()
    bench.response(180, allow=UPDATES)
    return bench


def settled() -> SipBench:
    """We call; the callee has answered our offer in a reliable 183."""
    bench = UacBench()
    bench.setup()
    bench.response(183, "early", rseq=1, allow=UPDATES)
    return bench


def cancelling() -> SipBench:
    """We have called, and given up."""
    bench = ringing()
    bench.end()
    return bench


def owing() -> SipBench:
    """Answered, and our ACK waits for the page (the literal ladder)."""
    bench = UacBench(patent=True)
    bench.setup()
    bench.response(200, "final", allow=UPDATES)
    return bench


def talking() -> SipBench:
    """A call that we placed."""
    bench = UacBench()
    bench.setup()
    bench.response(200, "final", allow=UPDATES)
    return bench


def leaving() -> SipBench:
    """We have said BYE."""
    bench = talking()
    bench.end()
    return bench


def called(supported: str = "100rel") -> UasBench:
    return UasBench(supported=supported, headers=(("allow", UPDATES),))


def offered() -> SipBench:
    """We are called; nothing is answered."""
    bench = called()
    bench.leg.deliver(Progress(Stage.RINGING))
    bench.prack()
    return bench


def offered_settled() -> SipBench:
    """We are called; the offer is answered in a reliable 183, and its PRACK is there."""
    bench = called()
    bench.leg.deliver(Progress(Stage.SESSION, PRANSWER))
    bench.prack()
    return bench


def answering() -> SipBench:
    """We have answered; the 200 waits for the PRACK."""
    bench = called()
    bench.leg.deliver(Progress(Stage.SESSION, PRANSWER))
    bench.leg.deliver(Accept(ANSWER))
    return bench


def unacked() -> SipBench:
    """Our 200 is out, the ACK has not come."""
    bench = called()
    bench.leg.deliver(Accept(ANSWER))
    return bench


def unacked_settled() -> SipBench:
    """The same; the offer was answered before, in a reliable 183."""
    bench = offered_settled()
    bench.leg.deliver(Accept(ANSWER))
    return bench


def abandoned() -> SipBench:
    """Hung up before the ACK."""
    bench = unacked()
    bench.end()
    return bench


def taken() -> SipBench:
    """A call that we took."""
    bench = unacked()
    bench.ack()
    return bench


def ended() -> SipBench:
    """It is over."""
    bench = taken()
    bench.request("BYE")
    return bench


PASSED = 0
"""Passed on: whoever holds the leg decides."""
RECEIVED: dict[Callable[[], SipBench], tuple[int, int, int, int]] = {
    # state: re-INVITE with and without an offer, UPDATE with and without
    ringing: (491, 491, 491, 200),
    settled: (491, 491, PASSED, 200),
    cancelling: (481, 481, 481, 481),
    owing: (491, 491, 491, 491),
    talking: (PASSED, PASSED, PASSED, 200),
    leaving: (481, 481, 481, 481),
    offered: (500, 500, 500, 200),
    offered_settled: (500, 500, PASSED, 200),
    answering: (500, 500, 500, 200),
    unacked: (491, 491, 491, 200),
    unacked_settled: (491, 491, PASSED, 200),
    abandoned: (481, 481, 481, 481),
    taken: (PASSED, PASSED, PASSED, 200),
    ended: (481, 481, 481, 481),
}
SENT: dict[Callable[[], SipBench], str] = {
    ringing: "",
    settled: "UPDATE new",
    owing: "",
    talking: "UPDATE new",
    offered: "",
    offered_settled: "UPDATE new",
    answering: "",
    unacked: "",
    taken: "UPDATE new",
}
"""What a wish for a change sends; empty: nothing, and it is refused as a conflict."""


class MatrixTests(SynchronousTestCase):
    def test_received(self) -> None:
        """Every change that a peer may ask for, in every state: passed on, answered, or told to wait."""
        kinds = (("INVITE", "new"), ("INVITE", None), ("UPDATE", "new"), ("UPDATE", None))
        for state, expected in RECEIVED.items():
            for (method, sdp), status in zip(kinds, expected, strict=True):
                bench = state()
                bench.heard.clear()
                tx = bench.request(method, sdp)
                what = f"{state.__name__}: {method} {sdp}"
                self.assertEqual(tx.statuses, [status] if status else [], what)
                offer = None if sdp is None else Description(Kind.OFFER, sdp)
                self.assertEqual(bench.heard, [] if status else [Update(offer)], what)
                waits = tx.responses[0].get("retry-after") if status == 500 else "0"
                self.assertIn(int(waits or "-1"), range(11), what)

    def test_sent(self) -> None:
        """Every state in which a change is wanted: UPDATE before the answer, and only where an offer may go."""
        for state, said in SENT.items():
            bench = state()
            bench.heard.clear()
            before = len(bench.sent)
            bench.leg.deliver(NEW)
            self.assertEqual(bench.sent[before:], [said] if said else [], state.__name__)
            self.assertEqual(bench.heard, [] if said else [UpdateReject(Reason.CONFLICT)], state.__name__)

    def test_nobody_decides(self) -> None:
        """A page that does not answer in time: 504 to UPDATE, whose sender may try by re-INVITE; 488 to that."""
        for method, status in (("UPDATE", 504), ("INVITE", 488)):
            bench = talking()
            tx = bench.request(method, "new")
            bench.leg.deliver(UpdateReject(Reason.TIMEOUT))
            self.assertEqual((tx.statuses, bench.state), ([status], State.TALKING))

    def test_hung_up_with_theirs_open(self) -> None:
        """BYE of either side while the peer's change is open: it is answered, and nobody hears of it any more."""
        for state in (talking, taken):
            bench = state()
            tx = bench.request("INVITE", "new")
            bench.end()
            self.assertEqual(tx.statuses, [487])
            bench.leg.deliver(UpdateAccept(ANSWER))
            self.assertEqual((tx.statuses, bench.sent[-1]), ([487], "BYE"))
            bench = state()
            tx = bench.request("UPDATE", "new")
            self.assertEqual(bench.request("BYE").statuses, [200])
            self.assertEqual((tx.statuses, bench.heard[-1]), ([487], End(Reason.HANGUP)))
            self.assertEqual(bench.clock.getDelayedCalls(), [])


class TargetTests(SynchronousTestCase):
    """Where our requests go: a change moves the peer when it is taken, not before (RFC 3261 §12.2.2, RFC 6141 §5.4)."""

    MOVED = ("contact", "<sip:moved@127.0.0.1>")
    STAYS = "sip:echo@127.0.0.1:5061"

    def target(self, bench: SipBench) -> str:
        assert bench.leg.dialog is not None
        return str(bench.leg.dialog.remote_target)

    def test_taken(self) -> None:
        """A change that we take moves the peer with our 2xx; until then the old address holds."""
        for method in ("INVITE", "UPDATE"):
            bench = talking()
            bench.request(method, "new", self.MOVED)
            self.assertEqual(self.target(bench), self.STAYS)
            bench.leg.deliver(UpdateAccept(ANSWER))
            self.assertEqual(self.target(bench), "sip:moved@127.0.0.1")

    def test_refreshed(self) -> None:
        """An UPDATE without an offer, before the answer too, moves it at once: it is answered at once."""
        for state in (talking, taken, unacked):
            bench = state()
            bench.request("UPDATE", None, self.MOVED)
            self.assertEqual(self.target(bench), "sip:moved@127.0.0.1")
        bench = ringing()
        bench.request("UPDATE", None, self.MOVED)
        (early,) = bench.leg.early.all()
        self.assertEqual(str(early.remote_target), "sip:moved@127.0.0.1")

    def test_refused(self) -> None:
        """One that is refused, postponed, or crossed by ours, moves nobody."""
        bench = talking()
        bench.request("INVITE", "new", self.MOVED)
        bench.request("UPDATE", "more", self.MOVED)
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        bench.leg.deliver(NEW)
        bench.request("INVITE", "new", self.MOVED)
        self.assertEqual(self.target(bench), self.STAYS)

    def test_unreadable(self) -> None:
        """A Contact that cannot be read is refused before anything moves."""
        bench = talking()
        with self.assertRaises(HeaderError):
            bench.request("INVITE", "new", ("contact", "<<<"))
        self.assertEqual(bench.heard[1:], [])


class CancelledTests(SynchronousTestCase):
    """The peer cancels its re-INVITE."""

    def setUp(self) -> None:
        self.walked: set[tuple[State, object]] = set()

    def cancelled(self, bench: SipBench) -> tuple[SipBench, Tx]:
        bench.walked = self.walked
        bench.heard.clear()
        tx = bench.request("INVITE", "new")
        bench.leg.got_cancel(cast(ServerTransaction, tx), Request("CANCEL", tx.request.uri))
        return bench, tx

    def test_told(self) -> None:
        """Whoever decides is told; 487 goes when the change is called off."""
        for state in (talking, taken):
            bench, tx = self.cancelled(state())
            self.assertEqual((bench.heard[1:], tx.statuses), ([UpdateReject(Reason.CANCELLED)], []))
            bench.leg.deliver(UpdateReject(Reason.CANCELLED))
            self.assertEqual((tx.statuses, bench.state), ([487], State.TALKING))
            bench.leg.got_cancel(cast(ServerTransaction, tx), Request("CANCEL", tx.request.uri))
            self.assertEqual(len(bench.heard), 2)

    def test_too_late(self) -> None:
        """What is decided already goes as a 200: CANCEL has no effect then (RFC 3261 §9.2)."""
        bench, tx = self.cancelled(talking())
        bench.leg.deliver(UpdateAccept(ANSWER))
        bench.leg.got_cancel(cast(ServerTransaction, tx), Request("CANCEL", tx.request.uri))
        self.assertEqual((tx.statuses, len(bench.heard)), ([200], 2))
        bench.ack()
