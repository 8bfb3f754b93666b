"""Whole calls through the embedded relay, in memory: what each end hears, and what happens when things change."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError, Party
from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.media.sdp import parse
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.media.memory import PHONE, Bench, Network, phone_sdp
from tests.peers.rtp import tone


class TestTalking(SynchronousTestCase):
    """Sound in both directions."""

    def test_browser_calls_phone(self) -> None:
        """Each hears the other's tone, nothing is lost, and the codec is shown."""
        bench = Bench()
        bench.call()
        bench.talk()
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertEqual((bench.voice.lost, bench.phone.lost), (0, 0))
        self.assertEqual(bench.states, ["ice", "dtls", "sound"])
        stats = bench.session.stats()
        self.assertEqual((stats.codec, stats.caller.packets, stats.callee.packets), ("PCMU", 30, 30))
        self.assertNotIn(bench.browser.password, repr(stats))

    def test_phone_calls_browser(self) -> None:
        """The browser answers an offer with the phone's codecs only."""
        bench = Bench(Access.CORE)
        offer = str(bench.session.offer(bench.core, phone_sdp("8 101")))
        self.assertEqual(parse(offer).media[0].formats, ["8", "101"])
        answer = str(bench.session.answer(bench.web, bench.browser.answer(offer), True))
        bench.listen_to(answer)
        self.assertEqual(parse(answer).media[0].formats, ["8", "101"])
        bench.phone.pt = bench.voice.pt = 8
        bench.phone._tone, bench.voice._tone = tone(1000, 8), tone(440, 8)
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_offerless_call(self) -> None:
        """A phone that calls without an offer gets one made of the browser's answer."""
        bench = Bench(Access.CORE)
        answer = bench.browser.answer(str(bench.session.make_offer(bench.web)))
        offer = str(bench.session.answer(bench.web, answer, True))
        bench.listen_to(offer)
        self.assertEqual(parse(offer).media[0].formats, ["0", "8", "101"], "G.722 could not become mu-law")
        bench.session.answer(bench.core, phone_sdp("0 101"), True)
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_offerless_browser(self) -> None:
        """A browser that calls without an offer is shown the phone's."""
        bench = Bench()
        offer = str(bench.session.offer(bench.core, phone_sdp()))
        bench.listen_to(str(bench.session.answer(bench.web, bench.browser.answer(offer), True)))
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_mu_law_meets_a_law(self) -> None:
        """Where a fork answers with the other G.711 the browser is told nothing new, and both still hear."""
        bench = Bench()
        bench.listen_to(str(bench.session.offer(bench.web, bench.browser.offer())))
        early = bench.session.answer(bench.core, phone_sdp("0 101"), False)
        self.assertEqual(bench.session.answer(bench.core, phone_sdp("8 101"), True), early)
        bench.phone.pt, bench.phone._tone = 8, tone(1000, 8)
        bench.browser.accept(str(early))
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertEqual((set(bench.voice.types), set(bench.phone.types)), ({0}, {8}))

    def test_keys_are_heard(self) -> None:
        """DTMF passes both ways, each side under its own payload number."""
        bench = Bench()
        bench.call()
        for digit in "159#":
            bench.voice.press(digit)
        bench.phone.press("7")
        bench.network.run()
        self.assertEqual((bench.phone.digits, bench.voice.digits), (["1", "5", "9", "#"], ["7"]))
        self.assertEqual((set(bench.phone.types), set(bench.voice.types)), ({101}, {126}))

    def test_phone_changes_its_source(self) -> None:
        """After a transfer the browser hears one unbroken stream."""
        bench = Bench()
        bench.call()
        bench.talk(5)
        bench.phone.jump()
        bench.talk()
        self.assertEqual((bench.voice.lost, len(bench.voice.sources)), (0, 1))
        self.assertEqual(bench.voice.frequency, 1000)


