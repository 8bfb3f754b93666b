"""A call is taken up by a page: its own after a reload, or another one of the user, in whatever state it is."""

from __future__ import annotations

from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    Connected,
    Description,
    End,
    Hold,
    Kind,
    Progress,
    Ringback,
    Sound,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.useragent import HELD_LIMIT
from tests.peers.browser import SDP, Browser
from tests.rtcweb.doubles import checked
from tests.rtcweb.legcase import ANSWER, EARLY, OFFER, LegCase

FRESH = SDP.replace("o=- 1 1", "o=- 3 1")
NEW_OFFER = Update(Description(Kind.OFFER, FRESH))
ALL = ["progress", "trickle", "ringback", "dtmf"]


class TakingCase(LegCase):
    """`self.page` has or had the call; `self.other` takes it up."""

    def another(self) -> Browser:
        self.other = self.side.browser("alice", capabilities=ALL)
        self.addCleanup(lambda: checked(self.other))
        return self.other

    def take(self, session: str) -> int:
        return self.another().send("OFFER", session=session, sdp=FRESH)


class BeforeTheAnswerTests(TakingCase):
    """The caller's page is reloaded while it rings at the other side."""

    def taken_up(self) -> str:
        session = self.calling()
        self.page.drop()
        sent = self.take(session)
        self.other.expect("WAITING", id=sent, session=session, to="bob")
        return session

    def test_ladder(self) -> None:
        """The page goes through the same steps as at first; its offer is carried out when the call is answered."""
        session = self.taken_up()
        self.assertEqual(self.world.taken(), [Away(True), Away(False)])
        self.assertEqual(self.state(), "Calling")
        self.world.deliver(Progress(Stage.RINGING))
        self.other.expect("RINGING", session=session)
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.world.taken(), [Confirm(), NEW_OFFER])
        self.assertEqual(self.state(), "InCall")
        self.other.nothing()
        self.world.deliver(UpdateAccept(Description(Kind.ANSWER, FRESH)))
        self.other.expect("OK", for_="OFFER", session=session, sdp=FRESH, sdpType="answer")
        self.other.expect("OK", for_="ANSWER", id=self.other.answer(session))
        self.assertEqual(self.world.taken(), [])
        self.clock.advance(3)
        self.assertEqual(self.world.legs[-1].view().timers, {})

    def test_what_was_missed(self) -> None:
        """It rang, and the network played something, before the page was back: it is told at once, and rings itself."""
        session = self.calling()
        self.world.deliver(Ringback(Sound.LOCAL))
        self.page.drop()
        self.world.deliver(Progress(Stage.RINGING))
        self.world.deliver(Ringback(Sound.NETWORK))
        self.other = self.another()
        self.other.expect("WAITING", id=self.other.send("OFFER", session=session, sdp=FRESH))
        self.other.expect("RINGING", session=session)
        self.other.expect("RINGBACK", session=session, sound="local")

    def test_old_descriptions(self) -> None:
        """An early answer to the old page's offer would mislead the new page: it hears only that it rings."""
        session = self.taken_up()
        self.world.taken()
        self.world.deliver(Progress(Stage.TRYING, EARLY))
        self.world.deliver(Progress(Stage.SESSION, EARLY))
        self.world.deliver(Candidates("candidate:1"))
        self.world.deliver(Ringback(Sound.NETWORK))
        self.other.expect("RINGBACK", sound="local")
        self.world.deliver(Progress(Stage.RINGING, EARLY))
        self.assertNotIn("sdp", self.other.expect("RINGING", session=session))
        self.other.expect("OK", for_="PRANSWER", id=self.other.pranswer(session))
        self.other.nothing()
        self.assertEqual(self.world.taken(), [])

    def test_candidates_wait(self) -> None:
        """The new page's candidates go with its offer, in order; a bounded number of them."""
        session = self.taken_up()
        self.world.taken()
        for _ in range(HELD_LIMIT):
            self.other.send("CANDIDATE", id=None, session=session, candidate="candidate:1")
        self.other.expect("ERROR", id=self.other.send("CANDIDATE", session=session, candidate="c"), code="limit")
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.world.taken(), [Confirm(), NEW_OFFER, *[Candidates("candidate:1")] * HELD_LIMIT])

    def test_given_up(self) -> None:
        """The page that is back may give the call up."""
        session = self.taken_up()
        self.world.taken()
        self.other.hang_up(session)
        self.assertEqual(self.world.taken(), [End(Reason.CANCELLED)])

    def test_refused(self) -> None:
        """The other side declines: the page that is back hears it."""
        session = self.taken_up()
        self.world.deliver(End(Reason.DECLINED))
        self.other.expect("HANGUP", session=session, reason="declined")

    def test_lost_again(self) -> None:
        """Lost and back once more: the grace time counts from the last loss, the last offer is the one that counts."""
        session = self.taken_up()
        self.clock.advance(15)
        self.other.drop()
        self.clock.advance(20)
        self.take(session)
        self.world.taken()
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.world.taken(), [Confirm(), NEW_OFFER])

    def test_offer_refused_after_the_answer(self) -> None:
        """The call is answered, but the new page's offer will not do: it hears so, and may offer again."""
        session = self.taken_up()
        self.world.deliver(Accept(ANSWER))
        self.world.deliver(UpdateReject(Reason.MEDIA))
        self.other.expect("ERROR", session=session, code="media-incompatible")
        self.world.taken()
        self.other.send("OFFER", session=session, sdp=SDP)
        self.assertEqual(self.world.taken(), [Update(OFFER)])

    def test_pulled(self) -> None:
        """Another page takes over a call that still rings: the first is told, the other side hears nothing."""
        session = self.calling()
        self.page.pranswer(session)
        self.world.taken()
        sent = self.take(session)
        self.page.expect("ERROR", session=session, code="moved")
        self.page.expect("ERROR", code="ended")
        self.other.expect("WAITING", id=sent)
        self.page.expect("ERROR", id=self.page.send("HANGUP", session="x"), code="no-session")
        self.assertEqual(self.world.taken(), [])
        first, self.page = self.page, self.other
        self.take(session)
        self.page.expect("ERROR", session=session, code="moved")
        self.world.deliver(Accept(ANSWER))
        self.assertEqual(self.world.taken(), [Confirm(), NEW_OFFER])
        first.nothing()

    def test_without_a_description(self) -> None:
        """A call whose offer is the other side's to make cannot be taken up before it was answered by a page."""
        session = self.calling(sdp=None)
        self.page.drop()
        self.other = self.another()
        self.other.expect(
            "ERROR", id=self.other.send("OFFER", session=session, sdp=SDP), code="illegal-state", session=session
        )
        self.assertEqual(self.state(), "Reloading")

    def test_without_a_description_answered(self) -> None:
        """Once its page has answered the offer it is a call like any other."""
        session = self.calling(sdp=None)
        self.world.deliver(Accept(OFFER))
        self.page.answer(session, SDP)
        self.world.taken()
        self.take(session)
        self.assertEqual(self.world.taken(), [NEW_OFFER])


