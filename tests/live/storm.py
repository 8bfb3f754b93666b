"""What an attacker throws at a running gateway: at its SIP port and its media ports.

Everything here is written by hand, octet by octet: a peer that means harm uses no library that would keep it from
doing so. Each attack pauses often, so that the test's own call, which runs in the same reactor, goes on.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from aioice import stun
from twisted.internet.task import deferLater

from tests.live.waiting import HOST, reactor
from tests.live.webclient import Call

STRANGER = "127.0.0.2"
"""A loopback address that the gateway's configuration does not trust."""

TORTURE = sorted((Path(__file__).parents[1] / "torture" / "rfc4475").glob("*.dat"))
_NUMBERS = count(1)


async def pause(seconds: float = 0.0) -> None:
    """Let everybody else have their turn."""
    await deferLater(reactor, seconds)


def invite(to: str, port: int, number: int, via: str = "", more: str = "") -> bytes:
    """A call from `port`; `via` is appended to the Via, `more` are further header lines."""
    return (
        f"INVITE {to} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bKstorm{number}{via}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:mallory@ims.test>;tag=m{number}\r\nTo: <{to}>\r\n"
        f"Call-ID: storm{number}@{HOST}\r\nCSeq: 1 INVITE\r\nContact: <sip:mallory@{HOST}:{port}>\r\n"
        f"{more}Content-Length: 0\r\n\r\n"
    ).encode("latin-1")


