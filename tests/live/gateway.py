"""The gateway as an operator runs it: a `twistd` process with a configuration file, its log, its end.

gateway = Gateway(folder, core)
await gateway.start()                    listening, and registered at the core
page = await gateway.client("wanda")
...
await gateway.stop()                     de-registered, ended as it should, nothing untoward in the log
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
from attrs import define, field

from tests.live.ims.core import DOMAIN, ROOT, ImsCore
from tests.live.ims.subscribers import Subscriber, named
from tests.live.running import Running
from tests.live.waiting import HOST, bound
from tests.live.webclient import WebClient

SECRET = "live-suite-secret-of-forty-octets-length"

USERS: Mapping[str, str] = {"wanda": "gw1", "wim": "gw2", "wilma": "gw3"}
"""Who may log in -> the subscriber whose public identity is theirs."""

FAULT = re.compile(r"Traceback \(most recent call last\)|Unhandled|#critical\]")
"""What a log must not have, whatever the network and the browsers did."""

Table = Mapping[str, Any]


@define
class Gateway:
    """One gateway process. `subscribers`: user parts of those it registers; `sections`: more of the configuration."""

    folder: Path
    core: ImsCore
    subscribers: tuple[str, ...] = ("gw1", "gw2")
    attach: str = "B"
    sections: Mapping[str, Table] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict)
    """Digest passwords that are not the HSS's."""
    host: str = HOST
    """The address of its page and of its media for pages."""
    web_port: int = 18080
    sip_port: int = 5070
    clients: list[WebClient] = field(factory=list, init=False)
    _running: Running | None = field(default=None, init=False)

    @property
    def running(self) -> Running:
        """Its process."""
        assert self._running is not None, "not started"
        return self._running

    @property
    def url(self) -> str:
        """The page."""
        return f"http://{self.host}:{self.web_port}/"

    def token(self, user: str, seconds: float = 3600) -> str:
        """A log-in token, as a web site's own server would make it."""
        claims = {"sub": user, "iss": "live", "aud": "rtcgw", "exp": int(time.time() + seconds)}
        return jwt.encode(claims, SECRET, algorithm="HS256")

    async def start(self, registered: bool = True) -> None:
        """Start it and wait until it listens; with `registered`, until the HSS knows of its registrations."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder.absolute() / "rtcgw.toml"
        file.write_text(self.configuration(), encoding="utf-8")
        before = {name: self._registrations(name) for name in self.subscribers}
        for port, transport in ((self.web_port, "tcp"), (self.sip_port, "udp")):
            assert not bound(port, transport), f"port {port} is in use"
        twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
        argv = [sys.executable, "-c", twistd, "--nodaemon", "--pidfile=", "rtcgw", "--config", str(file)]
        self._running = Running("gateway", argv, self.folder, env={"PYTHONPATH": str(ROOT)})
        await self.running.said(r"the page is at ", 15)
        if registered:
            for name in self.subscribers:
                await self.core.assigned(named(name).impi, "(RE_)?REGISTRATION", before[name] + 1)
                await self.running.said(rf"profile {name}: registered for")

    async def stop(self) -> None:
        """Close the clients, end it by SIGTERM, and check that it ended well."""
        await self.leave()
        if self._running is not None and not self._running.ended:
            status = await self._running.stop(15)
            if status not in (0, -signal.SIGTERM):  # twistd ends by the signal that stopped it, once all is done
                raise AssertionError(f"the gateway ended with {status}:\n{self._running.tail(40)}")
        self.check_log()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self.leave()
        await self.running.kill()

    async def leave(self) -> None:
        """Close the clients' connections."""
        clients, self.clients = self.clients, []
        for client in clients:
            await client.close()

    def log(self) -> str:
        """What it has logged since its start."""
        return self._running.log() if self._running is not None else ""

    def check_log(self) -> None:
        """No traceback, no unhandled error: whatever happened was foreseen."""
        lines = self.log().splitlines()
        for place, line in enumerate(lines):
            if FAULT.search(line):
                raise AssertionError("in the gateway's log:\n" + "\n".join(lines[max(0, place - 3) : place + 25]))

    async def client(self, user: str, **login: Any) -> WebClient:
        """A page of `user` without a browser, logged in."""
        client = WebClient(self.web_port)
        await client.connect()
        self.clients.append(client)
        await client.login(self.token(user), **login)
        return client

    def configuration(self) -> str:
        """Its configuration file."""
        sections: dict[str, dict[str, Any]] = {
            "web": {"listen": f"tcp:{self.web_port}:interface={self.host}", "rate": 1000, "burst": 1000},
            "login": {"issuer": "live", "audience": "rtcgw", "algorithms": ["HS256"], "keys": [SECRET]},
            "sip": {
                "listen": f"tcp:{self.sip_port}:interface={HOST}",
                "peer": f"tcp:{HOST}:{self.core.ports.icscf}",
                "trusted": [HOST],
            },
            "media": {"address": self.host, "port": 22000, "rtp_ports": "22100-22299"},
            "log": {"level": "debug"},
        }
        for name, keys in self.sections.items():
            sections.setdefault(name, {}).update(keys)
        lines = [line for name, keys in sections.items() for line in _table(f"[{name}]", keys)]
        for name in self.subscribers:
            lines += _table("[[profile]]", self._profile(named(name)))
        for user, name in USERS.items():
            if name in self.subscribers:
                keys = {"name": user, "impu": named(name).uri, "profile": name, "display": user.title()}
                lines += _table("[[user]]", keys)
        return "\n".join([*lines, ""])

    def _profile(self, who: Subscriber) -> dict[str, Any]:
        keys: dict[str, Any] = {
            "name": who.user,
            "impi": who.impi,
            "impus": [who.uri, who.number],
            "domain": DOMAIN,
            "attach": self.attach,
        }
        if who.aka is None:
            return {**keys, "scheme": "digest", "secret": self.secrets.get(who.user, who.password)}
        return {**keys, "scheme": "aka", "k": who.aka.k.hex(), "opc": who.aka.opc.hex()}

    def _registrations(self, name: str) -> int:
        return self.core.count(named(name).impi, "(RE_)?REGISTRATION")


def _table(head: str, keys: Table) -> Iterable[str]:
    """A TOML table."""
    return ["", head, *(f"{name} = {_value(value)}" for name, value in keys.items())]


def _value(value: Any) -> str:
    """Strings, numbers and truth values are written as in JSON; lists may have tables in them."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)
