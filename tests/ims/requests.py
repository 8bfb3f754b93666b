"""Requests as a core would send them, for tests that need no core."""

from __future__ import annotations

from rtcgw.sip.message import Request
from rtcgw.sip.uri import Uri


def request(
    method: str = "INVITE", uri: str = "sip:token@127.0.0.1:5070", body: bytes = b"", **headers: str
) -> Request:
    """A request with the mandatory headers; `p_called_party_id=...` and the like are added or replace them."""
    made = Request(method, Uri.parse(uri))
    made.set("via", "SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bKtest;rport")
    made.set("from", '"Bob" <sip:bob@ims.test>;tag=bobs')
    made.set("to", "<sip:gw1@ims.test>")
    made.set("call-id", "one@127.0.0.1")
    made.set("cseq", f"1 {method}")
    made.set("max-forwards", "68")
    made.set("contact", "<sip:bob@127.0.0.1:5090>")
    for name, value in headers.items():
        made.set(name.strip("_").replace("_", "-"), value)
    if body:
        if "content_type" not in headers:
            made.set("content-type", "application/sdp")
        made.body = body
    return made
