"""`[peer.NAME]`: what the phones and networks behind the core are like, and which of them a call meets.

The keys stand here as those of every section; `profiles` turns them into `rtcgw.model.peer.PeerProfile`, and
`Peers` finds the one for an address. `[peer.default]` holds for addresses that no pattern matches.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from attrs import evolve, frozen

from rtcgw.config.kinds import Choice, Flag, Many, Number, Text
from rtcgw.model.defaults import PTIME
from rtcgw.model.identity import canonical_key
from rtcgw.model.peer import PLAIN_PEER, Dtmf, EarlyMedia, PeerProfile, Srtp, Transcode, TransferWay, UriForm, WhenFull

DEFAULT = "default"
"""The name of the profile for everybody else."""
CODECS = ("PCMU", "PCMA", "G722", "OPUS", "AMR", "AMR-WB")
VIDEO = ("H264", "VP8")


def words(choices: type[Transcode | WhenFull | Srtp | EarlyMedia | UriForm | Dtmf | TransferWay]) -> Choice:
    """The kind of a key that names a member of `choices`."""
    return Choice(tuple(member.value for member in choices), choices)


@frozen
class PeerKeys:
    """What a phone, a PBX or a network behind the core is like; chosen by the address that is called or calls."""

    match: Annotated[
        tuple[str, ...],
        Many(Text("an address with * and ? as wildcards, such as sip:*@pbx.example.com or tel:+49*")),
        "Addresses that this is about; the first section that matches counts. `[peer.default]` needs none.",
    ] = ()
    codecs: Annotated[
        tuple[str, ...],
        Many(Choice(CODECS)),
        "Codecs of the peer, the preferred one first. Empty: `[media] codecs`. AMR and AMR-WB need rtpengine.",
    ] = ()
    video: Annotated[
        tuple[str, ...], Many(Choice(VIDEO)), "Video codecs, the preferred one first. Empty: video is refused."
    ] = VIDEO
    fmtp: Annotated[
        tuple[str, ...],
        Many(Text("a codec and its parameters, such as AMR-WB octet-align=1", r"[A-Z0-9-]+ [!-~]+")),
        "Format parameters to offer.",
    ] = ()
    transcode: Annotated[
        Transcode,
        words(Transcode),
        "When codecs are converted. needed: if there is none in common. prefer: the browser keeps Opus, "
        "which stands lossy paths better.",
    ] = Transcode.NEEDED
    when_full: Annotated[
        WhenFull,
        words(WhenFull),
        "What a call gets beyond `[media] transcodes`. plain: G.711 on both sides. refuse: 488.",
    ] = WhenFull.PLAIN
    srtp: Annotated[
        Srtp,
        words(Srtp),
        "Encryption towards the peer. sdes: RTP/SAVP with a=crypto, or no call. opportunistic: where it agrees.",
    ] = Srtp.NONE
    preconditions: Annotated[
        bool, Flag(), "Take part in QoS preconditions (RFC 3312). False: a call that requires them gets 420."
    ] = False
    early_media: Annotated[
        EarlyMedia,
        words(EarlyMedia),
        "What callers hear before the answer. auto: the network's sound where it comes, else their own tone. "
        "local: their own tone. network: the network's sound.",
    ] = EarlyMedia.AUTO
    history: Annotated[
        bool, Flag(), "Add History-Info (RFC 7044) to a call that a 3xx has sent on: whom it was meant for, and why."
    ] = False
    uri: Annotated[
        UriForm,
        words(UriForm),
        "How telephone numbers are written. sip: sip:+1...@domain;user=phone. tel: tel:+1... keep: as dialled.",
    ] = UriForm.KEEP
    dtmf: Annotated[Dtmf, words(Dtmf), "How keys reach the peer: in the media, by SIP INFO, or not at all."] = Dtmf.RTP
    ptime: Annotated[
        int, Choice((10, 20, 30, 40, 50, 60)), "Milliseconds of sound in each packet that the peer is asked for."
    ] = PTIME
    ring_time: Annotated[float, Number(0, 3600), "How long it may ring. 0: `[call] ring_time`."] = 0.0
    media_timeout: Annotated[
        float, Number(0, 86400), "Silence of the peer's media after which the call ends. 0: only reported."
    ] = 0.0
    transfer: Annotated[
        TransferWay,
        words(TransferWay),
        "Who calls the target when a page transfers the peer. refer: the peer, asked by REFER. gateway: the gateway in "
        "its stead, for networks that bar REFER. auto: the peer where it takes REFER, else the gateway.",
    ] = TransferWay.AUTO
    without: Annotated[
        tuple[str, ...],
        Many(Text("an option tag of SIP, such as timer or 100rel", r"[A-Za-z0-9-]{1,32}")),
        "SIP extensions that the peer is not told of in Supported, and that are not used with it unless it requires "
        "them: some old PBXs refuse calls for them.",
    ] = ()
    fallback: Annotated[
        str,
        Text("the name of another peer section", r"[A-Za-z0-9_-]+", empty=True),
        "The section by which a second try is made when the peer refuses the first offer (415, 420, 488, 580, 606).",
    ] = ""


@frozen
class Peers:
    """The profiles, in the order of the file; `of` finds one."""

    profiles: tuple[PeerProfile, ...] = ()
    default: PeerProfile = PLAIN_PEER

    def of(self, uri: str) -> PeerProfile:
        """The profile for the party with this address: the first that matches it as written or as one key."""
        if self.profiles:
            spellings = (uri, canonical_key(uri))
            for profile in self.profiles:
                if any(fnmatchcase(text, pattern) for pattern in profile.match for text in spellings):
                    return profile
        return self.default


def peers_of(tables: Mapping[str, PeerKeys], codecs: tuple[str, ...]) -> Peers:
    """The profiles of all sections. `codecs` hold for those that name none. Fallbacks name each other at most once:
    a profile reached as a fallback has none itself, since there is one second try."""
    plain = {name: _profile(name, keys, codecs) for name, keys in tables.items()}
    linked = {name: evolve(plain[name], fallback=plain.get(keys.fallback)) for name, keys in tables.items()}
    default = linked.pop(DEFAULT, evolve(PLAIN_PEER, codecs=codecs))
    return Peers(tuple(linked.values()), default)


def _profile(name: str, keys: PeerKeys, codecs: tuple[str, ...]) -> PeerProfile:
    return PeerProfile(
        name=name,
        match=keys.match,
        codecs=keys.codecs or codecs,
        video=keys.video,
        fmtp=tuple((codec, parameters) for codec, _, parameters in (text.partition(" ") for text in keys.fmtp)),
        transcode=keys.transcode,
        when_full=keys.when_full,
        srtp=keys.srtp,
        preconditions=keys.preconditions,
        early_media=keys.early_media,
        history=keys.history,
        uri=keys.uri,
        dtmf=keys.dtmf,
        ptime=keys.ptime,
        ring_time=keys.ring_time or None,
        media_timeout=keys.media_timeout,
        transfer=keys.transfer,
        without=tuple(tag.lower() for tag in keys.without),
    )


def check_peers(tables: Mapping[str, PeerKeys], backend: str, codecs: tuple[str, ...]) -> list[str]:
    """What is wrong between keys of peer sections, or between them and the media backend."""
    problems = []
    for name, keys in tables.items():
        place = f"[peer.{name}]"
        if not keys.match and name != DEFAULT and name not in {other.fallback for other in tables.values()}:
            problems.append(f"{place} match: missing; allowed: at least one address, or this is never used")
        if keys.fallback and (keys.fallback not in tables or keys.fallback == name):
            others = ", ".join(other for other in tables if other != name) or "none, since there is no other"
            problems.append(f'{place} fallback: found "{keys.fallback}"; allowed: {others}')
        only = [codec for codec in keys.codecs or codecs if codec.startswith("AMR")]
        if only and backend != "rtpengine":
            problems.append(f'{place} codecs: found "{only[0]}"; allowed: with [media] backend = "rtpengine" only')
        for text in keys.fmtp:
            if text.partition(" ")[0] not in CODECS + VIDEO:
                problems.append(f'{place} fmtp: found "{text}"; allowed: {", ".join(CODECS + VIDEO)} in front')
    return problems
