"""A phone whose network reserves resources first (RFC 3312): the page is not rung before they are there."""

from __future__ import annotations

from rtcgw.model.peer import PeerProfile
from tests.flows.case import FlowCase
from tests.flows.rig import FlowMedia, Rig, configured
from tests.peers.core_call import CoreCall

TAGS = "100rel, precondition"


class PreconditionTests(FlowCase):
    """Bob's phone calls alice; what it needs is not there yet."""

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(early=True, reserved=False), peer=PeerProfile("ims", preconditions=True))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.phone: CoreCall = self.rig.ring(supported=TAGS)

    def test_ladder(self) -> None:
        """INVITE, 183, PRACK, UPDATE, and only then the page: 180, 200. The page sees a call like any other."""
        self.rig.advance(2)
        self.phone.request("UPDATE", "met")
        self.rig.advance()
        session = self.alice.invited
        self.alice.send("RINGING", session=session)
        self.rig.advance()
        self.alice.answer(session, "ours")
        self.rig.advance()
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            core -> INVITE offer
            core <- 183 INVITE early-for-caller
            core -> PRACK
            core <- 200 PRACK
            core -> UPDATE met
            alice <- OFFER caller-offer(offer)
            core <- 200 UPDATE re-answer(met)
            alice -> RINGING
            alice <- OK RINGING
            core <- 180 INVITE
            core -> PRACK
            core <- 200 PRACK
            alice -> ANSWER ours
            core <- 200 INVITE
            core -> ACK
            alice <- OK ANSWER
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_in_two_steps(self) -> None:
        """An UPDATE that does not bring them yet rings nobody."""
        self.phone.request("UPDATE", "not yet")
        self.rig.advance()
        self.alice.nothing()
        self.phone.request("UPDATE", "met")
        self.rig.advance()
        self.phone.cancel()
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "cancelled")

    def test_offer_in_prack(self) -> None:
        """They may come with the PRACK: a new offer in it is answered in its 200."""
        self.phone.cancel()
        self.rig.advance()
        phone = self.rig.core.call("sip:alice@ims.test", "offer", supported=TAGS)
        phone.auto_prack = False
        self.rig.advance()
        self.rig.ladder.clear()
        phone.prack("met")
        self.rig.advance()
        self.reads(
            """
            core -> PRACK met
            alice <- OFFER caller-offer(offer)
            core <- 200 PRACK re-answer(met)
            """
        )
        phone.cancel()

    def test_never(self) -> None:
        """A network that never gets ready is told 580, and the page hears nothing."""
        self.rig.advance(21)
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 580)
        self.alice.nothing()

    def test_given_up(self) -> None:
        """The phone cancels while its network reserves."""
        self.phone.cancel()
        self.rig.advance()
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 487)
        self.alice.nothing()

    def test_never_acknowledged(self) -> None:
        """A 183 without a PRACK is repeated, and the call refused by the guard (RFC 3262 §3)."""
        self.phone.cancel()
        self.rig.advance()
        phone = self.rig.core.call("sip:alice@ims.test", "offer", supported=TAGS)
        phone.auto_prack = False
        self.rig.advance(33)
        assert phone.final is not None
        self.assertEqual(phone.final.status, 580)
