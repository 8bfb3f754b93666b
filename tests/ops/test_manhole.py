"""The manhole: who gets in, and where it refuses to be."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import TestCase

from rtcgw.config import ConfigError, Manhole
from rtcgw.ops.manhole import CONNECTIONS, ManholeServer

SETTINGS = Manhole(enabled=True, password="long enough")


IAC, DONT, DO, WONT, WILL = 255, 254, 253, 252, 251
CONSENT = {WILL: DO, WONT: DONT, DO: WILL, DONT: WONT}


class Telnet:
    """An engineer's telnet: what is typed goes in, what is shown comes out. It agrees to every option."""

    def __init__(self, server: ManholeServer) -> None:
        self.protocol: Any = server.factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self._negotiate()

    def type(self, line: str) -> str:
        """Send a line; the text shown for it."""
        self.protocol.dataReceived(line.encode() + b"\r\n")
        return self._negotiate()

    def _negotiate(self) -> str:
        """Answer what the server proposed since the last time; all that it showed meanwhile."""
        shown = b""
        while new := self.transport.value():
            self.transport.clear()
            shown += new
            for at, byte in enumerate(new[:-2]):
                if byte == IAC and new[at + 1] in CONSENT:
                    self.protocol.dataReceived(bytes((IAC, CONSENT[new[at + 1]], new[at + 2])))
        return shown.decode("latin-1")


class RefusalTests(TestCase):
    def refused(self, settings: Manhole) -> str:
        reactor = MemoryReactorClock()
        failure = self.failureResultOf(ManholeServer(settings, {}, reactor).start(), ConfigError)
        self.assertEqual(reactor.tcpServers, [])
        return str(failure.value)

    def test_beyond_loopback(self) -> None:
        """It does not listen where others could reach it, whatever the configuration says."""
        for listen in ("tcp:8023", "tcp:8023:interface=192.0.2.1", r"tcp:8023:interface=\:\:"):
            self.assertIn("[manhole] listen", self.refused(Manhole(True, listen, "admin", "long enough")))

    def test_without_password(self) -> None:
        """It does not listen without a password."""
        self.assertIn("[manhole] password", self.refused(Manhole(enabled=True)))


class PromptTests(TestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.server = ManholeServer(SETTINGS, {"calls": lambda: "no calls"}, self.reactor)
        self.successResultOf(self.server.start())

    def test_listens_where_told(self) -> None:
        """It listens on the configured loopback port."""
        port, _, _, interface = self.reactor.tcpServers[0][:4]
        self.assertEqual((port, interface), (8023, "127.0.0.1"))

    def test_right_password(self) -> None:
        """With name and password one gets a prompt that knows the inspector's names."""
        telnet = Telnet(self.server)
        telnet.type("admin")
        telnet.type("long enough")
        self.assertIn("no calls", telnet.type("calls()"))

    def test_wrong_password(self) -> None:
        """A wrong name or password gets no prompt, and after three tries no connection."""
        telnet = Telnet(self.server)
        for user, password in (("admin", "wrong"), ("root", "long enough"), ("admin", "")):
            self.assertFalse(telnet.transport.disconnecting)
            telnet.type(user)
            self.assertNotIn(">>>", telnet.type(password))
        self.assertTrue(telnet.transport.disconnecting)
        self.assertNotIn("no calls", telnet.type("calls()"))

    def test_few_at_once(self) -> None:
        """Connections are bounded, logged in or not; one that ends makes room."""
        open_ones = [Telnet(self.server) for _ in range(CONNECTIONS)]
        self.assertIsNone(self.server.factory.buildProtocol(None))
        open_ones[0].protocol.connectionLost()
        self.assertIsNotNone(self.server.factory.buildProtocol(None))

    def test_stop_closes_prompts(self) -> None:
        """Stopping the gateway closes every prompt."""
        telnet = Telnet(self.server)
        self.successResultOf(self.server.stop())
        self.assertTrue(telnet.transport.disconnecting)

    def test_password_is_not_shown(self) -> None:
        """Neither the settings nor the server tell the password."""
        self.assertNotIn("long enough", repr(SETTINGS) + repr(vars(self.server)))
