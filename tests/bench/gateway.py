"""The gateway under measurement: its configuration, its process, and the load generator's ends around it."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from attrs import frozen

from tests.bench.calls import Calls
from tests.bench.core import Core
from tests.bench.engine import Engine
from tests.bench.loop import HOST, Loop
from tests.bench.page import Page
from tests.bench.process import Process

SECRET = "a secret for the benchmark, of forty octets"
PAGES = 50
"""Connections that share the calls of one run."""
_TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
_WAIT = 10.0

Sections = Mapping[str, Mapping[str, Any]]


def free_port() -> int:
    """A port that nobody uses, by UDP or TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
            one.bind((HOST, 0))
            port = int(one.getsockname()[1])
            try:
                other.bind((HOST, port))
            except OSError:  # a connection of an earlier run has had it
                continue
            return port


def token(user: str) -> str:
    """A log-in token, as a web site's own server would make it."""
    claims = {"sub": user, "iss": "bench", "aud": "rtcgw", "exp": int(time.time()) + 3600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def configuration(web: int, sip: int, core: int, media: Mapping[str, Any]) -> str:
    """The gateway's file. Limits on one user are lifted, for a few pages place all the calls."""
    sections: Sections = {
        "web": {"listen": f"tcp:{web}:interface={HOST}", "rate": 10000, "burst": 100000, "page": False},
        "login": {"issuer": "bench", "audience": "rtcgw", "algorithms": ["HS256"], "keys": [SECRET]},
        "call": {"max_calls_per_user": 1000},
        # The INVITE with a browser's own description is longer than 1300 bytes; one datagram all the same.
        "sip": {"listen": f"tcp:{sip}:interface={HOST}", "peer": f"tcp:{HOST}:{core}", "transport": "udp"},
        "media": {name: value for name, value in media.items() if name != "nodes"},
    }
    if "nodes" in media:
        sections = {**sections, "media.rtpengine": {"nodes": media["nodes"]}}
    lines = [line for name, keys in sections.items() for line in _table(f"[{name}]", keys)]
    profile = {"name": "gw", "impi": "gw@bench.test", "impus": ["sip:gw@bench.test"], "domain": "bench.test"}
    lines += _table("[[profile]]", {**profile, "secret": "bench-secret", "max_calls": 100000})
    return "\n".join([*lines, ""])


def _table(head: str, keys: Mapping[str, Any]) -> list[str]:
    return [head, *(f"{name} = {json.dumps(value)}" for name, value in keys.items()), ""]


@frozen
class Rig:
    """A program with both ends of its calls: pages and core."""

    process: Process
    loop: Loop
    core: Core
    calls: Calls
    web: int
    """The port for pages."""

    def open_pages(self, count: int, prefix: str = "user") -> list[Page]:
        """Pages of this many users, logged in."""
        pages = [Page(self.loop, self.web, self.calls.news) for _ in range(count)]
        for number, page in enumerate(pages):
            page.login(token(f"{prefix}{number}"))
        if not self.loop.until(lambda: all(page.user for page in pages), _WAIT):
            raise RuntimeError(f"pages cannot log in:\n{self.process.log()[-2000:]}")
        return pages


DIRECT: Mapping[str, Any] = {"backend": "direct"}


@contextmanager
def gateway(
    folder: Path, cpu: int | None, media: Mapping[str, Any] = DIRECT, engine: int = 0, samples: Path | None = None
) -> Iterator[Rig]:
    """A gateway that has registered, with pages logged in.

    `engine`: port of an `Engine` to set beside it; `samples`: where its CPU profile goes, see `sampled.py`.
    """
    loop = Loop()
    core = Core(loop, free_port())
    web = free_port()
    talker = Engine(loop, engine) if engine else None
    file = folder / "rtcgw.toml"
    file.write_text(configuration(web, free_port(), core.port, media), encoding="utf-8")
    start = ["-c", _TWISTD] if samples is None else ["-m", "tests.bench.sampled", str(samples)]
    argv = [sys.executable, *start, "--nodaemon", "--pidfile=", "rtcgw", "--config", str(file)]
    process = Process("gateway", argv, folder, r"WebSocket: ", cpu, loop.pause)
    rig = Rig(process, loop, core, Calls(loop, core), web)
    try:
        if not loop.until(lambda: core.registered > 0, _WAIT):
            raise RuntimeError(f"the gateway does not register:\n{process.log()[-2000:]}")
        loop.rest(0.3)  # its SUBSCRIBE
        rig.calls.pages = rig.open_pages(PAGES)
        yield rig
    finally:
        _end(rig)
        if talker is not None:
            talker.close()


@contextmanager
def reference(folder: Path, cpu: int | None) -> Iterator[Rig]:
    """The bare program of `reference.py` in the gateway's place."""
    loop = Loop()
    core = Core(loop, free_port())
    web = free_port()
    argv = [sys.executable, "-m", "tests.bench.reference", str(web), str(free_port()), str(core.port)]
    rig = Rig(Process("reference", argv, folder, "ready", cpu, loop.pause), loop, core, Calls(loop, core), web)
    try:
        rig.calls.pages = rig.open_pages(PAGES)
        yield rig
    finally:
        _end(rig)


def _end(rig: Rig) -> None:
    for page in rig.calls.pages:
        page.close()
    rig.process.stop()
    rig.core.close()
