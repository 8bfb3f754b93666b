"""A SIP half-call over the real transactions and user agent: what it asks of a phone, with loss and repetition."""

from __future__ import annotations

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.model.events import (
    Accept,
    Description,
    End,
    Event,
    Info,
    Keyframe,
    Kind,
    Setup,
    Unacceptable,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent
from rtcgw.translator.sipinfo import PICTURE_FAST_UPDATE
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipstate import Ladder, State
from rtcgw.translator.siptable import outgoing
from tests.ims.rig import Rig
from tests.peers.core_call import CoreCall
from tests.peers.network import Packet

NEW = Update(Description(Kind.OFFER, "new"))


def answered(sdp: str) -> UpdateAccept:
    return UpdateAccept(Description(Kind.ANSWER, sdp))


@implementer(ILegParent)
@define(eq=False)
class Ear:
    heard: list[Event] = field(factory=list)

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)


class LegTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig().start()
        self.ear = Ear()

    def placed(self, peer: PeerProfile | None = None) -> SipLeg:
        leg = outgoing(
            SessionId("s1"), self.rig.agent(), self.rig.clock, Ladder(), peer=PeerProfile() if peer is None else peer
        )
        leg.parent = self.ear
        leg.deliver(self.setup_with("offer"))
        self.rig.advance()
        return leg

    @staticmethod
    def setup_with(sdp: str) -> Setup:
        return Setup(Identity("alice"), Identity("sip:bob@ims.test"), Description(Kind.OFFER, sdp))

    @property
    def phone(self) -> CoreCall:
        return self.rig.core.calls[-1]

    def talking(self, update: bool = True) -> SipLeg:
        leg = self.placed()
        if update:
            self.phone.answer("final")
        else:
            self.phone.respond(200, "OK", "final")
        self.rig.advance()
        self.ear.heard.clear()
        return leg

    def methods(self) -> list[str]:
        return [request.method for request in self.phone.requests]

    def ended(self, leg: SipLeg) -> None:
        """Nothing of the call is left when it is over."""
        if leg.machine.state is not State.ENDED:
            leg.deliver(End(Reason.HANGUP))
        self.rig.advance(70)
        self.assertEqual(leg.machine.state, State.ENDED)
        self.assertEqual((len(self.rig.layer), len(self.rig.routing.index), len(self.rig.agent().load)), (0, 0, 0))

    def test_update(self) -> None:
        """A phone that takes UPDATE is asked by it."""
        leg = self.talking()
        self.phone.canned["UPDATE"] = [(200, "yes")]
        leg.deliver(NEW)
        self.rig.advance()
        self.assertEqual((self.ear.heard, self.methods()), ([answered("yes")], ["ACK", "UPDATE"]))
        update = self.phone.last("UPDATE")
        self.assertEqual((update.body, update.get("contact")), (b"new", self.rig.agent().contact()))
        self.assertEqual(len(update.headers["route"]), 1)
        self.ended(leg)

    def test_lost_update(self) -> None:
        """A lost UPDATE is repeated by its transaction; the phone sees one change."""
        leg = self.talking()
        self.phone.canned["UPDATE"] = [(200, "yes")]
        lost: list[Packet] = []

        def fate(packet: Packet) -> int:
            if packet.start.startswith("UPDATE") and not lost:
                lost.append(packet)
                return 0
            return 1

        self.rig.network.fate = fate
        leg.deliver(NEW)
        self.rig.advance(1)
        self.assertEqual((self.ear.heard, self.methods()), ([answered("yes")], ["ACK", "UPDATE"]))
        self.ended(leg)

    def test_reinvite(self) -> None:
        """Another one by re-INVITE; a 491 is waited out, a challenge met, the 200 acknowledged."""
        leg = self.talking(update=False)
        self.phone.canned["INVITE"] = [(491, None), (200, "yes")]
        leg.deliver(NEW)
        self.rig.advance(2)
        self.assertEqual(self.methods().count("INVITE"), 1)
        self.rig.advance(3)
        self.assertEqual(self.ear.heard, [answered("yes")])
        self.assertEqual([one for one in self.methods() if one != "ACK"], ["INVITE", "INVITE"])
        self.assertEqual(self.phone.requests[-1].cseq.number, self.phone.last("INVITE").cseq.number)
        self.ended(leg)

    def test_refused(self) -> None:
        """A change refused leaves the call as it was, and the next one may be taken."""
        leg = self.talking(update=False)
        self.phone.canned["INVITE"] = [(488, None), (200, "yes")]
        leg.deliver(NEW)
        self.rig.advance()
        leg.deliver(NEW)
        self.rig.advance()
        self.assertEqual(self.ear.heard, [UpdateReject(Reason.MEDIA), answered("yes")])
        self.ended(leg)

    def test_phone_gone(self) -> None:
        """A phone that has died is noticed with the change: the call ends."""
        leg = self.talking()
        self.rig.core.silent = True
        leg.deliver(NEW)
        self.rig.advance(33)
        self.assertEqual(self.ear.heard, [End(Reason.TIMEOUT)])
        self.ended(leg)

    def test_second_try(self) -> None:
        """Refused for what it offers, the call is tried again as the same call."""
        leg = self.placed()
        first = self.phone.invite
        self.phone.reject(488, "Not Acceptable Here")
        self.rig.advance()
        self.assertEqual(self.ear.heard, [Unacceptable(Reason.MEDIA, None, 488)])
        leg.deliver(self.setup_with("other"))
        self.rig.advance()
        second = self.phone.invite
        self.assertEqual((second.body, second.call_id, second.from_.tag), (b"other", first.call_id, first.from_.tag))
        self.assertEqual(second.cseq.number, first.cseq.number + 1)
        self.phone.answer("final")
        self.rig.advance()
        self.assertEqual(self.ear.heard[-1], Accept(Description(Kind.ANSWER, "final")))
        self.assertEqual(len(self.rig.agent().load), 1)
        self.ended(leg)

    def test_given_up_after_the_refusal(self) -> None:
        """Without another offer nothing more is sent."""
        leg = self.placed()
        self.phone.reject(488, "Not Acceptable Here")
        self.rig.advance()
        leg.deliver(End(Reason.MEDIA))
        self.ended(leg)
        self.assertEqual(len(self.rig.core.calls), 1)

    def test_info(self) -> None:
        """Keys go to the phone and come from it; a whole picture is asked for both ways."""
        leg = self.talking()
        leg.deliver(Info("12"))
        self.rig.advance()
        self.assertEqual([one.body[:8] for one in self.phone.requests[1:]], [b"Signal=1", b"Signal=2"])
        self.phone.request("INFO", "Signal=5", ("content-type", "application/dtmf-relay"))
        self.phone.request("INFO", PICTURE_FAST_UPDATE.decode(), ("content-type", "application/media_control+xml"))
        self.rig.advance()
        self.assertEqual(self.ear.heard, [Info("5"), Keyframe()])
        self.ended(leg)