class PullTests(TakingCase):
    """A page takes over an answered call from another one."""

    def test_unconfirmed(self) -> None:
        """Answered, and the first page has not yet said ANSWER: the gateway confirms in its stead."""
        session = self.calling()
        self.world.deliver(Accept(ANSWER))
        self.take(session)
        self.assertEqual(self.world.taken(), [Confirm(), NEW_OFFER])

    def test_callee_unconfirmed(self) -> None:
        """The called user answers on one page and goes on at another before the caller has confirmed."""
        session = self.ringing()
        self.page.answer(session, SDP)
        self.world.taken()
        sent = self.take(session)
        self.page.expect("ERROR", session=session, code="moved")
        self.page.expect("ERROR", code="ended")
        self.world.deliver(Confirm())
        self.world.deliver(UpdateAccept(ANSWER))
        self.other.expect("OK", for_="OFFER", id=sent)
        self.assertEqual(self.world.taken(), [NEW_OFFER])

    def test_to_and_fro(self) -> None:
        """Between two pages and back; each time the other one is told, and the other side never."""
        session = self.in_call()
        sent = self.take(session)
        self.page.expect("ERROR", session=session, code="moved")
        self.world.deliver(UpdateAccept(ANSWER))
        self.other.expect("OK", for_="OFFER", id=sent)
        sent = self.page.send("OFFER", session=session, sdp=FRESH)
        self.other.expect("ERROR", session=session, code="moved")
        self.world.deliver(UpdateAccept(ANSWER))
        self.page.expect("OK", for_="OFFER", id=sent)
        self.assertEqual(self.world.taken(), [NEW_OFFER, NEW_OFFER])

    def test_refused_stays(self) -> None:
        """The new page's offer is refused: the call is on that page all the same, and the user may offer again."""
        session = self.in_call()
        sent = self.take(session)
        self.world.deliver(UpdateReject(Reason.MEDIA))
        self.other.expect("ERROR", id=sent, code="media-incompatible")
        self.page.expect("ERROR", code="moved")
        self.other.hang_up(session)

    def test_ringing_is_not_taken_up(self) -> None:
        """A call that rings is answered, not taken up: the page rings by itself or not at all."""
        session = self.ringing()
        plain = self.side.browser("alice")
        plain.expect("ERROR", id=plain.send("OFFER", session=session, sdp=SDP), code="illegal-state")
        self.assertEqual(self.world.taken(), [])

    def test_ended_elsewhere(self) -> None:
        """The user hangs up on a page that does not have the call: the one that has it hears why."""
        session = self.in_call()
        self.another().hang_up(session)
        self.assertEqual(self.page.expect("HANGUP", session=session, reason="hangup")["text"], "Ended on another page.")
        self.assertEqual(self.world.taken(), [End(Reason.HANGUP)])
        self.assertEqual(self.state(), "Hangup")

    def test_cancelled_elsewhere(self) -> None:
        """The same for a call that is being placed."""
        session = self.calling()
        self.another().hang_up(session)
        self.page.expect("HANGUP", session=session, reason="cancelled")
        self.assertEqual(self.world.taken(), [End(Reason.CANCELLED)])

    def test_declined_elsewhere(self) -> None:
        """And for one that rings: to refuse it on any page is a person's word."""
        session = self.ringing()
        self.another().hang_up(session, reason="busy")
        self.page.expect("HANGUP", session=session, reason="busy")
        self.assertEqual(self.world.taken(), [End(Reason.BUSY)])


