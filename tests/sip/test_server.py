"""Server transactions: every row of both tables against recorded neighbours, every timer by its letter."""

from __future__ import annotations

from enum import Enum
from typing import Any, cast

from twisted.trial.unittest import TestCase

from rtcgw.sip.flow import Flow
from rtcgw.sip.message import make_response
from rtcgw.sip.server import (
    INVITE_SERVER,
    SERVER,
    InviteServer,
    InviteServerEvent,
    InviteServerState,
    PlainServer,
    ServerEvent,
    ServerState,
    ServerTransaction,
)
from tests.sip.doubles import A, Expected, FakeLayer, Recorder, check_rows, make_request, with_via

S, E = InviteServerState, InviteServerEvent
T, V = ServerState, ServerEvent
UDP_FLOW = Flow("UDP", *A)
TCP_FLOW = Flow("TCP", *A)

INVITE_ROWS: Expected = {
    (S.TRYING, E.REPEATED): (S.PROCEEDING, ["send 100"]),
    (S.TRYING, E.TIMER_100): (S.PROCEEDING, ["send 100"]),
    (S.TRYING, E.CANCEL): (S.TRYING, ["CANCEL"]),
    (S.TRYING, E.PROVISIONAL): (S.PROCEEDING, ["send 180"]),
    (S.TRYING, E.SUCCESS): (S.ACCEPTED, ["send 200"]),
    (S.TRYING, E.REFUSAL): (S.COMPLETED, ["send 486"]),
    (S.PROCEEDING, E.REPEATED): (S.PROCEEDING, ["send 183"]),
    (S.PROCEEDING, E.CANCEL): (S.PROCEEDING, ["CANCEL"]),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, ["send 180"]),
    (S.PROCEEDING, E.SUCCESS): (S.ACCEPTED, ["send 200"]),
    (S.PROCEEDING, E.REFUSAL): (S.COMPLETED, ["send 486"]),
    (S.PROCEEDING, E.BROKEN): (S.PROCEEDING, ["TRANSPORT"]),
    (S.COMPLETED, E.REPEATED): (S.COMPLETED, ["send 603"]),
    (S.COMPLETED, E.ACK): (S.CONFIRMED, []),
    (S.COMPLETED, E.TIMER_G): (S.COMPLETED, ["send 603"]),
    (S.COMPLETED, E.TIMER_H): (S.TERMINATED, ["forget", "TIMEOUT"]),
    (S.COMPLETED, E.BROKEN): (S.COMPLETED, ["TRANSPORT"]),
    (S.CONFIRMED, E.TIMER_I): (S.TERMINATED, ["forget"]),
    (S.ACCEPTED, E.SUCCESS): (S.ACCEPTED, ["send 200"]),
    (S.ACCEPTED, E.ACK): (S.ACCEPTED, ["pass ACK"]),
    (S.ACCEPTED, E.TIMER_L): (S.TERMINATED, ["forget"]),
    (S.ACCEPTED, E.BROKEN): (S.ACCEPTED, ["TRANSPORT"]),
}

PLAIN_ROWS: Expected = {
    (T.TRYING, V.FINAL): (T.COMPLETED, ["send 200"]),
    (T.TRYING, V.WITHHELD): (T.COMPLETED, []),
    (T.TRYING, V.TIMER_100): (T.PROCEEDING, ["send 100"]),
    (T.TRYING, V.TIMER_F): (T.TERMINATED, ["forget", "TIMEOUT"]),
    (T.PROCEEDING, V.REPEATED): (T.PROCEEDING, ["send 100"]),
    (T.PROCEEDING, V.FINAL): (T.COMPLETED, ["send 200"]),
    (T.PROCEEDING, V.WITHHELD): (T.COMPLETED, []),
    (T.PROCEEDING, V.TIMER_F): (T.TERMINATED, ["forget", "TIMEOUT"]),
    (T.COMPLETED, V.REPEATED): (T.COMPLETED, ["send 603"]),
    (T.COMPLETED, V.BROKEN): (T.COMPLETED, ["TRANSPORT"]),
    (T.COMPLETED, V.TIMER_J): (T.TERMINATED, ["forget"]),
}

