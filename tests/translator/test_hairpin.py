"""The phone that does not exist between two pages that a transfer has joined."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Event,
    Hold,
    Info,
    Kind,
    Progress,
    Setup,
    Stage,
    Transfer,
    Transferring,
    TransferStage,
    Update,
    UpdateAccept,
)
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.hairpin import Half, hairpin
from rtcgw.translator.leg import ILeg
from tests.translator.doubles import SETUP, RecordedLeg

SESSION = SessionId("first")


class Parent:
    """Writes down what a half reports."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)


class HairpinTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.target = RecordedLeg("target", Access.WEB)
        self.begun: list[tuple[Half, Setup, ILeg]] = []
        self.here = hairpin(SESSION, self.target, lambda *args: self.begun.append(args))
        other = self.here.other
        assert other is not None
        self.there = other
        self.first, self.second = Parent(), Parent()
        self.here.parent = self.first  # type: ignore[assignment]  # a double

    def begin(self) -> None:
        self.here.deliver(SETUP)
        self.there.parent = self.second  # type: ignore[assignment]  # a double

    def test_call(self) -> None:
        """The first call's set-up begins the second one, once; from then on each half reports what the other hears."""
        self.begin()
        self.here.deliver(SETUP)
        self.assertEqual(self.begun, [(self.there, SETUP, self.target)])
        self.assertEqual((self.here.session, self.here.access), (SESSION, Access.CORE))
        self.assertNotEqual(self.there.session, SESSION)
        answer = Description(Kind.ANSWER, "answer")
        for event in (Progress(Stage.RINGING), Accept(answer), Update(None), UpdateAccept(answer), Info("1")):
            self.there.deliver(event)
            self.assertEqual(self.first.heard.pop(), event)
        self.here.deliver(Confirm())
        self.assertEqual(self.second.heard, [Confirm()])
        self.here.deliver(Hold(True))
        self.assertEqual(self.second.heard, [Confirm()])

    def test_end(self) -> None:
        """Either call's end is the other's, once."""
        self.begin()
        self.assertEqual(self.here.view().state, "joined")
        for _ in range(2):
            self.there.deliver(End(Reason.BUSY))
            self.here.deliver(End(Reason.HANGUP))
        self.assertEqual((self.first.heard, self.second.heard), ([End(Reason.BUSY)], []))
        self.assertEqual((self.here.view().kind, self.here.view().state), ("hairpin", "ended"))
        self.assertEqual(self.target.heard, [])

    def test_both_in_one_call(self) -> None:
        """Whoever moves the two halves into one call has an echo without an end: it is ended."""
        self.begin()
        self.there.parent = self.here.parent
        self.there.deliver(Info("1"))
        self.assertEqual(self.first.heard, [End(Reason.LOOP)])

    def test_target_is_gone(self) -> None:
        """Whoever is to be called has left before the gateway got so far: the call ends at once."""
        self.target.say(End(Reason.CLIENT_LOST))
        self.assertEqual(self.first.heard, [End(Reason.CLIENT_LOST)])
        self.here.deliver(SETUP)
        self.assertEqual(self.begun, [])

    def test_never_begun(self) -> None:
        """A call that ends before it has told anybody: whoever was to be called is let go."""
        self.here.deliver(End(Reason.MEDIA))
        self.assertEqual(self.target.heard, [End(Reason.MEDIA)])
        self.assertEqual(self.begun, [])

    def test_cannot_be_sent_elsewhere(self) -> None:
        """It takes no REFER, so that the gateway moves it."""
        self.begin()
        self.there.deliver(Transfer("sip:bob@ims.test"))
        self.assertEqual(self.second.heard, [Transferring(TransferStage.FAILED, Reason.PROTOCOL, 405)])
