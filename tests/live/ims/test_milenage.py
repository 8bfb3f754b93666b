"""The HSS's Milenage against test set 1 of 3GPP TS 35.208."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.live.ims.milenage import Milenage, opc_of

_hex = bytes.fromhex
K = _hex("465b5ce8b199b49faa5f0a2ee238a6bc")
RAND = _hex("23553cbe9637a89d218ae64dae47bf35")
SQN = _hex("ff9bb4d0b607")
AMF = _hex("b9b9")
OPC = _hex("cd63cb71954a9f4e48a5994e37a02baf")


class MilenageTests(SynchronousTestCase):
    def test_vectors(self) -> None:
        """Every function gives the published value."""
        usim = Milenage(K, OPC)
        self.assertEqual(opc_of(K, _hex("cdc202d5123e20f62b6d676ac72cb318")), OPC)
        self.assertEqual(usim.f1(RAND, SQN, AMF), (_hex("4a9ffac354dfafb3"), _hex("01cfaf9ec4e871e9")))
        self.assertEqual(usim.f2_f5(RAND), (_hex("a54211d5e3ba50bf"), _hex("aa689c648370")))
        self.assertEqual(usim.f3(RAND), _hex("b40ba9a3c58b2a05bbf0d987b21bf8cb"))
        self.assertEqual(usim.f4(RAND), _hex("f769bcd751044604127672711c6d3441"))
        self.assertEqual(usim.f5_star(RAND), _hex("451e8beca43b"))

    def test_both_sides_agree(self) -> None:
        """The USIM takes the network's AUTN, the network the USIM's AUTS, and neither a forged one."""
        usim = Milenage(K, OPC)
        autn, xres, _, _ = usim.vector(RAND, SQN, AMF)
        self.assertEqual(usim.check(RAND, autn), (SQN, xres))
        self.assertRaises(ValueError, usim.check, RAND, autn[:-1] + b"\0")
        self.assertEqual(usim.sqn_of_auts(RAND, usim.auts(RAND, SQN)), SQN)
        self.assertIsNone(usim.sqn_of_auts(RAND, bytes(14)))
