"""What the engineer on duty asks a running gateway, answered as text tables.

    calls()  call("x7")  records()  sessions()  registrations()  media()  servers()  counters()  drain()
    reconnect()  reconnect("alice")

The inspector owns nothing: it is handed functions that show what the rooms hold, and it prints. Rows are
plain mappings of column to value, so that no room needs to know this one. A column whose name
sounds like a secret is not printed, whoever put it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import field, frozen

from rtcgw.media.backend import MediaStats, Stream
from rtcgw.translator.callstate import CallView
from rtcgw.translator.leg import LegView

Row: TypeAlias = Mapping[str, object]
"""One line of a table: column names and values."""

WIDTH = 60
"""Characters of a cell; the rest is cut."""

_SECRET = re.compile(
    r"secret|passw|token|credential|authori[sz]ation|\bnonce\b|^(k|opc|key|ha1)$|master_key|_key$|ufrag|pwd", re.I
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Shown(str):
    """Text that a Python prompt shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@frozen
class Inspector:
    """The questions. Each field is a function that shows what is there now, cheaply and without side effects."""

    show_calls: Callable[[], Iterable[CallView]]
    show_sessions: Callable[[], Iterable[Row]]
    """One row per logged-in session, e.g. user, connections, calls, seconds."""
    show_registrations: Callable[[], Iterable[Row]]
    """One row per profile, e.g. profile, state, expires, route, last answer."""
    show_media: Callable[[], Iterable[Row]]
    """One row per carrier of media: the embedded relay, or each rtpengine, with its load."""
    show_servers: Callable[[], Iterable[Row]]
    """One row per STUN or TURN server, with its health."""
    show_counters: Callable[[], Mapping[str, Mapping[str, int]]]
    """Counts by room and name, e.g. {"sip": {"untrusted": 3}}."""
    start_drain: Callable[[], int]
    """Take no new calls; the number of those that still run."""
    start_reconnect: Callable[[str | None], int] = field(default=lambda user: 0)
    """Ask the pages of a user, or all, to make new connections; how many are going to be asked."""
    log_drain: Callable[[], None] = field(default=lambda: None)
    """Told that somebody asked for a drain."""
    show_records: Callable[[], Iterable[Row]] = field(default=lambda: ())
    """One row per call that has ended of late, the newest first."""

    def calls(self) -> Shown:
        """The live calls, the oldest first."""
        views = sorted(self.show_calls(), key=lambda view: -view.age)
        rows = [
            {
                "session": view.session,
                "state": view.state,
                "now": _doing(view),
                "seconds": int(view.age),
                "caller": view.caller,
                "callee": view.callee,
                "path": view.path,
                "codec": view.media.codec or "",
                "mos": _worst(view.media),
                "media": view.media.state,
            }
            for view in views
        ]
        return table(rows, "no calls")

    def call(self, session: str) -> Shown:
        """One call with both its legs. The beginning of a session id is enough when it is the only one."""
        found = [view for view in self.show_calls() if view.session.startswith(session)]
        if len(found) != 1 or not session:
            return Shown(f"{len(found)} calls begin with {session!r}" if session else "call(id): say which call")
        view = found[0]
        lines = [
            f"call {view.session}: {view.state}, {int(view.age)} s",
            f"  {view.caller} -> {view.callee}, placed by {view.path or '-'}",
            f"  media {view.media.backend} {view.media.codec or '-'} {view.media.state}"
            f"{', converting' if view.media.transcoding else ''}",
            *(f"    {line}" for line in _streams(view.media)),
        ]
        for party, leg in zip(("caller", "callee"), view.legs, strict=True):
            lines += _leg_lines(party, leg)
        return Shown("\n".join(map(_clean, lines)))

    def records(self) -> Shown:
        """The calls that have ended last, and set-ups that were refused, the newest first."""
        return table(list(self.show_records()), "no call has ended yet")

    def sessions(self) -> Shown:
        """Who is logged in."""
        return table(list(self.show_sessions()), "nobody is logged in")

    def registrations(self) -> Shown:
        """How each profile stands with the core."""
        return table(list(self.show_registrations()), "no profiles")

    def media(self) -> Shown:
        """Who carries the media, and how much of it."""
        return table(list(self.show_media()), "nobody: media pass between the parties")

    def servers(self) -> Shown:
        """The STUN and TURN servers that pages are given."""
        return table(list(self.show_servers()), "no servers")

    def counters(self) -> Shown:
        """Everything that was counted since the start."""
        rooms = self.show_counters().items()
        rows = [
            {"room": room, "what": name, "count": n} for room, counts in rooms for name, n in sorted(counts.items())
        ]
        return table(rows, "nothing was counted yet")

    def drain(self) -> Shown:
        """Take no new calls; those that run go on to their end."""
        self.log_drain()
        left = self.start_drain()
        return Shown(f"no new calls are taken; {left} still run")

    def reconnect(self, user: str | None = None) -> Shown:
        """Have the pages of a user, or all, make new connections; their calls go on."""
        return Shown(f"{self.start_reconnect(user)} connections are asked to reconnect")

    def namespace(self) -> dict[str, Callable[..., Shown]]:
        """The names that a prompt is given."""
        return {
            "calls": self.calls,
            "call": self.call,
            "records": self.records,
            "sessions": self.sessions,
            "registrations": self.registrations,
            "media": self.media,
            "servers": self.servers,
            "counters": self.counters,
            "drain": self.drain,
            "reconnect": self.reconnect,
        }


