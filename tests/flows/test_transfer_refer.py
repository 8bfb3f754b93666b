"""Transfers by REFER: phones that are sent to the target, and phones that send the page there."""

from __future__ import annotations

from typing import ClassVar

from rtcgw.model.peer import TransferWay
from rtcgw.sip.message import Request
from tests.flows.rig import Page
from tests.flows.transfers import TARGET, TransferCase, sdp
from tests.peers.core_call import CoreCall

FRAGMENT = "message/sipfrag;version=2.0"


class SentTests(TransferCase):
    """A page transfers a phone that says that it takes REFER."""

    way: ClassVar[TransferWay] = TransferWay.AUTO

    def notify(self, line: str, state: str = "active;expires=60") -> None:
        """The phone says how it goes."""
        headers = (("event", "refer"), ("subscription-state", state), ("content-type", FRAGMENT))
        self.phone.request("NOTIFY", f"{line}\r\n", *headers)
        self.rig.advance()

    def asked(self, status: int = 202) -> Request:
        """The page asks, the phone answers the REFER so."""
        self.phone.canned["REFER"] = [(status, None)]
        self.transfer(to=TARGET)
        return self.phone.last("REFER")

    def test_blind(self) -> None:
        """The phone calls the target by itself, and says how it goes; then it is let go, and the page is told."""
        refer = self.asked()
        self.assertEqual((refer.get("refer-to"), refer.get("referred-by")), (f"<{TARGET}>", "<sip:alice@ims.test>"))
        self.notify("SIP/2.0 100 Trying")
        self.notify("SIP/2.0 180 Ringing")
        self.notify("SIP/2.0 200 OK", "terminated;reason=noresource")
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            core <- REFER
            core -> 202 REFER
            alice <- TRANSFER trying
            alice <- TRANSFER ringing
            alice <- TRANSFER done
            alice <- HANGUP transferred
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_number(self) -> None:
        """What a user dials is made an address that a phone can call."""
        self.phone.canned["REFER"] = [(202, None)]
        self.transfer(to="+1 555 0100")
        self.assertEqual(self.phone.last("REFER").get("refer-to"), "<tel:+15550100>")
        self.phone.bye()
        self.rig.advance()

    def test_phone_leaves_first(self) -> None:
        """A phone that hangs up once it has agreed has gone to the target: no other word will come of it."""
        self.asked()
        self.phone.bye()
        self.rig.advance()
        self.assertEqual(self.news(), ["trying", "done"])
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_target_does_not_answer(self) -> None:
        """The page hears why the phone did not get through, and has its call."""
        self.asked()
        self.notify("SIP/2.0 486 Busy Here", "terminated;reason=noresource")
        self.assertEqual((self.news(), self.page.last("TRANSFER")["status"]), (["trying", "busy"], 486))
        self.still_talks()

    def test_no_word(self) -> None:
        """A phone that never says how it went: the page is given up waiting, not its call."""
        self.asked()
        self.rig.advance(201)
        self.assertEqual(self.news(), ["trying", "timeout"])
        self.still_talks()

    def test_lost_packets(self) -> None:
        """A REFER and its 202 that are lost are sent again; a NOTIFY twice is answered twice."""
        for lost in ("REFER", "202"):
            self.rig.lose(lost)
            self.phone.canned["REFER"] = [(202, None)]
            self.transfer(to=TARGET)
            self.rig.advance(1)
            self.notify("SIP/2.0 486 Busy Here", "terminated")
            self.assertEqual(self.news()[-1], "busy", lost)
        self.still_talks()

    def test_barred(self) -> None:
        """Where the network bars REFER the gateway calls the target itself."""
        for status in (403, 405, 501, 603):
            self.asked(status)
            target = self.rig.call
            self.assertIsNot(target, self.phone, status)
            target.reject(486, "Busy Here")
            self.rig.advance()
            self.assertEqual(self.news()[-1], "busy")
        self.phone.canned["UPDATE"] = [(200, sdp("echo"))]
        self.asked(403)
        self.rig.call.answer(sdp("target"))
        self.rig.advance()
        self.assertEqual(self.news()[-1], "done")
        self.rig.call.bye()
        self.rig.advance()
        self.assertTrue(self.phone.ended)

    def test_silence(self) -> None:
        """A phone that does not answer the REFER at all: the gateway does it after 32 s."""
        self.rig.network.fate = lambda packet: 0 if packet.start.startswith("REFER") else 1
        self.transfer(to=TARGET)
        self.rig.advance(33)
        self.assertIsNot(self.rig.call, self.phone)
        self.rig.call.reject(486, "Busy Here")
        self.rig.advance()
        self.rig.network.fate = lambda packet: 1
        self.still_talks()

    def test_refused_otherwise(self) -> None:
        """A refusal that says nothing against REFER itself is the outcome."""
        self.asked(404)
        self.assertEqual(self.news(), ["not-found"])
        self.still_talks()

    def test_phone_hangs_up_at_once(self) -> None:
        """The phone hangs up instead of answering the REFER: nobody was transferred."""
        self.rig.network.fate = lambda packet: 0 if packet.start.startswith("REFER") else 1
        self.transfer(to=TARGET)
        self.phone.bye()
        self.rig.advance()
        self.rig.network.fate = lambda packet: 1
        self.assertEqual(self.news(), [])
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_to_a_web_user(self) -> None:
        """Nobody of the web need be found by a phone: the gateway rings there itself."""
        self.transfer(to="carol")
        self.assertEqual(self.news(), ["trying", "unavailable"])
        self.still_talks()

    def test_attended(self) -> None:
        """The phone is sent to the target with Replaces, which names the page's other call as the target knows it."""
        other, target = self.talk(TARGET, "from-target")
        self.phone.canned["REFER"] = [(202, None)]
        self.transfer(**{"with": other})
        assert target.dialog is not None
        known = target.dialog.id
        value = f"{known.call_id};to-tag={known.local_tag};from-tag={known.remote_tag}"
        value = value.replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
        self.assertEqual(self.phone.last("REFER").get("refer-to"), f"<{TARGET}?Replaces={value}>")
        target.bye()
        self.rig.advance()
        self.notify("SIP/2.0 200 OK", "terminated")
        self.assertEqual(self.news(), ["trying", "done"])
        self.assertTrue(self.phone.ended)


