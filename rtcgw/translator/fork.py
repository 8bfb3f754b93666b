"""The devices of one user that ring for one call, seen from the call as one leg.

The first device to answer wins; the others are told `answered-elsewhere`. A device that
declines ends the ringing everywhere: a person has decided. One that is busy, broken or
gone only drops out; when the last one drops out, the call hears the best reason among them.

As long as it rings another device may join: a page that is opened, or reloaded. So when the last one has dropped
out and a page was lost a moment ago, the call goes on ringing for `grace` seconds though nobody hears it.

Once a device is chosen this leg only passes events through. A call to a single device has a fork too, because another
may join it; that costs some microseconds of the call's thousand. What a device describes early goes on at once where
it rings alone, that its media connect; of several, only the one that answers may join the media.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.model.events import Accept, Candidates, Description, End, Event, Kind, Progress, Setup, Stage
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

RANK = (Reason.BUSY, Reason.NO_ANSWER, Reason.HANGUP, Reason.MEDIA, Reason.CLIENT_LOST)
"""Which reason the caller hears when every device dropped out: the first of these that occurred, else the last one."""

HELD_LIMIT = 64
"""Candidates of one device that may wait until it is known whether it answers; of the caller, for devices to come."""


class ForkState(Symbol):
    """How far the choice is."""

    RINGING = "ringing"
    VACANT = "vacant"
    """Nobody rings: the last page was lost, and may come back."""
    CHOSEN = "chosen"
    ENDED = "ended"


class ForkEvent(Symbol):
    """What moves the choice."""

    DELIVERED = "delivered"
    ENDED_BY_CALL = "ended by the call"
    PROGRESSED = "progressed"
    ANSWERED = "answered"
    OTHER_NEWS = "other news"
    DROPPED = "dropped out"
    DECLINED = "declined"
    LAST_DROPPED = "last dropped out"
    LAST_LOST = "last dropped out, and one may come back"
    JOINED = "another device"
    ABANDONED = "the user has left"
    GRACE_OVER = "grace timer"


@implementer(ILeg, ILegParent)
class Fork:
    """One or more legs in one. `session` is theirs, and they have one kind of access.

    `on_chosen(leg)` is called when a device has answered, `on_over(fork)` when no other may join any more. `grace` is
    how long a lost page is waited for, in seconds.
    """

    __slots__ = (
        "_early",
        "_ended",
        "_first",
        "_heard",
        "_held",
        "_on_chosen",
        "_passed",
        "_setup",
        "_told",
        "_until",
        "access",
        "chosen",
        "clock",
        "grace",
        "legs",
        "machine",
        "on_over",
        "parent",
        "session",
    )

    def __init__(
        self,
        session: SessionId,
        legs: list[ILeg],
        clock: IReactorTime,
        on_chosen: Callable[[ILeg], None] = lambda leg: None,
        grace: float = 0.0,
    ) -> None:
        self.session = session
        self.access = legs[0].access
        self.parent: ILegParent | None = None
        self.legs = list(legs)
        self.chosen: ILeg | None = None
        self.machine = Machine(FORK_TABLE, self, clock)
        self.clock = clock
        self.grace = grace
        self.on_over: Callable[[Fork], None] = lambda fork: None
        self._on_chosen = on_chosen
        self._setup: Setup | None = None
        self._heard: list[Candidates] | None = None
        """The caller's candidates, for devices that join."""
        self._told: tuple[Stage, ...] = ()
        self._passed: ILeg | None = None
        """The device whose early description has gone on last, because it rang alone."""
        self._early: dict[ILeg, Description] | None = None
        """What the others have described early."""
        self._held: dict[ILeg, list[Candidates]] | None = None
        """Their candidates, which mean nothing without that."""
        self._ended: dict[Reason, End] | None = None
        """Why devices have dropped out."""
        self._until = 0.0
        """Until when a lost page may come back, by the clock."""
        self._first = legs[0]
        """Still known when every device has dropped out: it says whose they are."""
        for leg in legs:
            leg.parent = self

    def deliver(self, event: Event) -> None:
        """See `ILeg`."""
        self.machine.handle(ForkEvent.ENDED_BY_CALL if isinstance(event, End) else ForkEvent.DELIVERED, event)

    def report(self, leg: ILeg, event: Event) -> None:
        """See `ILegParent`."""
        if leg not in self.legs:
            return
        if isinstance(event, Accept):
            self.machine.handle(ForkEvent.ANSWERED, leg, event)
        elif isinstance(event, Progress):
            self.machine.handle(ForkEvent.PROGRESSED, leg, event)
        elif not isinstance(event, End):
            self.machine.handle(ForkEvent.OTHER_NEWS, leg, event)
        elif event.reason in (Reason.DECLINED, Reason.UNWANTED):
            self.machine.handle(ForkEvent.DECLINED, leg, event)
        elif len(self.legs) == 1:
            self.machine.handle(self._last(event), leg, event)
        else:
            self.machine.handle(ForkEvent.DROPPED, leg, event)

    def join(self, leg: ILeg) -> None:
        """Another device of the user's rings too, from now on; it hears what the others have heard."""
        leg.parent = self
        self.machine.handle(ForkEvent.JOINED, leg)

    def abandon(self) -> None:
        """The user has left on purpose: no page is waited for."""
        self.machine.handle(ForkEvent.ABANDONED)

    @property
    def caller(self) -> Identity | None:
        """Who calls, as the devices may see it; None before they are told."""
        return None if self._setup is None else self._setup.shown

    def view(self) -> LegView:
        """See `ILeg`."""
        if len(self.legs) == 1:
            return self.legs[0].view()
        peers = ", ".join(leg.view().peer for leg in self.legs)
        return LegView(
            kind="fork",
            peer=peers,
            state=self.machine.state.value,
            timers=self.machine.timers(),
            user=self._first.view().user,
        )

    # -- actions: who rings ----------------------------------------------------------------

    def _take(self, leg: ILeg) -> None:
        alone = not self.legs
        self.legs.append(leg)
        if self._setup is not None:
            leg.deliver(self._setup if alone else evolve(self._setup, warm=False))
            for candidates in self._heard or ():
                leg.deliver(candidates)

    def _remove(self, leg: ILeg, event: End) -> None:
        if leg not in self.legs:
            return
        self.legs.remove(leg)
        self._ended = self._ended or {}
        self._ended[event.reason] = event
        if event.reason is Reason.CLIENT_LOST:
            self._until = self.clock.seconds() + self.grace

    def _drop(self, leg: ILeg, event: End) -> None:
        self._remove(leg, event)
        if not self.legs:  # several dropped out on one order, before any of them was taken off the list
            self.machine.handle(self._last(event), leg, event)

    def _last(self, event: End) -> ForkEvent:
        """Nobody is left to ring; whether somebody may come back."""
        lost = event.reason is Reason.CLIENT_LOST and self.grace > 0
        return ForkEvent.LAST_LOST if lost or self._patience() > 0 else ForkEvent.LAST_DROPPED

    def _patience(self) -> float:
        """Seconds for which a lost page is still waited for."""
        return max(0.0, self._until - self.clock.seconds())

    def _wait(self, leg: ILeg, event: End) -> None:
        self._remove(leg, event)
        self.machine.arm("grace", self._patience())

    def _give_up(self, leg: ILeg, event: End) -> None:
        self._remove(leg, event)
        self._nobody_comes()

    def _nobody_comes(self) -> None:
        self.on_over(self)
        ends = list((self._ended or {}).values())
        best = min(ends, key=lambda end: RANK.index(end.reason) if end.reason in RANK else len(RANK))
        self._up(self._first, best)

    def _declined(self, leg: ILeg, event: End) -> None:
        self.legs.remove(leg)
        self._to_all(End(Reason.ANSWERED_ELSEWHERE, "Declined on another device."))
        self.on_over(self)
        self._up(leg, event)

    def _cancelled(self, event: End) -> None:
        self._to_all(event)
        self.on_over(self)

    # -- actions: what they hear and say -----------------------------------------------------

    def _to_all(self, event: Event) -> None:
        self._note(event)
        if isinstance(event, Setup) and len(self.legs) > 1:
            event = evolve(event, warm=False)
        for leg in list(self.legs):
            leg.deliver(event)

    def _note(self, event: Event) -> None:
        """What a device that joins must hear."""
        if isinstance(event, Setup):
            self._setup = event
        elif isinstance(event, Candidates):
            self._heard = self._heard or []
            if len(self._heard) < HELD_LIMIT:
                self._heard.append(event)

    def _to_chosen(self, event: Event) -> None:
        assert self.chosen is not None
        self.chosen.deliver(event)

    def _progressed(self, leg: ILeg, event: Progress) -> None:
        """Each stage once. An early description is kept until its device answers, unless it is alone."""
        if event.description is not None:
            if self._passed is leg or (len(self.legs) == 1 and self._passed not in self.legs):
                self._passed = leg
                self._up(leg, event)
                return
            self._early = self._early or {}
            self._early[leg] = event.description
        if event.stage not in self._told:
            self._told = (*self._told, event.stage)
            self._up(leg, Progress(event.stage, reliable=event.reliable))

    def _other_news(self, leg: ILeg, event: Event) -> None:
        """Candidates wait, as the description does that they belong to; the last of too many are the least loss."""
        if not isinstance(event, Candidates) or leg is self._passed:
            self._up(leg, event)
            return
        self._held = self._held or {}
        held = self._held.setdefault(leg, [])
        if len(held) < HELD_LIMIT:
            held.append(event)

    def _choose(self, leg: ILeg, event: Accept) -> None:
        self.chosen = leg
        losers = [other for other in self.legs if other is not leg]
        self.legs = [leg]
        for other in losers:
            other.deliver(End(Reason.ANSWERED_ELSEWHERE))
        self._on_chosen(leg)
        self.on_over(self)
        early = None if self._early is None else self._early.get(leg)
        held = () if self._held is None else self._held.get(leg, ())
        self._early = self._held = None
        if event.description is None and early is not None:
            event = Accept(Description(Kind.ANSWER, early.sdp))
        self._up(leg, event)
        for candidates in held:
            self._up(leg, candidates)

    def _up(self, leg: ILeg, event: Event) -> None:
        assert self.parent is not None
        self.parent.report(self, event)


