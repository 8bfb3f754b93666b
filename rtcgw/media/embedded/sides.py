"""One party's half of the offers and answers: whose turn it is, and the places of all its media lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from rtcgw.media.codecs import Numbers
from rtcgw.media.describe import Origin, Slot
from rtcgw.media.peers import CorePeer, WebPeer, refuse
from rtcgw.media.sdp import MAX_MEDIA

P = TypeVar("P", CorePeer, WebPeer)


class Exchange(Enum):
    """Who has offered last on one side (RFC 3264: one exchange at a time)."""

    NONE = "nothing said"
    THEIRS = "they offered"
    OURS = "we offered"
    DONE = "answered"


class Placed(Protocol):
    """A stream of either side."""

    @property
    def index(self) -> int:
        """Its place."""

    @property
    def kind(self) -> str:
        """Its kind."""


class Side(Generic[P]):
    """See the module. `proto` is the profile of the lines that we add."""

    __slots__ = ("_proto", "answered", "exchange", "numbers", "origin", "peer", "promised", "slots")

    def __init__(self, host: str, proto: str) -> None:
        self.origin = Origin(host)
        self._proto = proto
        self.exchange = Exchange.NONE
        self.peer: P | None = None
        """Its last description that was taken."""
        self.answered = ""
        """The text of its last answer, which may come again."""
        self.slots: tuple[Slot, ...] = ()
        """All media lines in their places."""
        self.promised = False
        """It was answered before the other side had been."""
        self.numbers = Numbers()

    def save(self) -> tuple[Any, ...]:
        """Everything that a refused change undoes; the version of our description goes on."""
        return self.exchange, self.peer, self.answered, self.slots, self.promised, self.numbers, self.origin.text

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was when `save` was called."""
        self.exchange, self.peer, self.answered, self.slots, self.promised, self.numbers, text = saved
        self.origin.restore(text)

    def take_offer(self, peer: P) -> bool:
        """Its offer holds. True: it comes from another source than before (another page, a transfer).

        Raises `MediaError` for one with fewer lines than before from the same source (RFC 3264 §8).
        """
        before, self.peer = self.peer, peer
        another = before is not None and before.source != peer.source
        if before is not None and not another and len(peer.slots) < len(self.slots):
            raise refuse("a media line is missing in the new offer")
        if another:
            self.numbers = Numbers()
        self.slots, self.answered = peer.slots, ""
        return another

    def take_answer(self, peer: P) -> None:
        """Its answer holds. Lines that it leaves out are refused ones, those beyond the offer are nobody's."""
        self.peer = peer
        count = len(self.slots)
        self.slots = peer.slots[:count] + self.slots[len(peer.slots) :]

    def place(self, kind: str, before: int | None, streams: Sequence[Placed]) -> int | None:
        """Where a line of this kind is in a new offer: where it was, else in the first line of the kind in use.

        A line that is not in use keeps its place; None: it has none.
        """
        mine = [stream.index for stream in streams if stream.kind == kind]
        if before in mine:
            return before
        if mine:
            return mine[0]
        kept = before is not None and before < len(self.slots) and self.slots[before].kind == kind
        return before if kept else None

    def slot(self, kind: str, before: int | None, proto: str) -> int:
        """The place of a line in our offer: its own, a refused one of the kind, else a new one at the end."""
        if before is not None:
            return before
        free = (place for place, slot in enumerate(self.slots) if slot.kind == kind)
        place = next(free, len(self.slots))
        if place >= MAX_MEDIA:
            raise refuse("no place for another media line")
        mids: Iterable[str | None] = {slot.mid for slot in self.slots}
        mid = next(name for name in map(str, range(place, place + MAX_MEDIA + 1)) if name not in mids)
        is_web = isinstance(self.peer, WebPeer) or self._proto.startswith("UDP")
        made = Slot(kind, proto, "0", mid if is_web else None)
        if place == len(self.slots):
            self.slots = (*self.slots, made)
        return place
