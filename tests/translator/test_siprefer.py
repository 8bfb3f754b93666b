"""REFER in a call's dialog: phones that send the other party elsewhere, phones that are sent, hostile words of both."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Description, End, Kind, Progress, Stage, Transfer, Transferring, TransferStage
from rtcgw.model.identity import DialogRef
from rtcgw.model.peer import PeerProfile, TransferWay
from rtcgw.model.reason import Reason
from rtcgw.sip.headers import HeaderError
from rtcgw.translator.siprefer import FRAGMENT_LIMIT, read_replaces
from rtcgw.translator.sipstate import Policy, State
from tests.translator.sipbench import OURS, THEIRS, Tx, UacBench, UasBench

BOB = ("refer-to", "<sip:bob@ims.test>")
TRYING = Transferring(TransferStage.TRYING)
RINGING = Transferring(TransferStage.RINGING)
DONE = Transferring(TransferStage.DONE)
ALLOW = "INVITE, ACK, BYE, REFER, NOTIFY"


def failed(reason: Reason | None, status: int | None = None) -> Transferring:
    return Transferring(TransferStage.FAILED, reason, status)


class OutgoingTests(SynchronousTestCase):
    """A phone that we have called; each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = self.talking()

    def talking(
        self,
        allow: str | None = ALLOW,
        way: TransferWay = TransferWay.AUTO,
        policy: Policy = Policy(),  # noqa: B008
    ) -> UacBench:
        bench = UacBench(PeerProfile(transfer=way), policy)
        bench.setup()
        if allow is None:
            bench.response(200, "answer")
        else:
            bench.response(200, "answer", allow=allow)
        bench.heard.clear()
        bench.sent.clear()
        return bench

    def refer(self, *headers: tuple[str, str]) -> Tx:
        return self.bench.request("REFER", None, *(headers or (BOB,)))

    def bodies(self) -> list[tuple[str, str]]:
        """What our NOTIFYs have said: the fragment and the state of the subscription."""
        asked = [tx.request for tx in self.bench.port.asked if tx.request.method == "NOTIFY"]
        return [(request.body.decode().strip(), request.get("subscription-state") or "") for request in asked]

    # -- the phone refers ----------------------------------------------------------------------

    def test_refer(self) -> None:
        """The phone is told at once that its wish is being carried out, and then how: three NOTIFYs, the last one of
        which ends the subscription."""
        tx = self.refer()
        self.assertEqual(tx.statuses, [202])
        self.assertEqual(tx.responses[0].get("contact"), "<sip:gw@127.0.0.1:5070>")
        self.assertEqual(self.bench.heard, [Transfer("sip:bob@ims.test", referred_by="sip:echo@ims.test")])
        for event in (TRYING, RINGING, DONE, RINGING):
            self.bench.leg.deliver(event)
        self.assertEqual(
            self.bodies(),
            [
                ("SIP/2.0 100 Trying", "active;expires=200"),
                ("SIP/2.0 180 Ringing", "active;expires=200"),
                ("SIP/2.0 200 OK", "terminated;reason=noresource"),
            ],
        )
        notify = self.bench.port.asked[-1].request
        self.assertEqual((notify.get("event"), notify.get("content-type")), ("refer", "message/sipfrag;version=2.0"))

    def test_failure(self) -> None:
        """The phone hears the status that the target gave, or that of the reason. The next REFER has a name of its
        own."""
        for end, line in (
            (failed(Reason.BUSY, 486), "SIP/2.0 486 Busy Here"),
            (failed(Reason.CONFLICT), "SIP/2.0 491 Request Pending"),
            (failed(None), "SIP/2.0 500 Internal Server Error"),
        ):
            tx = self.refer()
            self.bench.leg.deliver(end)
            self.assertEqual(self.bodies()[-1], (line, "terminated;reason=noresource"))
        self.assertEqual(self.bench.port.asked[-1].request.get("event"), f"refer;id={tx.request.cseq.number}")

    def test_no_subscription(self) -> None:
        """A phone that wants no NOTIFY gets none, and one that refuses the first gets no other (RFC 4488)."""
        for header in (("refer-sub", "false"), ("require", "norefersub")):
            tx = self.refer(BOB, header)
            self.assertEqual((tx.statuses, tx.responses[0].get("refer-sub")), ([202], "false"))
            self.bench.leg.deliver(DONE)
        self.assertEqual(self.bodies(), [])
        self.refer()
        self.bench.answer_last(481)
        self.bench.leg.deliver(RINGING)
        self.assertEqual(len(self.bodies()), 1)

    def test_attended(self) -> None:
        """Replaces in the address is read and taken off it; who asks is named by Referred-By."""
        value = "<sip:carol@ims.test;method=INVITE?Replaces=c7%3Bto-tag%3D7%3Bfrom-tag%3D8&Subject=spam>"
        self.refer(("refer-to", value), ("referred-by", "<sip:dave@ims.test>"))
        self.assertEqual(
            self.bench.heard,
            [Transfer("sip:carol@ims.test", None, DialogRef("c7", "7", "8"), "sip:dave@ims.test")],
        )

    def test_refused(self) -> None:
        """What is no proper REFER changes nothing."""
        for status, *headers in (
            (400, ("subject", "no target")),
            (400, ("refer-to", "<sip:a@h>, <sip:b@h>")),
            (400, ("refer-to", "<sip:a@h")),
            (400, ("refer-to", "<sip:a@h;method=BYE>")),
            (400, ("refer-to", "<sip:a@h?Replaces=c7>")),
            (400, ("refer-to", "<sip:a@h?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2&replaces=c%3Bto-tag%3D1>")),
            (400, BOB, ("referred-by", "nobody at all")),
            (416, ("refer-to", "<http://example.com>")),
        ):
            self.assertEqual(self.refer(*headers).statuses, [status], headers)
        self.assertEqual((self.bench.heard, self.bodies()), ([], []))

    def test_one_at_a_time(self) -> None:
        """A second REFER while the first one runs is put off."""
        self.refer()
        self.assertEqual(self.refer().statuses, [491])

    def test_policy(self) -> None:
        """Where the configuration bars it no phone transfers anybody."""
        self.bench = self.talking(policy=Policy(refers=False))
        self.assertEqual(self.refer().statuses, [603])
        self.bench.leg.deliver(DONE)
        self.assertEqual(self.bodies(), [])

    # -- the phone is referred -------------------------------------------------------------------

    def send(self, target: str = "sip:bob@ims.test", replaces: DialogRef | None = None) -> None:
        self.bench.leg.deliver(Transfer(target, replaces=replaces, referred_by="sip:alice@ims.test"))

    def notify(self, body: str | None, *headers: tuple[str, str], state: str = "active;expires=60") -> Tx:
        said = (("event", "refer"), ("subscription-state", state), ("content-type", "message/sipfrag"), *headers)
        return self.bench.request("NOTIFY", body, *said)

    def test_given_up(self) -> None:
        """A phone that has agreed and never said how it went can be sent elsewhere again; before it has agreed, not.
        Its word about the first time is not taken for one about the second."""
        self.send()
        first = self.bench.port.asked[-1].request
        self.send()
        self.assertEqual(self.bench.heard.pop(), failed(Reason.PROTOCOL, 405))
        self.bench.answer_last(202)
        self.send()
        second = self.bench.port.asked[-1].request
        self.assertIsNot(second, first)
        self.bench.answer_last(202)
        self.bench.heard.clear()
        for event in ("refer", f"refer;id={first.cseq.number}"):
            tx = self.notify("SIP/2.0 200 OK\r\n", ("event", event), state="terminated")
            self.assertEqual(tx.statuses, [481])
        self.notify("SIP/2.0 200 OK\r\n", ("event", f"refer;id={second.cseq.number}"), state="terminated")
        self.assertEqual(self.bench.heard, [TRYING, DONE])

    def test_sent_elsewhere(self) -> None:
        """The phone is asked, agrees, and says how it goes: ringing, and through."""
        self.send()
        request = self.bench.port.asked[-1].request
        self.assertEqual(request.method, "REFER")
        self.assertEqual(request.get("refer-to"), "<sip:bob@ims.test>")
        self.assertEqual(request.get("referred-by"), "<sip:alice@ims.test>")
        self.bench.answer_last(202)
        self.assertEqual(self.notify("SIP/2.0 100 Trying\r\n").statuses, [200])
        self.notify("SIP/2.0 180 Ringing")
        self.notify("SIP/2.0 200 OK\r\nTo: <sip:bob@ims.test>\r\n", state="terminated;reason=noresource")
        self.assertEqual(self.bench.heard, [TRYING, TRYING, TRYING, RINGING, TRYING, DONE])
        self.assertEqual(self.notify("SIP/2.0 200 OK").statuses, [481])

    def test_with_replaces(self) -> None:
        """Attended: the address bears the dialog that is to be replaced, escaped."""
        self.assertIsNone(self.bench.leg.replaces(announced=True))
        assert self.bench.leg.dialog is not None
        self.bench.leg.dialog.supported = ("timer, Replaces",)
        self.send("sip:carol@ims.test", DialogRef("c@7", "a", "b"))
        value = "<sip:carol@ims.test?Replaces=c%407%3Bto-tag%3Da%3Bfrom-tag%3Db>"
        self.assertEqual(self.bench.port.asked[-1].request.get("refer-to"), value)
        self.assertEqual(self.bench.leg.replaces(announced=True), DialogRef("c1", THEIRS, OURS))

    def test_outcomes(self) -> None:
        """Each way in which it can end."""
        for body, state, event in (
            ("SIP/2.0 486 Busy Here", "terminated;reason=noresource", failed(Reason.BUSY, 486)),
            ("SIP/2.0 603 Decline", "active", failed(Reason.DECLINED, 603)),
            ("SIP/2.0 100 Trying", "terminated;reason=timeout", failed(Reason.SERVER)),
            (None, "terminated", failed(Reason.SERVER)),
        ):
            self.send()
            self.notify(body, state=state)
            self.assertEqual(self.bench.heard[-1], event)

    def test_refusals(self) -> None:
        """A phone that refuses the REFER, is silent, or is asked for what is no address."""
        for status, reason in ((403, Reason.FORBIDDEN), (603, Reason.DECLINED), (501, Reason.SERVER)):
            self.send()
            self.bench.answer_last(status)
            self.assertEqual(self.bench.heard.pop(), failed(reason, status))
        self.send()
        self.bench.silence_last()
        self.assertEqual(self.bench.heard.pop(), failed(Reason.TIMEOUT, 408))
        self.send("nowhere")
        self.assertEqual(self.bench.heard, [failed(Reason.NOT_FOUND)])

    def test_outcome_before_the_response(self) -> None:
        """A NOTIFY may overtake the 202, which then says nothing new."""
        self.send()
        refer = self.bench.port.asked[-1]
        self.notify("SIP/2.0 200 OK", state="terminated")
        self.bench.heard.clear()
        self.bench.answer(refer, 202)
        self.assertEqual(self.bench.heard, [])

    def test_challenge(self) -> None:
        """A REFER that is sent again with credentials is known by its new number."""
        self.send()
        self.bench.answer_last(407, None, ("proxy-authenticate", "Digest"))
        again = self.bench.port.asked[-1].request
        self.bench.answer_last(202)
        self.assertEqual(self.notify("SIP/2.0 180 Ringing", ("event", f"refer;id={again.cseq.number}")).statuses, [200])
        self.assertEqual(self.notify("SIP/2.0 180 Ringing", ("event", "refer;id=1")).statuses, [481])

    def test_phones_that_cannot(self) -> None:
        """A phone that does not name REFER is not asked, unless the profile says that it can and it has said nothing;
        nor is one that is asked already."""
        for allow, way, asked in (
            ("INVITE, BYE", TransferWay.AUTO, False),
            (None, TransferWay.AUTO, False),
            ("INVITE, BYE", TransferWay.REFER, False),
            (None, TransferWay.REFER, True),
        ):
            self.bench = self.talking(allow, way)
            self.send()
            self.assertEqual(bool(self.bench.sent), asked)
            self.assertEqual(self.bench.heard, [] if asked else [failed(Reason.PROTOCOL, 405)])
        self.send()
        self.assertEqual(self.bench.heard, [failed(Reason.PROTOCOL, 405)])

    def test_notify_refused(self) -> None:
        """What is no NOTIFY of a REFER of ours is refused and changes nothing."""
        self.assertEqual(self.notify("SIP/2.0 200 OK").statuses, [481])
        self.send()
        for status, body, headers in (
            (489, "SIP/2.0 200 OK", ("event", "presence")),
            (400, "SIP/2.0 200 OK", ("event", "")),
            (400, "SIP/2.0 200 OK", ("subscription-state", "")),
            (415, "SIP/2.0 200 OK", ("content-type", "text/html")),
            (400, "SIP/2.0 OK", ("subject", "")),
            (400, "SIP/2.0 999 What", ("subject", "")),
            (400, "SIP/2.0 200 OK\r\n" + "x" * FRAGMENT_LIMIT, ("subject", "")),
        ):
            tx = self.notify(body, headers)
            self.assertEqual(tx.statuses, [status], headers)
        self.assertEqual(self.bench.heard, [])
        self.assertEqual(self.notify("SIP/2.0 200 OK", ("event", "presence")).responses[0].get("allow-events"), "refer")

    def test_wrong_moment(self) -> None:
        """Before the call stands a REFER is put off, when it is over it finds nothing; each state has its answer."""
        bench = self.bench = UacBench()
        bench.setup()
        bench.response(180)
        for _ in range(2):
            self.assertEqual(self.refer().statuses, [491], bench.state)
            self.assertEqual(self.notify("SIP/2.0 200 OK").statuses, [481])
            bench.leg.ladder = type(bench.ladder)(patent=True)
            bench.response(200, "answer")
        self.send()
        self.assertEqual((bench.state, bench.heard[-1]), (State.ANSWERED, failed(Reason.PROTOCOL, 405)))
        bench.end()
        self.assertEqual((self.refer().statuses, self.notify("SIP/2.0 200 OK").statuses), ([481], [481]))
        bench.answer_last()
        self.assertEqual((self.refer().statuses, self.notify("SIP/2.0 200 OK").statuses), ([481], [481]))
        for status, state in ((488, State.REFUSED_ONCE), (0, State.CANCELLING)):
            other = UacBench()
            other.setup()
            other.response(180)
            other.walked |= self.bench.walked
            self.bench = other
            if status:
                other.response(status)
            else:
                other.end()
            self.assertIs(other.state, state)
            self.assertEqual((self.refer().statuses, self.notify("SIP/2.0 200 OK").statuses), ([481], [481]))