STATUS: dict[Enum, int] = {E.PROVISIONAL: 180, E.SUCCESS: 200, E.REFUSAL: 486, V.FINAL: 200}
BEFORE: dict[Enum, int] = {S.PROCEEDING: 183, S.COMPLETED: 603, T.PROCEEDING: 100, T.COMPLETED: 603}
"""What has been sent on the way to a state."""


class Rig:
    """One server transaction among recorded neighbours."""

    def __init__(self, method: str, flow: Flow = UDP_FLOW) -> None:
        self.layer = FakeLayer()
        self.user = Recorder()
        self.request = with_via(make_request(method))
        kind = InviteServer if method == "INVITE" else PlainServer
        self.tx: ServerTransaction = kind(cast(Any, self.layer), ("k", method), None, self.request, flow)
        self.tx.user = self.user

    def respond(self, status: int) -> None:
        self.tx.respond(make_response(self.request, status, None, "bt"))

    def ack(self) -> None:
        assert isinstance(self.tx, InviteServer)
        self.tx.got_ack(with_via(make_request("ACK")), self.tx.flow)


def play(method: str, state: Enum, event: Enum) -> tuple[Enum, list[str]]:
    rig = Rig(method)
    machine = rig.tx.machine
    if state in BEFORE:
        cast(Any, rig.tx)._last = make_response(rig.request, BEFORE[state])
    machine.state = state
    ack = with_via(make_request("ACK"))
    if event in STATUS:
        machine.handle(event, make_response(rig.request, STATUS[event], None, "bt"))
    elif event is E.ACK:
        machine.handle(event, ack, UDP_FLOW)
    elif event is E.CANCEL:
        machine.handle(event, ack)
    else:
        machine.handle(event)
    heard = [heard.name if isinstance(heard, Enum) else str(heard) for heard in rig.user.heard]
    return rig.tx.state, rig.layer.calls + heard


class RowsTest(TestCase):
    def test_invite(self) -> None:
        """The INVITE server does in each state what RFC 3261 figure 7 with RFC 6026 §7.1 says, and nothing more."""
        check_rows(self, INVITE_SERVER, INVITE_ROWS, lambda state, event: play("INVITE", state, event))

    def test_other(self) -> None:
        """The non-INVITE server is RFC 3261 figure 8 with RFC 4320."""
        check_rows(self, SERVER, PLAIN_ROWS, lambda state, event: play("BYE", state, event))


