"""Who holds whom in a session: what a party has asked for, what a phone's descriptions say, and the news of it.

A hold is told in a description by a direction (RFC 3264 §8.4): whoever holds says `sendonly`, or `inactive` where it
is held itself, or, in the old way, `c=0.0.0.0`. An answer that says `recvonly` or `inactive` because that is all that
its offer leaves does not hold anybody (RFC 6337 §5.3).
"""

from __future__ import annotations

from typing import Final

from rtcgw.media.backend import MediaNews, News, OnNews, Party
from rtcgw.media.sdp import Direction, Session, parse

_NOWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - read in descriptions, not bound
_DIRECTIONS: Final = frozenset(f"a={direction.value}" for direction in Direction)


class Held:
    """Of one session. `on_news` hears of each change of a phone's hold, once."""

    __slots__ = ("_asked", "_on_news", "_said")

    def __init__(self, on_news: OnNews) -> None:
        self._on_news = on_news
        self._asked: set[Party] = set()
        self._said: set[Party] = set()

    def asks(self, party: Party) -> bool:
        """Whether the party has asked the gateway to hold the other."""
        return party in self._asked

    def asked(self, party: Party, on: bool) -> bool:
        """The party asks for it, or takes it back; whether it held before."""
        before = party in self._asked
        if on:
            self._asked.add(party)
        else:
            self._asked.discard(party)
        return before

    def said(self, party: Party, on: bool, quietly: bool = False) -> None:
        """The party's description in force holds the other, or does not. `quietly`: it is its first one, by which
        an announcement takes nothing and nobody is put anywhere."""
        if on is (party in self._said):
            return
        if on:
            self._said.add(party)
        else:
            self._said.discard(party)
        if not quietly:
            self._on_news(MediaNews(party, News.HELD if on else News.RESUMED))


def is_hold(session: Session) -> bool:
    """Whether a description takes nothing on any line in use: a hold, where it is an offer, or more was offered."""
    used = [media for media in session.media if media.port != 0 and media.kind in ("audio", "video")]
    return bool(used) and all(
        not session.direction_of(media).receives or session.host_of(media) in _NOWHERE for media in used
    )


def withheld(sdp: str) -> str:
    """A description with every line as whoever holds says it: it sends what it sent, and takes nothing."""
    lines = sdp.replace("\r\n", "\n").rstrip("\n").split("\n")
    head, *sections = "\n".join(line for line in lines if line not in _DIRECTIONS).split("\nm=")
    session = parse(sdp)
    found = [head]
    for media, section in zip(session.media, sections, strict=True):
        found.append(f"m={section}\na={session.direction_of(media).deaf.value}")
    return "\r\n".join([*"\n".join(found).split("\n"), ""])
