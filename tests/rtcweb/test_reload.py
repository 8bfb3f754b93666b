"""The browser's half-call in motion: candidates in order, changes one at a time, pages that come and go."""

from __future__ import annotations

from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    End,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.useragent import HELD_LIMIT, PAIRS
from tests.peers.browser import SDP, Browser
from tests.rtcweb.doubles import checked
from tests.rtcweb.legcase import ANSWER, OFFER, LegCase


class CandidateTests(LegCase):
    """Trickled candidates, both ways."""

    def test_both_ways(self) -> None:
        """A caller's candidates go on at once, the other side's come as they are."""
        session = self.calling()
        sent = self.page.send("CANDIDATE", session=session, candidate="candidate:1", mid="0", mLineIndex=0, ufrag="u")
        self.page.expect("OK", for_="CANDIDATE", id=sent)
        self.page.send("CANDIDATE", id=None, session=session, candidate=None)
        self.page.nothing()
        self.assertEqual(self.world.taken(), [Candidates("candidate:1", "0", 0, "u"), Candidates(None)])
        self.world.deliver(Candidates("candidate:2", "0", 0, "v"))
        self.page.expect("CANDIDATE", candidate="candidate:2", mid="0", mLineIndex=0, ufrag="v")
        self.world.deliver(Candidates(None))
        self.assertIn("candidate", self.page.expect("CANDIDATE", candidate=None))
        self.page.send("CANDIDATE", id=None, session=session, candidate="")
        self.assertEqual(self.world.taken(), [Candidates(None)])

    def test_before_description(self) -> None:
        """A callee's candidates wait for its description, then follow it in order."""
        session = self.ringing()
        for number in range(3):
            self.page.send("CANDIDATE", id=None, session=session, candidate=f"candidate:{number}")
        self.assertEqual(self.world.taken(), [])
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [Accept(ANSWER), *(Candidates(f"candidate:{n}") for n in range(3))])

    def test_local_names(self) -> None:
        """A browser that hides its addresses behind names is served like any other; nobody asks what they mean."""
        session = self.calling()
        candidate = "candidate:1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host"
        self.page.expect("OK", id=self.page.send("CANDIDATE", session=session, candidate=candidate, mid="0"))
        self.assertEqual(self.world.taken(), [Candidates(candidate, "0")])

    def test_oversized(self) -> None:
        """A candidate longer than any real one is no message."""
        self.refused("malformed", "CANDIDATE", session=self.calling(), candidate="candidate:" + "1" * 1024)

    def test_bound(self) -> None:
        """A page that only ever trickles is told when enough is enough."""
        session = self.ringing()
        for _ in range(HELD_LIMIT):
            self.page.send("CANDIDATE", id=None, session=session, candidate="candidate:1")
        self.refused("limit", "CANDIDATE", session=session, candidate="candidate:1")


class ChangeTests(LegCase):
    """A new offer within a call."""

    def test_one_at_a_time(self) -> None:
        """While one change is decided the next is refused."""
        session = self.in_call()
        sent = self.page.send("OFFER", session=session, sdp=SDP)
        self.assertEqual(self.world.taken(), [Update(OFFER)])
        self.refused("illegal-state", "OFFER", session=session, sdp=SDP)
        self.world.deliver(UpdateAccept(ANSWER))
        self.page.expect("OK", for_="OFFER", id=sent, session=session, sdp=SDP, sdpType="answer")
        sent = self.page.send("OFFER", session=session, sdp=SDP)
        self.world.deliver(UpdateReject(Reason.MEDIA))
        self.page.expect("ERROR", id=sent, session=session, code="media-incompatible")

    def test_nominated_pair(self) -> None:
        """The pair that the page reports is shown by the inspector."""
        session = self.in_call()
        self.page.expect("OK", for_="ICE", id=self.page.send("ICE", session=session, pair={"rtt": 0.5, "kind": "host"}))
        details = self.world.legs[-1].view().details
        self.assertEqual((details["pair.rtt"], details["pair.kind"], details["role"]), ("0.5", "host", "caller"))

    def test_pairs_before(self) -> None:
        """After an ICE restart the way before is still to be seen, and how long ago it was; the list is bounded."""
        session = self.in_call()
        for number in range(PAIRS + 2):
            self.page.send("ICE", session=session, pair={"local": f"host{number}"})
            self.clock.advance(10)
        details = self.world.legs[-1].view().details
        self.assertEqual(details["pair.local"], "host5")
        self.assertEqual(details["pair 0"], "10 s ago: local host5")
        self.assertEqual(details["pair -3"], "40 s ago: local host2")
        self.assertNotIn("pair -4", details)


