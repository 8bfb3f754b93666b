"""The browser's leg: whom it answers, when it uses keys, and when it gives up."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.media.webside import webport
from rtcgw.media.webside.dtls import Association, Fingerprint, Identity
from rtcgw.media.webside.webleg import CONSENT, HANDSHAKE, STALL, LegState
from tests.media.memory import BROWSER, Bench, phone_sdp

Address = tuple[str, int]
PORT = ("127.0.0.1", 10000)


def dtls(data: bytes) -> bool:
    return 19 < data[0] < 64


class TestHandshake(SynchronousTestCase):
    """DTLS over a wire that loses things."""

    def test_every_single_loss(self) -> None:
        """Whichever handshake datagram is lost, the call still connects."""
        for victim in range(8):
            bench = Bench()
            seen = iter(range(1000))
            bench.network.cut = lambda data, *_, seen=seen, place=victim: dtls(data) and next(seen) == place
            bench.call()
            bench.network.spend(2)
            bench.talk()
            self.assertEqual(bench.leg.state, LegState.READY, victim)
            self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440), victim)

    def test_heavy_loss(self) -> None:
        """With more than half of the handshake datagrams lost it still connects, only later."""
        bench = Bench()
        dice = random.Random(4)
        bench.network.cut = lambda data, *_: dtls(data) and dice.random() < 0.6
        bench.call()
        bench.network.spend(12)
        self.assertTrue(bench.browser.connected)
        self.assertEqual(bench.leg.state, LegState.READY)

    def test_nothing_comes_back(self) -> None:
        """A handshake that never ends is given up, and says so."""
        bench = Bench()
        bench.network.cut = lambda data, source, _: dtls(data) and source == PORT
        bench.call()
        bench.network.spend(HANDSHAKE, 0.5)
        self.assertEqual(bench.states, ["ice", *["stalled"] * 4, "lost"])
        self.assertIn("does not end", bench.news[1].detail)
        self.assertIn("in time", bench.news[-1].detail)

    def test_connected_but_no_handshake(self) -> None:
        """A browser whose checks pass and whose handshake never comes is told of after two seconds, and again
        after twice as long; one that then comes is taken all the same."""
        bench = Bench()
        deaf = True
        bench.network.cut = lambda data, source, _: deaf and dtls(data)
        bench.call()
        bench.network.spend(STALL + 0.1, 0.1)
        self.assertEqual(bench.states, ["ice", "stalled"])
        self.assertIn("has not begun", bench.news[1].detail)
        bench.network.spend(2 * STALL, 0.1)
        self.assertEqual(bench.states, ["ice", "stalled", "stalled"])
        deaf = False
        bench.network.spend(8, 0.1)
        self.assertEqual(bench.states[-1], "dtls")

    def test_a_repair_has_its_time(self) -> None:
        """Fresh credentials give the browser twice the time before it is told of again."""
        bench = Bench()
        bench.network.cut = lambda data, *_: dtls(data)
        bench.call()
        bench.network.spend(STALL / 4, 0.1)
        bench.backend.web.renew(bench.leg)
        bench.network.spend(2 * STALL - 0.5, 0.1)
        self.assertEqual(bench.states, ["ice"])
        bench.network.spend(1, 0.1)
        self.assertEqual(bench.states, ["ice", "stalled"])

    def test_records_fit_datagrams(self) -> None:
        """No datagram is longer than every path carries, and each begins with a record."""
        bench = Bench()
        bench.call()
        flights = [data for data, _, _ in bench.network.sent if dtls(data)]
        self.assertGreater(len(flights), 3)
        self.assertTrue(all(len(data) <= 1200 and data[1] == 0xFE for data in flights))

    def test_we_start_where_the_browser_waits(self) -> None:
        """A browser that answers `passive` gets our ClientHello."""
        bench = Bench(Access.CORE)
        bench.browser.active = False
        offer = str(bench.session.offer(bench.core, phone_sdp("0 101")))
        bench.session.answer(bench.web, bench.browser.answer(offer), True)
        bench.network.spend(1)
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        self.assertEqual(bench.leg.state, LegState.READY)


class TestKeys(SynchronousTestCase):
    """No key is used before its owner is proven."""

    def incoming(self) -> tuple[Bench, str]:
        """A browser that was offered a call and connects before its answer has arrived."""
        bench = Bench(Access.CORE)
        answer = bench.browser.answer(str(bench.session.offer(bench.core, phone_sdp("0 101"))))
        bench.network.spend(1)
        return bench, answer

    def test_held_until_the_fingerprint_is_known(self) -> None:
        """The handshake is done, but nothing is heard until the answer is here; then it is."""
        bench, answer = self.incoming()
        self.assertTrue(bench.browser.connected)
        self.assertEqual((bench.leg.state, bench.states), (LegState.HELD, ["ice"]))
        bench.voice.play(5)
        bench.network.run()
        self.assertEqual((bench.relay.up.packets, bench.leg.dropped), (0, 5))
        bench.listen_to(str(bench.session.answer(bench.web, answer, True)))
        self.assertEqual(bench.states, ["ice", "dtls"])
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_wrong_certificate(self) -> None:
        """Somebody else's certificate ends the call before a packet has passed."""
        bench = Bench()
        bench.browser.fingerprint = Identity().fingerprint
        bench.call()
        bench.talk(3)
        self.assertEqual(bench.states[:2], ["ice", "lost"])
        self.assertIn("certificate", bench.news[1].detail)
        self.assertEqual((bench.phone.received, bench.voice.received), (0, 0))

    def test_wrong_certificate_while_held(self) -> None:
        """The same where the description comes last."""
        bench, answer = self.incoming()
        bench.session.answer(bench.web, answer.replace(bench.browser.fingerprint, Identity().fingerprint), True)
        bench.clock.advance(0)
        self.assertEqual(bench.states, ["ice", "lost"])
        bench.voice.play(3)
        bench.network.run()
        self.assertEqual(bench.phone.received, 0)

    def test_replay_and_truncation(self) -> None:
        """A packet sent again, cut short or altered is dropped and counted."""
        bench = Bench()
        bench.call()
        bench.voice.play()
        bench.network.run()
        packet = next(data for data, source, _ in reversed(bench.network.sent) if source == BROWSER)
        for data in (packet, packet[:20], packet[:11], packet[:-1] + bytes([packet[-1] ^ 1]), b"\xff" * 30):
            bench.network.send(data, BROWSER, PORT)
        bench.network.run()
        self.assertEqual((bench.phone.received, bench.leg.dropped), (1, 5))

    def test_worthless_fingerprints(self) -> None:
        """MD5, SHA-1 and malformed values are none."""
        for text in ("sha-1 " + "00:" * 19 + "00", "md5 00", "sha-256 00:11", "", "sha-256"):
            self.assertIsNone(Fingerprint.parse(text))

    def test_no_fingerprint_proves_nothing(self) -> None:
        """An association is never proven by an empty promise."""
        self.assertFalse(Association(Identity(), client=True).proves([]))


