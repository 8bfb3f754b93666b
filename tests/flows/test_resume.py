"""Pages that reload and resume: what happens to their calls, whatever the other side does meanwhile."""

from __future__ import annotations

from typing import Any

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page
from tests.peers.browser import ANSWER_SDP, SDP


class ResumeCase(FlowCase):
    """Alice's page, which resumes by its token; `grace` is 30 s, `resume_time` 120 s."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def token(self, page: Page | None = None) -> str:
        welcome = next(message for message in (page or self.alice).transcript if message.get("for") == "LOGIN")
        return str(welcome["resume"])

    def talking(self, page: Page | None = None) -> str:
        page = page or self.alice
        self.rig.phone(lambda call: call.answer("final"))
        session = page.call(ECHO)
        self.rig.advance()
        page.answer(session)
        self.rig.ladder.clear()
        return session

    def back(self, name: str = "again", token: str | None = None) -> Page:
        return self.rig.page("alice", name, resume=token or self.token())

    def calls(self, page: Page) -> list[dict[str, Any]]:
        found = page.transcript[0].get("calls", [])
        assert isinstance(found, list)
        return found


class ReloadTests(ResumeCase):
    """The page reloads during a call."""

    def test_ladder(self) -> None:
        """F5: the page resumes, finds its call, and has its sound again; the phone hears nothing of it."""
        session = self.talking()
        self.alice.drop()
        self.rig.advance(3)
        again = self.back()
        (call,) = self.calls(again)
        self.assertEqual(
            (call["session"], call["state"], call["away"], call["remote"]), (session, "Reloading", True, {"uri": ECHO})
        )
        self.assertAlmostEqual(call["answered"], 3.0, delta=0.2)
        again.send("OFFER", session=session, sdp="fresh")
        self.rig.advance(60)
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            again -> OFFER fresh
            again <- OK OFFER re-answer(fresh)
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_peer_hangs_up_meanwhile(self) -> None:
        """The phone hangs up while the page is away: nothing is kept for it, its call is just not in the list."""
        session = self.talking()
        self.alice.drop()
        self.rig.call.bye()
        self.rig.advance()
        again = self.back()
        self.assertEqual(self.calls(again), [])
        again.send("OFFER", session=session, sdp="fresh")
        self.assertEqual(again.last("ERROR")["code"], "no-session")

    def test_after_the_grace_time(self) -> None:
        """The token outlives the call: the page is logged in again, and has no call."""
        self.talking()
        self.alice.drop()
        self.rig.advance(31)
        self.assertEqual(self.calls(self.back()), [])

    def test_not_taken_up(self) -> None:
        """A page that resumes and does not take its call up has not saved it."""
        self.talking()
        self.alice.drop()
        self.rig.advance(10)
        again = self.back()
        self.rig.advance(19)
        self.assertFalse(self.rig.call.ended)
        self.rig.advance(2)
        self.assertTrue(self.rig.call.ended)
        again.look()

    def test_no_call(self) -> None:
        """A page without calls resumes as well, and is called on its new connection."""
        self.alice.drop()
        again = self.back()
        self.assertEqual(self.calls(again), [])
        phone = self.rig.ring()
        again.answer(again.invited, "answer")
        self.rig.advance()
        phone.bye()
        self.rig.advance()

    def test_eight_calls(self) -> None:
        """As many calls as one may have, all of them away, all taken up."""
        sessions = [self.talking() for _ in range(8)]
        self.alice.drop()
        again = self.back()
        self.assertEqual([call["session"] for call in self.calls(again)], sorted(sessions))
        for session in sessions:
            again.send("OFFER", session=session, sdp="fresh")
        self.assertEqual(self.rig.ladder.count("again <- OK OFFER re-answer(fresh)"), 8)
        again.send("OFFER", to=ECHO, sdp="ninth")
        self.assertEqual(again.last("ERROR")["code"], "limit")
        again.send("LOGOUT")
        self.rig.advance()

    def test_somebody_elses_token(self) -> None:
        """Bob's page cannot become alice's; her call waits on for hers."""
        session = self.talking()
        self.alice.drop()
        bob = self.rig.page("bob")
        bob.send("LOGIN", resume=self.token())
        self.assertEqual(bob.last("ERROR")["code"], "already-logged-in")
        bob.send("OFFER", session=session, sdp="bob's")
        self.assertEqual(bob.last("ERROR")["code"], "no-session")
        bob.send("HANGUP", session=session)
        self.assertEqual(bob.last("ERROR")["code"], "no-session")
        again = self.back()
        again.send("HANGUP", session=session)
        self.rig.advance()


class CallerReloadTests(ResumeCase):
    """The caller's page reloads while it rings at the phone."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.phone(lambda call: call.ring())
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.ladder.clear()

    def test_back_before_the_answer(self) -> None:
        """The page calls on as if nothing had happened; the answer is acknowledged, and then its own offer taken."""
        self.alice.drop()
        again = self.back()
        again.send("OFFER", session=self.session, sdp="fresh")
        self.rig.advance(40)
        self.rig.call.answer("final")
        self.rig.advance()
        again.answer(self.session)
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            again -> OFFER fresh
            again <- WAITING
            again <- RINGING
            core -> 200 INVITE final
            again <- OK OFFER re-answer(fresh)
            core <- ACK
            again -> ANSWER
            again <- OK ANSWER
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_answered_meanwhile(self) -> None:
        """The phone answers while the page is away: it is acknowledged, and the page comes back into the call."""
        self.alice.drop()
        self.rig.call.answer("final")
        self.rig.advance(3)
        again = self.back()
        self.assertEqual([call["state"] for call in self.calls(again)], ["Reloading"])
        again.send("OFFER", session=self.session, sdp="fresh")
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            core -> 200 INVITE final
            core <- ACK
            again -> OFFER fresh
            again <- OK OFFER re-answer(fresh)
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_given_up_on_the_new_page(self) -> None:
        """The user thinks better of it: the phone stops ringing."""
        self.alice.drop()
        again = self.back()
        again.send("OFFER", session=self.session, sdp="fresh")
        again.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(self.rig.call.cancelled)

    def test_refused_meanwhile(self) -> None:
        """The phone declines while the page is away: the list of calls is empty."""
        self.alice.drop()
        self.rig.call.respond(603, "Decline")
        self.rig.advance()
        self.assertEqual(self.calls(self.back()), [])

    def test_page_to_page(self) -> None:
        """Alice, who calls bob, reloads; bob answers what he was offered, and is then asked to take her new page."""
        bob = self.rig.page("bob")
        session = self.alice.call("bob", SDP)
        self.alice.drop()
        again = self.back()
        again.send("OFFER", session=session, sdp=SDP)
        self.rig.ladder.clear()
        bob.answer(session, ANSWER_SDP)
        bob.answer(session, ANSWER_SDP)
        again.answer(session)
        self.reads(
            """
            bob -> ANSWER sdp
            bob <- OK ANSWER
            bob <- OFFER sdp
            bob -> ANSWER sdp
            bob <- OK ANSWER
            again <- OK OFFER sdp
            again -> ANSWER
            again <- OK ANSWER
            """
        )
        again.send("LOGOUT")
        self.rig.advance(31)


