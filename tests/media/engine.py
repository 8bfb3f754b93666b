"""An rtpengine in memory: answers NG requests on a `Network`, remembers them, and can be silent, deaf or forgetful."""

from __future__ import annotations

from attrs import define, field

from rtcgw.media.ng import Reply, Value, decode, encode
from rtcgw.media.sdp import Media, Session, parse
from tests.media.memory import Address, Network


@define(eq=False)
class FakeEngine:
    """Writes descriptions as rtpengine does: with everything that must not reach a core."""

    network: Network
    address: Address = ("127.0.0.1", 2223)
    silent: bool = False
    """Killed: hears and says nothing."""
    lose: int = 0
    """Answers still to be lost."""
    refuse: str = ""
    requests: list[Reply] = field(factory=list)
    """Each new request, in order."""
    cookies: list[bytes] = field(factory=list)
    """The cookie of every datagram, repetitions included."""
    calls: set[str] = field(factory=set)
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
        """What was asked, pings left out."""
        return [str(request["command"]) for request in self.requests if request["command"] != "ping"]

    def _answer(self, request: Reply) -> dict[str, Value]:
        command, call = request["command"], str(request.get("call-id"))
        if command == "ping":
            return {"result": "pong"}
        if self.refuse:
            return {"result": "error", "error-reason": self.refuse}
        if command == "offer":
            self.calls.add(call)
        if call not in self.calls:
            return {"result": "error", "error-reason": "Unknown call-id"}
        if command == "delete":
            self.calls.discard(call)
        if command in ("offer", "answer"):
            return {
                "result": "ok",
                "sdp": self._rewrite(parse(str(request["sdp"])), str(request["transport-protocol"])),
            }
        return {"result": "ok"}

    def _rewrite(self, session: Session, proto: str) -> str:
        media = session.media[0]
        web = "SAVPF" in proto
        kept = ("rtpmap", "fmtp", "mid")
        attributes = {name: values for name, values in media.attributes.items() if name in kept}
        attributes.update({"msid": ["leak track"], "ssrc": ["1 cname:leak"], "extmap-allow-mixed": [""]})
        attributes.update(_WEB if web else {"rtcp": ["20001"]})
        port = 20020 if web else 20000
        line = Media("audio", port, proto, media.formats, "127.0.0.1", None, media.direction, attributes)
        return str(Session("x", "1", "1", "127.0.0.1", None, None, {"group": ["BUNDLE 0"]} if web else {}, [line]))


_WEB = {
    "ice-ufrag": ["eng1"],
    "ice-pwd": ["e" * 22],
    "rtcp-mux": [""],
    "setup": ["passive"],
    "fingerprint": ["sha-256 " + ":".join(["AB"] * 32)],
    "candidate": ["1 1 UDP 1 127.0.0.1 20020 typ host"],
}
