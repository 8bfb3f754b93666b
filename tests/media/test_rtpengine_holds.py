"""Holds, music and keys through rtpengine: what it is asked, what the phone is told, and that a refusal undoes it."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher

from rtcgw.media.backend import Access, IMediaSession, MediaError, News, Party, Reoffer
from rtcgw.media.sdp import Direction, parse
from rtcgw.model.peer import Dtmf, PeerProfile
from rtcgw.model.reason import Reason
from tests.media.memory import phone_sdp
from tests.media.test_rtpengine_changes import Changing

BOTH = Direction.SENDRECV
FILE = "/srv/hold.wav"


class Holding(Changing):
    """A call that is answered, through an engine that has the file."""

    def setUp(self) -> None:
        super().setUp()
        self.backend.jukebox.file = FILE
        self.session = self.call("audio", answer=phone_sdp("0 126"))
        self.wish = BOTH
        self.seen = len(self.engine.requests)

    def asked(self) -> list[str]:
        """What the engine was asked since last time, beside offers and answers: command and whose tag."""
        new = self.engine.requests[self.seen :]
        self.seen = len(self.engine.requests)
        plain = ("offer", "answer", "ping", "list", "query")
        return [f"{one['command']} {one.get('from-tag')}" for one in new if one["command"] not in plain]

    def hold(self, on: bool) -> Direction:
        """The page holds, or takes back; what the phone is told."""
        told = parse(self.now(self.session.hold(Party.CALLER, on))).media[0].direction or BOTH
        answer = phone_sdp("0 126", direction=self.wish.within(told.mirrored).value)
        self.now(self.session.answer(Party.CALLEE, answer, True))
        return told

    def phone_wants(self, wish: Direction) -> Direction:
        """The phone offers; what it is answered."""
        self.wish = wish
        found = self.reoffer(self.session, Party.CALLEE, phone_sdp("0 126", direction=wish.value))
        return parse(str(found.answer)).media[0].direction or BOTH

    @property
    def states(self) -> list[News]:
        return [news.state for news in self.news]


class HoldTests(Holding):
    def test_page_holds(self) -> None:
        """Neither is heard, the phone hears the file until it is taken back."""
        self.assertIs(self.hold(True), Direction.SENDONLY)
        self.assertEqual(self.asked(), ["block media callee", "block media caller", "play media callee"])
        played = next(one for one in self.engine.requests if one["command"] == "play media")
        self.assertEqual((played["file"], played["repeat-times"]), (FILE, 1000000))
        self.assertIs(self.hold(False), BOTH)
        self.assertEqual(self.asked(), ["unblock media callee", "unblock media caller", "stop media callee"])
        self.assertEqual(self.states, [])

    def test_refused(self) -> None:
        """A phone that refuses goes on talking, and the engine is shown again what holds."""
        self.now(self.session.hold(Party.CALLER, True))
        error = self.assertRaises(MediaError, self.session.hold, Party.CALLER, False)
        self.assertIs(error.reason, Reason.CONFLICT)
        self.session.revert()
        self.network.run()
        self.assertEqual(self.asked(), [])
        self.assertNotIn("sendonly", str(self.engine.last["sdp"]))
        self.hold(True)
        self.asked()
        self.now(self.session.hold(Party.CALLER, False))
        self.session.revert()
        self.network.run()
        self.assertEqual(self.asked(), [], "it is still held, and still hears music")
        self.assertEqual(self.session.hold(Party.CALLER, True), "")

    def test_engine_refuses(self) -> None:
        """An engine that fails while it is told leaves the call as it was."""
        self.engine.refuse = "out of order"
        result = self.session.hold(Party.CALLER, True)
        assert isinstance(result, Deferred)
        self.network.run()
        self.failureResultOf(result, MediaError)
        self.engine.refuse = ""
        self.assertIs(self.hold(True), Direction.SENDONLY)

    def test_by_the_gateway(self) -> None:
        """A phone that is said to hold: the page hears the file, and nobody is told anything."""
        self.assertEqual(self.now(self.session.hold(Party.CALLEE, True)), "")
        self.assertEqual(self.asked(), ["block media callee", "block media caller", "play media caller"])
        self.assertEqual(self.now(self.session.hold(Party.CALLEE, False)), "")
        self.assertEqual(self.asked(), ["unblock media callee", "unblock media caller", "stop media caller"])

    def test_phone_holds(self) -> None:
        """Told once, also in the old way; what the page hears is the phone's own music, or nothing."""
        self.assertIs(self.phone_wants(Direction.SENDONLY), Direction.RECVONLY)
        self.phone_wants(Direction.SENDONLY)
        self.assertEqual((self.states, self.asked()), ([News.HELD], []))
        self.phone_wants(Direction.INACTIVE)
        self.phone_wants(BOTH)
        self.assertEqual((self.states, self.asked()), ([News.HELD, News.RESUMED], []))
        self.reoffer(self.session, Party.CALLEE, phone_sdp("0 126", address=("0.0.0.0", 4000)))  # noqa: S104
        self.assertEqual(self.states[2:], [News.HELD])

    def test_both(self) -> None:
        """`inactive`, no music for anybody, and each takes back its own hold only."""
        self.phone_wants(Direction.SENDONLY)
        self.assertIs(self.hold(True), Direction.INACTIVE)
        self.assertEqual(self.asked(), ["block media callee", "block media caller"])
        self.assertIs(self.phone_wants(BOTH), Direction.SENDONLY)
        self.assertEqual(self.asked(), ["play media callee"])
        self.phone_wants(Direction.SENDONLY)
        self.assertEqual(self.asked(), ["stop media callee"])
        self.hold(False)
        self.assertEqual(self.asked(), ["unblock media callee", "unblock media caller"])
        self.assertEqual(self.states, [News.HELD, News.RESUMED, News.HELD])
        self.phone_wants(BOTH)
        self.assertEqual(self.states[3:], [News.RESUMED])

    def test_nobody_is_missed(self) -> None:
        """While the gateway holds, nobody is expected to be heard."""
        self.hold(True)
        self.network.spend(120)
        self.assertEqual(self.states, [])

    def test_unplayable(self) -> None:
        """An engine without the file holds in silence; the operator reads of it once, not once for each call."""
        self.engine.unplayable = FILE
        lines: list[str] = []

        def note(event: dict[str, object]) -> None:
            if "plays no music" in str(event.get("log_format")):
                lines.append(str(event["why"]))

        observer = cast(ILogObserver, note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(2):
            self.hold(True)
            self.hold(False)
        self.assertEqual(len(lines), 1)
        self.assertIn("no file", lines[0])
        self.engine.unplayable = ""
        self.hold(True)
        self.assertEqual(self.asked()[-1], "play media callee")

    def test_engine_dies(self) -> None:
        """The engine that takes the call over is told who is held, and plays the file."""
        self.hold(True)
        self.asked()
        self.engine.restart()
        for node in self.backend.nodes:
            for session in list(node.sessions.values()):
                session.lost("it is gone")
        self.network.run()
        self.assertEqual(self.asked(), ["block media callee", "block media caller", "play media callee"])
        self.assertIn("sendonly", "".join(str(one.get("sdp")) for one in self.engine.requests[-6:]))

    def test_too_early(self) -> None:
        """Nobody is held before the call is answered."""
        session = self.open()
        self.assertRaises(MediaError, session.hold, Party.CALLER, True)


class KeyTests(Holding):
    def test_keys(self) -> None:
        """The engine must be readied for the first key of a call, and then says one after the other to the phone."""
        self.assertTrue(self.session.press(Party.CALLEE, "1a", 160))
        self.network.run()
        new = self.engine.requests[self.seen :]
        self.assertEqual([one["command"] for one in new], ["offer", "answer", "play DTMF", "play DTMF"])
        self.assertTrue(all("inject-DTMF" in str(one["flags"]) for one in new[:2]))
        keys = [(one["from-tag"], one["code"], one["duration"]) for one in new[2:]]
        self.assertEqual(keys, [("caller", "1", 160), ("caller", "A", 160)])
        self.seen = len(self.engine.requests)
        self.session.press(Party.CALLEE, "2", 100)
        self.network.run()
        self.assertEqual([one["command"] for one in self.engine.requests[self.seen :]], ["play DTMF"])

    def test_not_in_the_sound(self) -> None:
        """Towards a page, to a phone that knows no events or whose profile wants none: by signalling."""
        self.assertFalse(self.session.press(Party.CALLER, "1", 100))
        self.assertFalse(self.session.press(Party.CALLEE, "x", 100))
        self.assertFalse(self.open().press(Party.CALLEE, "1", 100))
        plain = self.call("audio", answer=phone_sdp("0"))
        self.assertFalse(plain.press(Party.CALLEE, "1", 100))
        by_info = self.call("audio", answer=phone_sdp("0 126"), peer=PeerProfile(dtmf=Dtmf.INFO))
        self.assertFalse(by_info.press(Party.CALLEE, "1", 100))

    def test_flood(self) -> None:
        """Keys that an engine does not keep up with go another way, and a closed session takes none."""
        taken = [self.session.press(Party.CALLEE, "1", 100) for _ in range(20)]
        self.assertIn(False, taken)
        self.session.close()
        self.assertFalse(self.session.press(Party.CALLEE, "1", 100))
        self.network.run()


class CalledTests(Holding):
    """A page that was called."""

    def test_hold(self) -> None:
        """It holds like one that has called."""
        session: IMediaSession = self.open(Access.CORE)
        offer = self.now(session.offer(Party.CALLER, phone_sdp("0 126")))
        self.now(session.answer(Party.CALLEE, self.browser.answer(offer), True))
        told = parse(self.now(session.hold(Party.CALLEE, True))).media[0].direction
        self.assertIs(told, Direction.SENDONLY)
        self.now(session.answer(Party.CALLER, phone_sdp("0 126", "recvonly"), True))
        self.assertEqual(self.engine.requests[-1]["command"], "play media")
        self.assertEqual(self.engine.requests[-1]["from-tag"], "caller")
        found = session.reoffer(Party.CALLER, phone_sdp("0 126"))
        assert isinstance(found, Deferred)
        self.network.run()
        plan = self.successResultOf(found)
        assert isinstance(plan, Reoffer)
        self.assertIn("a=sendonly", str(plan.answer))
