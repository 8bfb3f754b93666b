"""Phones of the sandbox that hold or transfer whoever calls them."""

from __future__ import annotations

from rtcgw.sandbox.called import TURN_AFTER
from rtcgw.sip.message import make_response
from rtcgw.sip.server import ServerTransaction
from tests.sandbox.test_phones import PhoneCase
from tests.sandbox.world import HOST, PORT, sdp


class TurningTests(PhoneCase):
    """Phones that do something to their caller in a call."""

    def test_holds(self) -> None:
        """`hold` stops its tone and says so, takes you back after eight seconds, and begins again."""
        asked = self.call("hold")
        asked.acknowledge()
        end = self.world.listen(asked.last.body)
        told: list[bytes] = []

        def asked_again(tx: ServerTransaction) -> None:
            told.append(tx.request.body)
            self.take(tx)

        self.world.on_request = asked_again
        self.world.advance(TURN_AFTER + 0.5)
        self.assertEqual((self.world.methods, b"a=inactive" in told[0]), (["INVITE"], True))
        before = end.received
        self.world.advance(5)
        self.assertEqual(end.received, before)
        self.world.advance(3)
        self.assertIn(b"a=sendrecv", told[1])
        self.world.advance(1)
        self.assertGreater(end.received, before + 40)
        self.world.advance(TURN_AFTER)
        self.assertIn(b"a=inactive", told[2])
        self.assertEqual(len(self.world.acks), 3)

    def take(self, tx: ServerTransaction) -> None:
        """Agree to a change of the phone's."""
        offer = tx.request.body.decode()
        direction = "inactive" if "a=inactive" in offer else "sendrecv"
        response = make_response(tx.request, 200)
        response.set("contact", f"<sip:alice-token@{HOST}:{PORT}>")
        response.body = sdp("0 101", direction=direction)
        tx.respond(response)

    def test_hold_refused(self) -> None:
        """Whoever will not be held goes on hearing the tone, and may change the call afterwards."""
        asked = self.call("hold")
        dialog = asked.acknowledge()
        end = self.world.listen(asked.last.body)
        self.world.on_request = lambda tx: None
        self.world.advance(TURN_AFTER)
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp()).statuses, [491])
        self.world.requests[-1].respond(make_response(self.world.requests[-1].request, 488))
        self.world.advance(0.2)
        self.assertEqual(self.world.in_dialog(dialog, "UPDATE", sdp()).statuses, [200])
        before = end.received
        self.world.advance(1)
        self.assertGreater(end.received, before + 40)

    def test_hold_answered_with_nonsense(self) -> None:
        """An answer that nobody can use ends the call."""
        self.call("hold").acknowledge()
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 200))
        self.world.advance(TURN_AFTER + 1)
        self.assertEqual((self.world.methods, self.calls), (["INVITE", "BYE"], 0))

    def test_transfers(self) -> None:
        """`transfer` sends you to `echo`, hears how that goes, and leaves the end to whoever is transferred."""
        dialog = self.call("transfer").acknowledge()
        self.world.on_request = lambda tx: tx.respond(make_response(tx.request, 202))
        self.world.advance(TURN_AFTER + 0.5)
        self.assertEqual(self.world.methods, ["REFER"])
        self.assertEqual(self.world.requests[0].request.get("refer-to"), "<sip:echo@sandbox.test>")
        told = self.world.in_dialog(dialog, "NOTIFY", b"SIP/2.0 200 OK\r\n", event="refer")
        self.assertEqual(told.statuses, [200])
        self.assertEqual(self.world.in_dialog(dialog, "NOTIFY", event="presence").statuses, [405])
        self.world.in_dialog(dialog, "BYE")
        self.assertEqual(self.calls, 0)
