"""What rtpengine does in a call beside offers and answers: who is not heard, who hears music, keys in the sound.

Learned of rtpengine 10.5, and not from its documentation:

* `block media` names who is not heard any more; `play media` names who hears the file, blocked or not. Both last
  through any number of offers, until they are taken back. What is played has an SSRC of its own. Nothing is played to
  a side whose line is `inactive`, so a page that a silent phone holds hears silence.
* A file is read on the engine's machine. As a `blob` it would have to fit a datagram, which is four seconds of sound.
* `play DTMF` names who seems to press, and the other one hears it. Without `inject-DTMF` in an offer and an answer it
  says `ok` and does nothing. With it every packet takes the way of converted ones, so a call has it from its first
  key on. Keys wait for each other.
* It can tell of keys that it hears only as the daemon was started (`dtmf-log-dest`), so keys of phones are not told.

What it is not: it decides nothing about who holds (`session.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field
from twisted.logger import Logger

from rtcgw.media.backend import MediaError, Party
from rtcgw.media.engine.codecs import AUDIO, DTMF
from rtcgw.media.engine.exchange import Exchange
from rtcgw.media.engine.ng import Value

log = Logger()

ROUNDS = 1_000_000
"""Times that the file is played; it has no word for ever."""
KEYS = frozenset("0123456789*#ABCD")
PAUSE = 60
"""Milliseconds between two keys."""
_NOBODY: frozenset[Party] = frozenset()


@define(eq=False)
class Jukebox:
    """The music of all calls. `file` is its name on the engines' machines; empty: none."""

    file: str = ""
    _refused: set[str] = field(factory=set, init=False)

    def refused(self, node: str, why: str) -> None:
        """An engine does not play it: told once, until it does."""
        if node not in self._refused:
            self._refused.add(node)
            log.warn("rtpengine {node} plays no music on hold: {why}", node=node, why=why)

    def played(self, node: str) -> None:
        """An engine plays it."""
        self._refused.discard(node)


class Interlude:
    """Of one call."""

    __slots__ = ("_blocked", "_exchange", "_jukebox", "_muted", "_playing")

    def __init__(self, exchange: Exchange, jukebox: Jukebox) -> None:
        self._exchange = exchange
        self._jukebox = jukebox
        self._muted = False
        self._blocked = self._playing = _NOBODY

    @property
    def is_muted(self) -> bool:
        """Whether the engine passes on nothing that the browser says, because its user has not answered."""
        return self._muted

    def moved(self) -> None:
        """Another engine has the call, and does none of this."""
        self._blocked = self._playing = _NOBODY

    async def settle(self, node: str, is_muted: bool | None = None) -> None:
        """Have the engine do what both sides' state wants; `node` is its name. None: muted or not, as before."""
        self._muted = self._muted if is_muted is None else is_muted
        exchange, web, core = self._exchange, self._exchange.web, self._exchange.core
        mine, phone = exchange.sides[web], exchange.sides[core]
        apart = mine.held or phone.held
        await self._block(frozenset(Party) if apart else frozenset({web}) if self._muted else _NOBODY)
        playing = set()
        if mine.held and not phone.held and phone.takes:
            playing.add(core)
        if not mine.held and mine.takes and phone.held:
            playing.add(web)
        await self._play(node, frozenset(playing) if self._jukebox.file else _NOBODY)

    async def unmuted(self, node: str, told: str) -> str:
        """The early answer that made us tell somebody `told` has become the final one."""
        await self.settle(node, is_muted=False)
        return told

    def takes_keys(self, digits: str) -> bool:
        """Whether the phone hears keys in the sound, and these are any."""
        codecs = self._exchange.sides[self._exchange.core].codecs.get(AUDIO, ())
        heard = any(codec.name == DTMF for codec in codecs)
        return heard and bool(digits) and KEYS.issuperset(digits.upper())

    async def press(self, digits: str, duration: int) -> None:
        """Keys for the phone, `duration` ms each."""
        exchange = self._exchange
        if not exchange.injects:
            exchange.injects = True
            await exchange.again(exchange.core)
        for digit in digits.upper():
            await self._ask("play DTMF", exchange.web, {"code": digit, "duration": duration, "pause": PAUSE})

    async def _block(self, wanted: frozenset[Party]) -> None:
        for command, parties in (
            ("unblock media", self._blocked - wanted),
            ("block media", wanted - self._blocked),
        ):
            for party in sorted(parties, key=lambda party: party.value):
                await self._ask(command, party)
        self._blocked = wanted

    async def _play(self, node: str, wanted: frozenset[Party]) -> None:
        """Music is a courtesy: an engine that refuses it holds in silence."""
        for party in self._playing - wanted:
            self._playing -= {party}
            await self._tried("stop media", party, node)
        for party in wanted - self._playing:
            more: Mapping[str, Value] = {"file": self._jukebox.file, "repeat-times": ROUNDS}
            if await self._tried("play media", party, node, more):
                self._playing |= {party}

    async def _tried(self, command: str, party: Party, node: str, more: Mapping[str, Value] | None = None) -> bool:
        try:
            await self._ask(command, party, more)
        except MediaError as error:
            self._jukebox.refused(node, error.detail)
            return False
        self._jukebox.played(node)
        return True

    async def _ask(self, command: str, party: Party, more: Mapping[str, Value] | None = None) -> None:
        message: dict[str, Value] = {"command": command, "call-id": self._exchange.call, "from-tag": party.value}
        await self._exchange.request({**message, **(more or {})})
