"""One browser transport, several media lines: which packet belongs to which line (RFC 9143 §9.2).

RTP goes by its payload type, which our descriptions never give to two lines at once; RTCP by the SSRCs it speaks
of, sub-packet by sub-packet, because one compound packet may speak of sound and picture. What belongs to nobody is
dropped and counted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from rtcgw.media.packets.relay import Relay
from rtcgw.media.packets.rtcp import APP_FEEDBACK, BLOCK, RR, SDES, SR, TRANSPORT_FEEDBACK, Part, parts


class Bundle:
    """`rtp` and `rtcp` are what a `WebLeg` hands packets to."""

    __slots__ = ("_by_type", "_relays", "dropped")

    def __init__(self) -> None:
        self._by_type: dict[int, Relay] = {}
        self._relays: tuple[Relay, ...] = ()
        self.dropped = 0

    def route(self, types: Mapping[int, Relay]) -> None:
        """The browser's payload types, and whose they are."""
        self._by_type = dict(types)
        self._relays = tuple(dict.fromkeys(types.values()))

    def rtp(self, packet: bytes) -> None:
        """An RTP packet of the browser, in the clear, at least 12 octets long."""
        relay = self._by_type.get(packet[1] & 127)
        if relay is None:
            self.dropped += 1
        else:
            relay.from_web(packet)

    def rtcp(self, packet: bytes) -> None:
        """A compound RTCP packet of the browser, in the clear."""
        if len(self._relays) == 1:
            self._relays[0].rtcp_from_web(packet)
            return
        found = parts(packet)
        if found is None:
            self.dropped += 1
            return
        shares: dict[Relay, list[bytes]] = {}
        for part in found:
            for relay, share in self._shares(part):
                shares.setdefault(relay, []).append(share)
        if not shares:
            self.dropped += 1
        for relay, theirs in shares.items():
            relay.rtcp_from_web(b"".join(theirs))

    def _shares(self, part: Part) -> Iterator[tuple[Relay, bytes]]:
        """Whose a sub-packet is. A sender's report is that of one line; its blocks may speak of others."""
        if part.kind in (SR, RR):
            yield from self._reports(part)
        elif part.kind == SDES:
            owner = self._sender(part.ssrc)
            if owner is not None:
                yield owner, part.data
        elif part.kind in (TRANSPORT_FEEDBACK, APP_FEEDBACK) and len(part.data) >= 12:
            about = int.from_bytes(part.data[8:12], "big")
            if not about and len(part.data) >= 16:
                about = int.from_bytes(part.data[12:16], "big")  # FIR names its sources one by one (RFC 5104 §4.3.1)
            owner = self._receiver(about)
            if owner is not None:
                yield owner, part.data

    def _reports(self, part: Part) -> Iterator[tuple[Relay, bytes]]:
        start = 28 if part.kind == SR else 8
        count = part.data[0] & 31
        if len(part.data) < start + BLOCK * count:
            return
        blocks: dict[Relay, list[bytes]] = {}
        for place in range(start, start + BLOCK * count, BLOCK):
            block = part.data[place : place + BLOCK]
            owner = self._receiver(int.from_bytes(block[:4], "big"))
            if owner is not None:
                blocks.setdefault(owner, []).append(block)
        sender = self._sender(part.ssrc) if part.kind == SR else None
        if sender is not None:
            own = blocks.pop(sender, [])
            body = part.data[4:start] + b"".join(own)
            yield sender, _head(SR, len(own), len(body)) + body
        for relay, theirs in blocks.items():
            body = part.data[4:8] + b"".join(theirs)
            yield relay, _head(RR, len(theirs), len(body)) + body

    def _sender(self, ssrc: int) -> Relay | None:
        """The line in which the browser sends under `ssrc`."""
        return next((relay for relay in self._relays if relay.up.src == ssrc), None)

    def _receiver(self, ssrc: int) -> Relay | None:
        """The line in which the browser is sent `ssrc`."""
        return next((relay for relay in self._relays if relay.down.begun and relay.down.out == ssrc), None)


def _head(kind: int, count: int, size: int) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, size // 4)
