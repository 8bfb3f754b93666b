"""Where a request from the core ends up, and which profile carries a call."""

from __future__ import annotations

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.ims.screen import supported
from rtcgw.model.identity import Profile, User
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.sip.uri import Uri
from rtcgw.translator.factory import Unreachable
from rtcgw.translator.sipport import IDialogOwner
from tests.ims.rig import GW1, Rig
from tests.peers.core_call import CoreCall

GW2 = Profile("gw2", "gw2@ims.test", ("sip:gw2@ims.test",), "ims.test", secret="gw2-secret")
FAR = Profile("far", "far@other.test", ("sip:far@other.test",), "other.test", secret="far-secret")


@implementer(IDialogOwner)
@define(eq=False)
class Owner:
    peer: PeerProfile = PLAIN_PEER
    requests: list[Request] = field(factory=list)
    acks: list[Request] = field(factory=list)

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        self.requests.append(request)
        tx.respond(make_response(request, 200, "OK"))

    def got_ack(self, request: Request) -> None:
        self.acks.append(request)


class InviteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig((GW1, GW2)).start()

    def final(self, call: CoreCall) -> Response:
        self.rig.advance()
        assert call.final is not None
        return call.final

    def test_call_for_a_user(self) -> None:
        """A call to a registered identity reaches the user that has it, by the profile whose Contact was called."""
        call = self.rig.core.call("tel:+15550011", "v=0\r\n")
        self.rig.advance()
        ((port, tx, request, user),) = self.rig.invites
        self.assertEqual((port.profile, user, request.body), ("gw1", "alice", b"v=0\r\n"))
        self.assertIs(tx.request, request)
        self.assertIsNone(call.final)

    def test_nobody_has_the_address(self) -> None:
        """gw2 is registered, but no user has its identity: 404."""
        self.assertEqual(self.final(self.rig.core.call("sip:gw2@ims.test")).status, 404)
        self.assertEqual(self.rig.invites, [])
        self.assertEqual(self.rig.routing.counters["refused 404"], 1)

    def test_profile_by_identity(self) -> None:
        """A core that keeps the called address in the Request-URI is understood too."""
        request = self.rig.core.call("sip:gw1@ims.test").invite
        self.rig.invites.clear()
        again = Request("INVITE", Uri.parse("sip:gw1@127.0.0.1:5070"))
        for name in ("from", "to", "contact"):
            again.set(name, request.get(name) or "")
        again.set("call-id", "by-identity")
        again.set("cseq", "1 INVITE")
        again.set("max-forwards", "0")
        self.rig.core.place(again, ("127.0.0.1", 5070))
        self.rig.advance()
        self.assertEqual([(port.profile, user) for port, _, _, user in self.rig.invites], [("gw1", "alice")] * 2)

    def test_user_named_at_our_address(self) -> None:
        """A PBX without registration calls `sip:bob@gateway`: the user is found, any profile answers."""
        call = self.rig.core.call("sip:gw1@ims.test")
        self.rig.advance()
        self.rig.invites.clear()
        request = Request("INVITE", Uri.parse("sip:bob@127.0.0.1:5070"))
        request.set("from", "<sip:800@pbx>;tag=1")
        request.set("to", "<sip:bob@pbx>")
        request.set("contact", call.invite.get("contact") or "")
        request.set("call-id", "pbx")
        request.set("cseq", "1 INVITE")
        request.set("max-forwards", "70")
        self.rig.core.place(request, ("127.0.0.1", 5070))
        self.rig.advance()
        self.assertEqual([(port.profile, user) for port, _, _, user in self.rig.invites], [("gw1", "bob")])

    def test_refusals_reach_the_caller(self) -> None:
        """What the endpoint cannot do is told with the header that says what it can."""
        for headers, status, header in (
            ((("Require", "precondition"),), 420, "unsupported"),
            ((("Content-Type", "text/html"),), 415, "accept"),
            ((("Session-Expires", "30"), ("Supported", "timer")), 422, "min-se"),
        ):
            call = self.rig.core.call("sip:gw1@ims.test", "x", "sip:bob@ims.test", *headers)
            final = self.final(call)
            self.assertEqual(final.status, status)
            self.assertIsNotNone(final.get(header))

    def test_overload(self) -> None:
        """A gateway that has enough turns new calls away for a while, and still answers what is in a dialog."""
        self.rig.busy = True
        final = self.final(self.rig.core.call("sip:gw1@ims.test"))
        self.assertEqual(final.status, 503)
        self.assertIn(int(final.get("retry-after") or ""), range(5, 11))

    def test_profile_full(self) -> None:
        """A profile that carries all its calls takes no more."""
        for number in range(GW1.max_calls):
            self.rig.agent("gw1").load.take(str(number))
        self.assertEqual(self.final(self.rig.core.call("sip:gw1@ims.test")).status, 503)
        self.assertEqual(self.rig.invites, [])

    def test_dialog_index_full(self) -> None:
        """The dialog index is bounded; when it is full new calls are turned away."""
        rig = Rig(dialogs=2).start()
        owner = Owner()
        added = [rig.agent().add_dialog(DialogId("c", "l", str(number)), owner) for number in range(3)]
        self.assertEqual(added, [True, True, False])
        call = rig.core.call("sip:gw1@ims.test")
        rig.advance()
        assert call.final is not None
        self.assertEqual(call.final.status, 503)
        self.assertTrue(rig.agent().add_dialog(DialogId("c", "l", "0"), owner))


class OtherRequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig().start()

    def ask(self, method: str, to: str = "<sip:gw1@ims.test>", **headers: str) -> Response | None:
        """Any request to our Contact; its response, if there was one."""
        request = Request(method, Uri.parse(self.rig.agent().line.contact.strip("<>")))
        request.set("from", "<sip:bob@ims.test>;tag=bob")
        request.set("to", to)
        request.set("call-id", f"ask-{method}")
        request.set("cseq", f"7 {method}")
        request.set("max-forwards", "0")
        request.set("contact", "<sip:bob@127.0.0.1:5061>")
        for name, value in headers.items():
            request.set(name, value)
        call = self.rig.core.place(request, ("127.0.0.1", 5070))
        self.rig.advance()
        return call.responses[-1] if call.responses else None

    def test_options(self) -> None:
        """A core that asks whether we live is told, with what we can do; Max-Forwards 0 does not matter here."""
        before = len(self.rig.layer)
        response = self.ask("OPTIONS")
        assert response is not None
        self.assertEqual(response.status, 200)
        self.assertIn("application/sdp", response.values("accept"))
        self.assertEqual(response.get("supported"), supported(PLAIN_PEER))
        self.assertIn("PRACK", response.values("allow"))
        self.assertEqual(self.rig.routing.counters["options"], 1)
        self.assertEqual(len(self.rig.layer), before, "nothing is kept of it")

    def test_options_when_busy(self) -> None:
        """OPTIONS is answered as an INVITE would be (RFC 3261 §11.2)."""
        self.rig.busy = True
        response = self.ask("OPTIONS")
        assert response is not None
        self.assertEqual(response.status, 503)

    def test_methods_that_need_a_dialog(self) -> None:
        """BYE and its like out of the blue: there is no such call."""
        for method in ("BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"):
            for to in ("<sip:gw1@ims.test>", "<sip:gw1@ims.test>;tag=gone"):
                self.rig = Rig().start()
                response = self.ask(method, to)
                assert response is not None
                self.assertEqual(response.status, 481, method)

    def test_preconditions(self) -> None:
        """A peer may require preconditions where its profile has them: to begin a call, and inside one."""
        required = {"require": "precondition"}
        ims = PeerProfile(preconditions=True)
        for peer, statuses in ((PLAIN_PEER, [420, 420]), (ims, [481, 200])):
            self.rig = Rig(peers={"sip:bob@ims.test": peer}).start()
            owner = Owner(peer)
            self.rig.agent().add_dialog(DialogId("ask-UPDATE", "ours", "bob"), owner)
            asked = [self.ask("UPDATE", **required), self.ask("UPDATE", "<sip:gw1@ims.test>;tag=ours", **required)]
            self.assertEqual([response and response.status for response in asked], statuses)
        refused = self.ask("UPDATE", "<sip:gw1@ims.test>;tag=gone", **required)
        assert refused is not None
        self.assertEqual((refused.status, refused.get("unsupported")), (420, "precondition"))

    def test_unknown_method(self) -> None:
        """405 with what we do speak."""
        response = self.ask("MESSAGE")
        assert response is not None
        self.assertEqual((response.status, "INVITE" in response.values("allow")), (405, True))

    def test_stray_ack(self) -> None:
        """An ACK for nothing is dropped and counted."""
        self.assertIsNone(self.ask("ACK", "<sip:gw1@ims.test>;tag=gone"))
        self.assertEqual(self.rig.routing.counters["ack without a dialog"], 1)

    def test_in_a_dialog(self) -> None:
        """What falls into a dialog goes to the leg that owns it, until the leg is gone."""
        owner = Owner()
        dialog = DialogId("ask-BYE", "ours", "bob")
        self.rig.agent().add_dialog(dialog, owner)
        response = self.ask("BYE", "<sip:gw1@ims.test>;tag=ours")
        assert response is not None
        self.assertEqual((response.status, [one.method for one in owner.requests]), (200, ["BYE"]))
        self.rig.agent().add_dialog(DialogId("ask-ACK", "ours", "bob"), owner)
        self.ask("ACK", "<sip:gw1@ims.test>;tag=ours")
        self.assertEqual(len(owner.acks), 1)
        self.rig.agent().drop_dialog(dialog)
        self.rig.agent().drop_dialog(dialog)
        self.assertNotIn(dialog, self.rig.routing.index)
        self.assertEqual(len(self.rig.agent().load), 1)


