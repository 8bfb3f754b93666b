"""What the tests of a call and of its parts begin with: two recorded legs, marked media, a clock."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaNews, News, Party
from rtcgw.model.events import Accept, Confirm, Description, Kind, Setup
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.callstate import Terms
from tests.translator.doubles import SETUP, MarkedMedia, RecordedLeg


def offer(sdp: str) -> Description:
    return Description(Kind.OFFER, sdp)


def answer(sdp: str) -> Description:
    return Description(Kind.ANSWER, sdp)


def pranswer(sdp: str) -> Description:
    return Description(Kind.PRANSWER, sdp)


class CallCase(SynchronousTestCase):
    """A call that has not begun: a browser calls a phone, unless told otherwise."""

    caller_access, callee_access = Access.WEB, Access.CORE
    setup_event: ClassVar[Setup] = SETUP
    terms: ClassVar[Terms] = Terms(ring_time=60)

    def setUp(self) -> None:
        self.clock = Clock()
        self.media = MarkedMedia()
        self.ended: list[Call] = []
        self.caller = RecordedLeg("caller", self.caller_access)
        self.callee = RecordedLeg("callee", self.callee_access)
        self.call = Call(
            self.setup_event,
            self.caller,
            self.callee,
            lambda on_news: self.media,
            self.clock,
            self.ended.append,
            self.terms,
        )

    def establish(self) -> None:
        """Answered and confirmed; what was said until then is forgotten."""
        self.call.start()
        self.callee.say(Accept(answer("final")))
        self.caller.say(Confirm())
        self.forget()

    def forget(self) -> None:
        self.caller.heard.clear()
        self.callee.heard.clear()

    def news(self, state: News, party: Party = Party.CALLER, detail: str = "") -> None:
        self.call._media_news(MediaNews(party, state, detail))

    def check_over(self, reason: Reason) -> None:
        self.assertEqual([call.reason for call in self.ended], [reason])
        self.assertEqual(self.media.closed, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
