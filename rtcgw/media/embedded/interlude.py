"""What one call hears of the gateway itself: music for whoever is held, keys for the phone.

    the browser holds the phone        the phone hears music, while it takes anything
    the phone is said to hold          the browser hears music; so too where the phone says so itself and sends nothing
    keys for the phone                 telephone events in its sound

A side that holds hears nothing. A phone that holds and sends plays its own music, or its own silence.

What it is not: it says nothing in descriptions (`lines.py`), and knows no packets (`voice.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rtcgw.media.backend import Party
from rtcgw.media.codecs import audio, counterpart, events
from rtcgw.media.embedded.lines import Line
from rtcgw.media.packets.music import Music
from rtcgw.media.packets.relay import Heard
from rtcgw.media.packets.voice import Metronome, Voice
from rtcgw.media.peers import CoreStream, WebStream
from rtcgw.media.sdp import Codec


class Interlude:
    """Of one call; `web` is the browser's party. `music` None: who is held hears silence."""

    __slots__ = ("_metronome", "_music", "_seconds", "_voices", "_web")

    def __init__(self, web: Party, metronome: Metronome, music: Music | None, seconds: Callable[[], float]) -> None:
        self._web = web
        self._metronome = metronome
        self._music = music
        self._seconds = seconds
        self._voices: dict[Heard, Voice] = {}

    def joined(self, line: Line, web: WebStream | None, core: CoreStream | None, holders: frozenset[Party]) -> None:
        """The line of sound carries these two, `holders` hold: who is to hear music hears it, whoever is not, not."""
        if not (holders or line.deaf or self._voices):
            return
        if web is None or core is None or not (line.agreed and line.core.told):
            self.close()
            return
        web_holds, core_holds = self._web in holders, self._web.other in holders
        self._play(Heard.CORE, line, web_holds and not core_holds and core.direction.receives, _phones(line, core))
        is_silent = core_holds or (line.deaf and not core.direction.sends)
        self._play(Heard.WEB, line, is_silent and not web_holds and web.direction.receives, audio(line.agreed))

    def press(self, line: Line, core: CoreStream | None, digits: str, duration: int) -> bool:
        """Keys for the phone, `duration` ms each. False: it has not said that it takes any, or there is no room."""
        if core is None or not core.direction.receives or not line.core.told:
            return False
        told = {codec.name for codec in line.core.told}
        found = [codec for codec in events(line.choice.usable(core.codecs)) if codec.name in told]
        heard = _phones(line, core)
        if not (found and heard):
            return False
        event = next((codec for codec in found if codec.rate == heard[0].rate), found[0])
        return self._voice(Heard.CORE, line).press(digits, duration, event.pt, event.rate)

    def close(self) -> None:
        """Nothing is said any more."""
        for voice in self._voices.values():
            voice.stop()
        self._voices.clear()

    def _play(self, heard: Heard, line: Line, is_wanted: bool, codecs: Sequence[Codec]) -> None:
        if is_wanted and self._music is not None:
            self._voice(heard, line).play(self._music.tune(codecs))
        elif heard in self._voices:
            self._voices[heard].play(None)

    def _voice(self, heard: Heard, line: Line) -> Voice:
        voice = self._voices.get(heard)
        if voice is None:
            relay = line.relay
            timeline, send = (relay.up, relay.say_core) if heard is Heard.CORE else (relay.down, relay.say_web)
            voice = Voice(timeline, lambda on: relay.take_over(heard, on), send, self._metronome, self._seconds)
            self._voices[heard] = voice
        return voice


def _phones(line: Line, core: CoreStream) -> list[Codec]:
    """The phone's codecs of sound that were agreed on, under its numbers, the one that it hears now first."""
    told = {codec.name for codec in line.core.told}
    heard = [codec for codec in audio(line.choice.usable(core.codecs)) if codec.name in told]
    now = counterpart(line.agreed[0], heard) if line.agreed else None
    return heard if now is None else [now[0], *(codec for codec in heard if codec is not now[0])]
