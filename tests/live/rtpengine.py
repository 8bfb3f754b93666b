"""rtpengine in user space: no kernel module, no configuration file, no root."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import define, field

from tests.live.requirements import program
from tests.live.running import Running
from tests.live.waiting import HOST, ask, until_answered


@define
class Rtpengine:
    """One node. `control`: UDP port of the NG protocol; the command-line port is the next one.

    `address`: where its media are, for pages and for phones.
    """

    folder: Path
    control: int = 2223
    first_port: int = 30000
    last_port: int = 30999
    address: str = HOST
    options: tuple[str, ...] = ()
    """More of its command line."""
    _running: Running | None = field(default=None, init=False)

    @property
    def node(self) -> str:
        """How the gateway's configuration names it."""
        return f"udp:{HOST}:{self.control}"

    def has(self, port: int) -> bool:
        """Whether a media port is one of its."""
        return self.first_port <= port <= self.last_port

    async def start(self) -> None:
        """Start it and wait until it answers a ping."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [program("rtpengine"), "--foreground", "--log-stderr", "--config-file=none", "--table=-1"]
        argv += [
            f"--interface={self.address}",
            f"--listen-ng={HOST}:{self.control}",
            f"--listen-cli={HOST}:{self.control + 1}",
        ]
        argv += [f"--port-min={self.first_port}", f"--port-max={self.last_port}", "--num-threads=2", "--dtls-passive"]
        argv += ["--log-level=6", "--delete-delay=0", "--timeout=60", "--silent-timeout=3600", *self.options]
        self._running = Running(f"rtpengine-{self.control}", argv, self.folder)
        await until_answered("rtpengine answers", self.control, _ping, _is_pong)

    async def ping(self) -> bool:
        """Whether it answers."""
        return await ask(self.control, _ping, _is_pong) is not None

    async def kill(self) -> None:
        """End it as a crash would: every call's media are gone."""
        assert self._running is not None
        await self._running.kill()

    async def stop(self) -> None:
        """End it politely; nothing to do when it was killed."""
        if self._running is not None:
            await self._running.stop()

    def log(self) -> str:
        """What it has written since its start."""
        return self._running.log() if self._running is not None else ""


def _ping(_port: int) -> bytes:
    return os.urandom(4).hex().encode() + b" d7:command4:pinge"


def _is_pong(datagram: bytes) -> bool:
    return b"6:result4:pong" in datagram
