"""Direct media: descriptions pass untouched, or the call is refused rather than mute."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, MediaError, Party, Reoffer
from rtcgw.media.direct import DirectBackend
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.media.memory import Bench, phone_sdp


class TestDirect(SynchronousTestCase):
    def setUp(self) -> None:
        self.backend = DirectBackend()
        self.backend.start()
        self.text = Bench().browser.offer()

    def open(self, caller: Access, callee: Access) -> IMediaSession:
        return self.backend.open(SessionId("s"), caller, callee, lambda news: None)

    def test_two_browsers(self) -> None:
        """Offers, answers and candidates go through as they are; changes are the other browser's matter."""
        session = self.open(Access.WEB, Access.WEB)
        self.assertEqual(session.offer(Party.CALLER, self.text), self.text)
        self.assertEqual(session.answer(Party.CALLEE, self.text, True), self.text)
        self.assertFalse(session.candidate(Party.CALLER, "candidate:1 ...", "0", None))
        self.assertEqual(session.reoffer(Party.CALLER, self.text), Reoffer(offer=self.text))
        self.assertEqual(session.stats().backend, "direct")

    def test_phone_that_speaks_webrtc(self) -> None:
        """Its answer passes, whether its credentials stand at the line or at the top."""
        session = self.open(Access.WEB, Access.CORE)
        self.assertEqual(session.offer(Party.CALLER, self.text), self.text)
        self.assertEqual(session.answer(Party.CALLEE, self.text, True), self.text)
        self.assertTrue(session.candidate(Party.CALLER, None, None, None), "a phone takes no trickle")
        top = phone_sdp().replace("t=0 0\r\n", "t=0 0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 Z\r\n")
        self.assertEqual(session.answer(Party.CALLEE, top, True), top)

    def test_phone_that_does_not(self) -> None:
        """A plain phone, no description at all, and an offer nobody can make: 488."""
        session = self.open(Access.WEB, Access.CORE)
        for text in (phone_sdp(), phone_sdp(address=("192.0.2.1", 0)), "rubbish"):
            error = self.assertRaises(MediaError, session.answer, Party.CALLEE, text, True)
            self.assertIs(error.reason, Reason.MEDIA)
        self.assertRaises(MediaError, session.make_offer, Party.CALLEE)
