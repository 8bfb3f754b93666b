"""Header values read and printed, one class each."""

from __future__ import annotations

from typing import Any

from twisted.protocols import sip
from twisted.trial.unittest import SynchronousTestCase

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
)
from rtcgw.sip.uri import Uri


def refused(case: SynchronousTestCase, parse: Any, *texts: str) -> None:
    for text in texts:
        with case.assertRaises(HeaderError, msg=text):
            parse(text)


class WordTests(SynchronousTestCase):
    def test_lists(self) -> None:
        """Commas part a list, but not inside quotes or brackets."""
        for text, items in (
            ("", []),
            ("a", ["a"]),
            (" a , b,,c ,", ["a", "b", "c"]),
            ('"a,b" <sip:x,y@h>;z="1,2", <sip:c@h>', ['"a,b" <sip:x,y@h>;z="1,2"', "<sip:c@h>"]),
            (r'"a\",b" <sip:x@h>, c', [r'"a\",b" <sip:x@h>', "c"]),
        ):
            self.assertEqual(split_list(text), items)
        refused(self, split_list, 'a, "b', "a, <b", 'a, "b\\"')

    def test_params(self) -> None:
        """Flags, quotes and spaces around the equals sign are all parameters."""
        params = parse_params('Tag=a ; ob;x = "a;=,\\"b" ;received=[::1];y=b64==')
        self.assertEqual(params, {"tag": "a", "ob": None, "x": 'a;=,"b', "received": "[::1]", "y": "b64=="})
        self.assertEqual(print_params(params), ';tag=a;ob;x="a;=,\\"b";received=[::1];y=b64==')
        refused(self, parse_params, "br\x01nch=1", "a;b=\x02", "\x7f")  # could not be printed into an answer
        refused(self, parse_params, "", ";", "a;", "a;;b", "a=", "a=;b", "=b", "a=1;A=2", 'a="b', "a b", "a=b c", "a,b")

    def test_params_refused_in_print(self) -> None:
        """A name or a value that would become another header is not printed."""
        for params in ({"a\r\nEvil": "1"}, {"a": "1\r\nEvil: 1"}, {"a;b": None}, {"": None}, {"a=b": "1"}):
            self.assertRaises(HeaderError, print_params, params)

    def test_quotes_stay(self) -> None:
        """A value that came in quotes goes out in quotes, even where it need not."""
        self.assertEqual(print_params(parse_params('text="busy"')), ';text="busy"')
        self.assertEqual(print_params({"text": "two words"}), ';text="two words"')
        self.assertEqual(quote('a"\\\x00'), '"a\\"\\\\\\\x00"')
        self.assertRaises(HeaderError, quote, "a\nb")


class NameAddrTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """With and without brackets, quotes and a name."""
        for text, display, user, params in (
            ("sip:a@h", None, "a", {}),
            ("sip:a@h;tag=1", None, "a", {"tag": "1"}),
            ("<sip:a@h;lr>;tag=1;ob", None, "a", {"tag": "1", "ob": None}),
            ("Alice B. <sip:a@h>", "Alice B.", "a", {}),
            ('"Alice, \\"the\\" <B>"  <sip:a@h> ; tag = 1', 'Alice, "the" <B>', "a", {"tag": "1"}),
            ('"" <sip:a@h>', None, "a", {}),
            ("Żółć <sip:a@h>", "Żółć", "a", {}),
            ("<tel:+1555>;tag=x", None, "+1555", {"tag": "x"}),
            ('<sip:a@h>;+sip.instance="<urn:uuid:1>"', None, "a", {"+sip.instance": "<urn:uuid:1>"}),
        ):
            value = NameAddr.parse(text)
            self.assertEqual((value.display, value.uri.user, value.params), (display, user, params), text)
            self.assertEqual(NameAddr.parse(str(value)), value)

    def test_refused(self) -> None:
        """What RFC 3261 §20.10 forbids is refused: it would be read in two ways."""
        refused(
            self, NameAddr.parse, "", "*", "a", "<sip:a@h", "sip:a@h>", '"a <sip:a@h>', '"a" sip:a@h', "a, b <sip:a@h>",
            "sip:a@h?x=y", "<sip:a@h> x", "<sip:a@h>;", "< sip:a@h>", "<sip:a@h>;tag=1;tag=2", "a@b <sip:a@h>", "<>",
        )  # fmt: skip

    def test_changed(self) -> None:
        """A tag is added or replaced, the rest stays; the value itself never changes."""
        value = NameAddr.parse('"A" <sip:a@h>;x')
        self.assertEqual(str(value.with_tag("t")), '"A" <sip:a@h>;x;tag=t')
        self.assertEqual(str(value.with_tag("t").with_tag("u").bare()), '"A" <sip:a@h>')
        self.assertEqual(value.with_params(expires="0").params, {"x": None, "expires": "0"})
        self.assertIsNone(value.tag)

    def test_injection(self) -> None:
        """A display name from a browser cannot become a header."""
        self.assertRaises(HeaderError, str, NameAddr(Uri.parse("sip:a@h"), "A\r\nEvil: 1"))
        self.assertRaises(HeaderError, str, NameAddr(Uri("sip", "a\r\nEvil: 1", "h")))
        self.assertEqual(str(NameAddr(Uri.parse("sip:a@h"), 'A" <sip:evil@h>')), '"A\\" <sip:evil@h>" <sip:a@h>')

    def test_many(self) -> None:
        """Lines and lists come out as one list."""
        found = NameAddr.parse_many(["<sip:a@h>, <sip:b@h;lr>;x", "<sip:c@h>"])
        self.assertEqual([str(value) for value in found], ["<sip:a@h>", "<sip:b@h;lr>;x", "<sip:c@h>"])


