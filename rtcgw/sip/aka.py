"""AKAv1-MD5: digest whose password is the USIM's answer to the challenge (RFC 3310).

    nonce = base64(RAND || AUTN || server data)

The network proves itself first: its MAC must fit, else nothing is answered. Its sequence number must
be fresh, else the answer carries AUTS, from which the network learns ours, and a response made
with an empty password. The keys never leave `AkaClient`; RES lives for one challenge.

Sequence numbers are kept in memory: a gateway that starts again takes the network's first number,
whatever it is, and from then on the window of TS 33.102 annex C.2 keeps older challenges from being
played back. Keeping them on disk was refused: who can replay to us must sit inside the trusted core.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence

from rtcgw.sip.digest import HASHES, AuthRefused, Exchange, NonceUses, choose_qop, print_answer
from rtcgw.sip.headers import Challenge
from rtcgw.sip.milenage import MacMismatch, Milenage

ALGORITHM = "akav1-md5"
IND_BITS = 5
"""SQN is SEQ followed by an index of this many bits (TS 33.102 §C.1.1.2, §C.3)."""
DELTA = 2**28
"""How far SEQ may jump ahead at once, so that nobody can use the numbers up (TS 33.102 §C.2.1)."""


def _new_cnonce() -> str:
    return secrets.token_hex(8)


class SequenceNumbers:
    """The USIM's array of sequence numbers: one highest SEQ per index (TS 33.102 §C.2.2).

    Challenges may so arrive a little out of order, and yet none is accepted twice. `sqn` is the number to
    start at; 0 is a USIM never used, which takes the first number however high.
    """

    __slots__ = ("_highest",)

    def __init__(self, sqn: int = 0) -> None:
        self._highest = [sqn >> IND_BITS] * (1 << IND_BITS)

    @property
    def highest(self) -> int:
        """SQN_MS, the highest SQN accepted so far, as told in AUTS."""
        seq = max(self._highest)
        return seq << IND_BITS | self._highest.index(seq)

    def accept(self, sqn: int) -> bool:
        """Whether `sqn` is fresh; if so it is used up."""
        seq, index = sqn >> IND_BITS, sqn & (1 << IND_BITS) - 1
        highest = max(self._highest)
        if seq <= self._highest[index] or (highest and seq - highest > DELTA):
            return False
        self._highest[index] = seq
        return True


class AkaClient:
    """One subscriber's IMPI and keys, ready to answer challenges; the same `answer` as `DigestClient` has.

    `k` and `opc` have 16 octets each. `sqn` is the number to start at, 0 for a USIM never used.
    """

    __slots__ = ("_last", "_milenage", "_uses", "numbers", "username")

    def __init__(self, impi: str, k: bytes, opc: bytes, sqn: int = 0, cnonce: Callable[[], str] = _new_cnonce) -> None:
        self.username = impi
        self.numbers = SequenceNumbers(sqn)
        self._milenage = Milenage(k, opc)
        self._uses = NonceUses(cnonce)
        self._last = ("", b"")

    def __repr__(self) -> str:
        return f"<AkaClient {self.username!r}>"

    def answer(self, challenges: Sequence[Challenge], method: str, uri: str, body: bytes = b"") -> str:
        """The credentials for the topmost AKAv1-MD5 challenge. Raises `AuthRefused`, also for a false network."""
        for challenge in challenges:
            algorithm = (challenge.params.get("algorithm") or "").lower()
            if challenge.scheme.lower() == "digest" and algorithm == ALGORITHM:
                return self._meet(challenge, method, uri, body)
        raise AuthRefused("no AKAv1-MD5 challenge")

    def _meet(self, challenge: Challenge, method: str, uri: str, body: bytes) -> str:
        realm, nonce = challenge.params.get("realm"), challenge.params.get("nonce")
        if realm is None or not nonce:
            raise AuthRefused("challenge without realm or nonce")
        qop = choose_qop(challenge.params.get("qop"))
        secret, extra = self._secret(nonce)
        nc, cnonce = self._uses.next(nonce)
        exchange = Exchange(HASHES["md5"], self.username, realm, secret, method, uri, nonce, qop, nc, cnonce, body)
        return print_answer(challenge, exchange, extra)

    def _secret(self, nonce: str) -> tuple[bytes, dict[str, str]]:
        """The digest password for this nonce, and the parameter `auts` when the network must catch up."""
        if nonce == self._last[0]:
            return self._last[1], {}  # the same challenge again: its number is used up, its answer still stands
        rand, autn = _split(nonce)
        try:
            sqn, res = self._milenage.check_autn(rand, autn)
        except MacMismatch:
            raise AuthRefused("the network does not know the key") from None
        if not self.numbers.accept(int.from_bytes(sqn, "big")):
            auts = self._milenage.auts(rand, self.numbers.highest.to_bytes(6, "big"))
            return b"", {"auts": base64.b64encode(auts).decode()}
        self._last = (nonce, res)
        return res, {}


def _split(nonce: str) -> tuple[bytes, bytes]:
    """RAND and AUTN out of a nonce (RFC 3310 §3.2)."""
    try:
        octets = base64.b64decode(nonce, validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) < 32:
        raise AuthRefused("nonce holds no RAND and AUTN")
    return octets[:16], octets[16:32]
