"""The gateway as `build` wires it and `start` starts it, in memory: one call, and a stop in the middle of another."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Records
from rtcgw.gateway import build
from rtcgw.media.embedded.backend import EmbeddedBackend
from tests.flows.rig import ECHO, MAIN, Page, configured
from tests.media.memory import phone_sdp
from tests.peers.ims_core import ImsCore
from tests.peers.network import MemoryNetwork, MemoryReactor
from tests.peers.webrtc import WebRtcPeer


class GatewayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.core = ImsCore(self.network)
        self.core.subscribe(MAIN.impi, MAIN.secret, *MAIN.impus)
        self.core.phone(ECHO, lambda call: call.answer(phone_sdp()))
        self.file = Path(self.mktemp())
        config = evolve(configured(), records=Records(str(self.file)))
        self.gateway = build(config, MemoryReactor(self.network), self.clock.seconds)
        self.successResultOf(self.gateway.start())
        self.network.advance(1)
        self.alice = Page("alice", self.gateway.browsers)
        self.alice.handshake()
        self.alice.login("alice")
        self.peer = WebRtcPeer(self.clock, lambda data, target: None)

    def test_call(self) -> None:
        """Every room has its neighbours: a page calls a phone, and the inspector sees it."""
        self.assertIsInstance(self.gateway.media, EmbeddedBackend)
        session = self.alice.call(ECHO, self.peer.offer())
        self.network.advance()
        self.assertEqual(self.alice.last("OK")["sdpType"], "answer")
        calls = self.gateway.inspector.show_calls()
        self.assertEqual([(call.session, call.state) for call in calls], [(session, "InCall")])
        self.alice.send("HANGUP", session=session)
        self.network.advance()
        self.assertTrue(self.core.calls[-1].ended)
        self.assertEqual(self.gateway.inspector.show_counters()["calls ended"], {"hangup": 1})
        self.stop()

    def test_stop(self) -> None:
        """Stopping ends the calls, de-registers, and leaves no timer and no port."""
        self.alice.call(ECHO, self.peer.offer())
        self.network.advance()
        self.stop()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "shutdown")
        self.assertTrue(self.core.calls[-1].ended)
        self.assertEqual(self.alice.close_code, 1001)
        (record,) = map(json.loads, self.file.read_text("utf-8").splitlines())
        self.assertEqual((record["reason"], record["side"], record["caller_user"]), ("shutdown", "gateway", "alice"))
        self.assertEqual(record["media"], "embedded")
        self.assertIn("shutdown", self.gateway.inspector.records())

    def stop(self) -> None:
        stopped = self.gateway.stop()
        for _ in range(50):
            self.alice.look()
            self.network.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.core.registered, {})
        self.network.advance(32)  # the reg subscription's last wait for a NOTIFY (RFC 6665 §4.1.2.2, timer N)
        self.assertEqual([str(call) for call in self.clock.getDelayedCalls()], [])
