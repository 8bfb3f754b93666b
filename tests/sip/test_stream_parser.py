"""Streams: the same messages from any cut, keep-alives between them, and the end of a stream that is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.message import Request, Response
from rtcgw.sip.parser import MAX_MESSAGE, KeepAlive, ParseError, StreamBroken, StreamParser
from tests.sip.test_parser import START, data

ONE = data(START, "Content-Length: 5", body=b"\r\n\r\nx")
TWO = data("SIP/2.0 200 OK", "l : 0")
BAD = data(START, "no colon", "Content-Length: 3", body=b"abc")


def names(items: list[Request | Response | KeepAlive | ParseError]) -> list[str]:
    """What came, in short."""
    told = []
    for item in items:
        if isinstance(item, KeepAlive):
            told.append(item.value)
        elif isinstance(item, ParseError):
            told.append(f"error {item.reason}")
        else:
            told.append(f"{item.start_line().split()[0]} {len(item.body)}")
    return told


class StreamTests(SynchronousTestCase):
    def test_several_at_once(self) -> None:
        """Messages and keep-alives in one piece come out in order."""
        items = StreamParser().feed(ONE + TWO + b"\r\n\r\n" + ONE + b"\r\n" + TWO + b"\r\n\r\n\r\n\r\n")
        self.assertEqual(
            names(items), ["OPTIONS 5", "SIP/2.0 0", "ping", "OPTIONS 5", "pong", "SIP/2.0 0", "ping", "ping"]
        )

    def test_octet_by_octet(self) -> None:
        """The slowest peer gets the same messages through."""
        parser = StreamParser()
        found = [item for octet in ONE + TWO for item in parser.feed(bytes([octet]))]
        self.assertEqual(names(found), ["OPTIONS 5", "SIP/2.0 0"])

    @given(st.lists(st.integers(0, len(ONE + TWO) * 2), max_size=6))
    @settings(max_examples=60, deadline=None)
    def test_any_cut(self, cuts: list[int]) -> None:
        """Where a stream is cut makes no difference to its messages."""
        octets, parser = ONE + TWO + ONE + TWO, StreamParser()
        edges = sorted({0, len(octets), *(min(cut, len(octets)) for cut in cuts)})
        found = [item for a, b in pairwise(edges) for item in parser.feed(octets[a:b])]
        self.assertEqual(names(found), ["OPTIONS 5", "SIP/2.0 0", "OPTIONS 5", "SIP/2.0 0"])

    def test_pongs(self) -> None:
        """Each lone line end is a pong, however many come."""
        parser = StreamParser()
        self.assertEqual([names(parser.feed(b"\r\n")) for _ in range(3)], [["pong"]] * 3)
        self.assertEqual(names(parser.feed(b"\r")) + names(parser.feed(b"\n")), ["pong"])
        self.assertEqual(names(parser.feed(b"\r\n\r")) + names(parser.feed(b"\n")), ["ping"])

    def test_wrong_message_with_a_known_end(self) -> None:
        """A message that cannot be used does not cost the connection."""
        (error, message) = StreamParser().feed(BAD + TWO)
        assert isinstance(error, ParseError)
        assert error.response is not None
        self.assertEqual((error.reason, error.response.status), ("header", 400))
        self.assertIsInstance(message, Response)


class BrokenTests(SynchronousTestCase):
    def broken(self, octets: bytes, reason: str, status: int | None) -> StreamBroken:
        parser = StreamParser()
        broken: StreamBroken = self.assertRaises(StreamBroken, parser.feed, octets)
        error = broken.error
        self.assertEqual((error.reason, error.response and error.response.status), (reason, status))
        self.assertRaises(StreamBroken, parser.feed, TWO)
        return broken

    def test_no_usable_length(self) -> None:
        """Without a length nobody knows where the next message begins: 400, and close (RFC 3261 §18.3)."""
        self.broken(data(), "length", 400)
        self.broken(data(START, "Content-Length: -1"), "length", 400)
        self.broken(data(START, "Content-Length: 1", "l: 2"), "length", 400)
        self.broken(data("SIP/2.0 200 OK"), "length", None)
        self.broken(data(drop="Via"), "length", None)
        self.broken(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "length", None)

    def test_too_large(self) -> None:
        """A message beyond the limit is refused before it is taken in, with 513."""
        self.broken(data(START, f"Content-Length: {MAX_MESSAGE}"), "size", 513)
        self.broken(b"x" * (MAX_MESSAGE + 1), "size", None)

    def test_bare_line_ends(self) -> None:
        """A line feed alone between messages is no SIP."""
        self.broken(b"\n", "start-line", None)
        self.broken(b"\rx", "start-line", None)

    def test_what_came_before(self) -> None:
        """Messages that were whole before the fault are not lost."""
        broken = self.broken(ONE + data(), "length", 400)
        self.assertEqual(names(broken.completed), ["OPTIONS 5"])

    def test_the_buffer_is_bounded(self) -> None:
        """A peer that never ends its headers is cut off at the limit."""
        parser = StreamParser()
        with self.assertRaises(StreamBroken):
            for _ in range(MAX_MESSAGE):
                self.assertLessEqual(len(parser._buffer), MAX_MESSAGE)
                parser.feed(b"X: y\r\n" * 100)
        self.assertEqual(len(parser._buffer), 0)
