"""The phones of the sandbox, called through its core."""

from __future__ import annotations

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import TestCase

from rtcgw.sandbox import phone
from rtcgw.sandbox.called import RING_LIMIT
from rtcgw.sandbox.calling import CALL_BACK_TALK, PATIENCE
from rtcgw.sandbox.phone import CALL_BACK_AFTER, MANNERS
from rtcgw.sandbox.preset import PHONES, phone_uri
from rtcgw.sandbox.tone import BURST
from rtcgw.sip.message import make_response
from rtcgw.sip.server import ServerTransaction
from tests.sandbox.world import HOST, PORT, Asked, World, pictures, sdp


class PhoneCase(TestCase):
    """alice is registered; at the end nothing may be left."""

    def setUp(self) -> None:
        self.world = World()
        self.world.register("alice")
        self.addCleanup(self._nothing_left)

        self.ports = self.world.ports
        """Open while there is no call."""

    def _nothing_left(self) -> None:
        """Whatever a test did: once the sandbox has stopped and the agent too, no timer runs and no port is open."""
        self.successResultOf(self.world.service.stop())
        self.world.layer.close()
        self.world.advance()  # packets that were on their way
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertEqual(self.world.ports, {PORT})

    @property
    def calls(self) -> int:
        assert self.world.service.phones is not None
        return len(self.world.service.phones.calls)

    def call(self, name: str, body: bytes | None = None) -> Asked:
        asked = self.world.invite("alice", name, body)
        self.world.advance(1)
        return asked


