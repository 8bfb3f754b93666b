"""URIs read, printed and compared."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols import sip
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.uri import Uri, UriError, escape_user, parse_host

GOOD = (
    "sip:alice@ims.test",
    "sip:alice:secret@ims.test:5070;transport=tcp;lr?Subject=hi&Priority=urgent",
    "sips:bob@[2001:db8::10]:5061;maddr=[::1]",
    "sip:ims.test",
    "SIP:Alice@IMS.test",
    "sip:user;par=u%40example.net@example.com",
    "sip:+1-555;phone-context=+1@ims.test;user=phone",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d@example.com",
    "sip:*#06#@ims.test",
    "tel:+1-555-0001",
    "tel:7042;phone-context=ims.test;isub=1411",
    "tel:*21*6#",
    "urn:service:sos",
    "isbn:2983792873",
    "http://www.example.com/",
)
BAD = (
    "",
    "alice",
    "sip:",
    "sip:@ims.test",
    "sip:alice@",
    "sip:a b@ims.test",
    "sip:a@ims.test:0",
    "sip:a@ims.test:65536",
    "sip:a@ims.test:x",
    "sip:a@ims.test;",
    "sip:a@ims.test;;lr",
    "sip:a@ims.test;lr;lr",
    "sip:a@ims.test;=1",
    "sip:a@ims.test?x",
    "sip:a%4@ims.test",
    "sip:a@2001:db8::1",
    "sip:a@[::1",
    "sip:a@ims.test\r\nEvil: 1",
    "sip:a\x00@ims.test",
    "sip:al<ice@ims.test",
    "tel:",
    "tel:+",
    "tel:-",
    "tel:alice",
    "tel:+1;=x",
    "isbn:%zz",
    "no scheme:x",
)


class ParsingTests(SynchronousTestCase):
    def test_printed_as_read(self) -> None:
        """A URI goes out as it came in, to the letter."""
        for text in GOOD:
            self.assertEqual(str(Uri.parse(text)), text)

    def test_printed_from_fields(self) -> None:
        """The same URI made from its fields prints alike, but for the case of the scheme."""
        for text in GOOD:
            uri = Uri.parse(text)
            again = uri.replace(scheme=uri.scheme)
            self.assertNotIn("text", again.__dict__)
            self.assertEqual(str(again), text.replace("SIP:", "sip:"))
            self.assertEqual(again, uri)
            self.assertEqual(hash(again), hash(uri))

    def test_refused(self) -> None:
        """What is no URI is told by one exception."""
        for text in BAD:
            with self.assertRaises(UriError, msg=text):
                Uri.parse(text)

    def test_parts(self) -> None:
        """Every part is where the caller looks for it."""
        uri = Uri.parse("SIPS:al%69ce:pw@[2001:DB8::1]:5061;Transport=TCP;lr;maddr=10.0.0.1;foo=bar?Subject=a%20b")
        self.assertEqual((uri.scheme, uri.user, uri.plain_user, uri.password), ("sips", "al%69ce", "alice", "pw"))
        self.assertEqual((uri.host, uri.port, uri.hostport), ("2001:DB8::1", 5061, "[2001:DB8::1]:5061"))
        self.assertEqual(uri.params, {"transport": "TCP", "lr": None, "maddr": "10.0.0.1", "foo": "bar"})
        self.assertEqual(uri.headers, (("Subject", "a%20b"),))
        self.assertTrue(uri.secure and uri.loose and uri.is_sip)
        self.assertEqual(uri.key, "sip:alice@[2001:db8::1]")

    def test_tel(self) -> None:
        """A tel URI has a number for a user and no host."""
        uri = Uri.parse("TEL:+1(555)0001;isub=5")
        self.assertEqual((uri.scheme, uri.user, uri.host, uri.params), ("tel", "+1(555)0001", "", {"isub": "5"}))
        self.assertEqual((uri.key, uri.is_sip, uri.loose), ("tel:+15550001", False, False))

    def test_opaque(self) -> None:
        """Another scheme is carried whole, for From and To may have one (RFC 4475 §3.3.3)."""
        uri = Uri.parse("ISBN:2983792873;x")
        self.assertEqual((uri.scheme, uri.user, uri.host, uri.plain_user), ("isbn", "2983792873;x", "", "2983792873;x"))

    def test_is_twisteds(self) -> None:
        """Twisted's own message class takes it, and finds what it calls by other names."""
        uri = Uri.parse("sip:alice@ims.test:5070;user=phone;transport=tcp;method=INVITE;ttl=3;maddr=m;tag=t;lr;x=1")
        self.assertEqual(sip.Request("INVITE", uri)._getHeaderLine(), f"INVITE {uri} SIP/2.0")
        self.assertEqual((uri.username, uri.usertype, uri.transport, uri.method), ("alice", "phone", "tcp", "INVITE"))
        self.assertEqual((uri.ttl, uri.maddr, uri.tag, uri.other), ("3", "m", "t", ["lr", "x=1"]))
        self.assertEqual(uri.toString(), str(uri))

    def test_host(self) -> None:
        """A host by itself comes without brackets; what is none is refused."""
        self.assertEqual((parse_host("[::1]"), parse_host("ims.test")), ("::1", "ims.test"))
        for text in ("", "::1", "a b", "[x]"):
            self.assertRaises(UriError, parse_host, text)


