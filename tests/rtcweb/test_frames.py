"""The fast way to receive a frame and Autobahn's own differ in nothing but time.

Every case runs over both, in one segment, split at each byte, and byte by byte; the messages that arrive and the way
the connection ends must be the same. The cases are those of RFC 6455 §5 and §8.1.
"""

from __future__ import annotations

import zlib
from typing import Any

from autobahn.websocket import protocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.rtcweb.websocket import BrowserConnection, nvx_in_use
from tests.peers.browser import Browser, BrowserSide, frame, sandbox_config
from tests.rtcweb.doubles import World

LIMIT = 70000
TEXT = "grüß Gott €😀".encode()


class Fast(BrowserConnection):
    """The connection as it is, with its messages recorded."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.messages: list[tuple[bytes, bool]] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.messages.append((bytes(payload), isBinary))


class General(Fast):
    """The same, all frames Autobahn's way."""

    def processData(self) -> bool:
        return bool(super(BrowserConnection, self).processData())


class Compressing:
    """Accepts compression, as a gateway that wants it might."""

    @staticmethod
    def perMessageCompressionAccept(offers: Any) -> Any:
        for offer in offers:
            if isinstance(offer, PerMessageDeflateOffer):
                return PerMessageDeflateOfferAccept(offer)
        return None


class FastCompressing(Compressing, Fast):
    pass


class GeneralCompressing(Compressing, General):
    pass


