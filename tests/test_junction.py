"""The meeting of the two networks: who a destination is, by which profile a call goes, who calls whom."""

from __future__ import annotations

from rtcgw.ims.registration import RegState
from rtcgw.media.backend import Access
from rtcgw.model.events import End, Setup
from rtcgw.model.identity import Identity, Profile, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.translator.factory import Unreachable
from rtcgw.translator.flow import Form, Network
from rtcgw.translator.fork import Fork
from rtcgw.translator.sipleg import SipLeg
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, MAIN, Rig, configured

SECOND = Profile("second", "gw2@ims.test", ("sip:gw2@ims.test",), "ims.test", secret="gw2-secret")
S1 = SessionId("s1")


def setup(caller: str, callee: str) -> Setup:
    return Setup(Identity(caller), Identity(callee))


class JunctionTests(FlowCase):
    """Two registered profiles; alice and bob have identities of the first, carol and dave have none."""

    def build(self) -> Rig:
        return Rig(configured(profiles=(MAIN, SECOND)))

    def unreachable(self, uri: str) -> Reason:
        refused = self.assertRaises(Unreachable, self.rig.junction.web_leg, setup("carol", uri), S1)
        assert isinstance(refused, Unreachable)
        return refused.reason

    def test_network(self) -> None:
        """Whom a user profile names, in whatever spelling, is on the web; everybody else is the core's."""
        for uri in ("alice", "sip:alice@IMS.test", "tel:+1-555-0011", "+15550011", "carol"):
            self.assertIs(self.rig.junction.network(uri), Network.RTCWEB, uri)
        for uri in ("sip:bob@elsewhere.test", "tel:+499", "nobody"):
            self.assertIs(self.rig.junction.network(uri), Network.IMS, uri)

    def test_readable(self) -> None:
        """Pages read the native dialect."""
        self.assertTrue(self.rig.junction.readable("alice", Form.NATIVE))
        self.assertFalse(self.rig.junction.readable("alice", Form.SIP))

    def test_web_leg(self) -> None:
        """Nobody there; one device, which another one joins while it rings; several devices."""
        self.assertIs(self.unreachable("alice"), Reason.OFFLINE)
        self.rig.page("alice")
        alone = self.rig.junction.web_leg(setup("carol", "alice"), S1)
        assert isinstance(alone, Fork)
        self.assertEqual(len(alone.legs), 1)
        self.rig.page("alice", "second")
        fork = self.rig.junction.web_leg(setup("carol", "sip:alice@ims.test"), SessionId("s2"))
        assert isinstance(fork, Fork)
        self.assertEqual((len(alone.legs), len(fork.legs)), (2, 2))
        for each in (alone, fork):
            each.deliver(End(Reason.CANCELLED))

    def test_profile(self) -> None:
        """A user calls by their own profile, one without by the least loaded."""
        main, second = self.rig.profiles.get("main"), self.rig.profiles.get("second")
        assert main is not None
        assert second is not None
        main.load.take("a call")
        for caller, agent in (("sip:alice@ims.test", main), ("tel:+15550011", main), ("carol", second)):
            leg = self.rig.junction.ims_leg(setup(caller, ECHO), S1)
            assert isinstance(leg, SipLeg)
            self.assertIs(leg.port, agent)
        main.load.give("a call")

    def test_peer(self) -> None:
        """The profile of a call is that of its party in the core, whichever side it is on; two pages have none."""
        self.rig.peer = pbx = PeerProfile("pbx")
        peer = self.rig.junction.peer
        self.assertIs(peer(setup("alice", ECHO), Access.WEB, Access.CORE), pbx)
        self.assertIs(peer(setup(ECHO, "alice"), Access.CORE, Access.PLAIN), pbx)
        self.assertIs(peer(setup("alice", "bob"), Access.WEB, Access.WEB), PLAIN_PEER)

    def test_caller_as_shown(self) -> None:
        """A caller who hides is hidden; the page is told which of its addresses was called."""
        alice = self.rig.page("alice")
        call = self.rig.core.call("sip:alice@ims.test", "offer", "sip:bob@ims.test", ("Privacy", "id"))
        self.rig.advance()
        offer = alice.last("OFFER")
        self.assertEqual(offer["from"]["uri"], "sip:anonymous@anonymous.invalid")
        self.assertEqual(offer["to"], "sip:alice@ims.test")
        call.cancel()

    def test_registration_rejected(self) -> None:
        """Only the calls of the profile that was refused end."""
        alice, carol = self.rig.page("alice"), self.rig.page("carol")
        main = self.rig.profiles.get("main")
        assert main is not None
        main.load.take("so that carol goes by the other one")
        alice.call(ECHO)
        other = carol.call(ECHO)
        self.rig.advance()
        self.rig.core.network_deregisters("sip:alice@ims.test", "rejected")
        self.rig.advance()
        self.assertIs(main.registration.state, RegState.REFUSED)
        self.assertEqual(list(self.rig.translator.calls), [other])
        carol.send("HANGUP", session=other)
        main.load.give("so that carol goes by the other one")

    def test_sessions(self) -> None:
        """What the inspector shows of users."""
        self.rig.page("carol")
        session = self.rig.page("alice").call(ECHO)
        self.rig.pages[1].drop()
        rows = {row["user"]: row for row in self.rig.junction.sessions()}
        self.assertEqual(
            rows["alice"],
            {"user": "alice", "identity": "sip:alice@ims.test", "connections": 0, "calls": 1, "away": 1},
        )
        self.assertEqual((rows["carol"]["identity"], rows["carol"]["calls"]), ("", 0))
        self.assertIn(SessionId(session), self.rig.translator.calls)


class WithoutCoreTests(FlowCase):
    """No profile at all."""

    def build(self) -> Rig:
        return Rig(configured(profiles=()))

    def test_network(self) -> None:
        """Whoever is no user is nowhere."""
        with self.assertRaises(Unreachable) as caught:
            self.rig.junction.network("sip:bob@elsewhere.test")
        self.assertIs(caught.exception.reason, Reason.NOT_FOUND)
