"""One media line of a call: where it stands on each side, what was told of it there, and the packets that follow.

A line has a place among the browser's media lines and another among the phone's, and keeps each for life (RFC 3264
§8). Everything that a refused change must undo is in `save`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from rtcgw.media import preconditions
from rtcgw.media.codecs import DTMF, Ident, Numbers, ident
from rtcgw.media.describe import CORE_PROFILE, CoreLine, WebLine
from rtcgw.media.embedded.audio import Make
from rtcgw.media.embedded.security import Security
from rtcgw.media.packets.relay import Relay
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.transcode import Recoder
from rtcgw.media.peers import AUDIO, FEEDBACK, VIDEO, CoreStream, WebStream
from rtcgw.media.preconditions import Preconditions
from rtcgw.media.sdp import Codec, Direction
from rtcgw.media.sockets import Write
from rtcgw.model.defaults import PTIME


class Choice(Protocol):
    """How the codecs of one kind of media are chosen: `AudioChoice`, `VideoChoice`."""

    def usable(self, core: Iterable[Codec]) -> list[Codec]:
        """Of a phone's codecs those that its profile lets it use."""

    def offer_core(self, web: Sequence[Codec], settled: bool = False) -> list[Codec]:
        """What the phone is offered; `settled`: the browser has been answered already."""

    def offer_web(self, core: Sequence[Codec]) -> list[Codec]:
        """What the browser is offered; [] for `core`: the phone has not spoken."""

    def answer_web(self, web: Sequence[Codec], core: Sequence[Codec] | None, before: Sequence[Codec]) -> list[Codec]:
        """What the browser is answered; None for `core`: the phone has not spoken."""

    def answer_core(self, core: Sequence[Codec], agreed: Sequence[Codec] | None) -> list[Codec]:
        """What the phone is answered; None for `agreed`: the browser has not spoken."""

    def converts(self, agreed: Sequence[Codec], core: Sequence[Codec]) -> bool:
        """Whether a conversion is needed that costs."""

    def routes(
        self, agreed: Sequence[Codec], core: Sequence[Codec], told: Sequence[Codec], make: Make | None
    ) -> tuple[dict[int, Route], dict[int, Route]]:
        """What becomes of the packets of each side."""


@frozen
class Ends:
    """The two sockets of one line towards the core."""

    port: int
    """Of RTP; RTCP is the next."""
    write: Write
    write_rtcp: Write
    close: Callable[[], object]


@frozen
class Half:
    """One side of a line."""

    index: int | None = None
    """Its place among the media lines; None: it has none yet."""
    told: tuple[Codec, ...] = ()
    """The codecs of our last description, under that side's numbers; none: refused, or not offered."""
    direction: Direction = Direction.SENDRECV
    """Of our last description."""
    bandwidth: int | None = None
    """What the other side takes, kbit/s."""

    def at(self, index: int | None) -> Half:
        """The same in another place."""
        return self if index == self.index else Half(index, self.told, self.direction, self.bandwidth)

    @property
    def refused(self) -> Half:
        """The same, refused."""
        return Half(self.index, (), self.direction, self.bandwidth) if self.told else self


