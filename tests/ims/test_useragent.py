"""What a call to the core looks like, and where it goes."""

from __future__ import annotations

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rtcgw.ims.line import Line
from rtcgw.ims.screen import supported
from rtcgw.ims.useragent import ImsUserAgent, again_with
from rtcgw.model.defaults import UDP_LIMIT
from rtcgw.model.identity import ANONYMOUS, Attach, Identity, Profile
from rtcgw.model.peer import PLAIN_PEER, PeerProfile, UriForm
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request, Response
from rtcgw.sip.subscription import ISubscriptionPort
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser, ServerTransaction
from rtcgw.sip.uri import UriError
from rtcgw.translator.sipport import IDialogOwner, ISipPort
from tests.ims.requests import request
from tests.ims.rig import GW1, Rig

ALICE = Identity("alice", "Alice Liddell")
SDP = b"v=0\r\n" + b"a" * 440 + b"\r\n"


@implementer(IClientUser)
@define(eq=False)
class Caller:
    statuses: list[int] = field(factory=list)
    failures: list[Failure] = field(factory=list)
    last: Response | None = None

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        self.statuses.append(response.status)
        self.last = response

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        self.failures.append(failure)


@implementer(IDialogOwner)
class Owner:
    peer = PLAIN_PEER

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        raise AssertionError("no request was due")

    def got_ack(self, request: Request) -> None:
        raise AssertionError("no ACK was due")


