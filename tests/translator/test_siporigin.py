"""What a phone is told stays one session, though the media behind it are others (RFC 3264 §8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Confirm, Description, End, Event, Kind, Setup, Update, UpdateAccept
from rtcgw.model.reason import Reason
from rtcgw.translator.siporigin import Thread, continued
from tests.translator.doubles import SETUP


def sdp(origin: str, *lines: str) -> str:
    return "\r\n".join(["v=0", f"o={origin} IN IP4 192.0.2.1", "s=-", "t=0 0", *lines, ""])


AUDIO, VIDEO = "m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 96"
MOVED = "m=audio 4004 RTP/AVP 0"
OLD = sdp("gw 7 3", AUDIO, VIDEO)


def offer(text: str) -> Update:
    return Update(Description(Kind.OFFER, text), fresh=True)


def answered(*lines: str) -> UpdateAccept:
    return UpdateAccept(Description(Kind.ANSWER, sdp("phone 1 1", *lines)))


class Leg:
    """A phone's leg, as far as it matters here."""

    def __init__(self) -> None:
        self.told = ""
        self.thread: Thread | None = None

    def deliver(self, event: Event) -> Event:
        return continued(self, event, getattr(event, "description", None))


class ThreadTests(SynchronousTestCase):
    def text(self, event: Event) -> str:
        assert isinstance(event, Update | UpdateAccept | Confirm | Accept | Setup)
        assert event.description is not None
        return event.description.sdp

    def test_before_the_move(self) -> None:
        """Nothing is touched until other media come in."""
        leg = Leg()
        for event in (SETUP, Update(Description(Kind.OFFER, OLD)), Update(None), End(Reason.HANGUP)):
            self.assertIs(leg.deliver(event), event)
        self.assertEqual((leg.told, leg.thread), (OLD, None))

    def test_origin(self) -> None:
        """Other media get the old session's line and its next version; the same text again is the same version."""
        leg = Leg()
        leg.deliver(Accept(Description(Kind.ANSWER, OLD)))
        self.assertEqual(self.text(leg.deliver(offer(sdp("other 99 1", AUDIO, VIDEO)))), OLD)
        for _ in range(2):
            told = self.text(leg.deliver(offer(sdp("other 99 1", MOVED, VIDEO))))
            self.assertEqual(told, sdp("gw 7 4", MOVED, VIDEO))
        again = Confirm(Description(Kind.ANSWER, sdp("other 99 2", "m=audio 5000 RTP/AVP 0", VIDEO)))
        self.assertIn("o=gw 7 5 IN", self.text(leg.deliver(again)))
        self.assertEqual(leg.deliver(End(Reason.HANGUP)), End(Reason.HANGUP))

    def test_offerless(self) -> None:
        """The move may begin with a wish for an offer: the answer to it bears the old line."""
        leg = Leg()
        leg.deliver(Setup(SETUP.caller, SETUP.callee, Description(Kind.OFFER, OLD)))
        self.assertEqual(leg.deliver(Update(None, fresh=True)), Update(None, fresh=True))
        told = leg.deliver(Confirm(Description(Kind.ANSWER, sdp("other 99 1", MOVED, VIDEO))))
        self.assertIn("o=gw 7 4 IN", self.text(told))

    def test_lines_that_are_missing(self) -> None:
        """No media line goes: what the new media do not have is refused, and its answer is not theirs to read."""
        thread = Thread(OLD)
        told = self.text(thread.down(offer(sdp("other 1 1", AUDIO))))
        self.assertEqual(told, sdp("gw 7 4", AUDIO, "m=video 0 RTP/AVP 96"))
        self.assertEqual(thread.up(answered(AUDIO, "m=video 0 RTP/AVP 96")), answered(AUDIO))
        self.assertEqual(thread.up(answered(AUDIO)), answered(AUDIO))
        theirs = UpdateAccept(Description(Kind.OFFER, OLD))
        self.assertIs(thread.up(theirs), theirs)
        self.assertEqual(thread.up(End(Reason.HANGUP)), End(Reason.HANGUP))

    def test_nothing_told_before(self) -> None:
        """A phone that was told nothing gets the new line as it is, and that is kept."""
        thread = Thread("")
        self.assertIn("o=other 9 5 IN", self.text(thread.down(offer(sdp("other 9 5", AUDIO)))))
        self.assertIn("o=other 9 6 IN", self.text(thread.down(offer(sdp("third 1 1", AUDIO, VIDEO)))))

    @given(st.text(max_size=200))
    def test_any_text(self, text: str) -> None:
        """What cannot be read passes."""
        thread = Thread(text)
        thread.up(UpdateAccept(Description(Kind.ANSWER, text)))
        self.assertIsNotNone(self.text(thread.down(offer(text))))
