"""The conference's end of a call: a leg whose peer is a line of the mixer.

    a party's leg -- [media] -- FocusLeg -- a line of the mixer's room

To the call it is like a phone of the core that answers at once, or that makes the offer where there is none. It
never asks for anything by itself, and whatever of a party concerns the others it tells its conference.

What it is not: it does not know who else is in the conference, nor when that is over (`conference.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Symbol, Table
from rtcgw.media.backend import Access, MediaError
from rtcgw.model.events import (
    Accept,
    Away,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Kind,
    Part,
    Participant,
    Roster,
    Setup,
    Transfer,
    Transferring,
    TransferStage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

log = Logger()


class ILine(Protocol):
    """A party's line into a room of the mixer (`media/mixer/line.py`). Descriptions raise `MediaError`, and then
    nothing has changed."""

    @property
    def held(self) -> bool:
        """Whether the party does not listen."""

    @property
    def figures(self) -> Mapping[str, int]:
        """Packets both ways and what became of them."""

    def offer(self) -> str:
        """Our description."""

    def answer(self, offer: str) -> str:
        """The answer to the party's offer; it holds from now on."""

    def take(self, answer: str) -> None:
        """The party's answer to our offer."""


class IHost(Protocol):
    """The conference, as its legs see it."""

    def changed(self) -> None:
        """Something about a party has changed that the others should know."""

    def left(self, leg: FocusLeg) -> None:
        """The leg is over."""


class FocusState(Symbol):
    """How far a party is."""

    IDLE = "invited"
    OFFERED = "has our offer"
    SEATED = "has our answer"
    """The line is agreed, the party on its way to it."""
    TALKING = "takes part"
    LENT = "takes part, has a new offer of ours"
    OVER = "has left"


class FocusEvent(Symbol):
    """What moves it."""

    CALLED = "the party offers"
    CALLED_BARE = "the party wants an offer"
    CONFIRMED = "the party has come"
    CHANGED = "the party offers anew"
    WANTED = "the party wants an offer anew"
    FAILED = "the line is not to be agreed on"
    ENDED = "the call ends"
    DISMISSED = "the conference ends"


_TAKES_PART: Final = frozenset({FocusState.TALKING, FocusState.LENT})


@implementer(ILeg)
class FocusLeg:
    """One party's call with a conference. `party` is who it is, `line` its line into the room."""

    __slots__ = ("_host", "access", "away", "line", "machine", "parent", "party", "session")

    def __init__(self, session: SessionId, party: Identity, line: ILine, host: IHost, clock: IReactorTime) -> None:
        self.session = session
        self.access = Access.CORE
        self.parent: ILegParent | None = None
        self.party = party
        self.line = line
        self.away = False
        """The party's page is not there just now."""
        self.machine = Machine(FOCUS_TABLE, self, clock, label=session)
        self._host = host

    def deliver(self, event: Event) -> None:
        """See `ILeg`. Keys, candidates and news of transfers mean nothing to a conference."""
        if isinstance(event, Setup):
            bare = event.description is None
            self.machine.handle(FocusEvent.CALLED_BARE if bare else FocusEvent.CALLED, event.description)
        elif isinstance(event, Confirm):
            self.machine.handle(FocusEvent.CONFIRMED, event.description)
        elif isinstance(event, Update):
            bare = event.description is None
            self.machine.handle(FocusEvent.WANTED if bare else FocusEvent.CHANGED, event.description)
        elif isinstance(event, Away):
            self.away = event.on
            self._host.changed()
        elif isinstance(event, Connected):
            self.party = event.party
            self._host.changed()
        elif isinstance(event, Transfer):
            # The gateway can move this leg; there is nobody who could call by himself.
            self._report(Transferring(TransferStage.FAILED, Reason.PROTOCOL, 405))
        elif isinstance(event, End):
            self.machine.handle(FocusEvent.ENDED)

    def view(self) -> LegView:
        """See `ILeg`."""
        details = {name: str(number) for name, number in self.line.figures.items()}
        return LegView(kind="conference", peer=self.party.uri, state=self.machine.state.value, details=details)

    def tell(self, roster: Roster) -> None:
        """Who is in the conference, for the party."""
        if self.present:
            self._report(roster)

    def dismiss(self) -> None:
        """The conference is over."""
        self.machine.handle(FocusEvent.DISMISSED)

    @property
    def present(self) -> bool:
        """Whether the party takes part."""
        return self.machine.state in _TAKES_PART

    @property
    def participant(self) -> Participant:
        """The party as the others see it."""
        if not self.present:
            part = Part.CALLING
        elif self.away:
            part = Part.AWAY
        else:
            part = Part.HELD if self.line.held else Part.TALKING
        return Participant(self.party, part)

    # -- actions -----------------------------------------------------------------------------

    def _answer(self, description: Description) -> None:
        try:
            sdp = self.line.answer(description.sdp)
        except MediaError as error:
            self.machine.handle(FocusEvent.FAILED, error)
        else:
            self._report(Accept(Description(Kind.ANSWER, sdp)))

    def _offer(self, _: None) -> None:
        self._report(Accept(Description(Kind.OFFER, self.line.offer())))

    def _take(self, description: Description | None) -> None:
        try:
            self._agree(description)
        except MediaError as error:
            self.machine.handle(FocusEvent.FAILED, error)
        else:
            self._host.changed()

    def _agree(self, description: Description | None) -> None:
        if description is None:
            raise MediaError(Reason.PROTOCOL, "our offer was never answered")
        self.line.take(description.sdp)

    def _come(self, _: Description | None) -> None:
        self._host.changed()

    def _change(self, description: Description) -> None:
        try:
            sdp = self.line.answer(description.sdp)
        except MediaError as error:
            log.info(
                "call {session}: conference: {detail}", session=self.session, detail=error.detail, ration="changes"
            )
            self._report(UpdateReject(error.reason))
        else:
            self._report(UpdateAccept(Description(Kind.ANSWER, sdp)))
            self._host.changed()

    def _lend(self, _: None) -> None:
        self._report(UpdateAccept(Description(Kind.OFFER, self.line.offer())))

    def _taken(self, description: Description | None) -> None:
        """What the party makes of our new offer; if it is of no use, all is as it was (RFC 6141)."""
        try:
            self._agree(description)
        except MediaError as error:
            log.info(
                "call {session}: conference: {detail}", session=self.session, detail=error.detail, ration="changes"
            )
        self._host.changed()

    def _fail(self, error: MediaError) -> None:
        log.warn("call {session}: conference: {detail}", session=self.session, detail=error.detail)
        self._report(End(error.reason))
        self._host.left(self)

    def _leave(self) -> None:
        self._host.left(self)

    def _dismissed(self) -> None:
        self._report(End(Reason.HANGUP))
        self._host.left(self)

    def _report(self, event: Event) -> None:
        if self.parent is not None:
            self.parent.report(self, event)


