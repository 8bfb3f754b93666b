"""Encryption towards the core by a real rtpengine: SDES (RFC 4568) and opportunistic (RFC 8643)."""

from __future__ import annotations

from typing import Any

from rtcgw.media.backend import Access, Party
from rtcgw.media.packets.sdes import Crypto, choose
from rtcgw.media.packets.srtp import Transform, closing, opening
from rtcgw.media.sdp import Media, parse
from rtcgw.model.peer import PeerProfile, Srtp
from tests.live.enginecase import PHONE_TONE, EngineCase, where
from tests.live.requirements import need
from tests.live.sound import G711, Sound
from tests.live.waiting import until

SDES = PeerProfile("sdes", codecs=("PCMU",), srtp=Srtp.SDES)
OPPORTUNISTIC = PeerProfile("osrtp", codecs=("PCMU",), srtp=Srtp.OPPORTUNISTIC)


class Secured(Sound):
    """A phone's sound under keys of `a=crypto`; `key` is its own."""

    def __init__(self, port: int = 27000) -> None:
        super().__init__(G711(0), port, PHONE_TONE)
        self.refused = 0
        self.key = Crypto.make(1, "AES_CM_128_HMAC_SHA1_80")
        self._open: Any = None
        self._shut: Transform | None = None
        self._unlock: Transform | None = None

    def agree(self, line: Media) -> str:
        """Take the other side's keys; our own line."""
        keys = (Crypto.parse(value) for value in line.attributes.get("crypto", ()))
        theirs = choose([key for key in keys if key is not None])
        assert theirs is not None, "no keys in the description"
        self.key = Crypto(theirs.tag, theirs.suite, self.key.key)
        self._shut = closing(self.key.profile, self.key.key)[0]
        self._unlock = opening(theirs.profile, theirs.key)[0]
        return f"a=crypto:{self.key.line}\r\n"

    def send(self, packet: bytes) -> None:
        """See `RtpPort`."""
        super().send(packet if self._shut is None else self._shut(packet))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self._unlock is not None and 128 <= datagram[0] < 192:
            try:
                datagram = self._unlock(datagram)
            except Exception:
                self.refused += 1
                return
        super().datagramReceived(datagram, addr)


@need("rtpengine")
class KeyTests(EngineCase):
    def secured(self) -> Secured:
        """A phone with keys."""
        made = Secured()
        made.listen()
        self.addCleanup(made.close)
        return made

    def keyed(self, phone: Secured, offer: str) -> str:
        """Its answer, with its keys."""
        text = self.answer(offer, phone)
        return text.replace("a=sendrecv", phone.agree(parse(offer).media[0]) + "a=sendrecv")

    async def check(self, peer: PeerProfile, profile: str) -> None:
        """A browser calls, both hear each other, an ICE restart changes no key."""
        session = self.open(await self.start(), peer)
        browser, phone = self.browser(G711(0)), self.secured()
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        self.assertIn(f"{profile} 0", offer)
        self.assertEqual(offer.count("a=crypto"), 2)
        early = await self.told(session.early_answer(Party.CALLER))
        browser.accept(early)
        answer = await self.told(session.answer(Party.CALLEE, self.keyed(phone, offer), True))
        browser.accept(answer)
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect(where(offer, "audio"))
        await self.hear(browser, phone)
        await self.restart(session, browser)
        await self.hear(browser, phone)
        self.assertEqual(phone.refused, 0)

    async def test_sdes(self) -> None:
        """A phone that insists on encryption."""
        await self.check(SDES, "RTP/SAVP")

    async def test_opportunistic(self) -> None:
        """One that takes it where it is offered beside RTP/AVP."""
        await self.check(OPPORTUNISTIC, "RTP/AVP")

    async def test_opportunistic_without_keys(self) -> None:
        """One that does not know it talks in the clear."""
        session = self.open(await self.start(), OPPORTUNISTIC)
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        await self.call(session, browser, phone)
        await self.hear(browser, phone)
        await self.restart(session, browser)
        await self.hear(browser, phone)

    async def check_phone_calls(self, peer: PeerProfile, profile: str) -> None:
        session = self.open(await self.start(), peer, Access.CORE)
        browser, phone = self.browser(G711(0)), self.secured()
        head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        line = f"m=audio {phone.port} {profile} 0\r\na=crypto:{phone.key.line}\r\na=sendrecv\r\n"
        offer = await self.told(session.offer(Party.CALLER, head + line))
        self.assertNotIn("crypto", offer)
        answer = await self.told(session.answer(Party.CALLEE, browser.answer(offer), True))
        self.assertIn(f"{profile} 0", answer)
        phone.agree(parse(answer).media[0])
        phone.connect(where(answer, "audio"))
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect(where(answer, "audio"))
        await self.hear(browser, phone)

    async def test_phone_calls(self) -> None:
        """A phone calls that insists on encryption."""
        await self.check_phone_calls(SDES, "RTP/SAVP")

    async def test_phone_calls_with_opportunity(self) -> None:
        """A phone calls that offers keys beside RTP/AVP."""
        await self.check_phone_calls(OPPORTUNISTIC, "RTP/AVP")
