"""STUN as ICE uses it (RFC 8489, RFC 8445): the only module that knows aioice, of which only the codec is used.

No sockets, no retransmission: an ICE-lite agent only answers (RFC 8445 §7.3).
"""

from __future__ import annotations

import struct

from aioice import stun

BadStun = (ValueError, struct.error)
"""What the codec raises for bytes that are no STUN message; attribute lengths are its struct's matter."""

HEADER = 20
_COOKIE = b"\x21\x12\xa4\x42"
_USERNAME = 6


def username(data: bytes) -> bytes | None:
    """The USERNAME of a Binding request, found without decoding the rest; None where there is none to find.

    Cheap on purpose: it runs on every stranger's datagram before anything is known of the sender.
    """
    if len(data) < HEADER or data[:2] != b"\x00\x01" or data[4:8] != _COOKIE:
        return None
    place, end = HEADER, len(data) - 4
    while place <= end:
        kind = (data[place] << 8) | data[place + 1]
        length = (data[place + 2] << 8) | data[place + 3]
        place += 4
        if kind == _USERNAME:
            return data[place : place + length]
        place += (length + 3) & ~3
    return None


def read_request(data: bytes, password: bytes) -> stun.Message | None:
    """A Binding request whose MESSAGE-INTEGRITY proves that its sender knows `password`; None for anything else."""
    try:
        message = stun.parse_message(data)
        if message.message_class is not stun.Class.REQUEST or message.message_method is not stun.Method.BINDING:
            return None
        return message if message.check_message_integrity(password) else None
    except BadStun:
        return None


def binding() -> tuple[bytes, bytes]:
    """A Binding request without credentials, with which a server is asked whether it is there; and its transaction."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    return bytes(message), message.transaction_id


def answers(data: bytes, transaction: bytes) -> bool:
    """Whether this is an answer to the Binding request of that transaction: success or error (RFC 8489 §5)."""
    return len(data) >= HEADER and data[:2] in (b"\x01\x01", b"\x01\x11") and data[4:HEADER] == _COOKIE + transaction


def nominates(message: stun.Message) -> bool:
    """The check carries USE-CANDIDATE: the controlling side has chosen this pair."""
    return "USE-CANDIDATE" in message.attributes


def success(request: stun.Message, address: tuple[str, int], password: bytes) -> bytes:
    """The answer to a proven request: where it was seen to come from, with integrity and fingerprint.

    A socket for both families shows an IPv4 address as `::ffff:192.0.2.1`; its owner knows nothing of that.
    """
    response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
    response.attributes["XOR-MAPPED-ADDRESS"] = address[0].removeprefix("::ffff:"), address[1]
    response.add_message_integrity(password)
    return bytes(response)
