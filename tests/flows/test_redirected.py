"""Calls that the core answers with another address, and calls that it answers with another service."""

from __future__ import annotations

from typing import Any, ClassVar

from rtcgw.model.peer import PeerProfile
from rtcgw.sip.alternative import CONTENT_TYPE, emergency
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.core_call import CoreCall

THERE = "sip:there@ims.test"


class RedirectedTests(FlowCase):
    settings: ClassVar[dict[str, Any]] = {"redirects": 3}

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["progress", "ringback"])

    def phones(self, **contacts: str) -> None:
        """By user, what a phone answers with 302; who is not among them rings."""

        def answer(call: CoreCall) -> None:
            user = call.invite.uri.user or ""
            if user in contacts:
                call.move(*contacts[user].split())
            else:
                call.ring()

        for user in ("echo", "there", "elsewhere", "nobody"):
            self.rig.core.phone(f"sip:{user}@ims.test", answer)

    def place(self) -> str:
        session = self.alice.call(ECHO)
        self.rig.advance()
        return session

    def test_ladder(self) -> None:
        """The page is told that the call is sent on; the new phone answers, and the call is an ordinary one."""
        self.phones(echo=f"<{THERE}>")
        session = self.place()
        first, second = self.rig.core.calls
        self.assertEqual(second.invite.call_id, first.invite.call_id)
        self.assertEqual(self.alice.last("PROGRESS")["stage"], "forwarded")
        second.answer("final")
        self.rig.advance()
        self.alice.answer(session)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core -> 302 INVITE
            alice <- PROGRESS
            core <- ACK
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core -> 180 INVITE
            alice <- RINGING
            alice <- RINGBACK local
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            alice <- RINGBACK none
            core <- ACK
            alice -> ANSWER
            alice <- OK ANSWER
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_lost_messages(self) -> None:
        """The 302 comes twice because its ACK was lost, and the new INVITE is lost once: still one call."""
        self.phones(echo=f"<{THERE}>")
        self.rig.lose("ACK", f"INVITE {THERE}")
        self.alice.call(ECHO)
        self.rig.advance(0.2)
        self.rig.call.answer_again()
        self.rig.advance(3)
        self.assertEqual([str(call.invite.uri) for call in self.rig.core.calls], [ECHO, THERE])
        self.alice.send("HANGUP", session=self.alice.last("WAITING")["session"])
        self.rig.advance()

    def test_loop(self) -> None:
        """Two phones that send each other's calls on: the page hears of a circle."""
        self.phones(echo=f"<{THERE}>", there=f"<{ECHO}>")
        self.place()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "loop")
        self.assertEqual(len(self.rig.core.calls), 2)

    def test_emergency(self) -> None:
        """A phone that is forwarded to an emergency number is not followed there."""
        self.phones(echo="<tel:112;phone-context=ims.test>")
        self.place()
        ended = self.alice.last("HANGUP")
        self.assertEqual((ended["reason"], ended["status"]), ("emergency-not-supported", 302))
        self.assertIn("phone", ended["text"])
        self.assertEqual(len(self.rig.core.calls), 1)

    def test_given_up_meanwhile(self) -> None:
        """Giving up while the new phone rings cancels it there."""
        self.phones(echo=f"<{THERE}>")
        session = self.place()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual([call.cancelled for call in self.rig.core.calls], [False, True])

    def test_history(self) -> None:
        """Where the peer is told, it learns for whom the call was."""
        self.rig.peer = PeerProfile(history=True)
        self.phones(echo=f"<{THERE}>;mp=1")
        session = self.place()
        self.assertEqual(
            self.rig.call.invite.values("history-info"),
            [f"<{ECHO}?Reason=SIP%3Bcause%3D302>;index=1", f"<{THERE}>;index=1.1;mp=1"],
        )
        self.alice.send("HANGUP", session=session)
        self.rig.advance()


class AlternativeTests(FlowCase):
    """380."""

    def refused(self, body: bytes) -> dict[str, Any]:
        alice = self.rig.page("alice")

        def refuse(call: CoreCall) -> None:
            call.respond(380, "Alternative Service", body.decode() or None, ("Content-Type", CONTENT_TYPE))

        self.rig.phone(refuse)
        alice.call(ECHO)
        self.rig.advance()
        return dict(alice.last("HANGUP"))

    def test_emergency(self) -> None:
        """The core says that the number is an emergency's: the page can say that a phone is needed."""
        ended = self.refused(emergency("call 999"))
        self.assertEqual((ended["reason"], ended["status"]), ("emergency-not-supported", 380))
        self.assertEqual(ended["text"], "Emergency numbers cannot be called from here. Use a phone.")

    def test_restoration(self) -> None:
        """The core has lost the registration: the gateway registers again at once."""
        before = len(self.rig.core.registers)
        body = b"<ims-3gpp><alternative-service><type>restoration</type></alternative-service></ims-3gpp>"
        self.assertEqual(self.refused(body)["reason"], "not-registered")
        self.rig.advance(5)
        self.assertGreater(len(self.rig.core.registers), before)

    def test_plain(self) -> None:
        """A 380 that says nothing more is no emergency."""
        self.assertEqual(self.refused(b"")["reason"], "service-alternative")
