"""What kind of phone or network is at the core's end of a call: `[peer.NAME]` of the configuration.

A profile says what suits the peer: codecs and their order, encryption, preconditions, early media, form of
addresses, keys. The media backend writes descriptions by it, the SIP half-call its headers. It holds no
state and reads no message; which profile a call has is `config`'s and `junction.py`'s matter.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from rtcgw.model.defaults import PTIME


class Transcode(Enum):
    """When a codec is converted into another."""

    NEVER = "never"
    NEEDED = "needed"
    """Only where the two parties have no codec in common."""
    PREFER = "prefer"
    """The browser keeps its own first choice (Opus), which stands lossy paths better."""


class WhenFull(Enum):
    """What a call gets that would need one transcoding more than there may be."""

    REFUSE = "refuse"
    """488."""
    PLAIN = "plain"
    """G.711 on both sides; 488 where a party has none."""


class Srtp(Enum):
    """Encryption of the media towards the core."""

    NONE = "none"
    SDES = "sdes"
    """RTP/SAVP with `a=crypto` (RFC 4568); a peer without it is refused."""
    OPPORTUNISTIC = "opportunistic"
    """RTP/AVP with `a=crypto` (RFC 8643): encrypted where the peer agrees, plain where not."""


class EarlyMedia(Enum):
    """What a caller hears before the answer."""

    AUTO = "auto"
    """Decided by P-Early-Media, early descriptions and the first packet (RFC 3960 §3.2, RFC 5009)."""
    LOCAL = "local"
    """Always the caller's own ring-back tone."""
    NETWORK = "network"
    """Always what the network sends, once it has described itself."""


class UriForm(Enum):
    """How numbers are written in Request-URI and To."""

    KEEP = "keep"
    SIP = "sip"
    """`sip:+1555@domain;user=phone` (RFC 3261 §19.1.6)."""
    TEL = "tel"


class Dtmf(Enum):
    """How keys reach the peer."""

    RTP = "rfc4733"
    INFO = "info"
    """INFO with application/dtmf-relay."""
    NONE = "none"


class TransferWay(Enum):
    """Who calls the target of a transfer that a page asks for."""

    AUTO = "auto"
    """The phone itself where it says that it takes REFER; the gateway where not, or where REFER is refused."""
    REFER = "refer"
    GATEWAY = "gateway"
    """The gateway, which moves the phone's half of the call: for networks that bar REFER."""


@frozen
class PeerProfile:
    """One kind of peer. The defaults suit a plain SIP phone."""

    name: str = "default"
    match: tuple[str, ...] = ()
    """Shell patterns for the peer's URI, e.g. `sip:*@pbx.example.com`, `tel:+49*`; the first profile that matches."""
    codecs: tuple[str, ...] = ("PCMU", "PCMA", "G722", "OPUS")
    """Audio codecs that the peer may be offered and may choose, the preferred one first, in upper case."""
    video: tuple[str, ...] = ("H264", "VP8")
    """The same for video; empty: video is refused with port 0."""
    fmtp: tuple[tuple[str, str], ...] = ()
    """Codec name to format parameters offered, e.g. ("AMR-WB", "octet-align=1")."""
    transcode: Transcode = Transcode.NEEDED
    when_full: WhenFull = WhenFull.PLAIN
    srtp: Srtp = Srtp.NONE
    preconditions: bool = False
    """Offer and answer QoS preconditions (RFC 3312). Off: required ones are refused with 420."""
    early_media: EarlyMedia = EarlyMedia.AUTO
    history: bool = False
    """Say in a call that is sent on whom it was meant for before (History-Info, RFC 7044)."""
    uri: UriForm = UriForm.KEEP
    dtmf: Dtmf = Dtmf.RTP
    ptime: int = PTIME
    """Milliseconds per packet offered, 10 to 60."""
    ring_time: float | None = None
    """Seconds a call may ring; None: as `[call] ring_time`."""
    media_timeout: float = 0.0
    """Seconds without any packet of a peer that should send, after which the call ends; 0: only reported."""
    transfer: TransferWay = TransferWay.AUTO
    without: tuple[str, ...] = ()
    """Option tags that the peer is never told of, for some old ones refuse calls that name what they do not know."""
    fallback: PeerProfile | None = None
    """With what one second try is made where the peer refuses the first offer (415, 420, 488, 580, 606)."""


PLAIN_PEER = PeerProfile()
"""A plain SIP phone: what holds where the configuration says nothing."""