class ChoiceTests(SynchronousTestCase):
    def chosen(self, rig: Rig, user: User | None, domain: str | None = None) -> str:
        return rig.profiles.choose(user, domain).profile

    def test_the_users_own_profile(self) -> None:
        """A user with a profile, or with an identity of one, calls through it."""
        rig = Rig((GW1, GW2, FAR)).start()
        self.assertEqual(self.chosen(rig, User("a", profile="gw2")), "gw2")
        self.assertEqual(self.chosen(rig, User("a", impu="sip:gw2@ims.test")), "gw2")
        self.assertEqual(self.chosen(rig, User("a", impu="sip:+1-555-0011@ims.test")), "gw1")

    def test_the_least_loaded(self) -> None:
        """Others share the profiles of the domain evenly."""
        rig = Rig((GW1, GW2, FAR)).start()
        rig.agent("gw1").load.take("a call")
        self.assertEqual(self.chosen(rig, User("a"), "ims.test"), "gw2")
        rig.agent("gw2").load.take("one")
        rig.agent("gw2").load.take("two")
        self.assertEqual(self.chosen(rig, None, "ims.test"), "gw1")
        self.assertEqual(self.chosen(rig, None), "far")
        self.assertEqual(self.chosen(rig, User("a", impu="sip:nobody@ims.test"), "other.test"), "far")

    def test_not_registered(self) -> None:
        """A call while nothing is registered fails for that reason, at once."""
        rig = Rig((GW1, GW2))
        for user in (None, User("a", profile="gw1"), User("a", profile="none"), User("a", impu="sip:gw2@ims.test")):
            with self.assertRaises(Unreachable) as caught:
                rig.profiles.choose(user)
            self.assertIs(caught.exception.reason, Reason.NOT_REGISTERED)

    def test_an_unregistered_profile_is_passed_over(self) -> None:
        """One profile of two is down: calls take the other."""
        rig = Rig((GW1, GW2))
        rig.core.next_register(403)
        rig.start()
        self.assertEqual(self.chosen(rig, None), "gw2")

    def test_full(self) -> None:
        """When every registered profile is full, that is the reason."""
        rig = Rig((Profile("gw1", "gw1@ims.test", GW1.impus, "ims.test", secret="gw1-secret", max_calls=1),)).start()
        rig.agent().load.take("a call")
        with self.assertRaises(Unreachable) as caught:
            rig.profiles.choose(None)
        self.assertIs(caught.exception.reason, Reason.OVERLOADED)


class RowTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """The engineer on duty sees which profile is registered, for how long, and why another is not; no secret."""
        rig = Rig((GW1, GW2))
        rig.core.subscribe("gw2@ims.test", "another", "sip:gw2@ims.test")
        rig.start()
        one, two = rig.profiles.rows()
        self.assertEqual((one["profile"], one["state"], one["reg event"]), ("gw1", "registered", "active"))
        self.assertEqual(one["identities"], "sip:gw1@ims.test tel:+15550011")
        self.assertIn(one["seconds"], range(599_990, 600_001))
        self.assertEqual((two["state"], two["seconds"], two["last error"]), ("refused", 0, "403 Forbidden"))
        self.assertNotIn("secret", str([one, two]))
