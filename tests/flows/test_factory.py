"""Conferences that the network makes: the page calls its factory, and the conference invites the others by REFER."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import unquote

from rtcgw.translator.corefocus import INVITE_TIME
from tests.flows.test_conference import ONE, TWO, ConferenceCase
from tests.peers.core_call import CoreCall

FACTORY = "sip:conference-factory@ims.test"
CONTACT = ("Contact", "<sip:room7@127.0.0.1:5061>;isfocus")
ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, SUBSCRIBE")


class FactoryCase(ConferenceCase):
    settings: ClassVar[dict[str, Any]] = {"conference_factory": FACTORY}

    def ask(self, *sessions: str) -> None:
        self.alice.send("MERGE", sessions=list(sessions or (self.first, self.second)))
        self.rig.advance()

    def founded(self) -> CoreCall:
        """The factory answers the page's call, and the page takes its sound."""
        self.ask()
        focus = self.rig.call
        self.assertEqual(str(focus.invite.uri), FACTORY)
        focus.canned["REFER"] = [(202, None)] * 4
        focus.respond(200, "OK", "focus", CONTACT, ALLOW)
        self.rig.advance()
        self.page_takes(self.first)
        return focus

    def says(self, focus: CoreCall, status: str, last: bool = True) -> None:
        """The conference tells how an invitation went."""
        state = "terminated;reason=noresource" if last else "active;expires=60"
        focus.request(
            "NOTIFY",
            f"SIP/2.0 {status}\r\n",
            ("event", "refer"),
            ("subscription-state", state),
            ("content-type", "message/sipfrag;version=2.0"),
        )
        self.rig.advance()

    def referred(self, focus: CoreCall) -> list[str]:
        """Whom the conference was asked to invite, and in place of whose dialog."""
        asked = [request for request in focus.requests if request.method == "REFER"]
        return [unquote(request.get("refer-to") or "") for request in asked]

    def dialog_of(self, phone: CoreCall) -> str:
        """A phone's dialog with the gateway as the phone knows it."""
        assert phone.dialog is not None
        known = phone.dialog.id
        return f"Replaces={known.call_id};to-tag={known.local_tag};from-tag={known.remote_tag}"


class FactoryTests(FactoryCase):
    def test_three(self) -> None:
        """The page is moved to the factory; each phone is invited in place of its call, which then ends."""
        focus = self.founded()
        self.assertEqual(self.referred(focus), [f"<{ONE}?{self.dialog_of(self.one)}>"])
        self.says(focus, "200 OK")
        self.assertTrue(self.one.ended)
        self.assertEqual(self.referred(focus)[1:], [f"<{TWO}?{self.dialog_of(self.two)}>"])
        self.assertEqual(self.ended(), [])
        self.says(focus, "180 Ringing", last=False)
        self.says(focus, "200 OK")
        self.assertTrue(self.two.ended)
        self.assertEqual(self.ended(), [self.second])
        self.assertEqual(self.alice.last("HANGUP")["reason"], "merged")
        self.assertEqual(self.alice.last("OK")["session"], self.first)
        self.assertEqual(list(self.rig.conferences.rooms), [])

    def test_phone_is_replaced_first(self) -> None:
        """A phone that takes the conference's call ends its old one by itself; nothing is ended twice."""
        focus = self.founded()
        self.one.bye()
        self.rig.advance()
        self.says(focus, "200 OK")
        self.two.bye()
        self.rig.advance()
        self.says(focus, "200 OK")
        self.assertEqual(self.alice.last("OK")["session"], self.first)

    def test_one_more(self) -> None:
        """A call that is added later is invited into the conference that is there."""
        focus = self.founded()
        self.says(focus, "200 OK")
        self.says(focus, "200 OK")
        third, three = self.talk("sip:three@ims.test")
        self.ask(third, self.first)
        self.assertEqual(self.referred(focus)[2:], [f"<sip:three@ims.test?{self.dialog_of(three)}>"])
        self.says(focus, "200 OK")
        self.assertEqual(self.alice.last("OK")["session"], self.first)
        self.assertIn(third, self.ended())


