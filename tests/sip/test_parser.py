"""Datagrams read whole: what is accepted, what is answered, what is dropped."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip import parser
from rtcgw.sip.message import Request, Response
from rtcgw.sip.parser import ParseError, parse_message

START = "OPTIONS sip:bob@ims.test SIP/2.0"
HEADERS = (
    "Via: SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1",
    "From: <sip:alice@ims.test>;tag=a",
    "To: <sip:bob@ims.test>",
    "Call-ID: c1",
    "CSeq: 1 OPTIONS",
)


def data(start: str = START, *more: str, body: bytes = b"", drop: str = "") -> bytes:
    lines = [start, *(line for line in HEADERS if not drop or not line.startswith(drop)), *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Case(SynchronousTestCase):
    def refused(self, octets: bytes, reason: str, status: int | None) -> ParseError:
        error: ParseError = self.assertRaises(ParseError, parse_message, octets)
        self.assertEqual(error.reason, reason, error)
        self.assertEqual(None if error.response is None else error.response.status, status, error)
        if error.response is not None:
            self.assertTrue(error.response.to_bytes().startswith(b"SIP/2.0 "))
            self.assertEqual(error.response.via.host, "10.0.0.1")
        return error


class AcceptedTests(Case):
    def test_request(self) -> None:
        """A request and its parts."""
        message = parse_message(data(START, "Subject:  hi  ", "s: again", "Content-Length: 4", body=b"body and more"))
        assert isinstance(message, Request)
        self.assertEqual((message.method, str(message.uri)), ("OPTIONS", "sip:bob@ims.test"))
        self.assertEqual(message.headers["subject"], ["hi", "again"])
        self.assertEqual(message.body, b"body")

    def test_response(self) -> None:
        """A response, with a phrase, an empty one, and none."""
        for line, phrase in (("SIP/2.0 180 Ringing Now", "Ringing Now"), ("SIP/2.0 180 ", ""), ("sip/2.0 180", "")):
            message = parse_message(data(line))
            assert isinstance(message, Response)
            self.assertEqual((message.status, message.phrase), (180, phrase))

    def test_no_length(self) -> None:
        """Without Content-Length the body is what is left of the datagram (RFC 3261 §18.3)."""
        self.assertEqual(parse_message(data(body=b"\x00\xff\r\n\r\nx")).body, b"\x00\xff\r\n\r\nx")

    def test_leading_line_ends(self) -> None:
        """Line ends before the message are passed over (§7.5)."""
        self.assertIsInstance(parse_message(b"\r\n\r\n" + data()), Request)

    def test_folding(self) -> None:
        """A folded line is one line with a space (§7.3.1)."""
        message = parse_message(data(START, "Subject: one", "   two", "\tthree"))
        self.assertEqual(message.get("subject"), "one two three")

    def test_colons_and_spaces(self) -> None:
        """Whatever white space stands around the colon."""
        message = parse_message(data(START, "Subject :a: b", "L:0", "X-Empty:", "X-Time: 12:30"))
        self.assertEqual((message.get("subject"), message.get("x-empty"), message.get("x-time")), ("a: b", "", "12:30"))

    def test_requests_of_others(self) -> None:
        """tel and sips in the Request-URI are ours to route."""
        for target in ("tel:+15550001", "sips:bob@ims.test", "sip:[2001:db8::1]:5060"):
            self.assertIsInstance(parse_message(data(f"OPTIONS {target} SIP/2.0")), Request)

    def test_peers_do_not_meet(self) -> None:
        """A datagram cut short leaves nothing behind for the next peer's."""
        self.refused(data(START, "Content-Length: 500", body=b"short"), "body", 400)
        self.assertEqual(parse_message(data()).body, b"")


