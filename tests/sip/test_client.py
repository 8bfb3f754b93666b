"""Client transactions: every row of both tables against recorded neighbours, every timer by its letter."""

from __future__ import annotations

from enum import Enum
from typing import Any, cast

from twisted.trial.unittest import TestCase

from rtcgw.sip.client import (
    CLIENT,
    INVITE_CLIENT,
    ClientEvent,
    ClientState,
    ClientTransaction,
    InviteClient,
    InviteClientEvent,
    InviteClientState,
    PlainClient,
)
from rtcgw.sip.message import make_response
from tests.sip.doubles import TO_B, Expected, FakeLayer, Recorder, check_rows, make_request, with_via

S, E = InviteClientState, InviteClientEvent
T, V = ClientState, ClientEvent
GONE = ["forget", "TIMEOUT"]
BROKEN = ["forget", "TRANSPORT"]

INVITE_ROWS: Expected = {
    (S.CALLING, E.PROVISIONAL): (S.PROCEEDING, ["180"]),
    (S.CALLING, E.SUCCESS): (S.ACCEPTED, ["200"]),
    (S.CALLING, E.REFUSAL): (S.COMPLETED, ["send ACK", "486"]),
    (S.CALLING, E.CANCEL): (S.WITHDRAWN, []),
    (S.CALLING, E.MOVED): (S.CALLING, []),
    (S.CALLING, E.BROKEN): (S.TERMINATED, BROKEN),
    (S.CALLING, E.TIMER_A): (S.CALLING, ["repeat INVITE"]),
    (S.CALLING, E.TIMER_B): (S.TERMINATED, GONE),
    (S.WITHDRAWN, E.PROVISIONAL): (S.CANCELLED, ["start CANCEL", "180"]),
    (S.WITHDRAWN, E.SUCCESS): (S.ACCEPTED, ["200"]),
    (S.WITHDRAWN, E.REFUSAL): (S.COMPLETED, ["send ACK", "486"]),
    (S.WITHDRAWN, E.MOVED): (S.WITHDRAWN, []),
    (S.WITHDRAWN, E.BROKEN): (S.TERMINATED, BROKEN),
    (S.WITHDRAWN, E.TIMER_A): (S.WITHDRAWN, ["repeat INVITE"]),
    (S.WITHDRAWN, E.TIMER_B): (S.TERMINATED, GONE),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, ["180"]),
    (S.PROCEEDING, E.SUCCESS): (S.ACCEPTED, ["200"]),
    (S.PROCEEDING, E.REFUSAL): (S.COMPLETED, ["send ACK", "486"]),
    (S.PROCEEDING, E.CANCEL): (S.CANCELLED, ["start CANCEL"]),
    (S.CANCELLED, E.PROVISIONAL): (S.CANCELLED, ["180"]),
    (S.CANCELLED, E.SUCCESS): (S.ACCEPTED, ["200"]),
    (S.CANCELLED, E.REFUSAL): (S.COMPLETED, ["send ACK", "486"]),
    (S.CANCELLED, E.TIMER_X): (S.TERMINATED, GONE),
    (S.COMPLETED, E.REFUSAL): (S.COMPLETED, ["repeat ACK"]),
    (S.COMPLETED, E.TIMER_D): (S.TERMINATED, ["forget"]),
    (S.ACCEPTED, E.SUCCESS): (S.ACCEPTED, ["200"]),
    (S.ACCEPTED, E.TIMER_M): (S.TERMINATED, ["forget"]),
}

PLAIN_ROWS: Expected = {
    (T.TRYING, V.PROVISIONAL): (T.PROCEEDING, ["180"]),
    (T.TRYING, V.FINAL): (T.COMPLETED, ["200"]),
    (T.TRYING, V.MOVED): (T.TRYING, []),
    (T.TRYING, V.BROKEN): (T.TERMINATED, BROKEN),
    (T.TRYING, V.TIMER_E): (T.TRYING, ["repeat BYE"]),
    (T.TRYING, V.TIMER_F): (T.TERMINATED, GONE),
    (T.PROCEEDING, V.PROVISIONAL): (T.PROCEEDING, ["180"]),
    (T.PROCEEDING, V.FINAL): (T.COMPLETED, ["200"]),
    (T.PROCEEDING, V.BROKEN): (T.TERMINATED, BROKEN),
    (T.PROCEEDING, V.TIMER_E): (T.PROCEEDING, ["repeat BYE"]),
    (T.PROCEEDING, V.TIMER_F): (T.TERMINATED, GONE),
    (T.COMPLETED, V.TIMER_K): (T.TERMINATED, ["forget"]),
}

