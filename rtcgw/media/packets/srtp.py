"""SRTP (RFC 3711, RFC 7714) by libsrtp: the only module that knows pylibsrtp.

Sessions are handed out as pairs of plain functions, because the packet path calls nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from attrs import field, frozen
from pylibsrtp import Error, Policy, Session

SrtpError = (Error, ValueError)
"""What a packet that cannot be opened or closed raises: wrong key, replayed, truncated, too long."""

WINDOW = 1024
"""Packets that may arrive out of order (RFC 3711 §3.3.2)."""


class Profile(NamedTuple):
    """A protection profile of DTLS-SRTP (RFC 5764 §4.1.2, RFC 7714 §14.2)."""

    name: bytes
    """As OpenSSL calls it."""
    number: int
    """As libsrtp calls it."""
    key: int
    salt: int


AES_GCM_128 = Profile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12)
AES_GCM_256 = Profile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12)
AES_CM_80 = Profile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14)
AES_CM_32 = Profile(b"SRTP_AES128_CM_SHA1_32", Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14)
"""Towards phones only: a tag of four octets proves less than browsers ask for (RFC 8827 §6.5)."""
PROFILES = (AES_GCM_128, AES_GCM_256, AES_CM_80)
"""Those offered in DTLS, in order of preference: GCM costs half of SHA-1 where the processor helps."""

Transform = Callable[[bytes], bytes]


class Transforms(NamedTuple):
    """What is done to packets of one direction. They raise `SrtpError`."""

    rtp: Transform
    rtcp: Transform


@frozen
class Keys:
    """Both master keys with their salts, as they come out of a DTLS handshake."""

    profile: Profile
    local: bytes = field(repr=False)
    remote: bytes = field(repr=False)


def inbound(keys: Keys) -> Transforms:
    """Functions that open RTP and RTCP of any SSRC; they raise `SrtpError`."""
    return opening(keys.profile, keys.remote)


def outbound(keys: Keys) -> Transforms:
    """Functions that close RTP and RTCP of any SSRC; they raise `SrtpError`.

    A sequence number is never used twice, not even for the same packet: repeating one with another
    payload would give both away (RFC 3711 §9.1).
    """
    return closing(keys.profile, keys.local)


def opening(profile: Profile, key: bytes) -> Transforms:
    """As `inbound`, with a master key and salt by themselves (RFC 4568)."""
    session = Session(_policy(profile, key, Policy.SSRC_ANY_INBOUND))
    return Transforms(session.unprotect, session.unprotect_rtcp)


def closing(profile: Profile, key: bytes) -> Transforms:
    """As `outbound`, with a master key and salt by themselves."""
    session = Session(_policy(profile, key, Policy.SSRC_ANY_OUTBOUND))
    return Transforms(session.protect, session.protect_rtcp)


def _policy(profile: Profile, key: bytes, direction: int) -> Policy:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.number)
    policy.window_size = WINDOW
    return policy