_S, _E, _L = FocusState, FocusEvent, FocusLeg
_LIVE: Final = tuple(state for state in FocusState if state is not FocusState.OVER)

FOCUS_TABLE: Table[FocusState, FocusEvent] = Table(
    "focus leg",
    _S.IDLE,
    FocusEvent,
    {
        (_S.IDLE, _E.CALLED): Row(_S.SEATED, (_L._answer,)),
        (_S.IDLE, _E.CALLED_BARE): Row(_S.OFFERED, (_L._offer,)),
        (_S.OFFERED, _E.CONFIRMED): Row(_S.TALKING, (_L._take,)),
        (_S.SEATED, _E.CONFIRMED): Row(_S.TALKING, (_L._come,)),
        (_S.SEATED, _E.CHANGED): Row(_S.SEATED, (_L._change,)),
        (_S.TALKING, _E.CHANGED): Row(_S.TALKING, (_L._change,)),
        (_S.TALKING, _E.WANTED): Row(_S.LENT, (_L._lend,)),
        (_S.LENT, _E.CONFIRMED): Row(_S.TALKING, (_L._taken,)),
        (_S.LENT, _E.CHANGED): Row(_S.TALKING, (_L._change,)),
        (_S.LENT, _E.WANTED): Row(_S.LENT, (_L._lend,)),
        **{(state, _E.FAILED): Row(_S.OVER, (_L._fail,)) for state in (_S.SEATED, _S.TALKING)},
        **{(state, _E.ENDED): Row(_S.OVER, (_L._leave,)) for state in _LIVE},
        **{(state, _E.DISMISSED): Row(_S.OVER, (_L._dismissed,)) for state in _LIVE},
    },
    {
        _S.IDLE: {_E.CONFIRMED, _E.CHANGED, _E.WANTED, _E.FAILED},
        _S.OFFERED: {_E.CALLED, _E.CALLED_BARE, _E.CHANGED, _E.WANTED, _E.FAILED},
        _S.SEATED: {_E.CALLED, _E.CALLED_BARE, _E.WANTED},
        _S.TALKING: {_E.CALLED, _E.CALLED_BARE, _E.CONFIRMED},
        _S.LENT: {_E.CALLED, _E.CALLED_BARE, _E.FAILED},
        _S.OVER: set(_E),
    },
)
"""An offer of ours that is never answered is the call's to miss: a change ends by itself there, a set-up in the leg."""
