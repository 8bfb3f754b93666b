"""A network of its own for a page: a namespace of Linux, joined to ours by a pair of virtual interfaces.

    network = Namespace("page")
    network.create()
    network.join()                           ours 198.18.1.1, the page's 198.18.1.2
    browser = Browser(reactor, folder, within=network.words, flags=network.flags(gateway.url))
    network.move()                           the page's is 198.18.1.6 now, its old address is gone
    network.delete()

Addresses are those for such tests (RFC 2544, 198.18.0.0/15), of the first hop only: nothing is routed, so nothing
leaves the machine. Names begin with `rtcgw-`; what a killed run has left under such a name is removed before a
namespace is made, and nothing else is touched. Needs root (`need("network")`).
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from tests.live.requirements import program

PREFIX = "rtcgw-"
HOME = Path("/run/netns")
"""Where `ip` keeps the names."""


@define
class Namespace:
    """One namespace. `word` makes its name; `number` (1 to 254) its addresses, 198.18.number.0."""

    word: str
    number: int = 1
    _hop: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """Its name for `ip netns`."""
        return PREFIX + self.word

    @property
    def words(self) -> tuple[str, ...]:
        """What stands before a command line that is to run inside."""
        return (program("network"), "netns", "exec", self.name)

    @property
    def ours(self) -> str:
        """Our address, as seen from inside; the same for all the addresses in there."""
        return f"198.18.{self.number}.1"

    @property
    def theirs(self) -> str:
        """The address inside, now."""
        return f"198.18.{self.number}.{2 + 4 * self._hop}"

    @property
    def outer(self) -> str:
        """The interface at our end."""
        return f"{self.name}0"

    @property
    def inner(self) -> str:
        """The interface inside."""
        return f"{self.name}1"

    def flags(self, url: str) -> tuple[str, ...]:
        """Chromium's flags for a page of this address: it may use the microphone without TLS."""
        return (f"--unsafely-treat-insecure-origin-as-secure={url.rstrip('/')}",)

    def create(self) -> None:
        """Make it, empty but for its loopback; first remove what a killed run left."""
        self.delete()
        ip("netns", "add", self.name)
        self.inside("link", "set", "lo", "up")

    def join(self) -> None:
        """Join it to our namespace by a pair of interfaces, each with an address."""
        ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner, "netns", self.name)
        ip("address", "add", f"{self.ours}/24", "dev", self.outer)
        ip("link", "set", self.outer, "up")
        self.inside("address", "add", f"{self.theirs}/24", "dev", self.inner)
        self.inside("link", "set", self.inner, "up")

    def move(self) -> None:
        """The page goes to another network: the interface loses its address and gets another one."""
        self.inside("address", "del", f"{self.theirs}/24", "dev", self.inner)
        self._hop += 1
        self.inside("address", "add", f"{self.theirs}/24", "dev", self.inner)

    def inside(self, *words: str) -> str:
        """`ip` inside."""
        return ip("-netns", self.name, *words)

    def processes(self) -> list[int]:
        """Ids of the processes inside."""
        return [int(pid) for pid in ip("netns", "pids", self.name).split()] if (HOME / self.name).exists() else []

    def delete(self) -> None:
        """Remove it with all that is in it; nothing happens when it is not there."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if (Path("/sys/class/net") / self.outer).exists():
            ip("link", "delete", self.outer)  # a namespace that is still in use keeps its interfaces
        if (HOME / self.name).exists():
            ip("netns", "delete", self.name)


def ip(*words: str) -> str:
    """Run `ip`; what it prints. Raises AssertionError with what it complains about."""
    done = subprocess.run([program("network"), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
