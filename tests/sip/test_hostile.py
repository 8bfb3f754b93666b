"""Everything that reads, against generated texts: it reads back what it prints, or refuses by name, at little cost."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip import parser
from rtcgw.sip.headers import (
    Challenge,
    Credentials,
    CSeq,
    HeaderError,
    NameAddr,
    ParamValue,
    Quoted,
    RAck,
    Via,
    parse_params,
    print_params,
    quote,
    split_list,
    unquote,
)
from rtcgw.sip.message import Request
from rtcgw.sip.parser import ParseError, StreamBroken, StreamParser, parse_message
from rtcgw.sip.uri import Uri, UriError
from tests.sip.test_parser import data
from tests.sip.test_uri import uris, word

READERS: tuple[Callable[[str], Any], ...] = (
    NameAddr.parse,
    Via.parse,
    CSeq.parse,
    RAck.parse,
    ParamValue.parse,
    Challenge.parse,
    Credentials.parse,
)

line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
value = st.none() | word | line.map(Quoted)
params = st.dictionaries(word.map(str.lower), value, max_size=4)
addresses = st.builds(NameAddr, uris, st.none() | line.filter(bool), params)
vias = st.builds(
    Via,
    transport=st.sampled_from(["UDP", "TCP", "TLS", "TLS-SCTP"]),
    host=st.sampled_from(["h", "a.example.com", "10.0.0.1", "2001:db8::1"]),
    port=st.none() | st.integers(1, 65535),
    params=params,
)
broken = st.one_of(
    line,
    st.text('<>";,=\\ aA1:@[]%*/?', max_size=24),
    st.text('<>";,=\\ ', max_size=8).map(lambda text: f'"A" <sip:a@h>;tag=1{text}'),
    st.text('<>";,=\\ ', max_size=8).map(lambda text: f"SIP/2.0/UDP h;branch=1{text}"),
    st.text('<>";,=\\ ', max_size=8).map(lambda text: f'Digest realm="a", nonce=b{text}'),
)


class RoundTrips(SynchronousTestCase):
    @given(addresses)
    @settings(max_examples=80, deadline=None)
    def test_addresses(self, address: NameAddr) -> None:
        """An address reads back as it was, alone and in a list."""
        self.assertEqual(NameAddr.parse(str(address)), address)
        self.assertEqual(NameAddr.parse_many([f"{address}, {address}"]), [address, address])

    @given(vias)
    @settings(max_examples=80, deadline=None)
    def test_vias(self, via: Via) -> None:
        """A Via reads back as it was, and so does its stamp."""
        self.assertEqual(Via.parse(str(via)), via)
        stamped = via.stamped("10.9.9.9", 9)
        self.assertEqual(Via.parse(str(stamped)), stamped)
        self.assertEqual(stamped.host, via.host)

    @given(params.filter(bool))
    @settings(max_examples=80, deadline=None)
    def test_params(self, values: dict[str, str | None]) -> None:
        """Parameters read back with their quotes."""
        again = parse_params(print_params(values)[1:])
        self.assertEqual(again, values)
        self.assertEqual([type(item) for item in again.values()], [type(item) for item in values.values()])

    @given(line)
    @settings(max_examples=80, deadline=None)
    def test_quotes(self, text: str) -> None:
        """Any line survives its quotes, and never splits a list."""
        self.assertEqual(unquote(quote(text)), text)
        self.assertEqual(split_list(f"{quote(text)}, x"), [quote(text), "x"])

    @given(st.dictionaries(word.map(str.lower), word | line.map(Quoted), max_size=5))
    @settings(max_examples=80, deadline=None)
    def test_challenges(self, values: dict[str, str | None]) -> None:
        """A challenge and credentials read back as they were."""
        self.assertEqual(Challenge.parse(str(Challenge("Digest", values))), Challenge("Digest", values))
        self.assertEqual(Credentials.parse(str(Credentials("Digest", values))), Credentials("Digest", values))

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), word)
    @settings(max_examples=40, deadline=None)
    def test_numbers(self, one: int, two: int, method: str) -> None:
        """Sequence numbers read back."""
        self.assertEqual(CSeq.parse(str(CSeq(one, method))), CSeq(one, method))
        self.assertEqual(RAck.parse(str(RAck(one, two, method))), RAck(one, two, method))

    @given(vias, addresses, addresses, st.integers(0, 2**32 - 1), st.binary(max_size=40), st.lists(line, max_size=4))
    @settings(max_examples=80, deadline=None)
    def test_messages(self, via: Via, one: NameAddr, two: NameAddr, number: int, body: bytes, texts: list[str]) -> None:
        """A message reads back as it was, whatever its body, by datagram and by stream."""
        request = Request("MESSAGE", Uri.parse("sip:bob@h"))
        for name, text in (("via", str(via)), ("from", str(one)), ("to", str(two)), ("call-id", "c")):
            request.add(name, text)
        request.add("cseq", f"{number} MESSAGE")
        for text in texts:
            request.add("x-text", text)
        request.body = body
        again = parse_message(request.to_bytes())
        assert isinstance(again, Request)
        self.assertEqual((again.via, again.from_, again.to), (via, one, two))
        self.assertEqual((again.cseq.number, again.body), (number, body))
        self.assertEqual(again.headers.get("x-text", []), [text.strip() for text in texts])
        self.assertEqual(len(StreamParser().feed(request.to_bytes())), 1)


class Fuzz(SynchronousTestCase):
    @given(broken)
    @settings(max_examples=300, deadline=None)
    def test_values(self, text: str) -> None:
        """Whatever stands in a header is read, and then prints as something that reads alike, or is refused."""
        for read in READERS:
            try:
                found = read(text)
            except HeaderError:
                continue
            self.assertEqual(read(str(found)), found)

    @given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 40))
    @settings(max_examples=200, deadline=None)
    def test_octets(self, noise: bytes, place: int, gone: int) -> None:
        """Octets cut out of a message and others put in: it is read, or refused, and its answer can be sent."""
        whole = data("INVITE sip:bob@ims.test SIP/2.0", "CSeq: 1 INVITE", "Content-Length: 3", body=b"abc", drop="CSeq")
        octets = whole[:place] + noise + whole[place + gone :]
        try:
            self.assertTrue(parse_message(octets).to_bytes())
        except ParseError as error:
            if error.response is not None:
                head, end, body = error.response.to_bytes().partition(b"\r\n\r\n")
                self.assertEqual((head[:8], end, body), (b"SIP/2.0 ", b"\r\n\r\n", b""))
        try:
            StreamParser().feed(octets)
        except StreamBroken as fault:
            self.assertTrue(fault.error.reason)


class Costs(SynchronousTestCase):
    def test_hostile_texts_cost_little(self) -> None:
        """8 kB chosen to make patterns try everything do not hold up the calls of others."""
        size = parser.MAX_LINE - 60
        fillings = [
            piece * (size // len(piece))
            for piece in ("<", '"', " ", ";a", ",", "=", ":", "a ", "[", "%41", '\\"', "-1", "a&")
        ]
        texts = [
            start + filling
            for filling in fillings
            for start in ("", "tel:", "sip:", "<", '"', "SIP/2.0/UDP h;", "Digest a=")
        ]
        begun = process_time()
        for text in texts:
            for read in (*READERS, split_list, Uri.parse):
                try:
                    read(text)
                except (HeaderError, UriError):
                    continue
            for more in (f"Contact: {text}", f"Subject: x\r\n  {text}"):
                try:
                    parse_message(data("OPTIONS sip:h SIP/2.0", more, f"From: {text}", drop="From"))
                except ParseError:
                    continue
        self.assertLess((process_time() - begun) / len(texts), 0.1)
