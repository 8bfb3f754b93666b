"""The sections of the configuration file: every key with its type, its bounds, its default and its purpose.

These classes are the only place where a key exists: `etc/rtcgw.toml` and `docs/configuration.md` are
written from them (`tools/config_docs.py`), and a test holds both against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from attrs import field, frozen

from rtcgw.config.kinds import (
    Address,
    Choice,
    Datagram,
    Flag,
    HexKey,
    Listener,
    Many,
    Network,
    Number,
    Peer,
    Ports,
    ReadableFile,
    Secret,
    SigningKey,
    SoundFile,
    Text,
    Whole,
    WritableFile,
    split_datagram,
)
from rtcgw.config.peers import CODECS, PeerKeys
from rtcgw.config.reading import Table, Tables
from rtcgw.model.defaults import GRACE, HOLD_AFTER, HOLD_MAX, MIN_SE, RESUME_TIME, RING_TIME, SESSION_EXPIRES
from rtcgw.model.emergency import DEFAULTS as EMERGENCY
from rtcgw.model.identity import Attach, Scheme


@frozen
class Contact:
    """A suggested address that the page offers to dial."""

    name: Annotated[str, Text(), "What the page shows."]
    address: Annotated[str, Text(), "What it dials: a user name, a number, a SIP or tel URI."]
    note: Annotated[str, Text(empty=True), "A line under the name. Empty: the address."] = ""


@frozen
class Web:
    """The web server and the WebSocket of the browsers."""

    listen: Annotated[
        str,
        Listener(),
        "Where the page and the WebSocket are served. For HTTPS and WSS: "
        "ssl:8443:privateKey=key.pem:certKey=cert.pem. Beyond loopback browsers give no microphone to plain HTTP.",
    ] = "tcp:8080:interface=127.0.0.1"
    path: Annotated[str, Text("a path such as /ws", r"/[A-Za-z0-9_./-]+"), "Path of the WebSocket."] = "/ws"
    origins: Annotated[
        tuple[str, ...],
        Many(Text('an origin such as https://phone.example.com, or "*" for any', r"\*|https?://[^/\s]+")),
        "Origins whose pages may open the WebSocket. Empty: only pages that this gateway itself serves.",
    ] = ()
    page: Annotated[bool, Flag(), "Serve the softphone page at /. False leaves the WebSocket alone."] = True
    max_frame: Annotated[
        int, Whole(4096, 1048576, "bytes"), "Largest message taken from a browser; a larger one closes the connection."
    ] = 65536
    max_connections: Annotated[int, Whole(1, 1000000), "Browser connections at once; beyond it, 503."] = 10000
    login_timeout: Annotated[float, Number(1, 600), "How long a connection may stay open without having logged in."] = (
        10.0
    )
    ping: Annotated[float, Number(1, 3600), "How long a browser may be silent before it is asked for a sign."] = 20.0
    pong_timeout: Annotated[float, Number(1, 600), "How long it may then stay silent before it is taken as lost."] = (
        10.0
    )
    rate: Annotated[float, Number(1, 10000, "messages per second"), "Messages a browser may send in the long run."] = (
        50.0
    )
    burst: Annotated[int, Whole(1, 100000, "messages"), "Messages it may send at once above that."] = 200
    high_water: Annotated[
        int,
        Whole(65536, 1073741824, "bytes"),
        "Bytes that may wait to be sent to a browser; one that reads more slowly is closed.",
    ] = 1048576
    contacts: Annotated[
        tuple[Contact, ...],
        Tables(Contact),
        'Addresses that the page offers to dial, e.g. [{name = "Desk", address = "sip:desk@example.com"}].',
    ] = ()


@frozen
class Login:
    """Who may log in: bearers of a signed token (JWT, RFC 7519). Names and passwords are for the sandbox only."""

    issuer: Annotated[str, Text(empty=True), "The `iss` that a token must have. Empty: not looked at."] = ""
    audience: Annotated[str, Text(empty=True), "The `aud` that a token must have. Empty: not looked at."] = ""
    algorithms: Annotated[
        tuple[str, ...], Many(Choice(("HS256", "RS256", "ES256")), 1), "Signature algorithms accepted."
    ] = ("HS256", "RS256", "ES256")
    keys: Annotated[
        tuple[str, ...],
        Many(SigningKey(32, empty=False)),
        "Keys that may sign: shared secrets for HS256, PEM public keys for RS256 and ES256.",
    ] = field(default=(), repr=False)
    jwks: Annotated[
        str, ReadableFile(), "A JWKS file (RFC 7517) with more keys, chosen by the token's `kid`. Empty: none."
    ] = ""
    leeway: Annotated[float, Number(0, 600), "Clock difference forgiven in `exp` and `nbf`."] = 60.0


@frozen
class Call:
    """How calls run, and how many."""

    ladder: Annotated[
        str,
        Choice(("auto", "patent")),
        "auto: PRACK and ACK go out at once. patent: they wait for the browser's PRANSWER and ANSWER, "
        "as the patent's Fig. 8 draws it.",
    ] = "auto"
    hold_max: Annotated[float, Number(0.1, 30), "With ladder = patent: the longest PRACK or ACK waits."] = HOLD_MAX
    ring_time: Annotated[float, Number(5, 3600), "How long a call may ring before it ends as unanswered."] = float(
        RING_TIME
    )
    grace: Annotated[
        float,
        Number(0, 600),
        "How long a call outlives its browser's connection, and goes on ringing when the last page that rang is lost.",
    ] = GRACE
    resume_time: Annotated[
        float,
        Number(0, 86400),
        "How long after the loss of its connection a page may log in again by its resume token. 0: no such tokens.",
    ] = RESUME_TIME
    hold_after: Annotated[
        float,
        Number(0, 600),
        "How long a call may be without its browser's connection before its other side is put on hold. 0: it is not.",
    ] = HOLD_AFTER
    max_calls: Annotated[int, Whole(1, 1000000), "Calls at once; beyond it, 503."] = 10000
    max_calls_per_user: Annotated[int, Whole(1, 1000), "Calls of one user at once; beyond it, 486."] = 8
    room_size: Annotated[
        int, Whole(2, 8), "Parties of one ad-hoc conference, whose sound the gateway adds up by itself."
    ] = 8
    conference_factory: Annotated[
        str,
        Text("a sip: URI", r"(sips?:[^\s<>]{1,200})?", empty=True),
        "Who makes conferences in the network (TS 24.147), e.g. sip:conference-factory@ims.example. Empty: the gateway "
        "itself does, for up to `room_size` parties.",
    ] = ""
    offline: Annotated[
        str,
        Choice(("480", "404")),
        "What a caller from the core is told when the user is not logged in. 404 hides that there is such a user.",
    ] = "480"
    refer_from_core: Annotated[
        str,
        Choice(("allow", "refuse")),
        "Whether a phone may transfer the page that it talks to (REFER). refuse: 603.",
    ] = "allow"
    redirects: Annotated[
        int,
        Whole(0, 16, "addresses"),
        "How many other addresses a call may try that is answered with 3xx (RFC 3261 8.1.3.4). 0: it ends.",
    ] = 5
    headers: Annotated[
        tuple[str, ...],
        Many(Text("the name of a header that no gateway acts on, such as X-Account", r"[A-Za-z0-9-]{1,64}")),
        "Headers of INVITE that pages may set, and are shown. Of all others they know nothing.",
    ] = ()
    emergency: Annotated[
        tuple[str, ...],
        Many(Text("a number, or a service URN such as urn:service:sos", r"[^\s;@<>]{1,64}")),
        "Numbers that are refused at once, in whatever spelling: from a browser nobody knows where to send help.",
    ] = EMERGENCY


@frozen
class Sip:
    """The SIP side, towards the IMS core."""

    listen: Annotated[
        str,
        Listener(("tcp", "ssl")),
        "SIP over TCP is served here, and SIP over UDP on the same interface and port.",
    ] = "tcp:5070:interface=127.0.0.1"
    peer: Annotated[
        str,
        Peer(("tcp", "tls")),
        "The core's door, an outbound proxy: a P-CSCF or registrar (attach A) or the I-CSCF (attach B).",
    ] = "tcp:127.0.0.1:5060"
    transport: Annotated[
        str,
        Choice(("auto", "udp", "tcp")),
        "How the peer is spoken to. auto: UDP, and TCP above 1300 bytes (RFC 3261 18.1.1).",
    ] = "auto"
    trusted: Annotated[
        tuple[str, ...],
        Many(Network()),
        "From whom SIP is taken; everything else is dropped and counted. The peer must be among them.",
    ] = ("127.0.0.1",)
    advertise: Annotated[
        str,
        Text("a host or host:port", r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", empty=True),
        "What Via and Contact name instead of the address listened on, e.g. behind NAT.",
    ] = ""
    keep_alive: Annotated[
        float,
        Number(0, 3600),
        "Longest time between keep-alive pings on TCP and TLS connections (RFC 5626 4.4.1); 0 sends none.",
    ] = 0.0
    session_expires: Annotated[
        int,
        Whole(0, 604800, "seconds"),
        "How long a call goes on without a sign of life of the phone (RFC 4028), as the gateway asks for it; half of "
        "it between two such signs. 0: asks for none, but does what phones and networks ask for.",
    ] = SESSION_EXPIRES
    min_se: Annotated[
        int, Whole(90, 604800, "seconds"), "The least such time that phones may ask for; less is refused with 422."
    ] = MIN_SE
    t1: Annotated[float, Number(0.05, 5), "Timer T1, the round-trip estimate (RFC 3261 17.1.1.1)."] = 0.5
    t2: Annotated[float, Number(0.1, 30), "Timer T2, the longest retransmission interval."] = 4.0
    t4: Annotated[float, Number(0.1, 60), "Timer T4, how long a message stays in the network."] = 5.0
    max_transactions: Annotated[int, Whole(16, 10000000), "SIP transactions at once; beyond it, 503."] = 100000


@frozen
class Rtpengine:
    """rtpengine nodes, for `backend = "rtpengine"`."""

    nodes: Annotated[
        tuple[str, ...], Many(Datagram(), 1), "Control addresses (NG protocol); new calls go to the healthy ones."
    ] = ("udp:127.0.0.1:2223",)
    instance: Annotated[
        str,
        Text("letters, digits and -", r"[A-Za-z0-9-]{1,32}"),
        "This gateway's mark on its calls in the nodes: calls with it that the gateway does not know are deleted. "
        "Gateways that share a node need different ones.",
    ] = "gw"
    timeout: Annotated[float, Number(0.1, 30), "How long a request may take, with its retransmissions."] = 3.0
    ping: Annotated[float, Number(0.5, 300), "Time between two health checks of a node."] = 5.0

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each node."""
        return tuple(split_datagram(node) for node in self.nodes)


