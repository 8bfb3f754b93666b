"""Resume tokens: a page that lost its connection logs in again, once, as who it was, and not for longer."""

from __future__ import annotations

from typing import Any

import jwt
from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Call, Config, Login
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.identifying import CONNECTIONS_LIMIT, FAILURES
from rtcgw.rtcweb.resuming import LOST_BY_USER, Places
from rtcgw.rtcweb.tokens import BadToken
from tests.peers.browser import PROFILE, USERS, Browser, BrowserSide, sandbox_config
from tests.rtcweb.doubles import World

SECRET = "s" * 32


class ResumeCase(SynchronousTestCase):
    """A gateway that takes tokens and passwords; `resume_time` is 120 s."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.side = BrowserSide(World(), self.clock, self.config())

    def config(self) -> Config:
        return evolve(sandbox_config(), login=Login(keys=(SECRET,)))

    def login(self, user: str = "alice") -> tuple[Browser, str]:
        page = self.side.connect()
        return page, str(page.login(user)["resume"])

    def resume(self, token: str, page: Browser | None = None) -> dict[str, Any]:
        return (page or self.side.connect()).login(resume=token)

    def refused(self, token: str, code: str = "auth-failed", page: Browser | None = None) -> None:
        page = page or self.side.connect()
        page.expect("ERROR", id=page.send("LOGIN", resume=token), code=code)


class ResumeTests(ResumeCase):
    def test_resumed(self) -> None:
        """The page is who it was, and gets the next token."""
        page, token = self.login()
        page.drop()
        self.clock.advance(119)
        welcome = self.resume(token)
        self.assertEqual((welcome["user"], welcome["identities"]), ("alice", ["sip:alice@ims.test"]))
        self.assertEqual(welcome["resumeTtl"], 120)
        self.assertNotEqual(welcome["resume"], token)

    def test_too_late(self) -> None:
        """The time runs from the loss; while the connection lives the token lives."""
        page, token = self.login()
        for _ in range(100):
            self.clock.advance(10)
            page.pong()
        page.drop()
        self.clock.advance(120)
        self.refused(token)

    def test_unknown(self) -> None:
        """A token of nobody's is refused; the page may then log in as usual."""
        page = self.side.connect()
        self.refused("x" * 32, page=page)
        page.login("alice")

    def test_used_up(self) -> None:
        """A token whose successor was used is worth nothing."""
        page, first = self.login()
        page.drop()
        second = self.resume(first)["resume"]
        self.resume(second)
        self.refused(first)

    def test_answer_lost(self) -> None:
        """A page that never got its welcome has only the old token: it serves once more, for a while."""
        page, first = self.login()
        page.drop()
        lost = self.side.connect()
        unheard = lost.login(resume=first)["resume"]
        lost.drop()
        self.clock.advance(100)
        second = self.resume(first)["resume"]
        self.refused(unheard)
        self.clock.advance(20)
        self.refused(first)
        self.resume(second)

    def test_two_tabs(self) -> None:
        """A duplicated tab shows the same token: the second gets the place, the first stays logged in."""
        page, token = self.login()
        page.drop()
        first, second = self.side.connect(), self.side.connect()
        stale = self.resume(token, first)["resume"]
        fresh = self.resume(token, second)["resume"]
        first.expect("OK", for_="PING", id=first.send("PING"))
        self.refused(stale)
        first.drop()
        self.resume(fresh)

    def test_first_tab_again(self) -> None:
        """The tab that lost its place gets one of its own with its next log-in, and does not take the other's."""
        page, token = self.login()
        first, second = self.side.connect(), self.side.connect()
        self.resume(token, first)
        fresh = self.resume(token, second)["resume"]
        own = first.login("alice")["resume"]
        first.drop()
        self.resume(own)
        self.resume(fresh)
        page.drop()

    def test_half_open(self) -> None:
        """The page is back before its old connection is missed, which then goes without taking the token along."""
        page, token = self.login()
        fresh = self.resume(token)["resume"]
        page.drop()
        self.clock.advance(1000)
        self.resume(fresh)

    def test_no_room(self) -> None:
        """With as many connections as a user may have, a page that is back takes the place of its own old one."""
        page, token = self.login()
        for _ in range(CONNECTIONS_LIMIT - 1):
            self.login()
        self.resume(token)
        page.pump()
        self.assertEqual(page.close_code, 4412)
        stranger = self.side.connect()
        stranger.expect("ERROR", id=stranger.send("LOGIN", user="alice", password="alice"), code="limit")

    def test_logged_out(self) -> None:
        """Who logs out leaves no token behind."""
        page, token = self.login()
        page.send("LOGOUT")
        self.refused(token)

    def test_other_user(self) -> None:
        """A page of bob's cannot become alice's by her token, and does not use it up."""
        page, token = self.login()
        bob, _ = self.login("bob")
        self.refused(token, "already-logged-in", bob)
        page.drop()
        self.assertEqual(self.resume(token)["user"], "alice")

    def test_same_user(self) -> None:
        """A connection may take over another place of its user's; its own is given up."""
        page, token = self.login()
        other, own = self.login()
        self.resume(token, other)
        self.refused(own)
        page.drop()

    def test_counted(self) -> None:
        """Guessing is slowed down like any other, though a restart of the gateway may cost a whole office a token."""
        for _ in range(4 * FAILURES - 4):
            self.refused("x")
        token = self.login()[1]
        for _ in range(8):
            self.side.connect().send("LOGIN", resume="x")
        self.refused(token, "too-many-attempts")

    def test_three_failures(self) -> None:
        """A connection that only ever guesses is closed."""
        page = self.side.connect()
        for _ in range(3):
            self.refused("x", page=page)
        self.assertEqual(page.close_code, 4401)

    def test_never_shown(self) -> None:
        """Neither the request nor the welcome shows a token where it is printed; the table keeps only digests."""
        page, token = self.login()
        self.assertNotIn(token, repr(native.Login(id=1, resume=token)))
        welcome = native.decode(native.encode(native.Login(id=1, resume=token)))
        self.assertNotIn(token, repr(welcome))
        place = self.side.desk.places.find(token)
        self.assertNotIn(token, repr(place))
        self.assertNotIn(place.current.hex(), repr(place))
        page.drop()

    def test_one_way_only(self) -> None:
        """A log-in says who it is in one way."""
        page, token = self.login()
        page.expect("ERROR", id=page.send("LOGIN", resume=token, user="alice", password="alice"), code="malformed")


