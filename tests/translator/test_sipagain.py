"""Calls that we place, by the phone's profile and capabilities: second tries, preconditions, early sound, changes
before the answer."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Info,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Setup,
    Stage,
    Unacceptable,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.message import Request
from rtcgw.translator.sipdialog import FORK_LIMIT
from rtcgw.translator.sipstate import State
from tests.translator.sipbench import UacBench

ALLOW = "INVITE, ACK, BYE, UPDATE"
IMS = PeerProfile(preconditions=True)
NEW = Update(Description(Kind.OFFER, "new"))
CONFLICT = UpdateReject(Reason.CONFLICT)
PRANSWER = Description(Kind.PRANSWER, "early")
FINAL = Accept(Description(Kind.ANSWER, "final"))
MANDATORY = "v=0\r\na=des:qos mandatory local sendrecv\r\n"


def again(sdp: str) -> Setup:
    return Setup(
        Identity("sip:alice@ims.test"), Identity("sip:echo@ims.test"), Description(Kind.OFFER, sdp), (("X-A", "1"),)
    )


class OutgoingTests(SynchronousTestCase):
    """Calls that we place; each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UacBench()

    def use(self, bench: UacBench) -> UacBench:
        """Another bench, which remembers what the last one met."""
        bench.walked |= self.bench.walked
        self.bench = bench
        return bench

    def refused(self, status: int = 488, peer: PeerProfile = PLAIN_PEER, unsupported: str = "") -> UacBench:
        bench = self.use(UacBench(peer))
        bench.setup()
        bench.response(status, unsupported=unsupported)
        return bench

    def invite(self) -> Request:
        assert self.bench.leg.invite is not None
        return self.bench.leg.invite

    # -- the second try --------------------------------------------------------------------

    def test_second_try(self) -> None:
        """Every refusal of what was offered may be followed by another offer, in the same call."""
        for status in (415, 420, 488, 580, 606):
            bench = self.refused(status)
            self.assertEqual(bench.heard, [Unacceptable(from_status(status), None, status)])
            self.assertIs(bench.state, State.REFUSED_ONCE)
            first = self.invite()
            bench.leg.deliver(again("other"))
            self.assertEqual(bench.sent, ["INVITE offer", "INVITE other"])
            second = self.invite()
            for name in ("call-id", "from", "to"):
                self.assertEqual(second.get(name), first.get(name))
            self.assertEqual(second.cseq.number, first.cseq.number + 1)
            self.assertEqual(second.get("x-a"), "1")
            bench.response(200, "final")
            self.assertEqual((bench.sent[-1], bench.heard[-1]), ("ACK", FINAL))

    def test_refused_twice(self) -> None:
        """Refused again it may be tried again or ended: that is the parent's to say."""
        bench = self.refused()
        bench.leg.deliver(again("other"))
        bench.response(488)
        self.assertEqual(len(bench.heard), 2)
        bench.end(Reason.MEDIA)
        self.assertEqual((bench.state, bench.sent), (State.ENDED, ["INVITE offer", "INVITE other"]))
        self.assertEqual((bench.port.dialogs, bench.clock.getDelayedCalls()), ({}, []))

    def test_early_dialogs_are_void(self) -> None:
        """Nothing of the first try is left; what still comes from it matches nothing."""
        bench = self.use(UacBench())
        bench.setup()
        bench.response(183, "early", rseq=7, allow=ALLOW)
        bench.leg.deliver(NEW)
        bench.response(580)
        self.assertEqual(bench.port.dialogs, {})
        self.assertEqual([type(event) for event in bench.heard[1:]], [UpdateReject, Unacceptable])
        for method in ("BYE", "PRACK", "UPDATE", "INFO"):
            self.assertEqual(bench.request(method).statuses, [481])
        bench.leg.deliver(NEW)
        self.assertEqual(bench.heard[-1], CONFLICT)
        bench.leg.deliver(ProgressAck())
        self.assertEqual(bench.heard[-1], ProgressAcked())
        bench.response(200, "fork", tag="fork")
        self.assertEqual(bench.sent[-2:], ["ACK", "BYE"])
        bench.leg.deliver(again("other"))
        bench.response(183, "other", rseq=1)
        self.assertEqual(bench.heard[-1], Progress(Stage.SESSION, Description(Kind.PRANSWER, "other")))

    def test_refused_options(self) -> None:
        """What a 420 names is not said again."""
        bench = self.refused(420, IMS, unsupported="precondition, Timer")
        self.assertEqual(self.invite().get("supported"), "100rel, precondition")
        bench.leg.deliver(again(MANDATORY))
        self.assertEqual((self.invite().get("supported"), self.invite().get("require")), ("100rel", None))
        bench = self.refused(420, unsupported="100rel")
        bench.leg.deliver(again("other"))
        self.assertIsNone(self.invite().get("supported"))
        bench = self.refused(420, unsupported='"')
        bench.leg.deliver(again("other"))
        self.assertEqual(self.invite().get("supported"), "100rel")

    def test_fallback_profile(self) -> None:
        """The second try is made as the profile's fallback says."""
        bench = self.refused(580, evolve(IMS, fallback=PLAIN_PEER))
        bench.leg.deliver(again("other"))
        self.assertEqual(self.invite().get("supported"), "100rel")
        bench.response(200, "final")
        tx = bench.request("UPDATE")
        self.assertEqual(tx.responses[0].get("supported"), "100rel")

    def test_second_address_unusable(self) -> None:
        """A second set-up that names nobody ends the call."""
        bench = self.refused()
        bench.leg.deliver(evolve(again("other"), callee=Identity("nowhere")))
        self.assertEqual((bench.heard[-1], bench.state), (End(Reason.NOT_FOUND), State.ENDED))

    def test_given_up_and_refused(self) -> None:
        """A refusal that crosses our CANCEL only ends the call."""
        bench = self.use(UacBench())
        bench.setup()
        bench.end(Reason.CANCELLED)
        self.assertEqual(bench.request("INFO").statuses, [481])
        bench.response(488)
        self.assertEqual((bench.heard, bench.state), ([], State.ENDED))

    # -- preconditions and early sound ------------------------------------------------------

    def test_preconditions(self) -> None:
        """Mandatory ones are required, but only of a peer whose profile has them."""
        for peer, sdp, required in ((IMS, MANDATORY, "precondition"), (IMS, "o", None), (PLAIN_PEER, MANDATORY, None)):
            bench = self.use(UacBench(peer))
            bench.setup(sdp)
            self.assertEqual(self.invite().get("require"), required)

    def test_resources_ready(self) -> None:
        """The callee's UPDATE that its resources are there is answered before it rings (RFC 3312 §5)."""
        bench = self.use(UacBench(IMS))
        bench.setup(MANDATORY)
        bench.response(183, "early", rseq=7, require="precondition, 100rel")
        bench.answer_last()
        update = bench.request("UPDATE", "ready")
        self.assertEqual(bench.heard[-1], Update(Description(Kind.OFFER, "ready")))
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "met")))
        self.assertEqual((update.statuses, update.responses[0].body), ([200], b"met"))
        self.assertEqual(update.responses[0].get("supported"), "100rel, precondition")
        bench.response(200, "early")
        self.assertEqual(bench.heard[-1], Accept(Description(Kind.ANSWER, "ready")))

    def test_answered_after_a_change(self) -> None:
        """A 200 that repeats an early answer does not undo what has been agreed since, in the fork that answers."""
        for tag, sdp in (("one", "yes"), ("two", "final")):
            bench = self.use(UacBench())
            bench.setup()
            for fork in ("one", "two"):
                bench.response(183, f"early {fork}", rseq=7, tag=fork, allow=ALLOW)
            bench.leg.deliver(NEW)
            bench.answer_last(200, "yes")
            bench.response(200, "final", tag=tag)
            self.assertEqual(bench.heard[-1], Accept(Description(Kind.ANSWER, sdp)))
        bench = self.use(UacBench())
        bench.setup(None)
        bench.response(183, "offer", rseq=7)
        bench.leg.deliver(ProgressAck(Description(Kind.ANSWER, "ours")))
        bench.request("UPDATE", "more")
        bench.leg.deliver(UpdateAccept(Description(Kind.ANSWER, "yes")))
        bench.response(200, "offer")
        self.assertEqual((bench.heard[-1], bench.sent[-1]), (Accept(), "ACK"))

    def test_early_sound(self) -> None:
        """P-Early-Media tells whether the network sounds; the first media's direction counts (RFC 5009)."""
        for value, sounds in (
            ("sendrecv", True),
            ("SendOnly;x", True),
            ("recvonly", False),
            ("gated, inactive, sendrecv", False),
            ("supported", None),
            ("", None),
        ):
            bench = self.use(UacBench())
            bench.setup()
            bench.response(180, p_early_media=value)
            self.assertEqual(bench.heard, [Progress(Stage.RINGING, sounds=sounds)])
        bench.response(183)
        self.assertEqual(len(bench.heard), 1)
        bench.response(183, p_early_media="sendonly")
        self.assertEqual(bench.heard[1:], [Progress(Stage.SESSION, sounds=True)])

    def test_sound_of_another_fork(self) -> None:
        """Once one phone is heard, another one's word about sound does not count."""
        bench = self.use(UacBench())
        bench.setup()
        bench.response(183, "early", tag="one", p_early_media="sendrecv")
        bench.response(183, "other", tag="two", p_early_media="inactive")
        bench.response(180, tag="two", p_early_media="inactive")
        self.assertEqual(bench.heard, [Progress(Stage.SESSION, PRANSWER, sounds=True), Progress(Stage.RINGING)])

    # -- changes ---------------------------------------------------------------------------

    def early(self, **ladder: object) -> UacBench:
        """A ringing phone has answered our offer and takes UPDATE; ours is out."""
        bench = self.use(UacBench(**ladder))  # type: ignore[arg-type]
        bench.setup()
        bench.response(183, "early", rseq=7, allow=ALLOW)
        if bench.ladder.patent:
            bench.leg.deliver(ProgressAck())
        bench.answer_last()
        bench.leg.deliver(NEW)
        self.assertEqual(bench.sent[-1], "UPDATE new")
        return bench

    def test_lost_before_the_answer(self) -> None:
        """The phone does not know the call that it rings for: cancelled."""
        bench = self.early()
        bench.answer_last(481)
        self.assertEqual((bench.sent[-1], bench.heard[-1]), ("CANCEL", End(Reason.GONE, status=481)))
        self.assertIs(bench.state, State.CANCELLING)

    def test_lost_while_the_ack_is_owed(self) -> None:
        """The same after its 200: the ACK goes before the BYE."""
        bench = self.early(patent=True)
        tx = bench.port.asked[-1]
        bench.response(200, "final")
        bench.leg.deliver(NEW)
        self.assertEqual(bench.heard[-1], CONFLICT)
        bench.answer(tx, 481)
        self.assertEqual((bench.sent[-2:], bench.heard[-1]), (["ACK", "BYE"], End(Reason.GONE, status=481)))

    def test_answered_during_their_change(self) -> None:
        """An early UPDATE whose answer takes its time is answered, though the ACK is owed meanwhile."""
        for event, status in ((UpdateAccept(Description(Kind.ANSWER, "yes")), 200), (UpdateReject(Reason.MEDIA), 488)):
            bench = self.use(UacBench(patent=True))
            bench.setup()
            bench.response(183, "early", rseq=7)
            bench.leg.deliver(ProgressAck())
            update = bench.request("UPDATE", "new")
            bench.response(200, "final")
            self.assertIs(bench.state, State.ANSWERED)
            bench.leg.deliver(event)
            self.assertEqual(update.statuses, [status])
            self.assertEqual(bench.request("INFO").statuses, [200])

    def test_talking(self) -> None:
        """A change, an answer to an offer, keys, the end of the peer's memory."""
        bench = self.use(UacBench())
        bench.setup()
        self.assertEqual(bench.request("INFO").statuses, [200])
        bench.response(200, "final")
        bench.leg.deliver(Confirm())
        bench.leg.deliver(Info("5"))
        bench.answer_last()
        self.assertEqual(bench.request("INFO").statuses, [200])
        bench.leg.deliver(NEW)
        bench.answer_last(481)
        self.assertEqual(bench.request("INFO").statuses, [481])
        bench.answer_last()
        self.assertEqual(bench.request("INFO").statuses, [481])
        self.assertEqual(bench.state, State.ENDED)

    # -- small mercies -----------------------------------------------------------------------

    def test_unwanted_fork_repeats(self) -> None:
        """A 200 of a fork that lost gets ACK and BYE, its repetitions the same ACK and no second BYE."""
        bench = self.use(UacBench())
        bench.setup()
        bench.response(200, "final")
        for _ in range(3):
            bench.response(200, "other", tag="other")
        self.assertEqual(bench.sent[2:], ["ACK", "BYE", "ACK", "ACK"])
        for number in range(FORK_LIMIT):
            bench.response(200, tag=f"t{number}")
        self.assertEqual(len(bench.leg.early.unwanted), FORK_LIMIT)

    def test_index_full(self) -> None:
        """A call whose dialog finds no place is ended at once: a BYE of the peer would find nobody."""
        bench = self.use(UacBench())
        bench.port.room = False
        bench.setup()
        bench.response(200, "final")
        self.assertEqual((bench.sent, bench.heard), (["INVITE offer", "ACK", "BYE"], [End(Reason.OVERLOADED)]))