class ReloadTests(LegCase):
    """The page is lost; it comes back, or it does not."""

    def lose(self, page: Browser) -> None:
        page.drop()
        self.assertEqual(self.state(), "Reloading")
        self.assertIn(Away(True), self.world.reported)
        self.world.reported.remove(Away(True))

    def test_grace(self) -> None:
        """A killed browser ends its call after the grace time."""
        self.in_call()
        self.lose(self.page)
        self.clock.advance(self.side.desk.grace - 1)
        self.assertEqual(self.world.taken(), [])
        self.clock.advance(1)
        self.assertEqual(self.world.taken(), [End(Reason.CLIENT_LOST)])
        self.assertEqual(self.side.users.sessions, {})

    def test_calling(self) -> None:
        """Lost while calling: the answer is confirmed in its stead, and the grace time still counts from the loss."""
        session = self.calling()
        self.page.pranswer(session)
        self.lose(self.page)
        self.world.taken()
        self.clock.advance(20)
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.world.taken(), [Confirm()])
        self.clock.advance(10)
        self.assertEqual(self.world.taken(), [End(Reason.CLIENT_LOST)])

    def test_answered(self) -> None:
        """Lost between answer and ANSWER: confirmed at once."""
        self.calling()
        self.world.deliver(Accept(ANSWER))
        self.lose(self.page)
        self.assertEqual(self.world.taken(), [Confirm()])
        self.world.deliver(End(Reason.HANGUP))
        self.assertEqual(self.side.users.sessions, {})

    def test_comes_back(self) -> None:
        """A reloaded page finds its call, takes it up with a fresh offer, and is in it again."""
        session = self.in_call()
        self.lose(self.page)
        page = self.side.connect()
        self.assertEqual(page.login("alice")["calls"][0]["session"], session)
        sent = page.send("OFFER", session=session, sdp=SDP)
        self.assertEqual(self.world.taken(), [Update(OFFER), Away(False)])
        self.world.deliver(UpdateAccept(ANSWER))
        page.expect("OK", for_="OFFER", id=sent, session=session, sdpType="answer")
        self.clock.advance(25)
        page.pong()
        self.clock.advance(25)
        self.assertEqual((self.state(), self.world.taken()), ("InCall", []))
        page.hang_up(session)
        checked(page)

    def test_comes_back_early(self) -> None:
        """The new page is there before the old connection is missed: the old one is told, the other side is not."""
        session = self.in_call()
        page = self.side.browser("alice")
        sent = page.send("OFFER", session=session, sdp=SDP)
        self.page.expect("ERROR", session=session, code="moved")
        self.world.deliver(UpdateAccept(ANSWER))
        page.expect("OK", for_="OFFER", id=sent)
        self.page.drop()
        self.assertEqual((self.state(), self.world.taken()), ("InCall", [Update(OFFER)]))

    def test_not_anybody(self) -> None:
        """Another user cannot take up the call, though they know its name."""
        session = self.in_call()
        self.lose(self.page)
        bob = self.side.browser("bob")
        bob.expect("ERROR", id=bob.send("OFFER", session=session, sdp=SDP), code="no-session")
        bob.expect("ERROR", id=bob.send("HANGUP", session=session), code="no-session")

    def test_ends_while_away(self) -> None:
        """The user presses end on the new page, or the other side hangs up."""
        session = self.in_call()
        self.lose(self.page)
        self.world.deliver(Update(OFFER))
        page = self.side.browser("alice")
        page.hang_up(session)
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CLIENT_LOST), End(Reason.HANGUP)])

    def test_ringing(self) -> None:
        """A page that only rings drops out at once when it is lost."""
        self.ringing()
        self.page.drop()
        self.assertEqual(self.world.taken(), [End(Reason.CLIENT_LOST)])

    def test_accepting(self) -> None:
        """A page that has answered and is lost before the confirmation is in the call, away."""
        session = self.ringing()
        self.page.answer(session, SDP)
        self.world.taken()
        self.lose(self.page)
        self.world.deliver(Confirm())
        self.assertEqual((self.state(), self.world.taken()), ("Reloading", []))
