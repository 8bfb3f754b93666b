"""The record of a call: what it says, that there is one of each, and that nothing of ours can prevent it."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaStats, Party, Stream
from rtcgw.model.events import Accept, Confirm, End, Event, Progress, Setup, Stage
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.leg import LegView
from rtcgw.translator.record import TEXT_LIMIT, Books, CallRecord, Milestones
from tests.translator.callcase import answer, pranswer
from tests.translator.doubles import SETUP, MarkedMedia, RecordedLeg

EPOCH = 1_800_000_000.0
"""When the clock stood at nought: 2027-01-15 08:00 UTC."""


class Broken(RecordedLeg):
    """A leg that fails when it is told of the end."""

    def deliver(self, event: Event) -> None:
        if isinstance(event, End):
            raise RuntimeError("a leg that breaks")
        super().deliver(event)


class BooksCase(SynchronousTestCase):
    """A call from a page to a phone, whose records come to `written`; those of ended calls to `ended` at once."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.media = MarkedMedia()
        self.written: list[CallRecord] = []
        self.ended: list[CallRecord] = []
        self.books = Books(
            self.clock, lambda: EPOCH + self.clock.seconds(), ended=self.ended.append, write=self.written.append
        )
        self.forgotten: list[Call] = []
        self.make(RecordedLeg("page", Access.WEB), RecordedLeg("phone", Access.CORE))

    def make(self, caller: RecordedLeg, callee: RecordedLeg, setup: Setup = SETUP) -> None:
        self.caller, self.callee = caller, callee
        self.call = Call(
            setup, caller, callee, lambda on_news: self.media, self.clock, self.forgotten.append, books=self.books
        )

    def record(self) -> CallRecord:
        self.assertEqual(len(self.written), 1)
        return self.written[0]


