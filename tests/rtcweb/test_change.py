"""A call that changes at the other side's wish, or at both sides' at once."""

from __future__ import annotations

from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Description,
    End,
    Kind,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.legtable import CHANGE_WAIT
from rtcgw.rtcweb.useragent import HELD_LIMIT
from tests.peers.browser import SDP
from tests.rtcweb.legcase import ANSWER, OFFER, LegCase

FRESH = SDP.replace("o=- 1 1", "o=- 3 1")


class AskedTests(LegCase):
    """The gateway offers, the page decides."""

    def asked(self) -> str:
        session = self.in_call()
        self.world.deliver(Update(OFFER))
        self.page.expect("OFFER", session=session, sdp=SDP, sdpType="offer", from_=None)
        self.assertEqual((self.state(), self.world.taken()), ("InCall", []))
        return session

    def test_taken(self) -> None:
        """The page's answer is the other side's, and its OK comes at once."""
        session = self.asked()
        sent = self.page.answer(session, FRESH)
        self.page.expect("OK", for_="ANSWER", id=sent)
        self.assertEqual(self.world.taken(), [UpdateAccept(Description(Kind.ANSWER, FRESH))])
        self.world.deliver(Update(OFFER))
        self.page.expect("OFFER", session=session)
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [UpdateAccept(ANSWER)])

    def test_called(self) -> None:
        """A page that was called is asked in the same way; an answer that says nothing is none."""
        session = self.ringing()
        self.page.answer(session, SDP)
        self.world.deliver(Confirm())
        self.page.expect("OK", for_="ANSWER")
        self.world.taken()
        self.world.deliver(Update(OFFER))
        self.page.expect("OFFER", session=session)
        self.refused("sdp-required", "ANSWER", session=session)
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session, SDP))
        self.assertEqual(self.world.taken(), [UpdateAccept(ANSWER)])

    def test_declined(self) -> None:
        """The page may say no, with a word or without; the call goes on, and nothing is open."""
        for word, reason in (
            (None, Reason.DECLINED),
            ("media-incompatible", Reason.MEDIA),
            ("conflict", Reason.CONFLICT),
            ("overloaded", Reason.DECLINED),
        ):
            session = self.asked()
            sent = self.page.send("DECLINE", session=session, reason=word)
            self.page.expect("OK", for_="DECLINE", id=sent, session=session)
            self.assertEqual((self.state(), self.world.taken()), ("InCall", [UpdateReject(reason)]))
            self.refused("withdrawn", "DECLINE", session=session)
            self.assertEqual(self.world.legs[-1].view().timers, {})

    def test_silent_page(self) -> None:
        """A page that does not answer keeps nobody waiting, and is told; its late answer is refused by name."""
        session = self.asked()
        self.clock.advance(CHANGE_WAIT)
        self.page.expect("ERROR", session=session, code="withdrawn", id=None)
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.TIMEOUT)])
        self.refused("withdrawn", "ANSWER", session=session, sdp=SDP)
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session))

    def test_taken_back(self) -> None:
        """The other side has thought better of it: the page is told, may roll back, and its late answer is refused."""
        session = self.asked()
        self.world.deliver(UpdateReject(Reason.CANCELLED))
        self.page.expect("ERROR", session=session, code="withdrawn", id=None)
        self.assertEqual((self.state(), self.world.taken()), ("InCall", []))
        self.refused("withdrawn", "ANSWER", session=session, sdp=SDP)
        self.assertEqual(self.world.legs[-1].view().timers, {})

    def test_late_confirmation(self) -> None:
        """A caller's belated final ANSWER is not taken for its decision."""
        session = self.calling()
        self.world.deliver(Accept(ANSWER))
        self.page.expect("OK", for_="OFFER")
        self.clock.advance(self.side.desk.confirm_wait)
        self.world.deliver(Update(OFFER))
        self.page.expect("OFFER")
        self.world.taken()
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session))
        self.assertEqual(self.world.taken(), [])
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [UpdateAccept(ANSWER)])

    def test_candidates(self) -> None:
        """Candidates of an answer that is still to come wait for it, and are bounded; the other side's do not wait."""
        session = self.asked()
        self.world.deliver(Candidates("candidate:9", "0"))
        self.page.expect("CANDIDATE", candidate="candidate:9")
        for _ in range(HELD_LIMIT):
            self.page.send("CANDIDATE", id=None, session=session, candidate="candidate:1")
        self.refused("limit", "CANDIDATE", session=session, candidate="candidate:1")
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [UpdateAccept(ANSWER), *[Candidates("candidate:1")] * HELD_LIMIT])
        self.page.send("CANDIDATE", id=None, session=session, candidate=None)
        self.assertEqual(self.world.taken(), [Candidates(None)])

    def test_candidates_of_a_refusal(self) -> None:
        """After a refusal nothing is held back any more."""
        session = self.asked()
        self.page.send("CANDIDATE", id=None, session=session, candidate="candidate:1")
        self.page.send("DECLINE", session=session)
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.DECLINED), Candidates("candidate:1")])

    def test_end(self) -> None:
        """Either side may hang up while the page thinks; the grace timer's or change timer's never fires after."""
        self.page.hang_up(self.asked())
        self.assertEqual(self.world.taken(), [End(Reason.HANGUP)])
        session = self.asked()
        self.world.deliver(End(Reason.HANGUP))
        self.page.expect("HANGUP", session=session)
        self.clock.advance(CHANGE_WAIT + 1)
        self.assertEqual(self.world.taken(), [])

    def test_no_offer(self) -> None:
        """The dialect cannot ask a page to make an offer: refused, whatever the state."""
        self.in_call()
        self.world.deliver(Update(None))
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.MEDIA)])
        self.page.nothing()

    def test_always_decided(self) -> None:
        """Whoever asks at a bad moment hears at once that it is one."""
        self.calling()
        self.world.deliver(Update(OFFER))
        self.world.deliver(Accept(ANSWER))
        self.world.deliver(Update(OFFER))
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CONFLICT)] * 2)
        self.page.expect("OK", for_="OFFER")
        self.ringing()
        self.world.deliver(Update(OFFER))
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CONFLICT)])


