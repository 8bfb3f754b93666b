"""Which codecs of sound the two sides of a call end up with, under the profile of the phone's peer.

The rule behind everything: what a browser sends must be something that its phone can play, by itself or
converted. A browser keeps sending its own first choice whatever a page prefers (Chromium does), so the choice is
made in what it is shown. mu-law and A-law stand in for each other by a look-up table; other conversions cost a
part of a core each, and are proposed as the profile says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rtcgw.media.codecs import CORE_DTMF, DTMF, EVENTS, G711, WEB_DTMF, audio, counterpart, events, ident
from rtcgw.media.packets import transcode
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.transcode import Recoder
from rtcgw.media.sdp import Codec
from rtcgw.model.peer import Dtmf, PeerProfile, Transcode

Make = Callable[[Codec, Codec], Recoder]

KNOWN = {
    "PCMU": Codec(0, "PCMU", 8000),
    "PCMA": Codec(8, "PCMA", 8000),
    "G722": Codec(9, "G722", 8000),
    "OPUS": Codec(111, "OPUS", 48000, 2),
}
"""What browsers have, under the numbers that they give it; the rest of a profile's codecs needs an engine."""
_OPUS = KNOWN["OPUS"]
_CONVERTED = "maxplaybackrate=8000;sprop-maxcapturerate=8000;stereo=0;useinbandfec=0"
"""Of Opus that will become narrow sound, or was (RFC 7587 §6.1): the browser need not send what nobody will hear."""
_CONVERTED_WIDE = _CONVERTED.replace("8000", "16000")
_EVENT_NUMBERS = {8000: CORE_DTMF, 16000: 100, 48000: 110}
_WEB_EVENTS = {8000: WEB_DTMF, 48000: 110}


