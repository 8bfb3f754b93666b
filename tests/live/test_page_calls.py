"""The softphone and several calls: what a user sees and clicks, with a mouse, a finger, a keyboard."""

from __future__ import annotations

from tests.live.chromium import Page
from tests.live.pages import PageCase
from tests.live.requirements import need
from tests.live.test_page import OFFER

PLACE = "document.querySelector('#hangup').getBoundingClientRect().top"
"""JavaScript: where the button is that ends the call."""

BLOCKED = """
(() => {
  const play = HTMLMediaElement.prototype.play;
  let touched = false;
  document.addEventListener('pointerdown', () => { touched = true; }, true);
  HTMLMediaElement.prototype.play = function () {
    return touched ? play.call(this) : Promise.reject(new DOMException('no', 'NotAllowedError'));
  };
})()
"""
"""JavaScript: a browser that plays nothing before the page is touched."""


def shows(selector: str, text: str) -> str:
    """That an element has this text in it."""
    return f"document.querySelector('{selector}').innerText.includes({text!r})"


class CallsCase(PageCase):
    async def in_call(self, number: str = "talk") -> Page:
        """A page in a call with a number that answers."""
        page = await self.logged_in()
        await self.dial(page, number)
        await self.state(page, "InCall")
        return page

    async def with_two(self) -> Page:
        """The same, and a second call."""
        page = await self.in_call()
        await page.click("#add")
        await self.state(page, "Idle", "The other call waits.")
        await page.click("[data-address='sip:echo@ims.test']")
        await self.state(page, "InCall")
        await page.until(shows("#lines", "On hold"))
        return page


@need("chromium")
class OneCallTests(CallsCase):
    async def test_hold(self) -> None:
        """Hold says so in words and for screen readers, and no button moves; pressed again, it is over."""
        page = await self.in_call()
        before = await page.evaluate(PLACE)
        await page.click("#hold")
        await page.until(shows("#note", "On hold"))
        self.assertEqual(await page.evaluate("document.querySelector('#hold').getAttribute('aria-pressed')"), "true")
        leg = next(iter(self.server.legs.values()))
        leg.send("HOLD", on=True)
        await page.until(shows("#note", "Both sides are on hold"))
        self.assertEqual(await page.evaluate(PLACE), before)
        await page.click("#hold")
        await page.until(shows("#note", "You are on hold"))
        leg.send("HOLD", on=False)
        await page.until("document.querySelector('#note').innerText === ''")
        self.assertEqual([message["on"] for message in self.server.sent("HOLD")], [True, False])

    async def test_transfer(self) -> None:
        """One that fails gives the call back and says why; one that comes about ends it."""
        page = await self.in_call()
        await page.click("#transfer")
        await page.type("#transfer-to", "busy")
        await page.press("Enter")
        await page.until(shows("#notice-text", "The transfer failed. The number is busy."))
        await self.state(page, "InCall", "The transfer failed. The number is busy.")
        await page.click("#transfer")
        await page.type("#transfer-to", "+1 (555) 01")
        await page.click("#transfer-now")
        await self.state(page, "Hangup", "The call has been transferred.")
        self.assertEqual([message["to"] for message in self.server.sent("TRANSFER")], ["busy", "+155501"])

    async def test_transfer_by_keyboard(self) -> None:
        """The field has the focus when it opens; Escape closes it, and the focus is where it was."""
        page = await self.in_call()
        focused = "document.activeElement.id"
        await page.evaluate("document.querySelector('#transfer').focus()")
        await page.press("Enter")
        self.assertEqual(await page.evaluate(focused), "transfer-to")
        await page.press("5")
        self.assertEqual(self.server.sent("DTMF"), [])
        await page.press("Escape")
        self.assertEqual(await page.text("#transfer-form"), "")
        self.assertEqual(await page.evaluate(focused), "transfer")

    async def test_on_its_way(self) -> None:
        """A call that is forwarded, or waits in a queue, says so."""
        page = await self.logged_in()
        for number, words in (("away", "The call is being forwarded…"), ("queue", "Waiting for a free line…")):
            await self.dial(page, number)
            await self.state(page, "Calling", words)
            await page.click("#hangup")
            await page.click("#back")

    async def test_who_calls(self) -> None:
        """For whom the call was meant is shown; who hides is Anonymous, and cannot be called back."""
        page = await self.logged_in()
        offer = await page.evaluate(OFFER)
        history = [{"uri": "sip:desk@ims.test", "name": "Reception"}]
        leg = self.server.ring("alice", offer, "sip:anonymous@anonymous.invalid", "", history=history)
        await self.state(page, "Calling", "Incoming call")
        self.assertEqual(await page.text("#peer-name"), "Anonymous")
        self.assertEqual(await page.text("#peer-about"), "For Reception")
        leg.send("HANGUP", reason="cancelled", text="The caller gave up.")
        await page.until(shows("#recent", "Anonymous"))
        self.assertTrue(await page.evaluate("document.querySelector('#recent button').disabled"))

    async def test_another_party(self) -> None:
        """After the other side's transfer the page shows whom it talks to now."""
        page = await self.in_call()
        leg = next(iter(self.server.legs.values()))
        leg.send("PARTY", remote={"uri": "sip:nadia@ims.test", "name": "Nadia"})
        await page.until("document.querySelector('#peer-name').textContent === 'Nadia'")

    async def test_browser_plays_nothing_yet(self) -> None:
        """Where the browser waits for a click, the page says so, and the first click is enough."""
        page = await self.logged_in()
        await page.evaluate(BLOCKED)
        await page.evaluate("document.querySelector('[data-address=\"sip:echo@ims.test\"]').click()")
        await self.state(page, "InCall")
        await page.until(shows("#notice-text", "Click or tap anywhere."))
        await page.click("#peer-name")
        await page.until("document.querySelector('#notice').hidden")
        self.assertFalse(await page.evaluate("document.querySelector('#remote-audio').paused"))


