"""Several calls of one page: on hold, side by side, handed on, made one. Each side has a tone of its own."""

from __future__ import annotations

from functools import partial

from twisted.internet.task import deferLater

from tests.live.answerer import Answered
from tests.live.baresip import Baresip
from tests.live.browsing import PHONE_TONE, BrowserCase
from tests.live.chromium import MICROPHONE, SILENCE, Page
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.sound import G711
from tests.live.waiting import reactor, until

ERIN_TONE, FRANK_TONE = 700, 1100
"""Hz of what the other phones say."""


def shows(selector: str, text: str) -> str:
    """That an element has this text in it."""
    return f"document.querySelector('{selector}').innerText.includes({text!r})"


class CallsCase(BrowserCase):
    """A page in a call with henry, who is made of Python; erin and frank are baresips."""

    timeout = 120

    async def start(self) -> tuple[Page, Answered]:
        """A call in which each hears the other."""
        page = await self.browse(await self.gateway("gw1"))
        call = await self.talk(page, await self.answerer(G711(0)))
        await self.hear_each_other(page, call)
        return page, call

    async def phone(self, name: str, tone: int, answer: str = "auto") -> Baresip:
        """A registered baresip."""
        phone = Baresip(named(name), self.folder / name, self.core, tone=tone, answer=answer)
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def second(self, page: Page, phone: Baresip, tone: int) -> None:
        """The page calls another one beside the call that it has."""
        await page.click("#add")
        await self.dial(page, phone.who.uri)
        await phone.event("CALL_ESTABLISHED")
        await self.state(page, "InCall")
        await self.hears(page, tone)

    async def hears_both(self, page: Page, *tones: float) -> None:
        """Wait until the page hears all these tones at once, none of them far below the others."""
        end = reactor.seconds() + 10
        while min(levels := await page.levels(*tones)) < max(SILENCE, max(levels) - 20):
            self.assertLess(reactor.seconds(), end, f"the page hears {tones} Hz at {levels} dB")

    def heard_by(self, call: Answered, tone: float) -> bool:
        """Whether the phone hears this tone, among others perhaps."""
        return call.sound.purity(tone, 0.5) > 0.1

    async def not_heard(self, call: Answered) -> None:
        """Wait until what comes to the phone for half a second is not the page's microphone, or nothing comes."""
        end = reactor.seconds() + 10
        while True:
            call.sound.forget()
            await deferLater(reactor, 0.6)
            if not len(call.sound.latest()) or call.sound.purity(MICROPHONE, 0.5) < 0.05:
                return
            self.assertLess(reactor.seconds(), end, "the phone hears the page's microphone")


@need("chromium", "kamailio")
class HoldTests(CallsCase):
    async def test_hold_and_resume(self) -> None:
        """On hold neither hears the other; taken back, both do; twice, so that nothing is left over from the first."""
        page, call = await self.start()
        for _ in range(2):
            await page.click("#hold")
            await page.until(shows("#note", "On hold"))
            await self.not_heard(call)
            self.assertEqual(await page.hearing(), 0)
            await page.click("#hold")
            await page.until("document.querySelector('#note').innerText === ''")
            await self.hear_each_other(page, call)
        self.assertEqual(page.errors, [])

    async def test_held_page_is_loaded_again(self) -> None:
        """What was on hold before a reload is on hold after it, and is taken back by the same button."""
        page, call = await self.start()
        await page.click("#hold")
        await page.until(shows("#note", "On hold"))
        await page.reload()
        await self.state(page, "InCall")
        await page.until(shows("#note", "On hold"))
        await self.not_heard(call)
        self.assertEqual(await page.hearing(), 0)
        await page.click("#hold")
        await self.hear_each_other(page, call)