class InviteTests(SynchronousTestCase):
    def test_seams(self) -> None:
        """The user agent is what the half-calls and the subscription ask for."""
        agent = Rig().agent()
        self.assertTrue(verifyObject(ISipPort, agent))
        self.assertTrue(verifyObject(ISubscriptionPort, agent))

    def test_mode_a(self) -> None:
        """Behind a P-CSCF: the caller is preferred, not asserted; the route is the P-CSCF's and the Service-Route."""
        rig = Rig().start()
        invite = rig.agent().invite("sip:bob@ims.test", ALICE)
        self.assertEqual(str(invite.uri), "sip:bob@ims.test")
        self.assertEqual(str(invite.from_.uri), "sip:gw1@ims.test")
        self.assertEqual(invite.from_.display, "Alice Liddell")
        self.assertEqual(invite.get("p-preferred-identity"), "<sip:gw1@ims.test>")
        self.assertIsNone(invite.get("p-asserted-identity"))
        self.assertEqual(invite.headers["route"], ["<sip:127.0.0.1:5060;lr>", "<sip:orig@127.0.0.1:5061;lr>"])
        self.assertEqual(rig.agent().next_hop(invite), Hop("127.0.0.1", 5060))
        self.assertEqual(invite.get("contact"), f"<sip:{rig.agent().line.token}@127.0.0.1:5070>")
        self.assertEqual(invite.get("supported"), supported(PLAIN_PEER))
        self.assertEqual(invite.get("p-early-media"), "supported")
        self.assertEqual(invite.get("max-forwards"), "70")

    def test_mode_b(self) -> None:
        """At the S-CSCF: the caller is asserted, the charging id is ours, the Service-Route leads there directly."""
        rig = Rig(
            (Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", attach=Attach.B, secret="gw1-secret"),)
        ).start()
        invite = rig.agent().invite("sip:bob@ims.test", ALICE)
        self.assertEqual(invite.get("p-asserted-identity"), "<sip:gw1@ims.test>")
        self.assertIsNone(invite.get("p-preferred-identity"))
        self.assertIn("icid-value=", invite.get("p-charging-vector") or "")
        self.assertEqual(rig.agent().next_hop(invite), Hop("127.0.0.1", 5061))

    def test_tls_alone(self) -> None:
        """A gateway that listens for TLS alone says so where the core will call it."""
        line = Line(GW1, Rig().layer, Hop("127.0.0.1", 5061, "TLS"), "127.0.0.1:5071", secure=True)
        self.assertEqual(line.contact, f"<sip:{line.token}@127.0.0.1:5071;transport=tls>")

    def test_size(self) -> None:
        """With an ordinary description the INVITE goes in one datagram, in both modes."""
        for attach in Attach:
            rig = Rig(
                (Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", attach=attach, secret="gw1-secret"),)
            ).start()
            invite = rig.agent().invite("sip:+15550002@ims.test;user=phone", ALICE)
            invite.set("content-type", "application/sdp")
            invite.body = SDP
            rig.agent().send(invite, Caller())
            rig.advance()
            sent = next(packet for packet in rig.network.packets if packet.start.startswith("INVITE"))
            self.assertLess(len(sent.data), UDP_LIMIT)
            self.assertEqual(rig.core.calls[0].invite.body, SDP)

    def test_own_identity(self) -> None:
        """A user who has a number of the profile's calls under it, however it is spelled."""
        rig = Rig().start()
        invite = rig.agent().invite("sip:bob@ims.test", Identity("sip:+1-555-0011@ims.test;user=phone"))
        self.assertEqual(str(invite.from_.uri), "tel:+15550011")
        self.assertEqual(invite.get("p-preferred-identity"), "<tel:+15550011>")

    def test_barred_identity_is_not_claimed(self) -> None:
        """An identity that the network has barred is not used, even if the user was given it."""
        rig = Rig()
        rig.core.barred.add("tel:+15550011")
        rig.start()
        invite = rig.agent().invite("sip:bob@ims.test", Identity("tel:+15550011"))
        self.assertEqual(invite.get("p-preferred-identity"), "<sip:gw1@ims.test>")

    def test_anonymous(self) -> None:
        """A caller who hides is hidden in From and asks the network for privacy."""
        invite = Rig().start().agent().invite("sip:bob@ims.test", ANONYMOUS)
        self.assertEqual(str(invite.from_.uri), "sip:anonymous@anonymous.invalid")
        self.assertEqual(invite.get("privacy"), "id")
        self.assertEqual(invite.get("p-preferred-identity"), "<sip:gw1@ims.test>")

    def test_private(self) -> None:
        """A user who hides is hidden in From, and is still known to the network by their own identity."""
        for attach, header in ((Attach.A, "p-preferred-identity"), (Attach.B, "p-asserted-identity")):
            profile = Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", attach=attach, secret="gw1-secret")
            caller = Identity("tel:+15550011", "Alice Liddell")
            invite = Rig((profile,)).start().agent().invite("sip:bob@ims.test", caller, private=True)
            self.assertEqual((str(invite.from_.uri), invite.from_.display), (ANONYMOUS.uri, ANONYMOUS.display))
            self.assertEqual((invite.get("privacy"), invite.get(header)), ("id", "<tel:+15550011>"))
            self.assertNotIn(b"Liddell", invite.to_bytes())

    def test_a_display_name_is_no_header(self) -> None:
        """A line break or a quote in a user's name stays a name."""
        invite = Rig().start().agent().invite("sip:bob@ims.test", Identity("eve", 'E\r\nRoute: <sip:evil>\r\n "Eve"'))
        self.assertEqual(invite.from_.display, 'E Route: <sip:evil> "Eve"')
        self.assertNotIn(b"\r\nRoute: <sip:evil>", invite.to_bytes())

    def test_what_was_dialled(self) -> None:
        """A name is at home, a number is a number, a URI is itself; nonsense is an error."""
        agent = Rig().agent()
        for text, uri in (
            ("bob", "sip:bob@ims.test"),
            ("bob@other.test", "sip:bob@other.test"),
            ("+1 (555) 00-02", "tel:+15550002"),
            ("tel:+1-555-0002", "tel:+1-555-0002"),
            ("1234", "sip:1234@ims.test"),
            (" sips:bob@ims.test ", "sips:bob@ims.test"),
        ):
            self.assertEqual(str(agent.target(text)), uri)
        for text in ("", "sip:", "sip:b ob@x", "bob\r\nVia: x", "a b", "<sip:bob@x>", "tel:"):
            self.assertRaises(UriError, agent.target, text)


class PeerTests(SynchronousTestCase):
    """What a peer's profile changes."""

    def test_form_of_numbers(self) -> None:
        """A number is written as the peer takes it, in Request-URI and To; a name, or another domain's, as it is."""
        agent = Rig().start().agent()
        for dialled, sip, tel in (
            ("+1 (555) 00-02", "sip:+15550002@ims.test;user=phone", "tel:+15550002"),
            ("tel:+1-555;EXT=7;isub=9;b=1;A", "sip:+1555;isub=9;ext=7;a;b=1@ims.test;user=phone", ""),
            ("tel:*21#;phone-context=ims.test", "sip:*21%23;phone-context=ims.test@ims.test;user=phone", ""),
            ("tel:1234;phone-context=ims.test", "sip:1234;phone-context=ims.test@ims.test;user=phone", ""),
            ("sip:+15550002@ims.test", "sip:+15550002@ims.test;user=phone", "tel:+15550002"),
            ("sip:+15550002@far.test;user=phone", "", "tel:+15550002"),
            ("sip:+15550002@far.test", "", ""),
            ("sip:bob@ims.test", "", ""),
            ("1234", "sip:1234@ims.test", "sip:1234@ims.test"),
        ):
            kept = str(agent.target(dialled))
            for form, uri in ((UriForm.SIP, sip), (UriForm.TEL, tel), (UriForm.KEEP, "")):
                invite = agent.invite(dialled, ALICE, PeerProfile(uri=form))
                self.assertEqual((str(invite.uri), str(invite.to.uri)), (uri or kept,) * 2)

    def test_preconditions(self) -> None:
        """They are said to be supported to a peer that has them, and to nobody else."""
        agent = Rig().start().agent()
        for peer, said in ((PLAIN_PEER, False), (PeerProfile(preconditions=True), True)):
            self.assertEqual(agent.invite("bob", ALICE, peer).has("supported", "precondition"), said)
            response = Response(200)
            agent.decorate(response, peer)
            self.assertEqual(response.has("supported", "precondition"), said)

    def test_trust(self) -> None:
        """At the S-CSCF the gateway is inside the trust domain, behind a P-CSCF it is a phone before it."""
        for attach, trusted in ((Attach.A, False), (Attach.B, True)):
            profile = Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", attach=attach, secret="gw1-secret")
            self.assertEqual(Rig((profile,)).agent().trusted, trusted)


def invited(headers: dict[str, str]) -> Request:
    """An INVITE of the core with these headers."""
    made = request()
    for name, value in headers.items():
        made.set(name, value)
    return made


class DialogTests(SynchronousTestCase):
    """What responses and later requests say of us, in the two attach modes."""

    def agent(self, attach: Attach) -> ImsUserAgent:
        profile = Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", attach=attach, secret="gw1-secret")
        return Rig((profile,)).start().agent()

    def test_who_answers(self) -> None:
        """The identity that was called is named: preferred behind a P-CSCF, asserted at the S-CSCF."""
        for attach, name in ((Attach.A, "p-preferred-identity"), (Attach.B, "p-asserted-identity")):
            agent = self.agent(attach)
            for headers, identity in (
                ({"p-called-party-id": "<tel:+1-555-0011>"}, "<tel:+15550011>"),
                ({"p-called-party-id": "<<<", "to": "<sip:+15550011@ims.test>"}, "<tel:+15550011>"),
                ({"to": "<sip:stranger@ims.test>"}, "<sip:gw1@ims.test>"),
            ):
                response = Response(200)
                agent.identify(response, invited(headers))
                self.assertEqual(response.get(name), identity)
                self.assertEqual(len(response.headers), 1)

    def test_charging(self) -> None:
        """At the S-CSCF a call is counted under one id: in its answer and in every later request of ours."""
        vector = {"p-charging-vector": "icid-value=abc;orig-ioi=far.test"}
        agent, response = self.agent(Attach.B), Response(200)
        agent.identify(response, invited(vector))
        self.assertEqual(response.get("p-charging-vector"), "icid-value=abc;orig-ioi=far.test;term-ioi=ims.test")
        self.assertEqual(agent.in_dialog(invited(vector)), (("p-charging-vector", "icid-value=abc"),))
        self.assertEqual(agent.in_dialog(invited({})), ())
        self.assertEqual(agent.in_dialog(invited({"p-charging-vector": "icid-value="})), ())
        self.assertEqual(self.agent(Attach.A).in_dialog(invited(vector)), ())


class AuthorizeTests(SynchronousTestCase):
    def challenged(self, status: int, stale: bool = False) -> tuple[Rig, Request, Response]:
        rig = Rig().start()
        invite = rig.agent().invite("sip:bob@ims.test", ALICE)
        caller = Caller()
        rig.agent().send(invite, caller)
        rig.advance()
        rig.core.calls[-1].challenge(status, stale)
        rig.advance()
        assert caller.last is not None
        return rig, invite, caller.last

    def test_challenge_is_met_once(self) -> None:
        """407 and 401 are answered in their own header with the next CSeq; a second one is given up."""
        for status, header in ((407, "proxy-authorization"), (401, "authorization")):
            rig, invite, refusal = self.challenged(status)
            again = rig.agent().authorize(invite, refusal)
            assert again is not None
            self.assertIn('username="gw1@ims.test"', again.get(header) or "")
            self.assertEqual(again.cseq.number, invite.cseq.number + 1)
            self.assertEqual((again.call_id, again.from_.tag), (invite.call_id, invite.from_.tag))
            self.assertNotIn("via", again.headers)
            self.assertEqual(again.headers["route"], invite.headers["route"])
            self.assertIsNone(rig.agent().authorize(again, refusal))

    def test_stale_for_ever(self) -> None:
        """A proxy that finds every nonce too old is not obeyed without end."""
        rig, request, refusal = self.challenged(407, stale=True)
        for _ in range(2):
            again = rig.agent().authorize(request, refusal)
            assert again is not None
            request = again
        self.assertIsNone(rig.agent().authorize(request, refusal))

    def test_each_request_has_its_own_tries(self) -> None:
        """A proxy that challenges every request of a call, the BYE too, gets its answer each time."""
        rig, request, refusal = self.challenged(407)
        for method in ("PRACK", "PRACK", "UPDATE", "BYE"):
            request = again_with(again_with(request))
            request.set("cseq", f"{request.cseq.number} {method}")
            request.remove("proxy-authorization")
            self.assertIsNotNone(rig.agent().authorize(request, refusal), method)

    def test_unmeetable(self) -> None:
        """A challenge that we have no answer to is a refusal."""
        rig, invite, refusal = self.challenged(407)
        refusal.set("proxy-authenticate", "Basic realm=x")
        self.assertIsNone(rig.agent().authorize(invite, refusal))


class LoadTests(SynchronousTestCase):
    def test_a_call_counts_from_invite_to_the_end_of_its_dialogs(self) -> None:
        """However many forks a call has, it is one call; it stops counting when nothing of it is left."""
        rig = Rig().start()
        agent = rig.agent()
        invite = agent.invite("sip:bob@ims.test", ALICE)
        agent.send(invite, Caller())
        self.assertEqual(len(agent.load), 1)
        one, two = (DialogId(invite.call_id, invite.from_.tag or "", tag) for tag in ("a", "b"))
        owner = Owner()
        self.assertTrue(agent.add_dialog(one, owner))
        self.assertTrue(agent.add_dialog(one, owner))
        agent.add_dialog(two, owner)
        rig.advance()
        rig.core.calls[-1].answer()
        rig.advance()
        self.assertEqual(len(agent.load), 1)
        agent.drop_dialog(two)
        agent.drop_dialog(two)
        self.assertEqual(len(agent.load), 1)
        agent.drop_dialog(one)
        self.assertEqual(len(agent.load), 0)

    def test_a_refused_call_stops_counting(self) -> None:
        """Refusals and silence free the place."""
        rig = Rig().start()
        agent = rig.agent()
        agent.send(agent.invite("sip:bob@ims.test", ALICE), Caller())
        rig.advance()
        rig.core.calls[-1].reject(486, "Busy Here")
        rig.advance()
        self.assertEqual(len(agent.load), 0)
        rig.core.silent = True
        caller = Caller()
        agent.send(agent.invite("sip:bob@ims.test", ALICE), caller)
        rig.advance(33)
        self.assertEqual((len(agent.load), caller.failures), (0, [Failure.TIMEOUT]))

    def test_full(self) -> None:
        """A profile says when it carries all that it may."""
        rig = Rig((Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", secret="gw1-secret", max_calls=1),)).start()
        agent = rig.agent()
        self.assertFalse(agent.full)
        agent.send(agent.invite("sip:bob@ims.test", ALICE), Caller())
        self.assertTrue(agent.full)