class RecordTests(BooksCase):
    def whole(self) -> CallRecord:
        """Placed at 10 s; progress after 1, rings after 2, described after 3, answered after 5, over after 65."""
        self.clock.advance(10)
        self.make(self.caller, self.callee)
        self.call.path = "602-604"
        self.call.start()
        for event in (Progress(Stage.TRYING), Progress(Stage.RINGING), Progress(Stage.SESSION, pranswer("early"))):
            self.clock.advance(1)
            self.callee.say(event)
        self.clock.advance(2)
        self.callee.say(Accept(answer("final")))
        self.caller.say(Confirm())
        self.clock.advance(60)
        self.callee.say(End(Reason.HANGUP))
        return self.record()

    def test_whole_call(self) -> None:
        """Every time, both durations, who ended it and why."""
        line = self.whole().line()
        times = {name: value for name, value in line.items() if name.endswith("_at")}
        self.assertEqual(
            times,
            {
                "setup_at": "2027-01-15T08:00:10.000+00:00",
                "progress_at": "2027-01-15T08:00:11.000+00:00",
                "ringing_at": "2027-01-15T08:00:12.000+00:00",
                "early_at": "2027-01-15T08:00:13.000+00:00",
                "answered_at": "2027-01-15T08:00:15.000+00:00",
                "ended_at": "2027-01-15T08:01:15.000+00:00",
            },
        )
        rest = {name: line.get(name) for name in ("direction", "path", "ring", "talk", "reason", "side", "cause")}
        self.assertEqual(
            rest,
            {
                "direction": "outgoing",
                "path": "602-604",
                "ring": 3.0,
                "talk": 60.0,
                "reason": "hangup",
                "side": "callee",
                "cause": 16,
            },
        )
        self.assertEqual((line["caller"], line["callee"], line["session"]), ("sip:alice@web", "sip:echo@ims", "s1"))
        self.assertNotIn("connected", line, "what nobody knows is left out")

    def test_unanswered(self) -> None:
        """It rang until the end; no time of an answer, no talk."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING))
        self.clock.advance(7)
        self.caller.say(End(Reason.CANCELLED))
        record = self.record()
        self.assertFalse(record.answered)
        self.assertEqual((record.ring, record.talk, record.side), (7.0, 0.0, "caller"))

    def test_status(self) -> None:
        """What the network said stands in it."""
        self.call.start()
        self.callee.say(End(Reason.BUSY, "Busy", 486))
        self.assertEqual((self.record().status, self.record().cause), (486, 17))

    def test_private_caller(self) -> None:
        """Whoever withholds the number is recorded all the same, and marked."""
        self.make(self.caller, self.callee, evolve(SETUP, private=True))
        self.call.start()
        self.call.end(Reason.SHUTDOWN)
        self.assertEqual((self.record().caller, self.record().private), ("sip:alice@web", True))

    def test_course(self) -> None:
        """Holds, moves, and where the call came from and went to."""
        self.call.start()
        story = self.call.story
        story.hold(Party.CALLER, True, 1.0)
        story.moves += 1
        story.connected = Identity("tel:+15550002")
        story.continues(Milestones(0.0), SessionId("s0"), Party.CALLER, SessionId("s1"))
        story.transferred_to = SessionId("s2")
        self.clock.advance(4)
        self.call.end(Reason.TRANSFERRED)
        record = self.record()
        self.assertEqual((record.holds, record.held, record.moves), (1, 3.0, 1))
        self.assertEqual((record.connected, record.transferred_to), ("tel:+15550002", "s2"))
        self.assertEqual((record.transferred_from, record.moved), (("s0",), ("caller",)))

    def test_long_words(self) -> None:
        """What a peer writes is bounded."""
        self.make(self.caller, self.callee, evolve(SETUP, caller=Identity("sip:" + "x" * 5000, "y" * 5000)))
        self.call.start()
        self.call.end(Reason.SHUTDOWN)
        self.assertEqual((len(self.record().caller), len(self.record().caller_name or "")), (TEXT_LIMIT, TEXT_LIMIT))


class OnceTests(BooksCase):
    """One record of each call, whatever happens."""

    def test_quality_comes_later(self) -> None:
        """A media engine that is asked once more: the end is told at once, the record waits for its figures."""
        self.media.account = Deferred()
        self.call.start()
        self.call.end(Reason.HANGUP)
        self.assertEqual((len(self.ended), self.written), (1, []))
        self.media.account.callback(MediaStats("engine", caller=Stream(packets=5, codec="PCMU")))
        self.assertEqual(self.record().line()["caller_codec"], "PCMU")
        self.assertEqual(self.books.waiting, {})

    def test_quality_never_comes(self) -> None:
        """The engine fails: logged, and recorded without quality."""
        self.media.account = Deferred()
        self.call.start()
        self.call.end(Reason.HANGUP)
        self.media.account.errback(RuntimeError("engine gone"))
        self.assertEqual(self.record().quality, {})
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_gateway_stops(self) -> None:
        """At the gateway's own end what still waits is written as it is."""
        self.media.account = Deferred()
        self.call.start()
        self.call.end(Reason.SHUTDOWN)
        self.books.settle()
        self.assertEqual(self.record().reason, "shutdown")

    def test_media_break_at_the_end(self) -> None:
        """Media that cannot be closed keep nobody from hearing of the end, nor the call from being recorded."""
        self.patch(MarkedMedia, "close", lambda media: 1 / 0)
        self.call.start()
        self.call.end(Reason.HANGUP)
        self.assertEqual(self.caller.heard[-1], End(Reason.HANGUP))
        self.assertEqual(self.record().reason, "hangup")
        self.assertEqual(self.forgotten, [self.call])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_leg_breaks_at_the_end(self) -> None:
        """A leg that fails at its end leaves no trace in the other one's."""
        self.make(Broken("page", Access.WEB), self.callee)
        self.call.start()
        self.call.end(Reason.HANGUP)
        self.assertEqual(self.callee.heard[-1], End(Reason.HANGUP))
        self.assertEqual((self.record().reason, self.forgotten), ("hangup", [self.call]))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_keeper_breaks(self) -> None:
        """Whoever keeps records may fail: the call ends as it would."""

        def fail(record: CallRecord) -> None:
            raise RuntimeError("no paper")

        self.books = Books(self.clock, ended=fail, write=fail)
        self.make(self.caller, self.callee)
        self.call.start()
        self.call.end(Reason.HANGUP)
        self.assertEqual(self.forgotten, [self.call])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_ended_twice(self) -> None:
        """Both sides hang up at once."""
        self.call.start()
        self.caller.say(End(Reason.CANCELLED))
        self.callee.say(End(Reason.BUSY))
        self.call.end(Reason.SHUTDOWN)
        self.assertEqual(self.record().reason, "cancelled")

    def test_refused(self) -> None:
        """A set-up that never became a call has a record too, without a direction."""
        view = LegView("browser", "alice#1", "Calling", user="alice")
        self.books.refuse(SETUP, view, SessionId("s9"), Access.WEB, Reason.NOT_FOUND)
        record = self.record()
        self.assertEqual((record.session, record.caller_user, record.reason, record.side, record.direction),
                         ("s9", "alice", "not-found", "gateway", ""))  # fmt: skip
        self.assertEqual(record.setup_at, record.ended_at)
        self.assertEqual(self.ended, [record])


class HoldTests(SynchronousTestCase):
    """Time on hold is counted once, however many hold."""

    def setUp(self) -> None:
        self.story = Milestones(0.0)

    def test_both(self) -> None:
        """Both sides hold at once for a while: two holds, one span."""
        self.story.hold(Party.CALLER, True, 10)
        self.story.hold(Party.CALLEE, True, 15)
        self.story.hold(Party.CALLER, False, 20)
        self.story.hold(Party.CALLEE, False, 30)
        self.assertEqual((self.story.holds, self.story.held_until(99)), (2, 20))

    def test_repeated(self) -> None:
        """A session refresh that says it is on hold still is no second hold."""
        for now in (1, 2, 3):
            self.story.hold(Party.CALLER, True, now)
        self.story.hold(Party.CALLEE, False, 4)
        self.assertEqual((self.story.holds, self.story.held_until(11)), (1, 10))
