"""What rtpengine is told to do with a description, by the side for which it writes the result.

Learned of rtpengine 10.5, and not from its documentation:

* It passes RTCP feedback (PLI, FIR) on only between two profiles with F, whatever the phone has said; so
  pictures are shown to it as RTP/AVPF, and the phone is told what it may know.
* An ICE restart of one side moves its ports towards the other side without `port-latching`, and a restart is
  what it takes any offer of a browser's with another ufrag for: its own ufrag changes too. An answer with
  another ufrag changes nothing of its own.
* Keys towards a phone (SDES) stay over any number of offers as soon as an answer has named their tag. It has no
  word for "only this suite": each other one is taken off.
* It takes `c=0.0.0.0` for hold, also in what is made up for a party that has said nothing; with `original-sendrecv`
  it would leave the direction alone and tell the other side 0.0.0.0 as its own address.
* The libraries that it was built with know what they can encode; it converts to any codec that has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rtcgw.media.engine.lines import SECURED, SUITES
from rtcgw.media.engine.ng import Encoded, Value, encode

Flags = Mapping[str, Value]

_LATCHED = ["trust-address", "strip-extmap", "port-latching"]
_OTHER_SUITES = [
    f"no-{suite}"
    for suite in (
        *("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"),
        *("AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"),
        *("F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32", "NULL_HMAC_SHA1_80", "NULL_HMAC_SHA1_32"),
    )
    if suite not in SUITES
]
_WEB: Flags = {
    "transport-protocol": "UDP/TLS/RTP/SAVPF",
    "DTLS": "passive",
    "SDES": ["off"],
    "replace": ["origin"],
}
_CORE: Flags = {"ICE": "remove", "DTLS": "off", "rtcp-mux": ["demux"], "replace": ["origin"]}


@cache
def for_web(command: str, has_ice: bool, injects: bool = False) -> Flags:
    """Flags for a description that a browser gets; `command` is `offer` or `answer`. `injects`: keys are to be said.

    Without ICE the engine learns where the client is from its first packets.
    """
    mux = ["require"] if command == "answer" else ["offer", "require"]
    return _encoded({**_WEB, "ICE": "force" if has_ice else "remove", "rtcp-mux": mux, "flags": _flags(injects)})


@cache
def for_core(profile: str, injects: bool = False) -> Flags:
    """Flags for a description that the core gets. `profile`: RTP/AVP, RTP/AVPF, RTP/SAVP or RTP/SAVPF."""
    sdes = _OTHER_SUITES if profile in SECURED else ["off"]
    return _encoded({**_CORE, "transport-protocol": profile, "SDES": sdes, "flags": _flags(injects)})


def _flags(injects: bool) -> list[str]:
    return [*_LATCHED, "inject-DTMF"] if injects else _LATCHED


def _encoded(flags: Flags) -> Flags:
    return {name: Encoded(encode(value).decode()) for name, value in flags.items()}
