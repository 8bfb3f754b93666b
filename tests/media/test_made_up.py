"""A phone that is called for somebody who has offered nothing yet, through rtpengine: it is not told of a hold."""

from __future__ import annotations

from rtcgw.media.backend import Party
from tests.media.test_rtpengine_changes import Changing


class TestMadeUp(Changing):
    def test_no_hold(self) -> None:
        """The engine reads 0.0.0.0 without ICE as the old hold, so the browser that is made up has another address."""
        session = self.open()
        self.now(session.make_offer(Party.CALLEE))
        self.assertEqual([(media.host, media.proto) for media in self.shown.media], [("127.0.0.1", "RTP/AVP")])
