"""Real sockets on loopback: phones' sockets behind one descriptor, read as a reactor would read it."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.media import sockets
from tests.media.memory import Network

LOOPBACK = "127.0.0.1"


@implementer(IReactorFDSet)
class Watcher:
    """As much of a reactor as watches descriptors."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: IReadDescriptor) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        raise AssertionError("media sockets are never waited on for writing")

    def removeWriter(self, writer: Any) -> None:
        self.addWriter(writer)

    def removeAll(self) -> list[Any]:
        return self.readers

    def getReaders(self) -> list[Any]:
        return self.readers

    def getWriters(self) -> list[Any]:
        return []

    def turn(self) -> None:
        """Wait until something can be read, at most five seconds, and have it read."""
        for reader in select.select(self.readers, [], [], 5)[0]:
            reader.doRead()


class Collector(DatagramProtocol):
    """Keeps what it gets; the first datagram may meet a bug."""

    def __init__(self, broken: bool = False) -> None:
        self.got: list[tuple[bytes, tuple[str, int]]] = []
        self._broken = broken

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append((datagram, addr))
        if self._broken and len(self.got) == 1:
            raise RuntimeError("a bug of ours")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class TestGathered(SynchronousTestCase):
    def setUp(self) -> None:
        self.watcher = Watcher()
        self.opener = sockets.Gathered(self.watcher)
        self.addCleanup(self.opener.stop)

    def open(self, collector: Collector) -> tuple[sockets.Opened, int]:
        port = free_port()
        return self.opener.open(port, collector, LOOPBACK), port

    def read(self, collector: Collector, count: int) -> list[bytes]:
        for _ in range(count):
            if len(collector.got) < count:
                self.watcher.turn()
        return [data for data, _ in collector.got]

    def test_there_and_back(self) -> None:
        """Datagrams arrive with their sender, in order, each at its own socket."""
        one, other = Collector(), Collector()
        (first, first_port), (second, second_port) = self.open(one), self.open(other)
        for word in (b"a", b"b", b"c"):
            second.write(word, (LOOPBACK, first_port))
        first.write(b"d", (LOOPBACK, second_port))
        self.assertEqual(self.read(one, 3), [b"a", b"b", b"c"])
        self.assertEqual(self.read(other, 1), [b"d"])
        self.assertEqual({address for _, address in one.got}, {(LOOPBACK, second_port)})
        self.assertEqual(len(self.watcher.readers), 1, "one descriptor for the reactor, whatever the number of sockets")

    def test_closing(self) -> None:
        """A closed port is free at once; without sockets the reactor has nothing to watch."""
        opened, port = self.open(Collector())
        self.assertRaises(CannotListenError, self.opener.open, port, Collector(), LOOPBACK)
        self.successResultOf(opened.close())
        self.assertEqual(self.watcher.readers, [])
        self.successResultOf(self.opener.open(port, Collector(), LOOPBACK).close())

    def test_a_bug_stays_with_its_packet(self) -> None:
        """An error while carrying one packet is logged, and the next one is read."""
        broken = Collector(broken=True)
        opened, port = self.open(broken)
        opened.write(b"1", (LOOPBACK, port))
        opened.write(b"2", (LOOPBACK, port))
        self.assertEqual(self.read(broken, 2), [b"1", b"2"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_nobody_listens(self) -> None:
        """A phone whose port is closed costs nothing but its packets."""
        quiet = Collector()
        opened, port = self.open(quiet)
        opened.write(b"lost", (LOOPBACK, free_port()))
        opened.write(b"kept", (LOOPBACK, port))
        self.assertEqual(self.read(quiet, 1), [b"kept"])

    def test_other_reactors(self) -> None:
        """A reactor that watches no descriptors gets ordinary ports."""
        self.assertIsInstance(sockets.opener(Network()), sockets.Ported)
