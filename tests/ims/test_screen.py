"""What is refused before anybody looks at who is called."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.screen import refusal
from rtcgw.sip.message import Request
from tests.ims.requests import request

SDP = b"v=0\r\n"


class ScreenTests(SynchronousTestCase):
    def refused(self, made: Request, status: int, header: str = "", value: str = "") -> None:
        response = refusal(made)
        assert response is not None
        self.assertEqual(response.status, status)
        if header:
            self.assertEqual(response.get(header), value)

    def test_what_a_phone_sends_passes(self) -> None:
        """Ordinary calls and questions are not held up."""
        for made in (
            request(body=SDP),
            request(),
            request(require="100rel", supported="timer, replaces, 100rel"),
            request("OPTIONS"),
            request("BYE", body=b"why", content_type="text/plain"),
            request(uri="tel:+15550011"),
            request(body=SDP, content_type="Application/SDP ; charset=utf-8"),
            request(session_expires="1800;refresher=uac", supported="timer"),
        ):
            self.assertIsNone(refusal(made), made)

    def test_unknown_method(self) -> None:
        """A method we do not speak gets 405 and the list of those we do."""
        allow = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS, NOTIFY, REFER, SUBSCRIBE"
        for method in ("MESSAGE", "PUBLISH", "REGISTER", "invite"):
            self.refused(request(method), 405, "allow", allow)

    def test_unknown_scheme(self) -> None:
        """A Request-URI that is no telephone address gets 416."""
        self.refused(request(uri="http:example"), 416)

    def test_unknown_extension(self) -> None:
        """420 names what we lack, and only that."""
        self.refused(request(require="100rel, precondition, fancy"), 420, "unsupported", "precondition, fancy")
        self.refused(request("BYE", require="nonsense"), 420, "unsupported", "nonsense")

    def test_body_that_is_no_description(self) -> None:
        """A body we cannot read gets 415 and the type we can, unless the sender says it does not matter."""
        for method in ("INVITE", "UPDATE", "PRACK"):
            self.refused(request(method, body=b"x", content_type="text/html"), 415, "accept", "application/sdp")
        self.refused(request(body=SDP, content_encoding="gzip"), 415, "accept-encoding", "identity")
        optional = request(body=b"x", content_type="text/html", content_disposition="render;handling=optional")
        self.assertIsNone(refusal(optional))
        self.refused(request(body=b"x", content_type="text/html", content_disposition=';"'), 415)

    def test_session_interval_too_small(self) -> None:
        """A peer that knows session timers is told the least interval; one that does not is left alone."""
        self.refused(request(session_expires="60", supported="timer"), 422, "min-se", "90")
        self.assertIsNone(refusal(request(session_expires="60")))
        self.assertIsNone(refusal(request(session_expires="soon", supported="timer")))

    def test_the_first_mistake_is_told(self) -> None:
        """A request with several faults hears of them in the order of RFC 3261 §8.2."""
        self.refused(request("MESSAGE", uri="http:x", require="y"), 405)
        self.refused(request(uri="http:x", require="y"), 416)
        self.refused(request(require="y", body=b"x", content_type="text/html"), 420)
