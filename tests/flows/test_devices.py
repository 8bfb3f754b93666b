"""One user on several pages: a call moves between them, and each knows what the others do."""

from __future__ import annotations

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page
from tests.peers.browser import ANSWER_SDP, SDP


class DevicesCase(FlowCase):
    """Alice's pages, and a phone."""

    def another(self, name: str, calls: bool = False) -> Page:
        more = ["calls"] if calls else []
        return self.rig.page("alice", name, capabilities=["progress", "trickle", *more])


class PullTests(DevicesCase):
    """A call moves from one page to another."""

    def setUp(self) -> None:
        super().setUp()
        self.desk, self.lap = self.another("desk"), self.another("lap")

    def talking(self) -> str:
        self.rig.phone(lambda call: call.answer("final"))
        session = self.desk.call(ECHO)
        self.rig.advance()
        self.desk.answer(session)
        self.rig.ladder.clear()
        return session

    def test_pulled(self) -> None:
        """The old page hears that it has moved, the new one has its sound, the phone hears nothing of it."""
        session = self.talking()
        self.lap.send("OFFER", session=session, sdp="lap's")
        self.desk.send("HOLD", session=session, on=True)
        self.desk.drop()
        self.rig.advance(31)
        self.lap.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            lap -> OFFER lap's
            lap <- OK OFFER re-answer(lap's)
            desk <- ERROR moved
            desk -> HOLD
            desk <- ERROR no-session
            lap -> HANGUP
            lap <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_every_page_knows(self) -> None:
        """The pages that know the word hear of each step, and where the call is."""
        watch = self.another("watch", calls=True)
        session = self.talking()
        self.rig.advance()
        self.assertEqual([call.get("here") for call in watch.last("CALLS")["calls"]], [None])
        watch.send("OFFER", session=session, sdp="watch's")
        self.rig.advance()
        (call,) = watch.last("CALLS")["calls"]
        self.assertEqual((call["here"], call["state"], call["remote"]), (True, "InCall", {"uri": ECHO}))
        self.assertIn("desk <- ERROR moved", self.rig.ladder)
        watch.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(watch.last("CALLS")["calls"], [])

    def test_ended_on_another_page(self) -> None:
        """Any page of the user may end the call: the one that has it hears so, and the phone."""
        session = self.talking()
        self.lap.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            lap -> HANGUP
            lap <- OK HANGUP
            desk <- HANGUP hangup
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_declined_on_another_page(self) -> None:
        """A page that cannot ring itself, because it is of the other kind, may decline for those that do."""
        plain = self.rig.page("alice", "plain", ice=False)
        phone = self.rig.ring()
        plain.send("HANGUP", session=self.desk.invited, reason="declined")
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual(phone.final.status, 603)
        self.assertEqual(self.desk.last("HANGUP")["session"], self.lap.last("HANGUP")["session"])

    def test_pulled_before_the_answer(self) -> None:
        """A call that still rings goes to another page, which then has the answer."""
        self.rig.phone(lambda call: call.ring())
        session = self.desk.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()
        self.lap.send("OFFER", session=session, sdp="lap's")
        self.rig.call.answer("final")
        self.rig.advance()
        self.lap.answer(session)
        self.reads(
            """
            lap -> OFFER lap's
            lap <- WAITING
            lap <- RINGING
            desk <- ERROR moved
            core -> 200 INVITE final
            lap <- OK OFFER re-answer(lap's)
            core <- ACK
            lap -> ANSWER
            lap <- OK ANSWER
            """
        )
        self.rig.call.bye()
        self.rig.advance()

    def test_between_two_users(self) -> None:
        """Alice goes to another page while she talks to bob, whose page is asked, since the two talk directly."""
        bob = self.rig.page("bob")
        session = self.desk.call("bob", SDP)
        bob.answer(session, ANSWER_SDP)
        self.desk.answer(session)
        self.rig.ladder.clear()
        self.lap.send("OFFER", session=session, sdp=SDP)
        bob.answer(session, ANSWER_SDP)
        self.reads(
            """
            lap -> OFFER sdp
            desk <- ERROR moved
            bob <- OFFER sdp
            bob -> ANSWER sdp
            bob <- OK ANSWER
            lap <- OK OFFER sdp
            """
        )
        bob.send("HANGUP", session=session)


class LateTests(DevicesCase):
    """Pages that come while it rings."""

    def setUp(self) -> None:
        super().setUp()
        self.desk = self.another("desk")
        self.phone = self.rig.ring()
        self.session = self.desk.invited
        self.desk.send("RINGING", session=self.session)
        self.rig.advance()
        self.rig.ladder.clear()

    def test_opened(self) -> None:
        """A page opened while it rings, rings; it answers, the other is told so, the phone hears one answer."""
        lap = self.another("lap")
        self.assertEqual(lap.last("OFFER")["sdp"], "caller-offer(offer)")
        lap.send("RINGING", session=self.session)
        lap.answer(self.session, "lap's")
        self.rig.advance()
        self.reads(
            """
            lap -> RINGING
            lap <- OK RINGING
            lap -> ANSWER lap's
            desk <- HANGUP answered-elsewhere
            core <- 200 INVITE callee-answer(lap's)
            core -> ACK
            lap <- OK ANSWER
            """
        )
        self.assertEqual(self.desk.last("HANGUP")["text"], "Answered on another device.")
        self.phone.bye()
        self.rig.advance()

    def test_reloaded(self) -> None:
        """The only page is reloaded while it rings: the phone hears nothing, the page rings again and answers."""
        token = self.desk.transcript[0]["resume"]
        self.desk.drop()
        self.rig.advance(20)
        again = self.rig.page("alice", "again", resume=token)
        (call,) = again.transcript[0]["calls"]
        caller = again.last("OFFER")["from"]
        self.assertEqual((call["session"], call["remote"], call["away"]), (self.session, caller, True))
        again.answer(self.session, "again's")
        self.rig.advance(60)
        self.phone.bye()
        self.rig.advance()
        self.reads(
            """
            again -> ANSWER again's
            core <- 200 INVITE callee-answer(again's)
            core -> ACK
            again <- OK ANSWER
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_reloaded_after_an_early_answer(self) -> None:
        """The page had connected early: the new one's early answer takes the place of the old one's."""
        self.desk.send("PRANSWER", session=self.session, sdp="early")
        self.desk.drop()
        again = self.another("again")
        again.send("PRANSWER", session=self.session, sdp="again's")
        again.answer(self.session)
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-3:-1], ["core <- 200 INVITE callee-answer(again's)", "core -> ACK"])
        self.phone.bye()

    def test_phone_gives_up_meanwhile(self) -> None:
        """The phone gives up while the page is away: it is over at once, and the page that comes back hears nothing."""
        self.desk.drop()
        self.phone.cancel()
        self.rig.advance()
        self.assertEqual(self.rig.translator.calls, {})
        again = self.another("again")
        self.assertEqual(again.transcript[0].get("calls"), None)
        self.assertEqual([message["type"] for message in again.transcript], ["OK"])

    def test_logged_out(self) -> None:
        """Logging out of the last page is a person's doing: nobody is waited for."""
        self.desk.send("LOGOUT")
        self.rig.advance()
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 480)

    def test_lost_then_logged_out(self) -> None:
        """Also where the page that rang was lost before, and another one logs out that rings in its stead."""
        self.desk.drop()
        again = self.another("again")
        again.send("LOGOUT")
        self.rig.advance()
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 480)

    def test_other_kind(self) -> None:
        """A page of the other kind that comes does not ring: the media of the call are made for the first."""
        plain = self.rig.page("alice", "plain", ice=False)
        self.assertEqual([message["type"] for message in plain.transcript], ["OK"])
        self.phone.cancel()

    def test_in_the_books(self) -> None:
        """A call that rings while nobody hears it is still one of the user's calls, of which there is a bound."""
        self.desk.drop()
        session = self.rig.users.sessions["alice"]
        self.assertEqual(session.calls(), {self.session})
        self.rig.advance(30.1)
        self.assertEqual(self.rig.users.sessions, {})
        assert self.phone.final is not None
        self.assertEqual(self.phone.final.status, 480)


