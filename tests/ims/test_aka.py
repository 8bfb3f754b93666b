"""Registering with a USIM: AKAv1-MD5, the network proven first, sequence numbers brought into step (RFC 3310)."""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.registration import RegState
from rtcgw.model.identity import Attach, Profile, Scheme
from rtcgw.sip.headers import Credentials, Params
from rtcgw.sip.milenage import Milenage
from tests.ims.rig import Rig

K, OPC = bytes(range(16)), bytes(range(16, 32))
RAND = b"r" * 16


def profile(attach: Attach = Attach.A) -> Profile:
    return Profile("sim", "sim@ims.test", ("sip:sim@ims.test",), "ims.test", attach, Scheme.AKA, k=K, opc=OPC)


def challenge(sqn: int, k: bytes = K, rand: bytes = RAND) -> tuple[str, str]:
    """A 401's header as an HSS with this key and sequence number makes it, ck and ik for a P-CSCF included."""
    autn = Milenage(k, OPC).vector(rand, sqn.to_bytes(6, "big"), b"\x80\x00").autn
    nonce = base64.b64encode(rand + autn).decode()
    value = f'Digest realm="ims.test", nonce="{nonce}", algorithm=AKAv1-MD5, qop="auth", ck="00", ik="00"'
    return ("WWW-Authenticate", value)


class AkaTests(SynchronousTestCase):
    def rig(self, attach: Attach, *answers: tuple[int, tuple[str, str]]) -> Rig:
        rig = Rig((profile(attach),))
        for status, header in answers:
            rig.core.next_register(status, header)
        return rig.start()

    def sent(self, rig: Rig) -> list[Params]:
        return [Credentials.parse(one.get("authorization") or "").params for one in rig.core.registers]

    def granted(self, attach: Attach = Attach.A) -> tuple[int, tuple[str, str]]:
        return (200, ("Contact", f"{Rig((profile(attach),)).agent('sim').line.contact};expires=3600"))

    def test_registers(self) -> None:
        """The answer is made of RES; the keys that the challenge carried go nowhere."""
        rig = self.rig(Attach.A, (401, challenge(1 << 5)), self.granted())
        self.assertEqual(rig.registration("sim").state, RegState.REGISTERED)
        first, second = self.sent(rig)
        self.assertEqual((first["username"], first["response"]), ("sim@ims.test", ""))
        self.assertEqual(len(second["response"] or ""), 32)
        self.assertNotIn("ck", second)
        self.assertNotIn("integrity-protected", second)

    def test_out_of_step(self) -> None:
        """A used sequence number is answered with AUTS; the challenge that follows is not a second refusal."""
        other = b"s" * 16
        rig = self.rig(Attach.A, (401, challenge(0)), (401, challenge(5 << 5, rand=other)), self.granted())
        self.assertEqual(rig.registration("sim").state, RegState.REGISTERED)
        _, out_of_step, proven = self.sent(rig)
        auts = base64.b64decode(out_of_step["auts"] or "")
        self.assertEqual(Milenage(K, OPC).sqn_from_auts(RAND, auts), bytes(6))
        self.assertNotIn("auts", proven)

    def test_false_network(self) -> None:
        """A network that does not know the key gets no answer at all."""
        rig = self.rig(Attach.A, (401, challenge(1 << 5, k=bytes(16))))
        self.assertEqual(rig.registration("sim").state, RegState.REFUSED)
        self.assertEqual(len(rig.core.registers), 1)
        self.assertIn("does not know the key", rig.registration("sim").last_error)

    def test_mode_b(self) -> None:
        """At the S-CSCF itself the REGISTER says that it asks for AKA, and then that it is protected."""
        rig = self.rig(Attach.B, (401, challenge(1 << 5)), self.granted(Attach.B))
        self.assertEqual([params["integrity-protected"] for params in self.sent(rig)], ["no", "yes"])
        self.assertTrue(rig.registration("sim").usable)