class OldPhonesTests(TransferCase):
    """Phones that take REFER and know no Replaces, as many do."""

    way: ClassVar[TransferWay] = TransferWay.AUTO
    supported = "timer"

    def test_attended(self) -> None:
        """Sent with Replaces such a phone would make a second call: the gateway joins the two itself."""
        other, target = self.talk(TARGET, "from-target")
        self.phone.canned["UPDATE"] = [(200, sdp("echo"))]
        target.canned["INVITE"] = [(200, sdp("target"))]
        self.transfer(**{"with": other})
        self.assertEqual(self.news(), ["trying", "done"])
        self.assertNotIn("REFER", {request.method for request in self.phone.requests})
        target.bye()
        self.rig.advance()
        self.assertTrue(self.phone.ended)


class ForcedTests(SentTests):
    """`transfer = "refer"`: the gateway never calls in the phone's stead."""

    way: ClassVar[TransferWay] = TransferWay.REFER

    def test_barred(self) -> None:
        """Barred is barred."""
        self.asked(403)
        self.assertEqual(self.news(), ["forbidden"])
        self.still_talks()

    def test_silence(self) -> None:
        """No answer is no transfer."""
        self.rig.network.fate = lambda packet: 0 if packet.start.startswith("REFER") else 1
        self.transfer(to=TARGET)
        self.rig.advance(33)
        self.rig.network.fate = lambda packet: 1
        self.assertEqual(self.news(), ["timeout"])
        self.still_talks()