@frozen
class Media:
    """Who carries the sound."""

    backend: Annotated[
        str,
        Choice(("embedded", "rtpengine", "direct")),
        "embedded: this process relays (G.711, G.722). rtpengine: rtpengine does. "
        "direct: the parties talk to each other, for phones that speak WebRTC.",
    ] = "embedded"
    address: Annotated[str, Address(), "embedded: the local address for the browsers' media."] = "127.0.0.1"
    advertise: Annotated[
        tuple[str, ...],
        Many(Address()),
        "embedded: addresses told to browsers instead, e.g. behind one-to-one NAT. Empty: `address`.",
    ] = ()
    port: Annotated[int, Whole(0, 65535), "embedded: the one UDP port for all browsers; 0 takes any."] = 10000
    core_address: Annotated[str, Address(), "embedded: the local address for the core's media."] = "127.0.0.1"
    core_advertise: Annotated[
        str, Address(empty=True), "embedded: the address told to the core instead. Empty: `core_address`."
    ] = ""
    rtp_ports: Annotated[
        tuple[int, int], Ports(), "embedded: UDP ports for the core's media, an even and an odd one per call."
    ] = (20000, 29999)
    latch: Annotated[
        str,
        Choice(("off", "host", "any")),
        "embedded: whose RTP is taken from the core. off: only the address and port that the phone named. "
        "host: any port of that address. any: whoever sends first; "
        "only where nobody else can reach the ports.",
    ] = "host"
    setup_time: Annotated[
        float, Number(1, 120), "embedded: how long a browser may take to connect its media before the call ends."
    ] = 20.0
    codecs: Annotated[
        tuple[str, ...],
        Many(Choice(CODECS), 1),
        "Codecs offered to peers, the preferred one first, where their own section names none. "
        "AMR and AMR-WB need rtpengine.",
    ] = ("PCMU", "PCMA", "G722", "OPUS")
    transcodes: Annotated[
        int,
        Whole(0, 100000),
        "Calls whose codecs are converted at once; 0: none. embedded: each costs about 1.3 % of a core and needs "
        "the extra rtcgw[transcode].",
    ] = 50
    hold_music: Annotated[
        str,
        SoundFile(),
        "What whoever is held hears, again and again. Empty: silence. rtpengine reads the file itself, under the same "
        "name on its own machine. direct: nothing is ever heard.",
    ] = ""
    rtpengine: Annotated[Rtpengine, Table(Rtpengine), "See below."] = field(factory=Rtpengine)


