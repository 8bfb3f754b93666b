"""The ring-all leg: several devices of one user that ring together, seen by the call as one leg.

The first device to answer wins; the others are told `answered-elsewhere`. A device that
declines ends the ringing everywhere: a person has decided. One that is busy, broken or
gone only drops out; when the last one drops out, the call hears the best reason among them.

Once a device is chosen this leg only passes events through.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Symbol, Table
from rtcgw.model.events import Accept, Candidates, Description, End, Event, Kind, Progress, Stage
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

RANK = (Reason.BUSY, Reason.NO_ANSWER, Reason.HANGUP, Reason.MEDIA, Reason.CLIENT_LOST)
"""Which reason the caller hears when every device dropped out: the first of these that occurred, else the last one."""

HELD_LIMIT = 64
"""Candidates of one device that may wait until it is known whether it answers."""


class ForkState(Symbol):
    """How far the choice is."""

    RINGING = "ringing"
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


@implementer(ILeg, ILegParent)
class Fork:
    """Several legs in one. `legs` holds at least one; `session` is theirs, and they have one kind of access.

    `on_chosen(leg)` is called when a device has answered.
    """

    __slots__ = (
        "_early",
        "_ended",
        "_first",
        "_held",
        "_on_chosen",
        "_told",
        "access",
        "chosen",
        "legs",
        "machine",
        "parent",
        "session",
    )

    def __init__(
        self,
        session: SessionId,
        legs: list[ILeg],
        clock: IReactorTime,
        on_chosen: Callable[[ILeg], None] = lambda leg: None,
    ) -> None:
        self.session = session
        self.access = legs[0].access
        self.parent: ILegParent | None = None
        self.legs = list(legs)
        self.chosen: ILeg | None = None
        self.machine = Machine(FORK_TABLE, self, clock)
        self._on_chosen = on_chosen
        self._told: set[Stage] = set()
        self._early: dict[ILeg, Description] = {}
        """What devices have described early."""
        self._held: dict[ILeg, list[Candidates]] = {}
        """Their candidates, which mean nothing without that."""
        self._ended: list[End] = []
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
            self.machine.handle(ForkEvent.LAST_DROPPED, leg, event)
        else:
            self.machine.handle(ForkEvent.DROPPED, leg, event)

    def view(self) -> LegView:
        """See `ILeg`."""
        if self.chosen is not None:
            return self.chosen.view()
        peers = ", ".join(leg.view().peer for leg in self.legs)
        return LegView(kind="fork", peer=peers, state=self.machine.state.value, user=self._first.view().user)

    # -- actions ---------------------------------------------------------------------------

    def _to_all(self, event: Event) -> None:
        for leg in list(self.legs):
            leg.deliver(event)

    def _to_chosen(self, event: Event) -> None:
        assert self.chosen is not None
        self.chosen.deliver(event)

    def _progressed(self, leg: ILeg, event: Progress) -> None:
        """Each stage once. An early description is kept until its device answers: only one may join the media."""
        if event.description is not None:
            self._early[leg] = event.description
        if event.stage not in self._told:
            self._told.add(event.stage)
            self._up(leg, Progress(event.stage, reliable=event.reliable))

    def _other_news(self, leg: ILeg, event: Event) -> None:
        """Candidates wait, as the description does that they belong to; the last of too many are the least loss."""
        if not isinstance(event, Candidates):
            self._up(leg, event)
            return
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
        early = self._early.get(leg)
        self._early.clear()
        if event.description is None and early is not None:
            event = Accept(Description(Kind.ANSWER, early.sdp))
        self._up(leg, event)
        held = self._held.get(leg, [])
        self._held.clear()
        for candidates in held:
            self._up(leg, candidates)

    def _drop(self, leg: ILeg, event: End) -> None:
        self.legs.remove(leg)
        self._ended.append(event)
        if not self.legs:  # several dropped out on one order, before any of them was taken off the list
            self.machine.handle(ForkEvent.LAST_DROPPED, leg, event)

    def _declined(self, leg: ILeg, event: End) -> None:
        self.legs.remove(leg)
        self._to_all(End(Reason.ANSWERED_ELSEWHERE, "Declined on another device."))
        self._up(leg, event)

    def _give_up(self, leg: ILeg, event: End) -> None:
        if leg in self.legs:
            self.legs.remove(leg)
            self._ended.append(event)
        best = min(self._ended, key=lambda end: RANK.index(end.reason) if end.reason in RANK else len(RANK))
        self._up(leg, best)

    def _up(self, leg: ILeg, event: Event) -> None:
        assert self.parent is not None
        self.parent.report(self, event)


_S, _E = ForkState, ForkEvent
FORK_TABLE: Table[ForkState, ForkEvent] = Table(
    "fork",
    ForkState.RINGING,
    ForkEvent,
    {
        (_S.RINGING, _E.DELIVERED): Row(_S.RINGING, (Fork._to_all,)),
        (_S.RINGING, _E.ENDED_BY_CALL): Row(_S.ENDED, (Fork._to_all,)),
        (_S.RINGING, _E.PROGRESSED): Row(_S.RINGING, (Fork._progressed,)),
        (_S.RINGING, _E.ANSWERED): Row(_S.CHOSEN, (Fork._choose,)),
        (_S.RINGING, _E.OTHER_NEWS): Row(_S.RINGING, (Fork._other_news,)),
        (_S.RINGING, _E.DROPPED): Row(_S.RINGING, (Fork._drop,)),
        (_S.RINGING, _E.DECLINED): Row(_S.ENDED, (Fork._declined,)),
        (_S.RINGING, _E.LAST_DROPPED): Row(_S.ENDED, (Fork._give_up,)),
        (_S.CHOSEN, _E.DELIVERED): Row(_S.CHOSEN, (Fork._to_chosen,)),
        (_S.CHOSEN, _E.ENDED_BY_CALL): Row(_S.ENDED, (Fork._to_chosen,)),
        (_S.CHOSEN, _E.PROGRESSED): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.ANSWERED): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.OTHER_NEWS): Row(_S.CHOSEN, (Fork._up,)),
        (_S.CHOSEN, _E.DECLINED): Row(_S.ENDED, (Fork._up,)),
        (_S.CHOSEN, _E.LAST_DROPPED): Row(_S.ENDED, (Fork._up,)),
    },
    {_S.CHOSEN: {_E.DROPPED}, _S.ENDED: set(_E)},
)
