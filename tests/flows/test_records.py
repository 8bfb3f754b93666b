"""What the operator finds in the records afterwards, whatever became of a call."""

from __future__ import annotations

from typing import Any

from rtcgw.model.reason import Reason
from rtcgw.translator.record import CallRecord
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.browser import SDP


class RecordTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def record(self) -> CallRecord:
        """The one record."""
        (record,) = self.rig.records
        return record

    def tells(self, **fields: Any) -> None:
        record = self.record()
        self.assertEqual({name: getattr(record, name) for name in fields}, fields)

    def test_outgoing(self) -> None:
        """A page called a phone: both parties, the subscription, the Call-ID by which the core knows it."""
        self.rig.phone(lambda call: call.ring())
        session = self.alice.call(ECHO)
        self.rig.advance(5)
        self.rig.call.respond(200, "OK", "final", ("Server", "Echo/1"))
        self.rig.advance(60)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.tells(
            session=session,
            direction="outgoing",
            path="602-604-606-608-610-612",
            caller="sip:alice@ims.test",
            caller_user="alice",
            caller_access="web",
            caller_call_id="",
            callee=ECHO,
            callee_profile="main",
            callee_access="core",
            callee_call_id=self.rig.call.invite.call_id,
            callee_agent="Echo/1",
            reason="hangup",
            side="caller",
            quality={"media": "marked"},
        )
        self.assertAlmostEqual(self.record().ring or 0, 5, 1)
        self.assertAlmostEqual(self.record().talk, 60, 0)

    def test_incoming(self) -> None:
        """A phone called two pages of a user and gave up: one record, the caller as the network asserts it."""
        self.rig.page("alice", "other")
        phone = self.rig.core.call(
            "sip:alice@ims.test", "offer", "sip:bob@ims.test", ("User-Agent", "Desk phone/3 " * 99)
        )
        self.rig.advance()
        self.alice.send("RINGING", session=self.alice.invited)
        self.rig.advance(9)
        phone.cancel()
        self.rig.advance()
        self.tells(
            direction="incoming",
            caller="sip:bob@ims.test",
            caller_name="Bob",
            caller_call_id=phone.invite.call_id,
            caller_profile="main",
            callee="sip:alice@ims.test",
            callee_user="alice",
            reason="cancelled",
            side="caller",
            answered_at=None,
            talk=0.0,
        )
        self.assertTrue(self.record().caller_agent.startswith("Desk phone/3"))
        self.assertLess(len(self.record().caller_agent), 300)

    def test_page_killed(self) -> None:
        """A page that dies for good: its call ends after the grace time, and says so."""
        self.rig.phone(lambda call: call.answer("final"))
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(session)
        self.alice.drop()
        self.rig.advance(31)
        self.tells(reason="client-lost", side="caller", cause=27, moves=1)

    def test_reloaded(self) -> None:
        """Reloads are counted; the call is one."""
        self.rig.phone(lambda call: call.answer("final"))
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(session)
        for number in range(3):
            self.rig.pages[-1].drop()
            self.rig.advance(2)
            self.rig.page("alice", f"again{number}").send("OFFER", session=session, sdp="anew")
            self.rig.advance()
        self.rig.call.bye()
        self.rig.advance()
        self.tells(reason="hangup", side="callee", moves=3)

    def test_between_pages(self) -> None:
        """Two users of the web: neither has a Call-ID."""
        bob = self.rig.page("bob")
        session = self.alice.call("bob", SDP)
        bob.send("HANGUP", session=session)
        self.tells(direction="web", caller_user="alice", callee_user="bob", reason="declined", side="callee")
        self.assertNotIn("callee_call_id", self.record().line())

    def test_refused(self) -> None:
        """What was refused at once has a record too: the user is not there; there is no such user."""
        self.alice.call("carol")
        self.tells(caller_user="alice", callee="carol", reason="unavailable", side="gateway", direction="", cause=20)

    def test_busy_phone(self) -> None:
        """The status of the network."""
        self.rig.phone(lambda call: call.reject(486, "Busy Here"))
        self.alice.call(ECHO)
        self.rig.advance()
        self.tells(reason="busy", side="callee", status=486, cause=17, ringing_at=None, ring=None)

    def test_shutdown(self) -> None:
        """The gateway stops in the middle."""
        self.rig.phone(lambda call: call.ring())
        self.alice.call(ECHO)
        self.rig.advance()
        self.rig.translator.end_all(Reason.SHUTDOWN)
        self.tells(reason="shutdown", side="gateway")
