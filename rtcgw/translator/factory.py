"""The translator (330): it holds the live calls and places new ones by Fig. 6.

A new call comes as a leg with its Setup, from either network; `place` finds the other
network, has the other leg built, joins the two in a `Call` and enters the mapping row.
How legs are built is the business of the rooms above, which hand in their builders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from rtcgw.media.backend import Access, IMediaBackend, IMediaSession, MediaError, OnNews
from rtcgw.model import defaults
from rtcgw.model.emergency import NONE, Emergency
from rtcgw.model.events import End, Setup
from rtcgw.model.identity import DialogRef, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.store.table import IMappingTable, Mapping, TableFull
from rtcgw.translator.call import Call
from rtcgw.translator.callstate import Terms
from rtcgw.translator.crowd import Crowds
from rtcgw.translator.flow import Form, IWorld, Network, Received, dispatch
from rtcgw.translator.focus import FocusLeg
from rtcgw.translator.hairpin import hairpin
from rtcgw.translator.leg import ILeg
from rtcgw.translator.merge import IMerger
from rtcgw.translator.moved import MovedLeg, movable
from rtcgw.translator.movestate import IMover
from rtcgw.translator.record import Books
from rtcgw.translator.transfer import Transfers

log = Logger()


class Unreachable(Exception):
    """A destination cannot be had; `reason` says why."""

    def __init__(self, reason: Reason, text: str | None = None) -> None:
        super().__init__(text or reason.text)
        self.reason = reason


class IDestinations(Interface):
    """What the translator asks of the identifying handler (420) and the routing function (530)."""

    def network(destination: str) -> Network:
        """S606. Raises `Unreachable` when neither network has such a destination."""

    def readable(destination: str, form: Form) -> bool:
        """S616: whether the client's dialect is this form."""

    def peer(setup: Setup, caller: Access, callee: Access) -> PeerProfile:
        """What the party of the core is like; the plain profile between two of the web."""

    def dialog(ref: DialogRef) -> ILeg | None:
        """The leg of a phone that has this dialog with us."""

    def web_leg(setup: Setup, session: SessionId) -> ILeg:
        """A leg that rings the web user's devices. Raises `Unreachable` (OFFLINE)."""

    def ims_leg(setup: Setup, session: SessionId) -> ILeg:
        """A leg that calls into the core. Raises `Unreachable` (NOT_REGISTERED, OVERLOADED)."""


class ITranslator(Interface):
    """Who places calls (330), as the rooms above see it."""

    def place(origin: ILeg, setup: Setup, form: Form) -> None:
        """Place a call. On return the leg has a parent, or was told `End`. Nothing is raised."""

    def merge(legs: Sequence[ILeg], done: Callable[[ILeg | Reason], None]) -> None:
        """The calls of these legs, all of one page, become one conference. `done` is called once, perhaps at once:
        with the leg by which the page takes part in it, or why there is none."""


@frozen
class Limits:
    """Bounds of the translator, and what all calls have in common."""

    max_calls: int = 10_000
    ring_time: float = defaults.RING_TIME
    """Seconds a call may ring, where the peer profile says nothing."""
    warm_start: bool = True
    """A calling browser gets an early answer of the gateway's own, so that its media connect while the phone rings.
    Not with the literal ladder of Fig. 8, in which no such message has a place."""
    hold_after: float = defaults.HOLD_AFTER
    """Seconds without its page until a call's other side is put on hold; 0: it is not."""
    emergency: Emergency = NONE
    """Numbers that are never placed, whoever asks: a page, a phone, a transfer."""