class ViaTests(SynchronousTestCase):
    def test_parameters_override_nothing(self) -> None:
        """`;host=evil` is a parameter like others: the response goes to the host that was named."""
        via = Via.parse("SIP/2.0/UDP good:5070;host=evil;port=1;transport=TLS;self=1;branch=b")
        self.assertEqual((via.host, via.port, via.transport, via.branch), ("good", 5070, "UDP", "b"))
        self.assertEqual(via.params["host"], "evil")

    def test_forms(self) -> None:
        """White space, IPv6, lower case, no port."""
        for text, printed in (
            ("SIP/2.0/UDP h", "SIP/2.0/UDP h"),
            ("SIP / 2.0 / tcp   h : 5070 ; branch = b", "SIP/2.0/TCP h:5070;branch=b"),
            ("sip/2.0/udp [2001:db8::1]:5060;received=[::1]", "SIP/2.0/UDP [2001:db8::1]:5060;received=[::1]"),
            ("SIP/2.0/UDP 10.0.0.1:65535;rport", "SIP/2.0/UDP 10.0.0.1:65535;rport"),
            ("SIP/2.0/TLS-SCTP h;a;b=1", "SIP/2.0/TLS-SCTP h;a;b=1"),
        ):
            self.assertEqual(str(Via.parse(text)), printed)

    def test_refused(self) -> None:
        """A Via that names no way back is refused."""
        refused(
            self, Via.parse, "", "SIP/2.0/UDP", "SIP/3.0/UDP h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:0",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP 2001:db8::1", "SIP/2.0/UDP h;", "SIP/2.0/UDP h;;a", "SIP/2.0/UDP h;a;a", "SIP/2.0/UDP h x",
            "SIP/2.0/UDP [x]", "SIP/2.0/UDP h_\u00e9",
        )  # fmt: skip

    def test_stamped(self) -> None:
        """The true source is noted, whatever the sender wrote there (RFC 3261 §18.2.1, RFC 3581 §4)."""
        for text, stamped in (
            ("SIP/2.0/UDP h;rport;branch=b", ";rport=9;branch=b;received=10.0.0.9"),
            ("SIP/2.0/UDP h;branch=b", ";branch=b;received=10.0.0.9"),
            ("SIP/2.0/UDP h;received=1.2.3.4;rport=1", ";rport=9;received=10.0.0.9"),
            ("SIP/2.0/UDP 10.0.0.9;received=1.2.3.4", ""),
        ):
            self.assertEqual(str(Via.parse(text).stamped("10.0.0.9", 9)).partition(";")[2], stamped[1:])

    def test_accessors(self) -> None:
        """What the transport asks for."""
        via = Via.parse("SIP/2.0/UDP h;rport=5;received=[::1];maddr=m;ttl=1;hidden")
        self.assertEqual((via.rport, via.received, via.maddr, via.ttl, via.hidden), (5, "::1", "m", "1", True))
        self.assertEqual((via.wants_rport, via.rportRequested, via.rportValue), (True, False, 5))
        self.assertEqual(via.otherParams, via.params)
        for text in ("SIP/2.0/UDP h;rport", "SIP/2.0/UDP h;rport=x", "SIP/2.0/UDP h;rport=999999", "SIP/2.0/UDP h"):
            self.assertIsNone(Via.parse(text).rport)
        self.assertIsInstance(via, sip.Via)
        self.assertEqual(via.toString(), str(via))
        self.assertEqual(str(Via.parse("SIP/2.0/UDP h").with_params(branch="x")), "SIP/2.0/UDP h;branch=x")

    def test_many(self) -> None:
        """Joined Vias are as many as they are."""
        found = Via.parse_many(["SIP/2.0/UDP a;branch=1 , SIP/2.0/TCP b", "SIP/2.0/UDP c"])
        self.assertEqual([via.host for via in found], ["a", "b", "c"])