class AudioChoice:
    """The choice for one call. `may_convert()` says whether a conversion may be proposed now."""

    __slots__ = ("_may_convert", "_profile", "_speaks_events")

    def __init__(self, profile: PeerProfile, may_convert: Callable[[], bool]) -> None:
        self._profile = profile
        self._may_convert = may_convert
        self._speaks_events = profile.dtmf is Dtmf.RTP

    def usable(self, core: Iterable[Codec]) -> list[Codec]:
        """Of a phone's codecs those that its profile lets it use, telephone events last."""
        names = self._profile.codecs
        found: dict[object, Codec] = {}
        for codec in core:
            if codec.name in names and _usual(codec):
                found.setdefault(ident(codec), codec)
        return [*found.values(), *self._events(core)]

    # -- offers ------------------------------------------------------------------------------------

    def offer_core(self, web: Sequence[Codec], settled: bool = False) -> list[Codec]:
        """What the phone is offered of a browser that has `web`.

        `settled`: the browser has been answered and will send the first of them; the phone must be able to play that.
        """
        names, spoken = self._profile.codecs, audio(web)
        if settled and spoken:
            spoken = [codec for codec in spoken if counterpart(spoken[0], [codec])]
        direct = {codec.name: codec for codec in reversed(spoken) if codec.name in names and _usual(codec)}
        converted = self._converted(direct, spoken)
        found = [*(name for name in names if name in direct), *(name for name in names if name in converted)]
        if self._profile.transcode is Transcode.PREFER:
            found.sort(key=names.index)
        offered = [self._offered(name, direct.get(name)) for name in found]
        if offered and self._events(web):
            rates = dict.fromkeys(codec.rate for codec in offered)
            offered += [Codec(_EVENT_NUMBERS.get(rate, CORE_DTMF), DTMF, rate, 1, EVENTS) for rate in rates]
        return offered

    def _offered(self, name: str, of_web: Codec | None) -> Codec:
        """A codec as the phone is offered it: parameters of the profile, else of the browser that will receive it."""
        fmtp = dict(self._profile.fmtp).get(name)
        if of_web is None:
            known = KNOWN[name]
            return Codec(known.pt, name, known.rate, known.channels, fmtp)
        pt = KNOWN[name].pt if name in KNOWN else max(of_web.pt, 96)
        return Codec(pt, name, of_web.rate, of_web.channels, fmtp or (of_web.fmtp if of_web.pt >= 96 else None))

    def _converted(self, direct: Iterable[str], spoken: Sequence[Codec]) -> set[str]:
        """Names that the phone could be offered because one of `spoken` can be converted."""
        wanted = self._profile.transcode is Transcode.PREFER or not any(name in G711 for name in direct)
        if not (wanted and spoken and self._may_convert()):
            return set()
        others = (name for name in self._profile.codecs if name in KNOWN and name not in direct)
        return {name for name in others if any(transcode.can(codec, KNOWN[name]) for codec in spoken)}

    def offer_web(self, core: Sequence[Codec]) -> list[Codec]:
        """What the browser is offered of a phone that has `core`, in the phone's order; nobody is known: everything."""
        if not core:
            found = [KNOWN[name] for name in self._profile.codecs if name in KNOWN]
            return [*found, *self._web_events(found)]
        usable = audio(self.usable(core))
        found = [
            Codec(KNOWN[codec.name].pt, codec.name, codec.rate, codec.channels, codec.fmtp)
            for codec in usable
            if codec.name in KNOWN
        ]
        names = {codec.name for codec in found}
        if "OPUS" not in names and self._can_convert(usable):
            opus = _narrowed(_OPUS, usable)
            if self._profile.transcode is Transcode.PREFER:
                found.insert(0, opus)
            elif not names.intersection(G711):
                found.append(opus)
        heard = self._events(core)
        own = next((codec.pt for codec in heard if codec.rate == 8000), WEB_DTMF)
        return [*found, *(self._web_events(found, own) if heard and found else ())]

    def _can_convert(self, core: Iterable[Codec]) -> bool:
        if self._profile.transcode is Transcode.NEVER or not self._may_convert():
            return False
        return any(transcode.can(_OPUS, codec) for codec in core)

    def _web_events(self, found: Iterable[Codec], pt: int = WEB_DTMF) -> list[Codec]:
        """Telephone events for each clock among `found` (RFC 4733 §2.1); a phone's own number is kept."""
        if not self._speaks_events:
            return []
        rates = dict.fromkeys(codec.rate for codec in found)
        narrow = pt if pt >= 96 else WEB_DTMF
        return [Codec(narrow if rate == 8000 else _WEB_EVENTS[rate], DTMF, rate) for rate in rates]

    def _events(self, codecs: Iterable[Codec]) -> list[Codec]:
        """Telephone events of a peer, one for each clock; none where the profile has no use for them."""
        if not self._speaks_events:
            return []
        return list({codec.rate: codec for codec in reversed(events(codecs))}.values())[::-1]

    # -- answers -----------------------------------------------------------------------------------

    def answer_web(self, web: Sequence[Codec], core: Sequence[Codec] | None, before: Sequence[Codec]) -> list[Codec]:
        """Of the browser's codecs those to answer with, so that its first one can be played by the phone; [] if none.

        `core` None: nobody has answered yet, and whatever may still be chosen is there, G.711 first, which every
        phone has. `before` is what the browser was told already; that is kept as long as it works.
        """
        spoken = audio(web)
        if core is None:
            names = self._profile.codecs
            found = [codec for codec in spoken if codec.name in names and _usual(codec)]
            found.sort(key=lambda codec: (codec.name not in G711, names.index(codec.name)))
            found = found or self._convertible(spoken, [KNOWN[name] for name in names if name in KNOWN])
            return [*found, *self._matching(web, found)] if found else []
        heard = audio(self.usable(core))
        found = self._common(spoken, heard)
        if before and self._still(before, web, heard, found, bool(self._events(core))):
            return list(before)
        return [*found, *(self._matching(web, found) if self._events(core) else ())] if found else []

    def _common(self, spoken: Sequence[Codec], heard: Sequence[Codec]) -> list[Codec]:
        """What a browser that speaks `spoken` is answered for a phone that hears `heard`."""
        found = []
        for codec in heard:
            match = next((one for one in spoken if ident(one) == ident(codec)), None)
            if match is not None:
                found.append(_with_parameters(match, codec))
        prefers = self._profile.transcode is Transcode.PREFER and not any(codec.name == "OPUS" for codec in found)
        if found and not prefers:
            return found
        twins = [codec for codec in spoken if counterpart(codec, heard) is not None]
        if twins and not prefers:
            return twins[:1]
        return self._convertible(spoken, heard) or found or twins[:1]

    def _convertible(self, spoken: Iterable[Codec], heard: Sequence[Codec]) -> list[Codec]:
        """The browser's first codec that can become one that the phone hears: alone, since it will send it."""
        if self._profile.transcode is Transcode.NEVER or not self._may_convert():
            return []
        for codec in sorted(spoken, key=lambda codec: codec.name != "OPUS"):
            if any(transcode.can(codec, other) for other in heard):
                return [_narrowed(codec, heard)]
        return []

    def _still(
        self,
        before: Sequence[Codec],
        web: Sequence[Codec],
        heard: Sequence[Codec],
        fresh: Sequence[Codec],
        events: bool,
    ) -> bool:
        """Whether the browser's answer before is good for a phone that hears `heard`."""
        offered = {(codec.pt, ident(codec)) for codec in web}
        told = audio(before)
        if not told or not all((codec.pt, ident(codec)) in offered for codec in before):
            return False
        if (len(told) != len(before)) != (events and bool(self._events(web))):
            return False
        if self._profile.transcode is Transcode.PREFER and fresh and ident(fresh[0]) != ident(told[0]):
            return False
        if counterpart(told[0], heard) is not None:
            return True
        # Converted before, and still nothing else to be had: another phone's G.711 is as good.
        return bool(fresh) and ident(fresh[0]) == ident(told[0])

    def _matching(self, web: Sequence[Codec], found: Sequence[Codec]) -> list[Codec]:
        """The browser's telephone events at the clocks of `found`; where it has none of them, at any."""
        heard = self._events(web)
        rates = {codec.rate for codec in found}
        return [codec for codec in heard if codec.rate in rates] or heard[:1]

    def answer_core(self, core: Sequence[Codec], agreed: Sequence[Codec] | None) -> list[Codec]:
        """Of the phone's codecs those to answer with; the browser's first choice decides which is first. [] if none.

        `agreed` None: the browser has not answered yet. Then one codec alone, which every browser has if possible.
        """
        usable = self.usable(core)
        heard = audio(usable)
        if agreed is None:
            chosen = [codec for codec in heard if codec.name in G711] or [c for c in heard if c.name in KNOWN]
            chosen = chosen[:1]
        else:
            found: dict[int, Codec] = {}
            for codec in audio(agreed):
                match = counterpart(codec, heard)
                if match is not None:
                    found.setdefault(match[0].pt, _with_parameters(match[0], codec))
            spoken = audio(agreed)
            if not spoken or counterpart(spoken[0], heard) is None:
                found = {codec.pt: codec for codec in self._reached(spoken, heard)}
            chosen = list(found.values())
        if chosen and (agreed is None or events(agreed)):
            heard_events = self._events(core)
            chosen += [codec for codec in heard_events if codec.rate == chosen[0].rate] or heard_events[:1]
        return chosen

    def _reached(self, spoken: Sequence[Codec], heard: Sequence[Codec]) -> list[Codec]:
        """The phone's first codec into which the browser's first can be converted."""
        if not spoken or self._profile.transcode is Transcode.NEVER or not self._may_convert():
            return []
        return [codec for codec in heard if transcode.can(spoken[0], codec)][:1]

    # -- the packets -------------------------------------------------------------------------------

    def converts(self, agreed: Sequence[Codec], core: Sequence[Codec]) -> bool:
        """Whether the call needs a conversion that costs: the browser's first codec is none of the phone's."""
        spoken, heard = audio(agreed), audio(self.usable(core))
        return bool(spoken and heard) and counterpart(spoken[0], heard) is None

    def routes(
        self, agreed: Sequence[Codec], core: Sequence[Codec], told: Sequence[Codec], make: Make | None
    ) -> tuple[dict[int, Route], dict[int, Route]]:
        """Payload types of the browser, and of the phone, to what becomes of them.

        A phone sends under the numbers that it was told, or under its own; both are understood. `make` makes
        converters; None: nothing is converted.
        """
        theirs = self.usable(core)
        up = self._one_way(agreed, theirs, make, False)
        names = {codec.name for codec in theirs}
        own = {codec.pt for codec in theirs}
        senders = [*theirs, *(codec for codec in told if codec.name in names and codec.pt not in own)]
        return up, self._one_way(senders, agreed, make, make is not None)

    def _one_way(
        self, senders: Sequence[Codec], receivers: Sequence[Codec], make: Make | None, to_first: bool
    ) -> dict[int, Route]:
        """`to_first`: everything is converted into the receiver's first codec, so that it hears one codec only."""
        found: dict[int, Route] = {}
        heard = audio(receivers)
        if to_first:
            heard = heard[:1]
        for codec in audio(senders):
            match = counterpart(codec, heard)
            if match is not None:
                found[codec.pt] = Route(match[0].pt, match[1], source=codec)
            elif make is not None:
                other = next((one for one in heard if transcode.can(codec, one)), None)
                if other is not None:
                    found[codec.pt] = Route(other.pt, None, make(codec, other), None, codec)
        for codec in events(senders):
            target = _event_for(codec, receivers)
            if target is not None:
                clock = None if target.rate == codec.rate else (codec.rate, target.rate)
                found[codec.pt] = Route(target.pt, None, None, clock, codec)
        return found