def packed(text: bytes) -> bytes:
    """A compressed message's payload (RFC 7692 §7.2.1)."""
    deflate = zlib.compressobj(wbits=-15)
    return (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def long_form(payload: bytes, size: int) -> bytes:
    """A frame whose length is written longer than need be."""
    usual = frame(payload)
    code = 126 if size == 2 else 127
    return bytes((0x81, 0x80 | code)) + len(payload).to_bytes(size, "big") + usual[2:]


CASES: dict[str, bytes] = {
    "text": frame(b'{"type": "PING"}'),
    "empty": frame(b""),
    "one byte": frame(b"x"),
    "utf-8": frame(TEXT),
    "125": frame(b"a" * 125),
    "126": frame(b"a" * 126),
    "127": frame(b"b" * 127),
    "several": frame(b"one") + frame(b"two") + frame(b"three" * 60) + frame(b"four"),
    "zero mask": frame(b"plain", mask=bytes(4)),
    "binary": frame(b"\xff\x00", 0x82),
    "ping between": frame(b"one") + frame(b"p", 0x89) + frame(b"two"),
    "pong unasked": frame(b"", 0x8A) + frame(b"two"),
    "fragments": frame(b"frag", 0x01) + frame(b"men", 0x00) + frame(b"ted", 0x80) + frame(b"next"),
    "empty fragments": frame(b"", 0x01) + frame(b"", 0x00) + frame(b"", 0x80) + frame(b"next"),
    "ping within fragments": frame(b"a", 0x01) + frame(b"", 0x89) + frame(b"b", 0x80) + frame(b"c"),
    "text within fragments": frame(b"a", 0x01) + frame(b"b") + frame(b"c"),
    "utf-8 over fragments": frame(TEXT[:3], 0x01) + frame(TEXT[3:], 0x80),
    "continuation of nothing": frame(b"a", 0x80) + frame(b"b"),
    "bad utf-8": frame(b"good") + frame(b"\xc3\x28") + frame(b"never"),
    "utf-8 cut": frame("€".encode()[:2]) + frame(b"never"),
    "surrogate": frame(b"\xed\xa0\x80"),
    "overlong": frame(b"\xc0\xaf"),
    "beyond unicode": frame(b"\xf4\x90\x80\x80"),
    "unmasked": frame(b"naked", mask=None) + frame(b"never"),
    "unmasked long": frame(b"n" * 300, mask=None),
    "not minimal 2": long_form(b"short", 2) + frame(b"never"),
    "not minimal 8": long_form(b"s" * 200, 8) + frame(b"never"),
    "reserved bits": frame(b"x", 0xC1) + frame(b"never"),
    "reserved opcode": frame(b"x", 0x83) + frame(b"never"),
    "reserved control": frame(b"x", 0x8B) + frame(b"never"),
    "long ping": frame(b"x" * 126, 0x89),
    "fragmented ping": frame(b"x", 0x09),
    "close": frame(b"one") + frame(b"\x03\xe8bye", 0x88) + frame(b"never"),
    "close without code": frame(b"", 0x88),
    "close with one byte": frame(b"x", 0x88),
    "close with a bad code": frame(b"\x03\xed", 0x88),
    "close with bad utf-8": frame(b"\x03\xe8\xff", 0x88),
}
LONG: dict[str, bytes] = {
    "64 KiB": frame(b"x" * 65536) + frame(b"next"),
    "just fits": frame(b"y" * LIMIT) + frame(b"next"),
    "too large": frame(b"one") + frame(b"z" * (LIMIT + 1)) + frame(b"never"),
    "too large in fragments": frame(b"z" * 40000, 0x01) + frame(b"z" * 40000, 0x80) + frame(b"never"),
    "too large to exist": b"\x81\xff" + (2**62).to_bytes(8, "big") + bytes(8),
    "negative": b"\x81\xff" + b"\xff" * 8 + bytes(8),
}
COMPRESSED: dict[str, bytes] = {
    "compressed": frame(packed(b"small " * 50), 0xC1) + frame(b"plain"),
    "plain": frame(b"plain") + frame(packed(b"packed"), 0xC1) + frame(b"plain"),
    "compressed fragments": frame(packed(b"in two " * 9)[:5], 0x41) + frame(packed(b"in two " * 9)[5:], 0x80),
    "bomb": frame(packed(b"\0" * (LIMIT * 20)), 0xC1) + frame(b"never"),
    "broken": frame(b"\xff\xff\xff", 0xC1) + frame(b"never"),
    "continuation compressed": frame(packed(b"x" * 9)[:4], 0x41) + frame(packed(b"x" * 9)[4:], 0xC0),
}


def outcome(kind: type[Fast], segments: list[bytes], extension: str = "") -> tuple[Any, ...]:
    """What arrived, how it ended, and what was said meanwhile."""
    side = BrowserSide(World(), Clock(), sandbox_config(max_frame=LIMIT, burst=100000))
    side.factory.protocol = kind
    browser: Browser = side.connect(headers=extension)
    assert browser.status == 101
    for segment in segments:
        browser.feed(segment)
    connection = browser.connection
    assert isinstance(connection, Fast)
    return connection.messages, browser.close_code, browser.gone


class FrameTests(SynchronousTestCase):
    """Both ways over every case."""

    def both(self, name: str, segments: list[bytes]) -> None:
        self.assertEqual(outcome(Fast, segments), outcome(General, segments), f"{name} in {len(segments)}")

    def test_cases(self) -> None:
        """A frame means the same whichever way it is read, however the network cuts it."""
        for name, data in CASES.items():
            self.both(name, [data])
            self.both(name, [data[index : index + 1] for index in range(len(data))])
            if len(data) < 80:
                for cut in range(1, len(data)):
                    self.both(name, [data[:cut], data[cut:]])

    def test_long(self) -> None:
        """Large frames, and those that claim to be."""
        for name, data in LONG.items():
            for cut in (1, 2, 3, 6, 9, 13, 14, 1000, len(data) - 1):
                self.both(name, [data[:cut], data[cut:]])
            self.both(name, [data])

    def test_compression(self) -> None:
        """With compression agreed, plain frames still take the fast way and packed ones Autobahn's."""
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        for name, data in COMPRESSED.items():
            for segments in ([data], [data[:7], data[7:]], [data[i : i + 1] for i in range(min(len(data), 200))]):
                self.assertEqual(
                    outcome(FastCompressing, segments, extension),
                    outcome(GeneralCompressing, segments, extension),
                    name,
                )

    def test_expected(self) -> None:
        """The cases are not all the same: what must pass passes, and what must end the connection ends it."""
        for name, messages, code in (
            ("utf-8", [(TEXT, False)], None),
            ("several", [(b"one", False), (b"two", False), (b"three" * 60, False), (b"four", False)], None),
            ("fragments", [(b"fragmented", False), (b"next", False)], None),
            ("bad utf-8", [(b"good", False)], 1007),
            ("unmasked", [], 1002),
            ("not minimal 2", [], 1002),
            ("close", [(b"one", False)], 1000),
        ):
            self.assertEqual(outcome(Fast, [CASES[name]])[:2], (messages, code), name)
        self.assertEqual(outcome(Fast, [LONG["too large"]])[:2], ([(b"one", False)], 1009))
        self.assertEqual(len(outcome(Fast, [LONG["just fits"]])[0]), 2)
        packed_case = outcome(
            FastCompressing, [COMPRESSED["compressed"]], "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        )
        self.assertEqual(packed_case[0], [(b"small " * 50, False), (b"plain", False)])

    def test_no_compression(self) -> None:
        """A page that asks for compression does not get it; a compressed frame is then a violation."""
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        self.assertEqual(outcome(Fast, [COMPRESSED["compressed"]], extension), ([], 1002, True))

    @given(
        st.lists(st.tuples(st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x89, 0x82]), st.binary(max_size=140)), max_size=5)
    )
    @settings(max_examples=60, deadline=None)
    def test_any(self, frames: list[tuple[int, bytes]]) -> None:
        """Whatever frames come in whatever order."""
        data = b"".join(frame(payload, first) for first, payload in frames)
        self.both("any", [data])
        self.both("any", [data[index : index + 5] for index in range(0, len(data), 5)])

    def test_fast_way_is_taken(self) -> None:
        """The common frame does not reach Autobahn's frame reader at all: that is where the time goes."""
        seen: list[bytes] = []

        class Watched(Fast):
            def onFrameBegin(self) -> None:
                seen.append(b"general")
                super().onFrameBegin()

        outcome(Watched, [CASES["several"]])
        self.assertEqual(seen, [])
        outcome(Watched, [CASES["fragments"]])
        self.assertEqual(len(seen), 3)

    def test_native_code(self) -> None:
        """What the gateway says at start about native code is true."""
        masker = protocol.create_xor_masker(b"abcd", 200)  # type: ignore[attr-defined]
        self.assertEqual(nvx_in_use(), "nvx" in type(masker).__module__)
