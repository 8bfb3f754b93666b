"""The 49 messages of RFC 4475, as files with its line ends and odd octets, each with what becomes of it here.

A message is READ, ANSWERED with a status, or DROPPED; `reason` is the counter's label. What is
read is then looked at: the odd value must be understood, not merely survived. The judgement of
methods, extensions and bodies is that of the floors above (405, 415, 420) and is tested there.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.headers import HeaderError, NameAddr, ParamValue
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.parser import ParseError, StreamBroken, StreamParser, parse_message

FILES = Path(__file__).parent / "rfc4475"


@frozen
class Read:
    """Accepted: the method or status."""

    what: str | int


@frozen
class Answered:
    """Refused with this status."""

    status: int
    reason: str


@frozen
class Dropped:
    """Refused, and nobody to tell."""

    reason: str


OUTCOMES: dict[str, Read | Answered | Dropped] = {
    # §3.1.1 valid
    "wsinv": Read("INVITE"),
    "intmeth": Read("!interesting-Method0123456789_*+`.%indeed'~"),
    "esc01": Read("INVITE"),
    "escnull": Read("REGISTER"),
    "esc02": Read("RE%47IST%45R"),
    "lwsdisp": Read("OPTIONS"),
    "longreq": Read("INVITE"),
    "dblreq": Read("REGISTER"),
    "semiuri": Read("OPTIONS"),
    "transports": Read("OPTIONS"),
    "mpart01": Read("MESSAGE"),
    "unreason": Read(200),
    "noreason": Read(100),
    # §3.1.2 invalid
    "badinv01": Answered(400, "via"),
    "clerr": Answered(400, "body"),
    "ncl": Answered(400, "length"),
    "scalar02": Answered(400, "cseq"),
    "scalarlg": Dropped("cseq"),
    "quotbal": Answered(400, "to"),
    "ltgtruri": Answered(400, "uri"),
    "lwsruri": Answered(400, "start-line"),
    "lwsstart": Answered(400, "start-line"),
    "trws": Answered(400, "start-line"),
    "escruri": Answered(400, "uri"),
    "baddate": Read("INVITE"),  # Date is not used, so that a wrong one harms nobody: §3.1.2.12 leaves it free
    "regbadct": Read("REGISTER"),  # the fault is in Contact, which only a registrar reads: see below
    "badaspec": Answered(400, "to"),
    "baddn": Answered(400, "from"),
    "badvers": Answered(505, "version"),
    "mismatch01": Answered(400, "cseq"),
    "mismatch02": Answered(400, "cseq"),
    "bigcode": Dropped("start-line"),
    # §3.2 transaction layer
    "badbranch": Read("OPTIONS"),
    # §3.3 application layer
    "insuf": Answered(400, "missing"),
    "unkscm": Answered(416, "scheme"),
    "novelsc": Answered(416, "scheme"),
    "unksm2": Read("REGISTER"),
    "bext01": Read("OPTIONS"),
    "invut": Read("INVITE"),
    "regaut01": Read("REGISTER"),
    "multi01": Answered(400, "repeated"),
    "mcl01": Answered(400, "repeated"),
    "bcast": Read(200),
    "zeromf": Read("OPTIONS"),
    "cparam01": Read("REGISTER"),
    "cparam02": Read("REGISTER"),
    "regescrt": Read("REGISTER"),
    "sdp01": Read("INVITE"),
    # §3.4 backward compatibility
    "inv2543": Read("INVITE"),
}


def octets(name: str) -> bytes:
    return (FILES / f"{name}.dat").read_bytes()


def read(name: str) -> Message:
    return parse_message(octets(name))


class OutcomeTests(SynchronousTestCase):
    def test_all_there(self) -> None:
        """No message is left out, none is without its outcome."""
        self.assertEqual({path.stem for path in FILES.iterdir()}, set(OUTCOMES))
        self.assertEqual(len(OUTCOMES), 49)

    def outcome(self, name: str) -> Read | Answered | Dropped:
        try:
            message = read(name)
        except ParseError as error:
            return Dropped(error.reason) if error.response is None else Answered(error.response.status, error.reason)
        return Read(message.method if isinstance(message, Request) else message.status)  # type: ignore[attr-defined]

    def test_outcomes(self) -> None:
        """Each message ends as the RFC asks."""
        for name, expected in OUTCOMES.items():
            self.assertEqual(self.outcome(name), expected, name)

    def test_answers_can_be_sent(self) -> None:
        """The answer to a broken request goes the way it came, with the Call-ID it had."""
        for name, expected in OUTCOMES.items():
            if isinstance(expected, Answered):
                error: ParseError = self.assertRaises(ParseError, read, name)
                assert error.response is not None
                printed = error.response.to_bytes()
                self.assertTrue(printed.startswith(b"SIP/2.0 %d " % expected.status), name)
                self.assertTrue(error.response.via.host, name)

    def test_read_again(self) -> None:
        """What was read prints as a message that reads alike."""
        for name, expected in OUTCOMES.items():
            if isinstance(expected, Read):
                message = read(name)
                again = parse_message(message.to_bytes())
                self.assertEqual(again.body, message.body, name)
                for header, lines in message.headers.items():
                    if header != "content-length":
                        self.assertEqual(again.headers[header], lines, f"{name} {header}")

    def test_streams(self) -> None:
        """By TCP each message ends alike, or costs the connection where its length is unknown."""
        for name, expected in OUTCOMES.items():
            try:
                items = StreamParser().feed(octets(name))
            except StreamBroken as broken:
                self.assertIn(name, ("dblreq", "ncl", "mcl01", "inv2543"), str(broken))
                continue
            if name == "clerr":
                self.assertEqual(items, [])  # waits for the rest (§3.1.2.2)
            elif isinstance(expected, Read):
                self.assertIsInstance(items[0], Request | Response, name)
            else:
                self.assertIsInstance(items[0], ParseError, name)


class MeaningTests(SynchronousTestCase):
    def test_wsinv(self) -> None:
        """White space everywhere: every value is understood."""
        message = read("wsinv")
        self.assertEqual((message.to.tag, message.from_.tag), ("1918181833n", "98asjd8"))
        self.assertEqual(message.from_.display, 'J Rosenberg \\"')
        self.assertEqual((message.cseq.number, message.cseq.method), (9, "INVITE"))
        self.assertEqual(
            [(via.transport, via.host, via.branch) for via in message.vias],
            [
                ("UDP", "192.0.2.2", "390skdjuw"),
                ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
                ("UDP", "192.168.255.111", "z9hG4bK30239"),
            ],
        )
        self.assertEqual(message.routes[0].uri.params["unknown-no-value"], None)
        self.assertEqual(message.get("newfangledheader"), "newfangled value continued newfangled value")
        self.assertEqual((message.get("subject"), message.get("unknownheaderwithunusualvalue")), ("", ";;,,;;,;"))
        contact = message.contact
        assert contact is not None
        self.assertEqual((contact.display, contact.params["secondparam"]), ('Quoted string ""', None))
        self.assertEqual(contact.params["q"], "0.33")
        self.assertEqual(len(message.body), 150)

    def test_intmeth(self) -> None:
        """Every legal character in its place, NUL and all, and all of them go back in the response."""
        message = read("intmeth")
        self.assertEqual(message.to.display, "BEL:\x07 NUL:\x00 DEL:\x7f")
        self.assertEqual(message.from_.display, "token1~` token2'+_ token3*%!.-")
        self.assertEqual(message.from_.params["fromparam''~+*_!.-%"], "работающий")
        self.assertEqual(message.get("extensionheader-!.%*+_`'~"), "\ufeff大停電")
        assert isinstance(message, Request)
        self.assertEqual(message.uri.password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
        self.assertIn(octets("intmeth").split(b"\r\n")[2], make_response(message, 501).to_bytes())

    def test_escapes(self) -> None:
        """Escapes are kept where they are, and undone only for who asks."""
        message = read("esc01")
        assert isinstance(message, Request)
        self.assertEqual((message.uri.plain_user, message.uri.host), ("sips:user@example.com", "example.net"))
        null = read("escnull")
        self.assertEqual(null.to.uri.plain_user, "null-\x00-null")
        contacts = NameAddr.parse_many(null.headers["contact"])
        self.assertEqual(
            [str(value.uri) for value in contacts], ["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]
        )
        escaped = read("esc02")
        self.assertEqual((escaped.to.display, len(escaped.headers["contact"])), ("%Z%45", 2))
        self.assertEqual(escaped.get("c%6fntact"), "<sip:alias2@host2.example.com>")
        semi = read("semiuri")
        assert isinstance(semi, Request)
        self.assertEqual((semi.uri.user, semi.uri.params), ("user;par=u%40example.net", {}))

    def test_long_values(self) -> None:
        """Long is not wrong."""
        message = read("longreq")
        self.assertEqual(len(message.vias), 34)
        self.assertGreater(len(message.from_.uri.user or ""), 100)
        self.assertEqual(message.to.uri.port, 6000)
        self.assertGreater(len(message.call_id), 100)

    def test_no_space_before_bracket(self) -> None:
        """A display name may touch its bracket."""
        self.assertEqual(read("lwsdisp").from_.display, "caller")

    def test_trailing_octets(self) -> None:
        """What follows a message in its datagram is no message; on a stream it is the next one (§3.1.1.8).

        (The second one's Content-Length is too small by five, so that the stream ends there.)
        """
        self.assertEqual(read("dblreq").body, b"")
        broken: StreamBroken = self.assertRaises(StreamBroken, StreamParser().feed, octets("dblreq"))
        methods = [item.method for item in broken.completed if isinstance(item, Request)]
        self.assertEqual(methods, ["REGISTER", "INVITE"])

    def test_transports(self) -> None:
        """Transports unknown to us stand in other people's Vias."""
        self.assertEqual([via.transport for via in read("transports").vias], ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"])

    def test_binary_body(self) -> None:
        """A body of arbitrary octets arrives as it is."""
        message = read("mpart01")
        self.assertEqual(ParamValue.parse(message.get("content-type") or "").params["boundary"], "7a9cbec02ceef655")
        self.assertEqual(len(message.body), int(message.get("content-length") or ""))
        self.assertIn(b"\x00", message.body)

    def test_phrases(self) -> None:
        """A phrase in another script, and none."""
        message = read("unreason")
        assert isinstance(message, Response)
        self.assertEqual(message.phrase, "= 2**3 * 5**2 но сто девяносто девять - простое")
        empty = read("noreason")
        assert isinstance(empty, Response)
        self.assertEqual(empty.phrase, "")

    def test_registrar_faults(self) -> None:
        """A Contact with `?` outside brackets is refused by whoever reads it, one inside is understood (§3.1.2.13)."""
        message = read("regbadct")
        with self.assertRaises(HeaderError):
            _ = message.contact
        escaped = read("regescrt").contact
        assert escaped is not None
        self.assertEqual(escaped.uri.headers, (("Route", "%3Csip:sip.example.com%3E"),))

    def test_contact_parameters(self) -> None:
        """The same parameter belongs to the header without brackets and to the URI within (§3.3.12, §3.3.13)."""
        header, uri = read("cparam01").contact, read("cparam02").contact
        assert header is not None
        assert uri is not None
        self.assertEqual((dict(header.params), dict(header.uri.params)), ({"unknownparam": None}, {}))
        self.assertEqual((dict(uri.params), dict(uri.uri.params)), ({}, {"unknownparam": None}))

    def test_schemes(self) -> None:
        """A To with another scheme is legal, and is no address of record."""
        message = read("unksm2")
        self.assertEqual((message.to.uri.scheme, message.to.uri.is_sip), ("isbn", False))
        self.assertEqual(message.from_.uri.scheme, "http")

    def test_extensions(self) -> None:
        """What the floors above decide on can be asked for."""
        message = read("bext01")
        self.assertTrue(message.has("require", "nothingSupportsThis"))
        self.assertTrue(message.has("proxy-require", "norDoAnyProxiesSupportThis"))
        self.assertEqual(read("invut").get("content-type"), "application/unknownformat")
        self.assertEqual(read("sdp01").get("accept"), "text/nobodyKnowsThis")
        self.assertEqual(read("zeromf").get("max-forwards"), "0")
        self.assertEqual(read("badbranch").via.branch, "z9hG4bK")
        self.assertTrue((read("regaut01").get("authorization") or "").startswith("NoOneKnowsThisScheme"))
        self.assertEqual([via.host for via in read("bcast").vias], ["192.0.2.198", "255.255.255.255"])
        self.assertIsNone(read("inv2543").via.branch)