class InviteTest(TestCase):
    def test_slow_user(self) -> None:
        """A caller hears 100 after 200 ms when the callee's side has said nothing by then."""
        rig = Rig("INVITE")
        rig.layer.clock.advance(0.19)
        self.assertEqual(rig.layer.calls, [])
        rig.layer.clock.advance(0.02)
        self.assertEqual(rig.layer.calls, ["send 100"])

    def test_fast_user(self) -> None:
        """No 100 is wasted on a call that rings at once."""
        rig = Rig("INVITE")
        rig.respond(180)
        rig.layer.clock.advance(1)
        self.assertEqual(rig.layer.calls, ["send 180"])

    def test_refusal_is_repeated_until_its_ack(self) -> None:
        """G: a refusal goes out again after 0.5, 1.5, 3.5, 7.5 s until the ACK; I: then 5 s of silence."""
        rig = Rig("INVITE")
        rig.respond(486)
        for _ in range(16):
            rig.layer.clock.advance(0.5)
        self.assertEqual(rig.layer.calls, ["send 486"] * 5)
        rig.ack()
        rig.ack()
        rig.layer.clock.advance(4.9)
        self.assertEqual(rig.layer.calls, ["send 486"] * 5)
        rig.layer.clock.advance(0.2)
        self.assertEqual(rig.layer.calls[-1], "forget")
        self.assertEqual(rig.layer.clock.getDelayedCalls(), [])

    def test_no_ack(self) -> None:
        """H: a refusal that is never acknowledged is given up after 32 s, and the user is told."""
        rig = Rig("INVITE")
        rig.respond(486)
        for _ in range(64):
            rig.layer.clock.advance(0.5)
        self.assertEqual([str(heard) for heard in rig.user.heard], ["Failure.TIMEOUT"])
        self.assertEqual(rig.layer.calls.count("send 486"), 11)  # once, G at 0.5 1.5 3.5 and each 4 s to 31.5

    def test_tcp(self) -> None:
        """Over TCP a refusal goes out once, and its ACK ends the transaction at once."""
        rig = Rig("INVITE", TCP_FLOW)
        rig.respond(486)
        rig.layer.clock.advance(20)
        rig.ack()
        rig.layer.clock.advance(0)
        self.assertEqual(rig.layer.calls, ["send 486", "forget"])

    def test_success_is_its_users_matter(self) -> None:
        """L: a 2xx is repeated by its user alone; the peer's repetitions are swallowed for 32 s."""
        rig = Rig("INVITE")
        rig.respond(200)
        rig.tx.repeated()
        rig.respond(486)
        rig.layer.clock.advance(31.9)
        self.assertEqual(rig.layer.calls, ["send 200"])
        rig.respond(200)
        rig.layer.clock.advance(0.2)
        self.assertEqual(rig.layer.calls, ["send 200", "send 200", "forget"])

    def test_cancel_without_a_user(self) -> None:
        """A call that nobody has taken up yet is cancelled by the transaction itself."""
        rig = Rig("INVITE")
        rig.tx.user = None
        assert isinstance(rig.tx, InviteServer)
        rig.tx.got_cancel(with_via(make_request("CANCEL")))
        self.assertEqual(rig.layer.calls, ["send 487"])
        rig.tx.send_failed()
        rig.layer.clock.advance(40)
        self.assertEqual(rig.user.heard, [])

    def test_tag(self) -> None:
        """The To tag that was given is known as long as CANCEL may need it."""
        rig = Rig("INVITE")
        self.assertIsNone(rig.tx.tag)
        rig.respond(180)
        self.assertEqual(rig.tx.tag, "bt")
        self.assertFalse(rig.tx.answered)
        rig.respond(200)
        self.assertTrue(rig.tx.answered)


class OtherTest(TestCase):
    def test_late_100(self) -> None:
        """A request that takes long hears 100 after 3.5 s, when its sender repeats it rarely (RFC 4320 §4.1)."""
        rig = Rig("BYE")
        rig.respond(180)
        rig.layer.clock.advance(3.4)
        rig.tx.repeated()
        self.assertEqual(rig.layer.calls, [])
        rig.layer.clock.advance(0.2)
        rig.tx.repeated()
        self.assertEqual(rig.layer.calls, ["send 100", "send 100"])
        self.assertFalse(rig.tx.answered)

    def test_answer_is_repeated_on_demand(self) -> None:
        """J: the answer goes out again when the request comes again, for 32 s; a second answer never."""
        rig = Rig("BYE")
        rig.respond(200)
        rig.respond(500)
        rig.tx.repeated()
        self.assertEqual(rig.layer.calls, ["send 200", "send 200"])
        rig.layer.clock.advance(31.9)
        self.assertTrue(rig.tx.answered)
        rig.layer.clock.advance(0.2)
        self.assertEqual(rig.layer.calls[-1], "forget")

    def test_tcp(self) -> None:
        """Over TCP an answered request is forgotten at once."""
        rig = Rig("BYE", TCP_FLOW)
        rig.respond(200)
        rig.layer.clock.advance(0)
        self.assertEqual(rig.layer.calls, ["send 200", "forget"])

    def test_never_408(self) -> None:
        """408 to a non-INVITE request is not sent: its sender has given up by itself (RFC 4320 §4.2)."""
        rig = Rig("BYE")
        rig.respond(408)
        rig.tx.repeated()
        rig.layer.clock.advance(1)
        self.assertEqual(rig.layer.calls, [])
        self.assertTrue(rig.tx.answered)

    def test_forgotten_answer(self) -> None:
        """A request that is never answered does not stay in the table for ever."""
        rig = Rig("BYE")
        rig.layer.clock.advance(32.1)
        self.assertEqual(rig.layer.calls, ["send 100", "forget"])
        self.assertEqual([str(heard) for heard in rig.user.heard], ["Failure.TIMEOUT"])
