"""G.711 by look-ups: both laws, both ways."""

from __future__ import annotations

from array import array

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW, alaw_to_linear, decoder, encoder, ulaw_to_linear

LAWS = {"PCMU": ulaw_to_linear, "PCMA": alaw_to_linear}


class TestG711(SynchronousTestCase):
    def test_tables(self) -> None:
        """Each law's octet becomes the other's nearest: to within one step of the coarser one."""
        for code in range(256):
            sample = ulaw_to_linear(code)
            self.assertLessEqual(abs(alaw_to_linear(ULAW_TO_ALAW[code]) - sample), 16 + abs(sample) // 16)
            sample = alaw_to_linear(code)
            self.assertLessEqual(abs(ulaw_to_linear(ALAW_TO_ULAW[code]) - sample), 16 + abs(sample) // 16)

    def test_known_values(self) -> None:
        """The ends and the middle of both scales (ITU-T G.711)."""
        self.assertEqual([ulaw_to_linear(code) for code in (0x00, 0x80, 0xFF)], [-32124, 32124, 0])
        self.assertEqual([alaw_to_linear(code) for code in (0x2A, 0xAA, 0xD5)], [-32256, 32256, 8])

    def test_whole_payloads(self) -> None:
        """A payload is decoded octet by octet; an empty one is nothing."""
        for law, one in LAWS.items():
            decode, every = decoder(law), bytes(range(256))
            self.assertEqual(array("h", bytes(decode(every))).tolist(), [one(code) for code in every])
            self.assertEqual((bytes(decode(b"")), encoder(law)(b"")), (b"", b""))

    def test_nearest(self) -> None:
        """Each sample gets an octet than which none is nearer."""
        for law, one in LAWS.items():
            values = sorted(one(code) for code in range(256))
            samples = array("h", range(-32768, 32768, 53))
            found = encoder(law)(samples.tobytes())
            for sample, code in zip(samples, found, strict=True):
                self.assertEqual(abs(one(code) - sample), min(abs(value - sample) for value in values))
            self.assertEqual(encoder(law)(samples.tobytes()[:2]), found[:1], "a single sample")
