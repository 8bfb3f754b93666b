"""Whole calls of a client without ICE: offer, answer, changes, and nothing left when they are over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.sdp import parse
from rtcgw.media.webside.dtls import Identity
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.media.descriptions import page, phone, phone_line, used, web_line
from tests.media.memory import BROWSER, Bench, phone_sdp
from tests.peers.plain import PlainPeer

MOVED = (BROWSER[0], 50020)


class PlainBench(Bench):
    """A bench whose browser is a client without ICE."""

    def __init__(self, caller: Access = Access.WEB, settings: EmbeddedSettings | None = None) -> None:
        super().__init__(caller, settings, web=Access.PLAIN)
        self.client = self.new_client()

    def new_client(self, identity: Identity | None = None) -> PlainPeer:
        """A client at the browser's address, in its place."""
        self.browser.vanish()
        client = PlainPeer(self.clock, self._from_client, BROWSER, identity=identity)
        client.on_rtp = self._to_browser
        self.network.ports[BROWSER] = client.datagram
        self.network.ports[MOVED] = client.datagram
        self.at = BROWSER
        self.browser = self.client = client
        return client

    def _from_client(self, data: bytes, target: tuple[str, int]) -> None:
        self.network.send(data, self.at, target)


class PlainEndTests(SynchronousTestCase):
    def heard(self, bench: Bench) -> None:
        """Both hear each other from now on."""
        before = bench.phone.received, bench.voice.received
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440), bench.browser.failure)
        self.assertEqual((bench.phone.received, bench.voice.received), (before[0] + 30, before[1] + 30))

    def test_calls(self) -> None:
        """The client calls: no word of ICE in its answer, a port of its own, sound both ways."""
        bench = PlainBench()
        bench.call()
        answer = parse(bench.told_web)
        self.assertNotIn("ice-lite", answer.attributes)
        self.assertNotEqual(answer.media[0].port, bench.backend.port)
        self.heard(bench)
        self.assertEqual(bench.states, ["ice", "dtls", "sound"])
        self.assertIn("without ICE", bench.session.stats().state)

    def test_is_called(self) -> None:
        """The client answers, being the DTLS client or waiting for us to be it."""
        for active in (True, False):
            bench = PlainBench(Access.CORE)
            bench.client.active = active
            offer = str(bench.session.offer(bench.core, phone_sdp("0 101")))
            bench.listen_to(str(bench.session.answer(bench.web, bench.client.answer(offer), True)))
            bench.network.spend(1)
            self.heard(bench)

    def test_moves(self) -> None:
        """A NAT that gives it another port is noticed with its next packet, and sound goes on."""
        bench = PlainBench()
        bench.call()
        self.heard(bench)
        bench.at = MOVED
        self.heard(bench)
        self.assertEqual(bench.session.talks.end.leg.address, MOVED)

    def test_changes(self) -> None:
        """Hold and resume of either side leave the handshake alone."""
        bench = PlainBench()
        bench.call()
        port = parse(bench.told_web).media[0].port
        self.assertIn("a=recvonly", bench.reanswer(bench.core, phone_sdp(direction="sendonly", version=2)))
        bench.reanswer(bench.core, phone_sdp(version=3))
        self.heard(bench)
        bench.client.direction = "sendonly"
        self.assertIn("a=sendonly", bench.passed(bench.web, bench.client.offer()))
        bench.client.accept(str(bench.session.answer(bench.core, phone_sdp(direction="recvonly", version=4), True)))
        bench.client.direction = "sendrecv"
        bench.passed(bench.web, bench.client.offer())
        bench.client.accept(str(bench.session.answer(bench.core, phone_sdp(version=5), True)))
        self.heard(bench)
        self.assertEqual(parse(bench.told_web).media[0].port, port)

    def test_refused_changes(self) -> None:
        """A change that the phone refuses, a broken one, and an offer of ours that comes to nothing: sound goes on."""
        bench = PlainBench()
        bench.call()
        bench.client.direction = "sendonly"
        bench.passed(bench.web, bench.client.offer())
        bench.session.revert()
        self.heard(bench)
        self.assertRaises(MediaError, bench.session.reoffer, bench.web, "rubbish")
        offer = str(bench.session.make_offer(bench.web))
        self.assertNotIn("ice-ufrag", offer)
        self.heard(bench)
        bench.session.revert()
        self.heard(bench)

    def test_answers_a_new_offer(self) -> None:
        """An offer of ours in the call, answered: the same association goes on."""
        bench = PlainBench()
        bench.call()
        offer = str(bench.session.make_offer(bench.web))
        bench.session.answer(bench.web, bench.client.answer(offer), True)
        self.heard(bench)

    def test_begins_anew(self) -> None:
        """The client's program starts again: another certificate, another handshake on the same port."""
        bench = PlainBench()
        bench.call()
        self.heard(bench)
        bench.new_client(Identity())
        bench.voice.jump()
        bench.client.accept(bench.reanswer(bench.web, bench.client.offer()))
        bench.network.spend(1)
        self.heard(bench)
        self.assertEqual(bench.backend.counters["browser unproven"], 0)

    def test_pictures(self) -> None:
        """A client that bundles may send pictures through the same port."""
        bench = PlainBench()
        bench.session.offer(bench.web, page(web_line(port=50000), web_line("video", "1")))
        answer = bench.session.answer(bench.core, phone(phone_line(), phone_line("video", (96,), port=5000)), True)
        self.assertEqual(used(str(answer)), [("audio", True), ("video", True)])
        self.assertEqual(len({media.port for media in parse(str(answer)).media}), 1)

    def test_nothing_is_left(self) -> None:
        """After the end, after a refused set-up, and where ports ran out: no port, no timer, no session."""
        bench = PlainBench(settings=EmbeddedSettings(rtp_low=20000, rtp_high=20005))
        bench.call()
        self.assertEqual(bench.backend.pairs.free, 1)
        error = self.assertRaises(
            MediaError, bench.backend.open, SessionId("s2"), Access.PLAIN, Access.CORE, bench.news.append
        )
        self.assertIs(error.reason, Reason.OVERLOADED)
        bench.clock.advance(0)
        self.assertEqual(bench.backend.pairs.free, 1)
        bench.session.close()
        bench.client.vanish()
        bench.network.spend(0.1)
        self.assertEqual((bench.backend.pairs.free, bench.backend.sessions), (3, {}))
        self.assertEqual([call for call in bench.clock.getDelayedCalls() if call.active()], [])
        self.assertEqual([port for host, port in bench.network.ports if host == "127.0.0.1"], [10000])
        again = bench.backend.open(SessionId("s3"), Access.PLAIN, Access.CORE, bench.news.append)
        self.assertRaises(MediaError, again.offer, bench.web, "rubbish")
        again.close()
        bench.clock.advance(0)
        self.assertEqual(bench.backend.pairs.free, 3)

    def test_counted(self) -> None:
        """Whatever strangers send to its port is counted, also once the call is over."""
        bench = PlainBench()
        bench.call()
        port = parse(bench.told_web).media[0].port
        for data in (b"\x00" * 30, b"\x80\x00" + bytes(40), b"\x16" + bytes(60), b"\xff"):
            bench.network.send(data, ("203.0.113.9", 9), ("127.0.0.1", port))
        bench.network.run()
        self.assertEqual(bench.backend.counters["browser unproven"], 4)
        bench.session.close()
        self.assertEqual(bench.backend.counters["browser unproven"], 4)
        self.assertEqual(bench.backend.counters["phone stranger"], 0)
