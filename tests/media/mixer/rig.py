"""A room in memory: parties that send tones, and hear what the room makes of them. Time is a `task.Clock`."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

from twisted.internet.task import Clock

from rtcgw.media.mixer.line import Line
from rtcgw.media.mixer.mixing import FRAME
from rtcgw.media.mixer.pulse import BEAT
from rtcgw.media.mixer.room import Mixer, MixerSettings, MixRoom
from rtcgw.media.packets.g711 import decoder, encoder
from rtcgw.media.ports import PortPairs
from tests.media.memory import Address, Network, phone_sdp
from tests.peers.rtp import loudest, power

HERE = "127.0.0.1"
LAWS = {0: "PCMU", 8: "PCMA"}


class Talker:
    """A party: says a tone of `hertz` in packets of `ptime` ms, and keeps what it hears."""

    def __init__(self, network: Network, place: int, hertz: int, pt: int = 0, ptime: int = 20) -> None:
        self.address: Address = (f"198.51.100.{place}", 4000)
        self.hertz, self.pt, self.ptime = hertz, pt, ptime
        self.to: Address = ("", 0)
        self.level = 8000
        self.seq, self.ts, self.ssrc = 100 * place, 1000 * place, place
        self.packets: list[bytes] = []
        self.reports: list[bytes] = []
        self._network = network
        network.ports[self.address] = lambda data, source: self.packets.append(data)
        network.ports[self.address[0], 4001] = lambda data, source: self.reports.append(data)

    def sdp(self, formats: str = "", direction: str = "sendrecv") -> str:
        return phone_sdp(formats or f"{self.pt} 101", direction, self.address)

    def packet(self, seconds: float | None = None) -> bytes:
        """The next packet of the tone."""
        count = round(8000 * (self.ptime / 1000 if seconds is None else seconds))
        tone = (self.level * math.sin(2 * math.pi * self.hertz * (self.ts + place) / 8000) for place in range(count))
        octets = encoder(LAWS[self.pt])(array("h", map(round, tone)).tobytes())
        head = (
            bytes([0x80, self.pt]) + (self.seq & 0xFFFF).to_bytes(2, "big") + (self.ts & 0xFFFFFFFF).to_bytes(4, "big")
        )
        self.seq += 1
        self.ts += count
        return head + self.ssrc.to_bytes(4, "big") + octets

    def say(self, packet: bytes | None = None) -> None:
        self._network.send(self.packet() if packet is None else packet, self.address, self.to)

    def heard(self) -> array[int]:
        """The samples of what has come."""
        octets = b"".join(packet[12:] for packet in self.packets)
        if not octets:
            return array("h")
        return array("h", bytes(decoder(LAWS[self.packets[0][1] & 127])(octets)))

    def hears(self, hertz: int) -> bool:
        """Whether this tone is in what has come since the last `forget`, well above the rest."""
        samples = [sample / 32768 for sample in self.heard()]
        return bool(samples) and power(samples, hertz) > 0.002

    def forget(self) -> None:
        self.packets.clear()


class Hall:
    """A mixer with one room."""

    def __init__(self, settings: MixerSettings | None = None, ports: tuple[int, int] = (30000, 30099)) -> None:
        self.network = Network()
        self.clock: Clock = self.network.clock
        self.pairs = PortPairs(*ports)
        self.mixer = Mixer(settings or MixerSettings(), self.pairs, self.clock, self.network)
        self.room: MixRoom = self.mixer.open()
        self.talkers: list[Talker] = []
        self.lines: list[Line] = []

    def enter(self, hertz: int, pt: int = 0, ptime: int = 20) -> Talker:
        """One more party, which offers and is answered."""
        talker = Talker(self.network, len(self.talkers) + 1, hertz, pt, ptime)
        line = self.room.open_line()
        line.answer(talker.sdp())
        talker.to = (HERE, line.port)
        self.talkers.append(talker)
        self.lines.append(line)
        return talker

    def talk(self, seconds: float, speakers: Iterable[Talker] | None = None) -> None:
        """These speak, or all, each in its packet time, while the room beats."""
        speaking = list(self.talkers if speakers is None else speakers)
        for beat in range(round(seconds / 0.01)):
            for talker in speaking:
                if beat * 10 % talker.ptime == 0:
                    talker.say()
            self.network.run()
            self.clock.advance(0.01)
        self.network.run()

    def hearing(self, seconds: float = 0.6, speakers: Iterable[Talker] | None = None) -> list[list[int]]:
        """What tones each party hears, once the first words have passed."""
        self.talk(0.3, speakers)
        for talker in self.talkers:
            talker.forget()
        self.talk(seconds, speakers)
        return [[other.hertz for other in self.talkers if talker.hears(other.hertz)] for talker in self.talkers]


def frame(hertz: int, law: str = "PCMU", level: int = 8000, start: int = 0) -> bytes:
    """20 ms of a tone."""
    tone = (level * math.sin(2 * math.pi * hertz * (start + place) / 8000) for place in range(FRAME))
    return encoder(law)(array("h", map(round, tone)).tobytes())


__all__ = ["BEAT", "HERE", "Hall", "Talker", "frame", "loudest"]