@frozen
class IceServer:
    """A STUN or TURN server for the browsers; with `secrets`, its passwords are made for each browser."""

    urls: Annotated[
        tuple[str, ...],
        Many(Text("a stun:, turn: or turns: URI", r"(stuns?|turns?):[^\s]+"), 1),
        "Its URIs (RFC 7064, RFC 7065).",
    ]
    username: Annotated[str, Text(empty=True), "TURN user name."] = ""
    credential: Annotated[str, Secret(), "TURN password."] = field(default="", repr=False)
    secrets: Annotated[
        tuple[str, ...],
        Many(Secret(8, empty=False), 0, 8),
        "Secrets shared with the TURN server (coturn: use-auth-secret); user name and password are then made from "
        "the first one. The others are those it is replaced by or has replaced, so that a server may be given the "
        "new one before or after the gateway.",
    ] = field(default=(), repr=False)
    ttl: Annotated[
        int, Whole(60, 604800, "seconds"), "How long such a password holds; pages ask for another one in time."
    ] = 3600
    networks: Annotated[
        tuple[str, ...],
        Many(Network()),
        "Only for browsers whose address is in one of these networks. Empty: for all.",
    ] = ()


@frozen
class Ice:
    """What browsers are given for their ICE agents, at log-in and when they ask."""

    servers: Annotated[
        tuple[IceServer, ...],
        Tables(IceServer),
        'STUN and TURN servers, e.g. [{urls = ["turn:turn.example.com"], username = "u", credential = "env:TURN"}]. '
        "The gateway's own media address is public enough for most; none are needed then.",
    ] = ()
    probe: Annotated[
        float,
        Number(0, 3600),
        "Time between two health checks of each server; one that does not answer is not given out. 0: no checks.",
    ] = 30.0