class ThreePagesTests(DevicesCase):
    """One identity, one registration, three pages."""

    def setUp(self) -> None:
        super().setUp()
        self.pages = [self.another(name) for name in ("desk", "lap", "hand")]

    def test_one_registration(self) -> None:
        """However many pages a user has, the core sees one contact, and one answer."""
        registers = len(self.rig.core.registers)
        phone = self.rig.ring()
        session = self.pages[0].invited
        for page in self.pages:
            page.send("RINGING", session=session)
        self.rig.advance()
        self.pages[2].answer(session, "hand's")
        self.rig.advance()
        self.assertEqual([response.status for response in phone.responses].count(180), 1)
        for page in self.pages[:2]:
            told = page.last("HANGUP")
            self.assertEqual(told["reason"], "answered-elsewhere")
        self.assertEqual(len(self.rig.core.registers), registers)
        phone.bye()

    def test_answered_on_a_phone(self) -> None:
        """The core forked the call, and a phone of the user's took it (RFC 3326): the pages say so, and it is
        no missed call."""
        phone = self.rig.ring()
        session = self.pages[0].invited
        phone.cancel(("Reason", 'SIP;cause=200;text="Call completed elsewhere"'))
        self.rig.advance()
        for page in self.pages:
            told = page.last("HANGUP")
            self.assertEqual((told["session"], told["reason"]), (session, "answered-elsewhere"))

    def test_first_come(self) -> None:
        """Each page may call by itself at the same time; each has its own call."""
        self.rig.phone(lambda call: call.answer("final"))
        sessions = [page.call(ECHO) for page in self.pages]
        self.rig.advance()
        for page, session in zip(self.pages, sessions, strict=True):
            page.answer(session)
        self.assertEqual(len(set(sessions)), 3)
        for page in self.pages:
            page.send("LOGOUT")
        self.rig.advance()
