"""A mixer without sound: rooms and lines that note who comes and goes; their descriptions are real, and all alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason

MIXER_SDP = (
    "v=0\r\no=mixer 9 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)
PHONE_SDP = MIXER_SDP.replace("o=mixer", "o=phone").replace("30000", "4000").replace("127.0.0.1", "198.51.100.7")


class MarkedLine:
    """Takes any description but `bad`; holds while the newest one says `sendonly` or `inactive`."""

    figures: ClassVar[Mapping[str, int]] = {"received": 0}

    def __init__(self, inside: bool) -> None:
        self.inside = inside
        self.held = False
        self.heard: list[str] = []

    def offer(self) -> str:
        return MIXER_SDP

    def answer(self, offer: str) -> str:
        self.take(offer)
        return MIXER_SDP

    def take(self, answer: str) -> None:
        if "bad" in answer:
            raise MediaError(Reason.MEDIA, "no codec in common")
        self.heard.append(answer)
        self.held = any(word in answer for word in ("sendonly", "inactive", "holds"))


class MarkedRoom:
    def __init__(self, mixer: MarkedMixer) -> None:
        self._mixer = mixer
        self.lines: list[MarkedLine] = []
        self.closed = False

    def open_line(self, inside: bool = False) -> MarkedLine:
        if len(self.lines) >= self._mixer.size:
            raise MediaError(Reason.OVERLOADED, "full")
        line = MarkedLine(inside)
        self.lines.append(line)
        return line

    def close_line(self, line: object) -> None:
        self.lines = [other for other in self.lines if other is not line]

    def close(self) -> None:
        self.lines.clear()
        self.closed = True


class MarkedMixer:
    """`rooms` are those that were ever opened."""

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.rooms: list[MarkedRoom] = []

    def open(self) -> MarkedRoom:
        self.rooms.append(MarkedRoom(self))
        return self.rooms[-1]