class TestChanges(SynchronousTestCase):
    """Re-offers, answered without asking the other party."""

    def test_session_refresh_changes_nothing(self) -> None:
        """The same re-INVITE twice gets the same answer, version included."""
        bench = Bench()
        bench.call()
        first = bench.reanswer(bench.core, phone_sdp(version=1))
        self.assertEqual(bench.reanswer(bench.core, phone_sdp(version=1)), first)

    def test_hold_and_resume(self) -> None:
        """A phone on hold hears nothing; after resuming it hears again."""
        for hold in (phone_sdp(direction="sendonly"), phone_sdp().replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0")):
            bench = Bench()
            bench.call()
            answer = str(bench.reanswer(bench.core, hold))
            self.assertIn("a=recvonly", answer)
            bench.talk(5)
            self.assertEqual((bench.phone.received, bench.voice.received), (0, 5))
            self.assertIn("a=sendrecv", str(bench.reanswer(bench.core, phone_sdp())))
            bench.talk(5)
            self.assertEqual(bench.phone.received, 5)

    def test_browser_holds(self) -> None:
        """A browser that only sends is not sent anything, and its phone is told so."""
        bench = Bench()
        bench.call()
        bench.browser.direction = "sendonly"
        self.assertIn("a=sendonly", bench.passed(bench.web, bench.browser.offer()))
        self.assertIn("a=recvonly", str(bench.session.answer(bench.core, phone_sdp(direction="recvonly"), True)))
        bench.talk(5)
        self.assertEqual((bench.phone.received, bench.voice.received), (5, 0))

    def test_ice_restart(self) -> None:
        """New credentials, the same handshake: sound goes on."""
        bench = Bench()
        bench.call()
        before = bench.leg.ufrag
        bench.browser.restart()
        answer = str(bench.reanswer(bench.web, bench.browser.offer()))
        self.assertNotIn(before, answer)
        bench.talk(5)
        bench.browser.accept(answer)
        bench.network.spend(1)
        bench.talk(30)
        self.assertTrue(bench.browser.answered)
        self.assertEqual((bench.voice.lost, bench.voice.frequency, bench.phone.frequency), (0, 1000, 440))

    def test_page_reloads(self) -> None:
        """Another page, another certificate: a new handshake, and the phone notices nothing."""
        bench = Bench()
        bench.call()
        bench.talk(5)
        bench.browser.close()
        bench.network.run()
        bench.new_browser(("192.0.2.1", 50001))
        bench.voice.jump()
        bench.browser.accept(str(bench.reanswer(bench.web, bench.browser.offer())))
        bench.network.spend(1)
        bench.talk(30)
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        self.assertEqual((bench.phone.lost, len(bench.phone.sources)), (0, 1))
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertEqual(bench.backend.web.known, (1, 1))

    def test_page_reloads_while_it_rings(self) -> None:
        """A called page that had connected early is reloaded before it is answered: the new page answers the same
        offer, with another certificate, and is heard; the phone had been told nothing and notices nothing."""
        bench = Bench(caller=Access.CORE)
        offer = str(bench.session.offer(bench.core, phone_sdp()))
        bench.session.answer(bench.web, bench.browser.answer(offer), False)
        bench.network.spend(1)
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        bench.browser.close()
        bench.network.run()
        bench.new_browser(("192.0.2.1", 50001))
        bench.listen_to(str(bench.session.answer(bench.web, bench.browser.answer(offer), True)))
        bench.network.spend(1)
        bench.talk(30)
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertEqual(bench.backend.web.known, (1, 1))
        self.assertEqual(bench.states[:4], ["ice", "dtls", "ice", "dtls"])

    def test_refused_change_leaves_the_call(self) -> None:
        """A re-offer without a usable codec is refused, and the sound goes on."""
        bench = Bench()
        bench.call()
        for wrong in (phone_sdp("18"), phone_sdp(proto="RTP/SAVP"), "rubbish"):
            error = self.assertRaises(MediaError, bench.session.reoffer, bench.core, wrong)
            self.assertIs(error.reason, Reason.MEDIA)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_offer_from_us_in_a_call(self) -> None:
        """A re-INVITE without an offer is given one, in the numbers used so far; the ACK's answer is taken."""
        bench = Bench()
        bench.call("0 97")
        offer = parse(str(bench.session.make_offer(bench.core)))
        self.assertEqual(offer.media[0].formats, ["0", "101"])
        bench.session.answer(bench.core, phone_sdp("0 97", address=("198.51.100.8", 4100)), True)
        bench.voice.play()
        bench.network.run()
        self.assertEqual(bench.network.sent[-1][2], ("198.51.100.8", 4100))


class TestLimits(SynchronousTestCase):
    """What is refused, dropped or ended."""

    def test_no_codec_in_common(self) -> None:
        """A phone that answers with G.729 only ends in 488, not in silence."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        error = self.assertRaises(MediaError, bench.session.answer, bench.core, phone_sdp("18"), True)
        self.assertIs(error.reason, Reason.MEDIA)

    def test_browser_never_connects(self) -> None:
        """An answered call whose browser sends no check ends after the set-up time, and says why."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        bench.session.answer(bench.core, phone_sdp(), True)
        bench.clock.pump([19.9, 0])
        self.assertEqual(bench.states, [])
        bench.clock.pump([0.2, 0])
        self.assertEqual([(news.party, news.state.name.lower()) for news in bench.news], [(Party.CALLER, "lost")])
        self.assertIn("did not connect", bench.news[0].detail)

    def test_killed_browser(self) -> None:
        """Thirty seconds without a check are the end; half of it is not."""
        bench = Bench()
        bench.call()
        bench.network.spend(60, 0.5)
        quiet = ["ice", "dtls", "silent", "silent"]  # nobody says a word
        self.assertEqual(bench.states, quiet)
        bench.browser.vanish()
        bench.network.spend(27, 0.5)
        self.assertEqual(bench.states, quiet)
        bench.network.spend(4, 0.5)
        self.assertEqual(bench.states, [*quiet, "lost"])

    def test_closed_page(self) -> None:
        """A page that closes its connection may be reloading: only after a while is it lost."""
        bench = Bench()
        bench.call()
        bench.browser.close()
        bench.network.spend(29, 0.5)
        self.assertEqual(bench.states, ["ice", "dtls"])
        bench.network.spend(2, 0.5)
        self.assertEqual(bench.states, ["ice", "dtls", "lost"])
        self.assertIn("did not come back", bench.news[-1].detail)

    def test_strangers_are_not_heard(self) -> None:
        """RTP from another host, and anything that is no RTP, is dropped and counted."""
        bench = Bench()
        bench.call()
        assert bench.phone_port is not None
        packet = b"\x80\x00" + bytes(170)
        for data, source in ((packet, ("203.0.113.9", 4000)), (b"\x00\x01" + bytes(30), PHONE), (packet[:11], PHONE)):
            bench.network.send(data, source, bench.phone_port)
        bench.network.run()
        self.assertEqual((bench.voice.received, bench.session.stats().callee.dropped), (0, 3))
        bench.phone.play()
        bench.network.run()
        self.assertEqual(bench.voice.received, 1)

    def test_ports_run_out(self) -> None:
        """Beyond the range a call is refused as overload; a call that ends makes room."""
        bench = Bench(settings=EmbeddedSettings(rtp_low=20000, rtp_high=20003))

        def another(name: str) -> None:
            bench.backend.open(SessionId(name), Access.WEB, Access.CORE, bench.news.append)

        another("s2")
        error = self.assertRaises(MediaError, another, "s3")
        self.assertIs(error.reason, Reason.OVERLOADED)
        self.assertEqual(bench.backend.web.known, (2, 0), "nothing is left of the refused one")
        bench.session.close()
        bench.clock.advance(0)
        another("s3")
        self.assertEqual(bench.backend.pairs.free, 0)

    def test_sessions_are_bounded(self) -> None:
        """Beyond the number of sessions a call is refused as overload."""
        bench = Bench(settings=EmbeddedSettings(max_sessions=1))
        error = self.assertRaises(
            MediaError, bench.backend.open, SessionId("s2"), Access.WEB, Access.CORE, bench.news.append
        )
        self.assertIs(error.reason, Reason.OVERLOADED)

    def test_other_programs_on_the_range(self) -> None:
        """A port that is taken is skipped; no half of a pair stays open."""
        bench = Bench()
        bench.network.taken.update({20002, 20005})
        bench.backend.open(SessionId("s2"), Access.WEB, Access.CORE, bench.news.append)
        bench.clock.advance(0)
        ports = sorted(port for host, port in bench.network.ports if host == "127.0.0.1" and port >= 20000)
        self.assertEqual(ports, [20000, 20001, 20006, 20007])

    def test_closing_leaves_nothing(self) -> None:
        """After the end no port, timer, ufrag or address is left, however often it is closed."""
        bench = Bench()
        bench.call()
        bench.session.close()
        bench.session.close()
        bench.browser.vanish()
        bench.network.spend(0.1)
        self.assertEqual(bench.backend.web.known, (0, 0))
        self.assertEqual(bench.backend.sessions, {})
        self.assertEqual(bench.backend.pairs.free, bench.backend.pairs.total)
        self.assertEqual([call for call in bench.clock.getDelayedCalls() if call.active()], [])
        done: Deferred[None] = bench.backend.stop()
        bench.clock.advance(0)
        self.successResultOf(done)
        self.assertNotIn(("127.0.0.1", 10000), bench.network.ports)

    def test_check_before_start(self) -> None:
        """`--check` says what it found, and leaves the ports alone."""
        network = Network()
        backend = EmbeddedBackend(EmbeddedSettings(), network.clock, network)
        checked: Deferred[str] = backend.check()
        network.clock.advance(0)
        self.assertIn("5000 of 5000", self.successResultOf(checked))
        self.assertEqual(network.ports, {})
        network.taken.add(10000)
        self.assertIn("10000", self.failureResultOf(backend.check(), MediaError).value.detail)
        self.assertRaises(MediaError, backend.start)

    def test_two_browsers_are_not_joined(self) -> None:
        """Two browsers need no relay; asking for one is refused."""
        bench = Bench()
        self.assertRaises(MediaError, bench.backend.open, SessionId("x"), Access.WEB, Access.WEB, bench.news.append)