ARGUMENTS: dict[Enum, int | tuple[tuple[str, str], ...]] = {
    E.PROVISIONAL: 180,
    E.SUCCESS: 200,
    E.REFUSAL: 486,
    E.CANCEL: (("Reason", "SIP;cause=200"),),
    V.PROVISIONAL: 180,
    V.FINAL: 200,
}


class Rig:
    """One client transaction among recorded neighbours."""

    def __init__(self, method: str, reliable: bool = False) -> None:
        self.layer = FakeLayer(reliable)
        self.user = Recorder()
        kind = InviteClient if method == "INVITE" else PlainClient
        self.request = with_via(make_request(method))
        self.tx: ClientTransaction = kind(cast(Any, self.layer), ("z9hG4bK1", method), self.request, self.user)
        self.tx.start(TO_B)

    def respond(self, status: int) -> None:
        self.tx.got_response(make_response(self.request, status, None, "bt"))

    def at(self, seconds: float) -> list[str]:
        """What is sent until `seconds` after the start, with its times."""
        sent = []
        clock = self.layer.clock
        while clock.seconds() < seconds:
            before = len(self.layer.calls)
            clock.advance(0.5)
            sent += [f"{clock.seconds():g}" for call in self.layer.calls[before:] if call.startswith("repeat")]
        return sent


def play(method: str, state: Enum, event: Enum) -> tuple[Enum, list[str]]:
    rig = Rig(method)
    if state is S.COMPLETED:
        rig.respond(486)  # so that there is an ACK to repeat
    machine = rig.tx.machine
    machine.state = state
    rig.layer.calls.clear()
    rig.user.heard.clear()
    rig.user.on_response = lambda tx, response: rig.layer.calls.append(str(response.status))
    argument = ARGUMENTS.get(event)
    if isinstance(argument, int):
        machine.handle(event, make_response(rig.request, argument, None, "bt"))
    elif argument is not None:
        machine.handle(event, argument)
    else:
        machine.handle(event)
    failures = [getattr(heard, "name", "") for heard in rig.user.heard if isinstance(heard, Enum)]
    return rig.tx.state, rig.layer.calls + failures


class RowsTest(TestCase):
    def test_invite(self) -> None:
        """The INVITE client does in each state what RFC 3261 figure 5 with RFC 6026 §7.2 says, and nothing more."""
        check_rows(self, INVITE_CLIENT, INVITE_ROWS, lambda state, event: play("INVITE", state, event))

    def test_other(self) -> None:
        """The non-INVITE client is RFC 3261 figure 6."""
        check_rows(self, CLIENT, PLAIN_ROWS, lambda state, event: play("BYE", state, event))