class LeavingTests(TakingCase):
    """LOGOUT, which is no loss."""

    def test_away(self) -> None:
        """Who logs out on the last page leaves the calls that wait for another one as well."""
        session = self.in_call()
        self.page.drop()
        self.world.taken()
        other = self.another()
        self.assertEqual(other.transcript[0]["calls"][0]["session"], session)
        other.send("LOGOUT")
        self.assertEqual(self.world.taken(), [End(Reason.HANGUP)])
        self.assertEqual(self.side.users.sessions, {})

    def test_not_the_last_page(self) -> None:
        """Where the user has other pages, a call that is away is one of theirs."""
        self.in_call()
        self.page.drop()
        self.world.taken()
        stays = self.side.browser("alice")
        self.another().send("LOGOUT")
        self.assertEqual((self.world.taken(), self.state()), ([], "Reloading"))
        stays.nothing()

    def test_states(self) -> None:
        """Calling, ringing, answered and in call: each ends in its own way, and no page is called away."""
        for begin, end in (
            (self.calling, Reason.CANCELLED),
            (self.ringing, Reason.OFFLINE),
            (self.in_call, Reason.HANGUP),
        ):
            begin()
            self.page.send("LOGOUT")
            self.assertEqual(self.world.taken(), [End(end)])
            self.page = self.side.browser("alice")


class RememberedTests(TakingCase):
    """What a page that was away must know is in the list of calls."""

    def info(self) -> dict[str, object]:
        found = self.another().transcript[0]["calls"][0]
        assert isinstance(found, dict)
        return found

    def test_held_meanwhile(self) -> None:
        """The other side holds, and somebody else takes its place, while the page is away."""
        self.in_call()
        self.page.drop()
        self.world.deliver(Hold(True))
        self.world.deliver(Connected(Identity("tel:+15550199", "Dave")))
        info = self.info()
        self.assertEqual((info["held"], info["remote"]), (True, {"uri": "tel:+15550199", "name": "Dave"}))

    def test_hold_decided_meanwhile(self) -> None:
        """The page's own hold is taken while it is away."""
        session = self.in_call()
        self.page.send("HOLD", session=session, on=True)
        self.page.drop()
        self.world.deliver(UpdateAccept(None))
        self.assertEqual(self.info()["holding"], True)

    def test_hold_decided_after(self) -> None:
        """Or when it is already back with an offer that waits for it; a refused one changes nothing."""
        session = self.in_call()
        self.page.send("HOLD", session=session, on=True)
        self.take(session)
        self.world.taken()
        self.world.deliver(UpdateAccept(None))
        self.assertEqual(self.world.taken(), [NEW_OFFER])
        self.world.deliver(UpdateAccept(ANSWER))
        self.assertEqual(self.info()["holding"], True)
        self.other.send("HOLD", session=session, on=False)
        self.page = self.other
        self.page.drop()
        self.world.deliver(UpdateReject(Reason.TIMEOUT))
        self.assertEqual(self.info()["holding"], True)
