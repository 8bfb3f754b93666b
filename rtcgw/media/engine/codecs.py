"""Which codecs rtpengine is shown, and which it is asked to convert: a `Plan` for each offer.

The engine passes on what both sides have and converts the rest only where it is told to. So the whole
policy of a peer profile is in what an offer shows it: the offerer's codecs that may be used, the ones
that it must hide from the other side (`mask`) and the ones that it adds of its own (`transcode`).

rtpengine adds any codec whose name it knows, also one that its libraries can only decode: Debian's own
libavcodec has no encoder for AMR and AMR-WB, `libavcodec-extra` has; `rtpengine --codecs` tells. NG does
not, so that this is a matter of installation (docs/operations.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from rtcgw.media.backend import MediaError
from rtcgw.media.engine.ng import Value
from rtcgw.media.peers import refuse
from rtcgw.media.sdp import Codec
from rtcgw.model.peer import Dtmf, PeerProfile, Transcode, WhenFull

AUDIO, VIDEO = "audio", "video"
DTMF = "TELEPHONE-EVENT"
WEB = ("OPUS", "G722", "PCMU", "PCMA")
"""Audio codecs that every browser has, the best one first."""
CONVERTED: Mapping[str, str] = {
    "OPUS": "opus/48000/2",
    "G722": "G722/8000/1",
    "PCMU": "PCMU/8000/1",
    "PCMA": "PCMA/8000/1",
    "AMR": "AMR/8000/1",
    "AMR-WB": "AMR-WB/16000/1",
    "G729": "G729/8000/1",
    "GSM": "GSM/8000/1",
}
"""What the engine converts, as its codec strings begin; the names are case-sensitive there."""
_RATES = frozenset({8000, 16000, 48000})
_BASELINE = ("42e0", "4200")
"""Beginnings of H.264 profile-level-id that phones have in common with browsers (RFC 6184 §8.1)."""
_H264 = 2
"""Payload types of H.264 shown: one for each packetization mode; Chromium offers eight."""


@frozen
class Plan:
    """What the engine is shown of an offerer's sound, and asked to do with it."""

    given: tuple[Codec, ...]
    """The offerer's codecs, telephone events last."""
    codec: Mapping[str, Value]
    """The `codec` dictionary of the request; empty where nothing may be converted."""
    order: tuple[str, ...]
    """Names in the order in which the other side is offered them."""

    @property
    def converts(self) -> bool:
        """Whether sound may come to be converted."""
        return bool(self.codec)


def carried(codecs: Iterable[Codec], peer: PeerProfile, of_web: bool) -> tuple[Codec, ...]:
    """Of a party's audio codecs those that may be used, one of each name, telephone events last, by clock rate."""
    names: Collection[str] = (set(peer.codecs) & CONVERTED.keys()) | (set(WEB) if of_web else set())
    found: dict[str, Codec] = {}
    events: dict[int, Codec] = {}
    for codec in codecs:
        if codec.name in names:
            found.setdefault(codec.name, codec)
        elif codec.name == DTMF and codec.rate in _RATES and peer.dtmf is Dtmf.RTP:
            events.setdefault(codec.rate, codec)
    if not found:
        raise refuse("none of " + ", ".join(peer.codecs) + " is among the codecs")
    return (*found.values(), *events.values())


def offer_of_web(codecs: Sequence[Codec], peer: PeerProfile, free: bool, agreed: Collection[str] = ()) -> Plan:
    """A plan for an offer of the browser's. `free`: one more call may be converted.

    `agreed`: names that the phone has described already, where nothing new is to be asked of it.
    Raises `MediaError` where no way is left.
    """
    mine = {codec.name: codec for codec in codecs}
    wanted = [name for name in peer.codecs if name in agreed] or list(agreed) if agreed else list(peer.codecs)
    common = [name for name in wanted if name in mine]
    extra = [name for name in wanted if name not in mine and name in CONVERTED]
    source = next((name for name in WEB if name in mine), "")
    if peer.transcode is Transcode.PREFER and source == "OPUS":
        kept = [name for name in wanted if name == source]
        added = [name for name in wanted if name != source and name in CONVERTED]
        if added and free:
            return _converting(codecs, [source], [] if kept else [source], added, peer, wanted)
        if added and (not common or peer.when_full is WhenFull.REFUSE):
            raise _full(peer)
    if extra and free and source and peer.transcode is not Transcode.NEVER:
        shown = common if source in common else [*common, source]
        hidden = [] if source in common else [source]
        return _converting(codecs, shown, hidden, extra, peer, [*common, *extra])
    if extra and not free and not common:
        raise _full(peer)
    return _plain(codecs, common)


def offer_of_core(codecs: Sequence[Codec], peer: PeerProfile, free: bool, agreed: Collection[str] = ()) -> Plan:
    """A plan for an offer of the phone's. `agreed`: names that the browser was told already."""
    hears = [name for name in WEB if name in agreed] if agreed else list(WEB)
    mine = [codec.name for codec in codecs if codec.name != DTMF]
    common = [name for name in mine if name in hears]
    best = hears[0] if hears else ""
    better = peer.transcode is Transcode.PREFER and best == "OPUS" and best not in common
    if peer.transcode is Transcode.PREFER and best in common:
        common.sort(key=lambda name: name != best)
    needed = better or not common
    if needed and best and peer.transcode is not Transcode.NEVER:
        if free:
            return _converting(codecs, mine, mine, [best], peer, [best])
        if not common or peer.when_full is WhenFull.REFUSE:
            raise _full(peer)
    return _plain(codecs, common)


def _converting(
    codecs: Sequence[Codec],
    shown: Sequence[str],
    hidden: Sequence[str],
    added: Sequence[str],
    peer: PeerProfile,
    order: Sequence[str],
) -> Plan:
    plan = _plain(codecs, shown)
    fmtp = dict(peer.fmtp)
    strings = [f"{CONVERTED[name]}///{fmtp[name]}" if name in fmtp else CONVERTED[name] for name in added]
    codec: dict[str, Value] = {"transcode": strings}
    if hidden:
        codec["mask"] = [CONVERTED[name].partition("/")[0] for name in hidden]
    return Plan(plan.given, codec, tuple(order))


def _plain(codecs: Sequence[Codec], names: Sequence[str]) -> Plan:
    found = sorted((codec for codec in codecs if codec.name in names), key=lambda codec: names.index(codec.name))
    if not found:
        raise refuse("no codec in common")
    rates = {codec.rate for codec in found}
    events = [codec for codec in codecs if codec.name == DTMF]
    # A browser has telephone events at the clock rate of each of its codecs; a phone may have one kind only.
    fitting = [codec for codec in events if codec.rate in rates]
    return Plan((*found, *(fitting or events)), {}, tuple(names))


def _full(peer: PeerProfile) -> MediaError:
    return refuse(f"no place to convert codecs of peer {peer.name}")


def pictures(codecs: Iterable[Codec], names: Sequence[str]) -> tuple[Codec, ...]:
    """Of a party's video codecs those that can be passed on, by `names`; what mends loss (rtx, red) is not."""
    found: list[Codec] = []
    for name in names:
        mine = [codec for codec in codecs if codec.name == name]
        if name == "H264":
            mine = [codec for codec in mine if _is_common(codec)][:_H264]
        found += mine[:_H264] if name == "H264" else mine[:1]
    return tuple(found)


def _is_common(codec: Codec) -> bool:
    parameters = (codec.fmtp or "").lower().replace(" ", "").split(";")
    profile = next((text[17:] for text in parameters if text.startswith("profile-level-id=")), "42e0")
    return profile.startswith(_BASELINE)
