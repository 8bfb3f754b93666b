"""What is wrong in twisted.protocols.sip, shown on Twisted itself.

Each test asserts the fault that one of our overrides stands for. When one fails, Twisted has been
mended: delete the override that its docstring names.
"""

from __future__ import annotations

from typing import Any

from twisted.protocols import sip
from twisted.trial.unittest import SynchronousTestCase

HEADERS = (
    b"Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
)


def read(*datagrams: bytes) -> list[sip.Message]:
    """What Twisted's parser makes of datagrams, in the way its `Base` hands them over."""
    found: list[sip.Message] = []
    parser: Any = sip.MessagesParser(found.append)
    for data in datagrams:
        parser.dataReceived(data)
        parser.dataDone()
    return found


class UriFaults(SynchronousTestCase):
    """Why there is `rtcgw.sip.uri`."""

    def test_schemes(self) -> None:
        """`sips:` and `tel:` are refused (Uri.parse)."""
        for text in ("sips:a@h", "tel:+15550001"):
            self.assertRaises(ValueError, sip.parseURL, text)

    def test_semicolon_in_user(self) -> None:
        """A user part with parameters of its own, as tel numbers have in SIP URIs, is cut at `;` (Uri.parse)."""
        self.assertNotEqual(sip.parseURL("sip:+1;phone-context=x@h").host, "h")

    def test_ipv6(self) -> None:
        """An IPv6 host is taken for host and port (Uri.parse)."""
        self.assertRaises(ValueError, sip.parseURL, "sip:a@[2001:db8::1]")


class AddressFaults(SynchronousTestCase):
    """Why there is `headers.NameAddr`."""

    def test_flag_parameter(self) -> None:
        """`;ob` behind a Contact raises (NameAddr.parse)."""
        self.assertRaises(ValueError, sip.parseAddress, "<sip:a@h>;ob")

    def test_equals_in_quotes(self) -> None:
        """A quoted value with `=` in it raises (grammar.parse_params)."""
        self.assertRaises(ValueError, sip.parseAddress, '<sip:a@h>;x="a=b"')

    def test_semicolon_in_quotes(self) -> None:
        """A quoted value with `;` in it raises (grammar.parse_params)."""
        self.assertRaises(ValueError, sip.parseAddress, '<sip:a@h>;x="a;b"')

    def test_bracket_in_display_name(self) -> None:
        """A `<` in a quoted display name is taken for the address (NameAddr.parse)."""
        self.assertRaises(ValueError, sip.parseAddress, '"a <b" <sip:a@h>')


class ViaFaults(SynchronousTestCase):
    """Why there is `headers.Via`."""

    def test_host_parameter(self) -> None:
        """`;host=evil` sends the response to evil (Via.parse)."""
        self.assertEqual(sip.parseViaHeader("SIP/2.0/UDP good;host=evil").host, "evil")

    def test_self_parameter(self) -> None:
        """`;self=1` raises what no caller expects (Via.parse)."""
        self.assertRaises(TypeError, sip.parseViaHeader, "SIP/2.0/UDP good;self=1")

    def test_forced_port(self) -> None:
        """A Via without a port is printed with `:5060`, and is another sent-by then (Via.__str__)."""
        self.assertIn("h:5060", sip.parseViaHeader("SIP/2.0/UDP h;branch=x").toString())

    def test_joined(self) -> None:
        """Two Vias on one line become one with a strange parameter (Via.parse_many)."""
        via = sip.parseViaHeader("SIP/2.0/UDP a;branch=1,SIP/2.0/UDP b;branch=2")
        self.assertNotEqual(via.branch, "1")

    def test_ipv6(self) -> None:
        """An IPv6 sent-by raises (Via.parse)."""
        self.assertRaises(ValueError, sip.parseViaHeader, "SIP/2.0/UDP [2001:db8::1]:5060")


class ParserFaults(SynchronousTestCase):
    """Why there are `parser.py`, `message.py` and `names.py`."""

    def test_next_peers_message_is_swallowed(self) -> None:
        """A datagram cut short eats the one that follows, whoever sent that (parse_message)."""
        cut = b"OPTIONS sip:a@h SIP/2.0\r\n" + HEADERS + b"Content-Length: 500\r\n\r\nshort"
        next_one = b"OPTIONS sip:b@h SIP/2.0\r\n" + HEADERS + b"Content-Length: 0\r\n\r\n"
        try:
            found = read(cut, next_one)
        except RuntimeError:
            found = []
        self.assertEqual(found, [])
        self.flushLoggedErrors()

    def test_length_in_characters(self) -> None:
        """A UTF-8 body is measured in characters, and its message is lost (parse_message)."""
        body = "é".encode()
        data = b"OPTIONS sip:a@h SIP/2.0\r\n" + HEADERS + b"Content-Length: %d\r\n\r\n" % len(body) + body
        self.assertRaises(RuntimeError, read, data)

    def test_one_latin_1_octet(self) -> None:
        """One octet that is not UTF-8 loses the message (parse_message decodes it as Latin-1 then)."""
        data = b"OPTIONS sip:a@h SIP/2.0\r\nSubject: caf\xe9\r\n" + HEADERS + b"Content-Length: 0\r\n\r\n"
        self.assertEqual(read(data), [])
        self.assertEqual(len(self.flushLoggedErrors(UnicodeDecodeError)), 1)

    def test_status_line_without_phrase(self) -> None:
        """`SIP/2.0 200` without a phrase loses the message (parse_message)."""
        self.assertEqual(read(b"SIP/2.0 200\r\n" + HEADERS + b"Content-Length: 0\r\n\r\n"), [])

    def test_folding_loses_the_space(self) -> None:
        """Words on a folded line run into each other (parse_message)."""
        data = b"OPTIONS sip:a@h SIP/2.0\r\nSubject: one\r\n two\r\n" + HEADERS + b"Content-Length: 0\r\n\r\n"
        (message,) = read(data)
        self.assertEqual(message.headers["subject"], ["onetwo"])

    def test_compact_forms(self) -> None:
        """The compact forms given out since RFC 2543 are unknown (names.long_name)."""
        data = b"OPTIONS sip:a@h SIP/2.0\r\nk: 100rel\r\no: reg\r\nx: 90\r\n" + HEADERS + b"l: 0\r\n\r\n"
        (message,) = read(data)
        self.assertEqual({"supported", "event", "session-expires"} & set(message.headers), set())

    def test_unknown_status(self) -> None:
        """A status without a phrase of its own cannot be made (Response)."""
        self.assertRaises(KeyError, sip.Response, 580)

    def test_text_messages(self) -> None:
        """A message prints as characters, whose length in octets is not its Content-Length (Message.to_bytes)."""
        self.assertIsInstance(sip.Response(200).toString(), str)
