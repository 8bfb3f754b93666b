"""Broken and hostile input in the middle of calls: the offender is told or dropped, nobody else notices."""

from __future__ import annotations

from rtcgw.model.reason import Reason
from rtcgw.sip.message import Request
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.browser import frame

BROKEN = (
    b"",
    b"\r\n\r\n",
    b"\x00\xff\xfe\xfd" * 50,
    b"INVITE",
    b"INVITE sip:a@b SIP/2.0\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"BYE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9999;branch=z9hG4bKx\r\nCall-ID: \xff\r\n\r\n",
    b"INVITE sip:x@y SIP/2.0\r\nContent-Length: 999999\r\n\r\nv=0",
)


class HostileTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.rig.phone(lambda call: call.answer("final"))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.ladder.clear()
        self.phone = self.rig.call

    def still_talking(self) -> None:
        """The call has noticed nothing, and ends as calls do."""
        self.assertEqual([line for line in self.rig.ladder if line.startswith("alice")], [])
        self.rig.ladder.clear()
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_broken_datagrams(self) -> None:
        """What is no SIP is dropped, or refused with a 400."""
        for data in BROKEN:
            self.rig.inject(data)
        self.still_talking()

    def test_broken_requests_of_the_call(self) -> None:
        """Requests inside the call that lack or repeat what they need: refused, and the call goes on."""
        call = self.phone
        call.request("UPDATE", None, ("Contact", "<<<"))
        call.request("INVITE", None, ("Contact", '"unterminated'))
        call.request("PRACK", None, ("RAck", "not a number"))
        call.request("UPDATE", "\x00" * 100)
        call.request("BYE", None, ("Require", "teleport"))
        self.rig.advance()
        statuses = [response.status for response in call.responses]
        self.assertEqual(sorted(statuses), [200, 400, 400, 420, 481])
        self.still_talking()

    def test_strangers(self) -> None:
        """BYE with a wrong tag, a CANCEL of nothing, an ACK of nothing: 481, or silence."""
        call = self.phone
        assert call.dialog is not None
        for method in ("BYE", "CANCEL", "ACK"):
            request = Request(method, call.dialog.remote_target)
            request.add("via", f"SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bKstranger{method}")
            request.set("from", f"{call.dialog.local.with_tag('wrong')}")
            request.set("to", str(call.dialog.remote))
            request.set("call-id", call.dialog.id.call_id)
            request.set("cseq", f"7 {method}")
            request.set("max-forwards", "70")
            self.rig.inject(request.to_bytes())
        self.assertEqual(self.rig.ladder, ["core <- 481 BYE", "core <- 481 CANCEL"])
        self.still_talking()

    def test_invite_without_contact(self) -> None:
        """A call that lacks its Contact is refused with 400."""
        call = self.rig.core.call("sip:alice@ims.test", "offer")
        again = call.invite
        self.rig.advance()
        call.cancel()
        self.rig.advance()
        again.remove("via")
        again.remove("contact")
        again.set("call-id", "no contact")
        bad = self.rig.core.place(again, call.flow)
        self.rig.advance()
        assert bad.final is not None
        self.assertEqual(bad.final.status, 400)
        self.rig.ladder.clear()
        self.still_talking()

    def test_stray_responses(self) -> None:
        """Responses that nobody asked for, or whose headers are broken, change nothing."""
        call = self.phone
        call.respond(180, "Ringing")
        call.respond(486, "Busy Here")
        call.respond(183, "Session Progress", "late", ("Require", "100rel"), ("RSeq", "99999999999999"))
        self.rig.advance()
        self.still_talking()

    def test_broken_messages_of_a_page(self) -> None:
        """What is no message is answered with an error; the page's own call and others' go on."""
        bob = self.rig.page("bob")
        for data in (b"{", b"[]", b'{"type": 7}', b'{"type": "DANCE"}', b'{"type": "OFFER", "id": {}}'):
            bob.feed(frame(data))
        bob.look()
        self.assertEqual([message["type"] for message in bob.transcript[1:]], ["ERROR"] * 5)
        bob.feed(frame(b"\x80\x81"))  # no UTF-8: RFC 6455 §8.1
        self.assertEqual(bob.close_code, 1007)
        self.rig.ladder.clear()
        self.still_talking()

    def test_somebody_elses_call(self) -> None:
        """A page can neither end nor take up a call that is not its user's."""
        bob = self.rig.page("bob")
        for kind in ("HANGUP", "ANSWER", "PRANSWER", "RINGING"):
            bob.send(kind, session=self.session)
            self.assertEqual(bob.last("ERROR")["code"], "no-session")
        bob.send("OFFER", session=self.session, sdp="mine")
        self.assertEqual(bob.last("ERROR")["code"], "no-session")
        self.still_talking()

    def test_out_of_turn(self) -> None:
        """Messages of the page that make no sense now are refused; the call goes on."""
        self.alice.send("RINGING", session=self.session)
        self.assertEqual(self.alice.last("ERROR")["code"], "illegal-state")
        self.rig.ladder.clear()
        self.still_talking()

    def test_flood(self) -> None:
        """A page that floods is cut off; its call ends after the grace time, another's does not."""
        bob = self.rig.page("bob")
        bob.call(ECHO)
        self.rig.advance()
        bob.feed(frame(b'{"type":"PING","id":1}') * 500)
        self.assertEqual(bob.close_code, 4413)
        self.rig.advance(31)
        self.assertEqual(len(self.rig.translator.calls), 1)
        self.rig.ladder.clear()
        self.rig.core.calls[0].bye()
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "hangup")

    def test_header_injection(self) -> None:
        """A destination with line breaks makes no header of its own."""
        self.alice.send("HANGUP", session=self.session)
        calls = len(self.rig.core.calls)
        for to in ("sip:x@ims.test\r\nX-Evil: 1", "sip:x@ims.test?X-Evil=1", "x\r\n\r\ny", "sip:x@ims.test>;evil"):
            self.alice.send("OFFER", to=to, sdp="offer")
            self.rig.advance()
        for call in self.rig.core.calls[calls:]:
            self.assertNotIn("x-evil", call.invite.headers)
        self.rig.translator.end_all(Reason.HANGUP)
        self.rig.advance()