class SmallTests(SynchronousTestCase):
    def test_cseq(self) -> None:
        """Numbers up to 32 bits, leading zeros, any white space; nothing else."""
        self.assertEqual(CSeq.parse("0009  INVITE"), CSeq(9, "INVITE"))
        self.assertEqual(str(CSeq(4294967295, "x")), "4294967295 x")
        refused(
            self,
            CSeq.parse,
            "",
            "1",
            "INVITE",
            "-1 INVITE",
            "4294967296 INVITE",
            "1 INVITE x",
            "\u0661 INVITE",
            "1 IN/VITE",
        )
        refused(self, CSeq.parse, "9" * 5000 + " INVITE")

    def test_rack(self) -> None:
        """Which response a PRACK means."""
        self.assertEqual(RAck.parse("776656 1 INVITE"), RAck(776656, 1, "INVITE"))
        self.assertEqual(str(RAck(1, 2, "INVITE")), "1 2 INVITE")
        refused(self, RAck.parse, "", "1 INVITE", "1 2", "4294967296 1 INVITE", "1 4294967296 INVITE")

    def test_param_value(self) -> None:
        """A word and its parameters."""
        value = ParamValue.parse("active ; expires=600")
        self.assertEqual((value.value, value.params), ("active", {"expires": "600"}))
        self.assertEqual(str(ParamValue("SIP", {"cause": "200", "text": Quoted("Done")})), 'SIP;cause=200;text="Done"')
        self.assertEqual(str(ParamValue.parse("text/html; charset=utf-8")), "text/html;charset=utf-8")
        reasons = ParamValue.parse_many(['Q.850;cause=16;text="a,b", SIP;cause=600'])
        self.assertEqual([reason.value for reason in reasons], ["Q.850", "SIP"])
        refused(self, ParamValue.parse, "", ";a", '"x"', "a,b", "a;")
        self.assertRaises(HeaderError, str, ParamValue("a\r\nEvil: 1"))


class AuthTests(SynchronousTestCase):
    LINE = 'Digest realm="ims.test", nonce="a,b=", qop="auth,auth-int",algorithm=MD5 , stale=FALSE'

    def test_challenge(self) -> None:
        """Quoted and bare values, commas in quotes."""
        challenge = Challenge.parse(self.LINE, proxy=True)
        self.assertEqual(challenge.scheme, "Digest")
        self.assertTrue(challenge.proxy)
        self.assertEqual(challenge.params["nonce"], "a,b=")
        self.assertEqual(challenge.params["qop"], "auth,auth-int")
        self.assertEqual(Challenge.parse(str(challenge), True), challenge)
        self.assertEqual(str(Challenge("NTLM")), "NTLM")

    def test_refused(self) -> None:
        """A broken challenge or credential is told by one exception."""
        refused(
            self, Challenge.parse, "", "=", 'Digest a="b', "Digest a", "Digest a=b c=d", "Digest a=1, A=2", "Digest =x"
        )
        refused(self, Credentials.parse, "Bearer a b", "Digest ,")

    def test_credentials_hide(self) -> None:
        """A log that shows credentials shows a name and no more."""
        credentials = Credentials.parse('Digest username="bob", response="0123", nonce="n"')
        self.assertEqual(repr(credentials), "<Credentials Digest 'bob'>")
        self.assertEqual(str(credentials), 'Digest username="bob", response="0123", nonce="n"')
        self.assertRaises(HeaderError, str, Credentials("Digest", {"username": "a\r\nEvil: 1"}))
