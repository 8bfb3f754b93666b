"""The words of session timers: who refreshes, and how long a session holds (RFC 4028, Table 2)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.message import Request, Response
from rtcgw.sip.uri import Uri
from rtcgw.translator.sipterms import LONGEST, Terms, grant, granted, knows, least_of, propose, terms_of


def asked(expires: str = "", timer: bool = True, min_se: str = "") -> Request:
    request = Request("INVITE", Uri.parse("sip:gw@127.0.0.1"))
    if expires:
        request.set("session-expires", expires)
    if timer:
        request.set("supported", "100rel, timer")
    if min_se:
        request.set("min-se", min_se)
    return request


class WordsTests(SynchronousTestCase):
    def test_reads(self) -> None:
        """An interval is read as phones write it; what cannot be read is no interval, and none is too short or long."""
        for text, terms in (
            ("1800;refresher=uac", Terms(1800, "uac")),
            ("1800 ; Refresher=UAS;x=y", Terms(1800, "uas")),
            ("1800", Terms(1800, "")),
            ("1800;refresher=me", Terms(1800, "")),
            ("5", Terms(90, "")),
            ("9" * 40, Terms(LONGEST, "")),
            ("soon", None),
            ("-1", None),
            ("\u0661\u0662\u0663", None),
            ('90;refresher="', None),
        ):
            self.assertEqual(terms_of(asked(text)), terms, text)
        self.assertIsNone(terms_of(asked()))

    def test_least(self) -> None:
        """Min-SE is read; one that nobody could meet counts as none."""
        for text, least in (("300", 300), ("300;x=y", 300), ("", None), ("x", None), ("9" * 12, None)):
            self.assertEqual(least_of(asked(min_se=text)), least, text)

    def test_knows(self) -> None:
        """A sender has timers when it supports or requires them."""
        self.assertTrue(knows(asked()))
        self.assertFalse(knows(asked(timer=False)))
        required = Response(200)
        required.set("require", "timer")
        self.assertTrue(knows(required))

    def test_propose(self) -> None:
        """A request of ours names the refresher once there is one, and Min-SE where it is not the usual."""
        request = asked()
        propose(request, 600, 90)
        self.assertEqual((request.get("session-expires"), request.get("min-se")), ("600", None))
        propose(request, 600, 300, "uas")
        self.assertEqual((request.get("session-expires"), request.get("min-se")), ("600;refresher=uas", "300"))

    def test_granted(self) -> None:
        """A 2xx decides; one that forgets to say who refreshes leaves it to us, lest nobody does."""
        response = Response(200)
        self.assertIsNone(granted(response))
        response.set("session-expires", "600;refresher=uas")
        self.assertEqual(granted(response), Terms(600, "uas"))
        response.set("session-expires", "600")
        self.assertEqual(granted(response), Terms(600, "uac"))


class GrantTests(SynchronousTestCase):
    """What our 2xx says to a request, by the table of RFC 4028 §9."""

    def grants(self, request: Request, wanted: int, said: str | None, required: bool) -> None:
        response = Response(200)
        terms = grant(request, response, wanted)
        self.assertEqual(response.get("session-expires"), said)
        self.assertEqual(response.get("require"), "timer" if required else None)
        self.assertEqual(terms, None if said is None else terms_of(response))

    def test_who_refreshes(self) -> None:
        """The peer's choice stands; without one the peer refreshes; a peer without timers cannot, so we do."""
        for expires, timer, said in (
            ("1800", False, "uas"),
            ("1800;refresher=uas", False, "uas"),
            ("1800;refresher=uac", False, "uas"),
            ("1800", True, "uac"),
            ("1800;refresher=uac", True, "uac"),
            ("1800;refresher=uas", True, "uas"),
            ("", True, "uac"),
            ("", False, "uas"),
        ):
            self.grants(asked(expires, timer), 1800, f"1800;refresher={said}", timer)

    def test_how_long(self) -> None:
        """The peer's interval is shortened to ours, never lengthened, and not below its Min-SE."""
        for expires, min_se, wanted, said in (
            ("1800", "", 600, 600),
            ("300", "", 600, 300),
            ("1800", "900", 600, 900),
            ("1800", "", 0, 1800),
            ("", "900", 600, 900),
            ("120", "900", 600, 120),
        ):
            self.grants(asked(expires, min_se=min_se), wanted, f"{said};refresher=uac", True)

    def test_nobody_asks(self) -> None:
        """Where neither side asks there is no interval."""
        self.grants(asked(), 0, None, False)
        self.grants(asked(timer=False), 0, None, False)
