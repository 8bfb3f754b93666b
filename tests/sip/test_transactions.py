"""Two gateways back to back: ladders through both transaction tables, over a network that loses and doubles."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from twisted.trial.unittest import TestCase

from rtcgw.sip.flow import Hop
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.parser import parse_message
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.txuser import Failure, Timers
from tests.peers.network import Packet
from tests.sip.doubles import TO_B, A, B, Ladder, make_request, with_via


def lose(*numbers: int) -> Callable[[Packet], int]:
    """Loses these packets, counted from 0."""
    counter = count()
    return lambda packet: 0 if next(counter) in numbers else 1


class LadderTest(TestCase):
    def setUp(self) -> None:
        self.ladder = Ladder()

    def wire(self, *lines: str) -> None:
        self.assertEqual(self.ladder.wire, list(lines))

    def inject(self, request: Request) -> None:
        """A request from A's address that A's layer knows nothing of."""
        self.ladder.network.send(request.to_bytes(), A, B)
        self.ladder.pass_time()

    def settle(self) -> None:
        """Both tables are empty in the end, and no timer runs."""
        self.ladder.pass_time(70)
        self.assertEqual((len(self.ladder.a.layer), len(self.ladder.b.layer)), (0, 0))
        self.assertEqual(self.ladder.clock.getDelayedCalls(), [])


class CallTest(LadderTest):
    def test_answered(self) -> None:
        """A call rings and is answered; the ACK reaches the callee's user without a transaction."""
        self.ladder.answer(180, 200)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        ack = make_request("ACK", tag="bt")
        self.ladder.a.layer.send_ack(ack, TO_B)
        self.ladder.a.layer.send_ack(ack, TO_B)
        self.ladder.pass_time()
        self.wire("A INVITE", "B 180", "B 200", "A ACK", "A ACK")
        self.assertEqual(self.ladder.b.user.heard, ["INVITE", "ACK", "ACK"])
        first, second = self.ladder.network.packets[-2:]
        self.assertEqual(first.data, second.data)
        self.assertEqual(len(ack.headers["via"]), 1)
        self.assertNotEqual(ack.via.branch, tx.request.via.branch)
        self.settle()

    def test_refused(self) -> None:
        """A refused call is acknowledged by the transaction, and heard of once."""
        self.ladder.answer(180, 486)
        self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time(10)
        self.wire("A INVITE", "B 180", "B 486", "A ACK")
        self.assertEqual(self.ladder.a.user.heard, [180, 486])
        self.assertEqual(self.ladder.b.user.heard, ["INVITE"])
        self.settle()

    def test_lost_invite_and_lost_ack(self) -> None:
        """Losing the INVITE and the ACK costs half a second each, not the call."""
        self.ladder.network.fate = lose(0, 3)
        self.ladder.answer(486)
        self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time(5)
        self.wire("A INVITE", "A INVITE", "B 486", "A ACK", "B 486", "A ACK")
        self.assertEqual(self.ladder.a.user.heard, [486])
        self.settle()

    def test_everything_twice(self) -> None:
        """A network that doubles every packet is not noticed above the transactions."""
        self.ladder.network.fate = lambda packet: 2
        self.ladder.answer(180, 486)
        self.ladder.ask(make_request("INVITE"))
        self.ladder.ask(make_request("OPTIONS", 2, "c2"))
        self.ladder.pass_time(10)
        # A doubled 1xx is told twice: what a repeated 180 means is for the user to say.
        heard = [status for status in self.ladder.a.user.heard if status != 180]
        self.assertEqual(heard, [486, 486])
        self.assertEqual(self.ladder.b.user.heard, ["INVITE", "OPTIONS"])
        self.settle()

    def test_reordered(self) -> None:
        """A 180 that arrives after the 200 changes nothing."""
        self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        request = self.ladder.b.user.requests[0].request
        for status in (200, 180):
            self.ladder.network.send(self.ladder.response(request, status).to_bytes(), B, A)
        self.ladder.pass_time()
        self.assertEqual([heard for heard in self.ladder.a.user.heard if heard != 100], [200])

    def test_repeated_2xx_is_told_each_time(self) -> None:
        """Each repetition of a 2xx reaches the caller's user, who owes it an ACK."""
        self.ladder.answer(200, 200, 200)
        self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        self.assertEqual(self.ladder.a.user.heard, [200, 200, 200])

    def test_silence(self) -> None:
        """Nobody there: the caller hears of it after 32 s."""
        self.ladder.network.detach(B)
        self.ladder.ask(make_request("INVITE"))
        self.ladder.ask(make_request("OPTIONS", 2))
        self.ladder.pass_time(33)
        self.assertEqual(self.ladder.a.user.heard, [Failure.TIMEOUT, Failure.TIMEOUT])
        self.assertEqual(self.ladder.a.layer.counters["timeouts"], 2)
        self.settle()

    def test_retried_request_has_one_via(self) -> None:
        """A request sent again with credentials bears only its new Via."""
        request = make_request("OPTIONS")
        self.ladder.answer(200)
        branches = set()
        for number in (1, 2):
            request.set("cseq", f"{number} OPTIONS")
            branches.add(self.ladder.ask(request).key[0])
            self.ladder.pass_time()
        self.assertEqual(len(branches), 2)
        self.assertEqual([len(tx.request.headers["via"]) for tx in self.ladder.b.user.requests], [1, 1])


