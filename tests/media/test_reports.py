"""Reports through a whole call, browser's encryption included."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.media.memory import PHONE, Bench
from tests.peers.rtp import sender_report


class TestThroughACall(SynchronousTestCase):
    def test_both_ways_through_a_call(self) -> None:
        """The phone's report reaches the browser and the other way round; a stranger's does not."""
        bench = Bench()
        bench.call()
        bench.talk(2)
        heard: list[bytes] = []
        bench.browser.on_rtcp = heard.append
        assert bench.phone_port is not None
        target = (bench.phone_port[0], bench.phone_port[1] + 1)
        report = sender_report(bench.phone.ssrc, 1)
        bench.network.send(report, (PHONE[0], PHONE[1] + 1), target)
        bench.network.send(report, ("203.0.113.9", 4001), target)
        bench.browser.send_rtcp(sender_report(bench.voice.ssrc, 1))
        bench.network.run()
        self.assertEqual((heard, len(bench.reports)), ([report], 1))
