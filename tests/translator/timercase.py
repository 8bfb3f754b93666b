"""Legs with session timers, placed and taken, and what is left of a call that dies of one."""

from __future__ import annotations

from enum import Enum
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Description, End, Kind, Update
from rtcgw.model.reason import Reason
from rtcgw.translator.sipstate import Asked, State
from rtcgw.translator.siptimer import Watch
from tests.translator.sipbench import SipBench, UacBench, UasBench

UPDATES = "INVITE, ACK, BYE, UPDATE"
NEW = Update(Description(Kind.OFFER, "new"))
OURS, THEIRS = ("session-expires", "100;refresher=uac"), ("session-expires", "100;refresher=uas")
TIMERS = ("supported", "timer")


class Case(SynchronousTestCase):
    """`walked`, `changes` and `ticks` are what the tables of legs, changes and timers met."""

    def setUp(self) -> None:
        self.walked: set[tuple[State, Any]] = set()
        self.changes: set[tuple[Asked, object]] = set()
        self.ticks: set[tuple[Watch, object]] = set()

    def watch(self, bench: SipBench) -> None:
        bench.changes = self.changes
        if bench.leg.timer is not None:
            bench.leg.timer.machine.watch = self._tick

    def _tick(self, label: str, old: Enum, event: Enum, new: Enum) -> None:
        self.ticks.add((Watch(old), event))

    def calling(self, session_expires: int = 100) -> UacBench:
        """A call that we place."""
        bench = UacBench(session_expires=session_expires)
        bench.walked = self.walked
        bench.setup()
        return bench

    def placed(self, expires: str = "", allow: str = UPDATES, supported: str = "timer", **ladder: Any) -> UacBench:
        """A call that we placed; its callee grants `expires`."""
        bench = UacBench(**({"session_expires": 100} | ladder))
        bench.setup()
        bench.response(200, "final", allow=allow, supported=supported, session_expires=expires)
        self.begun(bench)
        return bench

    def taken(self, expires: str = "", supported: str = "timer", allow: str = UPDATES, **ladder: Any) -> UasBench:
        """A call that we took; its caller asks for `expires`."""
        headers = (("allow", allow), *((("session-expires", expires),) if expires else ()))
        bench = UasBench(supported=supported, headers=headers, **({"session_expires": 100} | ladder))
        bench.leg.deliver(Accept(Description(Kind.ANSWER, "ours")))
        bench.ack()
        self.begun(bench)
        return bench

    def begun(self, bench: SipBench) -> None:
        self.assertIs(bench.state, State.TALKING)
        bench.heard.clear()
        bench.sent.clear()
        self.watch(bench)

    def dead(self, bench: SipBench, after: float) -> None:
        """The call ends `after` so many seconds, not before, and nothing runs on."""
        bench.clock.advance(after - 0.1)
        self.assertEqual((bench.heard, bench.state), ([], State.TALKING))
        bench.clock.advance(0.2)
        self.assertEqual((bench.heard, bench.sent[-1]), ([End(Reason.TIMEOUT)], "BYE"))
        self.assertEqual(bench.port.asked[-1].request.get("reason"), "Q.850;cause=102")
        self.assertEqual(bench.clock.getDelayedCalls(), [])