class IncomingTests(SynchronousTestCase):
    """A phone that has called us; each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UasBench(headers=(("allow", ALLOW),))

    def refused(self, refer: int) -> None:
        bench = self.bench
        self.assertEqual(bench.request("REFER", None, BOB).statuses, [refer], bench.state)
        self.assertEqual(bench.request("NOTIFY", None, ("event", "refer")).statuses, [481], bench.state)

    def test_wrong_moment(self) -> None:
        """Each state before and after the call has its answer."""
        bench = self.bench
        self.refused(491)
        bench.leg.deliver(Progress(Stage.SESSION, Description(Kind.PRANSWER, "early")))
        bench.leg.deliver(Accept(Description(Kind.ANSWER, "final")))
        self.assertIs(bench.state, State.ANSWERING)
        self.refused(491)
        bench.prack()
        self.refused(491)
        bench.leg.deliver(Transfer("sip:bob@ims.test"))
        self.assertEqual(bench.heard[-1], failed(Reason.PROTOCOL, 405))
        bench.leg.deliver(End(Reason.HANGUP))
        self.assertIs(bench.state, State.ABANDONED)
        self.refused(481)
        bench.ack()
        self.refused(481)
        bench.answer_last()
        self.refused(481)

    def test_both_ways(self) -> None:
        """A phone that has called us transfers and is transferred like any other."""
        bench = self.bench
        bench.leg.deliver(Accept(Description(Kind.ANSWER, "final")))
        bench.ack()
        self.assertEqual(bench.request("REFER", None, BOB).statuses, [202])
        bench.leg.deliver(RINGING)
        self.assertEqual(bench.port.asked[-1].request.body, b"SIP/2.0 180 Ringing\r\n")
        bench.leg.deliver(Transfer("sip:carol@ims.test"))
        self.assertEqual(bench.port.asked[-1].request.get("refer-to"), "<sip:carol@ims.test>")
        bench.answer_last(202)
        state = ("subscription-state", "active")
        self.assertEqual(bench.request("NOTIFY", None, ("event", "refer"), state).statuses, [200])


class WordsTests(SynchronousTestCase):
    @given(st.text(max_size=60))
    def test_any_replaces(self, text: str) -> None:
        """Whatever stands in Replaces is read or refused."""
        try:
            ref = read_replaces(text)
        except HeaderError:
            return
        self.assertTrue(ref.call_id and ref.to_tag and ref.from_tag)

    def test_replaces(self) -> None:
        """As it is written so it is read, the flag included."""
        for ref in (DialogRef("c@h", "1", "2"), DialogRef("c", "1", "2", early_only=True)):
            self.assertEqual(read_replaces(str(ref)), ref)
