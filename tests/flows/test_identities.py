"""Who calls, who was called, who has answered: shown, hidden, sent; headers of pages; emergency numbers."""

from __future__ import annotations

from typing import Any, ClassVar

from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.model.peer import TransferWay
from rtcgw.sip.alternative import CONTENT_TYPE, alternative
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page
from tests.flows.transfers import TransferCase
from tests.peers.browser import SDP

CARRIED = {"X-Account": "4711", "x-trace": "Zürich → Bern"}


class IdentityCase(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def place(self, page: Page, to: str = ECHO, **fields: Any) -> dict[str, Any]:
        """Place a call; the page's last message."""
        page.send("OFFER", to=to, sdp=SDP if to == "carol" else "offer", **fields)
        self.rig.advance()
        return dict(page.transcript[-1])

    def hang_up(self, page: Page) -> None:
        page.send("HANGUP", session=page.last("WAITING")["session"])
        self.rig.advance()


class CallerTests(IdentityCase):
    def test_anonymous(self) -> None:
        """A page that hides its user: the phone sees nobody, the network still knows whose call it is."""
        self.place(self.alice, anonymous=True)
        invite = self.rig.call.invite
        self.assertEqual(Identity(str(invite.from_.uri), invite.from_.display), ANONYMOUS)
        self.assertEqual((invite.get("privacy"), invite.get("p-preferred-identity")), ("id", "<sip:alice@ims.test>"))
        self.hang_up(self.alice)

    def test_anonymous_between_pages(self) -> None:
        """Nor does another page see who it is."""
        carol = self.rig.page("carol")
        self.place(self.alice, "carol", anonymous=True)
        self.assertEqual(carol.last("OFFER")["from"], {"uri": "sip:anonymous@anonymous.invalid", "name": "Anonymous"})
        self.hang_up(self.alice)

    def test_anonymity_refused(self) -> None:
        """The called takes no anonymous calls (433)."""
        self.rig.phone(lambda call: call.reject(433, "Anonymity Disallowed"))
        self.assertEqual(self.place(self.alice, anonymous=True)["reason"], "anonymity-refused")

    def test_anonymous_phone(self) -> None:
        """A phone that hides, in one way or the other, is shown as anonymous."""
        for caller, headers in (
            ("sip:anonymous@anonymous.invalid", ()),
            ("sip:bob@ims.test", (("Privacy", "id"), ("P-Asserted-Identity", "<sip:bob@ims.test>"))),
        ):
            call = self.rig.core.call("sip:alice@ims.test", "offer", caller, *headers)
            self.rig.advance()
            shown = {"uri": "sip:anonymous@anonymous.invalid", "name": "Anonymous"}
            self.assertEqual(self.alice.last("OFFER")["from"], shown)
            call.cancel()
            self.rig.advance()

    def test_forwarded_to_us(self) -> None:
        """The page sees for whom the call was, and who has transferred it."""
        history = (
            "<sip:boss@ims.test>;index=1, <sip:desk@ims.test?Privacy=history>;index=1.1, <sip:alice@ims.test>;index=1.2"
        )
        call = self.rig.core.call(
            "sip:alice@ims.test",
            "offer",
            "sip:bob@ims.test",
            ("History-Info", history),
            ("Referred-By", "<sip:carla@ims.test>"),
        )
        self.rig.advance()
        offer = self.alice.last("OFFER")
        anonymous = {"uri": "sip:anonymous@anonymous.invalid", "name": "Anonymous"}
        self.assertEqual(offer["history"], [{"uri": "sip:boss@ims.test"}, anonymous])
        self.assertEqual(offer["referredBy"], "sip:carla@ims.test")
        call.cancel()
        self.rig.advance()

    def test_ordinary(self) -> None:
        """An ordinary call has none of that."""
        call = self.rig.ring()
        self.assertTrue({"history", "referredBy", "headers"}.isdisjoint(self.alice.last("OFFER")))
        call.cancel()
        self.rig.advance()

    def test_somebody_else_answers(self) -> None:
        """The network says who has answered: the page is told, once."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        asserted = ("P-Asserted-Identity", '"Carol" <sip:carol2@ims.test>')
        self.rig.call.respond(200, "OK", "final", asserted)
        self.rig.advance()
        self.alice.answer(session)
        self.assertEqual(self.alice.last("PARTY")["remote"], {"uri": "sip:carol2@ims.test", "name": "Carol"})
        self.rig.call.request("UPDATE", "again", asserted)
        self.rig.advance()
        self.assertEqual(len([one for one in self.alice.transcript if one["type"] == "PARTY"]), 1)
        self.hang_up(self.alice)

    def test_why_the_phone_hung_up(self) -> None:
        """The reason in a BYE is told in a word and in the network's own text."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.answer("final")
        self.rig.advance()
        self.alice.answer(session)
        self.rig.call.request("BYE", None, ("Reason", 'Q.850;cause=38;text="Radio link lost"'))
        self.rig.advance()
        ended = self.alice.last("HANGUP")
        told = ended["reason"], ended["text"], ended["said"]
        self.assertEqual(told, ("unreachable", "Radio link lost", "Radio link lost"))

    def test_why_it_was_refused(self) -> None:
        """480 with a cause: nobody answered; the word says so, and the network's text."""
        said = (("Reason", "Q.850;cause=19"), ("Warning", '399 x "No"'))
        self.rig.phone(lambda call: call.reject(480, "Unavailable", *said))
        ended = self.place(self.alice)
        self.assertEqual((ended["reason"], ended["text"], ended["status"]), ("no-answer", "No", 480))


class HeaderTests(IdentityCase):
    settings: ClassVar[dict[str, Any]] = {"headers": ("X-Account", "X-Trace")}

    def test_of_the_page(self) -> None:
        """What the configuration allows is in the INVITE, spelled as configured."""
        self.place(self.alice, headers=CARRIED)
        invite = self.rig.call.invite
        self.assertEqual((invite.get("x-account"), invite.get("x-trace")), ("4711", "Zürich → Bern"))
        self.assertIn(b"\r\nX-Trace: Z", invite.to_bytes())
        self.hang_up(self.alice)

    def test_forbidden(self) -> None:
        """What it does not allow is refused, and no call is placed; so is a value that would begin another header."""
        for headers in ({"X-Other": "1"}, {"Route": "<sip:evil>"}, {"X-Account": "1", "x-account": "2"}):
            self.assertEqual(self.place(self.alice, headers=headers)["code"], "forbidden-header")
        for headers in ({"X-Account": "1\r\nRoute: <sip:evil>"}, {"X-Account": "x" * 1025}, {"X Account": "1"}):
            self.assertEqual(self.place(self.alice, headers=headers)["code"], "malformed")
        self.assertEqual((self.rig.core.calls, self.rig.translator.calls), ([], {}))

    def test_of_the_phone(self) -> None:
        """What it allows of an INVITE is shown to the page, bounded and without controls; nothing else is."""
        call = self.rig.core.call(
            "sip:alice@ims.test",
            "offer",
            "sip:bob@ims.test",
            ("x-account", "47\x0711"),
            ("X-Trace", "y" * 2000),
            ("X-Secret", "no"),
        )
        self.rig.advance()
        self.assertEqual(self.alice.last("OFFER")["headers"], {"X-Account": "4711", "X-Trace": "y" * 1024})
        call.cancel()
        self.rig.advance()

    def test_between_pages(self) -> None:
        """A page's headers reach another page as well."""
        carol = self.rig.page("carol")
        self.place(self.alice, "carol", headers=CARRIED)
        self.assertEqual(carol.last("OFFER")["headers"], {"X-Account": "4711", "X-Trace": "Zürich → Bern"})
        self.hang_up(self.alice)


class NoHeaderTests(IdentityCase):
    def test_none_allowed(self) -> None:
        """Without a list nothing is allowed; an empty set of headers is none."""
        self.assertEqual(self.place(self.alice, headers={"X-Account": "1"})["code"], "forbidden-header")
        self.place(self.alice, headers={})
        self.hang_up(self.alice)


class EmergencyTests(IdentityCase):
    def test_of_a_page(self) -> None:
        """An emergency number in any spelling is refused at once, with words to show; nothing reaches the core."""
        for number in ("112", "tel:911", "sip:1-1-2@ims.test", "112@ims.test", "urn:service:sos.police"):
            ended = self.place(self.alice, number)
            self.assertEqual(ended["reason"], "emergency-not-supported", number)
            self.assertEqual(ended["text"], "Emergency numbers cannot be called from here. Use a phone.")
        self.assertEqual(self.rig.core.calls, [])
        self.assertEqual(self.rig.translator.ended, {"emergency-not-supported": 5})


class WaitingTests(IdentityCase):
    def test_call_waiting(self) -> None:
        """The second caller of a user who is in a call hears that it waits; the first one does not."""
        first = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        self.assertNotIn("alert-info", first.responses[-1].headers)
        second = self.rig.ring()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance()
        ringing = [response for response in second.responses if response.status == 180]
        self.assertEqual(ringing[0].get("alert-info"), "<urn:alert:service:call-waiting>")
        for call in (first, second):
            call.cancel()
        self.rig.advance()


class EmergencyByPhoneTests(IdentityCase):
    settings: ClassVar[dict[str, Any]] = {"emergency": ("sip:alice@ims.test",)}

    def test_of_a_phone(self) -> None:
        """A phone that dials such a number by way of the gateway hears 380 with the body that phones of an IMS read."""
        call = self.rig.ring()
        assert call.final is not None
        self.assertEqual((call.final.status, call.final.get("content-type")), (380, CONTENT_TYPE))
        self.assertEqual(alternative(call.final).type, "emergency")


class EmergencyTransferTests(TransferCase):
    def test_by_the_gateway(self) -> None:
        """Nobody is transferred to an emergency number, in whatever way transfers are made; the call goes on."""
        self.transfer(to="tel:112")
        self.assertEqual(self.news()[-1], "emergency-not-supported")
        self.assertEqual(len(self.rig.core.calls), 1)
        self.still_talks()


class EmergencyReferralTests(EmergencyTransferTests):
    way: ClassVar[TransferWay] = TransferWay.REFER
