"""What an attacker throws at a running gateway's media: descriptions, handshakes, packets that have been seen before.

As in `storm.py` everything is written by hand and paced, so that the test's own calls, which run in the same reactor,
go on. Media packets of strangers and forged checks are in `storm.py`.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import count

from rtcgw.media.webside.dtls import Association, Identity
from tests.live import storm
from tests.live.waiting import HOST
from tests.live.webclient import Call, WebClient
from tests.peers.webrtc import WebRtcPeer

_HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
_NUMBERS = count(1)


# -- descriptions ------------------------------------------------------------------------------------


def bad_descriptions() -> Iterator[str]:
    """Too long, too many, too deep, no numbers where numbers are due, and octets that no text has."""
    line = "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    yield "v=0\r\n" + "a=x\r\n" * 6500
    yield _HEAD + line + "a=a\r\n" * 3000
    yield _HEAD + "m=audio 4000 RTP/AVP " + " ".join(map(str, range(6000))) + "\r\n"
    yield _HEAD + "m=audio 4000 RTP/AVP " + " ".join(["999"] * 1000) + "\r\n"
    yield _HEAD + line * 100
    yield _HEAD + line + "a=" + "x" * 30000 + "\r\n"
    yield _HEAD + "a=group:BUNDLE " + " ".join(map(str, range(5000))) + "\r\n" + line
    for port in ("-1", "65536", "4000/99999999999", "9" * 300, "0x10", "\u0664\u0662", ""):
        yield _HEAD + f"m=audio {port} RTP/AVP 0\r\n"
    yield _HEAD + line.replace("audio", "au\0dio")
    yield _HEAD + line + "a=fmtp:0 x\ra=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n"
    yield _HEAD + line.replace("PCMU/8000", "PCMU/" + "8" * 400) + "a=rtpmap:" + "0" * 4000 + "\r\n"
    yield _HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 255.255.255.255") + line
    yield _HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 a.name.invalid") + line
    yield _HEAD.replace("c=IN IP4 127.0.0.1", "c=IN IP6 " + "::1%" * 500) + line
    yield _HEAD + "m=" + "(" * 4000 + "\r\n"
    yield "v=0\r\n" * 900
    yield "v=0" + "\r" * 30000
    yield ""


def odd_answers() -> Iterator[str]:
    """What would be an answer, if it were not for one thing in it."""
    line = "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    yield _HEAD + line + "a=rtcp:0000019999999999\r\n"
    yield _HEAD + line + "a=rtcp:00001" + "9" * 3000 + "\r\n"
    yield _HEAD + line + "a=ptime:" + "9" * 3000 + "\r\nb=AS:" + "9" * 3000 + "\r\n"


async def offers_of_a_page(page: WebClient, to: str) -> int:
    """A page calls with every one of them; how many were refused, which should be all."""
    refused = 0
    for text in bad_descriptions():
        page.send("OFFER", to=to, sdp=text[:32768])
        news = await page.expect_any({"HANGUP", "ERROR"}, passing=frozenset({"WAITING"}))
        refused += 1
        assert news.get("reason") != "internal", news
        assert news.get("code") != "internal", (news, text[:80])
    return refused


async def wrong_fingerprint(page: WebClient, to: str) -> Call:
    """A call of a page whose certificate is not the one that it promises."""
    media_offer = WebRtcPeer.offer

    def lying(self: WebRtcPeer) -> str:
        return media_offer(self).replace(self.fingerprint, ":".join(["AB"] * 32))

    WebRtcPeer.offer = lying  # type: ignore[method-assign]
    try:
        return await page.call(to)
    finally:
        WebRtcPeer.offer = media_offer  # type: ignore[method-assign]


async def offers_of_a_phone(port: int, to: str) -> set[int]:
    """The same by SIP, from a host that is trusted; the statuses of the answers."""
    with closing(storm.udp()) as attacker:
        here = attacker.getsockname()[1]
        for text in (*bad_descriptions(), *odd_answers()):
            body = text.encode()[:40000]
            head = storm.invite(to, here, next(_NUMBERS), via=";sdp", more="Content-Type: application/sdp\r\n")
            length = f"Content-Length: {len(body)}".encode()
            with suppress(OSError):
                attacker.sendto(head.replace(b"Content-Length: 0", length) + body, (HOST, port))
            await storm.pause(0.02)
        await storm.pause(0.2)
        return storm.statuses(attacker)


# -- handshakes --------------------------------------------------------------------------------------


async def handshakes(port: int, sources: int = 60) -> None:
    """Handshakes begun from many addresses, cut, altered and repeated, and records that are none."""
    sound = random.Random(6347)
    identity = Identity()
    with ExitStack() as stack:
        attackers: list[socket.socket] = []
        for place in range(sources):
            attackers.append(stack.enter_context(closing(storm.udp(f"127.0.0.{2 + place % 100}"))))
        hellos = [Association(identity, client=True).start()[0] for _ in range(5)]
        for turn in range(8):
            for place, attacker in enumerate(attackers):
                hello = hellos[place % len(hellos)]
                cut = hello[: sound.randrange(1, len(hello))]
                at = sound.randrange(13, len(hello))
                altered = hello[:at] + sound.randbytes(2) + hello[at + 2 :]
                for data in (hello, cut, altered, bytes((20 + turn * 5,)) + sound.randbytes(60)):
                    with suppress(OSError):
                        attacker.sendto(data, (HOST, port))
                if place % 10 == 9:
                    await storm.pause(0.003)


# -- packets seen before, and reports ----------------------------------------------------------------


class Tape:
    """What a page has sent, to be sent again."""

    def __init__(self, call: Call, length: int = 60) -> None:
        self._call = call
        self._length = length
        self._original = call.media.peer._send
        self.packets: list[bytes] = []
        call.media.peer._send = self._keep

    def _keep(self, data: bytes, address: tuple[str, int]) -> None:
        if len(self.packets) < self._length and 127 < data[0] < 192:
            self.packets.append(data)
        self._original(data, address)

    async def play(self, attacker: socket.socket | None = None) -> None:
        """Every packet again, whole, altered and cut; from the page's own address, or from `attacker`'s."""
        target = self._call.media.peer.target
        assert target is not None
        sound = random.Random(3711)
        for packet in list(self.packets):
            at = sound.randrange(12, len(packet))
            for data in (
                packet,
                packet[:at],
                packet[:at] + b"\xff" + packet[at:],
                packet[:2] + b"\xee\xee" + packet[4:],
            ):
                if attacker is None:
                    self._original(data, target)
                else:
                    attacker.sendto(data, target)
            await storm.pause(0.002)


def bombs(ours: int, theirs: Sequence[int]) -> Iterator[bytes]:
    """RTCP that lies, that is too much, that wants too much, that says goodbye."""
    sound = random.Random(3550)
    blocks = b"".join(struct.pack("!IIIIII", source, 0xFFFFFFFF, 0xFFFFFFFF, 2**31, 1, 0) for source in theirs)
    many = (blocks * 31)[: 24 * 31]
    whole = struct.pack("!BBHI", 0x9F, 201, 1 + len(many) // 4, ours) + many
    sender = struct.pack("!BBHIIIIII", 0x80, 200, 6, ours, 0xE0000000, 0, 1, 2**32 - 1, 2**32 - 1)
    yield whole
    yield sender
    yield whole[: len(whole) // 2]
    for length in (0, 1, 2, 0xFFFF):  # the length lies
        yield whole[:2] + length.to_bytes(2, "big") + whole[4:]
    yield struct.pack("!BBHI", 0x80, 201, 1, ours) * 150
    yield struct.pack("!BBHI", 0x80, 201, 1, ours) + struct.pack("!BBHI", 0x81, 203, 1, ours)
    for about in theirs:
        yield struct.pack("!BBHII", 0x81, 206, 2, ours, about) * 15
        fir = b"".join(struct.pack("!IBBH", about, number % 256, 0, 0) for number in range(100))
        yield struct.pack("!BBHII", 0x84, 206, 2 + len(fir) // 4, ours, 0) + fir
        yield struct.pack("!BBHII", 0x81, 205, 302, ours, about) + b"\0\0\xff\xff" * 300
    yield from (
        bytes((0x80 | sound.randrange(32), sound.randrange(192, 224))) + sound.randbytes(70) for _ in range(200)
    )