class AnsweredTests(Case):
    def test_faults_with_an_answer(self) -> None:
        """A request that is wrong but tells where it came from gets its answer."""
        for octets, reason, status in (
            (data("OPTIONS  sip:bob@ims.test SIP/2.0"), "start-line", 400),
            (data("OPTIONS sip:bob@ims.test SIP/2.0 "), "start-line", 400),
            (data("OPTIONS <sip:bob@ims.test> SIP/2.0"), "uri", 400),
            (data("OPTIONS sip:bob@ims.test?a=b SIP/2.0"), "uri", 400),
            (data("OPTIONS sip:bob@ims.test SIP/3.0"), "version", 505),
            (data("OPTIONS http://ims.test SIP/2.0"), "scheme", 416),
            (data(START, "no colon"), "header", 400),
            (data(START, "bad name: x"), "header", 400),
            (data(START, ": x"), "header", 400),
            (data(START, "To: <sip:x@h>"), "repeated", 400),
            (data(START, "CSeq: 1 OPTIONS"), "repeated", 400),
            (data(START, "Max-Forwards: 1", "Max-Forwards: 1"), "repeated", 400),
            (data(START, "l: 0", "Content-Length: 0"), "repeated", 400),
            (data(START, "Content-Length: -1"), "length", 400),
            (data(START, "Content-Length: 1x"), "length", 400),
            (data(START, "Content-Length: 99999999999"), "length", 400),
            (data(START, "Content-Length: 1"), "body", 400),
            (data(drop="CSeq"), "missing", 400),
            (data(drop="To"), "missing", 400),
            (data(drop="From"), "missing", 400),
            (data(drop="Call-ID"), "missing", 400),
            (data(START, "Call-ID:", drop="Call-ID"), "missing", 400),
            (data(START, "CSeq: 1 INVITE", drop="CSeq"), "cseq", 400),
            (data(START, "CSeq: 4294967296 OPTIONS", drop="CSeq"), "cseq", 400),
            (data(START, "From: <sip:a", drop="From"), "from", 400),
            (data(START, 'To: "a <sip:a@h>', drop="To"), "to", 400),
            (data(START, *(["X: 1"] * parser.MAX_HEADERS)), "headers", 400),
            (data(START, "X: " + "x" * parser.MAX_LINE), "line", 400),
            (data(START, "Via: SIP/2.0/UDP 10.0.0.1:5070;;branch=z9hG4bK1", drop="Via"), "via", 400),
            (data(START, "Via: SIP/7.0/UDP 10.0.0.1 junk;branch=b", drop="Via"), "via", 400),
        ):
            self.refused(octets, reason, status)

    def test_mended_via(self) -> None:
        """An answer to a request with a broken Via keeps the branch that can be read."""
        error = self.refused(data(START, "Via: SIP/2.0/UDP 10.0.0.1;;branch=z9hG4bK1", drop="Via"), "via", 400)
        assert error.response is not None
        self.assertEqual(error.response.via.branch, "z9hG4bK1")

    def test_reason_is_told(self) -> None:
        """The phrase says what is wrong, for whoever looks at a trace."""
        error = self.refused(data(drop="CSeq"), "missing", 400)
        assert error.response is not None
        self.assertEqual(error.response.phrase, "Bad Request (CSeq is missing)")
        self.assertEqual(str(error), "missing: CSeq is missing")

    def test_repeated_headers_come_back_once(self) -> None:
        """The answer to an ambiguous request is not ambiguous in turn."""
        error = self.refused(data(START, "Call-ID: c2"), "repeated", 400)
        assert error.response is not None
        self.assertEqual(error.response.headers["call-id"], ["c1"])


class DroppedTests(Case):
    def test_faults_without_an_answer(self) -> None:
        """What is no request, or tells no way back, is dropped."""
        ack = data("ACK sip:bob@ims.test SIP/2.0", "CSeq: 1 OPTIONS", drop="CSeq")
        for octets, reason in (
            (b"", "empty"),
            (b"\r\n\r\n", "empty"),
            (b"\x00\x00\x00\x00", "cut"),
            (b"hello\r\n\r\n", "start-line"),
            (data()[:-2], "cut"),
            (data().replace(b"\r\n", b"\n"), "cut"),
            (data(START, "X: a\nb"), "header"),
            (data(START, "X: a\rb"), "header"),
            (data("OPTIONS sip:a@h\nX SIP/2.0"), "header"),
            (data(body=b"x" * parser.MAX_MESSAGE), "size"),
            (data(drop="Via"), "missing"),
            (data(START, "Via: nonsense", drop="Via"), "via"),
            (data(START, "Via: SIP/2.0/UDP 10.0.0.1:99999", drop="Via"), "via"),
            (data("SIP/2.0 1000 OK"), "start-line"),
            (data("SIP/2.0 099 OK"), "start-line"),
            (data("SIP/2.0 OK"), "start-line"),
            (data("SIP/3.0 200 OK"), "version"),
            (data("SIP/2.0 200 OK", "Content-Length: 1"), "body"),
            (data("SIP/2.0 200 OK", drop="To"), "missing"),
            (ack, "cseq"),
        ):
            self.refused(octets, reason, None)
