"""Whether a party shows a picture, as the list of participants tells it: each backend says so by what was agreed."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, Party
from rtcgw.media.direct import DirectBackend
from rtcgw.model.identity import SessionId
from tests.media.descriptions import page, phone, phone_line, web_line
from tests.media.memory import Bench, phone_sdp
from tests.media.test_rtpengine_changes import CAMERA, Changing
from tests.media.test_rtpengine_changes import page as engine_page

H264 = {102: "profile-level-id=42e01f;packetization-mode=1"}


def shown(session: IMediaSession) -> tuple[bool, bool]:
    return session.shows(Party.CALLER), session.shows(Party.CALLEE)


class TestEmbedded(SynchronousTestCase):
    def test_both_one_none(self) -> None:
        """Nobody before the answer; then both, or only who sends; nobody once the line is refused."""
        for direction, expected in (("sendrecv", (True, True)), ("recvonly", (True, False))):
            bench = Bench()
            bench.session.offer(bench.web, page(web_line(), web_line("video", "1")))
            self.assertEqual(shown(bench.session), (False, False))
            camera = phone_line("video", (102,), port=5000, fmtp=H264, direction=direction)
            bench.session.answer(bench.core, phone(phone_line(), camera), True)
            self.assertEqual(shown(bench.session), expected)
            bench.session.reoffer(bench.core, phone(phone_line(), phone_line("video", (102,), port=0)))
            bench.session.answer(bench.web, page(web_line(), web_line("video", "1", port=0)), True)
            self.assertEqual(shown(bench.session), (False, False))


class TestEngine(Changing):
    def test_added_and_removed(self) -> None:
        """A camera that is added is seen, one that is taken away is not."""
        session = self.call("audio")
        self.assertEqual(shown(session), (False, False))
        self.reoffer(session, Party.CALLER, engine_page("audio", "video"))
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126") + CAMERA, True))
        self.assertEqual(shown(session), (True, True))
        self.reoffer(session, Party.CALLEE, phone_sdp("0 126") + CAMERA.replace("4010", "0"))
        self.now(session.answer(Party.CALLER, engine_page("audio", "video", refused=frozenset({1})), True))
        self.assertEqual(shown(session), (False, False))


class TestDirect(SynchronousTestCase):
    def test_by_what_passes(self) -> None:
        """Descriptions that pass are read for it: who sends what the other has a line for."""
        session = DirectBackend(Clock()).open(SessionId("s"), Access.WEB, Access.WEB, lambda news: None)
        session.offer(Party.CALLER, page(web_line(), web_line("video", "1")))
        self.assertEqual(shown(session), (False, False))
        session.answer(Party.CALLEE, page(web_line(), web_line("video", "1", direction="recvonly")), True)
        self.assertEqual(shown(session), (True, False))
        session.reoffer(Party.CALLER, page(web_line()))
        self.assertEqual(shown(session), (False, False))
