"""Messages: headers as text, as values and on the wire; what a response copies."""

from __future__ import annotations

from twisted.protocols import sip
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip import names
from rtcgw.sip.headers import CSeq, HeaderError, Via
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.names import PHRASES, long_name, prefix
from rtcgw.sip.parser import parse_message
from rtcgw.sip.uri import Uri


def make_request(method: str = "INVITE") -> Request:
    request = Request(method, Uri.parse("sip:bob@ims.test"))
    for name, value in (
        ("via", "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport, SIP/2.0/TCP b;branch=z9hG4bK0"),
        ("via", "SIP/2.0/UDP c;branch=z9hG4bKc"),
        ("from", '"Alice" <sip:alice@ims.test>;tag=a'),
        ("to", "<sip:bob@ims.test>"),
        ("call-id", "c1@h"),
        ("cseq", f"7 {method}"),
    ):
        request.add(name, value)
    return request


class TextTests(SynchronousTestCase):
    def test_names(self) -> None:
        """A header is found by any spelling of its name, compact forms included."""
        request = make_request()
        request.add("K", "100rel, timer")
        request.add("Supported", "path")
        for name in ("supported", "Supported", "SUPPORTED", "k", "K"):
            self.assertEqual(request.get(name), "100rel, timer")
            self.assertEqual(request.values(name), ["100rel", "timer", "path"])
        self.assertTrue(request.has("supported", "PATH"))
        self.assertFalse(request.has("supported", "rel"))
        self.assertIsNone(request.get("subject"))
        self.assertEqual(request.values("subject"), [])
        self.assertRaises(HeaderError, request.add, "bad name", "x")
        self.assertRaises(HeaderError, request.get, "a\r\nEvil")

    def test_not_lists(self) -> None:
        """Commas in a challenge or a date part nothing; a broken list has no tokens."""
        request = make_request()
        request.add("www-authenticate", 'Digest realm="a", nonce="b"')
        self.assertEqual(len(request.values("www-authenticate")), 1)
        request.set("accept", 'a, "b')
        self.assertFalse(request.has("accept", "a"))
        self.assertRaises(HeaderError, request.values, "accept")

    def test_changes(self) -> None:
        """Lines are added, replaced, put first and taken away; what was read of them is read anew."""
        request = make_request()
        self.assertEqual(request.cseq, CSeq(7, "INVITE"))
        request.set("cseq", "8 INVITE")
        self.assertEqual(request.cseq.number, 8)
        request.prepend("via", "SIP/2.0/UDP top;branch=z9hG4bKt")
        self.assertEqual([via.host for via in request.vias], ["top", "10.0.0.1", "b", "c"])
        request.remove("via")
        self.assertEqual(request.vias, [])
        request.prepend("via", "SIP/2.0/UDP new")
        self.assertEqual(next(iter(request.headers)), "via")
        self.assertEqual(request.via.host, "new")
        request.set("route", "<sip:a;lr>", "<sip:b;lr>")
        self.assertEqual([str(route.uri) for route in request.routes], ["sip:a;lr", "sip:b;lr"])
        self.assertEqual(request.record_routes, [])
        request.remove("never-there")

    def test_top_via(self) -> None:
        """The topmost Via is replaced alone, even where it shares a line."""
        request = make_request()
        request.via = request.via.stamped("10.0.0.9", 9)
        self.assertEqual([via.branch for via in request.vias], ["z9hG4bK1", "z9hG4bK0", "z9hG4bKc"])
        self.assertEqual((request.via.rport, request.via.received), (9, "10.0.0.9"))
        bare = Request("OPTIONS", Uri.parse("sip:h"))
        bare.via = Via("UDP", "h")
        self.assertEqual(bare.get("via"), "SIP/2.0/UDP h")


class ValueTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Each header as the value it means, the same object each time."""
        request = make_request()
        self.assertEqual(request.from_.display, "Alice")
        self.assertEqual((request.from_.tag, request.to.tag, request.call_id), ("a", None, "c1@h"))
        self.assertIs(request.via, request.via)
        self.assertIsNone(request.contact)
        request.add("m", "<sip:x@h>;expires=1, <sip:y@h>")
        contact = request.contact
        assert contact is not None
        self.assertEqual(contact.params, {"expires": "1"})

    def test_missing_or_broken(self) -> None:
        """A header that is not there, or makes no sense, is told by one exception."""
        request = Request("INVITE", Uri.parse("sip:h"))
        for name in ("via", "cseq", "from_", "to", "call_id"):
            with self.assertRaises(HeaderError):
                getattr(request, name)
        request.add("contact", "*")
        with self.assertRaises(HeaderError):
            _ = request.contact
        request.add("route", "<sip:a")
        with self.assertRaises(HeaderError):
            _ = request.routes

    def test_lists_are_copies(self) -> None:
        """What one caller does to a list of routes is not seen by the next."""
        request = make_request()
        request.add("route", "<sip:a;lr>")
        request.routes.clear()
        self.assertEqual(len(request.routes), 1)


class WireTests(SynchronousTestCase):
    def test_printed(self) -> None:
        """Names in their usual spelling, order kept, the length in octets."""
        request = Request("PRACK", Uri.parse("sip:bob@h"))
        request.add("rack", "1 2 INVITE")
        request.add("www-authenticate", "X")
        request.add("p-asserted-identity", "<sip:a@h>")
        request.add("x-new", "1")
        request.add("content-length", "999")
        request.body = "é".encode()
        self.assertEqual(
            request.to_bytes(),
            b"PRACK sip:bob@h SIP/2.0\r\nRAck: 1 2 INVITE\r\nWWW-Authenticate: X\r\nP-Asserted-Identity: <sip:a@h>\r\n"
            b"X-New: 1\r\nContent-Length: 2\r\n\r\n\xc3\xa9",
        )

    def test_print_is_kept_until_a_change(self) -> None:
        """A retransmission costs nothing, and a change is never missed."""
        request = make_request()
        first = request.to_bytes()
        self.assertIs(request.to_bytes(), first)
        self.assertEqual(request.toString(), first)
        request.body = b"x"
        self.assertIn(b"Content-Length: 1\r\n\r\nx", request.to_bytes())
        request.bodyDataReceived(b"y")
        self.assertTrue(request.to_bytes().endswith(b"\r\n\r\nxy"))
        request.uri = Uri.parse("sip:carol@h")
        self.assertTrue(request.to_bytes().startswith(b"INVITE sip:carol@h SIP/2.0\r\n"))
        for change in (
            lambda: request.add("subject", "s"),
            lambda: request.set("subject", "t"),
            lambda: request.prepend("subject", "u"),
            lambda: request.remove("subject"),
        ):
            before = request.to_bytes()
            change()
            self.assertNotEqual(request.to_bytes(), before)

    def test_injection(self) -> None:
        """A line break in a value, a phrase, a name or a method never reaches the wire."""
        for value in ("a\r\nEvil: 1", "a\nEvil: 1", "a\rb", "\r\n", "a\r\n b"):
            request = make_request()
            request.add("subject", value)
            self.assertRaises(HeaderError, request.to_bytes)
        self.assertRaises(HeaderError, Response(200, "OK\r\nEvil: 1").to_bytes)
        self.assertRaises(HeaderError, Request("A\r\nB", Uri.parse("sip:h")).to_bytes)
        self.assertRaises(HeaderError, Request("A", Uri("sip", "a\r\nb", "h")).to_bytes)
        request = make_request()
        request.headers["bad name"] = ["x"]
        self.assertRaises(HeaderError, request.to_bytes)

    def test_text_without_octets(self) -> None:
        """Half a character from a browser's JSON does not stop the message."""
        request = make_request()
        request.add("subject", "\ud83d")
        self.assertIn(b"Subject: ?\r\n", request.to_bytes())

    def test_twisteds(self) -> None:
        """These are Twisted's messages, so that its code takes them."""
        request, response = make_request(), Response(180)
        self.assertIsInstance(request, sip.Request)
        self.assertIsInstance(response, sip.Response)
        self.assertEqual(response.code, 180)
        self.assertEqual(request._getHeaderLine(), "INVITE sip:bob@ims.test SIP/2.0")
        self.assertEqual(
            (repr(request), repr(response)), ("<Request INVITE sip:bob@ims.test>", "<Response 180 Ringing>")
        )
        request.addHeader("Subject", "x")
        self.assertEqual(request.get("subject"), "x")
        self.assertRaises(NotImplementedError, Message().start_line)

    def test_phrases(self) -> None:
        """Every status has a phrase; one may be empty."""
        self.assertEqual(Response(580).phrase, "Precondition Failure")
        self.assertEqual(Response(499).phrase, "Unknown")
        self.assertTrue(Response(200, "").to_bytes().startswith(b"SIP/2.0 200 \r\n"))
        self.assertEqual(set(sip.statusCodes) - set(PHRASES), set())