@frozen
class Manhole:
    """A Python prompt inside the running gateway, by telnet, for the engineer on duty."""

    enabled: Annotated[bool, Flag(), "Open it."] = False
    listen: Annotated[str, Listener(("tcp",)), "Where; only a loopback address is accepted."] = (
        "tcp:8023:interface=127.0.0.1"
    )
    user: Annotated[str, Text("a name", r"[A-Za-z0-9_.-]+"), "Who may enter."] = "admin"
    password: Annotated[
        str, Secret(8), "The password; mandatory when enabled. Better in a file: password_file = ..."
    ] = field(default="", repr=False)


@frozen
class Log:
    """What is logged, and how. Where to is twistd's matter (--logfile, --syslog)."""

    json: Annotated[bool, Flag(), "One JSON object per line, with every field, instead of text."] = False
    level: Annotated[
        str, Choice(("debug", "info", "warn", "error", "critical")), "The least important level that is still logged."
    ] = "info"


@frozen
class Records:
    """The records of calls in a file of their own, beside the line that the log has of each; see operations.md."""

    file: Annotated[
        str,
        WritableFile(),
        "One JSON object per line for each call and each refused set-up. On a local disk. Empty: no file.",
    ] = ""
    max_size: Annotated[
        int, Whole(65536, 1099511627776, "bytes"), "A file that would grow beyond it is put aside as FILE.1."
    ] = 104857600
    keep: Annotated[int, Whole(1, 10000), "How many files put aside are kept: FILE.1 is the newest."] = 10