class FailingTests(FactoryCase):
    def error(self) -> str:
        return str(self.alice.last("ERROR")["code"])

    def test_no_factory(self) -> None:
        """The factory refuses: both calls are as they were."""
        self.ask()
        self.rig.call.reject(404, "Not Found")
        self.rig.advance()
        self.assertEqual(self.error(), "not-found")
        self.assertEqual((self.one.ended, self.two.ended, self.ended()), (False, False, []))
        self.alice.send("HANGUP", session=self.first)
        self.rig.advance()
        self.assertTrue(self.one.ended)

    def test_one_refused(self) -> None:
        """A party that the conference cannot invite stays with the page, where its call still is."""
        focus = self.founded()
        self.says(focus, "200 OK")
        self.says(focus, "603 Decline")
        self.assertEqual(self.alice.last("OK")["session"], self.first)
        self.assertFalse(self.two.ended)
        self.assertEqual(self.ended(), [])

    def test_all_refused(self) -> None:
        """Nobody comes: the page hears it, and is in the conference alone."""
        focus = self.founded()
        self.says(focus, "603 Decline")
        self.assertTrue(self.one.ended, "its call could not stay without the page")
        self.says(focus, "486 Busy Here")
        self.assertEqual(self.error(), "media-incompatible")
        self.assertFalse(self.two.ended)

    def test_no_refer(self) -> None:
        """A focus that takes no REFER, or says nothing more: the others stay, in bounded time."""
        self.ask()
        focus = self.rig.call
        focus.respond(200, "OK", "focus", CONTACT, ("Allow", "INVITE, ACK, CANCEL, BYE"))
        self.rig.advance()
        self.page_takes(self.first)
        self.assertEqual((self.error(), self.one.ended, self.two.ended), ("media-incompatible", True, False))

    def test_one_without_an_outcome(self) -> None:
        """The conference never says how it went with the first party; the second one is invited all the same, and
        what is said then without naming an invitation could be about either."""
        focus = self.founded()
        self.rig.advance(INVITE_TIME + 1)
        self.assertEqual(len(self.referred(focus)), 2)
        self.says(focus, "200 OK")
        self.assertEqual(focus.responses[-1].status, 481)
        self.assertFalse(self.two.ended)
        number = focus.last("REFER").cseq.number
        focus.request(
            "NOTIFY",
            "SIP/2.0 200 OK\r\n",
            ("event", f"refer;id={number}"),
            ("subscription-state", "terminated;reason=noresource"),
            ("content-type", "message/sipfrag"),
        )
        self.rig.advance()
        self.assertTrue(self.two.ended)
        self.assertEqual(self.alice.last("OK")["session"], self.first)

    def test_guest_hangs_up_meanwhile(self) -> None:
        """A party that has hung up before its turn came is not called back by the conference."""
        focus = self.founded()
        self.two.bye()
        self.rig.advance()
        self.says(focus, "200 OK")
        self.assertEqual(len(self.referred(focus)), 1)
        self.assertEqual(self.alice.last("OK")["session"], self.first)

    def test_silence(self) -> None:
        """The conference never says how it went."""
        focus = self.founded()
        self.rig.advance(2 * INVITE_TIME + 1)
        self.assertEqual(self.error(), "media-incompatible")
        self.assertEqual((self.one.ended, self.two.ended, focus.ended), (True, False, False))

    def test_page_hangs_up_meanwhile(self) -> None:
        """The page leaves while the first phone is invited: that phone is let go, the second call goes on."""
        self.founded()
        self.alice.send("HANGUP", session=self.first)
        self.rig.advance()
        self.assertTrue(self.one.ended)
        self.assertFalse(self.two.ended)

    def test_conflicts(self) -> None:
        """A call that is being merged cannot be merged again."""
        self.ask()
        self.ask()
        self.assertEqual(self.error(), "conflict")
        self.rig.call.reject(486, "Busy Here")
        self.rig.advance()
