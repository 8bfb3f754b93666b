"""Who may log in, whom a destination means, and what is kept of either."""

from __future__ import annotations

import jwt
from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Config, Login
from rtcgw.model.events import Description, Kind, Setup
from rtcgw.model.identity import SessionId, User
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.identifying import ADDRESSES_LIMIT, CONNECTIONS_LIMIT, FAILURES, FORGIVEN, Throttle
from rtcgw.translator.factory import Unreachable
from tests.peers.browser import SDP, Browser, BrowserSide, sandbox_config
from tests.rtcweb.doubles import ALICE, CAROL, World

SECRET = "a shared secret of thirty-two bytes or more"


def with_tokens(config: Config) -> Config:
    return evolve(config, login=Login(keys=(SECRET,), leeway=0))


class LoginCase(SynchronousTestCase):
    """A gateway that takes passwords and tokens."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.world = World()
        self.side = BrowserSide(self.world, self.clock, with_tokens(sandbox_config()))

    def token(self, user: str = "alice", **claims: object) -> str:
        return jwt.encode({"sub": user, "exp": self.clock.seconds() + 100} | claims, SECRET, "HS256")

    def refused(self, page: Browser, code: str, **fields: object) -> None:
        page.expect("ERROR", id=page.send("LOGIN", **fields), code=code)


class LoginTests(LoginCase):
    """The door."""

    def test_password(self) -> None:
        """Wrong name and wrong password look alike; after the third the connection is closed."""
        page = self.side.connect()
        self.refused(page, "auth-failed", user="alice", password="wrong")
        self.refused(page, "auth-failed", user="nobody", password="nobody")
        self.assertFalse(page.gone)
        self.refused(page, "auth-failed", user="alice", password="")
        self.assertEqual(page.close_code, 4401)

    def test_forgotten_user(self) -> None:
        """A password for a user who is not in the configuration opens nothing."""
        config = evolve(self.side.config, passwords={"ghost": "ghost"})
        page = BrowserSide(self.world, self.clock, config).connect()
        self.refused(page, "auth-failed", user="ghost", password="ghost")

    def test_unknown_fields_and_kinds(self) -> None:
        """A LOGIN is by token or by password, not by both, and not for another major version."""
        page = self.side.connect()
        self.refused(page, "malformed", user="alice")
        self.refused(page, "malformed", token="x", user="alice", password="alice")
        self.refused(page, "unsupported-version", user="alice", password="alice", version="2.0")
        page.login("alice", version="1.7")

    def test_token(self) -> None:
        """A token's user is taken as it says, with the identity that it claims, if a profile has it."""
        page = self.side.connect()
        ok = page.login(token=self.token("dave", name="Dave", impu="sip:gw1@ims.test"))
        self.assertEqual((ok["user"], ok["identities"], ok["expires"]), ("dave", ["sip:gw1@ims.test"], 100))
        page.call("echo")
        self.assertEqual(self.world.placed[0].caller.display, "Dave")
        self.assertEqual(self.side.users.locate("sip:gw1@IMS.test"), User("dave", "sip:gw1@ims.test", "main", "Dave"))

    def test_stolen_identity(self) -> None:
        """Nobody gets an identity that is no profile's, or another user's."""
        page = self.side.connect()
        self.refused(page, "auth-failed", token=self.token("dave", impu="sip:president@ims.test"))
        self.refused(page, "auth-failed", token=self.token("dave", impu="sip:alice@ims.test"))
        users = self.side.users
        located = users.locate("sip:alice@ims.test")
        assert located is not None
        self.assertEqual(located.name, "alice")

    def test_numbers_as_names(self) -> None:
        """A token may name its user by number: found under any spelling, and never in another's place."""
        page = self.side.connect()
        page.login(token=self.token("+15550099"))
        found = self.side.users.locate("tel:+1-555-0099")
        assert found is not None
        self.assertEqual(found.name, "+15550099")
        self.refused(self.side.connect(), "auth-failed", token=self.token("+15550011"))

    def test_live_identity(self) -> None:
        """An identity that somebody was given stays theirs while they are there, and no longer."""
        dave = self.side.connect()
        dave.login(token=self.token("dave", impu="sip:gw1@ims.test"))
        other = self.side.connect()
        self.refused(other, "auth-failed", token=self.token("eve", impu="sip:gw1@ims.test"))
        dave.close()
        self.assertIsNone(self.side.users.locate("sip:gw1@ims.test"))
        other.login(token=self.token("eve", impu="sip:gw1@ims.test"))

    def test_expiry(self) -> None:
        """An expired token is announced; a fresh one renews it, and without one the connection is closed."""
        page = self.side.connect()
        page.login(token=self.token())
        self.pass_time(page, 101)
        page.expect("ERROR", code="token-expired")
        self.refused(page, "already-logged-in", token=self.token("bob"))
        page.login(token=self.token())
        self.pass_time(page, 101)
        page.expect("ERROR", code="token-expired")
        page.nothing()
        self.pass_time(page, 30)
        self.assertEqual(page.close_code, 4401)

    def pass_time(self, page: Browser, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            page.pong()

    def test_call_survives_expiry(self) -> None:
        """The connection goes, the call waits for its page as after any loss."""
        page = self.side.connect()
        page.login(token=self.token())
        session = page.call("echo")
        self.pass_time(page, 131)
        self.assertTrue(page.gone)
        self.assertEqual(self.world.legs[0].view().state, "Reloading")
        self.assertEqual(self.side.browser("alice").transcript[0]["calls"][0]["session"], session)

    def test_throttle(self) -> None:
        """Whoever fails too often from one address waits, right password or not; others do not notice."""
        for _ in range(FAILURES):
            page = self.side.connect(host="192.0.2.9")
            self.refused(page, "auth-failed", user="alice", password="guess")
        late = self.side.connect(host="192.0.2.9")
        self.refused(late, "too-many-attempts", user="alice", password="alice")
        self.assertEqual(late.close_code, 4401)
        self.side.connect(host="192.0.2.10").login("alice")
        self.clock.advance(FORGIVEN)
        self.side.connect(host="192.0.2.9").login("alice")

    def test_throttle_bound(self) -> None:
        """Attempts from ever new addresses do not fill the memory; what is forgiven is forgotten."""
        throttle = Throttle(self.clock.seconds)
        for number in range(ADDRESSES_LIMIT + 10):
            throttle.failed(f"address {number}")
        self.assertEqual(len(throttle), ADDRESSES_LIMIT)
        self.clock.advance(FORGIVEN)
        self.assertFalse(throttle.blocked(f"address {ADDRESSES_LIMIT}"))
        self.assertEqual(len(throttle), ADDRESSES_LIMIT - 1)

    def test_secrets(self) -> None:
        """Neither tokens nor passwords nor keys are shown by what may be printed."""
        page = self.side.connect()
        token = self.token()
        page.login(token=token)
        login = native.Login(id=1, user="alice", password="hush", token=None)
        server = native.IceServer(urls=("turn:t",), username="u", credential="hush")
        self.assertNotIn(token, repr(native.Login(id=1, token=token)))
        for thing in (
            login,
            server,
            self.side.desk,
            self.side.desk.authenticator,
            self.side.users.sessions,
            self.side.config,
        ):
            for secret in (SECRET, token, "hush", "'alice': 'alice'"):
                self.assertNotIn(secret, repr(thing))


class UserTests(LoginCase):
    """Whom a destination means, and on which pages they ring."""

    def test_locate(self) -> None:
        """A name or any spelling of a public identity."""
        for uri, name in (
            ("alice", "alice"),
            ("sip:alice@IMS.test:5060;transport=tcp", "alice"),
            ("tel:+1-555-0011", "bob"),
            ("sip:+15550011@anywhere.test;user=phone", "bob"),
            ("+1 555 0011", "bob"),
            ("carol", "carol"),
        ):
            found = self.side.users.locate(uri)
            assert found is not None
            self.assertEqual(found.name, name)
        for uri in ("dave", "sip:carol@ims.test", "sip:gw1@ims.test", "", "alice@evil.test"):
            self.assertIsNone(self.side.users.locate(uri))

    def test_all_pages_ring(self) -> None:
        """A call rings on every page of the user, the caller's own page excepted."""
        setup = Setup(CAROL, ALICE, Description(Kind.OFFER, SDP))
        self.assertEqual(self.world.ring(self.side, "alice", setup), [])
        self.assertFalse(self.side.users.online("alice"))
        pages = [self.side.browser("alice") for _ in range(3)]
        self.assertTrue(self.side.users.online("alice"))
        legs = self.world.ring(self.side, "alice", setup)
        self.assertEqual(len(legs), 3)
        sessions = {page.expect("OFFER")["session"] for page in pages}
        self.assertEqual(sessions, {legs[0].session})
        session = SessionId(pages[0].call("alice"))
        self.assertEqual(len(self.world.ring(self.side, "alice", setup, session)), 2)
        pages[0].nothing()

    def test_busy(self) -> None:
        """A user with as many calls as one may have: outgoing ones are refused, incoming ones find them busy."""
        page = self.side.browser("alice")
        for _ in range(self.side.users.max_calls):
            last = page.call("echo")
        page.expect("ERROR", id=page.send("OFFER", to="echo", sdp=SDP), code="limit")
        with self.assertRaises(Unreachable) as caught:
            self.side.users.ring("alice", SessionId("S"))
        self.assertIs(caught.exception.reason, Reason.BUSY)
        page.hang_up(last)
        page.call("echo")

    def test_connections_bound(self) -> None:
        """A user has so many pages and no more."""
        for _ in range(CONNECTIONS_LIMIT):
            self.side.browser("alice")
        page = self.side.connect()
        self.refused(page, "limit", user="alice", password="alice")
        page.login("bob")

    def test_forgotten(self) -> None:
        """A user whom only a token names is known while they are there."""
        page = self.side.connect()
        page.login(token=self.token("dave"))
        self.assertEqual(self.side.users.locate("dave"), User("dave"))
        page.drop()
        self.assertIsNone(self.side.users.locate("dave"))
        self.assertEqual(self.side.users.sessions, {})
