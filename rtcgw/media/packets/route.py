"""What has been agreed for one payload type: under which number its packets go on, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rtcgw.media.sdp import Codec

if TYPE_CHECKING:
    from rtcgw.media.packets.transcode import Recoder


class Route(NamedTuple):
    """What becomes of packets of one payload type."""

    pt: int
    """Payload type to write."""
    table: bytes | None = None
    """256 octets that convert each octet of the payload (mu-law to A-law and back)."""
    recoder: Recoder | None = None
    """Converts the sound into another codec; packets are then made anew."""
    clock: tuple[int, int] | None = None
    """Of telephone events: clock rates of sender and receiver in Hz where they differ."""
    source: Codec | None = None
    """What the packets are, for the clock of timestamps and for the account; None: unknown, at the usual clock."""