class GlareTests(LegCase):
    """Both sides offer at once: both must end with the same."""

    def test_crossing(self) -> None:
        """The gateway's offer stands: the page's is refused, the page answers, and its next one is taken."""
        session = self.in_call()
        self.world.deliver(Update(OFFER))
        refused = self.page.send("OFFER", session=session, sdp=FRESH)
        self.page.expect("OFFER", session=session)
        self.page.expect("ERROR", id=refused, session=session, code="conflict")
        self.page.expect("OK", for_="ANSWER", id=self.page.answer(session, SDP))
        self.assertEqual(self.world.taken(), [UpdateAccept(ANSWER)])
        again = self.page.send("OFFER", session=session, sdp=FRESH)
        self.assertEqual(self.world.taken(), [Update(Description(Kind.OFFER, FRESH))])
        self.world.deliver(UpdateAccept(ANSWER))
        self.page.expect("OK", for_="OFFER", id=again, sdpType="answer")

    def test_page_first(self) -> None:
        """While the page's offer is decided, the other side's is put off; the page hears nothing of it."""
        session = self.in_call()
        sent = self.page.send("OFFER", session=session, sdp=FRESH)
        self.world.taken()
        self.world.deliver(Update(OFFER))
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CONFLICT)])
        self.world.deliver(UpdateAccept(ANSWER))
        self.page.expect("OK", for_="OFFER", id=sent)

    def test_asked_twice(self) -> None:
        """A second question does not replace the first."""
        session = self.in_call()
        self.world.deliver(Update(OFFER))
        self.world.deliver(Update(OFFER))
        self.page.expect("OFFER")
        self.page.nothing()
        self.page.answer(session, SDP)
        self.assertEqual(self.world.taken(), [UpdateReject(Reason.CONFLICT), UpdateAccept(ANSWER)])