def udp(host: str = HOST) -> socket.socket:
    """A socket whose answers pile up in the kernel until it drops them."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.setblocking(False)
    return made


async def pelt(attacker: socket.socket, datagrams: Iterable[bytes], port: int, at_once: int = 20) -> None:
    """Send these datagrams, `at_once` at a time."""
    for place, datagram in enumerate(datagrams):
        attacker.sendto(datagram, (HOST, port))
        if place % at_once == at_once - 1:
            await pause(0.002)


def statuses(attacker: socket.socket) -> set[int]:
    """The status codes of the SIP responses that have come."""
    found = set()
    with suppress(BlockingIOError):
        while True:
            answer = attacker.recv(65535)
            if answer.startswith(b"SIP/2.0 "):
                found.add(int(answer[8:11]))
    return found


# -- SIP ---------------------------------------------------------------------------------------


def broken_sip(port: int) -> Iterator[bytes]:
    """Cut short, too long, no text, no SIP, and things injected where they must not be."""
    sound = random.Random(4475)
    whole = invite("sip:gw1@ims.test", port, next(_NUMBERS))
    yield from (whole[:length] for length in range(0, len(whole) - 4, 7))
    yield whole + b"x" * 60000
    yield whole.replace(b"Content-Length: 0", b"Content-Length: 99999")
    yield whole.replace(b"Content-Length: 0", b"Content-Length: -1")
    yield whole.replace(b"mallory", b"\xff\xfe\xc3\x28\x00")
    yield whole.replace(b"Contact:", b"X: " + b"y" * 50000 + b"\r\nContact:")
    yield whole.replace(b"Contact:", b"Via: SIP/2.0/UDP 192.0.2.1\r\n" * 900 + b"Contact:")
    yield whole.replace(b"Contact:", b"Call-ID: another\r\nCSeq: 2 BYE\r\nContact:")
    for name in (b"Via", b"From", b"To", b"Call-ID", b"CSeq"):
        yield b"\r\n".join(line for line in whole.split(b"\r\n") if not line.startswith(name + b":"))
    yield from (sound.randbytes(sound.randrange(1, 1400)) for _ in range(300))
    yield from (whole[:at] + sound.randbytes(3) + whole[at + 3 :] for at in range(0, len(whole) - 3, 3))
    for via in (
        ";maddr=192.0.2.1",
        ";received=192.0.2.1;rport=1",
        ";rport=x",
        ";branch=other",
        ";a=\x1b[2J",
        ";" * 2000,
        ', SIP/2.0/UDP [::1"',
        "\r\n X: folded",
        "\rX: bare",
        ';q="\\"',
    ):
        yield invite("sip:nobody@ims.test", port, next(_NUMBERS), via)


async def sip_by_udp(port: int) -> set[int]:
    """Every malformed datagram; the statuses with which some were answered."""
    with closing(udp()) as attacker:
        await pelt(attacker, (path.read_bytes() for path in TORTURE), port)
        await pelt(attacker, broken_sip(attacker.getsockname()[1]), port)
        await pause(0.1)
        return statuses(attacker)


async def sip_by_strangers(port: int) -> set[int]:
    """The same from an address that is not trusted, valid calls too; the statuses of the answers."""
    with closing(udp(STRANGER)) as attacker:
        here = attacker.getsockname()[1]
        calls = (
            invite("sip:gw1@ims.test", here, next(_NUMBERS)).replace(
                b"Via: SIP/2.0/UDP " + HOST.encode(), b"Via: SIP/2.0/UDP " + STRANGER.encode()
            )
            for _ in range(50)
        )
        await pelt(attacker, calls, port)
        await pause(0.1)
        found = statuses(attacker)
    with closing(await connected(port, source=STRANGER)) as attacker:
        with suppress(OSError):
            attacker.send(invite("sip:gw1@ims.test", 9, next(_NUMBERS)).replace(b"/UDP", b"/TCP"))
        await pause(0.1)
        with suppress(OSError):
            found |= {int(attacker.recv(100)[8:11] or 0)}
    return found - {0}


async def flood(port: int, calls: int) -> set[int]:
    """Calls for somebody who is away, for nobody, and for somebody who is there; answers are never acknowledged."""
    with closing(udp()) as attacker:
        here = attacker.getsockname()[1]
        found: set[int] = set()
        for place in range(calls):
            to = ("sip:gw2@ims.test", "sip:nobody@ims.test", "sip:gw1@ims.test")[place % 3]
            attacker.sendto(invite(to, here, next(_NUMBERS)), (HOST, port))
            if place % 10 == 9:
                found |= statuses(attacker)
                await pause(0.004)
        await pause(0.3)
        return found | statuses(attacker)


def about_calls(port: int) -> Iterator[bytes]:
    """Requests about calls of others, and about none: transfers, subscriptions, and places of phones that are guessed,
    each time another one; some of them are no such thing."""
    mark = b"Contact:"
    for number in range(300):
        guess = f"guess{number}@{HOST};to-tag={number:x};from-tag=b"
        for value in (guess, f"{guess};early-only", f'{guess}\x1b[2J;x="', f";;{number}", f"a{number}\x01 b;to-tag"):
            whole = invite("sip:gw1@ims.test", port, next(_NUMBERS))
            yield whole.replace(mark, b"Replaces: " + value.encode() + b"\r\n" + mark)
        for method, tag, more in (
            (b"REFER", b"", b"Refer-To: <sip:911@ims.test?Replaces=a%0d%0aX%3b>"),
            (b"REFER", b";tag=%x" % number, b"Refer-To: <sip:gw1@ims.test>"),
            (b"SUBSCRIBE", b"", b"Event: conference\r\nExpires: 4294967296"),
            (b"SUBSCRIBE", b"", b"Event: " + b"x" * 2000),
            (b"SUBSCRIBE", b";tag=1", b"Event: conference;id=" + b"9" * 2000),
            (b"NOTIFY", b";tag=2", b"Event: refer\r\nSubscription-State: terminated"),
        ):
            whole = invite("sip:gw1@ims.test", port, next(_NUMBERS)).replace(b"INVITE", method)
            whole = whole.replace(b"To: <sip:gw1@ims.test>", b"To: <sip:gw1@ims.test>" + tag)
            yield whole.replace(mark, more + b"\r\n" + mark)


async def calls_of_others(port: int) -> set[int]:
    """All of it; the statuses of the answers."""
    with closing(udp()) as attacker:
        here = attacker.getsockname()[1]
        found: set[int] = set()
        for place, datagram in enumerate(about_calls(here)):
            attacker.sendto(datagram, (HOST, port))
            if place % 20 == 19:
                found |= statuses(attacker)
                await pause(0.004)
        await pause(0.3)
        return found | statuses(attacker)


async def connected(port: int, source: str = HOST, receive: int | None = None) -> socket.socket:
    """A TCP connection without anything that would read from it; `receive` bytes wait at most."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    made.bind((source, 0))
    made.connect((HOST, port))  # the kernel accepts for the gateway: this does not wait for it
    made.setblocking(False)
    return made


