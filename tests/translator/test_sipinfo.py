"""Keys and wishes for whole pictures by INFO."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Info, Keyframe
from rtcgw.model.peer import Dtmf, PeerProfile
from rtcgw.translator import sipinfo
from rtcgw.translator.sipinfo import PICTURE_FAST_UPDATE, QUEUE_LIMIT, Unreadable
from tests.translator.sipbench import Tx, UacBench

BOMB = b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><media_control>&b;</media_control>'


def talking(peer: PeerProfile | None = None, allow: str = "INVITE, INFO") -> UacBench:
    bench = UacBench() if peer is None else UacBench(peer)
    bench.setup()
    bench.response(200, "final", allow=allow)
    bench.heard.clear()
    bench.sent.clear()
    return bench


def control(inner: str) -> bytes:
    return f"<media_control>{inner}</media_control>".encode()


class SendingTests(SynchronousTestCase):
    def test_keys(self) -> None:
        """One INFO for each key, in order, the next after the answer to the last."""
        bench = talking()
        bench.leg.deliver(Info("1#x", 160))
        bench.leg.deliver(Info("d"))
        self.assertEqual(bench.sent, ["INFO Signal=1\r\nDuration=160"])
        self.assertEqual(bench.port.asked[-1].request.get("content-type"), "application/dtmf-relay")
        for _ in range(3):
            bench.answer_last()
        bodies = ["Signal=1\r\nDuration=160", "Signal=#\r\nDuration=160", "Signal=D\r\nDuration=100"]
        self.assertEqual(bench.sent, [f"INFO {body}" for body in bodies])

    def test_refused(self) -> None:
        """A peer that refuses keys, or says nothing, hears no more of those that wait; the call goes on."""
        for silent in (False, True):
            bench = talking()
            bench.leg.deliver(Info("12"))
            bench.leg.deliver(Keyframe())
            if silent:
                bench.silence_last()
            else:
                bench.answer_last(481)
            self.assertEqual([line[:12] for line in bench.sent], ["INFO Signal=", "INFO <?xml v"])
            bench.answer_last()
            bench.leg.deliver(Info("3"))
            self.assertEqual(bench.sent[-1], "INFO Signal=3\r\nDuration=100")
            self.assertEqual(bench.heard, [])

    def test_bounded(self) -> None:
        """A page that presses keys faster than the phone takes them fills no memory."""
        bench = talking()
        for _ in range(10):
            bench.leg.deliver(Info("0123456789" * 100))
        for _ in range(QUEUE_LIMIT + 10):
            bench.answer_last()
        self.assertEqual(len(bench.sent), QUEUE_LIMIT)

    def test_hung_up(self) -> None:
        """Keys that wait are forgotten with the call."""
        bench = talking()
        bench.leg.deliver(Info("123"))
        tx = bench.port.asked[-1]
        bench.end()
        bench.answer(tx)
        self.assertEqual(bench.sent[1:], ["BYE"])

    def test_no_keys_for_this_peer(self) -> None:
        """Where the profile says that keys reach the peer in no way, none is sent."""
        bench = talking(PeerProfile(dtmf=Dtmf.NONE))
        bench.leg.deliver(Info("1"))
        self.assertEqual(bench.sent, [])

    def test_pictures(self) -> None:
        """A whole picture is asked for at most twice a second, and of a phone that takes INFO or has not said."""
        bench = talking()
        bench.leg.deliver(Keyframe())
        bench.leg.deliver(Keyframe())
        bench.clock.advance(0.5)
        bench.answer_last()
        bench.leg.deliver(Keyframe())
        self.assertEqual(bench.sent, [f"INFO {PICTURE_FAST_UPDATE.decode()}".strip()] * 2)
        self.assertEqual(sipinfo.read_media_control(PICTURE_FAST_UPDATE), Keyframe())
        bench = talking(allow="INVITE, ACK")
        bench.leg.deliver(Keyframe())
        self.assertEqual(bench.sent, [])


class ReceivingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = talking()

    def info(self, kind: str, body: bytes, *headers: tuple[str, str]) -> Tx:
        return self.bench.request("INFO", body.decode("latin-1"), ("content-type", kind), *headers)

    def test_keys(self) -> None:
        """Both bodies that phones use; numbers stand for letters, durations are brought within bounds."""
        for kind, body, event in (
            ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", Info("5", 160)),
            ("Application/DTMF-Relay;x=1", b"signal = 10\nduration=99999999999", Info("*", 10_000)),
            ("application/dtmf-relay", b"Duration=1\nSignal=#", Info("#", 40)),
            ("application/dtmf-relay", b"Signal=a\r\nDuration=-3", Info("A", 100)),
            ("application/dtmf", b"9\r\n", Info("9", 100)),
            ("application/dtmf", b"11", Info("#", 100)),
        ):
            self.bench.heard.clear()
            self.assertEqual(self.info(kind, body).statuses, [200])
            self.assertEqual(self.bench.heard, [event])

    def test_no_key(self) -> None:
        """What is no key is refused, and the call goes on."""
        for kind, body in (
            ("application/dtmf-relay", b"Signal=55"),
            ("application/dtmf-relay", b"Duration=100"),
            ("application/dtmf-relay", b"\xff\x00" * 5000),
            ("application/dtmf", b"99"),
            ("application/media_control+xml", b"<media_control>"),
            ("application/media_control+xml", BOMB),
        ):
            self.assertEqual(self.info(kind, body).statuses, [400])
        self.assertEqual(self.bench.heard, [])

    def test_other_bodies(self) -> None:
        """No body is no fault; a body of another kind, a packed one, or a package is."""
        self.assertEqual(self.bench.request("INFO").statuses, [200])
        refused = self.info("text/plain", b"hello")
        self.assertEqual((refused.statuses, refused.responses[0].get("accept")), ([415], sipinfo.ACCEPT))
        packed = self.info("application/dtmf", b"5", ("content-encoding", "gzip"))
        self.assertEqual(packed.statuses, [415])
        package = self.info("application/dtmf", b"5", ("info-package", "foo"))
        self.assertEqual((package.statuses, package.responses[0].get("recv-info")), ([469], ""))
        self.assertEqual(self.bench.heard, [])

    def test_pictures(self) -> None:
        """A wish for a whole picture is told at most twice a second; other primitives are none."""
        picture = "<picture_fast_update></picture_fast_update>"
        wish = control(f"<vc_primitive><to_encoder>{picture}</to_encoder></vc_primitive>")
        for _ in range(3):
            self.assertEqual(self.info("application/media_control+xml", wish).statuses, [200])
        self.assertEqual(self.bench.heard, [Keyframe()])
        self.bench.clock.advance(0.5)
        self.info("application/media_control+xml", wish)
        self.assertEqual(self.bench.heard, [Keyframe()] * 2)
        self.info("application/media_control+xml", control("<general_error>no</general_error>"))
        self.assertEqual(len(self.bench.heard), 2)

    def test_hostile_pictures(self) -> None:
        """Documents that would cost more than they are worth are refused early."""
        for body in (
            b"",
            b"<other/>",
            BOMB,
            b'<!DOCTYPE m SYSTEM "http://evil/x.dtd"><media_control/>',
            control("<a>" * 20 + "</a>" * 20),
            control("<a/>" * 100),
            control(" " * 5000),
            b'<?xml version="1.0" encoding="utf-7"?><media_control/>',
        ):
            self.assertRaises(Unreadable, sipinfo.read_media_control, body)
