"""The table of missed calls stays small, whoever calls how often."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.identity import Identity, SessionId
from rtcgw.store.missed import CALLS_LIMIT, USERS_LIMIT, MemoryMissed, MissedCall


def missed(number: int) -> MissedCall:
    return MissedCall(SessionId(f"s{number}"), Identity("sip:bob@ims.test"), float(number), "no-answer")


class MissedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = MemoryMissed()

    def test_order(self) -> None:
        """The oldest first; what was seen is gone, and there is no more to see."""
        self.table.add("alice", missed(1))
        self.table.add("alice", missed(2))
        self.table.add("bob", missed(3))
        self.assertEqual(self.table.of("alice"), (missed(1), missed(2)))
        self.assertTrue(self.table.clear("alice"))
        self.assertFalse(self.table.clear("alice"))
        self.assertEqual((self.table.of("alice"), self.table.of("bob")), ((), (missed(3),)))

    def test_many_calls(self) -> None:
        """Of somebody who is called all the time the newest are kept."""
        for number in range(CALLS_LIMIT + 3):
            self.table.add("alice", missed(number))
        self.assertEqual(len(self.table.of("alice")), CALLS_LIMIT)
        self.assertEqual(self.table.of("alice")[0], missed(3))

    def test_many_users(self) -> None:
        """The user who has longest missed nothing gives way."""
        for number in range(USERS_LIMIT):
            self.table.add(f"u{number}", missed(number))
        self.table.add("u0", missed(1))
        self.table.add("one more", missed(2))
        self.assertEqual(len(self.table), USERS_LIMIT)
        self.assertEqual((len(self.table.of("u0")), self.table.of("u1")), (2, ()))
