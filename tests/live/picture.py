"""What a phone with a camera sends and sees: H.264 in RTP (RFC 6184), a picture of one colour, known again by it.

The camera is a short film of one colour, encoded once (baseline, a keyframe at the start of each round, parameter
sets with each). What comes is put together from single NAL units, STAP-A and FU-A, decoded by FFmpeg, and remembered
by size and mean colour: packets alone would prove no picture. A lost packet spoils the pictures until the next
keyframe, of which there is one every other second, and one more whenever it is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, cast

import av
import numpy as np
from av.error import FFmpegError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from tests.live.sound import Address, RtpPort
from tests.live.waiting import HOST, reactor

RATE = 90000
FPS = 15
WIDTH, HEIGHT = 320, 240
PAYLOAD = 1100
"""Octets of a NAL unit in one packet; longer ones are sent in fragments."""
ROUND = 30
"""Pictures from one keyframe to the next."""
SINGLE = range(1, 24)
STAP_A, FU_A = 24, 28
START = b"\0\0\0\1"
Colour = tuple[int, int, int]
"""Red, green, blue."""


@cache
def film(colour: Colour) -> tuple[tuple[bytes, ...], ...]:
    """The NAL units of each picture of one round."""
    encoder = cast(Any, av.CodecContext.create("libx264", "w"))
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    encoder.options = {"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": str(ROUND)}
    image = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    pictures = []
    for number in range(ROUND):
        image[:, 8 * number : 8 * number + 8] = 255 - image[:, 8 * number : 8 * number + 8]  # something moves
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        image[:, 8 * number : 8 * number + 8] = colour
        pictures.append(_units(b"".join(bytes(packet) for packet in encoder.encode(frame))))
    return tuple(pictures)


def _units(stream: bytes) -> tuple[bytes, ...]:
    """The NAL units of a byte stream (H.264 annex B)."""
    return tuple(unit.rstrip(b"\0") for unit in stream.replace(START, START[1:]).split(START[1:]) if unit)


def payloads(unit: bytes) -> Iterator[bytes]:
    """One NAL unit as it goes into packets: whole, or in fragments (RFC 6184 §5.8)."""
    if len(unit) <= PAYLOAD:
        yield unit
        return
    indicator, kind, rest = unit[0] & 0xE0 | FU_A, unit[0] & 31, unit[1:]
    for start in range(0, len(rest), PAYLOAD):
        first, last = start == 0, start + PAYLOAD >= len(rest)
        yield bytes((indicator, first << 7 | last << 6 | kind)) + rest[start : start + PAYLOAD]


class Assembler:
    """Payloads in their order to whole pictures."""

    def __init__(self) -> None:
        self._picture = bytearray()
        self._fragment = bytearray()

    def feed(self, payload: bytes, last: bool) -> bytes | None:
        """One payload; a picture as a byte stream when it was the last of one."""
        kind = payload[0] & 31 if payload else 0
        if kind in SINGLE:
            self._picture += START + payload
        elif kind == STAP_A:
            self._aggregate(payload)
        elif kind == FU_A and len(payload) > 2:
            self._fragmented(payload)
        if not last:
            return None
        picture, self._picture = bytes(self._picture), bytearray()
        return picture or None

    def _aggregate(self, payload: bytes) -> None:
        place = 1
        while place + 2 <= len(payload):
            length = int.from_bytes(payload[place : place + 2], "big")
            self._picture += START + payload[place + 2 : place + 2 + length]
            place += 2 + length

    def _fragmented(self, payload: bytes) -> None:
        if payload[1] & 0x80:
            self._fragment = bytearray((payload[0] & 0xE0 | payload[1] & 31,))
        self._fragment += payload[2:]
        if payload[1] & 0x40:
            self._picture += START + self._fragment


class _Rtcp(DatagramProtocol):
    """The port beside the pictures': requests for a whole one, PLI and FIR (RFC 4585 §6.3.1, RFC 5104 §4.3.1)."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        place = 0
        while place + 4 <= len(datagram):
            kind, form = datagram[place + 1], datagram[place] & 31
            if kind == 206 and form in (1, 4):
                self._picture.keyframe()
            place += 4 + 4 * int.from_bytes(datagram[place + 2 : place + 4], "big")


class Picture(RtpPort):
    """One end of a stream of pictures. `colour`: what its camera sees. `lazy`: sends no whole picture until asked."""

    def __init__(self, port: int, colour: Colour, pt: int = 97, lazy: bool = False) -> None:
        super().__init__(port)
        self.pt = pt
        self.rate = RATE
        self.colour = colour
        self.name = "H264"
        self.fmtp: str | None = "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1"
        self.pictures = 0
        """Pictures seen, decoded without fault."""
        self.seen: Colour | None = None
        """The mean colour of the last."""
        self.size: tuple[int, int] | None = None
        self.asked = 0
        """How often the other side has asked for a whole picture."""
        self._ssrc, self._sequence, self._stamp = 0x9000 + port, 5000, 900000
        self._first = 1 if lazy else 0
        self._number = self._first
        self._rtcp: Any = None
        self._assembler = Assembler()
        self._decoder: Any = av.CodecContext.create("h264", "r")
        self._clock = LoopingCall(self._film)
        self._clock.clock = reactor

    def listen(self) -> None:
        """Open the port, and RTCP's beside it."""
        super().listen()
        self._rtcp = reactor.listenUDP(self.port + 1, _Rtcp(self), interface=HOST)

    def connect(self, remote: Address, playing: bool = True) -> None:
        """Where the other side wants to be sent to; with `playing`, begin with a keyframe."""
        self.remote = remote
        if playing and not self._clock.running:
            self._number = self._first
            self._clock.start(1 / FPS)
        if not playing and self._clock.running:
            self._clock.stop()

    async def close(self) -> None:
        """Stop, and free the port."""
        if self._clock.running:
            self._clock.stop()
        if self._rtcp is not None:
            rtcp, self._rtcp = self._rtcp, None
            await rtcp.stopListening()
        await super().close()

    def keyframe(self) -> None:
        """The other side asks for a whole picture: the next one is."""
        self.asked += 1
        self._number = 0

    def packet(self, pt: int, marker: bool, sequence: int, stamp: int, payload: bytes) -> None:
        if pt != self.pt:
            return
        picture = self._assembler.feed(payload, marker)
        if picture is None:
            return
        try:
            frames = self._decoder.decode(av.Packet(picture))
        except FFmpegError:  # the rest of a picture whose beginning was lost
            return
        for frame in frames:
            self.pictures += 1
            red, green, blue = frame.to_ndarray(format="rgb24").mean(axis=(0, 1))
            self.seen = (round(red), round(green), round(blue))
            self.size = (frame.width, frame.height)

    def _film(self) -> None:
        pictures = film(self.colour)
        units = pictures[self._number]
        self._number += 1
        if self._number == len(pictures):
            self._number = self._first
        self._stamp = (self._stamp + RATE // FPS) & 0xFFFFFFFF
        parts = [part for unit in units for part in payloads(unit)]
        for place, part in enumerate(parts):
            self._sequence = (self._sequence + 1) & 0xFFFF
            second = self.pt | (0x80 if place == len(parts) - 1 else 0)
            self.send(struct.pack("!BBHII", 0x80, second, self._sequence, self._stamp, self._ssrc) + part)
