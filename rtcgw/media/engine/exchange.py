"""Offers and answers of one call, as rtpengine is shown them and as the parties are told of it.

An `Exchange` holds both sides and talks to the engine; it decides nothing about when. Each method that asks the
engine is a coroutine and may raise `MediaError`; the caller restores the sides then (`session.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred

from rtcgw.media.backend import Access, MediaError, Party
from rtcgw.media.describe import WEB_PROFILE
from rtcgw.media.engine import flags as engineflags
from rtcgw.media.engine import lines as enginelines
from rtcgw.media.engine.codecs import AUDIO, DTMF, VIDEO, WEB, Plan, offer_of_core, offer_of_web
from rtcgw.media.engine.lines import NOWHERE, SUITES, Heard, with_codecs
from rtcgw.media.engine.ng import NgError, NgTimeout, Reply, Value
from rtcgw.media.packets.sdes import Crypto
from rtcgw.media.packets.transcode import Places
from rtcgw.media.sdp import Codec, Direction, Media, SdpError
from rtcgw.model.peer import Dtmf, PeerProfile, Srtp
from rtcgw.model.reason import Reason

Ask = Callable[[Mapping[str, Value]], "Deferred[Reply]"]
Lines = dict[str, Media]

_MADE_UP = {
    "PCMU": Codec(0, "PCMU", 8000),
    "PCMA": Codec(8, "PCMA", 8000),
    "G722": Codec(9, "G722", 8000),
    "OPUS": Codec(111, "OPUS", 48000, 2),
}
_SECURED = {Srtp.SDES: "RTP/SAVP", Srtp.OPPORTUNISTIC: "RTP/SAVP", Srtp.NONE: "RTP/AVP"}


class FullError(MediaError):
    """The engine takes no more calls."""


class SilentError(MediaError):
    """The engine does not answer."""


class Exchange:
    """See the module. `call` is the engine's name for the call; `ask` sends a request to its engine."""

    def __init__(self, call: str, parties: tuple[Access, Access], peer: PeerProfile, places: Places, ask: Ask) -> None:
        self.call = call
        self.peer = peer
        self.ask = ask
        self.sides = {party: enginelines.side(access) for party, access in zip(Party, parties, strict=True)}
        self.web = next(party for party in Party if self.sides[party].on_web)
        self.core = self.web.other
        self._has_ice = self.sides[self.web].access is Access.WEB
        self._kinds: list[str] = [AUDIO]
        """The engine's lines, which keep their places as the parties' own do."""
        self._offered: Lines = {}
        """What the engine wrote for the last offer."""
        self._order: tuple[str, ...] = ()
        self.is_met = False
        """The engine knows both tags."""
        self._places = places
        self._has_place = False
        self.injects = False
        """The engine is to say keys in this call."""

    # -- what is told ------------------------------------------------------------------------------------------

    def write(self, target: Party, lines: Lines, offering: bool) -> str:
        """What `target` is told of the engine's lines, as an offer of ours or as an answer."""
        side = self.sides[target]
        if offering:
            for kind in lines:
                side.place(kind, self._profile_told(kind) if target is self.core else WEB_PROFILE)
        if target is self.web:
            return enginelines.web_text(side, lines, offering)
        return enginelines.core_text(side, lines, self._order, self.peer, offering)

    def take(self, origin: Party, heard: Heard) -> None:
        """A description of `origin` is in force."""
        self.sides[origin].take(heard)
        self._kinds += [kind for kind in heard.lines if kind not in self._kinds]

    def expects(self, party: Party) -> bool:
        """Whether the party should be sending sound."""
        mine, other = self.sides[party].lines.get(AUDIO), self.sides[party.other].lines.get(AUDIO)
        if mine is None or other is None or any(side.held for side in self.sides.values()):
            return False
        return (mine.direction or Direction.SENDRECV).sends and (other.direction or Direction.SENDRECV).receives

    def make_up(self, party: Party) -> None:
        """Give a party lines that it has not described, so that the engine has something to write an answer to."""
        side = self.sides[party]
        found = [_MADE_UP[name] for name in self.peer.codecs if name in WEB]
        if self.peer.dtmf is Dtmf.RTP:
            found += [Codec(101 + place, DTMF, rate) for place, rate in enumerate(sorted({one.rate for one in found}))]
        # The engine takes a browser at 0.0.0.0 without ICE for one on hold, and would tell the phone so. Port 9 of its
        # own machine is nobody, and nobody hears what it may send there until the browser has described itself.
        host = "127.0.0.1" if side.on_web else NOWHERE
        side.lines = {AUDIO: Media(AUDIO, 9, "RTP/AVP", [], host, None, Direction.SENDRECV)}
        side.codecs = {AUDIO: tuple(found)}

    # -- places to convert codecs ------------------------------------------------------------------------------

    def plan(self, origin: Party, codecs: Sequence[Codec], settled: bool) -> Plan:
        """What the engine is shown of these codecs of `origin`. `settled`: the other side is not told anything new.

        Raises `MediaError`.
        """
        free = self._has_place or self._places.used < self._places.limit
        other = self.sides[origin.other]
        if origin is self.web:
            agreed = [codec.name for codec in other.codecs[AUDIO] if codec.name != DTMF] if settled else []
            return offer_of_web(codecs, self.peer, free, agreed)
        mine = {codec.name for codec in other.codecs[AUDIO]} if settled else set()
        return offer_of_core(codecs, self.peer, free, [name for name in other.told_names() if name in mine])

    def _hold_place(self, wanted: bool) -> None:
        if wanted and not self._has_place:
            self._has_place = self._places.take()
        elif self._has_place and not wanted:
            self._has_place = False
            self._places.give()

    def close(self) -> None:
        """The call is over: its place is another's."""
        self._hold_place(wanted=False)

    # -- what is asked -----------------------------------------------------------------------------------------

    def moved(self, ask: Ask) -> None:
        """Another engine has the call from now on, and knows nothing of it."""
        self.ask = ask
        self.is_met = False

    async def offer(self, origin: Party, settled: bool = False, instead: Mapping[str, Media] | None = None) -> Lines:
        """Show an offer of `origin`; the engine's lines for the other party. `instead`: lines shown for its own."""
        side = self.sides[origin]
        plan = self.plan(origin, side.codecs[AUDIO], settled)
        self._hold_place(plan.converts)
        shown: list[Media] = []
        for kind in self._kinds:
            line = (instead or {}).get(kind) or side.lines.get(kind)
            if line is None:
                shown.append(enginelines.refused(kind, side.on_web))
                continue
            codecs = plan.given if kind == AUDIO else self._pictures(origin, settled)
            shown.append(self._shown(origin, line, codecs, None))
        more: dict[str, Value] = {"codec": plan.codec, "supports": ["load limit"]}
        if not plan.codec:
            del more["codec"]
        self._offered = await self._ask("offer", origin, shown, more)
        self._order = plan.order
        return self._offered

    async def answer(self, origin: Party, mirrored: bool = False) -> Lines:
        """Show the answer of `origin` to the last offer; the engine's lines for the one who offered.

        `mirrored`: its directions are those that fit the offer, because it has not been asked.
        """
        side, other = self.sides[origin], self.sides[origin.other]
        shown: list[Media] = []
        for kind in self._kinds:
            line, offered = side.lines.get(kind), self._offered.get(kind)
            if line is None or offered is None:
                shown.append(enginelines.refused(kind, side.on_web))
                continue
            names = {codec.name for codec in offered.codecs}
            codecs = [codec for codec in side.codecs[kind] if codec.name in names]
            theirs = other.lines[kind].direction if mirrored and kind in other.lines else None
            shown.append(self._shown(origin, line, codecs, theirs and theirs.mirrored))
        if not any(codec.name != DTMF for codec in shown[0].codecs):
            raise MediaError(Reason.MEDIA, "no codec in common")
        lines = await self._ask("answer", origin, shown)
        self.is_met = True
        self._hold_place(self._converts(origin, lines))
        return lines

    async def early_answer(self, origin: Party) -> Lines:
        """Show an answer made up for `origin`, which has said nothing; the engine's lines for the one who offered."""
        other = self.sides[origin.other]
        shown: list[Media] = []
        for kind in self._kinds:
            offered, line = self._offered.get(kind), other.lines.get(kind)
            if offered is None or line is None:
                shown.append(enginelines.refused(kind, origin is self.web))
                continue
            given = {codec.name for codec in other.codecs[kind]}
            sounds = [codec for codec in offered.codecs if codec.name != DTMF]
            codecs = [codec for codec in sounds if codec.name in given] or sounds[:1]
            codecs += [codec for codec in offered.codecs if codec.name == DTMF]
            # Port 9 discards what it gets; 0.0.0.0 would be a hold, and come back as the engine's own address.
            nobody = "::1" if ":" in (offered.host or "") else "127.0.0.1"
            made = Media(kind, 9, self._profile(), [], nobody, None, None, self._transport(origin, offered))
            direction = (line.direction or Direction.SENDRECV).mirrored
            shown.append(self._shown(origin, made, codecs, direction))
        lines = await self._ask("answer", origin, shown)
        self.is_met = True
        return lines

    async def again(self, offerer: Party, mirrored: bool = True) -> tuple[Lines, Lines]:
        """Show a whole exchange of the two last descriptions; the engine's lines for the answerer and the offerer."""
        offered = await self.offer(offerer, settled=True)
        return offered, await self.answer(offerer.other, mirrored)

    def has_lost_keys(self) -> bool:
        """The phone has answered an opportunistic offer (RFC 8643) without keys: the engine must be told so."""
        offered = self._offered.get(AUDIO)
        core = self.sides[self.core]
        return offered is not None and "crypto" in offered.attributes and "crypto" not in core.lines[AUDIO].attributes

    def _transport(self, origin: Party, offered: Media) -> dict[str, list[str]]:
        """What a made-up answer says of its transport. For a browser nothing of ICE and DTLS: both begin with the real
        one, and a handshake that comes before it waits, instead of failing for a fingerprint that nobody has."""
        if origin is self.web:
            return {"rtcp-mux": [""]}
        keys = (Crypto.parse(value) for value in offered.attributes.get("crypto", ()))
        key = next((key for key in keys if key is not None and key.suite in SUITES), None)
        return {} if key is None else {"crypto": [Crypto.make(key.tag, key.suite).line]}

    def _pictures(self, origin: Party, settled: bool) -> Sequence[Codec]:
        mine, theirs = self.sides[origin].codecs[VIDEO], self.sides[origin.other].codecs.get(VIDEO, ())
        names = {codec.name for codec in theirs}
        kept = [codec for codec in mine if codec.name in names] if settled else ()
        return kept or mine

    def _shown(self, origin: Party, line: Media, codecs: Sequence[Codec], direction: Direction | None) -> Media:
        if origin is self.web and self.sides[origin].held:
            # Where both hold, the stream is idle (RFC 3264 §8.4); else the phone may be sent something.
            wish = (direction or line.direction or Direction.SENDRECV).deaf
            direction = wish if self.sides[self.core].takes else Direction.INACTIVE
        shown = with_codecs(line, codecs, direction)
        if origin is self.core:
            shown.proto = self._profile("crypto" in line.attributes)
        return shown

    def _profile(self, secured: bool | None = None) -> str:
        """The profile between engine and core. What the core itself is told may differ, see `flags.py`."""
        line = self.sides[self.core].lines.get(AUDIO)
        if secured is None and self.sides[self.core].real and line is not None:
            secured = "crypto" in line.attributes
        name = _SECURED[self.peer.srtp] if secured is None else "RTP/SAVP" if secured else "RTP/AVP"
        return f"{name}F" if VIDEO in self._kinds else name

    def _profile_told(self, kind: str) -> str:
        """The profile of a line that the core is offered: sound without F, which old phones do not know."""
        name = "RTP/SAVP" if self.peer.srtp is Srtp.SDES else "RTP/AVP"
        return f"{name}F" if kind == VIDEO else name

    def _converts(self, origin: Party, lines: Lines) -> bool:
        """Whether the first codec that the offerer was told is none of the answerer's."""
        told = next((codec.name for codec in lines[AUDIO].codecs if codec.name != DTMF), "")
        return told not in {codec.name for codec in self.sides[origin].codecs[AUDIO]}

    async def _ask(
        self,
        command: str,
        origin: Party,
        shown: Sequence[Media],
        more: Mapping[str, Value] | None = None,
    ) -> Lines:
        """One request. Raises `MediaError`: MEDIA_FAILED with what the engine said, or did not say."""
        offerer = origin if command == "offer" else origin.other
        message: dict[str, Value] = {"command": command, "call-id": self.call, "from-tag": offerer.value}
        if command == "answer" or self.is_met:
            message["to-tag"] = offerer.other.value
        message["sdp"] = enginelines.engine_text(shown)
        if origin is self.web:
            message.update(engineflags.for_core(self._profile(), self.injects))
        else:
            message.update(engineflags.for_web(command, self._has_ice, self.injects))
        message.update(more or {})
        reply = await self.request(message)
        return self._read(command, reply)

    async def request(self, message: Mapping[str, Value]) -> Reply:
        """The engine's reply. Raises `MediaError` for all but `ok`."""
        command = message["command"]
        try:
            reply = await self.ask(message)
        except NgError as error:
            kind = SilentError if isinstance(error, NgTimeout) else MediaError
            raise kind(Reason.MEDIA_FAILED, f"rtpengine {command!s}: {error}") from None
        if reply.get("result") == "load limit":
            raise FullError(Reason.OVERLOADED, f"rtpengine: {str(reply.get('message', 'load limit'))[:100]}")
        if reply.get("result") != "ok":
            why = str(reply.get("error-reason", reply))[:200]
            raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command!s}: {why}")
        return reply

    def _read(self, command: str, reply: Reply) -> Lines:
        sdp = reply.get("sdp")
        if not isinstance(sdp, str):
            raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: {str(reply)[:200]}")
        try:
            return enginelines.engine_lines(sdp, self._kinds)
        except (SdpError, ValueError) as error:
            raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: {error}") from None
