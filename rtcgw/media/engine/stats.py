"""What rtpengine says of a call, in its answers to `query` and `delete`, as our own figures.

Its tags are the names of our parties. Of each stream it counts packets and octets, and when the last one came;
loss, jitter, round trip and MOS it knows only by the parties' RTCP: an entry under the SSRC of whoever has reported,
about what that one hears. Its `cumulative loss` was seen to mix both directions up and is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, frozen

from rtcgw.media.backend import MediaStats, News, Party, Stream
from rtcgw.media.engine.codecs import AUDIO, DTMF, VIDEO
from rtcgw.media.engine.ng import Reply


@frozen
class _Line:
    """One party's media line, as the engine sees it."""

    packets: int
    octets: int
    errors: int
    codec: str | None
    ssrc: str
    is_converted: bool


def stats(reply: Reply, state: str) -> MediaStats | None:
    """The figures in an answer; None where it has none."""
    tags = _map(reply.get("tags"))
    if not tags:
        return None
    lines = {party: _lines(_map(tags.get(party.value))) for party in Party}
    reports = _map(reply.get("SSRC"))
    found: dict[tuple[Party, str], Stream] = {}
    for party in Party:
        for kind, line in lines[party].items():
            hearer = lines[party.other].get(kind)
            found[party, kind] = _stream(line, _map(reports.get(line.ssrc)), _map(reports.get(_ssrc(hearer))))
    caller = lines[Party.CALLER].get(AUDIO)
    return MediaStats(
        backend="rtpengine",
        codec=None if caller is None else caller.codec,
        caller=found.get((Party.CALLER, AUDIO), Stream()),
        callee=found.get((Party.CALLEE, AUDIO), Stream()),
        state=state,
        caller_video=found.get((Party.CALLER, VIDEO)),
        callee_video=found.get((Party.CALLEE, VIDEO)),
        transcoding=any(line.is_converted for side in lines.values() for line in side.values()),
    )


def _ssrc(line: _Line | None) -> str:
    return "" if line is None else line.ssrc


def _lines(tag: Mapping[str, Any]) -> dict[str, _Line]:
    found: dict[str, _Line] = {}
    medias = tag.get("medias")
    for item in medias if isinstance(medias, list) else ():
        media = _map(item)
        streams = media.get("streams")
        rtp = _map(streams[0]) if isinstance(streams, list) and streams else {}
        counts = _map(rtp.get("stats"))
        flags = media.get("flags")
        codec = str(media.get("codec", "")).partition("/")[0].upper()
        found[str(media.get("type"))] = _Line(
            packets=_number(counts, "packets"),
            octets=_number(counts, "bytes"),
            errors=_number(counts, "errors"),
            codec=None if codec in ("", DTMF) else codec,  # of the last packet, which may have been a key's
            ssrc=str(rtp.get("SSRC", "")),
            is_converted=isinstance(flags, list) and "transcoding" in flags,
        )
    return found


def _stream(line: _Line, own: Mapping[str, Any], heard: Mapping[str, Any]) -> Stream:
    """`own`: what the party has reported, `heard`: what the one has who hears it."""
    leg = _number(_map(own.get("average MOS")), "round-trip time leg")
    average = _map(heard.get("average MOS"))
    known = bool(average) and line.packets > 0
    return Stream(
        packets=line.packets,
        octets=line.octets,
        dropped=line.errors,
        lost=round(line.packets * _number(average, "packet loss") / 100) if known else None,
        jitter=float(_number(average, "jitter")) if known else None,
        rtt=leg / 1000 if leg else None,
        codec=line.codec,
        mos=_number(average, "MOS") / 10 if known and _number(average, "MOS") else None,
    )


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) else 0


SILENCE = 10.0
"""Seconds without a packet after which a party that should send is reported silent."""


@define
class Hearing:
    """Whether a party that should send is heard, by the count of its packets and our own clock.

    The engine's own times are in its clock, which may be another machine's.
    """

    since: float
    """When the count last grew, or the party began to be expected."""
    packets: int = 0
    is_silent: bool = False

    def counted(self, packets: int, now: float, expected: bool, limit: float) -> tuple[News, str] | None:
        """Take a count of packets of sound; what is to be told of it. `limit`: seconds after which the call is lost."""
        before, self.packets = self.packets, packets
        if packets > before:
            self.since = now
            was_silent, self.is_silent = self.is_silent, False
            if before == 0:
                return News.SOUND, ""
            return (News.HEARD, "") if was_silent else None
        if not expected:
            self.since = now
        silence = now - self.since
        if 0 < limit <= silence:
            self.since = now
            return News.LOST, f"nothing heard for {silence:.0f} s"
        if silence >= SILENCE and not self.is_silent:
            self.is_silent = True
            return News.SILENT, f"nothing heard for {silence:.0f} s"
        return None
