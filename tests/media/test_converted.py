"""Whole calls whose sound is converted or encrypted on the phone's side: DTLS, descriptions, packets, figures."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.packets import srtp
from rtcgw.media.packets.sdes import Crypto
from rtcgw.model.peer import PeerProfile, Srtp
from tests.media.memory import BROWSER, PHONE, Bench, phone_sdp
from tests.media.tones import OPUS, PCMA, Heard, listen, loudest, packets


class TestConverted(SynchronousTestCase):
    def bench(self, answer: str = "8") -> Bench:
        """A page with Opus only has called a phone with G.711 only."""
        bench = Bench()
        bench.new_browser(BROWSER, formats=[111, 110])
        bench.call(answer)
        return bench

    def test_each_hears_the_other(self) -> None:
        """A page with Opus only and a phone with A-law only: both tones arrive, and the record says how."""
        bench = self.bench()
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        heard: dict[str, list[Heard]] = {"page": [], "phone": []}
        bench.browser.on_rtp = lambda packet: heard["page"].append(Heard.parse(packet))
        bench.network.ports[PHONE] = lambda data, _: heard["phone"].append(Heard.parse(data))
        assert bench.phone_port is not None
        for up, down in zip(packets(OPUS, 20, 1.0), packets(PCMA, 20, 1.0, ssrc=8), strict=True):
            bench.browser.send_rtp(up)
            bench.network.send(down, PHONE, bench.phone_port)
            bench.network.run()
            bench.clock.advance(0.02)
        self.assertEqual([{one.pt for one in ends} for ends in heard.values()], [{111}, {8}])
        for codec, ends, rate in ((OPUS, heard["page"], 16000), (PCMA, heard["phone"], 8000)):
            self.assertEqual(len(ends), 50)
            self.assertLess(abs(loudest(listen(codec, ends)[rate // 5 :], rate) - 440), 4)
        stats = bench.session.stats()
        self.assertEqual((stats.transcoding, stats.caller.codec, stats.callee.codec), (True, "OPUS", "PCMA"))
        self.assertEqual((stats.caller.lost, stats.callee.lost), (0, 0))
        self.assertTrue(3.5 < (stats.caller.mos or 0) < 4.5, stats)

    def test_places_are_given_back(self) -> None:
        """The end of a call makes room for another conversion."""
        bench = self.bench()
        self.assertEqual(bench.backend.places.used, 1)
        bench.session.close()
        self.assertEqual(bench.backend.places.used, 0)


class TestEncrypted(SynchronousTestCase):
    def test_a_phone_with_keys(self) -> None:
        """By SDES sound passes both ways; nothing of it, and no forgery, passes in the clear (RFC 4568)."""
        bench = Bench(settings=EmbeddedSettings(), peer=PeerProfile(srtp=Srtp.SDES))
        offer = str(bench.session.offer(bench.web, bench.browser.offer()))
        bench.listen_to(offer)
        lines = re.findall(r"a=crypto:(.+)\r\n", offer)
        ours = next(found for line in lines if (found := Crypto.parse(line)) is not None)
        theirs = Crypto.make(ours.tag, ours.suite)
        answer = phone_sdp("0 101", proto="RTP/SAVP", extra=f"a=crypto:{theirs.line}\r\n")
        bench.browser.accept(str(bench.session.answer(bench.core, answer, True)))
        bench.network.spend(1)
        opened, closed = srtp.opening(ours.profile, ours.key), srtp.closing(theirs.profile, theirs.key)
        bench.network.ports[PHONE] = lambda data, _: bench.phone.feed(opened.rtp(data))
        plain = bench.phone.send
        bench.phone.send = lambda packet: plain(closed.rtp(packet))
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        heard = bench.voice.received
        bench.phone.send = plain
        bench.talk(5)
        self.assertEqual(bench.voice.received, heard)
        self.assertEqual(bench.session.stats().callee.dropped, 5)
        self.assertNotIn(ours.line, repr(bench.session.stats()))
