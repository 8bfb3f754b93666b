"""Holds through the whole gateway: words of a page, descriptions of a phone, and what becomes of them in an hour."""

from __future__ import annotations

from attrs import evolve

from rtcgw.config.sections import Sip
from rtcgw.media.backend import MediaNews, News, Party
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Page, Rig, configured
from tests.peers.core_call import CoreCall


class HoldCase(FlowCase):
    """An answered call, placed by alice's page; its phone takes whatever it is offered."""

    hold_after = 5.0
    expires = 0

    def build(self) -> Rig:
        config = configured(hold_after=self.hold_after)
        return Rig(evolve(config, sip=evolve(Sip(), session_expires=self.expires)))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["dtmf"])
        self.rig.phone(self.answers)
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.advance()
        self.phone = self.rig.call
        self.takes("ok")
        self.rig.ladder.clear()

    def answers(self, call: CoreCall) -> None:
        call.answer("final")

    def tearDown(self) -> None:
        if self.rig.translator.calls and not self.phone.ended:
            self.phone.bye()
        super().tearDown()

    def takes(self, *words: str) -> None:
        """What the phone answers to the next offers."""
        self.phone.canned["UPDATE"] = [(200, word) for word in words]

    def refuses(self, status: int) -> None:
        self.phone.canned["UPDATE"] = [(status, None)]

    def hold(self, on: bool, page: Page | None = None) -> None:
        (page or self.alice).send("HOLD", session=self.session, on=on)
        self.rig.advance()

    @property
    def media(self) -> FlowMedia:
        assert isinstance(self.rig.media, FlowMedia)
        return self.rig.media


class PageTests(HoldCase):
    """The page holds."""

    def test_ladder(self) -> None:
        """One word, an offer for the phone, and OK when the phone has agreed; the same back."""
        self.hold(True)
        self.takes("back")
        self.hold(False)
        self.reads(
            """
            alice -> HOLD
            core <- UPDATE caller-holds
            core -> 200 UPDATE ok
            alice <- OK HOLD
            alice -> HOLD
            core <- UPDATE caller-resumes
            core -> 200 UPDATE back
            alice <- OK HOLD
            """
        )

    def test_by_a_called_page(self) -> None:
        """A page that was called holds its caller."""
        caller = self.rig.ring()
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        self.rig.ladder.clear()
        caller.canned["UPDATE"] = caller.canned["INVITE"] = [(200, "ok")]
        self.alice.send("HOLD", session=self.alice.invited, on=True)
        self.rig.advance()
        self.assertIn("callee-holds", self.rig.ladder[1])
        self.assertIn("alice <- OK HOLD", self.rig.ladder)
        caller.bye()
        self.rig.advance()

    def test_refused(self) -> None:
        """488: the page is told, nothing has changed, and the call goes on."""
        self.refuses(488)
        self.hold(True)
        self.reads(
            """
            alice -> HOLD
            core <- UPDATE caller-holds
            core -> 488 UPDATE
            alice <- ERROR media-incompatible
            """
        )
        self.assertEqual(self.media.media.reverted, 1)
        self.takes("ok")
        self.hold(True)
        self.assertEqual(self.rig.ladder[-1], "alice <- OK HOLD")

    def test_glare(self) -> None:
        """The phone asks for something just then: 491, and the hold is asked for once more, unheard by the page."""
        self.refuses(491)
        self.alice.send("HOLD", session=self.session, on=True)
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "core -> 491 UPDATE")
        self.takes("ok")
        self.phone.request("UPDATE", "theirs")
        self.rig.advance(5)
        self.assertEqual(
            self.rig.ladder[-3:], ["core <- UPDATE caller-holds", "core -> 200 UPDATE ok", "alice <- OK HOLD"]
        )

    def test_while_it_is_asked(self) -> None:
        """One change at a time: a hold while the camera is being decided, and the camera while a hold is."""
        self.media.media.local = False
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.alice.send("HOLD", session=self.session, on=True)
        self.rig.advance()
        self.assertEqual([line for line in self.rig.ladder if "ERROR" in line], ["alice <- ERROR illegal-state"])

    def test_video_while_held(self) -> None:
        """The camera is switched on and off in a hold, which lasts."""
        self.media.media.local = False
        self.takes("held", "with video", "without")
        self.hold(True)
        for word in ("video", "no video"):
            self.alice.send("OFFER", session=self.session, sdp=word)
            self.rig.advance()
        self.takes("back")
        self.hold(False)
        self.assertEqual(
            [line for line in self.rig.ladder if line.startswith("core <-")],
            [
                "core <- UPDATE caller-holds",
                "core <- UPDATE re-offer(video)",
                "core <- UPDATE re-offer(no video)",
                "core <- UPDATE caller-resumes",
            ],
        )


class PhoneTests(HoldCase):
    """The phone holds."""

    def test_page_is_told(self) -> None:
        """Its re-INVITE is answered by the media, which find out what it means; the page hears of it once."""
        self.phone.request("INVITE", "sendonly")
        self.rig.news(News.HELD, Party.CALLEE)
        self.phone.request("INVITE", "sendrecv")
        self.rig.news(News.RESUMED, Party.CALLEE)
        self.assertEqual([line for line in self.rig.ladder if line.startswith("alice")], ["alice <- HOLD"] * 2)
        told = [message["on"] for message in self.alice.transcript if message["type"] == "HOLD"]
        self.assertEqual(told, [True, False])

    def test_both(self) -> None:
        """Each holds and resumes for itself."""
        self.rig.news(News.HELD, Party.CALLEE)
        self.hold(True)
        self.rig.news(News.RESUMED, Party.CALLEE)
        self.takes("back")
        self.hold(False)
        self.assertEqual(
            [line for line in self.rig.ladder if line.startswith("alice <-")],
            ["alice <- HOLD", "alice <- OK HOLD", "alice <- HOLD", "alice <- OK HOLD"],
        )


