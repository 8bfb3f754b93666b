"""The test core as one object: start, stop, restart and silence its four programs, read their logs.

Everything is on loopback. Its configuration is written anew into the run folder from the templates in
`kamailio/`, so there are no fixed paths; the ports are `Ports`. One core per set of ports.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred

from tests.live.requirements import program
from tests.live.running import Running
from tests.live.waiting import HOST, bound, connections_to, reactor, until, until_answered

DOMAIN = "ims.test"
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SCHEMAS = Path("/usr/share/kamailio")
"""Where Debian's packages keep the table definitions."""


@frozen
class Ports:
    """Where the core listens: SIP (UDP and TCP) and Diameter (TCP)."""

    icscf: int = 5060
    scscf: int = 5061
    presence: int = 5062
    hss: int = 3868
    icscf_diameter: int = 3869
    scscf_diameter: int = 3870


class ImsCore:
    """Kamailio as I-CSCF, S-CSCF and presence server, and an HSS. All state is lost at `start`."""

    def __init__(self, folder: Path, ports: Ports | None = None) -> None:
        """`folder`: for configuration, databases and logs; made when it is not there."""
        self.folder = folder
        self.ports = ports if ports is not None else Ports()
        self.programs: dict[str, Running] = {}

    async def start(self) -> None:
        """Start all four and wait until a REGISTER is challenged, which takes all of them but presence."""
        self._refuse_a_second()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "dbtext").mkdir(parents=True)
        self._write_configuration()
        self._make_databases()
        try:
            await self._start_hss()
            for name in ("scscf", "icscf", "presence"):
                self._start_kamailio(name)
            await self._ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what `start` started, by pid."""
        for name in ("presence", "icscf", "scscf", "hss"):
            program = self.programs.pop(name, None)
            if program is not None:
                program.kill_group(signal.SIGCONT)
                await program.stop()

    async def restart_scscf(self) -> None:
        """The S-CSCF goes and comes back; it has forgotten every registration."""
        await self.stop_scscf()
        await self.start_scscf()

    async def stop_scscf(self) -> None:
        """The S-CSCF goes. The HSS still believes in it."""
        await self.programs.pop("scscf").stop()

    async def start_scscf(self) -> None:
        """The S-CSCF comes back."""
        self._start_kamailio("scscf")
        await self._ready()

    def silence_scscf(self) -> None:
        """The S-CSCF takes messages and does nothing, until `wake_scscf`."""
        self.programs["scscf"].kill_group(signal.SIGSTOP)

    def wake_scscf(self) -> None:
        """It goes on, with all that has waited."""
        self.programs["scscf"].kill_group(signal.SIGCONT)

    async def rtr(self, impu: str) -> None:
        """Network-initiated de-registration of the identity's whole set."""
        hss = self.programs["hss"]
        before = hss.log().count("RTR impu=")
        hss.type(f"rtr {impu}")
        await hss.said("RTR impu=", times=before + 1)

    async def assigned(self, impi: str, kind: str, times: int = 1, timeout: float = 15.0) -> None:
        """Wait until the S-CSCF has told the HSS about a registration, in the HSS's own words.

        `kind`: REGISTRATION, RE_REGISTRATION, USER_DEREGISTRATION, ... (Server-Assignment-Type).
        """
        await self.programs["hss"].said(f"SAR impi={re.escape(impi)} .* 2001 {kind}$", timeout, times)

    def count(self, impi: str, kind: str) -> int:
        """How often that has happened since the HSS was started."""
        return len(re.findall(f"SAR impi={re.escape(impi)} .* 2001 {kind}$", self.log("hss"), re.MULTILINE))

    def log(self, name: str) -> str:
        """What `hss`, `icscf`, `scscf` or `presence` has written since its start."""
        return self.programs[name].log()

    def crashed(self) -> list[str]:
        """Names of the programs that have ended or lost a child process; empty when all is well."""
        return [
            name
            for name, program in self.programs.items()
            if program.ended or "exited by a signal" in program.log() or "child process" in program.log()
        ]

    def _refuse_a_second(self) -> None:
        taken = [port for port in (self.ports.icscf, self.ports.scscf, self.ports.presence) if bound(port)]
        if taken:
            raise RuntimeError(f"UDP port {taken[0]} is in use: another core, or a program that dpkg started?")

    def _words(self, name: str) -> dict[str, str]:
        ports = self.ports
        acceptor = {"icscf": ports.icscf_diameter, "scscf": ports.scscf_diameter}.get(name, 0)
        return {
            "HOST": HOST,
            "FOLDER": str(self.folder.absolute()),
            "NAME": name,
            "ICSCF": str(ports.icscf),
            "SCSCF": str(ports.scscf),
            "PRESENCE": str(ports.presence),
            "HSS": str(ports.hss),
            "ACCEPTOR": str(acceptor),
        }

    def _fill(self, template: str, name: str) -> str:
        text = (HERE / "kamailio" / template).read_text(encoding="utf-8")
        for word, value in self._words(name).items():
            text = text.replace(f"@{word}@", value)
        return text

    def _write_configuration(self) -> None:
        (self.folder / "common.cfg").write_text(self._fill("common.cfg", ""), encoding="utf-8")
        for name in ("icscf", "scscf", "presence"):
            (self.folder / f"{name}.cfg").write_text(self._fill(f"{name}.cfg", name), encoding="utf-8")
            (self.folder / f"cdp-{name}.xml").write_text(self._fill("cdp.xml", name), encoding="utf-8")
            (self.folder / f"run-{name}").mkdir()

    def _make_databases(self) -> None:
        """Kamailio's tables from the definitions that its packages bring, then our rows."""
        for name, parts in (("icscf", ("standard",)), ("presence", ("standard", "presence"))):
            connection = sqlite3.connect(self.folder / f"{name}.sqlite")
            connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for writers
            for part in parts:
                connection.executescript((SCHEMAS / f"db_sqlite/{part}-create.sql").read_text(encoding="utf-8"))
            connection.executescript(self._fill(f"{name}.sql", name))
            connection.commit()
            connection.close()
        for table in ("version", "rls_presentity", "rls_watchers", "pua"):
            shutil.copyfile(SCHEMAS / "dbtext/kamailio" / table, self.folder / "dbtext" / table)

    async def _start_hss(self) -> None:
        argv = [sys.executable, "-m", "tests.live.ims.hss", "--port", str(self.ports.hss)]
        hss = Running("hss", argv, self.folder, env={"PYTHONPATH": str(ROOT)}, typed=True)
        self.programs["hss"] = hss
        await hss.said("listening on")

    def _start_kamailio(self, name: str) -> None:
        folder = self.folder.absolute()
        argv = [program("kamailio"), "-DD", "-E", "-f", str(folder / f"{name}.cfg"), "-Y", str(folder / f"run-{name}")]
        argv += ["-w", str(folder), "-m", "64", "-M", "8"]
        self.programs[name] = Running(name, argv, folder)

    async def _ready(self) -> None:
        for name in ("scscf", "icscf", "presence"):
            port = getattr(self.ports, name)
            await until_answered(f"{name} answers OPTIONS", port, _options(port), _status(b"200"))
        await until("both CSCFs reach the HSS", lambda: connections_to(self.ports.hss) >= 2, 15)
        await until_answered("a REGISTER is challenged", self.ports.icscf, _probe, _status(b"401"))


