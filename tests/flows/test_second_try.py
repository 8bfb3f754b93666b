"""A phone refuses the offer as it is: one automatic second try with the fallback of its peer profile."""

from __future__ import annotations

from rtcgw.model.peer import PeerProfile, Srtp
from tests.flows.rig import FlowMedia, Rig, configured
from tests.flows.test_outgoing import PLACED, OutgoingCase
from tests.peers.core_call import CoreCall

PBX = PeerProfile("pbx", srtp=Srtp.SDES, fallback=PeerProfile("plain"))


class SecondTryTests(OutgoingCase):
    """Alice calls ECHO, whose phone does not do what its profile asks for."""

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(second=True), peer=PBX)

    def first(self, refuse: int, *headers: tuple[str, str]) -> None:
        """The phone refuses the first INVITE and rings on the second."""

        def picky(call: CoreCall) -> None:
            if len(self.rig.core.calls) == 1:
                call.reject(refuse, "No", *headers)
            else:
                call.ring()

        self.rig.phone(picky)

    def test_488(self) -> None:
        """The same call again, with the next number and the other offer; the page hears one ringing, one answer."""
        self.first(488)
        session = self.alice.call("sip:echo@ims.test")
        self.rig.advance()
        self.reads(
            PLACED
            + """
            core -> 488 INVITE
            core <- ACK
            core <- INVITE fallback
            core -> 100 INVITE
            core -> 180 INVITE
            alice <- RINGING
            """
        )
        one, two = (call.invite for call in self.rig.core.calls)
        self.assertEqual((two.call_id, two.cseq.number), (one.call_id, one.cseq.number + 1))
        self.answered(session)
        self.page_hangs_up(session)

    def test_twice(self) -> None:
        """A phone that refuses that as well ends the call, in its own words."""
        self.rig.phone(lambda call: call.reject(488, "Not Acceptable Here"))
        self.alice.call("sip:echo@ims.test")
        self.rig.advance()
        self.reads(
            PLACED
            + """
            core -> 488 INVITE
            core <- ACK
            core <- INVITE fallback
            core -> 100 INVITE
            core -> 488 INVITE
            alice <- HANGUP media-incompatible
            core <- ACK
            """
        )
        self.assertEqual(self.alice.last("HANGUP")["status"], 488)

    def test_420(self) -> None:
        """What the phone does not support is not said again."""
        self.first(420, ("Unsupported", "100rel"))
        session = self.alice.call("sip:echo@ims.test")
        self.rig.advance()
        self.assertNotIn("100rel", self.rig.call.invite.get("supported") or "")
        self.alice.send("HANGUP", session=session)
        self.rig.advance()

    def test_given_up_between(self) -> None:
        """Hanging up after the refusal and before the second try's first response: that one is cancelled."""
        self.first(488)
        session = self.alice.call("sip:echo@ims.test")
        self.rig.advance(0.004)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(self.rig.ladder.count("core <- CANCEL"), 1)
        self.assertEqual(self.rig.translator.calls, {})


class NoSecondWayTests(OutgoingCase):
    """A peer without a fallback."""

    def test_488(self) -> None:
        """The first refusal is the end."""
        self.rig.phone(lambda call: call.reject(488, "Not Acceptable Here"))
        self.alice.call("sip:echo@ims.test")
        self.rig.advance()
        self.reads(
            PLACED
            + """
            core -> 488 INVITE
            alice <- HANGUP media-incompatible
            core <- ACK
            """
        )