class ClaimTests(ResumeCase):
    """The token of a page that logged in by a JWT."""

    def token(self, lasts: float = 600, **claims: Any) -> str:
        return jwt.encode({"sub": "dora", "exp": self.clock.seconds() + lasts} | claims, SECRET, "HS256")

    def test_expiry_is_kept(self) -> None:
        """To resume makes no log-in last longer, and the page sees how long it has."""
        page = self.side.connect()
        resume = page.login(token=self.token(100))["resume"]
        page.drop()
        self.clock.advance(60)
        again = self.side.connect()
        welcome = again.login(resume=resume)
        self.assertEqual((welcome["user"], welcome["expires"]), ("dora", 40))
        again.drop()
        self.clock.advance(40)
        self.refused(welcome["resume"])

    def test_renewed(self) -> None:
        """A log-in with a fresh token renews the claim, and gives the next resume token."""
        page = self.side.connect()
        first = page.login(token=self.token(100))["resume"]
        for _ in range(9):
            self.clock.advance(10)
            page.pong()
        second = page.login(token=self.token(600))["resume"]
        page.drop()
        self.clock.advance(90)
        self.assertEqual(self.resume(second)["expires"], 510)
        self.refused(first)

    def test_identity_taken(self) -> None:
        """An identity that somebody else has claimed meanwhile is not given back by a resume token."""
        page = self.side.connect()
        resume = page.login(token=self.token(impu="sip:gw1@ims.test"))["resume"]
        page.drop()
        other = self.side.connect()
        other.login(token=self.token(sub="eve", impu="sip:gw1@ims.test"))
        self.refused(resume)

    def test_identity_free(self) -> None:
        """Where nobody has, the page is called by it again."""
        page = self.side.connect()
        resume = page.login(token=self.token(impu="sip:gw1@ims.test", name="Dora"))["resume"]
        page.drop()
        self.assertEqual(self.resume(resume)["identities"], ["sip:gw1@ims.test"])
        user = self.side.users.locate("sip:gw1@ims.test")
        assert user is not None
        self.assertEqual((user.name, user.display), ("dora", "Dora"))


class OffTests(ResumeCase):
    def config(self) -> Config:
        return evolve(sandbox_config(), call=evolve(Call(), resume_time=0.0))

    def test_off(self) -> None:
        """`resume_time = 0`: no token is given out, none is taken."""
        page = self.side.connect()
        welcome = page.login("alice")
        self.assertNotIn("resume", welcome)
        self.assertEqual(welcome["resumeTtl"], 0)
        self.assertEqual(len(self.side.desk.places), 0)


class TableTests(SynchronousTestCase):
    """The table by itself: two places of lost connections at most."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.places = Places(self.clock, self.clock.seconds, 120, 2)

    def lost(self) -> str:
        holder = object()
        place, token = self.places.enter(USERS[0], None, holder)
        self.places.lose(place, holder)
        return token

    def test_bound(self) -> None:
        """Of more lost connections than the table has room for, the one longest gone is forgotten."""
        tokens = [self.lost() for _ in range(3)]
        self.assertEqual(len(self.places), 2)
        with self.assertRaises(BadToken):
            self.places.find(tokens[0])
        self.places.find(tokens[1])

    def test_one_user(self) -> None:
        """A user whose pages come and go as fast as they can drives out places of their own only."""
        self.places = Places(self.clock, self.clock.seconds, 120, 10_000)
        theirs = object()
        place, other = self.places.enter(USERS[1], None, theirs)
        self.places.lose(place, theirs)
        tokens = [self.lost() for _ in range(LOST_BY_USER + 100)]
        self.assertEqual(len(self.places), LOST_BY_USER + 1)
        self.places.find(other)
        self.places.take(self.places.find(tokens[-1]), tokens[-1], object())
        self.clock.advance(121)
        self.lost()
        self.assertEqual(len(self.places), 3, "the one that was taken has two tokens")

    def test_tidied(self) -> None:
        """What is over is not kept."""
        self.lost()
        self.clock.advance(121)
        self.lost()
        self.assertEqual(len(self.places), 1)

    def test_live_ones_stay(self) -> None:
        """Live connections are not counted, and at most two tokens of each are kept."""
        places = [self.places.enter(USERS[0], None, number) for number in range(5)]
        for number, (place, _) in enumerate(places):
            for _ in range(4):
                self.places.renew(place, USERS[0], None)
            self.assertIs(place.holder, number)
        self.assertEqual(len(self.places), 10)
        self.assertIn(PROFILE.name, repr(places[0][0]))
