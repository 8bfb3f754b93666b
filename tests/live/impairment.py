"""A bad line into a namespace: packets are lost, late, and overtake each other, as often as asked.

    network.create()
    line = BadLine(network, folder, loss=0.05, delay=0.03)
    await line.start()                       ours 198.18.1.1, the page's 198.18.1.2
    ...
    print(line.counts())
    await line.stop()

Two TUN devices, one of them inside the namespace, and between them a process that reads packets here and writes them
there. Not `tc netem`, although the kernel has it in most places: where the module is missing (containers, small
virtual machines) there is no way to get it, and two ways to make a line bad would be two tests. The dice are seeded,
so that a run can be repeated. Everything suffers, in both directions, TCP too. The devices go with the process.

Run as a program (`python -m tests.live.impairment NAME LOSS DELAY SEED`) this module is that process.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import sys
import time
from pathlib import Path
from types import FrameType

from attrs import define, field

from tests.live.ims.core import ROOT
from tests.live.netns import Namespace, ip
from tests.live.running import Running

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 1500
WAITING = 20_000
"""Packets on their way; beyond it the line loses them as a full buffer would."""


@define
class BadLine:
    """The line between our namespace and `network`, both directions alike.

    `loss`: share of the packets that vanish. `delay`: the longest time that one takes, in seconds; the shortest is
    none, so that a later packet may overtake an earlier one.
    """

    network: Namespace
    folder: Path
    loss: float = 0.05
    delay: float = 0.03
    seed: int = 1
    _running: Running | None = field(default=None, init=False)

    async def start(self) -> None:
        """Make the devices, the inner one inside the namespace, and join them."""
        words = [self.network.name, f"{self.loss:g}", f"{self.delay:g}", str(self.seed)]
        argv = [sys.executable, "-m", "tests.live.impairment", *words]
        self._running = Running("impairment", argv, self.folder, env={"PYTHONPATH": str(ROOT)})
        await self._running.said("^joined$")
        network = self.network
        ip("link", "set", network.inner, "netns", network.name)
        ip("address", "add", network.ours, "peer", network.theirs, "dev", network.outer)
        ip("link", "set", network.outer, "up")
        network.inside("address", "add", network.theirs, "peer", network.ours, "dev", network.inner)
        network.inside("link", "set", network.inner, "up")

    async def stop(self) -> None:
        """Cut it."""
        if self._running is not None:
            await self._running.stop()

    def counts(self) -> tuple[int, int]:
        """Packets carried and lost, both directions together, after `stop`."""
        assert self._running is not None, "not started"
        words = self._running.log().split()
        return int(words[words.index("carried") + 1]), int(words[words.index("lost") + 1])


class _Line:
    """The process: two devices, and the packets that are on their way."""

    def __init__(self, devices: tuple[int, int], loss: float, delay: float, seed: int) -> None:
        self.other = {devices[0]: devices[1], devices[1]: devices[0]}
        self.loss = loss
        self.delay = delay
        self.dice = random.Random(seed)
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.carried = self.lost = 0

    def run(self) -> None:
        """For ever; SIGTERM ends it."""
        while True:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            ready, _, _ = select.select(list(self.other), [], [], wait)
            for device in ready:
                self.take(self.other[device], os.read(device, MTU + 100))
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(self.waiting)
                self.give(device, packet)

    def take(self, device: int, packet: bytes) -> None:
        """A packet for `device` sets out, or is lost."""
        lost, late = self.dice.random() < self.loss, self.dice.random() * self.delay
        if lost or len(self.waiting) >= WAITING:
            self.lost += 1
        else:
            self.carried += 1
            heapq.heappush(self.waiting, (time.monotonic() + late, self.carried, device, packet))

    def give(self, device: int, packet: bytes) -> None:
        """It arrives; a device that is down, or gone with its namespace, takes nothing."""
        try:
            os.write(device, packet)
        except OSError:
            self.lost += 1
            self.carried -= 1


def _device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def main() -> None:
    """The process between the devices."""
    name, loss, delay, seed = sys.argv[1:]
    network = Namespace(name.removeprefix("rtcgw-"))
    line = _Line((_device(network.outer), _device(network.inner)), float(loss), float(delay), int(seed))

    def end(_signal: int, _frame: FrameType | None) -> None:
        print(f"carried {line.carried} lost {line.lost}", flush=True)  # noqa: T201
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("joined", flush=True)  # noqa: T201
    line.run()


if __name__ == "__main__":
    main()