class ReloadCase(HoldCase):
    """The page reloads."""

    def back(self) -> Page:
        token = next(message["resume"] for message in self.alice.transcript if message.get("for") == "LOGIN")
        return self.rig.page("alice", "again", resume=token)


class AwayTests(ReloadCase):
    """Nobody is asked anything meanwhile."""

    def test_long(self) -> None:
        """After five seconds the phone is held; it is taken back once the new page has its answer."""
        self.alice.drop()
        self.rig.advance(4.9)
        self.assertEqual(self.rig.ladder, [])
        self.rig.advance(0.2)
        self.assertEqual(self.rig.ladder, ["core <- UPDATE caller-holds", "core -> 200 UPDATE ok"])
        self.takes("back")
        again = self.back()
        again.send("OFFER", session=self.session, sdp="fresh")
        self.rig.advance()
        self.assertEqual(
            self.rig.ladder[2:],
            [
                "again -> OFFER fresh",
                "again <- OK OFFER re-answer(fresh)",
                "core <- UPDATE caller-resumes",
                "core -> 200 UPDATE back",
            ],
        )

    def test_own_hold_persists(self) -> None:
        """A hold of the page's outlives it: the phone hears nothing of the reload, the new page takes it back."""
        self.hold(True)
        self.rig.ladder.clear()
        self.alice.drop()
        self.rig.advance(20)
        again = self.back()
        again.send("OFFER", session=self.session, sdp="fresh")
        self.rig.advance(10)
        self.assertEqual(self.rig.ladder, ["again -> OFFER fresh", "again <- OK OFFER re-answer(fresh)"])
        self.takes("back")
        self.hold(False, again)
        self.assertEqual(self.rig.ladder[-1], "again <- OK HOLD")

    def test_never_back(self) -> None:
        """A page that stays away: the phone is held, then the call ends as it would have."""
        self.alice.drop()
        self.rig.advance(40)
        self.assertTrue(self.phone.ended)
        self.assertEqual(self.rig.ladder[0], "core <- UPDATE caller-holds")


class BackWhileAskedTests(ReloadCase):
    """The page reloads while a person at the phone decides about its camera."""

    hold_after = 0.0

    def test_camera_is_taken_back(self) -> None:
        """The phone's question is cancelled, and the page that is back does not wait for a person."""
        self.media.media.local = False
        self.phone.canned["INVITE"] = self.phone.canned["UPDATE"] = [(100, None)]
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.rig.advance()
        self.alice.drop()
        self.rig.advance()
        self.media.media.local = True
        again = self.back()
        again.send("OFFER", session=self.session, sdp="fresh")
        self.rig.advance(1)
        self.assertIn("again <- OK OFFER re-answer(fresh)", self.rig.ladder)
        self.assertEqual(self.media.media.reverted, 1)


class HourTests(HoldCase):
    """A hold that lasts an hour, in a call with session timers."""

    expires = 90

    def answers(self, call: CoreCall) -> None:
        call.terms = (("Supported", "timer"), ("Session-Expires", "90;refresher=uac"))
        call.answer("final")

    def test_an_hour(self) -> None:
        """Refreshes go on, the page hears nothing, and afterwards all is as before."""
        self.phone.canned["UPDATE"] = [(200, "ok")]
        self.hold(True)
        self.rig.ladder.clear()
        heard = len(self.alice.transcript)
        for _ in range(80):
            self.rig.advance(45)
        refreshes = [line for line in self.rig.ladder if line.startswith("core <- ")]
        self.assertGreaterEqual(len(refreshes), 70)
        self.assertEqual({line.split()[2] for line in refreshes} - {"UPDATE", "INVITE", "ACK"}, set())
        self.assertEqual(
            [message["type"] for message in self.alice.transcript[heard:] if message["type"] in ("HOLD", "HANGUP")], []
        )
        self.takes("back")
        self.hold(False)
        self.assertEqual(self.rig.ladder[-1], "alice <- OK HOLD")


class KeyTests(HoldCase):
    """Keys."""

    def test_in_the_sound(self) -> None:
        """Where the media say keys in the sound, no INFO goes out; where not, one for each key."""
        self.media.media.plays_keys = True
        self.alice.send("DTMF", session=self.session, tones="12")
        self.rig.advance()
        self.assertEqual(self.media.media.pressed, [(Party.CALLEE, "12", 100)])
        self.media.media.plays_keys = False
        self.alice.send("DTMF", session=self.session, tones="3")
        self.rig.advance()
        self.assertIn("core <- INFO", "\n".join(self.rig.ladder))

    def test_of_the_phone(self) -> None:
        """Keys in the phone's sound are shown by the page."""
        self.media.news(MediaNews(Party.CALLEE, News.KEYS, "5"))
        self.rig.advance()
        self.assertEqual(self.rig.ladder, ["alice <- DTMF 5"])
