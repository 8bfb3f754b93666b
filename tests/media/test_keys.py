"""Keys in the sound of whole calls, both ways, and music in every codec."""

from __future__ import annotations

from array import array

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import News
from rtcgw.media.packets.music import Music
from rtcgw.media.sdp import Codec
from rtcgw.model.peer import Dtmf, PeerProfile
from rtcgw.model.wave import Wave
from tests.media.memory import Bench, phone_sdp
from tests.media.tones import Heard, listen, loudest, rate_of, sine


class KeyTests(SynchronousTestCase):
    def test_to_the_phone(self) -> None:
        """The phone hears each key once, in the numbers it knows, and the page's voice before and after."""
        bench = Bench()
        bench.call("0 101")
        bench.talk(3)
        self.assertTrue(bench.session.press(bench.core, "12#", 80))
        bench.network.spend(1)
        bench.talk(3)
        self.assertEqual((bench.phone.digits, bench.phone.lost, len(bench.phone.sources)), (["1", "2", "#"], 0, 1))
        self.assertFalse(bench.session.press(bench.web, "1", 80), "a page is told by signalling")
        bench.session.close()
        self.assertFalse(bench.session.press(bench.core, "1", 80))
        self.assertEqual(bench.backend.metronome.speaking, 0)

    def test_not_in_the_sound(self) -> None:
        """A phone that knows no events, one whose profile wants INFO, one on hold: by signalling, or not at all."""
        for formats, peer, direction in (
            ("0", None, "sendrecv"),
            ("0 101", PeerProfile(dtmf=Dtmf.INFO), "sendrecv"),
            ("0 101", None, "sendonly"),
        ):
            bench = Bench(peer=peer)
            bench.session.offer(bench.web, bench.browser.offer())
            bench.session.answer(bench.core, phone_sdp(formats, direction), True)
            self.assertFalse(bench.session.press(bench.core, "1", 100), formats)
            bench.session.close()

    def test_of_the_phone(self) -> None:
        """Each is told once, and passes on to the page as before."""
        bench = Bench()
        bench.call("0 101")
        bench.phone.play()
        for key in "5#":
            bench.phone.press(key)
            bench.network.spend(0.1)
        told = [(news.party, news.detail) for news in bench.news if news.state is News.KEYS]
        self.assertEqual(told, [(bench.core, "5"), (bench.core, "#")])
        self.assertEqual(bench.voice.digits, ["5", "#"])

    def test_early(self) -> None:
        """A voice menu before the answer takes keys; a called page that has not answered presses none."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        bench.session.answer(bench.core, phone_sdp("0 101"), False)
        self.assertTrue(bench.session.press(bench.core, "1", 80))
        bench.session.close()


class MusicTests(SynchronousTestCase):
    """The file in each codec, measured."""

    def heard(self, codec: Codec, rate: int, hertz: float) -> float:
        """The loudest frequency of a second of the music, as its receiver hears it."""
        wave = Wave(rate, array("h", sine(rate, 1, hertz)))
        found = Music(wave).tune([codec])
        assert found is not None
        tune, pt = found
        self.assertEqual((pt, tune.step), (codec.pt, codec.rate // 50))
        packets = [Heard(pt, False, place, place * tune.step, 1, tune.frame(place)) for place in range(50)]
        return loudest(listen(codec, packets), rate_of(codec))

    def test_codecs(self) -> None:
        """What was 440 Hz in the file is 440 Hz at whoever hears it, whichever rate the file has."""
        for codec in (
            Codec(0, "PCMU", 8000),
            Codec(8, "PCMA", 8000),
            Codec(9, "G722", 8000),
            Codec(111, "OPUS", 48000, 2),
        ):
            for rate in (8000, 16000):
                self.assertLess(abs(self.heard(codec, rate, 440) - 440), 5, f"{codec.name} {rate}")

    def test_no_ghosts(self) -> None:
        """What half as many samples cannot hold is left out, not heard as another tone."""
        samples = array("h", sine(16000, 1, 7000))
        found = Music(Wave(16000, samples)).tune([Codec(0, "PCMU", 8000)])
        assert found is not None
        packets = [Heard(0, False, place, place * 160, 1, found[0].frame(place)) for place in range(2, 50)]
        ghost = listen(Codec(0, "PCMU", 8000), packets)
        self.assertLess(max(map(abs, ghost)), max(samples) / 20)

    def test_loop(self) -> None:
        """After the end comes the beginning; what was encoded once is not encoded again."""
        found = Music(Wave(8000, array("h", [100] * 160 + [3000] * 160))).tune([Codec(0, "PCMU", 8000)])
        assert found is not None
        tune = found[0]
        self.assertIs(tune.frame(0), tune.frame(2))
        self.assertIs(tune.frame(1), tune.frame(10**6 + 1))
        self.assertNotEqual(tune.frame(0), tune.frame(1))

    def test_not_to_be_had(self) -> None:
        """A codec that is not written here is passed over; with none left there is no music."""
        music = Music(Wave(8000, array("h", [0] * 160)))
        amr, pcma = Codec(96, "AMR", 8000), Codec(8, "PCMA", 8000)
        found = music.tune([amr, pcma])
        assert found is not None
        self.assertEqual(found[1], 8)
        self.assertIsNone(music.tune([amr]))
