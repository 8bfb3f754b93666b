"""An rtpengine in memory: answers NG requests on a `Network`, remembers them, and can be silent, full or forgetful.

It does with codecs and ports what the real one was seen to do, as far as the gateway's decisions hang on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, evolve, field

from rtcgw.media.engine.ng import Reply, Value, decode, encode
from rtcgw.media.sdp import Codec, Media, Session, parse
from tests.media.memory import Address, Network


@define
class Call:
    """What the engine keeps of one call."""

    offered: list[list[Codec]] = field(factory=list)
    """By line, what the offerer has."""
    ufrags: int = 0
    heard: dict[str, str] = field(factory=dict)
    """Tag to the ufrag that it has shown."""
    packets: dict[str, int] = field(factory=dict)
    """Tag to packets of sound, for `query`; set by a test."""
    blocked: set[str] = field(factory=set)
    """Whose media are not passed on."""


@define(eq=False)
class FakeEngine:
    """Writes descriptions as rtpengine does: with everything that must not reach a core."""

    network: Network
    address: Address = ("127.0.0.1", 2223)
    first_port: int = 20000
    silent: bool = False
    """Killed: hears and says nothing."""
    lose: int = 0
    """Answers still to be lost."""
    refuse: str = ""
    unplayable: str = ""
    """A file that it cannot play."""
    full: bool = False
    requests: list[Reply] = field(factory=list)
    """Each new request, in order."""
    cookies: list[bytes] = field(factory=list)
    """The cookie of every datagram, repetitions included."""
    calls: dict[str, Call] = field(factory=dict)
    _answers: dict[bytes, bytes] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.network.ports[self.address] = self.datagram

    def datagram(self, data: bytes, source: Address) -> None:
        if self.silent:
            return
        cookie, _, body = data.partition(b" ")
        self.cookies.append(cookie)
        if cookie not in self._answers:
            request = decode(body)
            assert isinstance(request, dict)
            self.requests.append(request)
            self._answers[cookie] = cookie + b" " + encode(self._answer(request))
        if self.lose:
            self.lose -= 1
            return
        self.network.send(self._answers[cookie], self.address, source)

    def restart(self) -> None:
        """Killed and started again: it knows no call."""
        self.calls.clear()
        self._answers.clear()

    @property
    def commands(self) -> list[str]:
        """What was asked for calls; what is asked for the engine's own sake is left out."""
        kept = ("offer", "answer", "delete")
        return [str(request["command"]) for request in self.requests if request["command"] in kept]

    @property
    def last(self) -> Reply:
        """The last offer or answer."""
        return [request for request in self.requests if request["command"] in ("offer", "answer")][-1]

    def _answer(self, request: Reply) -> Mapping[str, Value]:
        command, name = request["command"], str(request.get("call-id"))
        if command == "ping":
            return {"result": "pong"}
        if command == "list":
            return {"result": "ok", "calls": list(self.calls)}
        if self.refuse:
            return {"result": "error", "error-reason": self.refuse}
        if command == "offer":
            if self.full and name not in self.calls:
                return {"result": "load limit", "message": "Parallel session limit reached"}
            self.calls.setdefault(name, Call())
        if name not in self.calls:
            return {"result": "error", "error-reason": "Unknown call-id"}
        call = self.calls[name]
        if command in ("block media", "unblock media"):
            changed = {str(request["from-tag"])}
            call.blocked = call.blocked | changed if command == "block media" else call.blocked - changed
            return {"result": "ok"}
        if command in ("play media", "stop media", "play DTMF"):
            refused = command == "play media" and request["file"] == self.unplayable
            return {"result": "error", "error-reason": "no file"} if refused else {"result": "ok"}
        if command == "delete":
            del self.calls[name]
        if command in ("delete", "query"):
            return {"result": "ok", **_figures(call)}
        return {"result": "ok", "sdp": self._rewrite(call, request)}

    def _rewrite(self, call: Call, request: Reply) -> str:
        session = parse(str(request["sdp"]))
        is_offer, proto = request["command"] == "offer", str(request["transport-protocol"])
        ufrag = session.media[0].get("ice-ufrag") or ""
        tag = str(request["from-tag" if is_offer else "to-tag"])
        if is_offer and ufrag != call.heard.get(tag, ufrag):
            call.ufrags += 1  # taken for an ICE restart
        if ufrag:
            call.heard[tag] = ufrag
        lines = [self._line(call, place, media, request, proto) for place, media in enumerate(session.media)]
        if is_offer:
            call.offered = [media.codecs for media in session.media]
        group = {"group": ["BUNDLE 0"]} if "UDP" in proto else {}
        return str(Session("x", "1", "1", "127.0.0.1", None, None, group, lines))

    def _line(self, call: Call, place: int, media: Media, request: Reply, proto: str) -> Media:
        if media.port == 0:
            return Media(media.kind, 0, proto, ["0"])
        if request["command"] == "offer":
            codecs = _converted(media.codecs, request.get("codec"))
        else:
            codecs = _answered(media.codecs, call.offered[place])
        web = "UDP" in proto
        attributes = {"mid": [str(place)], "rtpmap": [codec.rtpmap for codec in codecs]}
        attributes["fmtp"] = [f"{codec.pt} {codec.fmtp}" for codec in codecs if codec.fmtp is not None]
        attributes.update({"msid": ["leak track"], "ssrc": ["1 cname:leak"], "extmap-allow-mixed": [""]})
        port = self.first_port + 100 * place + 20 * web
        if web:
            attributes.update(_WEB)
            attributes["setup"] = ["actpass" if request["command"] == "offer" else "passive"]
            attributes["ice-ufrag"] = [f"eng{self.first_port}x{call.ufrags}"]
            attributes["candidate"] = [f"1 1 UDP 1 127.0.0.1 {port} typ host"]
        else:
            attributes["rtcp"] = [str(port + 1)]
            if "SAVP" in proto:
                attributes["crypto"] = [f"1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}"]
        formats = [str(codec.pt) for codec in codecs]
        return Media(media.kind, port, proto, formats, "127.0.0.1", None, media.direction, attributes)


