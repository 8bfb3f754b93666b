"""Changes inside a call that the other side must decide, and those that the gateway itself has to make."""

from __future__ import annotations

from rtcgw.media.backend import News, Party
from rtcgw.translator.sipinfo import PICTURE_FAST_UPDATE
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Page, Rig, configured, lines
from tests.peers.browser import ANSWER_SDP, SDP

ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO")
RESTART = SDP.replace("o=- 1 1", "o=- 1 2")
RESTARTED = ANSWER_SDP.replace("o=- 2 1", "o=- 2 2")


class AskedCase(FlowCase):
    """Alice's page has called ECHO; the media ask the other side about whatever is offered."""

    local = False

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(local=self.local))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["progress", "trickle", "ringback", "dtmf"])
        self.rig.phone(lambda call: call.respond(200, "OK", "final", ALLOW))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.ladder.clear()
        self.phone = self.rig.call

    def tearDown(self) -> None:
        if self.rig.translator.calls:
            self.phone.bye()
        super().tearDown()

    def alive(self) -> None:
        """The call goes on, for both."""
        self.assertEqual((len(self.rig.translator.calls), self.phone.ended), (1, False))


class PageOffersTests(AskedCase):
    """The page adds video."""

    def test_taken(self) -> None:
        """The phone is asked, its answer goes to the page."""
        self.phone.canned["UPDATE"] = [(200, "yes")]
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER video
            core <- UPDATE re-offer(video)
            core -> 200 UPDATE yes
            alice <- OK OFFER callee-answer(yes)
            """
        )
        self.alive()

    def test_by_reinvite(self) -> None:
        """A phone that does not take UPDATE for it is asked by re-INVITE."""
        self.phone.canned.update({"UPDATE": [(504, None)], "INVITE": [(200, "yes")]})
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER video
            core <- UPDATE re-offer(video)
            core -> 504 UPDATE
            core <- INVITE re-offer(video)
            core -> 200 INVITE yes
            alice <- OK OFFER callee-answer(yes)
            core <- ACK
            """
        )

    def test_refused(self) -> None:
        """A phone without video: the page hears it, and the call goes on as it was (RFC 6141)."""
        self.phone.canned["UPDATE"] = [(488, None)]
        self.alice.send("OFFER", session=self.session, sdp="video")
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER video
            core <- UPDATE re-offer(video)
            core -> 488 UPDATE
            alice <- ERROR media-incompatible
            """
        )
        self.alive()


class PhoneOffersTests(AskedCase):
    """The phone adds video by re-INVITE."""

    def test_taken(self) -> None:
        """The page is asked, and its answer goes into the 200."""
        self.phone.request("INVITE", "video")
        self.rig.advance(2)
        self.alice.answer(self.session, "yes")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE video
            alice <- OFFER re-offer(video)
            core <- 100 INVITE
            alice -> ANSWER yes
            alice <- OK ANSWER
            core <- 200 INVITE caller-answer(yes)
            core -> ACK
            """
        )
        self.alive()

    def test_declined(self) -> None:
        """Alice wants to be heard only: 603 would end nothing, the call goes on."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.send("DECLINE", session=self.session)
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- 603 INVITE", "core -> ACK"])
        self.alive()

    def test_page_stays_silent(self) -> None:
        """A page that does not decide does not keep the phone waiting, nor cost it the call."""
        self.phone.request("INVITE", "video")
        self.rig.advance(33)
        self.assertIn("core <- 488 INVITE", self.rig.ladder)  # 408 would end the phone's call (RFC 3261 §12.2.1.2)
        self.assertIn("alice <- ERROR withdrawn", self.rig.ladder)
        self.alive()

    def test_glare(self) -> None:
        """Both at once: the page's offer yields, the phone's stands."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.send("OFFER", session=self.session, sdp="mine")
        self.alice.answer(self.session, "yes")
        self.rig.advance()
        self.assertEqual(
            self.rig.ladder[-6:],
            lines(
                """
                alice -> OFFER mine
                alice <- ERROR conflict
                alice -> ANSWER yes
                alice <- OK ANSWER
                core <- 200 INVITE caller-answer(yes)
                core -> ACK
                """
            ),
        )

    def test_both_ways(self) -> None:
        """The page's change is with the phone when the phone's arrives: 491, and the phone tries again later."""
        self.rig.lose("UPDATE")
        self.alice.send("OFFER", session=self.session, sdp="mine")
        self.rig.advance(0.1)
        self.phone.canned["UPDATE"] = [(200, "yes")]
        self.phone.request("INVITE", "video")
        self.rig.advance(1)
        self.assertIn("core <- 491 INVITE", self.rig.ladder)
        self.assertEqual(self.alice.last("OK")["sdp"], "callee-answer(yes)")
        self.alive()

    def test_hung_up_meanwhile(self) -> None:
        """Alice hangs up instead of deciding: the re-INVITE is answered, then BYE."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertIn("core <- 487 INVITE", self.rig.ladder)
        self.assertTrue(self.phone.ended)

    def test_page_is_lost_meanwhile(self) -> None:
        """The page goes away while it is asked: the phone is told that it will not be, and the call waits."""
        self.phone.request("INVITE", "video")
        self.rig.advance()
        self.alice.drop()
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-2:], ["core <- 488 INVITE", "core -> ACK"])
        self.alive()


class MovedTests(AskedCase):
    """A node of the media engine dies; another takes over."""

    local = True

    def test_phone_side(self) -> None:
        """The phone is told the new address; the page hears nothing."""
        self.phone.canned["UPDATE"] = [(200, "there")]
        self.rig.news(News.MOVED, Party.CALLEE)
        self.reads(
            """
            core <- UPDATE offer-for-callee
            core -> 200 UPDATE there
            """
        )
        self.alive()

    def test_both_sides(self) -> None:
        """Both are told, one after the other."""
        self.phone.canned["UPDATE"] = [(200, "there")]
        self.rig.news(News.MOVED, Party.CALLER)
        self.rig.news(News.MOVED, Party.CALLEE)
        self.alice.answer(self.session, "here")
        self.rig.advance()
        self.reads(
            """
            alice <- OFFER offer-for-caller
            alice -> ANSWER here
            alice <- OK ANSWER
            core <- UPDATE offer-for-callee
            core -> 200 UPDATE there
            """
        )
        self.alive()

    def test_phone_refuses(self) -> None:
        """A phone that will not be moved has no sound any more: the call ends and says so."""
        self.phone.canned["UPDATE"] = [(488, None)]
        self.rig.news(News.MOVED, Party.CALLEE)
        self.reads(
            """
            core <- UPDATE offer-for-callee
            core -> 488 UPDATE
            alice <- HANGUP media-lost
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_page_reloads_just_then(self) -> None:
        """A page that is away is not asked; when it comes back it offers anew, and has sound."""
        self.alice.drop()
        self.rig.news(News.MOVED, Party.CALLER)
        again = self.rig.page("alice", "again")
        again.send("OFFER", session=self.session, sdp="reloaded")
        self.rig.advance()
        self.reads(
            """
            again -> OFFER reloaded
            again <- OK OFFER re-answer(reloaded)
            """
        )
        self.alive()

    def test_stalled(self) -> None:
        """A browser that connects and does not begin its handshake gets a new start, the phone hears nothing."""
        self.rig.news(News.STALLED, Party.CALLER)
        self.alice.answer(self.session, "anew")
        self.rig.news(News.DTLS, Party.CALLER)
        self.reads(
            """
            alice <- OFFER offer-for-caller
            alice -> ANSWER anew
            alice <- OK ANSWER
            """
        )
        self.alive()

    def test_stalled_for_good(self) -> None:
        """A second time it is given up."""
        self.rig.news(News.STALLED, Party.CALLER)
        self.alice.answer(self.session, "anew")
        self.rig.news(News.STALLED, Party.CALLER)
        self.assertEqual(self.alice.last("HANGUP")["reason"], "media-failed")