class TimersTest(TestCase):
    def test_a_doubles_until_b(self) -> None:
        """An INVITE that finds no answer is repeated at 0.5, 1.5, 3.5 ... s and given up after 32 s."""
        rig = Rig("INVITE")
        self.assertEqual(rig.at(40), ["0.5", "1.5", "3.5", "7.5", "15.5", "31.5"])
        self.assertEqual([failure.name for failure in rig.user.heard], ["TIMEOUT"])  # type: ignore[attr-defined]
        self.assertEqual(rig.layer.clock.getDelayedCalls(), [])

    def test_tcp_is_not_repeated(self) -> None:
        """Over TCP nothing is sent twice, yet silence ends the request all the same."""
        for method in ("INVITE", "BYE"):
            rig = Rig(method, reliable=True)
            self.assertEqual(rig.at(40), [])
            self.assertEqual(len(rig.user.heard), 1)

    def test_moved_to_udp_is_repeated(self) -> None:
        """A request that fell back from TCP to UDP is repeated from then on."""
        for method in ("INVITE", "BYE"):
            rig = Rig(method, reliable=True)
            rig.layer.clock.advance(1)
            cast(Any, rig.tx)._sent.reliable = False
            rig.tx.sent_by_udp()
            self.assertEqual(rig.at(3)[:2], ["1.5", "2.5"])

    def test_e_doubles_to_t2(self) -> None:
        """A BYE is repeated at 0.5, 1.5, 3.5, 7.5 s and then every 4 s, until 32 s."""
        rig = Rig("BYE")
        self.assertEqual(rig.at(40), ["0.5", "1.5", "3.5", "7.5", "11.5", "15.5", "19.5", "23.5", "27.5", "31.5"])
        self.assertEqual(len(rig.user.heard), 1)

    def test_e_slows_down_when_answered(self) -> None:
        """After a 100 a request is repeated every 4 s only."""
        rig = Rig("BYE")
        rig.respond(100)
        self.assertEqual(rig.at(9), ["0.5", "4.5", "8.5"])

    def test_waiting_states_end(self) -> None:
        """A finished transaction swallows repetitions for its time: D 32 s, M 32 s, K 5 s; over TCP D and K are 0."""
        for method, status, reliable, seconds in (
            ("INVITE", 486, False, 32.0),
            ("INVITE", 486, True, 0.0),
            ("INVITE", 200, False, 32.0),
            ("INVITE", 200, True, 32.0),
            ("BYE", 200, False, 5.0),
            ("BYE", 200, True, 0.0),
        ):
            rig = Rig(method, reliable)
            rig.respond(status)
            if seconds:
                rig.layer.clock.advance(seconds - 0.01)
                self.assertNotIn("forget", rig.layer.calls)
            rig.layer.clock.advance(0.01)
            self.assertEqual(rig.layer.calls[-1], "forget", (method, status, reliable))
            self.assertEqual(rig.layer.clock.getDelayedCalls(), [])

    def test_cancel_waits_64_t1(self) -> None:
        """A cancelled call that is never answered is over after 32 s."""
        rig = Rig("INVITE")
        rig.respond(180)
        rig.tx.cancel(())
        rig.layer.clock.advance(31.9)
        self.assertEqual(rig.user.heard, [180])
        rig.layer.clock.advance(0.2)
        self.assertEqual(len(rig.user.heard), 2)


class CompanionsTest(TestCase):
    """ACK to a refusal and CANCEL copy from their INVITE."""

    def setUp(self) -> None:
        self.rig = Rig("INVITE", reliable=True)
        self.rig.request.add("route", "<sip:p1;lr>")
        self.rig.request.add("route", "<sip:p2;lr>")

    def test_cancel(self) -> None:
        """CANCEL finds its way: the INVITE's Request-URI, Routes and branch, by the transport that was really used."""
        self.rig.respond(180)
        self.rig.tx.cancel((("Reason", "SIP;cause=200"),))
        cancel = self.rig.layer.requests[-1]
        self.assertEqual(cancel.headers["via"], ["SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK1;rport"])
        self.assertEqual(cancel.headers["route"], ["<sip:p1;lr>", "<sip:p2;lr>"])
        self.assertEqual(cancel.uri, self.rig.request.uri)
        self.assertEqual((str(cancel.cseq), cancel.to.tag, cancel.from_.tag), ("1 CANCEL", None, "at"))
        self.assertEqual(cancel.get("reason"), "SIP;cause=200")
        self.assertIsNone(cancel.get("contact"))

    def test_ack(self) -> None:
        """The ACK to a refusal bears the refusal's To tag and the INVITE's branch."""
        self.rig.respond(486)
        ack = self.rig.layer.requests[-1]
        self.assertEqual((str(ack.cseq), ack.to.tag, ack.via.branch), ("1 ACK", "bt", "z9hG4bK1"))
        self.assertEqual(ack.headers["route"], ["<sip:p1;lr>", "<sip:p2;lr>"])

    def test_repeated_refusal(self) -> None:
        """A repeated refusal is acknowledged again, and not told twice."""
        self.rig.respond(486)
        self.rig.respond(486)
        self.assertEqual(self.rig.layer.calls, ["send INVITE", "send ACK", "repeat ACK"])
        self.assertEqual(self.rig.user.heard, [486])
