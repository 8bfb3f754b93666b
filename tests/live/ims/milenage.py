"""Milenage (3GPP TS 35.206) for the test HSS and the test USIM (TS 33.102, RFC 3310).

Deliberately not the gateway's own: an error made twice in the same way would not show.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def _aes(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - one block, as TS 35.206 says
    return encryptor.update(block) + encryptor.finalize()


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _rotated(block: bytes, bits: int) -> bytes:
    count = bits // 8
    return block[count:] + block[:count]


def opc_of(k: bytes, op: bytes) -> bytes:
    """OPc from the operator's OP (clause 8.1 of TS 35.205)."""
    return xor(_aes(k, op), op)


class Milenage:
    """The functions f1 to f5* under one subscriber key `k` and operator key `opc`, 16 octets each."""

    def __init__(self, k: bytes, opc: bytes) -> None:
        self._k = k
        self._opc = opc

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> tuple[bytes, bytes]:
        """MAC-A and MAC-S (f1 and f1*)."""
        mixed = xor(self._first(rand), _rotated(xor((sqn + amf) * 2, self._opc), 64))
        out = xor(_aes(self._k, mixed), self._opc)  # c1 is zero
        return out[:8], out[8:]

    def f2_f5(self, rand: bytes) -> tuple[bytes, bytes]:
        """RES and AK."""
        out = self._later(rand, 0, 1)
        return out[8:], out[:6]

    def f3(self, rand: bytes) -> bytes:
        """CK."""
        return self._later(rand, 32, 2)

    def f4(self, rand: bytes) -> bytes:
        """IK."""
        return self._later(rand, 64, 4)

    def f5_star(self, rand: bytes) -> bytes:
        """AK of a resynchronisation."""
        return self._later(rand, 96, 8)[:6]

    def vector(self, rand: bytes, sqn: bytes, amf: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        """Network side: AUTN, XRES, CK, IK."""
        mac_a, _ = self.f1(rand, sqn, amf)
        res, ak = self.f2_f5(rand)
        return xor(sqn, ak) + amf + mac_a, res, self.f3(rand), self.f4(rand)

    def sqn_of_auts(self, rand: bytes, auts: bytes) -> bytes | None:
        """Network side: the USIM's sequence number, or None when MAC-S does not fit."""
        sqn = xor(auts[:6], self.f5_star(rand))
        _, mac_s = self.f1(rand, sqn, b"\0\0")
        return sqn if mac_s == auts[6:14] else None

    def check(self, rand: bytes, autn: bytes) -> tuple[bytes, bytes]:
        """USIM side: the network's SQN, and RES; ValueError when MAC-A does not fit."""
        res, ak = self.f2_f5(rand)
        sqn = xor(autn[:6], ak)
        mac_a, _ = self.f1(rand, sqn, autn[6:8])
        if mac_a != autn[8:16]:
            raise ValueError("MAC-A does not fit")
        return sqn, res

    def auts(self, rand: bytes, sqn: bytes) -> bytes:
        """USIM side: the token that asks for resynchronisation to its own `sqn`."""
        _, mac_s = self.f1(rand, sqn, b"\0\0")
        return xor(sqn, self.f5_star(rand)) + mac_s

    def _first(self, rand: bytes) -> bytes:
        return _aes(self._k, xor(rand, self._opc))

    def _later(self, rand: bytes, rotation: int, constant: int) -> bytes:
        data = xor(_rotated(xor(self._first(rand), self._opc), rotation), bytes(15) + bytes([constant]))
        return xor(_aes(self._k, data), self._opc)