class PrintingTests(SynchronousTestCase):
    def test_escape(self) -> None:
        """Any name that a user types can be dialled, and reads back as typed."""
        for name in ("alice", "alice bob", "a@b", "<sip:x>", "ü", "\r\nEvil: 1", "50%", "a:b", '"'):
            uri = Uri.parse(f"sip:{escape_user(name)}@ims.test")
            self.assertEqual(uri.plain_user, name)
            self.assertEqual(uri.host, "ims.test")

    def test_injection(self) -> None:
        """A field that would break out of the URI is not printed."""
        for uri in (
            Uri("sip", "a\r\nEvil: 1", "h"),
            Uri("sip", "a>", "h"),
            Uri("sip", "a", "h h"),
            Uri("sip", "\0", "h"),
        ):
            self.assertRaises(UriError, str, uri)

    def test_repr(self) -> None:
        """A log shows the URI."""
        self.assertEqual(repr(Uri.parse("sip:a@h")), "<Uri sip:a@h>")


class ComparingTests(SynchronousTestCase):
    """The examples of RFC 3261 §19.1.4 and RFC 3966 §4, and what they leave out."""

    SAME = (
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a%2fb@h", "sip:a%2Fb@h"),
        ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8::1]"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:7042;phone-context=Example.com", "tel:70-42;phone-context=example.com"),
        ("tel:1;phone-context=+1-2;ext=3-4", "tel:1;ext=34;phone-context=+12"),
        ("isbn:1", "ISBN:1"),
    )
    OTHER = (
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:bob@h", "sips:bob@h"),
        ("sip:bob@h", "sip:bob:pw@h"),
        ("sip:bob@h", "sip:h"),
        ("tel:+1201", "tel:1201;phone-context=+1"),
        ("tel:+1201", "tel:+1201;isub=1"),
        ("sip:+1201@h;user=phone", "tel:+1201"),
        ("isbn:1", "isbn:2"),
    )

    def test_same(self) -> None:
        """Two spellings of one resource are equivalent, both ways round."""
        for one, two in self.SAME:
            self.assertTrue(Uri.parse(one).equivalent(Uri.parse(two)), f"{one} {two}")
            self.assertTrue(Uri.parse(two).equivalent(Uri.parse(one)), f"{two} {one}")

    def test_other(self) -> None:
        """Two resources are not."""
        for one, two in self.OTHER:
            self.assertFalse(Uri.parse(one).equivalent(Uri.parse(two)), f"{one} {two}")
            self.assertFalse(Uri.parse(two).equivalent(Uri.parse(one)), f"{two} {one}")


word = st.text("abcXYZ019-_.~", min_size=1, max_size=6)
hosts = st.one_of(st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[a-z]{2,4})?", fullmatch=True), st.just("2001:db8::1"))
uris = st.builds(
    Uri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.none()
    | st.text(min_size=1, max_size=8).map(lambda text: escape_user(text.encode("utf-8", "replace").decode())),
    host=hosts,
    port=st.none() | st.integers(1, 65535),
    params=st.dictionaries(word.map(str.lower), st.none() | word, max_size=3),
    headers=st.lists(st.tuples(word, word), max_size=2).map(tuple),
)


class RoundTrips(SynchronousTestCase):
    @given(uris)
    @settings(max_examples=100, deadline=None)
    def test_printed_and_read(self, uri: Uri) -> None:
        """What is printed reads back as the same URI."""
        again = Uri.parse(str(uri))
        self.assertEqual(again, uri)
        self.assertTrue(again.equivalent(uri))

    @given(st.text(max_size=40) | st.text("sip:tel@;=?[]%1a.", max_size=30).map(lambda text: f"sip:{text}"))
    @settings(max_examples=200, deadline=None)
    def test_never_another_exception(self, text: str) -> None:
        """Whatever is read either prints as it was, or is refused by name."""
        try:
            uri = Uri.parse(text)
        except UriError:
            return
        self.assertEqual(str(uri), text)
        self.assertTrue(uri.equivalent(uri))
