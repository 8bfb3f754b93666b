"""Calls of one page become a conference of the network's, made by its conference factory (TS 24.147 §5.3.1.3).

    first call   the page itself is moved into a call to the factory, whose answer names the conference (`isfocus`)
    everybody    then the conference is asked, by REFER in that call, to invite the far parties one after the other:
                 a phone in place of the dialog that it has (Refer-To with Replaces, TS 24.147 §5.3.1.5.3), a user of
                 the web by its public identity
    the others   a call whose far party is in the conference ends with `merged`

The far party of the first call hears nothing meanwhile, for its call cannot stay without the page; it is let go when
the conference has invited it, or cannot. The others go on with the page until it is their turn.

What it is not: it sends no REFER itself (`siprefer.py`), and who is in the conference is learnt by `crowd.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.model.events import End, Setup, Transfer, Transferring, TransferStage
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.fork import Fork
from rtcgw.translator.leg import ILeg
from rtcgw.translator.merge import Done, Seat, Way, seat_of
from rtcgw.translator.moved import MovedLeg
from rtcgw.translator.movestate import MoveState
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.transfer import IPlacer, Transfers

log = Logger()

INVITE_TIME: Final = 60.0
"""Seconds that the conference may take for one party: a phone that is asked to replace its call does not ring."""


class Guest(NamedTuple):
    """A far party on its way into the conference."""

    name: Identity
    leg: ILeg
    call: Call
    moved: MovedLeg | None
    """Of the first call, which is over: what still holds the leg."""

    @property
    def gone(self) -> bool:
        """Whether it has hung up, or is elsewhere: whoever has no call any more is not to be called."""
        return self.call.over if self.moved is None else self.moved.machine.state is MoveState.GONE

    def let_go(self, reason: Reason) -> None:
        """Its old call has served."""
        if self.moved is not None:
            self.moved.deliver(End(reason))
        else:
            self.call.end(reason)


class CoreState(Symbol):
    """How far it is."""

    ASKED = "asked for"
    DIALLING = "the page is on its way to the factory"
    INVITING = "the conference invites a party"
    OVER = "done or failed"


class CoreEvent(Symbol):
    """What moves it."""

    FOUND = "a new conference"
    JOINED = "a conference that is there"
    CAME = "has come"
    STAYED = "has stayed"
    INVITED = "a party is in"
    REFUSED = "a party is not to be had"
    LATE = "time is over"
    NO_MORE = "nobody else is to be invited"
    CALL_OVER = "the call with the conference is over"


class CoreMerge:
    """One merge. `home` is the page's leg that takes part, `guests` who is to be invited."""

    __slots__ = ("_call", "_came", "_done", "_factory", "_guests", "_home", "_seat", "_world", "machine")

    def __init__(self, world: CoreMerger, home: ILeg, guests: Sequence[Guest], done: Done) -> None:
        self.machine = Machine(CORE_TABLE, self, world.clock)
        self._world = world
        self._home = home
        self._guests = list(guests)
        self._done = done
        self._seat: Seat | None = None
        self._call: Call | None = None
        """The call with the conference."""
        self._came = 0

    def found(self, seat: Seat) -> None:
        """The page's place in its first call becomes that in a new conference."""
        self._seat = seat
        self.machine.handle(CoreEvent.FOUND)

    def join(self, call: Call) -> None:
        """The page has a call with the conference already."""
        self._call = call
        self.machine.handle(CoreEvent.JOINED)

    # -- for the transfers of the call with the conference ------------------------------------

    def told(self, event: Transferring) -> None:
        """How it goes with a party, by the conference's word."""
        if event.stage is TransferStage.DONE:
            self.machine.handle(CoreEvent.INVITED)
        elif event.stage is TransferStage.FAILED:
            self.machine.handle(CoreEvent.REFUSED, event)

    def call_over(self) -> None:
        """The page has hung up, or the conference is over."""
        self.machine.handle(CoreEvent.CALL_OVER)

    # -- actions -----------------------------------------------------------------------------

    def _dial(self) -> None:
        seat = self._seat
        assert seat is not None
        placer, way = self._world.placer, Way(self._came_or_stayed)
        own = placer.move(seat.call, seat.own, way, Reason.MERGED)
        far = placer.move(seat.call, seat.far, Way(lambda end: None), Reason.MERGED)
        if own is None or far is None:
            for moved in (own, far):
                if moved is not None:
                    moved.deliver(End(Reason.CONFLICT))
            self.machine.handle(CoreEvent.STAYED, End(Reason.CONFLICT))
            return
        self._guests.insert(0, Guest(seat.far_name, seat.far, seat.call, far))
        placer.place(own, Setup(own.identity, Identity(self._world.factory), moved=True))

    def _came_or_stayed(self, end: End | None) -> None:
        if end is None:
            self.machine.handle(CoreEvent.CAME)
        else:
            self.machine.handle(CoreEvent.STAYED, end)

    def _arrive(self) -> None:
        seat = seat_of(self._home)
        self._call = None if seat is None else seat.call
        self._next()

    def _next(self, *_: object) -> None:
        """Whom the conference is to invite now."""
        call = self._call
        if call is None or not self._guests or not self._world.transfers.lend(call, self):
            self.machine.handle(CoreEvent.NO_MORE)
            return
        self.machine.arm("invite", INVITE_TIME)
        guest, far = self._guests[0], _far(call)
        ref = guest.leg.replaces() if isinstance(guest.leg, SipLeg) else None
        if far is None or guest.gone or (ref is None and ":" not in guest.name.uri):
            self.machine.handle(CoreEvent.REFUSED, None)  # the last: a web user whom the network does not know
        else:
            far.deliver(Transfer(guest.name.uri, replaces=ref, referred_by=call.other_identity(far).uri))

    def _taken(self) -> None:
        self._came += 1
        self._guests.pop(0).let_go(Reason.MERGED)
        self._next()

    def _left_out(self, event: Transferring | None = None) -> None:
        """The party stays in its call with the page, if it still has one."""
        guest = self._guests.pop(0)
        reason = Reason.TIMEOUT if event is None or event.reason is None else event.reason
        log.info(
            "a conference of the network's has not invited {party}: {why}",
            party=guest.name.uri,
            why=reason.word,
            ration="conferences",
        )
        if guest.moved is not None:
            guest.let_go(reason)
        self._next()

    def _give_back(self, end: End) -> None:
        """The factory cannot be had: the first call is as it was."""
        if self._guests and self._guests[0].moved is not None:
            self._guests[0].let_go(end.reason)
        self._done(end.reason)

    def _drop(self) -> None:
        """Nobody is left to ask."""
        for guest in self._guests:
            if guest.moved is not None:
                guest.let_go(Reason.HANGUP)
        self._finish()

    def _finish(self) -> None:
        if self._call is not None:
            self._world.transfers.give_back(self._call, self)
        self._done(self._home if self._came else Reason.MEDIA)


