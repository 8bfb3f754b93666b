"""A client without ICE (`ice: false`), without sockets: DTLS-SRTP and rtcp-mux at a plain address, as a SIP soft phone
with DTLS would have them. It says where it is, sends where it is told, and may move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from rtcgw.media.sdp import Session, net, parse
from rtcgw.media.webside.dtls import Association, Fingerprint
from tests.peers.webrtc import Address, WebRtcPeer

_OF_ICE = ("a=ice-", "a=candidate", "a=rtcp:9", "a=extmap", "a=msid", "a=ssrc")


class PlainPeer(WebRtcPeer):
    """See the module. `address` is what its descriptions name."""

    def __init__(
        self, clock: IReactorTime, send: Callable[[bytes, Address], object], address: Address, **more: Any
    ) -> None:
        super().__init__(clock, send, **more)
        self.address = address

    def _audio(self, formats: Any, setup: str, mid: str | None) -> list[str]:
        lines = [line for line in super()._audio(formats, setup, mid) if not line.startswith(_OF_ICE)]
        host, port = self.address
        lines[0] = lines[0].replace("audio 9 ", f"audio {port} ")
        return [f"c={net(host)}" if line.startswith("c=") else line for line in lines]

    def _take(self, sdp: str) -> Session:
        session = self.remote = parse(sdp)
        audio = next(media for media in session.media if media.kind == "audio")
        assert not any(
            name.startswith("ice") or name == "candidate" for name in (*session.attributes, *audio.attributes)
        )
        host = session.host_of(audio)
        assert host is not None
        self.target = (host, audio.port)
        prints = (Fingerprint.parse(value) for value in audio.attributes.get("fingerprint", ()))
        self._theirs = [one for one in prints if one is not None]
        if audio.get("setup") == "active":
            self.active = False
        if self.active and self._association is None:
            self._association = Association(self.identity, client=True)
            self._step(self._association.start)
        elif self._association is not None and self._association.finished and not self.connected:
            self._finish(self._association)
        return session
