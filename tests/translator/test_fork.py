"""Ring-all: every device rings, one wins, the others are told."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.model.events import Accept, Candidates, Confirm, Description, End, Event, Kind, Progress, Setup, Stage
from rtcgw.model.reason import Reason
from rtcgw.translator.fork import HELD_LIMIT, Fork
from rtcgw.translator.leg import ILeg
from tests.translator.doubles import SESSION, SETUP, RecordedLeg


class Listener:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)


TOGETHER = evolve(SETUP, warm=False)
"""What each of several devices hears."""


class ForkTests(SynchronousTestCase):
    """Three tabs of one user."""

    def setUp(self) -> None:
        self.tabs = [RecordedLeg(f"tab{n}", Access.WEB) for n in range(3)]
        self.chosen: list[ILeg] = []
        self.fork = Fork(SESSION, list(self.tabs), Clock(), self.chosen.append)
        self.listener = Listener()
        self.fork.parent = self.listener  # type: ignore[assignment] # a double
        self.fork.deliver(SETUP)

    def test_first_answer_wins(self) -> None:
        """All ring; the first to answer talks, the others hear that it was answered elsewhere."""
        for tab in self.tabs:
            self.assertEqual(tab.heard, [TOGETHER])
            tab.say(Progress(Stage.RINGING))
        self.tabs[1].say(Accept())
        self.fork.deliver(Confirm())
        self.assertEqual(self.listener.heard, [Progress(Stage.RINGING), Accept()])
        self.assertEqual(self.tabs[0].heard[1:], [End(Reason.ANSWERED_ELSEWHERE)])
        self.assertEqual(self.tabs[1].heard[1:], [Confirm()])
        self.assertEqual(self.tabs[2].heard[1:], [End(Reason.ANSWERED_ELSEWHERE)])
        self.assertEqual(self.chosen, [self.tabs[1]])

    def test_access(self) -> None:
        """Devices without ICE make one leg without ICE."""
        self.assertIs(self.fork.access, Access.WEB)
        self.assertIs(Fork(SESSION, [RecordedLeg("old", Access.PLAIN)], Clock()).access, Access.PLAIN)

    def test_early_descriptions(self) -> None:
        """Early answers of several devices do not mix: the caller gets that of the device which answers."""
        for n, tab in enumerate(self.tabs):
            tab.say(Progress(Stage.SESSION, Description(Kind.PRANSWER, f"sdp{n}")))
        self.tabs[1].say(Accept())
        answer = Accept(Description(Kind.ANSWER, "sdp1"))
        self.assertEqual(self.listener.heard, [Progress(Stage.SESSION), answer])

    def test_early_candidates(self) -> None:
        """Nor do their candidates: the caller gets those of the device which answers, after its answer; a few."""
        self.tabs[0].say(Candidates("stranger"))
        for _ in range(HELD_LIMIT + 5):
            self.tabs[1].say(Candidates("c"))
        self.assertEqual(self.listener.heard, [])
        self.tabs[1].say(Accept())
        self.tabs[1].say(Candidates(None))
        self.assertEqual(self.listener.heard, [Accept(), *[Candidates("c")] * HELD_LIMIT, Candidates(None)])

    def test_all_drop_out_at_once(self) -> None:
        """Devices that all refuse the set-up itself leave nobody ringing: the caller hears it at once."""

        def refuse(event: Event) -> None:
            if event == TOGETHER:
                for tab in self.tabs:
                    tab.say(End(Reason.MEDIA))

        self.patch(self.tabs[0], "deliver", refuse)
        self.fork.deliver(SETUP)
        self.assertEqual(self.listener.heard, [End(Reason.MEDIA)])
        self.assertEqual(self.fork.view().state, "ended")

    def test_late_loser(self) -> None:
        """A tab that answers a moment later changes nothing."""
        self.tabs[0].say(Accept())
        self.tabs[1].say(Accept())
        self.tabs[2].say(End(Reason.CLIENT_LOST))
        self.assertEqual(self.listener.heard, [Accept()])

    def test_only_one_is_warm(self) -> None:
        """A device that rings alone may set up its media before the answer; of several none may."""
        alone, first, second, late = (RecordedLeg(name, Access.WEB) for name in ("alone", "first", "second", "late"))
        Fork(SESSION, [alone], Clock()).deliver(SETUP)
        fork = Fork(SESSION, [first, second], Clock())
        fork.deliver(SETUP)
        fork.join(late)
        found = [leg.heard[0] for leg in (alone, first, second, late)]
        self.assertEqual([isinstance(setup, Setup) and setup.warm for setup in found], [True, False, False, False])

    def test_declined(self) -> None:
        """Declining on one device stops all of them."""
        self.tabs[0].say(End(Reason.DECLINED))
        self.assertEqual(self.listener.heard, [End(Reason.DECLINED)])
        self.assertIsInstance(self.tabs[2].heard[-1], End)
        self.assertEqual(self.tabs[0].heard, [TOGETHER])

    def test_all_drop_out(self) -> None:
        """When each device drops out the caller hears the best of their reasons."""
        self.tabs[0].say(End(Reason.CLIENT_LOST))
        self.tabs[1].say(End(Reason.BUSY))
        self.assertEqual(self.listener.heard, [])
        self.tabs[2].say(End(Reason.INTERNAL))
        self.assertEqual(self.listener.heard, [End(Reason.BUSY)])

    def test_caller_gives_up(self) -> None:
        """The caller's end reaches every device still ringing."""
        self.tabs[0].say(End(Reason.BUSY))
        self.fork.deliver(End(Reason.CANCELLED))
        self.assertEqual(self.tabs[0].heard, [TOGETHER])
        self.assertEqual([tab.heard[-1] for tab in self.tabs[1:]], [End(Reason.CANCELLED)] * 2)

    def test_transparent_once_chosen(self) -> None:
        """After the choice the fork only passes things on, and shows the chosen device."""
        self.tabs[0].say(Accept())
        self.tabs[0].say(Candidates("c"))
        self.fork.deliver(End(Reason.HANGUP))
        self.assertEqual(self.listener.heard, [Accept(), Candidates("c")])
        self.assertEqual(self.tabs[0].heard[-1], End(Reason.HANGUP))
        self.assertEqual(self.fork.view().peer, "tab0")

    def test_chosen_ends(self) -> None:
        """The chosen device's end is the call's."""
        self.tabs[0].say(Accept())
        self.tabs[0].say(End(Reason.HANGUP))
        self.assertEqual(self.listener.heard, [Accept(), End(Reason.HANGUP)])

    def test_candidates_reach_all_while_ringing(self) -> None:
        """Before the choice a candidate of the caller reaches every device."""
        self.fork.deliver(Candidates("c"))
        self.assertEqual([tab.heard[-1] for tab in self.tabs], [Candidates("c")] * 3)
        self.assertEqual(self.fork.view().kind, "fork")