@need("chromium")
class SeveralCallsTests(CallsCase):
    async def test_to_and_fro(self) -> None:
        """Each call is a click away; when one ends, the other is shown and can be taken off hold."""
        page = await self.with_two()
        self.assertEqual(await page.text("#peer-name"), "Echo")
        await page.click("#lines button")
        await page.until("document.querySelector('#peer-name').textContent === 'talk'")
        await page.until(shows("#lines", "Echo"))
        await page.until("document.querySelector('#note').innerText === ''")
        await page.click("#hangup")
        await page.click("#back")
        await page.until("document.querySelector('#peer-name').textContent === 'Echo'")
        await page.until(shows("#note", "On hold"))
        self.assertEqual(await page.text("#lines-card"), "")
        held = [message["on"] for message in self.server.sent("HOLD")]
        self.assertEqual(held, [True, True, False])

    async def test_back_without_calling(self) -> None:
        """Whoever wanted to add a call and did not is back at the first one by one click."""
        page = await self.in_call()
        await page.click("#add")
        await page.click("#to-call")
        await self.state(page, "InCall")
        self.assertEqual(self.server.sent("HOLD"), [])

    async def test_attended_transfer(self) -> None:
        """The other call is offered by name; a click connects both, and both are over here."""
        page = await self.with_two()
        await page.click("#transfer")
        self.assertEqual(await page.text("#transfer-partners"), "To talk")
        await page.click("#transfer-partners button")
        await self.state(page, "Hangup", "The call has been transferred.")
        await page.until("document.querySelector('#lines-card').hidden")
        self.assertIn("with", self.server.sent("TRANSFER")[0])

    async def test_conference(self) -> None:
        """Both calls become one, with a list of who is in it and what each does."""
        page = await self.with_two()
        await page.click("#merge")
        await page.until("document.querySelector('#peer-name').textContent === 'Conference'")
        [leg] = [leg for leg in self.server.legs.values() if leg.page is not None]
        people = [("sip:alice@ims.test", "talking"), ("sip:bob@ims.test", "away"), ("sip:carol@ims.test", "held")]
        members = [{"party": {"uri": uri}, "part": part} for uri, part in people]
        leg.send("PARTICIPANTS", version=1, participants=members)
        await page.until("document.querySelectorAll('#participants li').length === 3")
        self.assertIn("Connection lost, coming back", await page.text("#participants"))
        self.assertIn("On hold", await page.text("#participants"))

    async def test_rejecting_the_second(self) -> None:
        """A second caller is rejected by a button of its own, and the first call hears nothing of it."""
        page = await self.in_call()
        self.server.ring("alice", await page.evaluate(OFFER))
        await page.until(shows("#lines", "Calls you"))
        await page.click("#lines .hangup")
        await page.until("document.querySelector('#lines-card').hidden")
        await self.state(page, "InCall")
        self.assertEqual([message["reason"] for message in self.server.sent("HANGUP")], ["declined"])
        self.assertEqual(self.server.sent("HOLD"), [])

    async def test_fits_a_phone(self) -> None:
        """On a phone's screen nothing of two calls and the form for a transfer lies beyond the edge."""
        page = await self.with_two()
        await page.click("#transfer")
        await page.resize(320, 640, dark=True, touch=True)
        await page.until("document.documentElement.scrollWidth <= 320")
        edges = "(s) => { const b = document.querySelector(s).getBoundingClientRect(); return [b.left, b.right]; }"
        for button in ("#hold", "#transfer", "#add", "#merge", "#transfer-to", "#transfer-cancel", "#lines button"):
            left, right = await page.evaluate(edges, button)
            self.assertTrue(0 <= left < right <= 320, button)


@need("chromium")
class ListTests(CallsCase):
    async def test_missed(self) -> None:
        """Missed calls are counted; opened, the list is read and the gateway told; closed, it is gone."""
        caller = {"uri": "sip:carol@ims.test", "name": "Carol"}
        self.server.missed["alice"] = [{"session": "m", "from": caller, "at": 1e9, "reason": "no-answer"}]
        page = await self.logged_in()
        self.assertEqual(await page.text("#missed-title"), "Missed calls (1)")
        await page.click("#missed-more summary")
        await self.sent("SEEN")
        self.assertIn("Carol", await page.text("#missed"))
        self.assertIn("Nobody answered.", await page.text("#missed"))
        await page.click("#missed-more summary")
        await page.until("document.querySelector('#missed-card').hidden")

    async def test_taken_over(self) -> None:
        """A call of another page is listed with a button; pressed, it is here and ended there."""
        first = await self.in_call()
        second = await self.logged_in()
        await second.until(shows("#others", "In a call, on another page"))
        await second.click("#others button")
        await self.state(second, "InCall")
        await self.state(first, "Hangup", "The call goes on in another tab or on another device.")
        await second.until("document.querySelector('#others-card').hidden")
