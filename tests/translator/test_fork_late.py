"""Devices that come while it rings already, and a call that rings while nobody hears it."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.model.events import Accept, Candidates, Confirm, Description, End, Kind, Progress, Stage
from rtcgw.model.identity import ANONYMOUS
from rtcgw.model.reason import Reason
from rtcgw.translator.fork import HELD_LIMIT, Fork, ForkState
from tests.translator.doubles import SESSION, SETUP, RecordedLeg
from tests.translator.test_fork import TOGETHER, Listener

LOST = End(Reason.CLIENT_LOST)
GRACE = 30.0


class LateDeviceTests(SynchronousTestCase):
    """One tab rings; others come and go."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tab, self.late = (RecordedLeg(name, Access.WEB) for name in ("tab", "late"))
        self.fork = Fork(SESSION, [self.tab], self.clock, grace=GRACE)
        self.over: list[Fork] = []
        self.fork.on_over = self.over.append
        self.listener = Listener()
        self.fork.parent = self.listener  # type: ignore[assignment] # a double

    def ring(self) -> None:
        self.fork.deliver(SETUP)

    def test_joins(self) -> None:
        """A page opened while it rings, rings; it may answer, and the other stops."""
        self.ring()
        self.tab.say(Progress(Stage.RINGING))
        self.fork.join(self.late)
        self.assertEqual(self.late.heard, [TOGETHER])
        self.late.say(Progress(Stage.RINGING))
        self.late.say(Accept())
        self.fork.deliver(Confirm())
        self.assertEqual(self.listener.heard, [Progress(Stage.RINGING), Accept()])
        self.assertEqual(self.tab.heard[-1], End(Reason.ANSWERED_ELSEWHERE))
        self.assertEqual(self.late.heard, [TOGETHER, Confirm()])
        self.assertEqual(self.over, [self.fork])

    def test_joins_before_the_set_up(self) -> None:
        """One that comes before anybody may be told hears of the call together with the others."""
        self.fork.join(self.late)
        self.assertEqual(self.late.heard, [])
        self.ring()
        self.assertEqual((self.tab.heard, self.late.heard), ([TOGETHER], [TOGETHER]))

    def test_hears_what_was_said(self) -> None:
        """The caller's candidates reach a late device too; a few of very many."""
        self.ring()
        for _ in range(HELD_LIMIT + 5):
            self.fork.deliver(Candidates("c"))
        self.fork.join(self.late)
        self.assertEqual(self.late.heard, [TOGETHER, *[Candidates("c")] * HELD_LIMIT])

    def test_too_late(self) -> None:
        """Once somebody has answered, or the call is over, nobody joins."""
        self.ring()
        self.tab.say(Accept())
        self.fork.join(self.late)
        self.fork.deliver(End(Reason.HANGUP))
        self.fork.join(self.late)
        self.assertEqual(self.late.heard, [])

    def test_reloaded(self) -> None:
        """The only page is lost and comes back: the caller notices nothing."""
        self.ring()
        self.tab.say(LOST)
        self.assertIs(self.fork.machine.state, ForkState.VACANT)
        self.fork.deliver(Candidates("meanwhile"))
        self.clock.advance(GRACE - 1)
        self.fork.join(self.late)
        self.assertEqual(self.late.heard, [SETUP, Candidates("meanwhile")])
        self.clock.advance(GRACE)
        self.late.say(Accept())
        self.assertEqual(self.listener.heard, [Accept()])
        self.assertEqual(self.fork.machine.timers(), {})

    def test_nobody_comes(self) -> None:
        """After the grace time the caller hears that nobody is there; a device that drops out later is no news."""
        self.ring()
        self.tab.say(LOST)
        self.clock.advance(GRACE - 1)
        self.assertEqual(self.listener.heard, [])
        self.clock.advance(1)
        self.assertEqual((self.listener.heard, self.over), ([LOST], [self.fork]))
        self.assertEqual(self.fork.view().peer, "")

    def test_busy_and_reloading(self) -> None:
        """One page reloads, the other is busy: the first may still answer; if it does not, the caller hears busy."""
        self.ring()
        self.fork.join(self.late)
        self.tab.say(LOST)
        self.clock.advance(10)
        self.late.say(End(Reason.BUSY))
        self.assertEqual(self.listener.heard, [])
        self.clock.advance(GRACE - 10)
        self.assertEqual(self.listener.heard, [End(Reason.BUSY)])

    def test_busy_long_after(self) -> None:
        """A page that was lost long ago is not waited for again."""
        self.ring()
        self.fork.join(self.late)
        self.tab.say(LOST)
        self.clock.advance(GRACE)
        self.late.say(End(Reason.BUSY))
        self.assertEqual(self.listener.heard, [End(Reason.BUSY)])

    def test_user_leaves(self) -> None:
        """Who logs out is not waited for, whether a page still rang or had just been lost."""
        self.ring()
        self.tab.say(LOST)
        self.fork.abandon()
        self.assertEqual(self.listener.heard, [LOST])
        fork = Fork(SESSION, [self.late], self.clock, grace=GRACE)
        fork.parent = listener = Listener()  # type: ignore[assignment] # a double
        fork.deliver(SETUP)
        self.late.say(End(Reason.OFFLINE))
        self.assertEqual(listener.heard, [End(Reason.OFFLINE)])

    def test_caller_gives_up_meanwhile(self) -> None:
        """The caller gives up while nobody rings: it is over, and nothing runs on."""
        self.ring()
        self.tab.say(LOST)
        self.fork.deliver(End(Reason.CANCELLED))
        self.assertEqual((self.listener.heard, self.over), ([], [self.fork]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_grace(self) -> None:
        """Without a grace time a lost page is gone."""
        self.fork.grace = 0.0
        self.ring()
        self.tab.say(LOST)
        self.assertEqual(self.listener.heard, [LOST])

    def test_lost_in_the_call(self) -> None:
        """Once it is answered its own grace time is over when it reports its end: nothing is waited for twice."""
        self.ring()
        self.tab.say(Accept())
        self.tab.say(LOST)
        self.assertEqual(self.listener.heard, [Accept(), LOST])
        self.assertIs(self.fork.machine.state, ForkState.ENDED)

    def early(self, text: str) -> Progress:
        return Progress(Stage.SESSION, Description(Kind.PRANSWER, text))

    def test_early_answer_alone(self) -> None:
        """What a device describes that rings alone goes on at once, with its candidates."""
        self.ring()
        self.tab.say(self.early("mine"))
        self.tab.say(Candidates("c"))
        self.tab.say(Accept())
        self.assertEqual(self.listener.heard, [self.early("mine"), Candidates("c"), Accept()])

    def test_early_answer_of_another(self) -> None:
        """A second device does not take the first one's place before it answers; then it does."""
        self.ring()
        self.tab.say(self.early("mine"))
        self.fork.join(self.late)
        self.late.say(self.early("late"))
        self.late.say(Candidates("c"))
        self.tab.say(Candidates("d"))
        self.late.say(Accept())
        answer = Accept(Description(Kind.ANSWER, "late"))
        self.assertEqual(
            self.listener.heard,
            [self.early("mine"), Progress(Stage.SESSION), Candidates("d"), answer, Candidates("c")],
        )

    def test_early_answer_after_a_reload(self) -> None:
        """Where the first one is gone, the one that came in its place connects at once as well."""
        self.ring()
        self.tab.say(self.early("mine"))
        self.tab.say(LOST)
        self.fork.join(self.late)
        self.late.say(self.early("late"))
        self.assertEqual(self.listener.heard, [self.early("mine"), self.early("late")])

    def test_who_calls(self) -> None:
        """The list of calls names the caller as the devices may see it."""
        self.assertIsNone(self.fork.caller)
        self.ring()
        self.assertEqual(self.fork.caller, SETUP.caller)
        self.fork.deliver(evolve(SETUP, private=True))
        self.assertEqual(self.fork.caller, ANONYMOUS)