class TwoConnectionsTests(ResumeCase):
    """One token on two connections."""

    def test_half_open(self) -> None:
        """The network changed: the page resumes before the old connection is missed, which is told, and forgotten."""
        session = self.talking()
        again = self.back()
        again.send("OFFER", session=session, sdp="fresh")
        self.alice.drop()
        self.rig.advance(40)
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            again -> OFFER fresh
            again <- OK OFFER re-answer(fresh)
            alice <- ERROR moved
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )

    def test_two_tabs(self) -> None:
        """A duplicated tab resumes with the same token: it has the call, the first keeps its log-in without it."""
        session, token = self.talking(), self.token()
        self.alice.drop()
        first = self.back("first", token)
        first.send("OFFER", session=session, sdp="first's")
        second = self.back("second", token)
        self.assertEqual([call.get("here") for call in self.calls(second)], [None])
        second.send("OFFER", session=session, sdp="second's")
        first.send("HANGUP", session="x")
        first.send("PING")
        self.rig.ladder[:] = [line for line in self.rig.ladder if "HANGUP" not in line]
        self.reads(
            """
            first -> OFFER first's
            first <- OK OFFER re-answer(first's)
            second -> OFFER second's
            second <- OK OFFER re-answer(second's)
            first <- ERROR moved
            first <- ERROR no-session
            first -> PING
            first <- OK PING
            """
        )
        second.send("HANGUP", session=session)
        self.rig.advance()

    def test_renewed_on_purpose(self) -> None:
        """RECONNECT, and the page that resumes goes on talking; the phone hears nothing."""
        session = self.talking()
        self.assertEqual(self.rig.browsers.reconnect("alice"), 1)
        self.rig.advance(12)
        self.assertEqual(self.alice.close_code, 4412)
        again = self.back()
        again.send("OFFER", session=session, sdp="fresh")
        self.rig.call.bye()
        self.rig.advance()
        self.reads(
            """
            alice <- RECONNECT
            again -> OFFER fresh
            again <- OK OFFER re-answer(fresh)
            core -> BYE
            again <- HANGUP hangup
            core <- 200 BYE
            """
        )


class SleepTests(ResumeCase):
    """A laptop sleeps: its connection is silently dead. Ping after 20 s, cut 10 s later, grace 30 s."""

    def sleep(self, seconds: float) -> None:
        self.alice.look = lambda: None  # type: ignore[method-assign]
        self.rig.advance(seconds)

    def test_short(self) -> None:
        """It wakes before the grace time is over: the page resumes into its call."""
        session = self.talking()
        self.sleep(50)
        again = self.back()
        again.send("OFFER", session=session, sdp="fresh")
        self.assertEqual(again.last("OK")["sdp"], "re-answer(fresh)")
        again.send("HANGUP", session=session)
        self.rig.advance()

    def test_long(self) -> None:
        """It wakes later: the phone was hung up on after a minute, and the page resumes to an empty list."""
        self.talking()
        self.sleep(64)
        self.assertTrue(self.rig.call.ended)
        self.assertEqual(self.rig.call.last("BYE").get("reason"), "Q.850;cause=27")
        self.rig.advance(80)
        self.assertEqual(self.calls(self.back()), [])

    def test_overnight(self) -> None:
        """It wakes after the token's life: the page must log in as usual."""
        self.talking()
        self.sleep(33 + 121)
        page = Page("morning", self.rig.browsers)
        page.handshake()
        page.expect("ERROR", id=page.send("LOGIN", resume=self.token()), code="auth-failed")
        page.login("alice")
