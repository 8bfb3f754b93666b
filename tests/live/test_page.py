"""The softphone in a real browser: what a user sees, clicks and hears."""

from __future__ import annotations

from tests.live.chromium import MICROPHONE, Page
from tests.live.pages import PageCase
from tests.live.requirements import need

OFFER = """(async () => {
  const peer = new RTCPeerConnection();
  peer.addTransceiver('audio');
  const { sdp } = await peer.createOffer();
  peer.close();
  return sdp;
})()"""
"""An offer as a gateway might make one: from a peer connection that then leads nowhere."""


@need("chromium")
class LoginTests(PageCase):
    async def test_name_and_password(self) -> None:
        """Logging in shows who I am and whom I might call."""
        page = await self.logged_in()
        self.assertEqual(await page.text("#who-name"), "alice")
        self.assertIn("sip:echo@ims.test", await page.text("#contacts"))
        await self.state(page, "Idle", "Ready")

    async def test_wrong_password(self) -> None:
        """A wrong password is told as such, and the right one may follow."""
        page = await self.open()
        await page.type("#user", "alice")
        await page.type("#password", "wrong")
        await page.click("#login-button")
        await page.until("!document.querySelector('#notice').hidden")
        self.assertEqual(await page.text("#notice-text"), "Name, password or token were not accepted.")
        await page.type("#password", "alice")
        await page.press("Enter")
        await page.until("!document.querySelector('#phone').hidden")
        self.assertEqual(await page.text("#notice-text"), "")

    async def test_token_from_the_address(self) -> None:
        """A link may bring a token along; it leaves the address bar, and nothing happens without a click."""
        page = await self.open("#token=token-of-alice")
        self.assertEqual(await page.evaluate("location.hash"), "")
        self.assertEqual(self.server.log, [])
        await page.click("#login-button")
        await page.until("!document.querySelector('#phone').hidden")
        self.assertEqual(self.server.sent("LOGIN")[0]["token"], "token-of-alice")
        self.assertEqual(await page.evaluate("document.querySelector('#token').value"), "")

    async def test_gateway_is_down(self) -> None:
        """A gateway that does not answer is named as the trouble."""
        self.expected_errors = ("ERR_CONNECTION_REFUSED",)
        page = await self.open()
        await self.server.stop()
        await page.type("#user", "alice")
        await page.type("#password", "alice")
        await page.click("#login-button")
        await page.until(
            "document.querySelector('#notice-text').textContent.startsWith('The gateway does not answer.')"
        )

    async def test_log_out(self) -> None:
        """Logging out ends the call and the session, and forgets whom I called."""
        page = await self.logged_in()
        await self.dial(page, "talk")
        await self.state(page, "InCall")
        await page.click("#logout")
        await page.until("!document.querySelector('#login').hidden")
        self.assertEqual(await page.text("#recent-card"), "")
        await self.sent("LOGOUT")
        self.assertEqual([message["reason"] for message in self.server.sent("HANGUP")], ["hangup"])


