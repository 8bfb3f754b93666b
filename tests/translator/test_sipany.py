"""Anything in any order: a SIP half-call meets orders, messages and silence as they come, and always ends clean."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Description,
    End,
    Event,
    Info,
    Keyframe,
    Kind,
    Progress,
    ProgressAck,
    Ringback,
    Setup,
    Sound,
    Stage,
    Stray,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.transaction import Failure
from rtcgw.translator.sipstate import State
from tests.translator.sipbench import SipBench, Tx, UacBench, UasBench

BOB, ALICE = Identity("sip:echo@ims.test"), Identity("sip:alice@ims.test")
OFFER, ANSWER = Description(Kind.OFFER, "o"), Description(Kind.ANSWER, "a")
ORDERS: tuple[Event, ...] = (
    Setup(ALICE, BOB, OFFER),
    Progress(Stage.TRYING, ANSWER),
    Progress(Stage.RINGING),
    Progress(Stage.SESSION, ANSWER),
    ProgressAck(),
    Accept(ANSWER),
    Confirm(ANSWER),
    Update(OFFER),
    Update(None),
    UpdateAccept(ANSWER),
    UpdateReject(Reason.MEDIA),
    Info("12"),
    Keyframe(),
    Candidates(None),
    Ringback(Sound.LOCAL),
    Stray("192.0.2.1", 4000),
)
STATUSES = (100, 180, 183, 199, 200, 202, 302, 401, 405, 408, 420, 481, 486, 488, 491, 500, 501, 503, 504, 580, 603)
METHODS = ("INVITE", "UPDATE", "PRACK", "BYE", "INFO", "OPTIONS", "REFER")
HEADERS = (
    (),
    (("allow", "INVITE, UPDATE, INFO"),),
    (("require", "100rel"), ("rseq", "1")),
    (("require", "100rel"), ("rseq", "2"), ("p-early-media", "sendonly")),
    (("contact", "<<<"),),
    (("retry-after", "1"), ("unsupported", "100rel")),
)
Step = Callable[[SipBench], object]


def order(event: Event) -> Step:
    return lambda bench: bench.leg.deliver(event)


def asked(method: str, sdp: str | None, tag: str) -> Step:
    return lambda bench: bench.request(method, sdp, tag=tag)


def acknowledged(sdp: str | None) -> Step:
    return lambda bench: bench.ack(sdp)


def answered(which: int, status: int, sdp: str | None, headers: tuple[tuple[str, str], ...]) -> Step:
    def step(bench: SipBench) -> None:
        if bench.port.asked:
            tx = bench.port.asked[-1 - which % min(3, len(bench.port.asked))]
            if fresh(bench, tx, status):
                bench.answer(tx, status, sdp, ("to", f"<sip:echo@ims.test>;tag=t{which}"), *headers)

    return step


def fresh(bench: SipBench, tx: Tx, status: int) -> bool:
    """Whether a real transaction would pass this on: after a final response, only a repeated 2xx to INVITE."""
    finals = bench.finals
    if tx in finals:
        return tx.request.method == "INVITE" and finals[tx] < 300 and 200 <= status < 300
    if status >= 200:
        finals[tx] = status
    return True


def unheard(bench: SipBench) -> None:
    tx = bench.port.asked[-1] if bench.port.asked else None
    if tx is not None and tx not in bench.finals:
        bench.finals[tx] = 408
        tx.user.got_failure(tx, Failure.TIMEOUT)


def waited(seconds: float) -> Step:
    return lambda bench: bench.clock.advance(seconds)


SDP = st.sampled_from([None, "x"])
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.sampled_from(ORDERS).map(order),
    st.builds(asked, st.sampled_from(METHODS), SDP, st.sampled_from(["t0", "t1"])),
    st.builds(acknowledged, SDP),
    st.builds(answered, st.integers(0, 2), st.sampled_from(STATUSES), SDP, st.sampled_from(HEADERS)),
    st.builds(answered, st.integers(0, 2), st.sampled_from(STATUSES), SDP, st.sampled_from(HEADERS)),
    st.just(unheard),
    st.sampled_from([0.1, 2.0, 35.0]).map(waited),
)


class AnyOrderTests(SynchronousTestCase):
    def drive(self, bench: SipBench, steps: list[Step]) -> None:
        for step in steps:
            step(bench)
        ended = [index for index, event in enumerate(bench.heard) if isinstance(event, End)]
        self.assertLessEqual(len(ended), 1, bench.heard)
        bench.end()
        for _ in range(40):
            bench.clock.advance(2)
            for tx in list(bench.port.asked):
                if tx not in bench.finals:
                    bench.finals[tx] = 408
                    tx.user.got_failure(tx, Failure.TIMEOUT)
        self.assertEqual(bench.state, State.ENDED)
        self.assertEqual(bench.port.dialogs, {})
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    @settings(max_examples=150, deadline=None)
    @given(st.lists(STEPS, max_size=25), st.booleans(), st.booleans())
    def test_outgoing(self, steps: list[Step], patent: bool, offerless: bool) -> None:
        """A call that we place: one end is told, and no timer, dialog or transaction outlives it."""
        bench = UacBench(PeerProfile(preconditions=True), patent=patent)
        bench.setup(None if offerless else "offer")
        self.drive(bench, steps)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(STEPS, max_size=25), st.booleans())
    def test_incoming(self, steps: list[Step], offerless: bool) -> None:
        """A call that we are given."""
        bench = UasBench(None if offerless else "offer", headers=(("allow", "INVITE, UPDATE"),))
        self.drive(bench, steps)