@frozen
class Sandbox:
    """The stand-in IMS core of `--sandbox`; without that option nothing here has an effect."""

    core_port: Annotated[int, Whole(1024, 65535), "Loopback port of the stand-in core, UDP and TCP."] = 15060
    enabled: bool = False
    """Set by `--sandbox` alone; no key, so that no file turns passwords on by mistake."""


@frozen
class ProfileKeys:
    """A subscription of the IMS operator, which the gateway registers and through which users call."""

    name: Annotated[str, Text("a name", r"[A-Za-z0-9_.-]+"), "Its name in this file and in the logs."]
    impi: Annotated[str, Text(), "Private identity: the user name of the digest, e.g. gw1@ims.example.com."]
    impus: Annotated[
        tuple[str, ...],
        Many(Text("a sip:, sips: or tel: URI", r"(sips?|tel):[^\s]+"), 1),
        "Public identities, the default one first.",
    ]
    domain: Annotated[str, Text("a domain", r"[A-Za-z0-9.-]+"), "Home network domain, e.g. ims.example.com."]
    attach: Annotated[
        Attach,
        Choice(("A", "B"), Attach),
        "A: as a phone, behind a P-CSCF or at a plain registrar. B: at the I-/S-CSCF itself, inside the trust domain.",
    ] = Attach.A
    scheme: Annotated[
        Scheme, Choice(("digest", "aka"), Scheme), "digest: `secret`. aka: `k` and `opc` (AKAv1-MD5, RFC 3310)."
    ] = Scheme.DIGEST
    secret: Annotated[str, Secret(), "Digest password."] = field(default="", repr=False)
    k: Annotated[bytes, HexKey(), "AKA subscriber key."] = field(default=b"", repr=False)
    opc: Annotated[bytes, HexKey(), "AKA operator key OPc."] = field(default=b"", repr=False)
    max_calls: Annotated[int, Whole(1, 100000), "Calls this subscription may carry at once."] = 1000


@frozen
class UserKeys:
    """A person on the web side. Whoever bears a valid token may log in; a table here gives a person a number."""

    name: Annotated[str, Text("a name", r"[^\s:@/]{1,64}"), "The log-in name: the token's `sub`."]
    impu: Annotated[
        str, Text("a public identity of a profile", empty=True), "The public identity on which the person is called."
    ] = ""
    profile: Annotated[
        str, Text("the name of a profile", empty=True), "The profile for the person's calls. Empty: the impu's, or any."
    ] = ""
    display: Annotated[str, Text(empty=True), "Display name shown to the called."] = ""
    password: Annotated[str, Secret(), "Password; taken with --sandbox only."] = field(default="", repr=False)


SECTIONS: Mapping[str, type[Any]] = {
    "web": Web,
    "login": Login,
    "call": Call,
    "sip": Sip,
    "media": Media,
    "ice": Ice,
    "manhole": Manhole,
    "log": Log,
    "records": Records,
    "sandbox": Sandbox,
}
"""The sections of the file that stand once, in their order."""

LISTS: Mapping[str, type[Any]] = {"profile": ProfileKeys, "user": UserKeys}
"""The sections that may stand any number of times: `[[profile]]`, `[[user]]`."""

NAMED: Mapping[str, type[Any]] = {"peer": PeerKeys}
"""The sections that stand once for each name: `[peer.NAME]`."""