class ReceivedTests(TransferCase):
    """A phone transfers the page."""

    def refer(self, *headers: tuple[str, str]) -> None:
        self.phone.request("REFER", None, *(headers or (("refer-to", f"<{TARGET}>"),)))
        self.rig.advance()

    def fragments(self, call: CoreCall | None = None) -> list[str]:
        """What the phone was notified of."""
        notified = [one for one in (call or self.phone).requests if one.method == "NOTIFY"]
        return [one.body.decode().strip() for one in notified]

    def test_blind(self) -> None:
        """The page is moved to the target: it keeps its session, is offered fresh media, told who it talks to; the
        phone hears how it goes and is let go."""
        self.refer(("refer-to", f"<{TARGET}>"), ("referred-by", "<sip:boss@ims.test>"))
        target = self.rig.call
        self.assertEqual(target.invite.get("referred-by"), "<sip:boss@ims.test>")
        target.ring()
        self.rig.advance()
        target.answer("theirs")
        self.rig.advance()
        self.assertTrue(self.page.last("OFFER")["fresh"])
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.reads(
            """
            core -> REFER
            core <- 202 REFER
            core <- INVITE offer-for-callee
            core -> 100 INVITE
            core -> 180 INVITE
            core -> 200 INVITE theirs
            alice <- OFFER callee-answer(theirs)
            core <- ACK
            alice -> ANSWER again
            alice <- OK ANSWER
            alice <- PARTY
            core <- BYE
            core -> 200 BYE
            """
        )
        self.assertEqual(self.fragments(), ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"])
        self.assertEqual(self.page.last("PARTY")["remote"]["uri"], TARGET)
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(target.ended)

    def test_target_refuses(self) -> None:
        """The phone hears the target's own words, and talks to the page as before."""
        self.refer()
        self.rig.call.reject(603, "Decline")
        self.rig.advance()
        self.assertEqual(self.fragments(), ["SIP/2.0 100 Trying", "SIP/2.0 603 Decline"])
        self.still_talks()

    def test_phone_hangs_up_at_once(self) -> None:
        """Phones hang up as soon as their REFER is taken: the page goes to the target all the same."""
        self.refer()
        target = self.rig.call
        self.phone.bye()
        self.rig.advance()
        target.answer("theirs")
        self.rig.advance()
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.assertFalse(target.ended)
        target.bye()
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_page_hangs_up(self) -> None:
        """The page does not want to go there: both calls are over."""
        self.refer()
        target = self.rig.call
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(target.cancelled)
        target.reject(487, "Request Terminated")
        self.assertTrue(self.phone.ended)

    def test_with_replaces_elsewhere(self) -> None:
        """A dialog between the phone and the target that does not pass here is named in the INVITE."""
        self.refer(("refer-to", f"<{TARGET}?Replaces=c7%3Bto-tag%3D7%3Bfrom-tag%3D8>"))
        invite = self.rig.call.invite
        self.assertEqual(invite.get("replaces"), "c7;to-tag=7;from-tag=8")
        self.assertTrue(invite.has("require", "replaces"))
        self.rig.call.reject(481, "Call/Transaction Does Not Exist")
        self.rig.advance()
        self.assertEqual(self.fragments()[-1], "SIP/2.0 481 Call/Transaction Does Not Exist")
        self.still_talks()

    def test_with_replaces_here(self) -> None:
        """A phone that talks to the page and, after an earlier transfer, to another phone by way of the gateway joins
        these two: its other call is one of ours, and nobody is called."""
        second = self.rig.page("carol")
        other, there = self.talk("sip:other@ims.test", "from-other", second)
        third = self.handed_on(second, other, there)
        there.canned["UPDATE"] = [(200, "again")]
        self.phone_is_in(third)

    def handed_on(self, page: Page, session: str, call: CoreCall) -> CoreCall:
        """The page hands its phone on to a third one; the two talk through the gateway."""
        call.canned["UPDATE"] = [(200, sdp("other"))]
        page.send("TRANSFER", session=session, to="sip:third@ims.test")
        self.rig.advance()
        third = self.rig.call
        third.answer(sdp("third"))
        self.rig.advance()
        return third

    def phone_is_in(self, third: CoreCall) -> None:
        """The page's phone transfers the page to whoever the third phone talks to, by the third one's dialog."""
        assert third.dialog is not None
        known = third.dialog.id
        call_id = known.call_id.replace("@", "%40")
        value = f"{call_id}%3Bto-tag%3D{known.remote_tag}%3Bfrom-tag%3D{known.local_tag}"
        self.refer(("refer-to", f"<sip:gw@127.0.0.1:5070?Replaces={value}>"))
        self.assertEqual(self.page.last("OFFER")["sdp"], "callee-answer(again)")
        self.page.send("ANSWER", session=self.session, sdp="mine")
        self.rig.advance()
        self.assertEqual(self.fragments()[-1], "SIP/2.0 200 OK")
        self.assertTrue(third.ended)
        self.assertTrue(self.phone.ended)
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()


class BarredTests(TransferCase):
    settings: ClassVar[dict[str, object]] = {"refer_from_core": "refuse"}

    def test_refused(self) -> None:
        """`refer_from_core = "refuse"`: no phone transfers a page, whoever has called whom."""
        bob = self.rig.page("bob")
        calling = self.rig.ring(called="tel:+15550011")
        bob.send("ANSWER", session=bob.invited, sdp="his")
        self.rig.advance()
        for phone in (self.phone, calling):
            phone.request("REFER", None, ("refer-to", f"<{TARGET}>"))
            self.rig.advance()
            self.assertEqual(phone.responses[-1].status, 603)
        calling.bye()
        self.rig.advance()
        self.still_talks()