class NameTests(SynchronousTestCase):
    def test_spellings(self) -> None:
        """Compact, long, odd; the wire has the usual one."""
        for name, long, printed in (
            ("i", "call-id", "Call-ID: "),
            ("CSEQ", "cseq", "CSeq: "),
            ("Via ", "via", "Via: "),
            ("X", "session-expires", "Session-Expires: "),
            ("min-se", "min-se", "Min-SE: "),
        ):
            self.assertEqual((long_name(name), prefix(long_name(name))), (long, printed))
        for name in ("", " ", "a b", " a", "a:", "é", "a\r\n"):
            self.assertRaises(HeaderError, long_name, name)
            self.assertRaises(HeaderError, prefix, name)

    def test_tables_are_bounded(self) -> None:
        """A peer that makes up names fills no memory."""
        for number in range(names._LIMIT + 50):
            self.assertEqual(long_name(f"X-{number}"), f"x-{number}")
            self.assertEqual(prefix(f"x-{number}"), f"X-{number}: ")
        self.assertLessEqual(len(names.KNOWN), names._LIMIT)
        self.assertLessEqual(len(names._prefixes), names._LIMIT)
        for table in (names._long, names._prefixes):
            for name in [name for name in table if name.lower().startswith("x-") and name[2:].isdigit()]:
                del table[name]


class ResponseTests(SynchronousTestCase):
    def test_copies(self) -> None:
        """What RFC 3261 §8.2.6.2 copies, and a tag of ours."""
        request = make_request()
        request.add("timestamp", "54")
        response = make_response(request, 180, to_tag="mine")
        self.assertEqual(response.headers["via"], request.headers["via"])
        self.assertEqual(response.get("to"), "<sip:bob@ims.test>;tag=mine")
        self.assertEqual((response.call_id, response.cseq, response.from_.tag), ("c1@h", CSeq(7, "INVITE"), "a"))
        self.assertIsNone(response.get("timestamp"))
        self.assertEqual(request.get("to"), "<sip:bob@ims.test>")
        response.prepend("via", "SIP/2.0/UDP x")
        self.assertEqual(len(request.vias), 3)

    def test_trying(self) -> None:
        """100 has no tag, and gives the timestamp back."""
        request = make_request()
        request.add("timestamp", "54")
        response = make_response(request, 100)
        self.assertEqual((response.to.tag, response.get("timestamp")), (None, "54"))

    def test_tag_is_kept(self) -> None:
        """A tag that is there stays."""
        request = make_request()
        request.set("to", "<sip:bob@ims.test>;tag=b")
        self.assertEqual(make_response(request, 200, to_tag="other").to.tag, "b")
        request.set("to", "<sip:bob")
        self.assertEqual(make_response(request, 400).get("to"), "<sip:bob")

    def test_derived_tag(self) -> None:
        """A repeated request and its CANCEL get the same tag, another call another (§8.2.7, §9.2)."""
        tag = make_response(make_request(), 486).to.tag
        self.assertEqual(make_response(make_request(), 487).to.tag, tag)
        self.assertEqual(make_response(make_request("CANCEL"), 200).to.tag, tag)
        other = make_request()
        other.set("call-id", "c2@h")
        self.assertNotEqual(make_response(other, 486).to.tag, tag)
        other.set("via", "broken")
        self.assertTrue(make_response(other, 486).to.tag)

    def test_charset(self) -> None:
        """A Via or a tag in Latin-1 goes back in the very octets that came."""
        data = make_request().to_bytes().replace(b"Alice", b"Andr\xe9")
        request = parse_message(data)
        assert isinstance(request, Request)
        self.assertEqual(request.from_.display, "André")
        self.assertIn(b'"Andr\xe9"', make_response(request, 180).to_bytes())
        request.set("subject", "Żółć")
        self.assertIn("Żółć".encode(), request.to_bytes())