_S, _E = ForkState, ForkEvent
_OF_A_DEVICE = {_E.PROGRESSED, _E.ANSWERED, _E.OTHER_NEWS, _E.DROPPED, _E.DECLINED, _E.LAST_DROPPED, _E.LAST_LOST}
FORK_TABLE: Table[ForkState, ForkEvent] = Table(
    "fork",
    ForkState.RINGING,
    ForkEvent,
    {
        (_S.RINGING, _E.DELIVERED): Row(_S.RINGING, (Fork._to_all,)),
        (_S.RINGING, _E.ENDED_BY_CALL): Row(_S.ENDED, (Fork._cancelled,)),
        (_S.RINGING, _E.PROGRESSED): Row(_S.RINGING, (Fork._progressed,)),
        (_S.RINGING, _E.ANSWERED): Row(_S.CHOSEN, (Fork._choose,)),
        (_S.RINGING, _E.OTHER_NEWS): Row(_S.RINGING, (Fork._other_news,)),
        (_S.RINGING, _E.DROPPED): Row(_S.RINGING, (Fork._drop,)),
        (_S.RINGING, _E.DECLINED): Row(_S.ENDED, (Fork._declined,)),
        (_S.RINGING, _E.LAST_DROPPED): Row(_S.ENDED, (Fork._give_up,)),
        (_S.RINGING, _E.LAST_LOST): Row(_S.VACANT, (Fork._wait,)),
        (_S.RINGING, _E.JOINED): Row(_S.RINGING, (Fork._take,)),
        (_S.VACANT, _E.DELIVERED): Row(_S.VACANT, (Fork._note,)),
        (_S.VACANT, _E.ENDED_BY_CALL): Row(_S.ENDED, (Fork._cancelled,)),
        (_S.VACANT, _E.JOINED): Row(_S.RINGING, (Fork._take,)),
        (_S.VACANT, _E.ABANDONED): Row(_S.ENDED, (Fork._nobody_comes,)),
        (_S.VACANT, _E.GRACE_OVER): Row(_S.ENDED, (Fork._nobody_comes,)),
        (_S.CHOSEN, _E.DELIVERED): Row(_S.CHOSEN, (Fork._to_chosen,)),
        (_S.CHOSEN, _E.ENDED_BY_CALL): Row(_S.ENDED, (Fork._to_chosen,)),
        (_S.CHOSEN, _E.PROGRESSED): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.ANSWERED): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.OTHER_NEWS): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.DECLINED): Row(_S.ENDED, (Fork._up,)),
        (_S.CHOSEN, _E.LAST_DROPPED): Row(_S.ENDED, (Fork._up,)),
        (_S.CHOSEN, _E.LAST_LOST): Row(_S.ENDED, (Fork._up,)),
    },
    {
        _S.RINGING: {_E.ABANDONED, _E.GRACE_OVER},
        _S.VACANT: _OF_A_DEVICE,
        _S.CHOSEN: {_E.DROPPED, _E.JOINED, _E.ABANDONED, _E.GRACE_OVER},
        _S.ENDED: set(_E),
    },
    [Timer("grace", frozenset({ForkState.VACANT}), lambda fork: fork.grace, ForkEvent.GRACE_OVER)],
)
