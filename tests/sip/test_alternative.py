"""The body of a 380 from an IMS core."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.alternative import CONTENT_TYPE, Alternative, alternative, emergency
from rtcgw.sip.message import Response

TEXT = (
    '<?xml version="1.0"?><ims-3gpp {} version="1"><alternative-service><type>{}</type>'
    "<reason> Out of\n coverage </reason><action>Emergency-Registration</action></alternative-service></ims-3gpp>"
)


def read(body: bytes, kind: str = f"{CONTENT_TYPE};charset=utf-8") -> Alternative:
    response = Response(380)
    response.set("content-type", kind)
    response.body = body
    return alternative(response)


class AlternativeTests(SynchronousTestCase):
    def test_read(self) -> None:
        """The type as text or as an element, with a namespace or without."""
        expected = Alternative("emergency", "emergency-registration", "Out of coverage")
        for namespace in ("", 'xmlns="urn:3gpp:ns:imsxml:1.0"'):
            for kind in ("emergency", " Emergency ", "<emergency/>", " <emergency/> "):
                self.assertEqual(read(TEXT.format(namespace, kind).encode()), expected, kind)
        self.assertEqual(read(TEXT.format("", "restoration").encode()).type, "restoration")

    def test_nothing(self) -> None:
        """No body, another one, or a broken one says nothing."""
        body = TEXT.format("", "emergency").encode()
        for other in (b"", b"<a/>", body[:-3], b"<!DOCTYPE x>" + body, body + b"x" * 9000, b"\xff"):
            self.assertEqual(read(other), Alternative(), other[:20])
        self.assertEqual(read(body, "text/plain"), Alternative())
        self.assertEqual(alternative(Response(380)), Alternative())
        inner = "<ims-3gpp><service-info><type>emergency</type></service-info></ims-3gpp>"
        self.assertEqual(read(inner.encode()), Alternative())

    def test_written(self) -> None:
        """What we write is read as what it says."""
        self.assertEqual(read(emergency("Use a phone.")), Alternative("emergency", "", "Use a phone."))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def test_anything(self, body: bytes) -> None:
        """Whatever the body, it is read without a fault."""
        self.assertIsInstance(read(body), Alternative)
        self.assertIsInstance(read(b"<ims-3gpp><alternative-service>" + body), Alternative)
