"""A phone with a USIM, reduced to its registration: REGISTER by AKAv1-MD5 (RFC 3310), AUTS when it must."""

from __future__ import annotations

import base64
import hashlib
import os
import re

from attrs import define

from tests.live.ims.milenage import Milenage
from tests.live.ims.subscribers import Subscriber
from tests.live.waiting import HOST, ask


@define
class Usim:
    """`highest`: the highest sequence number seen; the network's must be above it."""

    who: Subscriber
    port: int
    """Where REGISTER goes."""
    highest: int = 0
    resynchronised: int = 0

    async def register(self) -> int:
        """Register; the final status. At most two challenges are answered with AUTS."""
        call = os.urandom(8).hex()
        authorization = f'{self._name()},nonce="",response=""'
        for cseq in range(1, 5):
            answer = await self._ask(call, cseq, authorization)
            status = int(answer.split()[1])
            if status != 401:
                return status
            authorization = self._answer(answer)
        raise AssertionError("too many challenges")

    def _name(self) -> str:
        realm = self.who.realm
        return f'Digest username="{self.who.impi}",realm="{realm}",uri="sip:{realm}"'

    async def _ask(self, call: str, cseq: int, authorization: str) -> str:
        uri = self.who.uri

        def question(port: int) -> bytes:
            return (
                f"REGISTER sip:{self.who.realm} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{os.urandom(6).hex()}\r\nMax-Forwards: 70\r\n"
                f"From: <{uri}>;tag={call[:8]}\r\nTo: <{uri}>\r\nCall-ID: {call}\r\nCSeq: {cseq} REGISTER\r\n"
                f"Contact: <sip:{self.who.user}@{HOST}:{self.who.sip_port}>\r\nExpires: 600\r\n"
                f"Authorization: {authorization}\r\nSupported: path\r\nContent-Length: 0\r\n\r\n"
            ).encode()

        answer = await ask(self.port, question, lambda datagram: not datagram.startswith(b"SIP/2.0 1"), timeout=5)
        assert answer is not None, "no answer to REGISTER"
        return answer.decode()

    def _answer(self, refusal: str) -> str:
        header = re.search(r"^WWW-Authenticate: (.*)$", refusal, re.MULTILINE)
        assert header is not None
        challenge = dict(re.findall(r'(\w+)="?([^",\r]+)"?', header[1]))
        assert challenge["algorithm"] == "AKAv1-MD5"
        nonce = base64.b64decode(challenge["nonce"] + "==")
        res, auts = self._authenticate(nonce[:16], nonce[16:32])
        response, cnonce = self._response(challenge["nonce"], res)
        more = f',auts="{base64.b64encode(auts).decode()}"' if auts else ""
        return (
            f'{self._name()},nonce="{challenge["nonce"]}",algorithm=AKAv1-MD5,qop=auth,nc=00000001,'
            f'cnonce="{cnonce}",response="{response}"{more}'
        )

    def _authenticate(self, rand: bytes, autn: bytes) -> tuple[bytes, bytes]:
        """RES and no AUTS, or no RES and AUTS."""
        assert self.who.aka is not None
        usim = Milenage(self.who.aka.k, self.who.aka.opc)
        sqn, res = usim.check(rand, autn)
        number = int.from_bytes(sqn, "big")
        if number <= self.highest:
            self.resynchronised += 1
            return b"", usim.auts(rand, self.highest.to_bytes(6, "big"))
        self.highest = number
        return res, b""

    def _response(self, nonce: str, res: bytes) -> tuple[str, str]:
        cnonce = os.urandom(8).hex()
        first = _md5(f"{self.who.impi}:{self.who.realm}:".encode() + res)
        second = _md5(f"REGISTER:sip:{self.who.realm}".encode())
        return _md5(f"{first}:{nonce}:00000001:{cnonce}:auth:{second}".encode()), cnonce


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324 - AKAv1-MD5 is MD5
