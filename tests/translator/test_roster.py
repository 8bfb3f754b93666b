"""Who takes part: told once for each thing that changes it, with a number that grows by one."""

from __future__ import annotations

from attrs import evolve

from rtcgw.media.backend import Access, Party
from rtcgw.model.events import Accept, Away, Event, Part, Participant, Roster, Update, UpdateAccept
from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg
from rtcgw.translator.roster import Attendance
from tests.translator.callcase import CallCase, answer, offer
from tests.translator.doubles import ALICE, ECHO, SETUP, RecordedLeg

TALK = (Participant(ALICE, Part.TALKING), Participant(ECHO, Part.TALKING))


class Case(CallCase):
    def told(self) -> list[Roster]:
        """What the page has been told since the last look."""
        rosters, self.caller.rosters = self.caller.rosters, []
        return rosters

    @property
    def attendance(self) -> Attendance:
        assert self.call.roster is not None
        return self.call.roster


class TwoTests(Case):
    def test_first_list(self) -> None:
        """A page learns who talks when the call is answered, not before, and after the answer itself."""
        order: list[Event] = []
        self.caller.note = order.append
        self.call.start()
        self.assertEqual(order, [])
        self.callee.say(Accept(answer("final")))
        self.assertEqual([type(event) for event in order], [Accept, Roster])
        self.assertEqual(order[1], Roster(1, TALK))
        self.assertEqual(self.callee.rosters, [])

    def test_after_slow_media(self) -> None:
        """With an engine that takes its time the list still comes after the answer."""
        self.media.slow = True
        self.call.start()
        self.media.fire()
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.told(), [])
        self.media.fire()
        self.assertEqual(self.told(), [Roster(1, TALK)])

    def test_away_and_back(self) -> None:
        """The other side learns that a page reloads; saying it twice makes no second list."""
        self.establish()
        self.told()
        self.caller.say(Away(True))
        self.caller.say(Away(True))
        self.caller.say(Away(False))
        away = (Participant(ALICE, Part.AWAY), TALK[1])
        self.assertEqual(self.told(), [Roster(2, away), Roster(3, TALK)])
        self.assertEqual(self.caller.heard, [])

    def test_hold(self) -> None:
        """Whoever is put on hold is shown so; a page that is away and on hold is away first of all."""
        self.establish()
        self.told()
        self.attendance.holds(Party.CALLEE, True)
        self.caller.say(Away(True))
        self.caller.say(Away(False))
        self.attendance.holds(Party.CALLEE, False)
        parts = [roster.participants[0].part for roster in self.told()]
        self.assertEqual(parts, [Part.HELD, Part.AWAY, Part.HELD, Part.TALKING])

    def test_picture(self) -> None:
        """A camera that is switched on is told with the change that brings it, once it has been taken."""
        self.establish()
        self.told()
        self.media.local = False
        self.caller.say(Update(offer("with a picture")))
        self.assertEqual(self.told(), [])
        self.media.showing = {Party.CALLER}
        self.callee.say(UpdateAccept(answer("seen")))
        self.assertEqual(self.told(), [Roster(2, (evolve(TALK[0], video=True), TALK[1]))])

    def test_change_that_changes_nothing(self) -> None:
        """An ICE restart is nobody's news."""
        self.establish()
        self.told()
        self.caller.say(Update(offer("restart")))
        self.assertEqual(self.told(), [])

    def test_replaced(self) -> None:
        """Somebody else at the other end is a new list, the same one again is not."""
        self.establish()
        self.told()
        bob = Identity("sip:bob@ims", "Bob")
        self.attendance.named(Party.CALLEE, bob)
        self.attendance.named(Party.CALLEE, bob)
        self.assertEqual(self.told(), [Roster(2, (TALK[0], Participant(bob, Part.TALKING)))])

    def test_after_the_end(self) -> None:
        """A call that is over tells nothing."""
        self.establish()
        self.call.end(Reason.SHUTDOWN)
        self.told()
        self.caller.say(Away(True))
        self.assertEqual(self.told(), [])


class CrowdTests(Case):
    def test_a_conference_speaks_for_itself(self) -> None:
        """The far end is a conference: its list is passed on under the call's own numbers."""
        self.establish()
        self.told()
        crowd = (*TALK, Participant(Identity("sip:carol@ims"), Part.CALLING))
        self.callee.say(Roster(17, crowd))
        self.callee.say(Roster(18, crowd))
        self.assertEqual(self.told(), [Roster(2, crowd)])

    def test_the_conference_hears_who_is_away(self) -> None:
        """The others of a conference must learn it, so its leg does; the page's own list comes back from there."""
        self.establish()
        self.callee.say(Roster(1, TALK))
        self.told()
        self.caller.say(Away(True))
        self.assertEqual(self.callee.heard, [Away(True)])
        self.assertEqual(self.told(), [])


class PrivateTests(Case):
    setup_event = evolve(SETUP, private=True)

    def test_hidden_caller(self) -> None:
        """Who asked not to be shown is not shown by the list either."""
        self.establish()
        self.assertEqual(self.told()[0].participants[0], Participant(ANONYMOUS, Part.TALKING))


class PhonesTests(Case):
    caller_access = Access.CORE

    def test_between_phones(self) -> None:
        """Two phones have no list, and nothing is made for it."""
        self.establish()
        self.caller.say(Away(True))
        self.caller.say(Roster(1, TALK))
        self.assertIsNone(self.call.roster)
        legs: list[ILeg] = [self.call.caller, self.call.callee]
        self.assertEqual([leg.rosters for leg in legs if isinstance(leg, RecordedLeg)], [[], []])
