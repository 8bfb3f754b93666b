"""`a=crypto` lines: read, made, chosen, and never shown."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets import srtp
from rtcgw.media.packets.sdes import MAX_LINE, SUITES, CoreKeys, Crypto, choose

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
"""Of RFC 4568 §6.1's example."""
LINE = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"


class TestCrypto(SynchronousTestCase):
    def test_example(self) -> None:
        """The RFC's own example is read: with the lifetime it has, without the key identifier."""
        found = Crypto.parse(f"{LINE}|2^20 FEC_ORDER=FEC_SRTP")
        self.assertIsNone(found, "an order of FEC would change what is sent")
        found = Crypto.parse(f"{LINE}|2^20")
        assert found is not None
        self.assertEqual((found.tag, found.suite, found.key), (1, "AES_CM_128_HMAC_SHA1_80", base64.b64decode(KEY)))
        self.assertEqual(found.line, LINE)

    def test_round_trip(self) -> None:
        """What we make for any suite can be read by the other end, and packets pass between both."""
        for tag, suite in enumerate(SUITES, 1):
            made = Crypto.make(tag, suite)
            self.assertEqual(Crypto.parse(made.line), made)
            self.assertNotEqual(Crypto.make(tag, suite).key, made.key)
            close, close_rtcp = srtp.closing(made.profile, made.key)
            open_, open_rtcp = srtp.opening(made.profile, made.key)
            packet = b"\x80\x00\x00\x01" + bytes(8) + b"sound"
            report = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
            self.assertEqual(open_(close(packet)), packet)
            self.assertEqual(open_rtcp(close_rtcp(report)), report)

    def test_accepted(self) -> None:
        """Letters' case, lifetimes that last for a call, missing padding, and parameters that ask nothing of us."""
        gcm = base64.b64encode(bytes(28)).decode()
        for text in (
            LINE.replace("AES_CM", "aes_cm"),
            f"  {LINE}  ",
            f"{LINE}|1048576",
            f"{LINE}|2^48",
            f"{LINE} WSH=64",
            f"{LINE} KDR=0",
            f"2 AEAD_AES_128_GCM inline:{gcm}",
            f"2 AEAD_AES_128_GCM inline:{gcm.rstrip('=')}",
        ):
            self.assertIsNotNone(Crypto.parse(text), text)

    def test_refused(self) -> None:
        """Key identifiers, short lives, two keys, unencrypted streams, unknown suites, wrong lengths, rubbish."""
        for text in (
            "",
            "1",
            "crypto",
            LINE.replace("inline", "outline"),
            f"{LINE}|1:4",
            f"{LINE}|2^20|1:4",
            f"{LINE}|2^10",
            f"{LINE}|1000",
            f"{LINE}|2^20|2^20|2^20",
            f"{LINE}|soon",
            f"{LINE};inline:{KEY}",
            f"{LINE} UNENCRYPTED_SRTP",
            f"{LINE} UNENCRYPTED_SRTCP",
            f"{LINE} UNAUTHENTICATED_SRTP",
            f"{LINE} KDR=1",
            f"1 F8_128_HMAC_SHA1_80 inline:{KEY}",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-4]}",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}AAAA",
            f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-1]}",
            f"x AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
            f"{'9' * 10} AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
            LINE + " " * MAX_LINE,
        ):
            self.assertIsNone(Crypto.parse(text), text)

    @settings(max_examples=80, deadline=None)
    @given(st.text(max_size=120), st.integers(0, len(LINE)))
    def test_rubbish(self, text: str, place: int) -> None:
        """Whatever stands there, it is read or left, and nothing is raised."""
        for candidate in (text, LINE[:place] + text, LINE[:place] + text + LINE[place:]):
            found = Crypto.parse(candidate)
            self.assertTrue(found is None or len(found.key) == found.profile.key + found.profile.salt)

    def test_choice(self) -> None:
        """The offerer's first line that we have; none where we have none."""
        offered = [Crypto.make(1, "AES_CM_128_HMAC_SHA1_32"), Crypto.make(2, "AEAD_AES_128_GCM")]
        self.assertIs(choose(offered), offered[0])
        self.assertIs(choose(offered, ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM"]), offered[1])
        self.assertIsNone(choose(offered, ["AEAD_AES_256_GCM"]))
        self.assertIsNone(choose([]))

    def test_keys_are_not_shown(self) -> None:
        """No key stands in what is logged of one."""
        made = Crypto.make(1, "AEAD_AES_256_GCM")
        shown = repr(made) + str(made) + repr(CoreKeys(made, made))
        for secret in (made.line.partition("inline:")[2], made.key.hex(), repr(made.key)[2:20]):
            self.assertNotIn(secret, shown)
