"""Real sockets on loopback: the packet path as it runs in production, without a sleep."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase

from rtcgw.media import sockets

LOOPBACK = "127.0.0.1"


class Collector(DatagramProtocol):
    """Fires `done` when `wanted` datagrams have come."""

    def __init__(self, wanted: int, fail: bool = False) -> None:
        self.got: list[tuple[bytes, tuple[str, int]]] = []
        self.done: Deferred[None] = Deferred()
        self._wanted = wanted
        self._fail = fail

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.got.append((datagram, addr))
        if self._fail and len(self.got) < self._wanted:
            raise RuntimeError("a bug of ours")
        if len(self.got) == self._wanted:
            self.done.callback(None)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class TestOpeners(TestCase):
    """Both ways to read phones' sockets deliver the same."""

    timeout = 10

    def openers(self) -> list[sockets.Opener]:
        return [sockets.opener(reactor), sockets.Ported(reactor)]  # type: ignore[arg-type]

    async def test_there_and_back(self) -> None:
        """Datagrams arrive with their sender; after closing, the port is free again."""
        for opener in self.openers():
            one, other = Collector(3), Collector(1)
            ports = free_port(), free_port()
            first = opener.open(ports[0], one, LOOPBACK)
            second = opener.open(ports[1], other, LOOPBACK)
            for word in (b"a", b"b", b"c"):
                second.write(word, (LOOPBACK, ports[0]))
            first.write(b"d", (LOOPBACK, ports[1]))
            await one.done
            await other.done
            self.assertEqual(one.got, [(word, (LOOPBACK, ports[1])) for word in (b"a", b"b", b"c")])
            self.assertEqual(other.got, [(b"d", (LOOPBACK, ports[0]))])
            self.assertRaises(CannotListenError, opener.open, ports[0], Collector(1), LOOPBACK)
            await first.close()
            again = opener.open(ports[0], Collector(1), LOOPBACK)
            await again.close()
            await second.close()
            opener.stop()

    async def test_a_bug_stays_with_its_packet(self) -> None:
        """An error while carrying one packet is logged, and the next one is read."""
        opener = self.openers()[0]
        broken = Collector(2, fail=True)
        port = free_port()
        opened = opener.open(port, broken, LOOPBACK)
        opened.write(b"1", (LOOPBACK, port))
        opened.write(b"2", (LOOPBACK, port))
        await broken.done
        await opened.close()
        opener.stop()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_nobody_listens(self) -> None:
        """A phone whose port is closed costs nothing but its packets."""
        opener = self.openers()[0]
        quiet = Collector(1)
        port, nobody = free_port(), free_port()
        opened = opener.open(port, quiet, LOOPBACK)
        opened.write(b"lost", (LOOPBACK, nobody))
        opened.write(b"kept", (LOOPBACK, port))
        await quiet.done
        self.assertEqual(quiet.got[0][0], b"kept")
        await opened.close()
        opener.stop()