def _converted(codecs: Sequence[Codec], wanted: Value | None) -> list[Codec]:
    """An offer's codecs without those masked, and with those added."""
    assert wanted is None or isinstance(wanted, dict)
    asked = wanted or {}
    masked = [str(name).upper() for name in asked.get("mask", ())]
    found = [codec for codec in codecs if codec.name not in masked]
    free = (pt for pt in range(96, 127) if pt not in {codec.pt for codec in codecs})
    for text in asked.get("transcode", ()):
        name, rate, _, *rest = str(text).split("/", 5)
        pt = {"PCMU": 0, "PCMA": 8, "G722": 9}.get(name) if "PC" in name or "G7" in name else next(free)
        channels = 2 if name == "opus" else 1
        found.append(Codec(pt or 0, name.upper(), int(rate), channels, rest[-1] if rest else None))
    return found


def _answered(codecs: Sequence[Codec], offered: Sequence[Codec]) -> list[Codec]:
    """Of the offerer's codecs those that were accepted, else the one that is converted; keys if both have them."""
    names = {codec.name for codec in codecs}
    sounds = [codec for codec in offered if codec.name != "TELEPHONE-EVENT"]
    events = [codec for codec in offered if codec.name == "TELEPHONE-EVENT" and codec.name in names]
    kept = [evolve(codec) for codec in sounds if codec.name in names] or sounds[:1]
    rates = {codec.rate for codec in kept}
    return [*kept, *(codec for codec in events if codec.rate in rates)]


def _figures(call: Call) -> dict[str, Value]:
    """As `query` and `delete` tell; without packets nothing of their quality."""
    tags: dict[str, Value] = {}
    for place, tag in enumerate(("caller", "callee")):
        count = call.packets.get(tag, 0)
        stream: Value = {"SSRC": place + 1, "stats": {"packets": count, "bytes": count * 172, "errors": 0}}
        media: Value = {"type": "audio", "codec": "PCMU/8000", "flags": ["transcoding"], "streams": [stream]}
        tags[tag] = {"tag": tag, "medias": [media]}
    average: Value = {"MOS": 43, "round-trip time leg": 20000, "jitter": 10, "packet loss": 2, "samples": 3}
    reports: Value = {"2": {"average MOS": average}} if call.packets else {}
    return {"tags": tags, "SSRC": reports}


_WEB = {
    "ice-pwd": ["e" * 22],
    "rtcp-mux": [""],
    "fingerprint": ["sha-256 " + ":".join(["AB"] * 32)],
}