class PhoneTests(PhoneCase):
    def test_every_phone_is_offered(self) -> None:
        """What the page suggests to dial is what there is."""
        self.assertEqual(set(MANNERS), set(PHONES))

    def test_echo(self) -> None:
        """You hear yourself, and your keys come back."""
        asked = self.call("echo")
        self.assertEqual(asked.statuses[:2], [180, 200])
        dialog = asked.acknowledge()
        end = self.world.listen(asked.last.body, 620)
        end.play(50)
        end.press("5")
        self.world.advance()
        self.assertEqual(end.frequency, 620)
        self.assertEqual(end.digits, ["5"])
        self.assertNotIn(end.ssrc, end.sources)
        self.assertEqual(self.world.in_dialog(dialog, "BYE").statuses, [200])
        self.assertEqual(self.calls, 0)
        end.play()
        self.world.advance()
        self.assertEqual(end.received, 56)

    def test_echo_of_g722(self) -> None:
        """G.722 is said back without being understood."""
        asked = self.call("echo", sdp("9"))
        asked.acknowledge()
        self.assertIn(b"a=rtpmap:9 G722/8000", asked.last.body)
        end = self.world.listen(asked.last.body)
        end.pt = 9
        end.play(3)
        end.pt = 0  # was not agreed on
        end.play(2)
        self.world.advance()
        self.assertEqual(end.types, {9: 3})

    def test_tone(self) -> None:
        """The tone phone plays its tone, in the codec that is offered."""
        for codec in ("0", "8"):
            asked = self.call("tone", sdp(codec))
            end = self.world.listen(asked.last.body)
            dialog = asked.acknowledge()
            self.world.advance(1)
            self.assertEqual(end.frequency, phone.PITCH.hertz)
            self.assertEqual(set(end.types), {int(codec)})
            self.assertLess(abs(end.received - 50), 3)
            self.assertEqual(end.lost, 0)
            self.assertEqual(self.world.in_dialog(dialog, "BYE").statuses, [200])

    def test_tone_after_a_pause(self) -> None:
        """A process that was held up does not flood the caller with what it missed."""
        asked = self.call("tone")
        asked.acknowledge()
        end = self.world.listen(asked.last.body)
        self.world.advance(0.1)
        before = end.received
        self.world.clock.advance(10)
        self.world.advance(0.015)
        self.assertLessEqual(end.received - before, BURST + 1)

    def test_early(self) -> None:
        """The phone that is heard early: the network's ringing with its pauses, then the answer and another tone."""
        asked = self.world.invite("alice", "early")
        end = self.world.listen(asked.last.body)
        self.assertEqual(asked.statuses, [183])
        self.world.advance(0.3)
        self.assertEqual(end.frequency, 420)  # 425 Hz, as far as an eighth of a second tells
        self.world.advance(1.2)
        self.assertEqual(end.frequency, 0)
        self.assertEqual(asked.statuses, [183])
        self.world.advance(1.5)
        self.assertEqual(asked.statuses[:2], [183, 200])
        self.assertEqual(asked.responses[0].body, asked.last.body)
        asked.acknowledge()
        self.world.advance(0.5)
        self.assertEqual(end.frequency, 660)
        self.assertEqual((end.lost, len(end.sources)), (0, 1))

    def test_early_without_an_offer(self) -> None:
        """A caller who leaves the offer to the phone hears nothing of it before the answer: it merely rings."""
        asked = self.world.invite("alice", "early", b"")
        self.world.advance(4)
        self.assertEqual(asked.statuses[:2], [180, 200])
        asked.acknowledge(sdp("0"))
        end = self.world.listen(asked.last.body)
        self.world.advance(0.5)
        self.assertEqual(end.frequency, 660)

    def test_early_given_up(self) -> None:
        """A caller who hangs up before the answer hears no more of it."""
        asked = self.world.invite("alice", "early")
        asked.cancel()
        self.world.advance()
        self.assertEqual(asked.statuses, [183, 487])
        self.assertEqual((self.calls, self.world.ports), (0, self.ports))

    def test_busy(self) -> None:
        """Busy is busy at once."""
        self.assertEqual(self.call("busy").statuses, [486])

    def test_ring(self) -> None:
        """The phone that never answers rings until the caller hangs up."""
        asked = self.call("ring")
        self.world.advance(100)
        self.assertEqual(asked.statuses, [180])
        asked.cancel()
        self.world.advance()
        self.assertEqual(asked.statuses, [180, 487])
        self.assertEqual(self.calls, 0)

    def test_ring_ends(self) -> None:
        """A caller who forgot the ringing phone does not keep it for ever."""
        asked = self.call("ring")
        self.world.advance(RING_LIMIT)
        self.assertGreaterEqual(asked.last.status, 400)
        self.assertEqual(self.calls, 0)

    def test_nothing_in_common(self) -> None:
        """An offer that no phone can answer: 488; media beyond this machine too."""
        for body in (sdp("18"), sdp(kind="video"), sdp(host="192.0.2.1"), b"nonsense"):
            self.assertEqual(self.call("echo", body).statuses, [488])
        self.assertEqual(self.call("tone", sdp("9")).statuses, [488])
        self.assertEqual(self.calls, 0)

    def test_late_offer(self) -> None:
        """An INVITE without a description is answered with one; the ACK has ours."""
        asked = self.call("echo", b"")
        self.assertIn(b"m=audio", asked.last.body)
        asked.acknowledge(sdp("0"))
        end = self.world.listen(asked.last.body)
        self.world.advance()
        end.play(2)
        self.world.advance()
        self.assertEqual(end.types, {0: 2})

    def test_late_offer_unanswered(self) -> None:
        """An ACK without the description that it owes ends the call."""
        self.call("echo", b"").acknowledge()
        self.world.advance()
        self.assertEqual(self.world.methods, ["BYE"])
        self.assertEqual(self.calls, 0)

    def test_lost_ack(self) -> None:
        """The 200 comes again until the ACK does; without one the phone hangs up."""
        asked = self.call("echo")
        self.world.advance(3)
        self.assertGreater(asked.statuses.count(200), 2)
        self.world.advance(35)
        self.assertEqual(self.world.methods, ["BYE"])
        self.assertEqual(self.calls, 0)

    def test_hold(self) -> None:
        """On hold the tone stops; it goes on afterwards. The description changes within the call."""
        asked = self.call("tone")
        dialog = asked.acknowledge()
        end = self.world.listen(asked.last.body)
        again = self.world.in_dialog(dialog, "INVITE", sdp(direction="sendonly"))
        self.assertEqual(again.statuses, [200])
        self.assertIn(b"a=recvonly", again.last.body)
        again.acknowledge()
        self.world.advance()
        before = end.received
        self.world.advance(1)
        self.assertEqual(end.received, before)
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp()).statuses, [200])
        self.world.advance(1)
        self.assertGreater(end.received, before + 40)

    def test_changes_that_do_not_work(self) -> None:
        """A refused change leaves the call as it was; what a phone cannot do it says."""
        asked = self.call("echo")
        dialog = asked.acknowledge()
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp("18")).statuses, [488])
        self.assertEqual(self.world.in_dialog(dialog, "MESSAGE").statuses, [405])
        self.assertEqual(self.world.in_dialog(dialog, "OPTIONS").statuses, [200])
        end = self.world.listen(asked.last.body)
        end.play(2)
        self.world.advance()
        self.assertEqual(end.received, 2)

    def test_beyond_the_call(self) -> None:
        """After the BYE there is no call; what needs 100rel is refused; no such phone."""
        dialog = self.call("echo").acknowledge()
        self.world.in_dialog(dialog, "BYE")
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp()).statuses, [481])
        asked = self.world.invite("alice", "echo", require="100rel")
        self.assertEqual((asked.last.status, asked.last.get("unsupported")), (420, "100rel"))

    def test_bounded(self) -> None:
        """So many calls and no more."""
        self.patch(phone, "MAX_CALLS", 2)
        calls = [self.call("ring") for _ in range(3)]
        self.assertEqual([call.last.status for call in calls], [180, 180, 486])

    def test_no_ports(self) -> None:
        """Where no port can be opened the call is refused, and the change of another; both leave nothing behind."""
        dialog = self.call("echo").acknowledge()
        ports = self.world.ports
        self.patch(self.world.reactor, "listenUDP", self._full)
        self.assertEqual(self.call("echo").statuses, [500])
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", pictures()).statuses, [500])
        self.assertEqual(self.world.ports, ports)
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp()).statuses, [200])

    @staticmethod
    def _full(port: int, protocol: object, interface: str = "", size: int = 0) -> None:
        raise CannotListenError(interface, port, OSError("no port is free"))


