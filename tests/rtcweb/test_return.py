"""A page that comes back while its call is changing."""

from __future__ import annotations

from rtcgw.model.events import (
    Away,
    Candidates,
    Description,
    End,
    Kind,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from tests.peers.browser import SDP, Browser
from tests.rtcweb.doubles import checked
from tests.rtcweb.legcase import ANSWER, EARLY, OFFER, LegCase

FRESH = SDP.replace("o=- 1 1", "o=- 3 1")


class NetworkChangeTests(LegCase):
    """The page's network changes: it comes back on a new connection while the old one is still half open."""

    def back(self, session: str, sdp: str = FRESH) -> tuple[Browser, int]:
        page = self.side.browser("alice")
        return page, page.send("OFFER", session=session, sdp=sdp)

    def test_while_asked(self) -> None:
        """The question is answered for the old page, and the new one's offer taken, in one go."""
        session = self.in_call()
        self.world.deliver(Update(OFFER))
        page, sent = self.back(session)
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CLIENT_LOST), Update(Description(Kind.OFFER, FRESH))])
        self.world.deliver(UpdateAccept(ANSWER))
        page.expect("OK", for_="OFFER", id=sent, session=session)
        self.page.expect("OFFER")
        self.page.expect("ERROR", session=session, code="moved")
        checked(page)

    def test_while_changing(self) -> None:
        """What the old page had offered is taken back, and decided first; then the new page's offer, at once."""
        session = self.in_call()
        self.page.send("OFFER", session=session, sdp=SDP)
        self.world.taken()
        page, sent = self.back(session)
        self.assertEqual(self.state(), "Reloading")
        page.send("CANDIDATE", id=None, session=session, candidate="candidate:1")
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CANCELLED)])
        page.expect("ERROR", id=page.send("OFFER", session=session, sdp=SDP), code="illegal-state")
        self.world.deliver(UpdateAccept(ANSWER))
        self.assertEqual(self.world.taken(), [Update(Description(Kind.OFFER, FRESH)), Candidates("candidate:1")])
        page.nothing()
        self.assertEqual(self.state(), "InCall")
        self.world.deliver(UpdateAccept(EARLY))
        page.expect("OK", for_="OFFER", id=sent, sdpType="pranswer")

    def test_refused_meanwhile(self) -> None:
        """The old offer's refusal is not the new one's."""
        session = self.in_call()
        self.page.send("OFFER", session=session, sdp=SDP)
        page, sent = self.back(session)
        self.world.deliver(UpdateReject(Reason.MEDIA))
        self.world.deliver(UpdateAccept(ANSWER))
        page.expect("OK", for_="OFFER", id=sent)

    def test_again_and_again(self) -> None:
        """A page whose network keeps changing is served as soon as it stays."""
        session = self.in_call()
        self.page.send("OFFER", session=session, sdp=SDP)
        second, _ = self.back(session)
        third, sent = self.back(session)
        second.expect("ERROR", code="moved", session=session)
        second.expect("ERROR", code="ended")
        self.world.taken()
        self.world.deliver(UpdateAccept(ANSWER))
        self.assertEqual(self.world.taken(), [Update(Description(Kind.OFFER, FRESH))])
        self.world.deliver(UpdateAccept(ANSWER))
        third.expect("OK", for_="OFFER", id=sent)

    def test_away_while_changing(self) -> None:
        """Decided while the page is away: it comes back to a call that is free, and the grace time ran all along."""
        session = self.in_call()
        self.page.send("OFFER", session=session, sdp=SDP)
        self.page.drop()
        self.clock.advance(20)
        self.assertEqual(self.world.taken()[-1], Away(True))
        self.world.deliver(UpdateAccept(ANSWER))
        self.world.taken()
        self.world.deliver(Update(OFFER))
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CLIENT_LOST)])
        self.back(session)
        self.assertEqual(self.world.taken(), [Update(Description(Kind.OFFER, FRESH)), Away(False)])
        self.assertEqual(self.world.legs[-1].view().timers, {})

    def test_never_back(self) -> None:
        """An undecided change does not stop the grace time."""
        self.in_call()
        self.page.send("OFFER", session=self.world.legs[-1].session, sdp=SDP)
        self.world.taken()
        self.page.drop()
        self.clock.advance(self.side.desk.grace)
        self.assertEqual(self.world.taken(), [Away(True), End(Reason.CLIENT_LOST)])

    def test_end_while_returning(self) -> None:
        """The call may end while the new page waits: its offer is answered, and it hears why."""
        session = self.in_call()
        self.page.send("OFFER", session=session, sdp=SDP)
        page, sent = self.back(session)
        self.world.deliver(End(Reason.HANGUP))
        page.expect("ERROR", id=sent, code="ended")
        page.expect("HANGUP", session=session)