@define(eq=False)
class Line:
    """See the module."""

    kind: str
    choice: Choice
    security: Security
    relay: Relay
    ends: Ends
    ptime_core: int
    """Milliseconds per packet that the phone is offered."""
    numbers: Numbers
    """Of the phone's side; those of the browser are common to all its lines."""
    web: Half = Half()
    core: Half = Half()
    agreed: tuple[Codec, ...] = ()
    """The browser's codecs in use, its first choice first."""
    conveyed: Direction = Direction.SENDRECV
    """The browser's direction as the phone knows it."""
    willing: Direction = Direction.SENDRECV
    """As much as the browser would take part, from our view."""
    ptime: int = PTIME
    """Milliseconds per packet that the browser is told."""
    proto: str = CORE_PROFILE
    """The profile towards the phone."""
    feedback: tuple[str, ...] = ()
    """What the phone takes of it."""
    attributes: tuple[str, ...] = field(default=(), repr=False)
    """Keys and preconditions in our last description for the phone."""
    status: Preconditions | None = None
    """The phone's, where its profile has any."""
    converted: bool = False
    """What passes is being converted."""
    shown: bool = False
    """The browser has answered the line, or offered it: it has its port."""
    held: bool = False
    """The browser holds the phone, not by its description but by what it asked of the gateway."""
    deaf: bool = False
    """The phone's descriptions say that it takes nothing: it holds the browser."""
    _recoders: dict[tuple[Ident, Ident, int], Recoder] = field(factory=dict)

    _SAVED = (
        *("web", "core", "agreed", "conveyed", "willing", "ptime"),
        *("proto", "feedback", "attributes", "status", "converted", "shown", "held", "deaf", "choice", "security"),
    )

    def save(self) -> tuple[Any, ...]:
        """Everything that a refused change undoes."""
        return (*(getattr(self, name) for name in self._SAVED), self.security.keys)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was when `save` was called."""
        for name, value in zip(self._SAVED, saved, strict=False):
            setattr(self, name, value)
        self.security.keys = saved[-1]

    # -- towards the phone -------------------------------------------------------------------------

    def offer_core(self, stream: WebStream | None, known: bool, settled: bool, quality: bool) -> bool:
        """Offer what the browser has in `stream`; False: nothing, the line is refused or left out.

        `known` False: the browser has not spoken, everything is offered. `settled`: it has been answered already.
        """
        if stream is not None:
            codecs = self.choice.offer_core(self.agreed if settled else stream.codecs, settled)
        else:
            codecs = [] if known else self.choice.offer_core(self.choice.offer_web(()))
        if not codecs:
            self.core = self.core.refused
            return False
        if not self.core.told:
            self.proto, self.feedback = self.security.profile, ()
        # Where both hold, the stream is idle (RFC 3264 §8.4); else the phone hears what the browser would have.
        direction = Direction.INACTIVE if self.held and self.deaf else self._wish(stream)
        self._tell_core(self.numbers.give(codecs), direction, stream)
        status = self.status or preconditions.OURS
        self.attributes = (*self.security.offer(), *(status.lines() if quality else ()))
        return True

    def answer_core(self, stream: CoreStream, web: WebStream | None, early: bool) -> bool:
        """Answer the phone's `stream` for what was agreed with the browser; `early`: before it has spoken."""
        agreed = None if early else self.agreed
        codecs = self.choice.answer_core(stream.codecs, agreed) if early or agreed else []
        if not codecs:
            self.core = self.core.refused
            return False
        self._tell_core(codecs, self._wish(web).within(stream.direction.mirrored), web)
        self.proto, self.feedback = stream.proto, stream.feedback
        self.attributes = (*self.security.answer(stream), *(() if self.status is None else self.status.lines()))
        return True

    def _tell_core(self, codecs: Sequence[Codec], direction: Direction, web: WebStream | None) -> None:
        self.core = Half(self.core.index, tuple(codecs), direction, None if web is None else web.bandwidth)
        self.conveyed = self._wish(web)

    def _wish(self, web: WebStream | None) -> Direction:
        """What the phone may know of the browser's direction (RFC 3264 §8.4): whoever holds takes nothing."""
        direction = Direction.SENDRECV if web is None else web.direction
        return direction.deaf if self.held else direction

    def is_news(self, stream: WebStream) -> bool:
        """Whether the browser's direction is another than the phone knows."""
        return self._wish(stream) is not self.conveyed

    def hear_core(self, stream: CoreStream, is_offer: bool) -> None:
        """Whether the phone holds, by its new description. An answer says so only where more was offered than it
        takes (RFC 6337 §5.3)."""
        if is_offer or self.core.direction.sends:
            self.deaf = not stream.direction.receives

    def core_line(self, host: str) -> CoreLine:
        """What the phone is told."""
        return CoreLine(
            host=host,
            port=self.ends.port,
            rtcp=self.ends.port + 1,
            codecs=self.core.told,
            direction=self.core.direction,
            proto=self.proto,
            ptime=self.ptime_core,
            bandwidth=self.core.bandwidth,
            feedback=self.feedback if self.proto.endswith("F") else (),
            attributes=self.attributes,
        )

    # -- towards the browser -----------------------------------------------------------------------

    def offer_web(self, stream: CoreStream | None, known: bool, numbers: Numbers) -> bool:
        """Offer what the phone has in `stream`; `known` False: it has not spoken, everything is offered.

        What is agreed already is offered again while the phone can still play it.
        """
        theirs = () if stream is None else stream.codecs
        if stream is None and known:
            codecs = []
        elif self.agreed and self.web.told and (stream is None or self.plays(stream)):
            codecs = list(self.agreed)
        else:
            codecs = numbers.give(self.choice.offer_web(theirs))
        if not codecs:
            self._refuse_web()
            return False
        # A phone's hold is no matter of the browser's sound; a picture that nobody takes would cost a megabit.
        direction = Direction.SENDRECV if stream is None or self.kind == AUDIO else stream.direction
        self.ptime = PTIME if stream is None else stream.ptime
        self._tell_web(codecs, direction, stream)
        return True

    def plays(self, stream: CoreStream) -> bool:
        """Whether the phone can go on with what is agreed with the browser, at no more cost than so far."""
        if not self.choice.answer_core(stream.codecs, self.agreed):
            return False
        return self.converted or not self.choice.converts(self.agreed, stream.codecs)

    def answer_web(self, stream: WebStream, core: CoreStream | None, early: bool) -> bool:
        """Answer the browser's `stream` for what the phone has; `early`: before it has spoken."""
        if core is None and not early:
            self._refuse_web()
            return False
        before = self.agreed if self.web.told else ()
        codecs = self.choice.answer_web(stream.codecs, None if core is None else core.codecs, before)
        if not codecs:
            self._refuse_web()
            return False
        if core is not None and tuple(codecs) != before:
            self.ptime = core.ptime
        self.willing = stream.direction.mirrored
        direction = self.willing
        if core is not None and self.kind != AUDIO:
            direction = core.direction.within(direction)
        self._tell_web(codecs, direction, core)
        self.agreed, self.shown = tuple(codecs), True
        return True

    def take_web(self, stream: WebStream | None) -> bool:
        """The browser's answer to our offer; False: it has refused the line."""
        told = {codec.pt: codec for codec in self.web.told}
        idents = set(map(ident, told.values()))
        agreed: list[Codec] = []
        for codec in () if stream is None else stream.codecs:
            ours = told.get(codec.pt)
            if ident(codec) in idents:
                agreed.append(codec)
            elif ours is not None and ours.name == codec.name:
                agreed.append(ours)  # an answer that leaves out the parameters of the offer
        if stream is None or not agreed or agreed[0].name == DTMF:
            self._refuse_web()
            return False
        is_all = stream.direction is self.web.direction.mirrored
        self.willing = Direction.SENDRECV if is_all else stream.direction.mirrored
        self.agreed, self.shown = tuple(agreed), True
        return True

    def _tell_web(self, codecs: Sequence[Codec], direction: Direction, core: CoreStream | None) -> None:
        bandwidth = None if core is None or self.kind == AUDIO else core.bandwidth
        self.web = Half(self.web.index, tuple(codecs), direction, bandwidth)

    def _refuse_web(self) -> None:
        self.agreed, self.web = (), self.web.refused

    def web_line(self, mid: str | None) -> WebLine:
        """What the browser is told."""
        return WebLine(
            codecs=self.web.told,
            direction=self.web.direction,
            mid=mid,
            ptime=self.ptime,
            bandwidth=self.web.bandwidth,
            feedback=FEEDBACK if self.kind == VIDEO else (),
            new=not self.shown,
        )

    # -- packets -----------------------------------------------------------------------------------

    def join(
        self, web: WebStream | None, core: CoreStream | None, converts: bool, muted: bool, apart: bool = False
    ) -> None:
        """Let packets through between these two, each payload number as its receiver wants it; None: no more.

        `muted`: the phone is not to hear the browser yet. `apart`: neither hears the other, one of them holds.
        """
        if web is None or core is None or not (self.agreed and self.core.told):
            self.relay.connect(None, None, False, False)
            return
        self.converted = converts and self.choice.converts(self.agreed, core.codecs)
        make = self._recoder if converts else None
        up, down = self.choice.routes(self.agreed, core.codecs, self.core.told, make)
        self.relay.agree(up, down, bool(self.feedback))
        self.relay.secure(self.security.keys)
        hears = core.direction.receives and not muted and not apart
        self.relay.connect(core.address, core.rtcp, hears, web.direction.receives and not apart)

    def _recoder(self, source: Codec, target: Codec) -> Recoder:
        """One for each pair of codecs, which goes on through new offers."""
        is_up = source.pt in {codec.pt for codec in self.agreed} and source in self.agreed
        ptime = self.ptime_core if is_up else self.ptime
        key = (ident(source), ident(target), ptime)
        made = self._recoders.get(key)
        if made is None:
            made = self._recoders[key] = Recoder(source, target, ptime)
        return made

    def close(self) -> None:
        """Nothing passes any more, and the ports are free."""
        self.relay.close()
        self.ends.close()