class TestStrangers(SynchronousTestCase):
    """The shared port and those who have no business there."""

    def test_forged_checks(self) -> None:
        """A check with a wrong password, another's ufrag or cut short is not answered; the call is not moved."""
        bench = Bench()
        bench.call()
        check = next(data for data, source, _ in bench.network.sent if source == BROWSER and data[0] == 0)
        stranger = ("203.0.113.5", 999)
        forged = check[:-30] + bytes(30)
        renamed = check.replace(bench.leg.ufrag.encode(), b"x" * 8)
        before = len(bench.network.sent)
        for data in (
            forged,
            renamed,
            check[:19],
            check[:40],
            b"",
            b"\x00\x01\x00\x00" + bytes(16),
            b"\x17" + bytes(40),
        ):
            bench.network.send(data, stranger, PORT)
        bench.network.run()
        self.assertEqual(len(bench.network.sent), before + 7, "nobody was answered")
        self.assertEqual(bench.leg.address, BROWSER)
        self.assertEqual((bench.backend.web.counters["stranger"], bench.leg.dropped), (5, 2))

    def test_flood_of_checks(self) -> None:
        """Beyond the rate a host's checks are dropped unread; the next second it may again."""
        bench = Bench()
        bench.call()
        check = next(data for data, source, _ in bench.network.sent if source == BROWSER and data[0] == 0)
        for _ in range(webport.CHECKS_PER_SECOND + webport.KNOWN_PER_SECOND + 10):
            bench.network.send(check, ("203.0.113.5", 999), PORT)
        bench.network.run()
        self.assertEqual(bench.backend.web.counters["flood"], 10)
        bench.clock.advance(1)
        bench.network.send(check, ("203.0.113.5", 999), PORT)
        bench.network.run()
        self.assertEqual(bench.backend.web.counters["flood"], 10)

    def test_flood_by_a_neighbour(self) -> None:
        """Whoever shares a browser's host, and floods it with forged checks, does not end that browser's consent."""
        bench = Bench()
        bench.call()
        check = next(data for data, source, _ in bench.network.sent if source == BROWSER and data[0] == 0)
        for _ in range(int(CONSENT) + 5):
            for _ in range(webport.CHECKS_PER_SECOND + 1):
                bench.network.send(check[:-30] + bytes(30), (BROWSER[0], 1), PORT)
            bench.network.run()
            bench.network.spend(1, 0.5)
        self.assertGreater(bench.backend.web.counters["flood"], 0)
        self.assertNotIn("lost", bench.states)

    def test_flood_of_hosts(self) -> None:
        """The table of hosts is bounded."""
        bench = Bench()
        port = bench.backend.web
        allowed = [port._may_check((f"h{number}", 1), False) for number in range(webport.HOSTS + 5)]
        self.assertEqual((allowed.count(True), allowed[-5:]), (webport.HOSTS, [False] * 5))

    def test_addresses_of_one_browser_are_bounded(self) -> None:
        """A browser that checks from everywhere keeps its latest addresses, and the one in use."""
        bench = Bench()
        bench.call()
        check = next(data for data, source, _ in bench.network.sent if source == BROWSER and data[0] == 0)
        plain = check  # carries USE-CANDIDATE: the pair moves with it
        for number in range(webport.ADDRESSES + 10):
            bench.network.send(plain, ("203.0.113.5", 1000 + number), PORT)
        bench.network.run()
        self.assertEqual(bench.backend.web.known, (1, webport.ADDRESSES))
        self.assertEqual(bench.leg.address, ("203.0.113.5", 1000 + webport.ADDRESSES + 9))

    def test_silence(self) -> None:
        """Consent ends with the last proven check, not with the last packet."""
        bench = Bench()
        bench.call()
        bench.network.cut = lambda data, source, target: data[:1] == b"\x00"
        for _ in range(int(CONSENT) + 2):
            bench.voice.play()
            bench.network.spend(1, 0.5)
        self.assertEqual(bench.states[-1], "lost")
