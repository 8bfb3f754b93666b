"""IPv6 in SIP, messages after RFC 5118 §4: brackets where they are needed, and what happens where they are missing."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.message import Request
from rtcgw.sip.parser import ParseError, parse_message

FILES = Path(__file__).parent / "rfc5118"

TARGETS: dict[str, tuple[str, int | None] | None] = {
    "ipv6-good": ("2001:db8::10", None),
    "ipv6-bad": None,
    "port-ambiguous": ("2001:db8::10:5070", None),
    "port-unambiguous": ("2001:db8::10", 5070),
    "via-received-param-with-delim": ("2001:db8::10", None),
    "via-received-param-no-delim": ("2001:db8::10", None),
    "ipv6-in-sdp": ("2001:db8::10", None),
    "mult-ip-in-header": ("2001:db8::10", None),
    "ipv4-mapped-ipv6": ("2001:db8::10", None),
    "ipv6-bug-abnf-3-colons": ("2001:db8:::192.0.2.1", None),
}
"""Host and port of each Request-URI; None: 400."""


def read(name: str) -> Request:
    message = parse_message((FILES / f"{name}.dat").read_bytes())
    assert isinstance(message, Request)
    return message


class Tests(SynchronousTestCase):
    def test_request_uris(self) -> None:
        """The host is what stands in brackets; without them the request is refused (§4.1 to §4.4, §4.10)."""
        self.assertEqual({path.stem for path in FILES.iterdir()}, set(TARGETS))
        for name, target in TARGETS.items():
            if target is None:
                error: ParseError = self.assertRaises(ParseError, read, name)
                self.assertEqual(error.response and error.response.status, 400, name)
            else:
                message = read(name)
                self.assertEqual((message.uri.host, message.uri.port), target, name)
                self.assertEqual(parse_message(message.to_bytes()).body, message.body, name)

    def test_received(self) -> None:
        """An address in `received` is read with brackets and without (§4.5)."""
        for name in ("via-received-param-with-delim", "via-received-param-no-delim"):
            via = read(name).via
            self.assertEqual((via.host, via.received), ("2001:db8::9:1", "2001:db8::9:255"))
            self.assertEqual(via.sent_by, "[2001:db8::9:1]")

    def test_mixed_vias(self) -> None:
        """IPv4 and IPv6 hops stand side by side (§4.7)."""
        vias = read("mult-ip-in-header").vias
        self.assertEqual([via.host for via in vias], ["192.0.2.1", "2001:db8::9:255", "2001:db8::20"])
        self.assertEqual(vias[1].received, "192.0.2.200")

    def test_mapped(self) -> None:
        """An IPv4 address inside an IPv6 one keeps its spelling (§4.9)."""
        message = read("ipv4-mapped-ipv6")
        contact = message.contact
        assert contact is not None
        self.assertEqual((contact.uri.host, contact.display), ("::ffff:192.0.2.10", "T. Watson"))
        self.assertEqual(str(message.from_.uri), "sip:caller@[::ffff:192.0.2.10]")
        self.assertIn(b"c=IN IP6 ::ffff:192.0.2.10", message.body)
