"""The media of an answering phone: its session descriptions and its lines, an echo or a tone.

One line of sound and one of pictures at most, each in the place that the description gave it, which it keeps for
the call's life; what else is offered is refused with port 0 (RFC 3264 §6). The lines are `phoneline.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError

from rtcgw.media.backend import MediaError
from rtcgw.media.codecs import ALLOWED, CORE_DTMF, DTMF, EVENTS
from rtcgw.media.describe import CORE_PROFILE, CoreLine, Origin, Slot, core_lines
from rtcgw.media.peers import AUDIO, VIDEO, CorePeer, CoreStream, core_peer, refuse
from rtcgw.media.sdp import Codec, Direction
from rtcgw.model.reason import Reason
from rtcgw.sandbox.phoneline import ECHOED, G711, PhoneLine, spoken
from rtcgw.sandbox.tone import RATE, Player, Tone


@frozen
class _Agreed:
    """A line of the peer's that is taken, and what of its codecs we speak."""

    stream: CoreStream
    theirs: Sequence[Codec]


class RtpPhone:
    """The media of one call. `sound` is what is heard when it is answered; None: an echo, of pictures too."""

    def __init__(self, reactor: Any, host: str, sound: Tone | None) -> None:
        self._reactor = reactor
        self._host = host
        self._sound = sound
        self._speaks = ECHOED if sound is None else G711
        self._origin = Origin(host)
        self._slots: Sequence[Slot] = ()
        self._lines: dict[int, PhoneLine] = {}
        """Lines in use by their place."""
        self._player = Player(reactor, lambda: self._line(AUDIO))

    def _line(self, kind: str) -> PhoneLine | None:
        return next((line for line in self._lines.values() if line.kind == kind), None)

    @property
    def shows(self) -> bool:
        """There is a picture, which is the peer's own."""
        return self._line(VIDEO) is not None

    # -- descriptions: each raises `MediaError`, and then nothing has changed --------------

    def offer(self, hold: bool = False) -> str:
        """Our description, of what we would like or, later in a call, of what is agreed; `hold`: of silence."""
        if not self._slots:
            line = self._open(AUDIO)
            line.codecs = [
                Codec(pt, name, RATE) for name, pt in ALLOWED.items() if (name, RATE, 1) in self._speaks[AUDIO]
            ]
            line.codecs.append(Codec(CORE_DTMF, DTMF, RATE, 1, EVENTS))
            self._lines, self._slots = {0: line}, (Slot(AUDIO, CORE_PROFILE, ""),)
        direction = Direction.INACTIVE if hold else Direction.SENDRECV
        return self._describe({place: line.offered(direction) for place, line in self._lines.items()})

    def answer(self, offer: str) -> str:
        """The answer to an offer; it holds from now on."""
        peer = core_peer(offer)
        if len(peer.slots) < len(self._slots):
            raise refuse("a media line has vanished")
        self._keep(peer, self._chosen(peer), ours=False)
        return self._describe({place: line.answered() for place, line in self._lines.items()})

    def take(self, answer: str) -> None:
        """The answer to our offer."""
        peer = core_peer(answer)
        chosen = {place: agreed for place, agreed in self._chosen(peer).items() if self._has(agreed.stream)}
        if not chosen or len(peer.slots) != len(self._slots):
            raise refuse("the answer does not fit the offer")
        self._keep(peer, chosen, ours=True)

    def _chosen(self, peer: CorePeer) -> dict[int, _Agreed]:
        """The lines to take, by place: of each kind the one that is in use already, else the first."""
        found: dict[str, _Agreed] = {}
        for stream in peer.streams:
            theirs = spoken(stream, self._speaks)
            if theirs and (stream.kind not in found or self._has(stream)):
                found[stream.kind] = _Agreed(stream, theirs)
        if not found:
            raise refuse("no codec in common")
        return {agreed.stream.index: agreed for agreed in found.values()}

    def _has(self, stream: CoreStream) -> bool:
        line = self._lines.get(stream.index)
        return line is not None and line.kind == stream.kind

    def _keep(self, peer: CorePeer, chosen: Mapping[int, _Agreed], ours: bool) -> None:
        """Have these lines and no others. `ours`: we had offered, and speak what we said."""
        before, opened = self._lines, dict[int, PhoneLine]()
        try:
            for place, agreed in chosen.items():
                if not self._has(agreed.stream):
                    opened[place] = self._open(agreed.stream.kind)
        except MediaError:
            _close(opened.values())
            raise
        self._slots = peer.slots
        self._lines = {place: opened.get(place) or before[place] for place in sorted(chosen)}
        _close(line for line in before.values() if line not in self._lines.values())
        for place, agreed in chosen.items():
            line = self._lines[place]
            line.agree(agreed.stream, line.codecs if ours else agreed.theirs, agreed.theirs)

    def _open(self, kind: str) -> PhoneLine:
        try:
            return PhoneLine(self._reactor, self._host, kind, echoes=self._sound is None)
        except CannotListenError as error:
            raise MediaError(Reason.OVERLOADED, str(error)) from None

    def _describe(self, lines: Mapping[int, CoreLine]) -> str:
        return self._origin.stamp(core_lines(self._host, lines, self._slots))

    # -- what is heard ---------------------------------------------------------------------

    def start(self) -> None:
        """The call is answered: let hear what there is to hear. An echo needs no start."""
        if self._sound is not None:
            self._player.play(self._sound)

    def play(self, tone: Tone) -> None:
        """Let hear something else until `start`."""
        self._player.play(tone)

    def close(self) -> Deferred[Any]:
        """Silence; fires when the ports are free again."""
        self._player.stop()
        lines, self._lines = self._lines, {}
        return _close(lines.values())


def _close(lines: Iterable[PhoneLine]) -> Deferred[Any]:
    return gatherResults([line.close() for line in lines])
