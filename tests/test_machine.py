"""The state-machine idiom: tables decide everything, timers belong to states."""

from __future__ import annotations

from enum import Enum

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.machine import Machine, Row, Table, Timer, Undecided


class Light(Enum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


class Event(Enum):
    GO = "go"
    STOP = "stop"
    FAIL = "fail"
    EXPIRED = "expired"


class Lamp:
    def __init__(self, clock: Clock) -> None:
        self.seen: list[object] = []
        self.machine = Machine(TABLE, self, clock)

    def lit(self, *args: object) -> None:
        self.seen.append(("lit", self.machine.state, *args))

    def relay(self) -> None:
        self.machine.handle(Event.FAIL)
        self.seen.append("relayed")

    def broke(self) -> None:
        self.seen.append("broke")

    def fault(self) -> None:
        raise ZeroDivisionError

    def again(self) -> None:
        self.seen.append("expired")
        self.machine.arm("patience", 10)


ROWS = {
    (Light.RED, Event.GO): Row(Light.GREEN, (Lamp.lit,)),
    (Light.RED, Event.FAIL): Row(Light.BROKEN, (Lamp.broke,)),
    (Light.RED, Event.EXPIRED): Row(Light.RED, (Lamp.again,)),
    (Light.GREEN, Event.STOP): Row(Light.RED, (Lamp.relay,)),
    (Light.GREEN, Event.FAIL): Row(Light.BROKEN, (Lamp.fault,)),
    (Light.GREEN, Event.EXPIRED): Row(Light.BROKEN, (Lamp.broke,)),
}
IGNORED = {Light.RED: {Event.STOP}, Light.GREEN: {Event.GO}, Light.BROKEN: set(Event)}
TIMERS = [
    Timer("patience", frozenset({Light.RED, Light.GREEN}), lambda lamp: 5.0, Event.EXPIRED),
    Timer("never", frozenset({Light.GREEN}), lambda lamp: None, Event.FAIL),
]
TABLE: Table[Light, Event] = Table("lamp", Light.RED, Event, ROWS, IGNORED, TIMERS)


class TableTests(SynchronousTestCase):
    """A table that leaves a pair open is found when the program starts, not at night."""

    def test_undecided(self) -> None:
        """A pair that is neither a row nor ignored is refused by name."""
        with self.assertRaises(Undecided) as caught:
            Table("lamp", Light.RED, Event, ROWS, {Light.RED: {Event.STOP}, Light.GREEN: {Event.GO}})
        self.assertIn("BROKEN/GO", str(caught.exception))

    def test_decided_twice(self) -> None:
        """A pair that is both a row and ignored is refused as well."""
        ignored = {**IGNORED, Light.RED: {Event.STOP, Event.GO}}
        with self.assertRaises(Undecided) as caught:
            Table("lamp", Light.RED, Event, ROWS, ignored)
        self.assertIn("RED/GO", str(caught.exception))

    def test_picture(self) -> None:
        """The picture shows each state and each labelled arrow."""
        dot = TABLE.to_dot()
        self.assertIn('"RED" -> "GREEN" [label="GO"]', dot)
        self.assertIn('"GREEN" -> "BROKEN" [label="FAIL\\nEXPIRED"]', dot)


class MachineTests(SynchronousTestCase):
    """What a running machine does."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lamp = Lamp(self.clock)
        self.lamp.machine.start()

    def test_action_sees_the_new_state(self) -> None:
        """Actions run after the transition, with the event's arguments."""
        self.lamp.machine.handle(Event.GO, 1, "x")
        self.assertEqual(self.lamp.seen, [("lit", Light.GREEN, 1, "x")])

    def test_ignored(self) -> None:
        """An ignored event changes nothing."""
        self.lamp.machine.handle(Event.STOP)
        self.assertEqual((self.lamp.machine.state, self.lamp.seen), (Light.RED, []))

    def test_run_to_completion(self) -> None:
        """An event raised by an action waits until that action is done."""
        self.lamp.machine.handle(Event.GO)
        self.lamp.machine.handle(Event.STOP)
        self.assertEqual(self.lamp.seen[1:], ["relayed", "broke"])
        self.assertIs(self.lamp.machine.state, Light.BROKEN)

    def test_fault_in_action(self) -> None:
        """A fault reaches the caller and does not leave the machine stuck."""
        self.lamp.machine.handle(Event.GO)
        self.assertRaises(ZeroDivisionError, self.lamp.machine.handle, Event.FAIL)
        self.assertIs(self.lamp.machine.state, Light.BROKEN)
        self.lamp.machine.handle(Event.GO)

    def test_timer_spans_its_states(self) -> None:
        """A timer runs on across the states it names, and stops outside them."""
        self.clock.advance(3)
        self.lamp.machine.handle(Event.GO)
        self.assertEqual(self.lamp.machine.timers(), {"patience": 2.0})
        self.clock.advance(2)
        self.assertIs(self.lamp.machine.state, Light.BROKEN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_timer_cancelled_on_leaving(self) -> None:
        """No timer is left behind in a state that has none."""
        self.lamp.machine.handle(Event.FAIL)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_armed_again(self) -> None:
        """An action may arm its state's timer with another delay."""
        self.clock.advance(5)
        self.assertEqual(self.lamp.machine.timers(), {"patience": 10.0})
        self.clock.advance(10)
        self.assertEqual(self.lamp.seen, ["expired", "expired"])

    def test_arm_outside(self) -> None:
        """A timer cannot be armed in a state that does not own it."""
        self.lamp.machine.handle(Event.FAIL)
        self.lamp.machine.arm("patience", 1)
        self.assertEqual(self.lamp.machine.timers(), {})

    def test_watched(self) -> None:
        """The watch hook sees every transition."""
        seen: list[tuple[str, Enum, Enum, Enum]] = []
        self.lamp.machine.watch = lambda *step: seen.append(step)
        self.lamp.machine.handle(Event.GO)
        self.assertEqual(seen, [("lamp", Light.RED, Event.GO, Light.GREEN)])
