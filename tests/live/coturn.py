"""coturn with time-limited passwords (`use-auth-secret`), on ports of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

from attrs import define, field

from tests.live.requirements import program
from tests.live.running import Running
from tests.live.waiting import HOST, bound, reactor, until

SECRET = "turn-secret-of-the-live-suite"


@define
class Coturn:
    """One TURN server, UDP and TCP. It relays to loopback addresses, which no server in earnest may."""

    folder: Path
    port: int = 3478
    first_port: int = 32000
    last_port: int = 32099
    secret: str = SECRET
    _running: Running | None = field(default=None, init=False)

    @property
    def urls(self) -> list[str]:
        """How pages are told of it."""
        return [f"turn:{HOST}:{self.port}?transport={transport}" for transport in ("udp", "tcp")]

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = self.folder.absolute()
        argv = [program("coturn"), "-n", f"--listening-ip={HOST}", f"--relay-ip={HOST}", "--realm=rtcgw.test"]
        argv += [f"--listening-port={self.port}", f"--min-port={self.first_port}", f"--max-port={self.last_port}"]
        argv += ["--use-auth-secret", f"--static-auth-secret={self.secret}", "--fingerprint", "--no-tls", "--no-dtls"]
        argv += ["--no-cli", "--allow-loopback-peers", "--no-multicast-peers", "--verbose", "--simple-log"]
        argv += ["--log-file=stdout", f"--userdb={files / 'turn.sqlite'}", f"--pidfile={files / 'turn.pid'}"]
        self._running = Running(f"coturn-{self.port}", argv, self.folder)
        await until("coturn listens", lambda: bound(self.port) and bound(self.port, "tcp"))

    async def stop(self) -> None:
        """End it."""
        if self._running is not None and not self._running.ended:
            await self._running.stop()

    def log(self) -> str:
        """What it has written since its start."""
        return self._running.log() if self._running is not None else ""

    def users(self) -> set[str]:
        """User names to whom it has given a relay."""
        return set(re.findall(r"user <([^>]+)>: incoming packet ALLOCATE processed, success", self.log()))


def password(username: str, secret: str = SECRET) -> str:
    """What coturn wants of a user name `expiry:who` (draft-uberti-behave-turn-rest-00 §2.2)."""
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


def username(seconds: float, who: str = "somebody") -> str:
    """A user name that is good for so many seconds."""
    return f"{int(reactor.seconds() + seconds)}:{who}"
