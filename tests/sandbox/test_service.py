"""The sandbox as a service."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from rtcgw.config import Config
from rtcgw.sandbox.preset import phone_uri, sandbox_config
from rtcgw.sandbox.service import SandboxService
from tests.peers.network import MemoryNetwork, MemoryReactor
from tests.sandbox.world import PORT, World


class ServiceTests(TestCase):
    def test_starts_and_stops(self) -> None:
        """It listens when `start` has fired, on loopback only, and leaves no port behind."""
        network = MemoryNetwork(Clock())
        config = sandbox_config(False, Config())
        service = SandboxService(
            evolve(config, sandbox=evolve(config.sandbox, core_port=16060)), MemoryReactor(network)
        )
        self.assertEqual(service.core_port, 16060)
        self.successResultOf(service.start())
        self.assertEqual(service.core_port, 16060)
        self.assertIn(("127.0.0.1", 16060), network._receivers)
        self.assertEqual({host for host, _ in network._receivers}, {"127.0.0.1"})
        self.successResultOf(service.stop())
        self.assertEqual(network._receivers, {})

    def test_stops_without_having_started(self) -> None:
        """A gateway that failed to start can still be stopped."""
        service = SandboxService(sandbox_config(False, Config()), MemoryReactor(MemoryNetwork(Clock())))
        self.successResultOf(service.stop())

    def test_stops_amid_calls(self) -> None:
        """Ringing, talking, being forwarded, waiting to call back: all of it ends, timers and ports included."""
        world = World()
        world.register("alice")
        world.register("bob")
        for name in ("echo", "tone", "early", "ring", "caller", "bob"):
            world.on_request = lambda tx: None
            world.invite("alice", name)
        world.advance(1)
        self.successResultOf(world.service.stop())
        world.layer.close()
        world.advance()
        self.assertEqual(world.clock.getDelayedCalls(), [])
        self.assertEqual(world.ports, {PORT})

    def test_strangers_are_not_heard(self) -> None:
        """A packet that is not from this machine gets no answer."""
        world = World()
        request = world.new("OPTIONS", "alice", "sip:sandbox.test")
        request.set("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport")
        before = len(world.network.packets)
        world.network.send(request.to_bytes(), ("192.0.2.1", 5060), ("127.0.0.1", 15060))
        world.advance()
        self.assertEqual(len(world.network.packets), before + 1)

    def test_secrets_are_not_shown(self) -> None:
        """What is printed of the sandbox tells no secret."""
        world = World()
        world.register("alice")
        assert world.service.core is not None
        shown = f"{world.service!r} {world.service.core!r} {world.service.phones!r}"
        for profile in world.config.profiles:
            self.assertNotIn(profile.secret, shown)
        self.assertIn(phone_uri("echo"), shown)
