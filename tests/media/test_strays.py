"""Who sends while nothing has come from where the phone is said to be: another phone, to which the call has forked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.relay import STRAYS, Latch
from rtcgw.media.sockets import Address
from tests.media.lines import PHONE, PHONE_RTCP, Rig

OTHER = ("203.0.113.9", 4000)
OTHER_RTCP = ("203.0.113.9", 4001)


class StrayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[Address] = []
        self.rig = self.line()

    def line(self, latch: Latch = Latch.HOST) -> Rig:
        rig = Rig(latch=latch)
        rig.relay.on_stray = self.told.append
        return rig

    def hear(self, address: Address, rig: Rig | None = None) -> None:
        rig = rig or self.rig
        rig.relay.datagramReceived(rig.packet(), address)

    def test_told_once(self) -> None:
        """Who sends from elsewhere is told of once, however much comes; nothing of it is heard."""
        for _ in range(5):
            self.hear(OTHER)
        self.assertEqual((self.told, self.rig.relay.strangers, self.rig.leg.packets), ([OTHER], 5, []))

    def test_switching(self) -> None:
        """Once it is the phone it is heard; who was the phone before is told of no more."""
        self.hear(OTHER)
        self.rig.relay.connect(OTHER, OTHER_RTCP, hears=True, wanted=True)
        self.hear(PHONE)
        self.hear(OTHER)
        self.assertEqual((self.told, self.rig.sounds, len(self.rig.leg.packets)), ([OTHER], [OTHER], 1))
        self.rig.relay.connect(PHONE, PHONE_RTCP, hears=True, wanted=True)
        self.hear(OTHER)
        self.hear(PHONE)
        self.assertEqual((self.told, len(self.rig.leg.packets)), ([OTHER], 2))

    def test_the_phone_is_heard(self) -> None:
        """Once the phone itself sends, nobody else is asked about."""
        self.hear(PHONE)
        self.hear(OTHER)
        self.assertEqual((self.told, self.rig.relay.strangers), ([], 1))

    def test_bounded(self) -> None:
        """A flood from everywhere is told of a few times, and what is no sound never."""
        self.rig.relay.datagramReceived(b"\x00\x01" + bytes(30), OTHER)
        self.rig.relay.datagramReceived(b"\x80", OTHER)
        self.assertEqual(self.told, [])
        for port in range(4000, 4100):
            self.hear(("203.0.113.9", port))
        self.assertEqual((len(self.told), self.rig.relay.strangers), (STRAYS, 102))

    def test_any(self) -> None:
        """Where whoever sends first is the phone, there are no strays before it."""
        self.hear(OTHER, self.line(Latch.ANY))
        self.assertEqual(self.told, [])
