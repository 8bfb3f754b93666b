"""No machine has a state in which it must stay, nor one that is never entered: read from the tables of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.machine import Table
from tools.draw_machines import tables

Arrows = Mapping[Enum, set[Enum]]


def arrows(table: Table[Any, Any]) -> Arrows:
    """From each state to the other ones that it may lead to."""
    return {
        state: {row.next for row in rows.values()} - {state}
        for state, rows in ((state, table.rows[state]) for state in table.states)
    }


def within_reach(start: Enum, ways: Arrows) -> set[Enum]:
    """The state itself, and all that come after it."""
    found, open_ = {start}, [start]
    while open_:
        for state in ways[open_.pop()] - found:
            found.add(state)
            open_.append(state)
    return found


class ExitTests(SynchronousTestCase):
    def test_every_state_is_entered(self) -> None:
        """A state that nothing leads to is a mistake, or a leftover. Both roles of the SIP leg share their states."""
        entered: dict[type[Enum], set[Enum]] = {}
        for _, table in tables():
            entered.setdefault(table.states, set()).update(within_reach(table.initial, arrows(table)))
        for states, found in entered.items():
            self.assertEqual({state for state in states if state not in found}, set(), states)

    def test_every_state_is_left(self) -> None:
        """From everywhere there is a way to an end; in a machine that never ends, from everywhere to everywhere."""
        for module, table in tables():
            ways = arrows(table)
            entered = within_reach(table.initial, ways)
            ends = {state for state in entered if not ways[state]}
            stuck = {state for state in entered if not ends & within_reach(state, ways)}
            if not ends:
                everywhere = entered - {table.initial}
                stuck = {state for state in entered if not everywhere <= within_reach(state, ways)}
            self.assertEqual(stuck, set(), (module, table.name))

    def test_ends(self) -> None:
        """An end is one that is meant: no machine stays where something is still to happen, so no timer runs there."""
        for module, table in tables():
            ways = arrows(table)
            ends = {state for state in within_reach(table.initial, ways) if not ways[state]}
            for timer in table.timers.values():
                self.assertEqual(ends & timer.states, set(), (module, table.name, timer.name))