class CallerTests(PhoneCase):
    """The phone that calls back."""

    def setUp(self) -> None:
        super().setUp()
        self.world.on_request = self._phone

    def _phone(self, tx: ServerTransaction) -> None:
        """What a gateway does with a call: rings, and answers."""
        if tx.request.method != "INVITE":
            tx.respond(make_response(tx.request, 200))
            return
        for status in (180, 200):
            response = make_response(tx.request, status, None, "web")
            response.set("contact", f"<sip:alice-token@{HOST}:{PORT}>")
            response.set("record-route", *tx.request.headers["record-route"])
            response.body = sdp("8 101") if status == 200 else b""
            tx.respond(response)

    def test_calls_back(self) -> None:
        """It answers, plays, hangs up; ten seconds after your call it calls you, plays, and hangs up."""
        asked = self.call("caller")
        self.assertEqual(asked.statuses[:2], [180, 200])
        asked.acknowledge()
        self.world.advance(3)
        self.assertEqual(self.world.methods, ["BYE"])
        self.world.advance(CALL_BACK_AFTER - 4)
        self.assertEqual(self.world.methods, ["BYE", "INVITE"])
        invite = self.world.requests[1].request
        self.assertEqual(invite.get("p-asserted-identity"), f"<{phone_uri('caller')}>")
        self.assertEqual(invite.get("p-called-party-id"), f"<{phone_uri('alice')}>")
        end = self.world.listen(invite.body)
        self.world.advance(1)
        self.assertEqual(len(self.world.acks), 1)
        self.assertEqual(set(end.types), {8})
        self.assertEqual(end.frequency, phone.PITCH.hertz)
        self.world.advance(CALL_BACK_TALK)
        self.assertEqual(self.world.methods, ["BYE", "INVITE", "BYE"])
        self.assertEqual(self.calls, 0)

    def test_called_hangs_up(self) -> None:
        """The call back ends with your BYE."""
        self.call("caller").acknowledge()
        self.world.advance(CALL_BACK_AFTER)
        self.assertEqual(self.calls, 1)
        invite = self.world.requests[1].request
        bye = self.world.new("BYE", "alice", str(invite.contact.uri if invite.contact else ""))
        bye.set("route", *invite.headers["record-route"])
        bye.set("from", f"{invite.get('to')};tag=web")
        bye.set("to", invite.get("from") or "")
        bye.set("call-id", invite.call_id)
        self.assertEqual(self.world.send(bye).statuses, [200])
        self.assertEqual(self.calls, 0)

    def test_once_for_each_caller(self) -> None:
        """Calling it twice within the time brings one call; who hides is not called."""
        self.call("caller").acknowledge()
        self.call("caller").acknowledge()
        self.world.advance(CALL_BACK_AFTER)
        self.assertEqual(self.world.methods.count("INVITE"), 1)
        self.world.advance(CALL_BACK_TALK)
        self.world.invite("alice", "caller", privacy="id")
        self.world.advance(CALL_BACK_AFTER + 1)
        self.assertEqual(self.world.methods.count("INVITE"), 1)

    def test_nobody_answers_the_call_back(self) -> None:
        """It rings for a while, then gives up with a CANCEL."""
        self.call("caller").acknowledge()
        self.world.on_request = lambda tx: tx.respond(
            make_response(tx.request, 180 if tx.request.method == "INVITE" else 200, None, "web")
        )
        self.world.advance(CALL_BACK_AFTER + PATIENCE + 1)
        self.assertEqual(len(self.world.cancels), 1)
        self.assertEqual(self.calls, 0)

    def test_call_back_declined(self) -> None:
        """Declined is declined."""
        self.call("caller").acknowledge()
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 603))
        self.world.advance(CALL_BACK_AFTER)
        assert self.world.service.phones is not None
        self.assertEqual((self.calls, len(self.world.service.phones._outgoing)), (0, 0))

    def test_call_backs_are_bounded(self) -> None:
        """A crowd of callers does not fill the memory; the last ones are not called."""
        self.patch(phone, "MAX_CALL_BACKS", 0)
        self.call("caller").acknowledge()
        self.world.advance(CALL_BACK_AFTER)
        self.assertNotIn("INVITE", self.world.methods)