def _far(call: Call) -> SipLeg | None:
    """The leg that speaks to the conference."""
    return next((leg for leg in (call.callee, call.caller) if isinstance(leg, SipLeg)), None)


_S, _E, _M = CoreState, CoreEvent, CoreMerge

CORE_TABLE: Table[CoreState, CoreEvent] = Table(
    "merge by the core",
    _S.ASKED,
    CoreEvent,
    {
        (_S.ASKED, _E.FOUND): Row(_S.DIALLING, (_M._dial,)),
        (_S.ASKED, _E.JOINED): Row(_S.INVITING, (_M._next,)),
        (_S.DIALLING, _E.CAME): Row(_S.INVITING, (_M._arrive,)),
        (_S.DIALLING, _E.STAYED): Row(_S.OVER, (_M._give_back,)),
        (_S.INVITING, _E.INVITED): Row(_S.INVITING, (_M._taken,)),
        (_S.INVITING, _E.REFUSED): Row(_S.INVITING, (_M._left_out,)),
        (_S.INVITING, _E.LATE): Row(_S.INVITING, (_M._left_out,)),
        (_S.INVITING, _E.NO_MORE): Row(_S.OVER, (_M._finish,)),
        (_S.INVITING, _E.CALL_OVER): Row(_S.OVER, (_M._drop,)),
    },
    {
        _S.ASKED: set(_E) - {_E.FOUND, _E.JOINED},
        _S.DIALLING: set(_E) - {_E.CAME, _E.STAYED},
        _S.INVITING: {_E.FOUND, _E.JOINED, _E.CAME, _E.STAYED},
        _S.OVER: set(_E),
    },
    [Timer("invite", frozenset({_S.INVITING}), lambda merge: INVITE_TIME, _E.LATE)],
)
"""A leg that is moved says once where it is, and what the conference does not say in time counts as refused."""


class CoreMerger:
    """Makes conferences of calls by the factory at this URI. `placer` is the translator, `transfers` are its own."""

    __slots__ = ("clock", "factory", "placer", "transfers")

    def __init__(self, factory: str, placer: IPlacer, transfers: Transfers, clock: IReactorTime) -> None:
        self.factory = factory
        self.placer = placer
        self.transfers = transfers
        self.clock = clock

    def merge(self, legs: Sequence[ILeg], done: Done) -> None:
        """See `IMerger`. CONFLICT as `merge.Merger.merge` says it."""
        found = [(leg, seat) for leg in legs if (seat := seat_of(leg)) is not None]
        rooms = [(leg, seat) for leg, seat in found if is_focus(seat.far)]
        if len({seat.call for _, seat in found}) < len(legs) or len(rooms) > 1:
            done(Reason.CONFLICT)
            return
        home = rooms[0][0] if rooms else legs[0]
        guests = [_guest(seat) for leg, seat in found if leg is not home]
        merge = CoreMerge(self, home, guests, done)
        first = next(seat for leg, seat in found if leg is home)
        if rooms:
            merge.join(first.call)
        else:
            merge.found(first)


def _guest(seat: Seat) -> Guest:
    return Guest(seat.far_name, _plain(seat.far), seat.call, None)


def _plain(leg: ILeg) -> ILeg:
    """The device that was chosen."""
    return leg.chosen if isinstance(leg, Fork) and leg.chosen is not None else leg


def is_focus(leg: ILeg) -> bool:
    """Whether a leg speaks to a conference of the network's."""
    return isinstance(leg, SipLeg) and leg.dialog is not None and leg.dialog.focus