def table(rows: Sequence[Row], nothing: str) -> Shown:
    """Rows under a head of their columns; columns come in the order in which rows first name them."""
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if not _SECRET.search(name)]
    if not rows:
        return Shown(nothing)
    lines = [columns, *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    return Shown("\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines))


def _streams(media: MediaStats) -> list[str]:
    """What has come from each party, one line for each kind of media."""
    named = (
        ("caller", media.caller),
        ("callee", media.callee),
        ("caller's picture", media.caller_video),
        ("callee's picture", media.callee_video),
    )
    return [f"from {name}: {_stream(stream)}" for name, stream in named if stream is not None]


def _stream(stream: Stream) -> str:
    """One direction; what is not known is left out."""
    known = (
        ("", stream.codec, ""),
        ("", stream.packets, " packets"),
        ("", stream.octets, " octets"),
        ("", stream.dropped, " dropped"),
        ("", stream.lost, " lost"),
        ("jitter ", stream.jitter, " ms"),
        ("round trip ", stream.rtt, " ms"),
        ("MOS ", stream.mos, ""),
    )
    shown = ((before, f"{value:.1f}" if isinstance(value, float) else value, after) for before, value, after in known)
    return ", ".join(f"{before}{value}{after}" for before, value, after in shown if value is not None)


def _doing(view: CallView) -> str:
    """What is going on in a call beside talking: holds, pages that reload, parties that are moved here."""
    found = [f"{party} holds" for party in view.holders]
    for party, leg in zip(("caller", "callee"), view.legs, strict=True):
        if leg.state == "Reloading":
            found.append(f"{party} away")
        if leg.kind == "moved":
            found.append(f"{party} moves")
    return ", ".join(found)


def _worst(media: MediaStats) -> str:
    """The lower estimate of the two directions; empty before there is one."""
    found = [stream.mos for stream in (media.caller, media.callee) if stream.mos is not None]
    return f"{min(found):.1f}" if found else ""


def _leg_lines(party: str, leg: LegView) -> list[str]:
    """One leg, indented."""
    timers = ", ".join(f"{name} {left:.1f} s" for name, left in leg.timers.items()) or "none"
    return [
        f"  {party}: {leg.kind} {leg.peer}: {leg.state}; timers: {timers}",
        *(f"    {name}: {value}" for name, value in leg.details.items() if not _SECRET.search(name)),
        *(f"    {line}" for line in leg.last),
    ]


def _cell(value: object) -> str:
    text = _clean(f"{value:.1f}" if isinstance(value, float) else str(value))
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _clean(text: str) -> str:
    """Without control characters: what a peer sent must not drive the engineer's terminal."""
    return _UNSAFE.sub("?", text)