@need("chromium")
class CallingTests(PageCase):
    async def test_one_click_calls_echo(self) -> None:
        """A contact is called by one click; answered, the page sends the final reply and shows InCall."""
        page = await self.logged_in()
        await page.click("[data-address='sip:echo@ims.test']")
        await self.state(page, "InCall")
        self.assertEqual(await page.text("#peer-name"), "Echo")
        self.assertRegex(await page.text("#timer"), r"^0:0\d$")
        self.assertEqual(self.server.sent("OFFER")[0]["to"], "sip:echo@ims.test")
        self.assertIn("m=audio", self.server.sent("OFFER")[0]["sdp"])
        self.assertEqual(len(await self.sent("ANSWER")), 1)
        await page.click("#hangup")
        await self.state(page, "Hangup", "The call has ended.")
        await page.click("#back")
        await self.state(page, "Idle", "Ready")
        self.assertIn("Outgoing", await page.text("#recent"))

    async def test_keypad_dials(self) -> None:
        """A number clicked on the keypad is called; signs that only help reading are not sent."""
        page = await self.logged_in()
        for key in "12":
            await page.click(f"#pad [data-key='{key}']")
        await page.click("#erase")
        await page.evaluate("document.querySelector('#address').value += ' (555) 20-30'")
        await page.click("#call")
        await self.state(page, "Hangup", "The person cannot be reached now.")
        self.assertEqual(self.server.sent("OFFER")[0]["to"], "15552030")

    async def test_ringing_and_giving_up(self) -> None:
        """The page says that it rings; hanging up cancels."""
        page = await self.logged_in()
        await self.dial(page, "ring")
        await self.state(page, "Calling", "Ringing…")
        await page.click("#hangup")
        await self.state(page, "Hangup")
        self.assertEqual((await self.sent("HANGUP"))[0]["reason"], "cancelled")

    async def test_early_sound(self) -> None:
        """An early description is applied and acknowledged, before anybody has answered."""
        page = await self.logged_in()
        await self.dial(page, "sound")
        await self.state(page, "Calling", "Ringing…")
        self.assertEqual(len(await self.sent("PRANSWER")), 1)
        self.assertNotIn("sdp", self.server.sent("PRANSWER")[0])
        self.assertNotEqual(await page.evaluate("document.querySelector('#remote-audio').srcObject"), None)

    async def test_refusals_are_sentences(self) -> None:
        """Busy, and a number that is none, are told in words; another call can follow at once."""
        page = await self.logged_in()
        await self.dial(page, "busy")
        await self.state(page, "Hangup", "The number is busy.")
        await page.click("#back")
        await self.dial(page, "nobody")
        await self.state(page, "Hangup", "There is no such number or user. Check the address.")
        await page.click("#again")
        await page.until("document.querySelectorAll('#recent li').length === 3")
        await self.state(page, "Hangup", "There is no such number or user. Check the address.")
        await page.click("#back")
        await self.dial(page, "meeting")
        await self.state(page, "Hangup", "The number is busy. (Until ten)")

    async def test_gateway_vanishes_while_idle(self) -> None:
        """A lost connection is shown and made again by itself; calls work after it."""
        page = await self.logged_in()
        await self.server.drop()
        await self.state(page, "Idle", "Connection lost. Trying again…")
        await self.state(page, "Idle", "Ready")
        self.assertEqual(len(self.server.sent("LOGIN")), 2)
        await self.dial(page, "talk")
        await self.state(page, "InCall")


@need("chromium")
class IncomingTests(PageCase):
    async def ringing(self) -> Page:
        page = await self.logged_in()
        self.server.ring("alice", await page.evaluate(OFFER))
        await self.state(page, "Calling", "Incoming call")
        return page

    async def test_who_calls(self) -> None:
        """The page shows who calls, also in its title, and says that it rings."""
        page = await self.ringing()
        self.assertEqual(await page.text("#peer-name"), "Carol")
        self.assertIn("Carol", await page.evaluate("document.title"))
        self.assertEqual(len(await self.sent("RINGING")), 1)

    async def test_answer_by_keyboard(self) -> None:
        """Enter answers: the button has the focus."""
        page = await self.ringing()
        await page.press("Enter")
        await self.state(page, "InCall")
        self.assertIn("a=setup:active", (await self.sent("PRANSWER"))[0]["sdp"])
        self.assertNotIn("sdp", (await self.sent("ANSWER"))[0])

    async def test_reject(self) -> None:
        """Rejecting declines the call; that is no missed call."""
        page = await self.ringing()
        await page.click("#reject")
        await self.state(page, "Hangup", "The call has ended.")
        self.assertEqual((await self.sent("HANGUP"))[0]["reason"], "declined")
        self.assertNotIn("Missed", await page.text("#recent"))

    async def test_caller_gives_up(self) -> None:
        """A caller who gives up leaves a missed call behind, one click from being called back."""
        page = await self.ringing()
        leg = next(iter(self.server.legs.values()))
        leg.send("HANGUP", reason="cancelled", text="The caller gave up.")
        await self.state(page, "Hangup", "The caller gave up.")
        self.assertIn("Missed", await page.text("#recent"))

    async def test_second_caller_waits(self) -> None:
        """While I talk, whoever calls is shown beside the call, which goes on; a click answers and holds the first."""
        page = await self.logged_in()
        await self.dial(page, "talk")
        await self.state(page, "InCall")
        place = "document.querySelector('#hangup').getBoundingClientRect().top"
        before = await page.evaluate(place)
        self.server.ring("alice", await page.evaluate(OFFER))
        await self.state(page, "InCall", "Carol calls as well.")
        self.assertIn("Calls you", await page.text("#lines"))
        self.assertEqual(await page.evaluate(place), before)
        await page.click("#lines .call")
        await self.state(page, "InCall")
        await page.until("document.querySelector('#peer-name').textContent === 'Carol'")
        self.assertIn("On hold", await page.text("#lines"))
        self.assertEqual([message["on"] for message in await self.sent("HOLD")], [True])


