"""The stand-in core: registration, and calls through it."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from rtcgw.sandbox import core
from rtcgw.sandbox.forwarding import TIMER_C
from rtcgw.sandbox.preset import phone_uri
from rtcgw.sandbox.registrar import MAX_PATH
from rtcgw.sip.message import make_response
from rtcgw.sip.server import ServerTransaction
from tests.sandbox.world import HOST, PORT, World, sdp


class RegistrarTests(TestCase):
    def setUp(self) -> None:
        self.world = World()

    def test_registers_with_digest(self) -> None:
        """A gateway learns by which route it calls, and under which identities."""
        response = self.world.register("alice").last
        self.assertEqual(response.status, 200)
        self.assertEqual(response.get("contact"), f"<sip:alice-token@{HOST}:{PORT}>;expires=3600")
        self.assertEqual(response.get("service-route"), f"<sip:{HOST}:15060;lr>")
        self.assertEqual(response.get("p-associated-uri"), f"<{phone_uri('alice')}>")

    def test_wrong_secret(self) -> None:
        """Who does not know the secret is refused, and stays unreachable."""
        self.assertEqual(self.world.register("alice", secret="guessed").statuses, [403])
        self.world.register("bob")
        self.assertEqual(self.world.invite("bob", "alice").statuses, [480])

    def test_other_peoples_identity(self) -> None:
        """A subscriber registers its own identities alone."""
        self.assertEqual(self.world.register("alice", to=phone_uri("bob")).statuses, [403])

    def test_leaves_and_expires(self) -> None:
        """De-registered, or not refreshed in time: calls find nobody there."""
        self.world.register("alice")
        self.world.register("bob")
        self.world.register("alice", expires=0)
        self.assertEqual(self.world.invite("bob", "alice").statuses, [480])
        self.world.register("alice", expires=60)
        self.world.clock.advance(61)
        self.assertEqual(self.world.invite("bob", "alice").statuses, [480])

    def test_path(self) -> None:
        """Calls take the Path that the REGISTER took; an endless one is cut."""
        path = ", ".join(f"<sip:edge{number}@{HOST}:{PORT};lr>" for number in range(MAX_PATH + 3))
        kept = self.world.register("alice", path=path).last.headers["path"]
        self.assertEqual(len(kept), MAX_PATH)
        self.world.register("bob")
        self.world.invite("bob", "alice")
        self.assertEqual(self.world.requests[0].request.headers["route"], kept)

    def test_one_binding(self) -> None:
        """Who registers again from elsewhere is called there alone; `*` takes the binding away."""
        self.world.register("alice")
        self.world.register("alice", contact=f"<sip:moved@{HOST}:{PORT}>")
        self.world.register("bob")
        self.world.invite("bob", "alice")
        self.assertEqual([str(tx.request.uri) for tx in self.world.requests], [f"sip:moved@{HOST}:{PORT}"])
        self.assertEqual(self.world.register("alice", contact="*").statuses, [400])
        self.assertIsNone(self.world.register("alice", contact="*", expires=0).last.get("contact"))
        self.assertEqual(self.world.invite("bob", "alice").statuses, [480])

    def test_broken_contact(self) -> None:
        """What cannot be read is told so."""
        asked = self.world.new("REGISTER", "alice", "sip:sandbox.test", authorization='Digest realm="sandbox.test')
        self.assertEqual(self.world.send(asked).statuses, [400])


class ProxyTests(TestCase):
    def setUp(self) -> None:
        self.world = World()
        self.world.register("alice")
        self.world.register("bob")

    def test_unknown_address(self) -> None:
        """A number or name that nobody has, and a domain that is not ours."""
        for target in ("nobody", "tel:+15550199", "sip:echo@example.com"):
            self.assertEqual(self.world.invite("alice", target).statuses, [404], target)

    def test_stranger_may_not_call(self) -> None:
        """Only the registered call."""
        self.assertEqual(self.world.invite("mallory", "echo").statuses, [403])

    def test_called_learns_who_calls(self) -> None:
        """The called user agent sees the asserted caller, the identity by which it was called, and its own Contact."""
        preferred = f"<{phone_uri('alice')}>"
        self.world.invite("alice", "bob", p_preferred_identity=preferred, p_asserted_identity="<sip:boss@sandbox.test>")
        got = self.world.requests[0].request
        self.assertEqual(str(got.uri), f"sip:bob-token@{HOST}:{PORT}")
        self.assertEqual(got.headers["p-asserted-identity"], [f'"Alice" <{phone_uri("alice")}>'])
        self.assertEqual(got.get("p-called-party-id"), f"<{phone_uri('bob')}>")
        self.assertEqual(got.headers["record-route"], [f"<sip:{HOST}:15060;lr>"])
        self.assertIsNone(got.get("route"))
        self.assertIsNone(got.get("p-preferred-identity"))
        self.assertEqual(got.get("max-forwards"), "69")
        self.assertEqual(len(got.vias), 1)

    def test_who_hides_is_hidden(self) -> None:
        """With Privacy: id the called sees no asserted identity."""
        self.world.invite("alice", "bob", privacy="id")
        self.assertIsNone(self.world.requests[0].request.get("p-asserted-identity"))

    def test_whole_call(self) -> None:
        """INVITE, 180, PRACK, 200, ACK and BYE all find their way through Record-Route."""
        self.world.on_request = self._answer
        call = self.world.invite("alice", "bob")
        self.assertEqual(call.statuses, [183, 200])
        self.assertEqual(call.last.body, sdp("8"))
        dialog = call.acknowledge()
        self.assertEqual(self.world.in_dialog(dialog, "PRACK").statuses, [200])
        self.assertEqual(self.world.in_dialog(dialog, "BYE").statuses, [200])
        self.assertEqual(self.world.methods, ["INVITE", "PRACK", "BYE"])
        self.assertEqual([str(ack.uri) for ack in self.world.acks], [f"sip:bob-token@{HOST}:{PORT}"])
        self.assertIsNone(self.world.acks[0].get("route"))

    def _answer(self, tx: ServerTransaction) -> None:
        if tx.request.method == "INVITE":
            for status in (183, 200):
                response = make_response(tx.request, status, None, "bobs-tag")
                response.set("contact", f"<sip:bob-token@{HOST}:{PORT}>")
                response.set("record-route", *tx.request.headers["record-route"])
                response.body = sdp("8")
                tx.respond(response)
        else:
            tx.respond(make_response(tx.request, 200))

    def test_cancel(self) -> None:
        """CANCEL goes forward with its reason, 487 comes back, and the proxy forgets the call."""
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 180, None, "t"))
        call = self.world.invite("alice", "bob")
        self._core_has(1)
        call.cancel()
        self.world.advance()
        self.assertEqual(call.statuses, [180, 487])
        self.assertEqual(self.world.cancels[0].get("reason"), "SIP;cause=200")
        self._core_has(0)

    def test_timer_c(self) -> None:
        """A call that nobody answers is cancelled by the core at last."""
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 180, None, "t"))
        call = self.world.invite("alice", "bob")
        self.world.advance(TIMER_C + 1)
        self.assertEqual(call.statuses, [180, 487])
        self.assertEqual(len(self.world.cancels), 1)

    def test_called_is_dead(self) -> None:
        """A registered user agent that answers nothing: 408, not silence."""
        self.world.network.fate = lambda packet: 0 if b"bob-token" in packet.data.split(b"\r\n")[0] else 1
        call = self.world.invite("alice", "bob")
        self.world.advance(40)
        self.assertEqual(call.statuses, [408])
        self._core_has(0)

    def test_loops_and_hops(self) -> None:
        """No hops left: 483; a Route that leaves the machine is not followed; nor is one to the core itself."""
        self.assertEqual(self.world.invite("alice", "bob", max_forwards="0").statuses, [483])
        self.assertEqual(self.world.invite("alice", "bob", proxy_require="gold").statuses, [420])
        call = self.world.invite("alice", "echo")
        self.world.advance(1)
        dialog = call.acknowledge()
        bye = dialog.request("BYE")
        bye.set("route", f"<sip:{HOST}:15060;lr>", "<sip:192.0.2.7;lr>")
        self.assertEqual(self.world.send(bye).statuses, [403])

    def test_core_itself(self) -> None:
        """OPTIONS to the domain is answered; a subscription is refused as unknown, so that nobody asks again."""
        self.assertEqual(self.world.send(self.world.new("OPTIONS", "alice", "sip:sandbox.test")).statuses, [200])
        subscribe = self.world.new("SUBSCRIBE", "alice", phone_uri("alice"), event="reg")
        self.assertEqual(self.world.send(subscribe).statuses, [489])

    def test_bounded(self) -> None:
        """When the core is full, callers hear so at once."""
        self.patch(core, "MAX_CALLS", 2)
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 180, None, "t"))
        calls = [self.world.invite("alice", "bob") for _ in range(3)]
        self.assertEqual([call.last.status for call in calls], [180, 180, 503])
        calls[0].cancel()
        self.world.advance()
        self.assertEqual(self.world.invite("alice", "bob").statuses, [180])

    def _core_has(self, calls: int) -> None:
        assert self.world.service.core is not None
        self.assertEqual(len(self.world.service.core.calls), calls)
