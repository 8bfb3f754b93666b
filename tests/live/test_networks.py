"""The networks of the live tests by themselves: a namespace is another network, and a bad line is as bad as asked."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase

from tests.live.impairment import BadLine
from tests.live.netns import HOME, Namespace
from tests.live.requirements import need
from tests.live.running import Running
from tests.live.waiting import reactor, until

ECHO = """
import socket
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("", 4000))
print("ready", flush=True)
while True:
    data, where = port.recvfrom(2000)
    port.sendto(data, where)
"""
"""A program to be run in a namespace."""


class _Counter(DatagramProtocol):
    """Sends numbered datagrams, notes when each comes back."""

    def __init__(self) -> None:
        self.sent: dict[bytes, float] = {}
        self.trips: list[float] = []
        self.order: list[int] = []

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.trips.append(reactor.seconds() - self.sent[datagram])
        self.order.append(int(datagram))

    def ask(self, number: int, host: str) -> None:
        datagram = str(number).encode()
        self.sent[datagram] = reactor.seconds()
        assert self.transport is not None
        self.transport.write(datagram, (host, 4000))


@need("network")
class NetworkTests(TestCase):
    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.network = Namespace("test", 9)
        self.network.create()
        self.addCleanup(self.network.delete)

    async def echo(self) -> _Counter:
        """Something inside that answers, and something outside that asks."""
        inside = Running("echo", [*self.network.words, sys.executable, "-c", ECHO], self.folder)
        self.addCleanup(inside.stop)
        await inside.said("ready")
        counter = _Counter()
        port = reactor.listenUDP(0, counter, interface=self.network.ours)
        self.addCleanup(port.stopListening)
        return counter

    async def test_move(self) -> None:
        """What is inside is reached at its new address after the move, and no more at the old one."""
        self.network.join()
        counter = await self.echo()
        old = self.network.theirs
        counter.ask(1, old)
        await until("an answer", lambda: counter.order == [1], 3)
        self.network.move()
        self.assertNotEqual(old, self.network.theirs)
        counter.ask(2, old)
        counter.ask(3, self.network.theirs)
        await until("an answer from the new address alone", lambda: counter.order == [1, 3], 3)

    async def test_leftovers(self) -> None:
        """What a killed run has left, a process inside too, is gone before the next one begins."""
        self.network.join()
        await self.echo()
        left = self.network.processes()
        self.assertEqual(len(left), 1)
        again = Namespace("test", 9)
        again.create()
        self.assertEqual(again.processes(), [])
        again.join()
        again.delete()
        self.assertFalse((HOME / again.name).exists())
        self.assertFalse((Path("/sys/class/net") / again.outer).exists())

    async def test_bad_line(self) -> None:
        """Five packets of a hundred are lost each way, the others are up to 30 ms late and overtake each other."""
        line = BadLine(self.network, self.folder)
        await line.start()
        self.addCleanup(line.stop)
        counter = await self.echo()
        count = 1000
        for number in range(count):
            reactor.callLater(number * 0.003, counter.ask, number, self.network.theirs)
        await until("all have been sent", lambda: len(counter.sent) == count, 10)
        await until("the last has come back", lambda: max(counter.order) > count - 20, 3)
        # Lost on neither way: 0.95 * 0.95; three standard deviations of 1000 throws are 0.03.
        self.assertApproximates(len(counter.trips) / count, 0.9025, 0.03)
        self.assertApproximates(statistics.mean(counter.trips), 0.030, 0.008)
        self.assertGreater(statistics.pstdev(counter.trips), 0.008)
        self.assertNotEqual(counter.order, sorted(counter.order))
        await line.stop()
        carried, lost = line.counts()
        self.assertApproximates(lost / (carried + lost), 0.05, 0.02)
        device = Path("/sys/class/net") / self.network.outer
        await until("the devices are gone", lambda: not device.exists(), 3)
