"""Encryption of one media line towards the core: SDES keys offered, answered and kept (RFC 4568, RFC 8643)."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from rtcgw.media.describe import CORE_PROFILE
from rtcgw.media.packets.sdes import SUITES, CoreKeys, Crypto, choose
from rtcgw.media.peers import SECURED, CoreStream, refuse
from rtcgw.model.peer import Srtp

MAX_KEYS = 16
"""`a=crypto` lines that are read of one media line."""
_OFFERED = tuple(suite for suite in SUITES if suite.startswith("AES"))
"""What every phone with SDES has; the AEAD suites are answered, not offered: they would double the INVITE."""


class Security:
    """What one line tells the core of its keys. Our own are made once, so that a new offer repeats them."""

    __slots__ = ("_mode", "_own", "keys")

    def __init__(self, mode: Srtp) -> None:
        self._mode = mode
        self._own: dict[str, Crypto] = {}
        self.keys: CoreKeys | None = None
        """In use; None: in the clear."""

    @property
    def profile(self) -> str:
        """Of our own offers."""
        return "RTP/SAVP" if self._mode is Srtp.SDES else CORE_PROFILE

    def wrong(self, stream: CoreStream) -> str:
        """Why the line cannot be accepted as it is offered; '' if it can."""
        secured = stream.proto in SECURED
        if self._mode is Srtp.NONE:
            return "the phone's profile has no encryption" if secured else ""
        if (secured or self._mode is Srtp.SDES) and choose(_read(stream)) is None:
            return "no key that can be used"
        return ""

    def offer(self) -> list[str]:
        """The attributes of our offer: the key in use, or one for each suite."""
        if self._mode is Srtp.NONE:
            return []
        if self.keys is not None:
            return [f"a=crypto:{self.keys.local.line}"]
        return [f"a=crypto:{self._key(suite, tag).line}" for tag, suite in enumerate(_OFFERED, 1)]

    def answer(self, stream: CoreStream) -> list[str]:
        """Accept the phone's offer, which is not `wrong`, and return the attributes of the answer."""
        chosen = None if self._mode is Srtp.NONE else choose(_read(stream))
        if chosen is None:
            self.keys = None
            return []
        self.keys = CoreKeys(self._key(chosen.suite, chosen.tag), chosen)
        return [f"a=crypto:{self.keys.local.line}"]

    def take(self, stream: CoreStream, offered: Sequence[str]) -> None:
        """The phone's answer to the attributes `offered`. Raises `MediaError` where it has to encrypt and does not."""
        tags = [
            int(line.removeprefix("a=crypto:").split(" ", 1)[0]) for line in offered if line.startswith("a=crypto:")
        ]
        ours = [crypto for crypto in self._own.values() if crypto.tag in tags]
        for theirs in _read(stream):
            local = next((one for one in ours if (one.tag, one.suite) == (theirs.tag, theirs.suite)), None)
            if local is not None:
                self.keys = CoreKeys(local, theirs)
                return
        if self._mode is Srtp.SDES or stream.proto in SECURED:
            raise refuse("the phone's answer has no key that was offered")
        self.keys = None

    def _key(self, suite: str, tag: int) -> Crypto:
        own = self._own.get(suite) or Crypto.make(tag, suite)
        self._own[suite] = own = own if own.tag == tag else evolve(own, tag=tag)
        return own


def _read(stream: CoreStream) -> list[Crypto]:
    values = stream.attributes.get("crypto", ())[:MAX_KEYS]
    return [crypto for crypto in map(Crypto.parse, values) if crypto is not None]