@implementer(ITranslator)
@define(eq=False)
class Translator:
    """The live calls, and the placing of new ones.

    `core_media` carries calls between the networks; `web_media` carries calls between two browsers, or two
    phones that a transfer has joined, whose descriptions may pass as they are. (Two browsers that a transfer has
    joined are another matter: `hairpin.py`.)
    """

    _clock: IReactorTime
    _destinations: IDestinations
    _core_media: IMediaBackend
    _web_media: IMediaBackend
    table: IMappingTable
    _limits: Limits = field(factory=Limits)
    _books: Books = field()
    """Where ended calls and refused set-ups are entered; by default nobody keeps them."""
    calls: dict[SessionId, Call] = field(factory=dict, init=False)
    ended: dict[str, int] = field(factory=dict, init=False)
    """How many calls and refused set-ups ended for each reason word."""
    draining: bool = field(default=False, init=False)
    """No new calls: the gateway is about to stop."""
    _on_empty: Callable[[], None] | None = field(default=None, init=False)
    crowds: Crowds | None = field(default=None, init=False)
    """Who asks conferences of other people's who is in them; None: nobody."""
    merger: IMerger | None = field(default=None, init=False)
    """Who makes conferences; None where there are none."""
    transfers: Transfers = field(init=False)

    @transfers.default
    def _no_transfers(self) -> Transfers:
        return Transfers(self, self._clock)

    @_books.default
    def _no_books(self) -> Books:
        return Books(self._clock)

    def merge(self, legs: Sequence[ILeg], done: Callable[[ILeg | Reason], None]) -> None:
        """See `ITranslator`."""
        if self.merger is None:
            done(Reason.MEDIA)
        else:
            self.merger.merge(legs, done)

    @property
    def full(self) -> bool:
        """As many calls as there may be."""
        return len(self.calls) >= self._limits.max_calls

    def place(self, origin: ILeg, setup: Setup, form: Form = Form.NATIVE, callee: ILeg | None = None) -> None:
        """Place a call. A refusal comes back to `origin` as a delivered `End`; nothing is raised.

        With `callee` it is known who is called, a leg that is moved here (`move`); a refusal comes to it as well.
        """
        try:
            if self.forbidden(setup.callee.uri):
                raise Unreachable(Reason.EMERGENCY)
            if self.draining:
                raise Unreachable(Reason.SHUTDOWN)
            if self.full:
                raise Unreachable(Reason.OVERLOADED)
            if callee is not None:
                self.join(origin, callee, setup, form, "moved")
                return
            placement = _Placement(self, origin, setup, form)
            path = dispatch(Received(form, True, setup.callee.uri), placement)
            self.join(origin, placement.callee, setup, form, path)
        except Unreachable as error:
            self._refuse(origin, setup, error.reason)
            log.info(
                "call {session} refused: {reason}, {caller} -> {callee}",
                session=origin.session,
                reason=error.reason.word,
                caller=setup.caller.uri,
                callee=setup.callee.uri,
                ration="refused calls",
            )
            self._undo(error.reason, origin, callee)
        except Exception:
            log.failure("call {session}: internal error while placing it", session=origin.session)
            self.table.release(origin.session)
            self._refuse(origin, setup, Reason.INTERNAL)
            self._undo(Reason.INTERNAL, origin, callee)

    def _undo(self, reason: Reason, origin: ILeg, callee: ILeg | None) -> None:
        """Nothing came of it, and the legs are told; a callee's that was told already hears nothing new."""
        origin.deliver(End(reason))
        if callee is not None:
            callee.deliver(End(reason))

    def move(self, call: Call, leg: ILeg, mover: IMover, reason: Reason = Reason.TRANSFERRED) -> MovedLeg | None:
        """A leg of a call as one of a call that is about to be placed; None where it cannot be moved now.

        `reason` is what whoever is left in the old call hears in the end.
        """
        return MovedLeg(call, leg, self._clock, mover, reason, self._followed) if movable(call, leg) else None

    def dialog(self, ref: DialogRef) -> ILeg | None:
        """See `transfer.IPlacer`."""
        return self._destinations.dialog(ref)

    def on_web(self, destination: str) -> bool:
        """See `transfer.IPlacer`."""
        try:
            return self._destinations.network(destination) is Network.RTCWEB
        except Unreachable:
            return False

    def _followed(self, moved: MovedLeg) -> None:
        """The SIP dialog of a leg that has moved belongs to its new session from now on."""
        row = self.table.get(moved.call.session)
        if row is not None and row.dialog is not None and not moved.access.on_web:
            self.table.change(row.session, dialog=None)
            self.table.change(moved.new_call.session, dialog=row.dialog, profile=row.profile)

    def find(self, session: SessionId, user: str) -> tuple[Call, ILeg] | None:
        """The call in which a page of this user has this session id, and its leg there.

        A call begins with the id of its legs; one that was made of moved legs has another one. In a hairpin a page's
        id is that of the call next to its own.
        """
        call = self.calls.get(session)
        for found in chain(() if call is None else (call,), self.calls.values()):
            for leg in (found.caller, found.callee):
                if leg.session == session and leg.access.on_web and leg.view().user == user:
                    return found, leg
        return None

    def forbidden(self, target: str) -> bool:
        """Whether `target` is an emergency number: not to be placed, nor asked of anybody else (REFER)."""
        return self._limits.emergency.covers(target)

    def _refuse(self, origin: ILeg, setup: Setup, reason: Reason) -> None:
        """Nothing came of a set-up: it is counted and recorded."""
        self._count(reason)
        self._books.refuse(setup, origin.view(), origin.session, origin.access, reason)

    def join(self, origin: ILeg, callee: ILeg, setup: Setup, form: Form, path: str = "") -> Call:
        """Make the call of two legs and start it; `path` is how Fig. 6 placed it.

        Raises `Unreachable` when there is no room or no media for it. A call that cannot be started for a fault of
        ours is ended, and nothing is raised.
        """
        session = origin.session
        if setup.moved and origin.access.on_web and callee.access.on_web:
            callee = hairpin(session, callee, lambda half, inner, target: self.place(half, inner, form, target))
        peer = PLAIN_PEER
        if not isinstance(callee, FocusLeg):
            peer = self._destinations.peer(setup, origin.access, callee.access)
        backend = self._web_media if origin.access.on_web == callee.access.on_web else self._core_media

        def open_media(on_news: OnNews) -> IMediaSession:
            return backend.open(session, origin.access, callee.access, on_news, peer)

        try:
            self.table.add(Mapping(session, setup.caller.key, setup.callee.key, form.value))
            call = Call(setup, origin, callee, open_media, self._clock, self._forget, self._terms(peer), self._books)
        except TableFull:
            callee.deliver(End(Reason.OVERLOADED))
            raise Unreachable(Reason.OVERLOADED) from None
        except MediaError as error:
            self.table.release(session)
            callee.deliver(End(error.reason))
            log.warn("call {session}: media: {detail}", session=session, detail=error.detail)
            raise Unreachable(error.reason) from None
        self.calls[session] = call
        call.path, call.transfers, call.crowds = path, self.transfers, self.crowds
        try:
            call.start()
        except Exception:
            log.failure("call {session}: internal error while starting it", session=session)
            call.end(Reason.INTERNAL)
        return call

    def _terms(self, peer: PeerProfile) -> Terms:
        limits = self._limits
        ring_time = limits.ring_time if peer.ring_time is None else peer.ring_time
        return Terms(ring_time, limits.warm_start, peer.early_media, peer.transfer, limits.hold_after)

    def drain(self, on_empty: Callable[[], None] | None = None) -> int:
        """Take no new calls; `on_empty` is called once none is left. Returns how many still run."""
        self.draining = True
        self._on_empty = on_empty
        if not self.calls:
            self._emptied()
        return len(self.calls)

    def end_all(self, reason: Reason) -> None:
        """End every call now."""
        for call in list(self.calls.values()):
            call.end(reason)

    def _forget(self, call: Call) -> None:
        self.calls.pop(call.session, None)
        self.table.release(call.session)
        if call.reason is not None:
            self._count(call.reason)
        if self.draining and not self.calls:
            self._emptied()

    def _emptied(self) -> None:
        on_empty, self._on_empty = self._on_empty, None
        if on_empty is not None:
            on_empty()

    def _count(self, reason: Reason) -> None:
        self.ended[reason.word] = self.ended.get(reason.word, 0) + 1


@implementer(IWorld)
@define(eq=False)
class _Placement:
    """One set-up on its way through Fig. 6."""

    _translator: Translator
    _origin: ILeg
    _setup: Setup
    _form: Form
    callee: ILeg = field(init=False)
    """Set where the flow ends: a set-up always goes to one side or is refused."""

    def network(self, destination: str) -> Network:
        return self._translator._destinations.network(destination)

    def readable(self, destination: str, form: Form) -> bool:
        return self._translator._destinations.readable(destination, form)

    def to_ims(self, message: Received) -> None:
        self.callee = self._translator._destinations.ims_leg(self._setup, self._origin.session)

    def to_client(self, message: Received) -> None:
        self.callee = self._translator._destinations.web_leg(self._setup, self._origin.session)
