"""Several real engines: placed by load, moved from a dead one, and nothing left behind in them."""

from __future__ import annotations

from typing import Any

from rtcgw.media.backend import IMediaSession, MediaError, Party
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.live.amrwb import AmrWb
from tests.live.enginecase import BrowserEnd, EngineCase, Opus, where
from tests.live.requirements import need
from tests.live.sound import G711, Codec, Sound
from tests.live.test_rtpengine_calls import MOBILE
from tests.live.waiting import until, within


class MovingCase(EngineCase):
    """A call whose engine dies."""

    async def move(self, session: IMediaSession, browser: BrowserEnd, phone: Sound) -> None:
        """The engine that carries the call is killed; both sides are offered the other one, and hear each other."""
        await self.engines[0].kill()
        await until("both are to be told", lambda: self.states().count("MOVED") == 2)
        toward = await self.told(session.make_offer(Party.CALLEE))
        self.assertTrue(self.engines[1].has(where(toward, "audio")[1]), toward)
        await self.told(session.answer(Party.CALLEE, self.answer(toward, phone, version=2), True))
        offer = await self.told(session.make_offer(Party.CALLER))
        self.assertIn("a=setup:actpass", offer)
        again = self.browser(browser.voice.codec, before=browser)
        await self.told(session.answer(Party.CALLER, again.answer(offer), True))
        await until("the browser connects", lambda: again.connected)
        again.voice.connect(where(offer, "audio"))
        await self.hear(again, phone)

    async def check(self, web: Codec, core: Codec, **more: Any) -> None:
        session = self.open(await self.start(count=2), **more)
        browser, phone = self.browser(web), self.phone(core)
        await self.call(session, browser, phone)
        await self.hear(browser, phone)
        await self.move(session, browser, phone)


@need("rtpengine")
class NodeTests(MovingCase):
    async def test_engine_dies(self) -> None:
        """A call goes on through another engine."""
        await self.check(G711(0), G711(0))

    async def test_no_engine_is_left(self) -> None:
        """Where there is no other, the call is lost."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        await self.call(session, browser, phone)
        await self.engines[0].kill()
        await until("it is told", lambda: "LOST" in self.states())

    async def test_full_engine(self) -> None:
        """An engine that is full: the call goes to another one; where none takes it, it is refused as overloaded."""
        backend = await self.start("--max-sessions=1", count=2)
        browser = self.browser(G711(0))
        for name in ("a", "b"):
            await self.told(self.open(backend, name=name).offer(Party.CALLER, browser.offer()))
        self.assertEqual([node.placed for node in backend.nodes], [1, 1])
        session = self.open(backend, name="c")
        with self.assertRaises(MediaError) as refused:
            await self.told(session.offer(Party.CALLER, browser.offer()))
        self.assertIs(refused.exception.reason, Reason.OVERLOADED)
        await self.account(session)
        self.assertEqual(sum(node.placed for node in backend.nodes), 2)

    async def test_killed_gateway(self) -> None:
        """What a gateway left behind is gone when it is back; calls of another one are not touched."""
        killed, foreign = await self.start(), await self.start(settings={"instance": "other"})
        browser = self.browser(G711(0))
        for backend in (killed, foreign):
            await self.told(self.open(backend).offer(Party.CALLER, browser.offer()))
        for node in killed.nodes:
            node.stop()
        backend = await self.start()
        await until("the old call is deleted", lambda: backend.nodes[0].swept == 1)
        listed = await within("the list", backend.nodes[0].ask({"command": "list"}))
        await until("it is gone", lambda: backend.client.pending == 0)
        listed = await within("the list", backend.nodes[0].ask({"command": "list"}))
        self.assertEqual(listed["calls"], [f"rtcgw-other-{SessionId('s1')}"])


@need("amr")
class MobileNodeTests(MovingCase):
    async def test_engine_dies(self) -> None:
        """The same for a call that is converted."""
        await self.check(Opus(), AmrWb(aligned=True), peer=MOBILE)