class SignalTests(AskedCase):
    """What passes beside the media."""

    def test_keys(self) -> None:
        """Keys of the page reach the phone by INFO, the phone's the page."""
        self.alice.send("DTMF", session=self.session, tones="5")
        self.rig.advance()
        self.phone.request("INFO", "Signal=#\r\nDuration=100\r\n", ("content-type", "application/dtmf-relay"))
        self.rig.advance()
        self.reads(
            """
            alice -> DTMF
            alice <- OK DTMF
            core <- INFO sdp
            core -> 200 INFO
            core -> INFO sdp
            alice <- DTMF #
            core <- 200 INFO
            """
        )

    def test_keyframes(self) -> None:
        """A whole picture wanted: from the phone's INFO to the media, from the media to the phone's INFO."""
        self.phone.request("INFO", PICTURE_FAST_UPDATE.decode(), ("content-type", "application/media_control+xml"))
        self.rig.advance()
        assert isinstance(self.rig.media, FlowMedia)
        self.assertEqual(self.rig.media.sessions[-1].keyframes, [Party.CALLER])
        self.rig.news(News.KEYFRAME, Party.CALLER)
        self.assertEqual(self.phone.last("INFO").body, PICTURE_FAST_UPDATE)


class PageToPageTests(FlowCase):
    """Two pages, whose descriptions pass as they are."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.rig.page("alice"), self.rig.page("bob")
        self.session = self.alice.call("bob", SDP)
        self.bob.answer(self.session, ANSWER_SDP)
        self.alice.answer(self.session)
        self.rig.ladder.clear()

    def tearDown(self) -> None:
        self.bob.send("HANGUP", session=self.session)
        super().tearDown()

    def check_restarted(self, page: Page) -> None:
        """Bob answers what `page` offers, and either has the other's own description."""
        self.assertEqual(self.bob.last("OFFER")["sdp"], RESTART)
        self.bob.answer(self.session, RESTARTED)
        self.assertEqual(page.last("OK")["sdp"], RESTARTED)

    def test_ice_restart(self) -> None:
        """A page whose network has changed restarts ICE with the other page itself."""
        self.alice.send("OFFER", session=self.session, sdp=RESTART)
        self.check_restarted(self.alice)
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            bob -> ANSWER sdp
            bob <- OK ANSWER
            alice <- OK OFFER sdp
            """
        )

    def test_reload(self) -> None:
        """A page that was reloaded begins anew with the other one."""
        self.alice.drop()
        again = self.rig.page("alice", "again")
        again.send("OFFER", session=self.session, sdp=RESTART)
        self.check_restarted(again)

    def test_declined(self) -> None:
        """A change that the other page does not want."""
        self.alice.send("OFFER", session=self.session, sdp=RESTART)
        self.bob.send("DECLINE", session=self.session)
        self.assertEqual(self.alice.last("ERROR")["code"], "declined")
