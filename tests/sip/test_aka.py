"""AKA: Milenage by the published test sets, the window of sequence numbers, challenge and resynchronisation."""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.sip.aka import DELTA, AkaClient, SequenceNumbers
from rtcgw.sip.digest import AuthRefused
from rtcgw.sip.headers import Challenge, Credentials
from rtcgw.sip.milenage import MacMismatch, Milenage, opc_from_op

# TS 35.208 §4.3: K, RAND, SQN, AMF, OP, OPc, f1, f1*, f2, f5, f3, f4, f5*.
SETS = tuple(
    tuple(bytes.fromhex(word) for word in text.split())
    for text in (
        "465b5ce8b199b49faa5f0a2ee238a6bc 23553cbe9637a89d218ae64dae47bf35 ff9bb4d0b607 b9b9"
        " cdc202d5123e20f62b6d676ac72cb318 cd63cb71954a9f4e48a5994e37a02baf 4a9ffac354dfafb3 01cfaf9ec4e871e9"
        " a54211d5e3ba50bf aa689c648370 b40ba9a3c58b2a05bbf0d987b21bf8cb f769bcd751044604127672711c6d3441 451e8beca43b",
        "0396eb317b6d1c36f19c1c84cd6ffd16 c00d603103dcee52c4478119494202e8 fd8eef40df7d af17"
        " ff53bade17df5d4e793073ce9d7579fa 53c15671c60a4b731c55b4a441c0bde2 5df5b31807e258b0 a8c016e51ef4a343"
        " d3a628ed988620f0 c47783995f72 58c433ff7a7082acd424220f2b67c556 21a8c1f929702adb3e738488b9f5c5da 30f1197061c1",
        "fec86ba6eb707ed08905757b1bb44b8f 9f7c8d021accf4db213ccff0c7f71a6a 9d0277595ffc 725c"
        " dbc59adcb6f9a0ef735477b7fadf8374 1006020f0a478bf6b699f15c062e42b3 9cabc3e99baf7281 95814ba2b3044324"
        " 8011c48c0c214ed2 33484dc2136b 5dbdbb2954e8f3cde665b046179a5098 59a92d3b476a0443487055cf88b2307b deacdd848cc6",
        "9e5944aea94b81165c82fbf9f32db751 ce83dbc54ac0274a157c17f80d017bd6 0b604a81eca8 9e09"
        " 223014c5806694c007ca1eeef57f004f a64a507ae1a2a98bb88eb4210135dc87 74a58220cba84c49 ac2cc74a96871837"
        " f365cd683cd92e96 f0b9c08ad02e e203edb3971574f5a94b0d61b816345d 0c4524adeac041c4dd830d20854fc46b 6085a86c6f63",
        "4ab1deb05ca6ceb051fc98e77d026a84 74b0cd6031a1c8339b2b6ce2b8c4a186 e880a1b580b6 9f07"
        " 2d16c5cd1fdf6b22383584e3bef2a8d8 dcf07cbd51855290b92a07a9891e523e 49e785dd12626ef2 9e85790336bb3fa2"
        " 5860fc1bce351e7e 31e11a609118 7657766b373d1c2138f307e3de9242f9 1c42e960d89b8fa99f2744e0708ccb53 fe2555e54aa9",
        "6c38a116ac280c454f59332ee35c8c4f ee6466bc96202c5a557abbeff8babf63 414b98222181 4464"
        " 1ba00a1a7c6700ac8c3ff3e96ad08725 3803ef5363b947c6aaa225e58fae3934 078adfb488241a57 80246b8d0186bcf1"
        " 16c8233f05a0ac28 45b0f69ab06c 3f8c7587fe8e4b233af676aede30ba3b a7466cc1e6b2a1337d49d3b66e95d7b4 1f53cd2b1113",
    )
)
K, RAND, _, AMF, _, OPC = SETS[0][:6]
NETWORK = Milenage(K, OPC)


def challenge(sqn: int, rand: bytes = RAND, extra: bytes = b"", network: Milenage = NETWORK) -> Challenge:
    vector = network.vector(rand, sqn.to_bytes(6, "big"), AMF)
    nonce = base64.b64encode(vector.rand + vector.autn + extra).decode()
    return Challenge.parse(f'Digest realm="ims.test", nonce="{nonce}", algorithm=AKAv1-MD5, qop="auth"')


class MilenageTests(SynchronousTestCase):
    def test_published_sets(self) -> None:
        """Every function gives what TS 35.208 says."""
        for k, rand, sqn, amf, op, opc, f1, f1s, f2, f5, f3, f4, f5s in SETS:
            self.assertEqual(opc_from_op(k, op), opc)
            usim = Milenage(k, opc)
            self.assertEqual((usim.f1(rand, sqn, amf), usim.f2_f5(rand)), ((f1, f1s), (f2, f5)))
            self.assertEqual((usim.f3(rand), usim.f4(rand), usim.f5_star(rand)), (f3, f4, f5s))

    @given(st.binary(min_size=16, max_size=16), st.binary(min_size=6, max_size=6), st.integers(0, 127))
    @settings(max_examples=40, deadline=None)
    def test_both_sides_agree(self, rand: bytes, sqn: bytes, bit: int) -> None:
        """What the network makes the USIM accepts, and the other way; one bit changed is noticed."""
        vector = NETWORK.vector(rand, sqn, AMF)
        self.assertEqual(NETWORK.check_autn(rand, vector.autn), (sqn, vector.xres))
        changed = (int.from_bytes(vector.autn, "big") ^ 1 << bit).to_bytes(16, "big")
        self.assertRaises(MacMismatch, NETWORK.check_autn, rand, changed)
        auts = NETWORK.auts(rand, sqn)
        self.assertEqual((len(auts), NETWORK.sqn_from_auts(rand, auts)), (14, sqn))
        self.assertRaises(MacMismatch, NETWORK.sqn_from_auts, rand, auts[:13] + bytes([auts[13] ^ 1]))

    def test_keys(self) -> None:
        """Keys of another length are refused, and no repr shows them."""
        self.assertRaises(ValueError, Milenage, K[:8], OPC)
        self.assertRaises(ValueError, Milenage, K, OPC + b"\0")
        for thing in (NETWORK, NETWORK.vector(RAND, bytes(6), AMF), AkaClient("a@b", K, OPC)):
            self.assertNotIn(repr(K)[2:-1], repr(thing))
            self.assertNotIn("xres", repr(thing))


