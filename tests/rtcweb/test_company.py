"""What goes along with a call: keys, ring-back, an early start; and pages without ICE."""

from __future__ import annotations

from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Info,
    Keyframe,
    Progress,
    ProgressAck,
    Ringback,
    Sound,
    Stage,
    Unacceptable,
)
from rtcgw.model.reason import Reason
from tests.peers.browser import SDP, Browser
from tests.rtcweb.doubles import checked
from tests.rtcweb.legcase import ANSWER, EARLY, LegCase


class CompanyTests(LegCase):
    """What else goes along with a call: tones, ring-back, early answers."""

    def everything(self) -> Browser:
        return self.side.browser("carol", capabilities=["progress", "ringback", "dtmf", "telepathy"])

    def test_keys(self) -> None:
        """Keys go both ways once the call is answered; to pages that know the word."""
        session = self.in_call()
        self.page.expect("OK", for_="DTMF", id=self.page.send("DTMF", session=session, tones="15*#AD"))
        self.page.send("DTMF", id=None, session=session, tones="5")
        self.assertEqual(self.world.taken(), [Info("15*#AD"), Info("5")])
        self.world.deliver(Info("7"))
        self.page.nothing()
        page = self.everything()
        session = page.call("bob")
        page.expect("ERROR", id=page.send("DTMF", session=session, tones="1"), code="illegal-state")
        self.world.deliver(Accept(ANSWER))
        page.expect("OK", for_="OFFER")
        self.world.deliver(Info("7"))
        page.expect("DTMF", session=session, tones="7")
        checked(page)

    def test_no_keys(self) -> None:
        """What is on no keypad is no message."""
        session = self.in_call()
        for tones in ("", "a", "1,2", "x", "1" * 33):
            self.refused("malformed", "DTMF", session=session, tones=tones)

    def test_ring_back(self) -> None:
        """The page hears who makes the tone, if it knows the word."""
        self.calling()
        self.world.deliver(Ringback(Sound.LOCAL))
        self.page.nothing()
        page = self.everything()
        session = page.call("bob")
        self.world.deliver(Ringback(Sound.NETWORK))
        page.expect("RINGBACK", session=session, sound="network")
        self.world.deliver(Accept(ANSWER))
        self.world.deliver(Ringback(Sound.NONE))
        page.expect("OK", for_="OFFER")
        page.expect("RINGBACK", session=session, sound="none")
        checked(page)

    def test_warm_start(self) -> None:
        """The gateway's own answer connects the page early; acknowledging it concerns nobody else."""
        session = self.calling()
        self.world.deliver(Progress(Stage.TRYING, EARLY))
        self.page.expect("PROGRESS", session=session, sdp=SDP, sdpType="pranswer")
        self.page.expect("OK", for_="PRANSWER", id=self.page.pranswer(session))
        self.assertEqual(self.world.taken(), [])
        self.page.pranswer(session)
        self.assertEqual(self.world.taken(), [ProgressAck()])

    def test_warm_start_without_the_word(self) -> None:
        """A page that would take it for ringing is left alone."""
        page = self.side.browser("carol", capabilities=["ringback"])
        page.call("bob")
        self.world.deliver(Progress(Stage.TRYING, EARLY))
        page.nothing()

    def test_not_for_pages(self) -> None:
        """Whole pictures are asked for by RTCP; nothing is sent for them, in any state."""
        for begin in (self.calling, self.in_call, self.ringing):
            begin()
            self.world.deliver(Keyframe())
            self.world.deliver(Unacceptable(Reason.MEDIA))
            self.page.nothing()
            self.assertEqual(self.world.taken(), [])


class PlainTests(LegCase):
    """Clients without ICE."""

    def test_access(self) -> None:
        """The call's media learn what kind of client it is."""
        page = self.side.browser("carol", ice=False)
        page.call("bob")
        self.assertIs(self.world.legs[-1].access, Access.PLAIN)
        self.calling()
        self.assertIs(self.world.legs[-1].access, Access.WEB)

    def test_other_kind(self) -> None:
        """A call begun with ICE is not taken up by a page without: it would hear nothing."""
        session = self.in_call()
        page = self.side.browser("alice", ice=False)
        page.expect("ERROR", id=page.send("OFFER", session=session, sdp=SDP), code="media-incompatible")
        self.assertEqual((self.state(), self.world.taken()), ("InCall", []))

    def test_ring(self) -> None:
        """A call rings on pages of one kind."""
        plain = self.side.browser("alice", ice=False)
        self.ringing()
        plain.nothing()
        self.page.drop()
        self.ring_at(plain)

    def ring_at(self, page: Browser) -> None:
        self.page = page
        self.ringing()
        self.assertIs(self.world.legs[-1].access, Access.PLAIN)
