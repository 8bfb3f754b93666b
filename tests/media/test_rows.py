"""What the engineer on duty reads of who carries the media."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ops.inspector import table
from tests.media.memory import Bench
from tests.media.test_rtpengine_nodes import Several


class RelayTests(SynchronousTestCase):
    def test_embedded(self) -> None:
        """The relay shows its calls, the ports that are left, and how many calls are converted."""
        bench = Bench()
        total = bench.backend.pairs.total
        self.assertEqual(
            bench.backend.rows(),
            [
                {
                    "carrier": "embedded",
                    "calls": 1,
                    "port pairs free": f"{total - 1} of {total}",
                    "converting": f"0 of {bench.backend.places.limit}",
                    "speaking": 0,
                }
            ],
        )
        bench.session.close()
        self.assertEqual(bench.backend.rows()[0]["calls"], 0)


class EngineTests(Several):
    def test_rtpengine(self) -> None:
        """Each engine shows whether it lives and what it carries."""
        self.start()
        self.call()
        lines = [line.split() for line in table(self.backend.rows(), "").splitlines()]
        self.assertEqual(lines[0], ["carrier", "state", "calls", "converting"])
        self.assertEqual([line[:2] for line in lines[1:]], [["127.0.0.1:2223", "up"], ["127.0.0.1:2225", "up"]])
        self.assertEqual(sorted(line[2] for line in lines[1:]), ["0", "1"])