class CancelTest(LadderTest):
    """The races of RFC 3261 §9."""

    def test_after_180(self) -> None:
        """Hanging up while it rings: CANCEL, its 200, then 487 to the INVITE."""
        self.ladder.answer(180)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        self.ladder.a.layer.cancel(tx, (("Reason", "SIP;cause=200"),))
        self.ladder.pass_time()
        server = self.ladder.b.user.requests[0]
        server.respond(make_response(server.request, 487, None, "bt"))
        self.ladder.pass_time()
        self.wire("A INVITE", "B 180", "A CANCEL", "B 200", "B 487", "A ACK")
        self.assertEqual(self.ladder.b.user.heard, ["INVITE", "CANCEL"])
        self.assertEqual(self.ladder.a.user.heard, [180, 487])
        answer = parse_message(self.ladder.network.packets[3].data)
        self.assertEqual((answer.to.tag, str(answer.cseq)), ("bt", "1 CANCEL"))
        self.settle()

    def test_before_any_answer(self) -> None:
        """Hanging up at once: CANCEL waits for the first 1xx."""
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.a.layer.cancel(tx)
        self.ladder.pass_time(0.1)
        self.wire("A INVITE")
        self.ladder.pass_time(0.3)
        self.wire("A INVITE", "B 100", "A CANCEL", "B 200")

    def test_answer_crosses(self) -> None:
        """The callee picks up as we hang up: the 200 is told, its ACK and BYE are the user's matter."""
        self.ladder.answer(180)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        server = self.ladder.b.user.requests[0]
        self.ladder.a.layer.cancel(tx)
        server.respond(self.ladder.response(server.request, 200))
        self.ladder.pass_time()
        self.wire("A INVITE", "B 180", "A CANCEL", "B 200", "B 200")
        self.assertEqual(self.ladder.a.user.heard, [180, 200])
        self.assertEqual(self.ladder.b.user.heard, ["INVITE"])
        self.settle()

    def test_too_late(self) -> None:
        """After the final response there is nothing to cancel."""
        self.ladder.answer(486)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        self.ladder.a.layer.cancel(tx)
        self.ladder.pass_time()
        self.wire("A INVITE", "B 486", "A ACK")

    def test_other_methods_cannot_be_cancelled(self) -> None:
        """Only INVITE has a CANCEL."""
        tx = self.ladder.ask(make_request("OPTIONS"))
        self.ladder.a.layer.cancel(tx)
        self.ladder.pass_time()
        self.wire("A OPTIONS")

    def test_never_answered(self) -> None:
        """A callee that confirms CANCEL and then forgets the call does not hold it for ever."""
        self.ladder.answer(180)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        self.ladder.a.layer.cancel(tx)
        self.ladder.pass_time(33)
        self.assertEqual(self.ladder.a.user.heard, [180, Failure.TIMEOUT])

    def test_lost_cancel(self) -> None:
        """A lost CANCEL is repeated; one that arrives twice is told once."""
        self.ladder.network.fate = lose(2)
        self.ladder.answer(180)
        tx = self.ladder.ask(make_request("INVITE"))
        self.ladder.pass_time()
        self.ladder.a.layer.cancel(tx)
        self.ladder.pass_time(1)
        self.ladder.network.send(self.ladder.network.packets[2].data, A, B)
        self.ladder.pass_time()
        self.assertEqual(self.ladder.b.user.heard, ["INVITE", "CANCEL"])

    def test_matches_nothing(self) -> None:
        """CANCEL for a call that is not there gets 481."""
        self.inject(with_via(make_request("CANCEL")))
        self.wire("A CANCEL", "B 481")
        self.assertEqual(self.ladder.b.layer.counters, {"cancels_unmatched": 1})


