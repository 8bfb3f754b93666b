"""Each SIP message of a course lost once, doubled, or late: a network that fails exactly once, at every place in turn.

for weather in every(Fate.LOST, play):      play(weather) is called for the clear course, then for each message of it
    ...

What `play` does first is build its rig; `weather.over(network)` lets the weather begin. What the gateway loses it must
repeat by itself. What the core loses comes once more after T1 where a phone would repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from attrs import define, field

from tests.peers.network import MemoryNetwork, Packet

T1 = 0.5
LATE = 0.02
"""Seconds: later than the message after it, sooner than any repetition."""
ROUND = 2.0
"""Seconds in which what was lost has come once more, both ways."""
LEFT_OUT = ("REGISTER", "SUBSCRIBE")
CORE_PORTS = (5060, 5061)


class Fate(Enum):
    """What happens to one message."""

    LOST = "lost"
    TWICE = "doubled"
    LATE = "late"


@define
class Weather:
    """The fate of the `number`th message; a number below zero: none has one."""

    fate: Fate
    number: int
    seen: int = 0
    struck: str = ""
    """Start line of the message that it befell."""
    _network: MemoryNetwork = field(init=False)

    def over(self, network: MemoryNetwork) -> None:
        """The weather begins."""
        self._network = network
        network.fate = self._strike

    def _strike(self, packet: Packet) -> int:
        text = packet.data.decode("utf-8", "replace")
        method = text.split("CSeq:")[1].split("\r\n")[0].split()[1]
        if method in LEFT_OUT or (method == "NOTIFY" and "\r\nEvent: reg" in text):
            return 1
        self.seen += 1
        if self.seen - 1 != self.number:
            return 1
        self.struck = packet.start
        if self.fate is Fate.TWICE:
            return 2
        if self.fate is Fate.LATE:
            self._again(packet, LATE)
        elif packet.source[1] in CORE_PORTS and _repeated(packet):
            self._again(packet, T1)
        return 0

    def _again(self, packet: Packet, after: float) -> None:
        self._network.clock.callLater(after, self._network._arrive, packet)


def _repeated(packet: Packet) -> bool:
    """Whether a phone sends it again by itself: requests, answers to INVITE, reliable 1xx."""
    if not packet.start.startswith("SIP/2.0 "):
        return True
    text = packet.data.decode("utf-8", "replace")
    return (packet.start.startswith("SIP/2.0 2") and " INVITE\r\n" in text) or "\r\nRSeq:" in text


def every(fate: Fate, play: Callable[[Weather], None]) -> Iterator[Weather]:
    """Play the course in clear weather, then once for each message that it has, and hand out each time's weather."""
    clear = Weather(fate, -1)
    play(clear)
    yield clear
    for number in range(clear.seen):
        weather = Weather(fate, number)
        try:
            play(weather)
        except Exception as error:
            error.add_note(f"{fate.value}: {weather.struck}, message {number + 1}")
            raise
        yield weather