@need("chromium")
class TwoPagesTests(PageCase):
    """Two pages joined by the server, with sound between them."""

    async def talk(self) -> tuple[Page, Page]:
        alice, bob = await self.logged_in("alice"), await self.logged_in("bob")
        await self.dial(alice, "bob")
        await self.state(bob, "Calling", "Incoming call")
        await self.state(alice, "Calling", "Ringing…")
        await bob.click("#answer")
        await self.state(alice, "InCall", "Connected")
        await self.state(bob, "InCall", "Connected")
        return alice, bob

    async def test_sound_mute_and_keypad(self) -> None:
        """Each hears the other's tone; muted, the other hears nothing; keys go out as tones."""
        alice, bob = await self.talk()
        for page in (alice, bob):
            await self.hears(page, MICROPHONE)
        await alice.click("#mute")
        await self.hears(bob, 0)
        await self.hears(alice, MICROPHONE)
        await alice.click("#mute")
        await self.hears(bob, MICROPHONE)
        await alice.click("#keypad")
        await alice.click("#call-pad [data-key='5']")
        await alice.press("#")
        self.assertEqual(await alice.text("#sent"), "5#")
        pairs = [message["pair"] for message in await self.sent("ICE", 2)]
        self.assertEqual({pair["localType"] for pair in pairs}, {"host"})

    async def test_hanging_up_ends_both(self) -> None:
        """One hangs up: the other's page says so, and gives the microphone back."""
        alice, bob = await self.talk()
        await bob.click("#hangup")
        await self.state(alice, "Hangup", "The call has ended.")
        self.assertIsNone(await alice.evaluate("document.querySelector('#remote-audio').srcObject"))

    async def test_connection_lost_in_a_call(self) -> None:
        """One connection breaks: that page shows Reloading, comes back by itself, and the talk goes on."""
        alice, bob = await self.talk()
        await self.server.drop("alice")
        await self.state(alice, "Reloading")
        await self.state(alice, "InCall")
        await self.state(bob, "InCall")
        await self.hears(alice, MICROPHONE)
        await self.hears(bob, MICROPHONE)

    async def test_closed_page_is_waited_for(self) -> None:
        """Leaving the page hangs nothing up: whoever opens it again within the grace time has the call again."""
        alice, bob = await self.talk()
        await alice.go("about:blank")
        await self.state(bob, "InCall")
        await alice.go(self.server.url)
        await self.state(alice, "InCall", "Connected")
        self.assertEqual(self.server.sent("HANGUP"), [])
        for page in (alice, bob):
            await self.hears(page, MICROPHONE)


@need("chromium")
class NoMicrophoneTests(PageCase):
    microphone_allowed = False

    async def test_microphone_denied(self) -> None:
        """Without a microphone the page says what to do, and the sentence stays."""
        page = await self.logged_in()
        await self.dial(page, "talk")
        await self.state(page, "Hangup")
        self.assertIn("Allow it in the browser", await page.text("#notice-text"))
        self.assertEqual(self.server.sent("OFFER"), [])

    async def test_insecure_origin(self) -> None:
        """A page loaded insecurely is told from the start that there will be no microphone, and how to get one."""
        page = await self.browser.open("about:blank")
        self.pages.append(page)
        hide = "Object.defineProperty(window, 'isSecureContext', { value: false });"
        await page.send("Page.addScriptToEvaluateOnNewDocument", source=hide)
        await page.go(self.server.url)
        await page.until("!document.querySelector('#notice').hidden")
        self.assertIn("https://", await page.text("#notice-text"))
