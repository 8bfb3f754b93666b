"""What a real rtpengine makes of calls: conversion, early answers, ICE restarts, keys, all proven by tones."""

from __future__ import annotations

from rtcgw.media.backend import Access, Party
from rtcgw.media.sdp import parse
from rtcgw.model.peer import PeerProfile, Transcode
from tests.live.amrwb import AmrWb
from tests.live.enginecase import EngineCase, Opus, where
from tests.live.requirements import need
from tests.live.sound import G711
from tests.live.waiting import reactor, until

MOBILE = PeerProfile("mobile", codecs=("AMR-WB",), fmtp=(("AMR-WB", "octet-align=1"),))


@need("rtpengine")
class CallTests(EngineCase):
    async def test_call(self) -> None:
        """Without conversion: both hear each other, and the account knows packets and codec."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        await self.call(session, browser, phone)
        await self.hear(browser, phone)
        await until("sound is told of", lambda: self.states().count("SOUND") == 2)
        await until("both have heard a while", lambda: min(len(browser.voice.arrivals), len(phone.arrivals)) > 25)
        self.assertFalse(session.stats().transcoding)
        account = await self.account(session)
        self.assertEqual((account.caller.codec, account.callee.codec, account.transcoding), ("PCMU", "PCMU", False))
        self.assertGreater(min(account.caller.packets, account.callee.packets), 20)
        self.assertGreater(account.caller.octets, 20 * 160)

    async def test_prefers_opus(self) -> None:
        """With `transcode = "prefer"` the browser keeps Opus although both have mu-law."""
        session = self.open(await self.start(), PeerProfile(codecs=("PCMU",), transcode=Transcode.PREFER))
        browser, phone = self.browser(Opus()), self.phone(G711(0))
        browser.sound.peer.formats = [111, 0, 110, 126]
        offer = await self.call(session, browser, phone)
        self.assertEqual([codec.name for codec in parse(offer).media[0].codecs][:1], ["PCMU"])
        await self.hear(browser, phone)
        await until("the conversion shows", lambda: session.stats().transcoding)

    async def test_early_answer(self) -> None:
        """The browser is connected before the phone answers, and hears it at once; its ICE stays as it was."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        early = await self.told(session.early_answer(Party.CALLER))
        browser.accept(early)
        await until("the browser is connected while the phone rings", lambda: browser.connected)
        browser.voice.connect(where(offer, "audio"))
        answered = reactor.seconds()
        answer = await self.told(session.answer(Party.CALLEE, self.answer(offer, phone), True))
        for name in ("ice-ufrag", "ice-pwd", "fingerprint", "candidate", "setup"):
            self.assertEqual(parse(answer).media[0].get(name), parse(early).media[0].get(name))
        await until("the first packet", lambda: bool(browser.voice.arrivals and phone.arrivals))
        self.assertLess(max(browser.voice.arrivals[0], phone.arrivals[0]) - answered, 0.3)
        await self.hear(browser, phone)

    async def test_early_answer_for_a_phone(self) -> None:
        """A phone gets an answer before the browser is asked; the browser's own is then taken, its keys included."""
        session = self.open(await self.start(), caller=Access.CORE)
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        wanted = f"m=audio {phone.port} RTP/AVP 0\r\na=sendrecv\r\n"
        head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        offer = await self.told(session.offer(Party.CALLER, head + wanted))
        early = await self.told(session.early_answer(Party.CALLER))
        answer = await self.told(session.answer(Party.CALLEE, browser.answer(offer), True))
        self.assertEqual(where(answer, "audio"), where(early, "audio"))
        phone.connect(where(answer, "audio"))
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect(where(answer, "audio"))
        await self.hear(browser, phone)

    async def test_called_page_is_not_heard(self) -> None:
        """A page that is called and has answered early is connected, and heard only when it answers."""
        session = self.open(await self.start(), caller=Access.CORE)
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        wanted = f"m=audio {phone.port} RTP/AVP 0\r\na=sendrecv\r\n"
        head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        early = browser.answer(await self.told(session.offer(Party.CALLER, head + wanted)))
        answer = await self.told(session.answer(Party.CALLEE, early, False))
        phone.connect(where(answer, "audio"))
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect(where(answer, "audio"))
        await until("the browser hears the phone", lambda: len(browser.voice.arrivals) > 30)
        self.assertEqual(len(phone.arrivals), 0)
        await self.told(session.answer(Party.CALLEE, early, True))
        await self.hear(browser, phone)

    async def test_offerless_call(self) -> None:
        """A phone that calls without an offer and has another codec than the browser took: both hear each other."""
        session = self.open(await self.start(), caller=Access.CORE)
        browser, phone = self.browser(G711(0)), self.phone(G711(8))
        browser.sound.peer.formats = [0]
        offer = await self.told(session.make_offer(Party.CALLEE))
        toward = await self.told(session.answer(Party.CALLEE, browser.answer(offer), True))
        await self.told(session.answer(Party.CALLER, self.answer(toward, phone), True))
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect(where(toward, "audio"))
        await self.hear(browser, phone)


@need("amr")
class MobileTests(EngineCase):
    """A phone of mobile networks, with AMR-WB only."""

    async def test_changes_while_converting(self) -> None:
        """ICE restart and hold of a converted call: no new port for the phone, same payload types on both sides."""
        session = self.open(await self.start(), MOBILE)
        browser, phone = self.browser(Opus()), self.phone(AmrWb(aligned=True))
        offer = await self.call(session, browser, phone)
        self.assertIn("octet-align=1", offer)
        await self.hear(browser, phone)
        for _ in range(2):
            await self.restart(session, browser)
            await self.hear(browser, phone)
            held = await self.change(session, phone, offer, "sendonly")
            self.assertEqual(where(held, "audio"), where(offer, "audio"))
            self.assertIn("a=recvonly", held)
            await self.change(session, phone, offer, "sendrecv")
            await self.hear(browser, phone)
        self.assertEqual((set(browser.voice.types), set(phone.types)), ({111}, {phone.pt}))
        self.assertEqual(phone.broken, 0)