class MatchingTest(LadderTest):
    def test_merged(self) -> None:
        """The same request by two ways is served once; the second gets 482."""
        self.inject(with_via(make_request("INVITE"), "z9hG4bK1"))
        self.inject(with_via(make_request("INVITE"), "z9hG4bK2"))
        self.wire("A INVITE", "A INVITE", "B 482")
        self.assertEqual(self.ladder.b.user.heard, ["INVITE"])

    def test_not_merged(self) -> None:
        """Requests of one dialog, or with another number, are each served."""
        for branch, number, tag in (("1", 1, "x"), ("2", 1, "x"), ("3", 2, None), ("4", 3, None)):
            self.inject(with_via(make_request("OPTIONS", number, tag=tag), "z9hG4bK" + branch))
        self.assertEqual(len(self.ladder.b.user.requests), 4)
        self.settle()

    def test_stray_response(self) -> None:
        """A response to nothing we asked is dropped and counted, and so is one with somebody else's Via below ours."""
        stray = make_response(with_via(make_request()), 200)
        self.ladder.network.send(stray.to_bytes(), B, A)
        tx = self.ladder.ask(make_request())
        doubled = make_response(tx.request, 200)
        doubled.add("via", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKx")
        self.ladder.network.send(doubled.to_bytes(), B, A)
        self.ladder.pass_time()
        self.assertEqual(self.ladder.a.user.heard, [])
        self.assertEqual(self.ladder.a.layer.counters, {"strays": 2})

    def test_rfc2543(self) -> None:
        """A peer without branch cookies is understood: its repetitions are swallowed, its ACK finds the refusal."""
        self.ladder.answer(486)
        invite = with_via(make_request("INVITE"), "1")
        self.inject(invite)
        self.inject(invite)
        ack = with_via(make_request("ACK", tag="bt"), "1")
        self.inject(ack)
        self.ladder.pass_time(1)
        self.wire("A INVITE", "B 486", "A INVITE", "B 486", "A ACK")
        self.assertEqual(self.ladder.b.user.heard, ["INVITE"])

    def test_ack_with_the_invites_branch(self) -> None:
        """A peer that uses the INVITE's branch for the ACK to a 2xx still gets its call."""
        self.ladder.answer(200)
        self.inject(with_via(make_request("INVITE")))
        self.inject(with_via(make_request("ACK", tag="bt")))
        self.assertEqual(self.ladder.b.user.heard, ["INVITE", "ACK"])


class BoundsTest(TestCase):
    def test_full(self) -> None:
        """Beyond the bound new calls get 503 with Retry-After, while a tenth is kept for calls that stand."""
        ladder = Ladder(limit=10)
        for number in range(12):
            request = with_via(make_request("INVITE", call_id=f"c{number}"), f"z9hG4bK{number}")
            ladder.network.send(request.to_bytes(), A, B)
        ladder.pass_time(0.1)
        self.assertEqual(len(ladder.b.layer), 9)
        self.assertEqual(ladder.wire[-3:], ["B 503"] * 3)
        self.assertIn(int(parse_message(ladder.network.packets[-1].data).get("retry-after") or ""), range(5, 16))
        self.assertEqual(ladder.b.layer.counters["full"], 3)
        for number in range(2):
            request = with_via(make_request("BYE", call_id=f"c{number}", tag="bt"), f"z9hG4bKb{number}")
            ladder.network.send(request.to_bytes(), A, B)
        ladder.pass_time(0.05)
        self.assertEqual(ladder.b.user.heard.count("BYE"), 1)
        cancel = with_via(make_request("CANCEL", call_id="c0"), "z9hG4bK0")
        ladder.network.send(cancel.to_bytes(), A, B)
        ladder.pass_time(0.05)
        self.assertEqual(ladder.b.user.heard.count("CANCEL"), 1)

    def test_full_of_our_own(self) -> None:
        """A call that we cannot place for lack of room fails at once, after the caller has its transaction."""
        ladder = Ladder(limit=10)
        for number in range(9):
            ladder.ask(make_request("OPTIONS", number + 1))
        ladder.ask(make_request("INVITE", 99))
        self.assertEqual(ladder.a.user.heard, [])
        ladder.pass_time()
        self.assertEqual(ladder.a.user.heard, [Failure.TRANSPORT])
        ladder.ask(make_request("BYE", 100, tag="bt"))
        self.assertEqual(len(ladder.a.layer), 10)
        ladder.a.layer.close()
        self.assertEqual(len(ladder.a.layer), 0)

    def test_no_user(self) -> None:
        """Before the core is there, requests are put off with 503 and ACKs dropped."""
        ladder = Ladder()
        ladder.b.layer.user = None
        ladder.ask(make_request())
        ladder.a.layer.send_ack(make_request("ACK"), TO_B)
        ladder.pass_time()
        self.assertEqual(ladder.wire, ["A OPTIONS", "A ACK", "B 503"])


class FaultsTest(TestCase):
    def setUp(self) -> None:
        self.ladder = Ladder()

    def test_our_fault(self) -> None:
        """A fault above is told as 500, logged once, and harms nobody else."""

        def broken(tx: ServerTransaction, request: Request) -> None:
            raise ZeroDivisionError

        self.ladder.b.user.on_request = broken
        self.ladder.ask(make_request())
        self.ladder.pass_time()
        self.assertEqual(self.ladder.a.user.heard, [500])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_fault_after_the_answer(self) -> None:
        """A fault after the answer sends no second one."""

        def broken(tx: ServerTransaction, request: Request) -> None:
            tx.respond(make_response(request, 200))
            raise ZeroDivisionError

        self.ladder.b.user.on_request = broken
        self.ladder.ask(make_request())
        self.ladder.pass_time()
        self.assertEqual(self.ladder.a.user.heard, [200])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_their_fault(self) -> None:
        """A header that the user needs and cannot read is answered with 400, without a traceback."""

        def reads_contact(tx: ServerTransaction, request: Request) -> None:
            assert request.contact

        self.ladder.b.user.on_request = reads_contact
        request = make_request()
        request.set("contact", "<sip:")
        self.ladder.ask(request)
        self.ladder.pass_time()
        self.assertEqual(self.ladder.a.user.heard, [400])
        self.assertEqual(self.ladder.b.layer.counters, {"bad_headers": 1})

    def test_fault_in_a_response(self) -> None:
        """A fault while a response is handled ends there; what cannot be read in it is no fault of ours."""
        self.ladder.answer(200)
        for error, label in ((ZeroDivisionError(), "faults"), (HeaderError("x"), "bad_headers")):

            def broken(*_: object, error: Exception = error) -> None:
                raise error

            self.ladder.a.user.on_response = broken
            self.ladder.ask(make_request(call_id=label))
            self.ladder.pass_time()
            self.assertEqual(self.ladder.a.layer.counters[label], 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LargeTest(TestCase):
    def test_tcp_refused(self) -> None:
        """An offer too large for UDP still gets through when the peer has no TCP, and is repeated like any other."""
        ladder = Ladder()
        ladder.network.fate = lose(0)
        ladder.answer(486)
        request = make_request("INVITE")
        request.body = b"x" * 2000
        ladder.ask(request)
        ladder.pass_time(2)
        self.assertEqual(ladder.wire, ["A INVITE", "A INVITE", "B 486", "A ACK"])
        self.assertEqual(ladder.a.transport.counters["tcp_refused"], 1)
        vias = [parse_message(packet.data).via.transport for packet in ladder.network.packets]
        self.assertEqual(vias, ["UDP"] * 4)

    def test_only_tcp(self) -> None:
        """A hop that asks for TCP gets no UDP: the request fails."""
        ladder = Ladder()
        ladder.a.layer.request(make_request(), Hop(*B, "TCP"), ladder.a.user)
        ladder.pass_time()
        self.assertEqual(ladder.a.user.heard, [Failure.TRANSPORT])


class TimersTest(TestCase):
    def test_formulas(self) -> None:
        """The timers follow from T1 and T2, also with the values of a UE (TS 24.229 §7.7)."""
        core, phone = Timers(), Timers(2, 16, 17)
        self.assertEqual((core.limit, core.d, core.late), (32, 32, 3.5))
        self.assertEqual((phone.limit, phone.d, phone.late), (128, 128, 14))
