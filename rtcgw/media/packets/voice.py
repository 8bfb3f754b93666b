"""What the gateway says itself to one receiver, in place of the other party: music while it is held, keys.

A `Voice` has one direction of a line: its timeline, on which what it says is joined to what was heard before, and the
way out. While it speaks the other party's packets do not pass. One beat of 20 ms drives all voices of a backend
(`Metronome`); it runs only while somebody speaks.

Keys are telephone events (RFC 4733): one at a time, in the order they were asked for, with a pause between two; they
go before music, which goes on where it was.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtcgw.media.packets.music import BEATS, Tune
from rtcgw.media.packets.rtp import KEYS, Timeline

MOST: Final = 500
"""Voices that speak at once; a held party beyond it hears nothing. At about 10 us a packet they take a quarter of the
beat."""
QUEUE: Final = 32
"""Keys that wait for one receiver; more are refused."""
SHORTEST, LONGEST = 40, 6000
"""Milliseconds that a key lasts; the limits of RFC 4733 §2.5.1.1 and of RFC 2833's usual receivers."""
PAUSE: Final = 3
"""Beats between two keys."""
REPEATS: Final = 3
"""Times that the first and the last packet of a key are sent (RFC 4733 §2.5.1.4): those two must not be missed."""
VOLUME: Final = 10
"""Of keys, dBm0 below zero."""
_LATE: Final = 5
"""Beats that are made up for when the process was busy; what is older is left out."""
_EVENT: Final = struct.Struct("!BBH")


class Metronome:
    """The beat. It is asked for a place by each voice (`join`) before it speaks."""

    __slots__ = ("_clock", "_due", "_timer", "_voices")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._voices: dict[Voice, None] = {}
        self._timer: IDelayedCall | None = None
        self._due = 0.0

    @property
    def speaking(self) -> int:
        """How many voices speak."""
        return len(self._voices)

    def hears(self, voice: Voice) -> bool:
        """Whether this one does."""
        return voice in self._voices

    def join(self, voice: Voice) -> bool:
        """`voice` speaks from the next beat on. False: too many do."""
        if voice not in self._voices and len(self._voices) >= MOST:
            return False
        self._voices[voice] = None
        if self._timer is None:
            self._due = self._clock.seconds()
            self._wait()
        return True

    def leave(self, voice: Voice) -> None:
        """It speaks no more."""
        self._voices.pop(voice, None)
        if not self._voices and self._timer is not None:
            timer, self._timer = self._timer, None
            timer.cancel()

    def _wait(self) -> None:
        self._due += 1 / BEATS
        self._timer = self._clock.callLater(max(0.0, self._due - self._clock.seconds()), self._beat)

    def _beat(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        if now - self._due > _LATE / BEATS:
            self._due = now
        for voice in tuple(self._voices):
            if voice in self._voices:  # one may end another's call
                voice.beat()
        if self._voices and self._timer is None:
            self._wait()


class _Key(NamedTuple):
    """A key on its way out."""

    pt: int
    length: int
    """Beats from its beginning until the next key may begin."""
    beats: deque[tuple[bytes, int]]
    """What remains to be sent: a payload and how many times, by beat."""


class Voice:
    """See the module. `take(on)` keeps the other party's packets back, or lets them pass again; `send` takes RTP in
    the clear; `seconds` is the reactor's clock."""

    __slots__ = ("_keys", "_metronome", "_place", "_seconds", "_send", "_step", "_take", "_timeline", "_tune", "_wait")

    def __init__(
        self,
        timeline: Timeline,
        take: Callable[[bool], object],
        send: Callable[[bytes], object],
        metronome: Metronome,
        seconds: Callable[[], float],
    ) -> None:
        self._timeline = timeline
        self._take = take
        self._send = send
        self._metronome = metronome
        self._seconds = seconds
        self._tune: tuple[Tune, int] | None = None
        """What is played, and its payload type."""
        self._place = 0
        """Of the next frame."""
        self._keys: deque[_Key] = deque()
        self._step = 0
        """Units of the receiver's clock in a beat."""
        self._wait = 0
        """The same since the timestamp written last."""

    def play(self, tune: tuple[Tune, int] | None) -> None:
        """Play from the beginning, or go on in another codec; None: no more."""
        if self._tune is None:
            self._place = 0
        self._tune = tune
        if tune is not None:
            self._begin(tune[0].codec.rate)
        elif not self._keys:
            self.stop()

    def press(self, digits: str, duration: int, pt: int, rate: int) -> bool:
        """Keys, `duration` ms each, as telephone events `pt` on a clock of `rate` Hz. False: there is no room."""
        codes = [KEYS.find(digit) for digit in digits.upper()]
        if not codes or min(codes) < 0 or len(self._keys) + len(codes) > QUEUE or not self._begin(rate):
            return False
        beats = -(-max(SHORTEST, min(LONGEST, duration)) * BEATS // 1000)
        self._keys.extend(_Key(pt, beats + PAUSE, _payloads(code, beats, self._step)) for code in codes)
        return True

    def stop(self) -> None:
        """The other party is heard again."""
        self._tune = None
        self._keys.clear()
        if self._metronome.hears(self):
            self._metronome.leave(self)
            self._timeline.resume(self._wait, self._seconds())
            self._take(False)

    def beat(self) -> None:
        """20 ms have passed."""
        self._wait += self._step
        if self._keys:
            self._press()
        elif self._tune is not None:
            self._play(*self._tune)
        else:
            self.stop()

    def _begin(self, rate: int) -> bool:
        self._step = rate // BEATS
        if self._metronome.hears(self):
            return True
        if not self._metronome.join(self):
            return False
        self._wait = 0
        self._timeline.interrupt(rate, self._seconds())
        self._take(True)
        return True

    def _play(self, tune: Tune, pt: int) -> None:
        payload = tune.frame(self._place)
        begins = self._place == 0 or self._wait > self._step
        self._place += 1
        if payload:
            self._say(pt | (128 if begins else 0), payload)

    def _press(self) -> None:
        key = self._keys[0]
        begins = len(key.beats) == key.length
        payload, times = key.beats.popleft()
        if not key.beats:
            self._keys.popleft()
        for time in range(times):
            if begins and time == 0:
                self._say(key.pt | 128, payload)
            else:
                self._send(self._timeline.insert(key.pt, 0, payload))

    def _say(self, second: int, payload: bytes) -> None:
        """A packet with a timestamp of its own."""
        step, self._wait = self._wait, 0
        self._send(self._timeline.insert(second, step, payload))


def _payloads(code: int, beats: int, step: int) -> deque[tuple[bytes, int]]:
    """What is sent of one key: how long it has lasted, and whether it is over."""
    made: deque[tuple[bytes, int]] = deque()
    for beat in range(1, beats + 1):
        over = beat == beats
        payload = _EVENT.pack(code, VOLUME | (0x80 if over else 0), min(beat * step, 0xFFFF))
        made.append((payload, REPEATS if beat == 1 or over else 1))
    made.extend([(b"", 0)] * PAUSE)
    return made
