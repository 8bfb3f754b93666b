"""Milenage: the example algorithm set of 3GPP AKA (TS 35.206), which nearly every operator uses.

One `Milenage` holds a subscriber's K and OPc. It has the USIM's side (`check_autn`, `auts`) and the
home network's (`vector`, `sqn_from_auts`), the latter for tests and the sandbox. Sequence numbers are
opaque here; what makes one fresh is decided in `aka.py`.

All values are bytes: RAND, AUTN, CK, IK, K, OPc 16; RES 8; SQN, AK 6; AMF 2; MAC 8; AUTS 14.
"""

from __future__ import annotations

from attrs import field, frozen
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RESYNC_AMF = bytes(2)
"""The AMF that stands in for the real one when MAC-S is made (TS 33.102 §6.3.3)."""


class MacMismatch(ValueError):
    """The network does not know K, or the message was changed on the way."""


def _aes(key: bytes, block: bytes) -> bytes:
    # One block, as TS 35.206 §4 wants it: ECB is the bare permutation here, not a mode for data.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block) + encryptor.finalize()


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


def _rotate(block: bytes, bits: int) -> bytes:
    octets = bits // 8
    return block[octets:] + block[:octets]


def opc_from_op(k: bytes, op: bytes) -> bytes:
    """OPc, the operator's OP bound to one subscriber's K."""
    return _xor(_aes(k, op), op)


@frozen
class Vector:
    """An authentication vector as the home network makes it."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


@frozen(repr=False)
class Milenage:
    """The functions f1 to f5* with one subscriber's keys. No repr: it would show them."""

    k: bytes
    opc: bytes

    def __attrs_post_init__(self) -> None:
        if len(self.k) != 16 or len(self.opc) != 16:
            raise ValueError("K and OPc have 16 octets each")

    def _temp(self, rand: bytes) -> bytes:
        return _aes(self.k, _xor(rand, self.opc))

    def _out(self, rand: bytes, rotation: int, constant: int) -> bytes:
        data = _rotate(_xor(self._temp(rand), self.opc), rotation)
        return _xor(_aes(self.k, _xor(data, bytes(15) + bytes([constant]))), self.opc)

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> tuple[bytes, bytes]:
        """MAC-A (f1) and MAC-S (f1*)."""
        mixed = _xor(self._temp(rand), _rotate(_xor((sqn + amf) * 2, self.opc), 64))
        out = _xor(_aes(self.k, mixed), self.opc)
        return out[:8], out[8:]

    def f2_f5(self, rand: bytes) -> tuple[bytes, bytes]:
        """RES and the anonymity key AK."""
        out = self._out(rand, 0, 1)
        return out[8:], out[:6]

    def f3(self, rand: bytes) -> bytes:
        """The cipher key CK."""
        return self._out(rand, 32, 2)

    def f4(self, rand: bytes) -> bytes:
        """The integrity key IK."""
        return self._out(rand, 64, 4)

    def f5_star(self, rand: bytes) -> bytes:
        """The anonymity key of a resynchronisation."""
        return self._out(rand, 96, 8)[:6]

    # -- the USIM ------------------------------------------------------------------------------

    def check_autn(self, rand: bytes, autn: bytes) -> tuple[bytes, bytes]:
        """The network's SQN and the answer RES. Raises `MacMismatch`."""
        res, ak = self.f2_f5(rand)
        sqn = _xor(autn[:6], ak)
        if self.f1(rand, sqn, autn[6:8])[0] != autn[8:]:
            raise MacMismatch("MAC-A does not fit")
        return sqn, res

    def auts(self, rand: bytes, sqn: bytes) -> bytes:
        """What tells the network the SQN that the USIM is at (TS 33.102 §6.3.3)."""
        return _xor(sqn, self.f5_star(rand)) + self.f1(rand, sqn, RESYNC_AMF)[1]

    # -- the home network ------------------------------------------------------------------------

    def vector(self, rand: bytes, sqn: bytes, amf: bytes) -> Vector:
        """A challenge and what answers it."""
        res, ak = self.f2_f5(rand)
        autn = _xor(sqn, ak) + amf + self.f1(rand, sqn, amf)[0]
        return Vector(rand, autn, res, self.f3(rand), self.f4(rand))

    def sqn_from_auts(self, rand: bytes, auts: bytes) -> bytes:
        """The USIM's SQN out of its AUTS. Raises `MacMismatch`."""
        sqn = _xor(auts[:6], self.f5_star(rand))
        if self.f1(rand, sqn, RESYNC_AMF)[1] != auts[6:]:
            raise MacMismatch("MAC-S does not fit")
        return sqn
