"""What happens to calls when the gateway is about to stop, or loses its registration, or its core."""

from __future__ import annotations

from rtcgw.model.reason import Reason
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia
from tests.peers.browser import SDP


class OperationTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def talking(self) -> str:
        self.rig.phone(lambda call: call.answer("final"))
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(session)
        self.rig.ladder.clear()
        return session

    def test_drain(self) -> None:
        """Calls that run go on; new ones are refused on both sides; the last one's end is told."""
        session = self.talking()
        emptied: list[bool] = []
        self.assertEqual(self.rig.translator.drain(lambda: emptied.append(True)), 1)
        self.alice.call(ECHO)
        self.assertEqual(self.alice.last("HANGUP")["reason"], "shutdown")
        phone = self.rig.ring()
        assert phone.final is not None
        self.assertEqual(phone.final.status, 503)
        self.assertEqual(emptied, [])
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(emptied, [True])

    def test_stop(self) -> None:
        """Everybody hears that the gateway stops: BYE for the phone, `shutdown` for the pages."""
        self.talking()
        bob = self.rig.page("bob")
        bob.call("carol", SDP)
        phone = self.rig.ring()
        self.rig.ladder.clear()
        self.rig.translator.end_all(Reason.SHUTDOWN)
        self.rig.look()
        self.rig.advance()
        self.reads(
            """
            alice <- HANGUP shutdown
            alice <- HANGUP shutdown
            core <- BYE
            core -> 200 BYE
            core <- 503 INVITE
            core -> ACK
            """
        )
        assert phone.final is not None
        self.assertEqual(phone.final.status, 503)

    def test_registration_rejected(self) -> None:
        """The network refuses the profile for good: its calls end, those that ring too, others do not."""
        self.talking()
        bob, carol = self.rig.page("bob"), self.rig.page("carol")
        self.rig.page("dave")
        self.rig.phone(lambda call: call.ring())
        bob.call(ECHO)
        self.rig.advance()
        other = carol.call("dave", SDP)
        self.rig.ladder.clear()
        self.rig.core.network_deregisters("sip:alice@ims.test", "rejected")
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "not-registered")
        self.assertEqual(bob.last("HANGUP")["reason"], "not-registered")
        self.assertEqual(list(self.rig.translator.calls), [other])
        self.assertTrue(self.rig.core.calls[0].ended)
        self.assertTrue(self.rig.core.calls[1].cancelled)
        carol.send("HANGUP", session=other)
        bob.call(ECHO)
        self.assertEqual(bob.last("HANGUP")["reason"], "not-registered")

    def test_core_restarts(self) -> None:
        """A core that has forgotten the call answers BYE with 481: the call is over all the same."""
        session = self.talking()
        self.rig.core.forget()
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.reads(
            """
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 481 BYE
            """
        )

    def test_media_lost(self) -> None:
        """Nothing can flow any more: both sides are told."""
        self.talking()
        assert isinstance(self.rig.media, FlowMedia)
        self.rig.media.lose()
        self.rig.look()
        self.rig.advance()
        self.reads(
            """
            alice <- HANGUP media-lost
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_mapping(self) -> None:
        """<sender, receiver, session> is there with its dialog while the call runs, and for 64*T1 after."""
        session = self.talking()
        request = self.rig.call.invite
        row = self.rig.table.by_dialog((request.call_id, request.from_.tag or "", self.rig.call.tag))
        assert row is not None
        self.assertEqual(
            (row.session, row.sender, row.receiver, row.form, row.profile),
            (session, "sip:alice@ims.test", "sip:echo@ims.test", "rtcgw.1", "main"),
        )
        self.assertEqual(self.rig.table.by_pair("sip:alice@ims.test", "sip:echo@ims.test"), [row])
        self.alice.send("HANGUP", session=session)
        self.rig.advance(31)
        row = self.rig.table.get(row.session)
        assert row is not None
        self.assertEqual(row.state, "released")
        self.rig.advance(1)
        self.assertIsNone(self.rig.table.get(row.session))

    def test_incoming_mapping(self) -> None:
        """The same for a call from the core."""
        phone = self.rig.ring()
        row = self.rig.table.by_pair("sip:bob@ims.test", "sip:alice@ims.test")[0]
        self.assertEqual((row.session, row.form, row.profile), (self.alice.invited, "sip", "main"))
        assert row.dialog is not None
        self.assertEqual(row.dialog[0], phone.invite.call_id)
        phone.cancel()

    def test_views(self) -> None:
        """The inspector shows both legs, their states and their last messages, and no description."""
        session = self.talking()
        view = next(iter(self.rig.translator.calls.values())).view()
        self.assertEqual((view.caller, view.callee, view.state), ("sip:alice@ims.test", ECHO, "InCall"))
        self.assertEqual([leg.state for leg in view.legs], ["InCall", "talking"])
        self.assertEqual(view.legs[1].last, ("-> INVITE", "<- 200 OK", "-> ACK"))
        self.assertEqual(view.path, "602-604-606-608-610-612")
        rows = self.rig.junction.sessions()
        self.assertEqual(
            rows, [{"user": "alice", "identity": "sip:alice@ims.test", "connections": 1, "calls": 1, "away": 0}]
        )
        self.alice.send("HANGUP", session=session)
