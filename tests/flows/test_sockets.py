"""A call never ends because a socket did: whatever becomes of a page's connection, and whenever."""

from __future__ import annotations

from collections.abc import Callable

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Page
from tests.peers.browser import ANSWER_SDP, SDP, frame
from tests.peers.core_call import CoreCall

TARGET = "sip:target@ims.test"
GRACE = 30.0


class SocketCase(FlowCase):
    """Alice's page in a call that has been answered; the names below say at what moment, and what happens to it."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def media(self) -> FlowMedia:
        assert isinstance(self.rig.media, FlowMedia)
        return self.rig.media

    def answered(self) -> str:
        """A phone has answered alice's call, and her page has not said yet that it knows."""
        self.rig.phone(lambda call: call.answer("final"))
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.canned["UPDATE"] = [(200, "ok")]
        return session

    def talking(self) -> str:
        session = self.answered()
        self.alice.answer(session)
        self.rig.advance()
        return session

    def survives(self, session: str, lose: Callable[[], object], phone: CoreCall | None) -> None:
        """The call waits for all of the grace time, is one of the user's, and ends only then."""
        lose()
        self.rig.advance(0.2)
        self.assertTrue(self.alice.gone)
        self.rig.advance(GRACE - 1)
        (call,) = self.rig.translator.calls.values()
        self.assertTrue(call.answered)
        self.assertFalse(phone is not None and phone.ended)
        (known,) = self.rig.page("alice", "look").transcript[0]["calls"]
        self.assertEqual((known["session"], known["state"], known["away"]), (session, "Reloading", True))
        self.rig.advance(2)
        self.assertEqual([record.reason for record in self.rig.records], ["client-lost"])
        self.assertTrue(phone is None or phone.ended)


class WaysTests(SocketCase):
    """Alice talks to a phone."""

    def survives_what(self, lose: Callable[[Page], object], code: int | None) -> None:
        session = self.talking()
        self.survives(session, lambda: lose(self.alice), self.rig.call)
        self.assertEqual(self.alice.close_code, code)

    def test_broken(self) -> None:
        """A killed browser, a cable."""
        self.survives_what(Page.drop, None)

    def test_closed_by_the_page(self) -> None:
        """A page that is left closes properly; that is no LOGOUT."""
        self.survives_what(Page.close, 1000)

    def test_broken_protocol(self) -> None:
        """A frame without a mask."""
        self.survives_what(lambda page: page.feed(frame(b"{}", mask=None)), 1002)

    def test_binary(self) -> None:
        self.survives_what(lambda page: page.feed(frame(b"{}", 0x82)), 1003)

    def test_no_text(self) -> None:
        self.survives_what(lambda page: page.feed(frame(b"\xff\xfe")), 1007)

    def test_too_large(self) -> None:
        self.survives_what(lambda page: page.feed(frame(b" " * 300_000)), 1009)

    def test_flood(self) -> None:
        """A page that has gone mad."""

        def flood(page: Page) -> None:
            while not page.gone:
                page.send("PING")

        self.survives_what(flood, 4413)

    def test_silence(self) -> None:
        """A cable that nobody has noticed: the page answers no ping, and would not hear a farewell."""

        def silence(page: Page) -> None:
            page._ponged = 10**6
            while not page.gone:
                self.rig.advance(1)

        self.survives_what(silence, None)


class MomentsTests(SocketCase):
    """The connection breaks while something is under way."""

    def test_before_the_final_answer(self) -> None:
        """The page has not yet applied the phone's answer."""
        self.survives(self.answered(), self.alice.drop, self.rig.call)

    def test_before_the_ack(self) -> None:
        """The page has answered a phone, whose ACK is still on its way."""
        phone = self.rig.ring()
        session = self.alice.invited
        phone.canned["UPDATE"] = [(200, "ok")]
        self.alice.answer(session, "ours")
        self.survives(session, self.alice.drop, phone)

    def test_change(self) -> None:
        """The phone decides about alice's camera."""
        session = self.talking()
        self.media().media.local = False
        self.alice.send("OFFER", session=session, sdp="video")
        self.survives(session, self.alice.drop, self.rig.call)

    def test_asked(self) -> None:
        """Alice decides about the phone's camera: the phone hears no, and goes on talking."""
        session = self.talking()
        self.media().media.local = False
        self.rig.call.request("INVITE", "video")
        self.rig.advance()
        self.assertEqual(self.alice.last("OFFER")["session"], session)
        self.survives(session, self.alice.drop, self.rig.call)

    def test_hold(self) -> None:
        """The phone is being put on hold."""
        session = self.talking()
        self.alice.send("HOLD", session=session, on=True)
        self.survives(session, self.alice.drop, self.rig.call)

    def test_glare(self) -> None:
        """Both have asked, and the gateway waits before it asks again."""
        session = self.talking()
        self.rig.call.canned["UPDATE"] = [(491, None), (200, "ok"), (200, "ok")]
        self.alice.send("HOLD", session=session, on=True)
        self.rig.advance()
        self.survives(session, self.alice.drop, self.rig.call)

    def test_transfer(self) -> None:
        """The phone is being handed on, and nobody answers there: the transfer goes on ringing, and the phone waits."""
        session, phone = self.talking(), self.rig.call
        self.alice.send("TRANSFER", session=session, to=TARGET)
        self.rig.advance()
        target = self.rig.call
        target.ring()
        self.alice.drop()
        self.rig.advance(GRACE - 1)
        self.assertFalse(phone.ended or target.ended)
        target.reject(486, "Busy Here")
        self.rig.advance()
        again = self.rig.page("alice", "again")
        again.send("OFFER", session=session, sdp="restart")
        self.assertEqual(again.last("OK")["for"], "OFFER")
        self.assertFalse(phone.ended)
        again.send("HANGUP", session=session)
        self.rig.advance()

    def test_between_pages(self) -> None:
        """The other side is a page as well, which waits as a phone does."""
        bob = self.rig.page("bob")
        session = self.alice.call("bob", SDP)
        bob.answer(session, ANSWER_SDP)
        self.alice.answer(session)
        self.survives(session, self.alice.drop, None)
        self.assertEqual(bob.last("HANGUP")["reason"], "client-lost")

    def test_both(self) -> None:
        """Both pages are gone at once, and either brings the call back."""
        bob = self.rig.page("bob")
        session = self.alice.call("bob", SDP)
        bob.answer(session, ANSWER_SDP)
        self.alice.answer(session)
        bob.drop()
        self.alice.drop()
        self.rig.advance(GRACE - 1)
        here, there = self.rig.page("alice", "here"), self.rig.page("bob", "there")
        here.send("OFFER", session=session, sdp=SDP)
        there.send("OFFER", session=session, sdp=ANSWER_SDP)
        self.rig.advance()
        self.assertTrue(self.rig.translator.calls)
        here.send("HANGUP", session=session)
        self.assertEqual(there.last("HANGUP")["reason"], "hangup")
