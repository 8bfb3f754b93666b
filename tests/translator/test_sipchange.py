"""Changes that we ask for, every row of their table."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Confirm, Description, End, Kind, Update, UpdateAccept, UpdateReject
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.transaction import Failure, ServerTransaction
from rtcgw.translator.sipasker import glare_pause
from rtcgw.translator.sipchange import ASKING, PATIENCE, TRIES
from rtcgw.translator.sipstate import Asked, State
from tests.translator.sipbench import SipBench, Tx, UacBench, UasBench, rows, walk
from tests.translator.test_siprefresh import RefreshTests
from tests.translator.test_siptimer import TooShortTests
from tests.translator.timercase import Case

NEW = Update(Description(Kind.OFFER, "new"))
UPDATES = "INVITE, ACK, BYE, UPDATE"


def answered(sdp: str) -> UpdateAccept:
    return UpdateAccept(Description(Kind.ANSWER, sdp))


class AskingTests(SynchronousTestCase):
    """Each test leaves its bench in `bench`, and what it met in `changes`."""

    def setUp(self) -> None:
        self.changes: set[tuple[Asked, object]] = set()
        self.bench: SipBench = self.talking()

    def talking(self, allow: str = "", peer: PeerProfile | None = None) -> UacBench:
        """A call that we placed; its callee takes the methods of `allow`, or has not said."""
        bench = UacBench() if peer is None else UacBench(peer)
        bench.changes = self.changes
        bench.setup()
        if allow:
            bench.response(180, allow=allow)
        bench.response(200, "final")
        bench.heard.clear()
        bench.sent.clear()
        return bench

    def asking(self, allow: str = "") -> SipBench:
        self.bench = self.talking(allow)
        self.bench.leg.deliver(NEW)
        return self.bench

    def offering(self) -> SipBench:
        """An offerless re-INVITE of ours has brought the peer's offer."""
        self.bench.leg.deliver(Update(None))
        self.bench.answer_last(200, "theirs")
        return self.bench

    # -- taken -----------------------------------------------------------------------------

    def test_by_update(self) -> None:
        """A peer whose Allow lists UPDATE is asked by UPDATE: no ACK."""
        bench = self.asking(UPDATES)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.answer_last(200, "yes", ("contact", "<sip:moved@127.0.0.1>"))
        self.assertEqual((bench.heard, bench.sent[1:]), ([answered("yes")], []))
        bench.end()
        self.assertEqual(str(bench.port.asked[-1].request.uri), "sip:moved@127.0.0.1")

    def test_by_reinvite(self) -> None:
        """Any other one by re-INVITE, whose repeated 200 gets the ACK again, after the call's end as well."""
        bench = self.asking()
        tx = bench.answer_last(200, "yes")
        self.assertEqual((bench.sent, bench.heard), (["INVITE new", "ACK"], [answered("yes")]))
        bench.answer(tx)
        bench.leg.deliver(NEW)
        bench.answer(tx)
        bench.answer_last(491)
        bench.answer(tx)
        bench.end()
        bench.answer(tx)
        self.assertEqual(bench.sent.count("ACK"), 5)
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_unreadable_contact(self) -> None:
        """A 200 that moves the peer to no address is an answer all the same, and leaves the peer where it was."""
        bench = self.asking()
        bench.answer_last(200, "yes", ("contact", "<<<"))
        self.assertEqual((bench.sent[-1], bench.heard), ("ACK", [answered("yes")]))

    def test_no_answer_in_the_200(self) -> None:
        """A peer that agrees to it knows not what has changed nothing."""
        bench = self.asking()
        bench.answer_last(200)
        self.assertEqual((bench.sent[-1], bench.heard), ("ACK", [UpdateReject(Reason.PROTOCOL)]))

    def test_reliable_progress(self) -> None:
        """A reliable 183 to a re-INVITE gets its PRACK, once; its description is the answer."""
        bench = self.asking()
        tx = bench.port.asked[-1]
        for _ in range(2):
            bench.answer(tx, 183, "early", ("require", "100rel"), ("rseq", "7"))
        bench.answer(tx, 180)
        self.assertEqual(bench.sent, ["INVITE new", "PRACK"])
        bench.answer(tx, 200, "late")
        self.assertEqual(bench.heard, [answered("early")])
        other = self.asking(UPDATES)
        other.answer_last(100)
        self.assertEqual(other.sent, ["UPDATE new"])

    def test_preconditions(self) -> None:
        """A description whose preconditions are mandatory says so in Require, towards a peer that has them."""
        sdp = "v=0\r\na=des:qos mandatory local sendrecv\r\n"
        for peer, required in ((PeerProfile(preconditions=True), "precondition"), (PeerProfile(), None)):
            bench = self.talking(peer=peer)
            bench.leg.deliver(Update(Description(Kind.OFFER, sdp)))
            self.assertEqual(bench.port.asked[-1].request.get("require"), required)

    # -- offerless -------------------------------------------------------------------------

    def test_offerless(self) -> None:
        """The peer is asked for an offer, which our ACK answers; meanwhile nothing else can be changed."""
        bench = self.offering()
        self.assertEqual(bench.heard, [UpdateAccept(Description(Kind.OFFER, "theirs"))])
        self.assertEqual(bench.request("INVITE", "hold").statuses, [491])
        bench.answer(bench.port.asked[-1], 200, "theirs")
        bench.leg.deliver(NEW)
        self.assertEqual(bench.request("UPDATE").statuses, [200])
        bench.leg.asking.ask(None, NEW)
        self.assertEqual(bench.heard[1:], [UpdateReject(Reason.CONFLICT)] * 2)
        self.assertEqual(bench.sent, ["INVITE"])
        bench.leg.deliver(Confirm(Description(Kind.ANSWER, "ours")))
        self.assertEqual(bench.sent[1:], ["ACK ours"])
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_offerless_never_answered(self) -> None:
        """An offer that nobody answers ends the call, before the peer gives up repeating it."""
        bench = self.offering()
        bench.clock.advance(30)
        self.assertEqual(bench.sent, ["INVITE", "ACK", "BYE"])
        self.assertEqual(bench.heard[1:], [End(Reason.TIMEOUT)])

    def test_offerless_and_hung_up(self) -> None:
        """The ACK goes before the BYE."""
        bench = self.offering()
        bench.end()
        self.assertEqual(bench.sent, ["INVITE", "ACK", "BYE"])

    # -- glare -----------------------------------------------------------------------------

    def test_glare(self) -> None:
        """Both ask at once: ours is put off and asked again, and given up after a few times."""
        bench = self.asking()
        self.assertEqual(bench.request("INVITE", "hold").statuses, [491])
        for _ in range(TRIES - 1):
            bench.answer_last(491)
            self.assertEqual(bench.leg.asking.machine.state, Asked.BACKING_OFF)
            bench.leg.deliver(NEW)
            bench.clock.advance(4)
        self.assertEqual(bench.sent, ["INVITE new"] * TRIES)
        bench.answer_last(491)
        self.assertEqual(bench.heard, [UpdateReject(Reason.CONFLICT)] * TRIES)
        self.assertIs(bench.state, State.TALKING)

    def test_theirs_while_backing_off(self) -> None:
        """The peer's change gets its turn; while it is open ours goes on waiting, at last in vain."""
        bench = self.asking()
        bench.answer_last(491)
        self.assertEqual(bench.request("INVITE", "hold").statuses, [])
        self.assertEqual(bench.heard, [Update(Description(Kind.OFFER, "hold"))])
        bench.leg.deliver(NEW)
        for _ in range(TRIES):
            bench.clock.advance(4)
        self.assertEqual(bench.sent, ["INVITE new"])
        self.assertEqual(bench.heard[1:], [UpdateReject(Reason.CONFLICT)] * 2)

    def test_while_theirs_is_open(self) -> None:
        """No change is asked for while the peer's is open, nor a second one while ours is."""
        for offer in (None, "hold"):
            bench: SipBench = self.talking()
            bench.request("INVITE", offer)
            bench.leg.deliver(NEW)
            self.assertEqual((bench.heard[1:], bench.sent), ([UpdateReject(Reason.CONFLICT)], []))
        bench = self.asking()
        bench.leg.deliver(NEW)
        self.assertEqual((bench.heard, bench.sent), ([UpdateReject(Reason.CONFLICT)], ["INVITE new"]))

    def test_who_waits_longer(self) -> None:
        """After a 491 a call that we placed waits 2.1 to 4 s, one that we took at most 2 s: they do not meet again."""
        for _ in range(20):
            bench = self.asking()
            bench.answer_last(491)
            bench.clock.advance(2.09)
            self.assertEqual(bench.sent, ["INVITE new"])
            bench.clock.advance(1.92)
            self.assertEqual(bench.sent, ["INVITE new"] * 2)
            taken = UasBench()
            taken.leg.deliver(Accept(Description(Kind.ANSWER, "ours")))
            taken.ack()
            taken.leg.deliver(NEW)
            taken.answer_last(491)
            taken.clock.advance(2.01)
            self.assertEqual(taken.sent, ["INVITE new"] * 2)

    def test_told_to_come_back(self) -> None:
        """A 500 with a short Retry-After is waited for; one with a long one, or none, is a refusal."""
        bench = self.asking(UPDATES)
        bench.answer_last(500, None, ("retry-after", "3 (busy)"))
        bench.clock.advance(2.9)
        self.assertEqual(bench.sent, ["UPDATE new"])
        bench.clock.advance(0.2)
        self.assertEqual(bench.sent, ["UPDATE new"] * 2)
        for wait in ("300", "soon", ""):
            bench = self.asking()
            bench.answer_last(500, None, ("retry-after", wait))
            self.assertEqual(bench.heard, [UpdateReject(Reason.SERVER)])

    def test_pauses(self) -> None:
        """Who made the Call-ID waits 2.1 to 4 s, the other at most 2 s, in steps of 10 ms (RFC 3261 §14.1)."""
        ours, theirs = [glare_pause(True) for _ in range(200)], [glare_pause(False) for _ in range(200)]
        self.assertTrue(all(2.1 <= pause <= 4.0 for pause in ours))
        self.assertTrue(all(0 <= pause <= 2.0 for pause in theirs))
        self.assertTrue(all(pause == round(pause, 2) for pause in ours + theirs))

    # -- refused ---------------------------------------------------------------------------

    def test_refused(self) -> None:
        """Whatever the refusal, the call stands as it was."""
        for status, reason in ((488, Reason.MEDIA), (603, Reason.DECLINED), (503, Reason.OVERLOADED)):
            bench = self.asking()
            bench.answer_last(status)
            self.assertEqual((bench.heard, bench.state), ([UpdateReject(reason)], State.TALKING))
            self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_not_by_update(self) -> None:
        """UPDATE refused as such, re-INVITE instead; where UPDATE is not taken at all, it is not tried again."""
        for status, later in ((504, "UPDATE new"), (405, "INVITE new"), (501, "INVITE new")):
            bench = self.asking(UPDATES)
            bench.answer_last(status)
            self.assertEqual(bench.sent, ["UPDATE new", "INVITE new"])
            bench.answer_last(200, "yes")
            bench.leg.deliver(NEW)
            self.assertEqual(bench.sent[-1], later)
        bench = self.asking()
        bench.answer_last(501)
        self.assertEqual((bench.heard, bench.sent), ([UpdateReject(Reason.SERVER)], ["INVITE new"]))

    def test_challenged(self) -> None:
        """Credentials are given once, under the next number."""
        bench = self.asking()
        bench.port.credentials = True
        bench.answer_last(407)
        self.assertEqual(bench.sent, ["INVITE new"] * 2)
        numbers = [tx.request.cseq.number for tx in bench.port.asked[-2:]]
        self.assertEqual(numbers[1], numbers[0] + 1)
        bench.answer_last(407)
        self.assertEqual(bench.heard, [UpdateReject(Reason.AUTH_FAILED)])

    def test_not_sent(self) -> None:
        """What could not be sent has changed nothing."""
        bench = self.asking()
        tx = bench.port.asked[-1]
        tx.user.got_failure(tx, Failure.TRANSPORT)
        tx.user.got_failure(tx, Failure.TRANSPORT)
        self.assertEqual((bench.heard, bench.state), ([UpdateReject(Reason.UNREACHABLE)], State.TALKING))

    def test_a_slow_person(self) -> None:
        """A re-INVITE that nobody answers is cancelled, and refused then."""
        bench = self.asking()
        bench.answer_last(180)
        bench.clock.advance(PATIENCE)
        self.assertEqual(bench.sent, ["INVITE new", "CANCEL"])
        bench.answer_last(487)
        self.assertEqual(bench.heard, [UpdateReject(Reason.CANCELLED)])

    def test_taken_back(self) -> None:
        """Whoever wanted the change wants it no more: our re-INVITE is cancelled, a pause is not waited out."""
        off = UpdateReject(Reason.CANCELLED)
        bench = self.asking()
        bench.answer_last(180)
        bench.leg.deliver(off)
        self.assertEqual(bench.sent, ["INVITE new", "CANCEL"])
        bench.answer_last(487)
        bench = self.asking()
        bench.answer_last(491)
        bench.leg.deliver(off)
        bench.clock.advance(5)
        self.assertEqual((bench.sent, bench.heard), (["INVITE new"], []))

    # -- the end ---------------------------------------------------------------------------

    def test_dialog_lost(self) -> None:
        """A peer that knows nothing of the call, or is silent, ends it (RFC 3261 §12.2.1.2)."""
        for status, end in ((481, End(Reason.GONE, status=481)), (408, End(Reason.TIMEOUT, status=408))):
            bench = self.asking()
            bench.answer_last(status)
            self.assertEqual((bench.heard, bench.sent[1:]), ([end], ["BYE"]))
        bench = self.asking(UPDATES)
        bench.silence_last()
        self.assertEqual((bench.heard, bench.sent[1:]), ([End(Reason.TIMEOUT)], ["BYE"]))
        self.assertEqual(bench.request("INVITE", "hold").statuses, [481])

    def test_hung_up_meanwhile(self) -> None:
        """Whoever hangs up during a change: nobody is asked again, and a late 200 to a re-INVITE is acknowledged."""
        bench = self.asking()
        tx = bench.port.asked[-1]
        bench.end()
        bench.answer(tx, 200, "late")
        bench.answer(tx, 200, "late")
        self.assertEqual((bench.sent[1:], bench.heard), (["BYE", "ACK", "ACK"], []))
        bench = self.asking()
        bench.request("BYE")
        self.assertEqual(bench.heard, [End(Reason.HANGUP)])
        bench = self.asking()
        bench.answer_last(491)
        bench.end()
        bench.clock.advance(5)
        self.assertEqual(bench.sent[1:], ["BYE"])
        bench = self.talking()
        bench.leg.deliver(Update(None))
        tx = bench.port.asked[-1]
        bench.end()
        bench.answer(tx, 200, "theirs")
        self.assertEqual(bench.sent, ["INVITE", "BYE", "ACK"])
        late = Tx(tx.request)
        bench.leg.asking.theirs(cast(ServerTransaction, late), late.request)
        self.assertEqual(late.statuses, [481])

    # -- before the answer -----------------------------------------------------------------

    def early(self, *tags: str) -> UacBench:
        """Ringing phones, of which the first has answered our offer and takes UPDATE."""
        bench = UacBench()
        bench.changes = self.changes
        bench.setup()
        for tag in tags:
            bench.response(183, f"early {tag}", rseq=7, tag=tag, allow=UPDATES)
        bench.heard.clear()
        bench.sent.clear()
        return bench

    def test_early(self) -> None:
        """Before the answer only UPDATE may ask, in the dialog that is heard, once the first offer is answered."""
        bench = self.early("one", "two")
        bench.leg.deliver(NEW)
        self.assertEqual(bench.port.asked[-1].request.to.tag, "one")
        self.assertEqual(bench.request("UPDATE", "x", tag="one").statuses, [491])
        bench.answer_last(200, "yes")
        self.assertEqual((bench.sent, bench.heard), (["UPDATE new"], [answered("yes")]))
        bench.leg.deliver(Update(None))
        bench.leg.deliver(NEW)
        bench.leg.deliver(Update(None))
        bench.answer_last(501)
        conflict, refused = UpdateReject(Reason.CONFLICT), UpdateReject(Reason.SERVER)
        self.assertEqual((bench.sent[1:], bench.heard[1:]), (["UPDATE new"], [conflict, conflict, refused]))
        other = self.early()
        other.leg.deliver(NEW)
        self.assertEqual((other.sent, other.heard), ([], [conflict]))

    def test_another_fork_answers(self) -> None:
        """What was asked in one early dialog is void when another one answers, whether it is out or waits."""
        for status in (0, 491):
            bench = self.early("one", "two")
            bench.leg.deliver(NEW)
            tx = bench.port.asked[-1]
            if status:
                bench.answer(tx, status)
            bench.response(200, "final", tag="two")
            self.assertEqual(bench.heard[0], UpdateReject(Reason.CONFLICT))
            bench.answer(tx, 481)
            self.assertEqual((bench.state, bench.clock.getDelayedCalls()), (State.TALKING, []))

    def test_every_row(self) -> None:
        """The tests above, and those of session timers, meet each row of the table."""
        walked = set()
        for case in walk(AskingTests, RefreshTests, TooShortTests):
            assert isinstance(case, AskingTests | Case)
            walked |= case.changes
        self.assertEqual({str(row) for row in rows(ASKING) - walked}, set())