def _event_for(codec: Codec, receivers: Sequence[Codec]) -> Codec | None:
    """The receiver's telephone event: at the clock of what it hears first, else at the same clock, else any."""
    heard = audio(receivers)
    rate = heard[0].rate if heard else codec.rate
    choices = events(receivers)
    for wanted in (rate, codec.rate):
        for one in choices:
            if one.rate == wanted:
                return one
    return choices[0] if choices else None


def _usual(codec: Codec) -> bool:
    """Whether a codec has the clock and channels that its name stands for."""
    known = KNOWN.get(codec.name)
    return known is None or codec.key == known.key


def _with_parameters(codec: Codec, receiver: Codec) -> Codec:
    """Opus as its other end wants to receive it (RFC 7587 §6.1); of other codecs the parameters are the line's own."""
    if codec.name != "OPUS" or codec.fmtp == receiver.fmtp or receiver.name != "OPUS":
        return codec
    return Codec(codec.pt, codec.name, codec.rate, codec.channels, receiver.fmtp)


def _narrowed(codec: Codec, heard: Iterable[Codec]) -> Codec:
    """Opus that will be converted for a phone that hears `heard`."""
    if codec.name != "OPUS":
        return codec
    first = next(iter(heard), None)
    wide = first is not None and first.name == "G722"
    return Codec(codec.pt, codec.name, codec.rate, codec.channels, _CONVERTED_WIDE if wide else _CONVERTED)
