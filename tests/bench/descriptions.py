"""The session descriptions that the benchmark's two ends exchange.

As long as Chromium's, where a browser writes, and of the ICE and DTLS kind on both sides for `backend = "direct"`,
which passes descriptions through and takes no others. What is plain is for the backends that translate.
"""

from __future__ import annotations

_PRINT = ":".join(["A7"] * 32)

_BROWSER = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "a=extmap-allow-mixed\r\na=msid-semantic: WMS 9f2c7a40\r\n"
    "m=audio 50000 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 127.0.0.1\r\n"
    "a=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:1467250027 1 udp 2122260223 127.0.0.1 50000 typ host generation 0 network-id 1\r\n"
    "a=ice-ufrag:vV1c\r\na=ice-pwd:Zq3tXo2d8x4f1Yw6c0bVg9nM\r\na=ice-options:trickle\r\n"
    f"a=fingerprint:sha-256 {_PRINT}\r\na=setup:SETUP\r\na=mid:0\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\na=msid:9f2c7a40 5e1d\r\n"
    "a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n"
    "a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"
    "a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n"
    "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
    "a=ssrc:3735928559 cname:Qk7fJv2mYx\r\na=ssrc:3735928559 msid:9f2c7a40 5e1d\r\n"
)
BROWSER_OFFER = _BROWSER.replace("SETUP", "actpass")
BROWSER_ANSWER = _BROWSER.replace("SETUP", "active")


def phone(port: int, side: str = "sendrecv") -> str:
    """What a phone says: G.711 and keys, plain RTP to `port`."""
    return (
        "v=0\r\no=phone 2890844526 2890844526 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na={side}\r\n"
    )