class WindowTests(SynchronousTestCase):
    def test_out_of_order(self) -> None:
        """Challenges that overtake each other are accepted, none twice (TS 33.102 §C.2.2)."""
        numbers = SequenceNumbers()
        self.assertTrue(numbers.accept(10 << 5 | 1))
        self.assertTrue(numbers.accept(9 << 5 | 0))
        self.assertFalse(numbers.accept(10 << 5 | 1))
        self.assertFalse(numbers.accept(9 << 5 | 1))
        self.assertEqual(numbers.highest, 10 << 5 | 1)

    def test_too_far_ahead(self) -> None:
        """Nobody can use the numbers up by one great leap, but for a USIM never used."""
        numbers = SequenceNumbers()
        self.assertTrue(numbers.accept(2**47))
        self.assertFalse(numbers.accept(2**47 + (DELTA + 1 << 5)))
        self.assertTrue(numbers.accept(2**47 + (DELTA << 5)))

    @given(st.lists(st.integers(0, 2**12), max_size=40))
    @settings(max_examples=60, deadline=None)
    def test_never_twice(self, sqns: list[int]) -> None:
        """Whatever comes in whatever order, no number is accepted twice, and the highest is the highest."""
        numbers, accepted = SequenceNumbers(), list[int]()
        for sqn in sqns:
            if numbers.accept(sqn):
                accepted.append(sqn)
        self.assertEqual(len(accepted), len(set(accepted)))
        if accepted:
            self.assertEqual(numbers.highest >> 5, max(accepted) >> 5)


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = AkaClient("gw@ims.test", K, OPC, cnonce=lambda: "c")

    def answer(self, *challenges: Challenge) -> Credentials:
        return Credentials.parse(self.client.answer(challenges, "REGISTER", "sip:ims.test"))

    def expected(self, secret: bytes, answer: Credentials) -> str:
        def md5(data: bytes) -> str:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()

        nonce, nc = answer.params["nonce"], answer.params["nc"]
        ha1, ha2 = md5(b"gw@ims.test:ims.test:" + secret), md5(b"REGISTER:sip:ims.test")
        return md5(f"{ha1}:{nonce}:{nc}:c:auth:{ha2}".encode())

    def test_answer(self) -> None:
        """The password is RES, binary as it is (RFC 3310 §3.3)."""
        answer = self.answer(challenge(64, extra=b"server data"))
        self.assertEqual(answer.params["response"], self.expected(NETWORK.f2_f5(RAND)[0], answer))
        self.assertEqual((answer.params["algorithm"], answer.params["username"]), ("AKAv1-MD5", "gw@ims.test"))
        self.assertNotIn("auts", answer.params)

    def test_used_number(self) -> None:
        """A challenge played back is answered with AUTS, from which the network learns where we are (§3.4)."""
        self.answer(challenge(640))
        other = bytes(16)
        answer = self.answer(challenge(64, other))
        auts = base64.b64decode(answer.params["auts"] or "")
        self.assertEqual(NETWORK.sqn_from_auts(other, auts), (640).to_bytes(6, "big"))
        self.assertEqual(answer.params["response"], self.expected(b"", answer))
        self.assertNotIn("auts", self.answer(challenge(672, other)).params)

    def test_same_challenge_again(self) -> None:
        """A nonce that serves for a second request is answered with the same RES and the next count."""
        first, second = self.answer(challenge(64)), self.answer(challenge(64))
        self.assertEqual((first.params["nc"], second.params["nc"]), ("00000001", "00000002"))
        self.assertEqual(second.params["response"], self.expected(NETWORK.f2_f5(RAND)[0], second))

    def test_false_network(self) -> None:
        """A network that does not know the key gets no answer at all, and uses no number up."""
        false = Milenage(bytes(16), OPC)
        error = self.assertRaises(AuthRefused, self.answer, challenge(64, network=false))
        self.assertEqual(str(error), "the network does not know the key")
        self.assertEqual(self.client.numbers.highest, 0)

    def test_refused(self) -> None:
        """Other schemes and broken nonces are refused by name."""
        for text in (
            'Digest realm="a", nonce="n", algorithm=MD5',
            'Basic realm="a"',
            'Digest realm="a", nonce="n", algorithm=AKAv1-MD5',
            f'Digest realm="a", nonce="{base64.b64encode(bytes(31)).decode()}", algorithm=AKAv1-MD5',
            'Digest realm="a", nonce="\u00e9", algorithm=AKAv1-MD5',
            'Digest realm="a", algorithm=AKAv1-MD5',
            'Digest nonce="n", algorithm=AKAv1-MD5',
            str(challenge(64)).replace('"auth"', '"new"'),
        ):
            self.assertRaises(AuthRefused, self.answer, Challenge.parse(text))
        self.assertRaises(AuthRefused, self.answer)

    def test_topmost_aka(self) -> None:
        """Challenges of other kinds before it are passed over."""
        answer = self.answer(Challenge.parse('Digest realm="a", nonce="n", algorithm=SHA-256'), challenge(64))
        self.assertEqual(answer.params["realm"], "ims.test")
