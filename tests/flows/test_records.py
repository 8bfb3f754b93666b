"""What the operator finds in the records afterwards, whatever became of a call."""

from __future__ import annotations

from typing import Any

from attrs import fields

from rtcgw.media.backend import MediaStats, Stream
from rtcgw.model.reason import Reason
from rtcgw.translator.record import CallRecord
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia
from tests.flows.transfers import TARGET, TransferCase, sdp
from tests.peers.browser import SDP
from tests.peers.core_call import CoreCall


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


class WholeLifeTests(TransferCase):
    """A hidden caller whom the boss has sent on to alice is held, sees a reload, and is handed on."""

    def incoming(self) -> CoreCall:
        """It rings, is answered early and then in earnest."""
        phone = self.rig.core.call(
            "sip:alice@ims.test",
            sdp("caller"),
            "sip:bob@ims.test",
            ("privacy", "id"),
            ("history-info", "<sip:boss@ims.test>;index=1, <sip:alice@ims.test>;index=1.1"),
            ("referred-by", "<sip:boss@ims.test>"),
            ("user-agent", "Desk phone/3"),
        )
        self.rig.advance()
        session = self.page.invited
        self.page.send("RINGING", session=session)
        self.page.send("PRANSWER", session=session, sdp="early")
        self.rig.advance(5)
        self.page.send("ANSWER", session=session, sdp="ours")
        self.rig.advance()
        return phone

    def test_every_field(self) -> None:
        """The records of the two calls, and of the call before, leave out nothing but the status that nobody sent."""
        assert isinstance(self.rig.media, FlowMedia)
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        phone = self.incoming()
        self.rig.media.media.final = MediaStats("marked", caller=Stream(packets=9, lost=1, codec="PCMA", mos=4.2))
        self.session = self.page.invited
        for method in ("UPDATE", "INVITE"):
            phone.canned[method] = [(200, sdp("caller")) for _ in range(5)]
        for on in (True, False):
            self.page.send("HOLD", session=self.session, on=on)
            self.rig.advance(40)
        self.page.drop()
        self.page = self.rig.page("alice", "again")
        self.page.send("OFFER", session=self.session, sdp="anew")
        self.rig.advance()
        self.transfer(to=TARGET)
        target = self.rig.call
        target.ring()
        self.rig.advance()
        target.respond(200, "OK", sdp("target"), ("P-Asserted-Identity", "<sip:boss@ims.test>"), ("Server", "Target/1"))
        self.rig.advance(60)
        target.bye()
        self.rig.advance()
        before, first, second = self.rig.records
        told = {name for record in self.rig.records for name in record.line()}
        self.assertEqual({each.name for each in fields(CallRecord)} - told, {"status", "quality"})
        self.assertEqual((before.caller_user, before.callee_agent), ("alice", ""))
        self.assertEqual((first.caller, first.private, first.holds, first.moves), ("sip:bob@ims.test", True, 1, 1))
        self.assertEqual((first.history, first.referred_by), (("sip:boss@ims.test",), "sip:boss@ims.test"))
        self.assertEqual((first.reason, first.transferred_to), ("transferred", second.session))
        self.assertEqual(first.line()["caller_codec"], "PCMA")
        self.assertAlmostEqual(first.held, 40, 0)
        self.assertAlmostEqual(first.ring or 0, 5, 0)
        self.assertEqual((second.direction, second.moved), ("core", ("caller",)))
        self.assertEqual((second.transferred_from, second.connected), ((first.session,), "sip:boss@ims.test"))
        times = [first.setup_at, first.ringing_at, first.early_at, first.answered_at, first.ended_at]
        self.assertEqual(times, sorted(times, key=lambda each: each or 0))
