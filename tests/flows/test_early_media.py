"""Before the answer: media that connect while the phone rings, and who makes the ring-back tone."""

from __future__ import annotations

from typing import ClassVar

from rtcgw.model.peer import EarlyMedia, PeerProfile
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Rig, configured
from tests.flows.test_outgoing import PLACED

SENDS = ("P-Early-Media", "sendrecv")
SILENT = ("P-Early-Media", "inactive")
ALL = ("progress", "trickle", "ringback")
"""What our own page can do."""


class WarmStartTests(FlowCase):
    """Alice calls ECHO; the gateway's own early answer comes at once."""

    capabilities: ClassVar[tuple[str, ...]] = ALL

    def build(self) -> Rig:
        return Rig(configured(**self.settings), FlowMedia(early=True))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=list(self.capabilities))
        self.session = self.alice.call(ECHO)
        self.rig.advance()


class LadderTests(WarmStartTests):
    """A page that knows PROGRESS."""

    def test_ladder(self) -> None:
        """The page connects while the phone rings; its PRANSWER is answered here; the answer is the phone's own."""
        self.alice.pranswer(self.session)
        self.rig.call.ring()
        self.rig.advance()
        self.rig.call.answer("final")
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            alice <- PROGRESS early-for-caller
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            alice -> PRANSWER
            alice <- OK PRANSWER
            core -> 180 INVITE
            alice <- RINGING
            alice <- RINGBACK local
            core -> 200 INVITE final
            alice <- OK OFFER callee-answer(final)
            alice <- RINGBACK none
            core <- ACK
            alice -> ANSWER
            alice <- OK ANSWER
            core -> BYE
            alice <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_early_media_as_well(self) -> None:
        """A phone that describes itself early: its description follows ours, and each PRANSWER has its OK."""
        self.rig.ladder.clear()
        self.alice.pranswer(self.session)
        self.rig.call.progress("early")
        self.rig.advance()
        self.alice.pranswer(self.session)
        self.rig.advance()
        self.reads(
            """
            alice -> PRANSWER
            alice <- OK PRANSWER
            core -> 183 INVITE early
            alice <- PROGRESS callee-pranswer(early)
            core <- PRACK
            core -> 200 PRACK
            alice -> PRANSWER
            alice <- OK PRANSWER
            """
        )
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()


class OldPageTests(WarmStartTests):
    """A page that knows nothing of all this."""

    capabilities: ClassVar[tuple[str, ...]] = ()

    def test_ladder(self) -> None:
        """It gets what it always got: it would take an early answer for ringing."""
        self.rig.call.ring()
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.reads(
            PLACED
            + """
            core -> 180 INVITE
            alice <- RINGING
            alice -> HANGUP
            alice <- OK HANGUP
            core <- CANCEL
            core -> 200 CANCEL
            core -> 487 INVITE
            core <- ACK
            """
        )


class PatentTests(WarmStartTests):
    """The literal ladder of Fig. 8."""

    settings: ClassVar = {"ladder": "patent"}

    def test_ladder(self) -> None:
        """Has no message between WAITING and what the core says."""
        self.reads(PLACED)
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()


class RingbackCase(FlowCase):
    """Alice calls ECHO; what she is told to play."""

    peer = PeerProfile()

    def build(self) -> Rig:
        return Rig(configured(), peer=self.peer)

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=list(ALL))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()

    def says(self, status: int, sdp: str | None = None, *headers: tuple[str, str]) -> None:
        """The phone's network says something, unreliably."""
        self.rig.call.respond(status, "Progress", sdp, *headers)
        self.rig.advance()

    def plays(self, *sounds: str) -> None:
        """What the page has been told to play since the last look."""
        said, self.rig.ladder[:] = list(self.rig.ladder), []
        told = [line.rpartition(" ")[2] for line in said if "RINGBACK" in line]
        self.assertEqual(told, list(sounds), "\n".join(said))

    def tearDown(self) -> None:
        self.rig.call.answer("final")
        self.rig.advance()
        self.rig.call.bye()
        super().tearDown()


class RingbackTests(RingbackCase):
    """RFC 3960 and RFC 5009, as networks behave."""

    def test_plain(self) -> None:
        """180, 180, 200."""
        self.says(180)
        self.says(180)
        self.rig.call.answer("final")
        self.rig.advance()
        self.plays("local", "none")

    def test_announcement(self) -> None:
        """183 with P-Early-Media: the network at once, and on 180 still."""
        self.says(183, "early", SENDS)
        self.plays("network")
        self.says(180)
        self.plays()

    def test_comfort_noise(self) -> None:
        """183 whose network says that it is silent: the local tone on 180, whatever packets come."""
        self.says(183, "early", SILENT)
        self.rig.first_packet()
        self.plays()
        self.says(180)
        self.plays("local")

    def test_nothing_said(self) -> None:
        """183, 180, then the first packet: silence, the local tone, the network."""
        self.says(183, "early")
        self.plays()
        self.says(180)
        self.plays("local")
        self.rig.first_packet()
        self.plays("network")

    def test_word_without_description(self) -> None:
        """The network may say it later, in a 180 without a description of its own."""
        self.says(183, "early")
        self.says(180, None, SENDS)
        self.plays("network")


class AlwaysLocalTests(RingbackCase):
    """A peer whose announcements nobody wants to hear."""

    peer = PeerProfile(early_media=EarlyMedia.LOCAL)

    def test_profile(self) -> None:
        """The local tone, from the 180 on."""
        self.says(183, "early", SENDS)
        self.rig.first_packet()
        self.plays()
        self.says(180)
        self.plays("local")
