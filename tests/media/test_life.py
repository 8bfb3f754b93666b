"""Who has gone quiet, a browser that must begin anew, and clients without ICE."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError, MediaNews, News
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.model.peer import PeerProfile
from tests.media.descriptions import line, page, phone, web_line
from tests.media.memory import Bench, phone_sdp


class TestSilence(SynchronousTestCase):
    """Nothing comes of a party that should send."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.bench.call()

    def speak(self, seconds: int, phone: bool = True, voice: bool = True) -> None:
        """Time passes, one packet a second of each who speaks."""
        for _ in range(seconds):
            if phone:
                self.bench.phone.play()
            if voice:
                self.bench.voice.play()
            self.bench.network.spend(1, 0.5)

    def quiet(self) -> list[tuple[object, str]]:
        states = (News.SILENT, News.HEARD, News.LOST)
        return [(news.party, news.state.name) for news in self.bench.news if news.state in states]

    def test_a_phone_falls_silent(self) -> None:
        """It is told after ten seconds, once; and again when the phone is heard."""
        self.speak(12)
        self.assertEqual(self.quiet(), [])
        self.speak(30, phone=False)
        self.assertEqual(self.quiet(), [(self.bench.core, "SILENT")])
        self.speak(6)
        self.assertEqual(self.quiet(), [(self.bench.core, "SILENT"), (self.bench.core, "HEARD")])

    def test_hold_is_no_silence(self) -> None:
        """Who has said that it does not send is not missed; after the hold it has its time."""
        self.bench.reanswer(self.bench.core, phone_sdp(direction="recvonly"))
        self.speak(30, phone=False)
        self.assertEqual(self.quiet(), [])
        self.bench.reanswer(self.bench.core, phone_sdp())
        self.speak(9, phone=False)
        self.assertEqual(self.quiet(), [])

    def test_before_the_answer(self) -> None:
        """While it rings nobody needs to speak."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        bench.browser.accept(str(bench.session.answer(bench.core, phone_sdp(), False)))
        bench.network.spend(30, 0.5)
        self.assertEqual(bench.states, ["ice", "dtls"])

    def test_the_end_by_the_profile(self) -> None:
        """A profile may end the call; the loss is that of who was silent."""
        self.bench = Bench(peer=PeerProfile(media_timeout=15.0))
        self.bench.call()
        self.speak(25, phone=False)
        self.assertEqual(self.quiet(), [(self.bench.core, "SILENT"), (self.bench.core, "LOST")])
        self.assertIn("no packet of the callee", self.bench.news[-1].detail)

    def test_the_listener_closes(self) -> None:
        """A session closed by what it tells leaves no timer behind."""

        def close(news: MediaNews) -> None:
            self.bench.session.close()

        self.bench.session.life._on_news = close
        self.bench.browser.vanish()
        self.bench.clock.pump([5] * 20)
        self.assertEqual([call for call in self.bench.clock.getDelayedCalls() if call.active()], [])


class TestNewStart(SynchronousTestCase):
    """An offer for a browser whose connection came to nothing."""

    def test_fresh_credentials(self) -> None:
        """Everything as it was but the credentials; the phone is not concerned, and sound flows at last."""
        bench = Bench()
        bench.call()
        before, core = bench.told_web, bench.told_core
        offer = str(bench.session.make_offer(bench.web))
        self.assertNotEqual(line(offer).get("ice-ufrag"), line(before).get("ice-ufrag"))
        self.assertEqual((line(offer).codecs, line(offer).get("setup")), (line(before).codecs, "actpass"))
        bench.browser.restart()
        self.assertEqual(bench.session.answer(bench.web, bench.browser.answer(offer), True), core)
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertEqual(bench.backend.web.known, (1, 1))

    def test_refused(self) -> None:
        """A browser that refuses goes on with the credentials that it knows."""
        bench = Bench()
        bench.call()
        before = (bench.leg.ufrag, bench.leg.password, bench.told_web)
        bench.session.make_offer(bench.web)
        bench.session.revert()
        self.assertEqual((bench.leg.ufrag, bench.leg.password, bench.told_web), before)
        bench.network.spend(10)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        bench.session.revert()
        self.assertEqual(bench.told_web, before[2], "nothing to undo")


class TestAddresses(SynchronousTestCase):
    """IPv6, and clients without ICE."""

    def test_ipv6(self) -> None:
        """Each side is told addresses of its family; a phone of the other family is refused."""
        settings = EmbeddedSettings(announce=("2001:db8::1", "192.0.2.9"), core_announce="2001:db8::2")
        bench = Bench(settings=settings)
        core = str(bench.session.offer(bench.web, page()))
        self.assertIn("c=IN IP6 2001:db8::2\r\n", core)
        self.assertIn("b=AS:88", core)
        error = self.assertRaises(MediaError, bench.session.answer, bench.core, phone(), True)
        self.assertIn("IPv4", error.detail)
        web = str(bench.session.answer(bench.core, phone(host="2001:db8::77"), True))
        self.assertIn("c=IN IP6 2001:db8::1\r\n", web)
        self.assertEqual([value.split()[4] for value in line(web).attributes["candidate"]], list(settings.announce))

    def test_client_without_ice(self) -> None:
        """It is told a port of its own and nothing of ICE, and the port is free after the call."""
        bench = Bench(web=Access.PLAIN)
        free = bench.backend.pairs.free
        text = page(web_line()).replace("a=ice-ufrag:ufr1\r\n", "")
        bench.session.offer(bench.web, text)
        answer = str(bench.session.answer(bench.core, phone(), True))
        self.assertNotIn("a=ice", answer)
        self.assertNotIn("candidate", answer)
        self.assertIn(("127.0.0.1", line(answer).port), bench.network.ports)
        bench.session.close()
        bench.clock.advance(0)
        self.assertEqual(bench.backend.pairs.free, free + 2)