async def sip_by_tcp(port: int) -> None:
    """Torture messages, streams that are cut, that trickle, that never end a line, that say nothing."""
    for path in TORTURE:
        with closing(await connected(port)) as attacker:
            with suppress(OSError):
                attacker.send(path.read_bytes())
            await pause(0.003)
    whole = invite("sip:nobody@ims.test", 9, next(_NUMBERS)).replace(b"/UDP", b"/TCP")
    streams = [await connected(port) for _ in range(150)]
    for place, octet in enumerate(whole[:-30]):  # never whole
        for stream in streams[:10]:
            with suppress(OSError):
                stream.send(bytes((octet,)))
        if place % 8 == 7:
            await pause()
    for stream in streams[10:20]:
        with suppress(OSError):
            stream.send(b"x" * 200_000)
        await pause()
    for stream in streams[20:30]:
        with suppress(OSError):
            stream.send(whole[:100])
            stream.shutdown(socket.SHUT_WR)
    await pause(0.1)
    for stream in streams:
        stream.close()


# -- media -------------------------------------------------------------------------------------


def forged_stun(names: Iterable[str]) -> Iterator[bytes]:
    """Connectivity checks without the password, whole and cut."""
    for name in names:
        check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        check.attributes["USERNAME"] = name
        check.attributes["PRIORITY"] = 1
        check.attributes["USE-CANDIDATE"] = None
        check.add_message_integrity(b"not-the-password-of-it")
        whole = bytes(check)
        yield from (whole[:length] for length in range(1, len(whole), 11))
        yield whole


async def media_by_strangers(call: Call, port: int, rtp_ports: range) -> None:
    """Checks and sound from addresses that are no party's, at the browsers' port and at every port of the core's."""
    assert call.media.peer.remote is not None
    ufrag = next(media.get("ice-ufrag") for media in call.media.peer.remote.media if media.kind == "audio")
    sound = random.Random(8445)
    noise = [bytes((first,)) + sound.randbytes(171) for first in (0, 1, 20, 22, 63, 128, 144, 191, 200, 255)] * 30
    packet = b"\x80\x00" + sound.randbytes(170)
    with closing(udp()) as attacker, closing(udp(STRANGER)) as stranger:
        for source in (attacker, stranger):
            await pelt(source, forged_stun([f"{ufrag}:{call.media.peer.ufrag}", "nobody:here", "", ":" * 500]), port)
            await pelt(source, noise, port)
        await pelt(stranger, list(forged_stun([f"{ufrag}:{call.media.peer.ufrag}"]))[-1:] * 400, port)
        for _ in range(5):
            await pelt(stranger, (packet[: 172 - 17 * cut] for cut in range(10)), port)
            for rtp in rtp_ports:
                stranger.sendto(packet, (HOST, rtp))
                stranger.sendto(b"\x80\xc8" + packet[2:28], (HOST, rtp))
                if rtp % 20 == 0:
                    await pause(0.002)


async def media_by_the_page(call: Call) -> None:
    """From the page's own address: SRTP cut short or not authentic, DTLS records that are none."""
    sound = random.Random(3711)
    target = call.media.peer.target
    assert target is not None
    for first in (128, 144, 20, 21, 22, 23, 63):
        for length in (1, 2, 11, 12, 13, 20, 21, 40, 182, 1400, 2040):
            for second in (0, 200):
                call.media._send((bytes((first, second)) + sound.randbytes(length))[:length], target)
        await pause(0.005)
    forged = b"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28"  # an alert in the clear: fatal
    call.media._send(forged, target)
    await pause(0.02)
