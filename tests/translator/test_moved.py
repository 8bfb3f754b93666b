"""A leg that moves into another call: what it and both calls are told, and that a failure leaves the old call alone."""

from __future__ import annotations

from typing import Any

from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Info,
    Progress,
    Setup,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.store.table import Mapping
from rtcgw.translator.call import Call
from rtcgw.translator.leg import ILeg
from rtcgw.translator.moved import HELD_LIMIT, MOVE_TABLE, RETURN_TIME, TRIES, MovedLeg, call_of
from rtcgw.translator.movestate import MoveState
from tests.translator.callcase import answer, offer
from tests.translator.doubles import ALICE, RecordedLeg
from tests.translator.sipbench import rows, walk
from tests.translator.test_factory import PHONE, Fixture

TARGET = Identity("sip:target@ims")
OLD = SessionId("old")


class Mover:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def progressed(self, stage: Stage) -> None:
        self.heard.append(stage)

    def moved(self, leg: ILeg) -> None:
        self.heard.append("moved")

    def stayed(self, end: End) -> None:
        self.heard.append(end.reason)


class MoveCase(Fixture):
    """A page talks to a phone, session `old`; either leg is then moved."""

    access = Access.WEB

    def setUp(self) -> None:
        super().setUp()
        self.page = self.place("old", PHONE, self.access)
        self.phone = self.destinations.made[0]
        self.phone.say(Accept(answer("final")))
        self.page.say(Confirm())
        self.old = self.translator.calls[OLD]
        self.mover = Mover()
        self.page.heard.clear()
        self.phone.heard.clear()
        self.walked: set[tuple[Any, Any]] = set()

    def move(self, leg: RecordedLeg, reason: Reason = Reason.TRANSFERRED) -> MovedLeg:
        moved = self.translator.move(self.old, leg, self.mover, reason)
        assert moved is not None
        moved.machine.watch = lambda label, old, what, new: self.walked.add((old, what))
        return moved

    def place_moved(self, leg: RecordedLeg, target: Identity = TARGET) -> tuple[MovedLeg, RecordedLeg]:
        """`leg` is moved into a call to `target`; the leg there."""
        moved = self.move(leg)
        setup = Setup(moved.identity, target, moved=True)
        self.translator.place(moved, setup)
        return moved, self.destinations.made[-1]

    def called_moved(self, leg: RecordedLeg, description: Description | None) -> tuple[MovedLeg, RecordedLeg]:
        """`leg` is moved into a call in which somebody calls it."""
        moved = self.move(leg, Reason.REPLACED)
        newcomer = RecordedLeg("newcomer", Access.CORE, SessionId("new"))
        self.translator.place(newcomer, Setup(TARGET, ALICE, description, moved=True), callee=moved)
        return moved, newcomer

    def check_old(self) -> None:
        """The old call is as it was: what one says the other hears."""
        self.assertEqual(self.translator.calls, {OLD: self.old})
        for leg, other in ((self.page, self.phone), (self.phone, self.page)):
            other.heard.clear()
            leg.say(Info("1"))
            self.assertEqual(other.heard, [Info("1")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def said(self, leg: RecordedLeg, *events: Event) -> None:
        self.assertEqual(leg.heard, list(events))
        leg.heard.clear()


class CallerTests(MoveCase):
    """The leg is moved as a caller: it is handed on to somebody."""

    def test_phone_to_phone(self) -> None:
        """The phone is offered what the target offers, its answer goes there, and the page's call is over."""
        moved, target = self.place_moved(self.phone)
        self.said(target, Setup(PHONE, TARGET, None, moved=True))
        target.say(Progress(Stage.RINGING))
        self.said(self.phone)
        target.say(Accept(offer("theirs")))
        self.said(self.phone, Update(offer("callee-offer(theirs)"), fresh=True))
        self.said(self.page)
        self.phone.say(UpdateAccept(answer("mine")))
        self.said(self.page, End(Reason.TRANSFERRED))
        self.said(self.phone, Connected(TARGET))
        self.said(target, Confirm(answer("caller-answer(mine)")))
        self.assertEqual(self.mover.heard, [Stage.RINGING, "moved"])
        self.assertEqual(self.web.opened, [(moved.session, Access.CORE, Access.CORE)])
        self.assertEqual(list(self.translator.calls), [moved.session])
        self.phone.say(Info("5"))
        target.say(End(Reason.HANGUP))
        self.said(target, Info("5"))
        self.said(self.phone, End(Reason.HANGUP))
        self.assertEqual((self.translator.calls, self.web.media.closed, self.core.media.closed), ({}, 1, 1))

    def test_page_to_phone(self) -> None:
        """A page is made an offer of what the target has answered; it keeps the session by which it knows its call."""
        moved, target = self.place_moved(self.page)
        self.said(target, Setup(ALICE, TARGET, offer("offer-for-callee"), moved=True))
        target.say(Accept(answer("theirs")))
        self.said(self.page, Update(offer("callee-answer(theirs)"), fresh=True))
        self.page.say(UpdateAccept(answer("mine")))
        self.said(self.page, Connected(TARGET))
        self.said(self.phone, End(Reason.TRANSFERRED))
        self.said(target, Confirm())
        self.assertEqual(self.translator.find(OLD, ""), (self.translator.calls[moved.session], self.page))
        self.assertEqual(call_of(self.page), (self.translator.calls[moved.session], self.page))
        self.assertIsNone(self.translator.find(OLD, "somebody else"))

    def test_target_fails(self) -> None:
        """Nobody answers, or the answer is of no use: the leg has heard nothing of it."""
        for failure in (End(Reason.BUSY), Accept()):
            self.phone.heard.clear()
            moved, target = self.place_moved(self.phone)
            target.say(failure)
            self.said(self.phone)
            self.assertIs(moved.machine.state, MoveState.STAYED)
            self.check_old()
        self.assertEqual(self.mover.heard, [Reason.BUSY, Reason.PROTOCOL])

    def test_nobody_can_be_called(self) -> None:
        """A target that does not exist fails at once."""
        moved = self.move(self.phone)
        self.translator.place(moved, Setup(PHONE, Identity("nobody"), moved=True))
        self.assertEqual(self.mover.heard, [Reason.NOT_FOUND])
        self.check_old()

    def test_refused_media(self) -> None:
        """The leg does not take the new media: the target is hung up on, the old call is as it was."""
        _, target = self.place_moved(self.phone)
        target.say(Accept(offer("theirs")))
        self.phone.say(UpdateReject(Reason.MEDIA))
        self.assertEqual(target.heard[-1], End(Reason.MEDIA))
        self.assertEqual(self.mover.heard, [Reason.MEDIA])
        self.check_old()

    def test_busy_for_a_while(self) -> None:
        """A leg with a change under way, or whose page is away, is asked again, and its own change is not disturbed."""
        moved, target = self.place_moved(self.phone)
        self.page.say(Update(offer("video")))
        self.phone.heard.clear()
        target.say(Accept(offer("theirs")))
        self.phone.say(UpdateReject(Reason.CONFLICT))
        self.assertIs(moved.machine.state, MoveState.PUT_OFF)
        target.say(Candidates("late"))
        self.phone.heard.clear()
        self.clock.advance(1)
        self.said(self.phone, Update(offer("callee-offer(theirs)"), fresh=True))
        self.phone.say(UpdateReject(Reason.CLIENT_LOST))
        self.clock.advance(1)
        self.phone.say(UpdateAccept(answer("mine")))
        self.assertEqual(self.mover.heard, ["moved"])

    def test_busy_for_good(self) -> None:
        """It is asked no more often than a waiting phone can bear."""
        _, target = self.place_moved(self.phone)
        target.say(Accept(offer("theirs")))
        for _ in range(TRIES):
            self.phone.say(UpdateReject(Reason.CONFLICT))
            self.clock.advance(1)
        self.assertEqual(self.mover.heard, [Reason.CONFLICT])
        self.assertEqual(target.heard[-1], End(Reason.CONFLICT))
        self.check_old()

    def test_who_hands_on_hangs_up(self) -> None:
        """The other party of the old call need not wait: its call ends, the transfer goes on."""
        _, target = self.place_moved(self.phone)
        self.page.say(End(Reason.HANGUP))
        self.said(self.phone)
        target.say(Accept(offer("theirs")))
        self.phone.say(UpdateAccept(answer("mine")))
        self.assertEqual(self.mover.heard, ["moved"])
        self.assertEqual(self.phone.heard[-1], Connected(TARGET))
        self.assertEqual(len(self.translator.calls), 1)

    def test_left_alone(self) -> None:
        """Both calls are gone: the leg ends for the reason that its old call had."""
        _, target = self.place_moved(self.phone)
        self.page.say(End(Reason.HANGUP))
        target.say(End(Reason.BUSY))
        self.said(self.phone, End(Reason.HANGUP))
        self.assertEqual((self.translator.calls, self.clock.getDelayedCalls()), ({}, []))

    def test_leg_hangs_up(self) -> None:
        """The leg itself hangs up in the middle: both calls are over, each with one reason."""
        _, target = self.place_moved(self.phone)
        self.phone.say(End(Reason.HANGUP))
        self.said(self.page, End(Reason.HANGUP))
        self.assertEqual(target.heard[-1], End(Reason.HANGUP))
        self.assertEqual(self.mover.heard, [Reason.HANGUP])
        self.assertEqual((self.translator.calls, self.clock.getDelayedCalls()), ({}, []))

    def test_target_hangs_up_before_the_leg_is_there(self) -> None:
        """The target is gone while the leg decides: if it declines nothing has happened, if it takes the old call's
        media are offered to it anew."""
        moved, target = self.place_moved(self.phone)
        target.say(Accept(offer("theirs")))
        target.say(End(Reason.HANGUP))
        self.assertEqual(self.mover.heard, [Reason.HANGUP])
        self.page.say(Update(offer("video")))  # refused meanwhile, or answered by the media
        self.phone.say(UpdateReject(Reason.MEDIA))
        self.check_old()
        moved, target = self.place_moved(self.phone)
        target.say(Accept(offer("theirs")))
        target.say(End(Reason.HANGUP))
        self.phone.heard.clear()
        self.phone.say(UpdateAccept(answer("mine")))
        self.assertIs(moved.machine.state, MoveState.RETURNING)
        self.said(self.phone, Update(offer("offer-for-callee"), fresh=True))
        self.phone.say(UpdateAccept(answer("back")))
        self.check_old()

    def test_no_way_back(self) -> None:
        """The old call cannot offer in time: the leg is given back all the same."""
        moved, target = self.place_moved(self.phone)
        self.core.media.slow = True
        target.say(Accept(offer("theirs")))
        target.say(End(Reason.HANGUP))
        self.phone.say(UpdateAccept(answer("mine")))
        self.clock.advance(RETURN_TIME)
        self.assertIs(moved.machine.state, MoveState.STAYED)
        self.assertIs(self.phone.parent, self.old)

    def until(self, state: MoveState) -> tuple[MovedLeg, RecordedLeg]:
        """The phone on its way into a call, as far as `state`."""
        moved, target = self.place_moved(self.phone)
        if state is not MoveState.STAYING:
            target.say(Accept(offer("theirs")))
        if state is MoveState.PUT_OFF:
            self.phone.say(UpdateReject(Reason.CONFLICT))
            moved.deliver(Candidates("late"))
        elif state in (MoveState.WITHDRAWN, MoveState.RETURNING):
            target.say(End(Reason.BUSY))
        if state is MoveState.RETURNING:
            self.phone.say(UpdateAccept(answer("mine")))
        self.assertIs(moved.machine.state, state)
        return moved, target

    def test_ends_at_any_moment(self) -> None:
        """Whoever ends at whatever moment, nothing is left once all have: no call, no timer, nobody who waits."""
        states = (MoveState.STAYING, MoveState.ASKED, MoveState.PUT_OFF, MoveState.WITHDRAWN, MoveState.RETURNING)
        for state in states:
            for first in ("phone", "page", "target"):
                _, target = self.until(state)
                legs = {"phone": self.phone, "page": self.page, "target": target}
                legs[first].say(End(Reason.HANGUP))
                if state is not MoveState.RETURNING and first != "phone":
                    self.phone.say(UpdateReject(Reason.CONFLICT))
                self.clock.advance(RETURN_TIME + TRIES)
                for leg in (self.page, target, self.phone):
                    if not any(isinstance(event, End) for event in leg.heard):
                        leg.say(End(Reason.HANGUP))
                self.assertEqual((self.translator.calls, self.clock.getDelayedCalls()), ({}, []), (state, first))
                self.setUp_again()

    def setUp_again(self) -> None:
        """The same as at first; what the table has met is kept."""
        walked = self.walked
        self.setUp()
        self.walked |= walked

    def test_offer_for_a_call_that_is_over(self) -> None:
        """A phone that was only to answer offers instead, when nobody is there any more: the old media answer it."""
        moved, _ = self.until(MoveState.WITHDRAWN)
        self.phone.say(UpdateAccept(offer("mine")))
        self.assertEqual(self.phone.heard[-1], Confirm(answer("re-answer(mine)")))
        self.assertIs(moved.machine.state, MoveState.STAYED)
        self.check_old()

    def test_one_move_at_a_time(self) -> None:
        """A leg that is on its way, and one of a call that only rings, cannot be moved."""
        _, target = self.place_moved(self.phone)
        self.assertIsNone(self.translator.move(self.old, self.old.callee, self.mover))
        target.say(End(Reason.BUSY))
        ringing = self.place("ringing", PHONE)
        self.assertIsNone(self.translator.move(self.translator.calls[SessionId("ringing")], ringing, self.mover))

    def test_candidates(self) -> None:
        """Candidates of the target wait until the leg has its offer, no more of them than there may be."""
        moved, target = self.place_moved(self.page)
        for number in range(HELD_LIMIT + 1):
            moved.deliver(Candidates(str(number)))
        target.say(Accept(answer("theirs")))
        self.assertEqual(len(self.page.heard), 1 + HELD_LIMIT)
        moved.deliver(Candidates("last"))
        self.assertEqual(self.page.heard[-1], Candidates("last"))

    def test_dialog(self) -> None:
        """The SIP dialog of the leg is found under its new session, and under no other."""
        dialog = ("call-id", "local", "remote")
        self.table.change(OLD, dialog=dialog, profile="main")
        moved, target = self.place_moved(self.phone)
        target.say(Accept(offer("theirs")))
        self.phone.say(UpdateAccept(answer("mine")))
        row = self.table.by_dialog(dialog)
        assert isinstance(row, Mapping)
        self.assertEqual((row.session, row.profile), (moved.session, "main"))
        self.clock.advance(33)
        self.assertEqual(self.table.by_dialog(dialog), row)


class CalleeTests(MoveCase):
    """The leg is moved as a callee: somebody takes the place of its partner."""

    def test_page(self) -> None:
        """The page is offered the newcomer's media; the phone that it talked to is told that it was replaced."""
        _, newcomer = self.called_moved(self.page, offer("new"))
        self.said(self.page, Update(offer("caller-offer(new)"), fresh=True))
        self.page.say(UpdateAccept(answer("mine")))
        self.said(self.phone, End(Reason.REPLACED))
        self.said(newcomer, Accept(answer("callee-answer(mine)")))
        self.said(self.page, Connected(TARGET))
        newcomer.say(Confirm())
        self.said(self.page, Confirm())
        self.assertEqual(self.mover.heard, ["moved"])

    def test_phone_is_asked_for_an_offer(self) -> None:
        """Two phones, of which neither has offered: the moved one offers, and is answered."""
        _, newcomer = self.called_moved(self.phone, None)
        self.said(self.phone, Update(None, fresh=True))
        self.phone.say(UpdateAccept(offer("mine")))
        self.said(newcomer, Accept(offer("callee-offer(mine)")))
        self.assertEqual(self.mover.heard, [])
        newcomer.say(Confirm(answer("theirs")))
        self.said(self.phone, Confirm(answer("caller-answer(theirs)")), Connected(TARGET))
        self.said(self.page, End(Reason.REPLACED))
        self.assertEqual(self.mover.heard, ["moved"])

    def lend(self) -> tuple[MovedLeg, RecordedLeg]:
        moved, newcomer = self.called_moved(self.phone, None)
        self.phone.say(UpdateAccept(offer("mine")))
        self.phone.heard.clear()
        return moved, newcomer

    def test_phone_hangs_up_instead(self) -> None:
        """It has offered and hangs up: both calls are over."""
        moved, newcomer = self.lend()
        moved.deliver(Candidates("early"))
        self.assertEqual(self.phone.heard, [Candidates("early")])
        self.phone.say(End(Reason.HANGUP))
        self.said(self.page, End(Reason.HANGUP))
        self.assertEqual(newcomer.heard[-1], End(Reason.HANGUP))
        self.assertEqual(self.translator.calls, {})

    def test_offer_is_never_answered(self) -> None:
        """The newcomer is gone before it has answered: the old call's media answer the phone, and all is as before."""
        _, newcomer = self.lend()
        newcomer.say(End(Reason.CANCELLED))
        self.said(self.phone, Confirm(answer("re-answer(mine)")))
        self.assertEqual(self.mover.heard, [Reason.CANCELLED])
        self.check_old()

    def test_offer_cannot_be_answered(self) -> None:
        """Where the old media cannot either, the phone's session is broken and ends."""
        moved, newcomer = self.called_moved(self.phone, None)
        self.phone.say(UpdateAccept(offer("bad")))
        self.assertEqual(newcomer.heard[-1], End(Reason.MEDIA))
        self.assertEqual(self.phone.heard[-1], End(Reason.MEDIA))
        self.assertEqual(self.page.heard[-1], End(Reason.MEDIA))
        self.assertIs(moved.machine.state, MoveState.GONE)
        self.assertEqual(self.translator.calls, {})

    def test_other_must_be_asked(self) -> None:
        """An offer that only the page could answer is no way back either."""
        _, newcomer = self.lend()
        self.core.media.local = False
        newcomer.say(End(Reason.CANCELLED))
        self.assertEqual(self.phone.heard[-1], End(Reason.MEDIA))
        self.assertEqual(self.core.media.reverted, 1)
        self.assertEqual(self.translator.calls, {})

    def test_both_calls_end_while_it_offers(self) -> None:
        """Nobody is left who could answer: the phone is hung up on."""
        _, newcomer = self.lend()
        self.page.say(End(Reason.HANGUP))
        newcomer.say(End(Reason.CANCELLED))
        self.said(self.phone, End(Reason.HANGUP))
        self.assertEqual((self.translator.calls, self.clock.getDelayedCalls()), ({}, []))

    def test_old_call_changes_meanwhile(self) -> None:
        """A change that the old call wants of the leg meanwhile is refused with conflict; what it says is passed on."""
        self.core.media.local = False
        self.called_moved(self.phone, offer("new"))
        self.phone.heard.clear()
        self.page.say(Update(offer("video")))
        self.said(self.page, UpdateReject(Reason.CONFLICT))
        self.page.say(Info("7"))
        self.said(self.phone, Info("7"))

    def test_refused_by_the_gateway(self) -> None:
        """No room for another call: the newcomer and the leg are told, the old call goes on."""
        self.place("second")
        moved = self.move(self.page)
        newcomer = RecordedLeg("newcomer", Access.CORE, SessionId("new"))
        self.translator.place(newcomer, Setup(TARGET, ALICE, offer("new"), moved=True), callee=moved)
        self.said(newcomer, End(Reason.OVERLOADED))
        self.assertEqual(self.mover.heard, [Reason.OVERLOADED])
        self.assertIs(self.page.parent, self.old)

    def test_view(self) -> None:
        """The inspector shows how far a move is."""
        moved, _ = self.called_moved(self.page, offer("new"))
        self.assertEqual((moved.view().kind, moved.view().state), ("moved", "asked to take the new media"))
        self.assertEqual(self.old.view().legs[0].peer, "caller")
        self.assertIsInstance(self.old, Call)

    def test_every_row(self) -> None:
        """All of these tests walk each row of the table."""
        walked: set[tuple[Any, Any]] = set()
        for case in walk(CallerTests, CalleeTests):
            assert isinstance(case, MoveCase)
            walked |= case.walked
        self.assertEqual({str(row) for row in rows(MOVE_TABLE) - walked}, set())
