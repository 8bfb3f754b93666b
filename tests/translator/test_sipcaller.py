"""Calls that we are given, by the caller's profile and capabilities: preconditions, early sound, changes before the
answer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Event,
    Info,
    Kind,
    Progress,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.translator.sipstate import State
from tests.translator.sipbench import SipBench, UasBench

ALLOW = "INVITE, ACK, BYE, UPDATE"
IMS = PeerProfile(preconditions=True)
NEW = Update(Description(Kind.OFFER, "new"))
CONFLICT = UpdateReject(Reason.CONFLICT)
PRANSWER = Description(Kind.PRANSWER, "early")
FINAL = Accept(Description(Kind.ANSWER, "final"))
MANDATORY = "v=0\r\na=des:qos mandatory local sendrecv\r\n"


class IncomingTests(SynchronousTestCase):
    """Calls that we are given; each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UasBench()

    def use(self, bench: UasBench) -> UasBench:
        """Another bench, which remembers what the last one met."""
        bench.walked |= self.bench.walked
        self.bench = bench
        return bench

    def conditional(self, peer: PeerProfile = IMS, *headers: tuple[str, str]) -> UasBench:
        """A caller with preconditions, which takes UPDATE."""
        headers = (("allow", ALLOW), *headers)
        return self.use(UasBench(supported="100rel, precondition", peer=peer, headers=headers))

    def described(self) -> UasBench:
        """The caller has the gateway's early answer, and has acknowledged it."""
        bench = self.conditional()
        bench.leg.deliver(Progress(Stage.TRYING, PRANSWER))
        bench.prack()
        return bench

    def test_preconditions(self) -> None:
        """A caller with preconditions is answered before anybody rings, says when it is ready, hears it ring."""
        bench = self.described()
        first = bench.tx.responses[0]
        self.assertEqual((first.status, first.body), (183, b"early"))
        self.assertEqual(first.get("p-preferred-identity"), "<sip:alice@ims.test>")
        self.assertEqual((first.get("require"), first.get("supported")), ("100rel", "100rel, precondition"))
        update = bench.request("UPDATE", "ready")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "met")))
        self.assertEqual((update.statuses, update.responses[0].body), ([200], b"met"))
        bench.leg.deliver(Progress(Stage.RINGING))
        bench.prack()
        bench.leg.deliver(FINAL)
        self.assertEqual(bench.tx.statuses, [183, 180, 200])
        # What the UPDATE has replaced is not said once more.
        self.assertEqual([response.body for response in bench.tx.responses[1:]], [b"", b""])
        bench.ack()

    def test_early_answer_unreliably(self) -> None:
        """A caller without 100rel has the early answer in a plain 183, and the same one in the 200."""
        bench = self.use(UasBench(supported="precondition", peer=IMS))
        bench.leg.deliver(Progress(Stage.TRYING))
        bench.leg.deliver(Progress(Stage.TRYING, PRANSWER))
        bench.leg.deliver(FINAL)
        self.assertEqual([(one.status, one.body) for one in bench.tx.responses], [(183, b"early"), (200, b"early")])
        self.assertIsNone(bench.tx.responses[0].get("require"))
        bench.ack()

    def test_early_sound(self) -> None:
        """Inside the trust domain, a caller that reads it is told whether sound comes before the answer."""
        reads = ("p-early-media", "supported")
        for trusted, headers, event, told in (
            (True, (reads,), Progress(Stage.TRYING, PRANSWER), "inactive"),
            (True, (reads,), Progress(Stage.SESSION, PRANSWER), "sendrecv"),
            (True, (reads,), Progress(Stage.SESSION, PRANSWER, sounds=False), "inactive"),
            (True, (reads,), Progress(Stage.RINGING), None),
            (True, (), Progress(Stage.SESSION, PRANSWER), None),
            (False, (reads,), Progress(Stage.SESSION, PRANSWER), None),
        ):
            bench = self.conditional(IMS, *headers)
            bench.port.trusted = trusted
            bench.leg.deliver(event)
            self.assertEqual(bench.tx.responses[0].get("p-early-media"), told)
            bench.end(Reason.BUSY)

    def test_mandatory_offer_of_ours(self) -> None:
        """An offer in our answer that has mandatory preconditions requires them to be understood."""
        bench = self.use(UasBench(None, "100rel, precondition", IMS))
        bench.leg.deliver(Progress(Stage.SESSION, Description(Kind.OFFER, MANDATORY)))
        self.assertEqual(bench.tx.responses[0].values("require"), ["precondition", "100rel"])
        bench.end(Reason.BUSY)

    def test_change_before_the_answer(self) -> None:
        """Ours goes by UPDATE once the first offer is answered, else it must wait."""
        bench = self.described()
        bench.leg.deliver(NEW)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.answer_last(200, "yes")
        self.assertEqual(bench.heard[-1], UpdateAccept(Description(Kind.ANSWER, "yes")))
        bench.leg.deliver(FINAL)
        self.assertEqual(bench.tx.responses[-1].body, b"")
        bench.ack()
        bench = self.conditional()
        bench.leg.deliver(NEW)
        bench.leg.deliver(Progress(Stage.TRYING, PRANSWER))
        bench.leg.deliver(FINAL)
        bench.leg.deliver(NEW)
        self.assertEqual(bench.request("INFO").statuses, [200])
        bench.prack()
        bench.leg.deliver(NEW)
        self.assertEqual(bench.request("INFO").statuses, [200])
        conflicts = [event for event in bench.heard if event == CONFLICT]
        self.assertEqual((len(conflicts), bench.sent), (3, []))
        bench.ack()

    def test_update_before_the_ack(self) -> None:
        """After our early answer the caller's UPDATE may cross our 200; a re-INVITE may not."""
        bench = self.described()
        bench.leg.deliver(FINAL)
        update = bench.request("UPDATE", "ready")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "met")))
        self.assertEqual(update.statuses, [200])
        self.assertEqual(bench.request("INVITE", "hold").statuses, [491])
        bench.ack()

    def test_lost(self) -> None:
        """A caller that knows nothing of the call any more: refused, or ended as soon as may be."""
        gone = End(Reason.GONE, status=481)
        more = Progress(Stage.SESSION, PRANSWER)
        for events, status, state in (
            ((), 481, State.ENDED),
            ((more, FINAL), 481, State.ENDED),
            ((FINAL,), 200, State.ABANDONED),
        ):
            bench = self.described()
            bench.leg.deliver(NEW)
            tx = bench.port.asked[-1]
            for event in events:
                self.deliver(bench, event)
            bench.answer(tx, 481)
            self.assertEqual((bench.heard[-1], bench.tx.statuses[-1], bench.state), (gone, status, state))
            if state is State.ABANDONED:
                self.assertEqual(bench.request("INFO").statuses, [481])
                bench.ack()

    @staticmethod
    def deliver(bench: SipBench, event: Event) -> None:
        bench.leg.deliver(event)

    def test_talking(self) -> None:
        """The same in a call that stands, and keys both ways."""
        bench = self.use(UasBench())
        self.assertEqual(bench.request("INFO").statuses, [200])
        bench.leg.deliver(FINAL)
        bench.ack()
        bench.leg.deliver(Confirm())
        bench.leg.deliver(Info("5"))
        bench.answer_last()
        self.assertEqual(bench.request("INFO").statuses, [200])
        bench.leg.deliver(NEW)
        bench.answer_last(408)
        self.assertEqual((bench.heard[-1], bench.sent[-1]), (End(Reason.TIMEOUT, status=408), "BYE"))
        self.assertEqual(bench.request("INFO").statuses, [481])
        bench.answer_last()
        self.assertEqual(bench.request("INFO").statuses, [481])