def _status(code: bytes) -> Callable[[bytes], bool]:
    return lambda datagram: datagram.startswith(b"SIP/2.0 " + code)


def _options(to: int) -> Callable[[int], bytes]:
    return lambda port: _request("OPTIONS", f"sip:{HOST}:{to}", f"sip:{HOST}", port, "")


def _probe(port: int) -> bytes:
    contact = f"Contact: <sip:probe@{HOST}:{port}>\r\nExpires: 60\r\n"
    return _request("REGISTER", f"sip:{DOMAIN}", f"sip:probe@{DOMAIN}", port, contact)


def _request(method: str, uri: str, who: str, port: int, more: str) -> bytes:
    unique = f"{port}-{os.urandom(6).hex()}"
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{port};branch=z9hG4bK{unique}\r\nMax-Forwards: 5\r\n"
        f"From: <{who}>;tag=1\r\nTo: <{who}>\r\nCall-ID: {unique}\r\nCSeq: 1 {method}\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class _Shared:
    """The one core of a test run."""

    core: ImsCore | None = None


async def shared_core() -> ImsCore:
    """The core that the whole test run shares: started by the first who asks, stopped when the reactor ends.

    A test that has stopped or crashed a part of it is found out here, and gets the next one a new core.
    """
    core = _Shared.core
    if core is not None and core.crashed():
        await core.stop()
        core = None
    if core is None:
        core = _Shared.core = ImsCore(Path("ims-core"))
        await core.start()
        reactor.addSystemEventTrigger("before", "shutdown", _stop, core)
    return core


def _stop(core: ImsCore) -> Deferred[None]:
    return ensureDeferred(core.stop())
