"""The mapping table: rows are found by every index, and never pile up."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.identity import SessionId
from rtcgw.store.table import Mapping, MemoryTable, TableFull

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")
DIALOG = ("call-id", "ours", "theirs")


class MemoryTableTests(SynchronousTestCase):
    """What a message that comes back needs in order to find its browser."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.table = MemoryTable(self.clock, limit=2, linger=32.0)

    def test_found_by_every_index(self) -> None:
        """A row is found by session, dialog, connection and pair of parties."""
        self.table.add(Mapping(A, "sip:alice@w", "tel:+1", connection="c1"))
        self.table.change(A, dialog=DIALOG, state="incall")
        row = self.table.get(A)
        assert row is not None
        self.assertEqual(row.state, "incall")
        self.assertEqual(self.table.by_dialog(DIALOG), row)
        self.assertEqual(self.table.by_connection("c1"), [row])
        self.assertEqual(self.table.by_pair("sip:alice@w", "tel:+1"), [row])
        self.assertEqual(self.table.by_pair("tel:+1", "sip:alice@w"), [])

    def test_lingers(self) -> None:
        """A released row is still found for 64*T1, then gone from every index."""
        self.table.add(Mapping(A, "s", "r", connection="c1", dialog=DIALOG))
        self.table.release(A)
        self.clock.advance(31)
        row = self.table.by_dialog(DIALOG)
        assert row is not None
        self.assertEqual(row.state, "released")
        self.clock.advance(1)
        self.assertIsNone(self.table.get(A))
        self.assertIsNone(self.table.by_dialog(DIALOG))
        self.assertEqual(self.table.by_connection("c1"), [])
        self.assertEqual(self.table.by_pair("s", "r"), [])
        self.assertEqual(len(self.table), 0)

    def test_full(self) -> None:
        """Released rows give way to new ones; live ones never do."""
        self.table.add(Mapping(A, "s", "r"))
        self.table.add(Mapping(B, "s", "r"))
        self.assertRaises(TableFull, self.table.add, Mapping(C, "s", "r"))
        self.table.release(A)
        self.table.add(Mapping(C, "s", "r"))
        self.assertIsNone(self.table.get(A))
        self.assertEqual({row.session for row in self.table.by_pair("s", "r")}, {B, C})

    def test_same_session_again(self) -> None:
        """A session entered again replaces its row and leaves no old index entry."""
        self.table.add(Mapping(A, "s", "r", connection="c1"))
        self.table.add(Mapping(A, "s", "r2", connection="c2"))
        self.assertEqual(self.table.by_connection("c1"), [])
        self.assertEqual(self.table.by_pair("s", "r"), [])
        self.assertEqual(len(self.table), 1)

    def test_unknown(self) -> None:
        """Changing or releasing what is not there changes nothing."""
        self.table.change(A, state="incall")
        self.table.release(A)
        self.assertEqual(len(self.table), 0)