@need("chromium", "kamailio", "baresip")
class TwoCallsTests(CallsCase):
    async def test_put_on_hold_by_the_phone(self) -> None:
        """The phone puts the page on hold: the page says so, and says when it is taken back."""
        page = await self.browse(await self.gateway("gw1"))
        erin = await self.phone("erin", ERIN_TONE)
        await self.dial(page, erin.who.uri)
        await self.state(page, "InCall")
        await self.hears(page, ERIN_TONE)
        await erin.hold()
        await page.until(shows("#note", "You are on hold"))
        await erin.resume()
        await page.until("document.querySelector('#note').innerText === ''")
        await self.hears(page, ERIN_TONE)

    async def test_swap(self) -> None:
        """A second call puts the first one on hold; a click goes to and fro, and only one is ever heard."""
        page, call = await self.start()
        erin = await self.phone("erin", ERIN_TONE)
        await self.second(page, erin, ERIN_TONE)
        self.assertIn("On hold", await page.text("#lines"))
        await self.not_heard(call)
        await page.click("#lines button")
        await self.hears(page, PHONE_TONE)
        await call.hears(MICROPHONE)
        await page.until(shows("#lines", "On hold"))
        await page.click("#lines button")
        await self.hears(page, ERIN_TONE)
        await self.not_heard(call)
        await page.click("#hangup")
        await erin.event("CALL_CLOSED")
        await page.click("#back")
        await page.click("#hold")
        await self.hear_each_other(page, call)

    async def test_call_waiting(self) -> None:
        """Somebody calls during a call: it goes on, the other is shown; answered, the first is put on hold."""
        page, call = await self.start()
        erin = await self.phone("erin", ERIN_TONE)
        await erin.dial(named("gw1").uri)
        await page.until(shows("#lines", "Calls you"))
        await self.hear_each_other(page, call)
        await page.click("#lines .call")
        await erin.event("CALL_ESTABLISHED")
        await self.hears(page, ERIN_TONE)
        await self.not_heard(call)

    async def test_both_calls_survive_a_reload(self) -> None:
        """With two calls, both are there after a reload, and the one that spoke before speaks."""
        page, call = await self.start()
        erin = await self.phone("erin", ERIN_TONE)
        await self.second(page, erin, ERIN_TONE)
        await page.reload()
        await self.hears(page, ERIN_TONE)
        await page.until(shows("#lines", "On hold"))
        await self.not_heard(call)
        await page.click("#lines button")
        await self.hear_each_other(page, call)


@need("chromium", "kamailio", "baresip")
class TransferTests(CallsCase):
    async def begin(self) -> tuple[Page, Answered, Baresip]:
        page, call = await self.start()
        return page, call, await self.phone("erin", ERIN_TONE)

    async def test_blind(self) -> None:
        """The page hands its call on to an address, and is out of it; the two phones hear each other."""
        page, call, erin = await self.begin()
        await page.click("#transfer")
        await page.type("#transfer-to", erin.who.uri)
        await page.press("Enter")
        await self.state(page, "Hangup")
        self.assertEqual(await page.text("#detail"), "The call has been transferred.")
        await erin.event("CALL_ESTABLISHED")
        await call.hears(ERIN_TONE)

    async def test_attended(self) -> None:
        """The page hands one of its calls on to the other: the two phones hear each other. Henry knows no REFER."""
        page, call, erin = await self.begin()
        await self.second(page, erin, ERIN_TONE)
        await page.click("#lines button")
        await self.hears(page, PHONE_TONE)
        await page.click("#transfer")
        await page.click("#transfer-partners button")
        await page.until("document.querySelector('#lines-card').hidden")
        await self.state(page, "Hangup")
        await call.hears(ERIN_TONE)

    async def test_failed(self) -> None:
        """Who is not there cannot be handed a call: the page says so and has its call as before."""
        page, call, _ = await self.begin()
        await page.click("#transfer")
        await page.type("#transfer-to", "sip:nobody-at-all@ims.test")
        await page.press("Enter")
        await page.until(shows("#notice-text", "The transfer failed."), 20)
        await self.state(page, "InCall")
        await self.hear_each_other(page, call)


@need("chromium", "kamailio", "baresip")
class ConferenceTests(CallsCase):
    async def test_three(self) -> None:
        """Two calls are made one: the page hears both phones, the phone hears both others, and all three are named."""
        page, call = await self.start()
        erin = await self.phone("erin", ERIN_TONE)
        await self.second(page, erin, ERIN_TONE)
        await page.click("#merge")
        await page.until("document.querySelector('#peer-name').textContent === 'Conference'", 20)
        await page.until("document.querySelectorAll('#participants li').length === 3")
        for tone in (ERIN_TONE, MICROPHONE):
            await until(f"the phone hears {tone} Hz", partial(self.heard_by, call, tone), 10)
        await self.hears_both(page, ERIN_TONE, PHONE_TONE)
        self.assertEqual(page.errors, [])
