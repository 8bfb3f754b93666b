"""SIPp as a subscriber of the core: scenarios in `sipp/`, or put together by `script.py`, run as called or calling
party, and their outcome.

A scenario is itself the assertion: SIPp fails the call when a message is missing, unexpected, or lacks what a
`check_it` in the scenario demands.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field, frozen

from tests.live.ims.core import ImsCore
from tests.live.ims.subscribers import Subscriber
from tests.live.requirements import program
from tests.live.running import Running
from tests.live.script import Script
from tests.live.waiting import HOST, bound, until

SCENARIOS = Path(__file__).with_name("sipp")

REPEATING = frozenset({"uac_ack_lost", "uac_invite_repeated", "uas_ack_lost"})
"""Scenarios that speak of retransmissions themselves: SIPp must neither make nor hide any (`-nr`)."""

TOLERANT = frozenset({"uac_invite_repeated"})
"""Scenarios in which provisional responses may come between what is sent; otherwise the unexpected is a failure."""


@frozen
class Outcome:
    """What a run came to. `flow`: methods and status codes on the wire, in order, repeats of one line left out."""

    status: int
    successful: int
    failed: int
    flow: tuple[str, ...]
    messages: str = field(repr=False)
    errors: str
    log: str

    @property
    def good(self) -> bool:
        """Every call went as the scenario says."""
        return self.status == 0 and self.failed == 0 and self.successful > 0

    def check(self) -> Outcome:
        """Itself, or an AssertionError that tells what went over the wire."""
        if not self.good:
            raise AssertionError(
                f"SIPp ended with {self.status}, {self.successful} successful, {self.failed} failed\n"
                f"flow: {' '.join(self.flow)}\n{self.errors}"
            )
        return self


@define
class Sipp:
    """Runs scenarios as one subscriber, on that subscriber's ports."""

    who: Subscriber
    folder: Path
    core: ImsCore
    _runs: int = 0

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    async def register(self, expires: int = 600, *, password: str | None = None, tcp: bool = False) -> Outcome:
        """Register at the core by digest; a wrong password is expected to be refused."""
        wrong = password is not None and password != self.who.password
        scenario = "register_refused" if wrong else "register"
        auth = ["-au", self.who.impi, "-ap", password or self.who.password, *(["-t", "t1"] if tcp else [])]
        run = self._run(self._named(scenario), {"expires": str(expires)}, to=self.core.ports.icscf, more=auth)
        return (await run.end()).check()

    async def called(
        self, scenario: str | Script, keys: Mapping[str, str] | None = None, *, timeout: float = 20.0
    ) -> SippRun:
        """Start a called party and wait until it listens."""
        run = self._run(self._named(scenario), keys or {}, to=self.core.ports.scscf, timeout=timeout)
        await run.listening()
        return run

    def calling(
        self,
        scenario: str | Script,
        callee: str,
        keys: Mapping[str, str] | None = None,
        *,
        to: int | None = None,
        timeout: float = 20.0,
    ) -> SippRun:
        """Start a calling party: `callee` is the URI called, `to` the next hop (else the S-CSCF)."""
        port = to if to is not None else self.core.ports.scscf
        return self._run(self._named(scenario), {"callee": callee, **(keys or {})}, to=port, timeout=timeout)

    def _named(self, scenario: str | Script) -> str:
        """The file of a scenario; a script gets one."""
        if isinstance(scenario, str):
            return str(SCENARIOS / f"{scenario}.xml")
        file = self.folder.absolute() / f"{self.who.user}-script-{self._runs + 1:02d}.xml"
        file.write_text(scenario.xml(file.stem), encoding="utf-8")
        return str(file)

    def _run(
        self,
        scenario: str,
        keys: Mapping[str, str],
        *,
        to: int,
        timeout: float = 20.0,
        more: list[str] | None = None,
    ) -> SippRun:
        self._runs += 1
        return SippRun.start(
            f"{self._runs:02d}-{Path(scenario).stem}", Path(scenario), self.who, self.folder, to, keys, timeout, more
        )


@define
class SippRun:
    """One SIPp process, one call."""

    running: Running
    port: int
    base: Path
    timeout: float

    @classmethod
    def start(
        cls,
        name: str,
        script: Path,
        who: Subscriber,
        folder: Path,
        to: int,
        keys: Mapping[str, str],
        timeout: float,
        more: list[str] | None = None,
    ) -> SippRun:
        """Start SIPp at `who`'s ports; `more` are further options."""
        base = folder.absolute() / f"{who.user}-{name}"
        scenario = script.stem
        argv = [program("sipp"), f"{HOST}:{to}", "-sf", str(script), "-i", HOST, "-p", str(who.sip_port)]
        argv += ["-mp", str(who.rtp_port), "-mi", HOST, "-rtp_echo", "-m", "1", "-nostdin"]
        argv += ["-timeout", f"{timeout:g}s", "-timeout_error"]
        argv += ["-trace_msg", "-message_file", f"{base}.messages", "-trace_err", "-error_file", f"{base}.errors"]
        argv += ["-trace_logs", "-log_file", f"{base}.notes", "-trace_stat", "-stf", f"{base}.csv"]
        if scenario in REPEATING:
            argv.append("-nr")
        if scenario in TOLERANT:
            argv += ["-default_behaviors", "all,-abortunexp"]
        for key, value in {"user": who.user, **keys}.items():
            argv += ["-key", key, value]
        running = Running(base.name, [*argv, *(more or [])], folder)
        return cls(running, who.sip_port, base, timeout)

    async def listening(self) -> None:
        """Wait until the SIP port is bound: a call may come now."""
        await until(f"SIPp listens\n{self.running.tail()}", lambda: bound(self.port), 5)

    async def saw(self, pattern: str, times: int = 1) -> None:
        """Wait until so many lines of the messages on the wire match `pattern`."""
        form = re.compile(pattern, re.MULTILINE)

        def look() -> bool:
            return len(form.findall(self._read("messages"))) >= times

        await until(f"{times} times {pattern} at SIPp", look, self.timeout)

    async def end(self) -> Outcome:
        """Wait for the scenario's end."""
        status = await self.running.end(self.timeout + 5)
        return self._outcome(status)

    async def passed(self) -> Outcome:
        """Wait for the scenario's end, which must be a good one."""
        return (await self.end()).check()

    async def stop(self) -> None:
        """End it, wherever it is."""
        await self.running.stop()

    def _read(self, suffix: str) -> str:
        try:
            return Path(f"{self.base}.{suffix}").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:  # nothing was written
            return ""

    def _outcome(self, status: int) -> Outcome:
        messages = self._read("messages")
        rows = list(csv.DictReader(self._read("csv").splitlines(), delimiter=";"))
        counts = rows[-1] if rows else {}
        return Outcome(
            status=status,
            successful=int(counts.get("SuccessfulCall(C)", 0)),
            failed=int(counts.get("FailedCall(C)", 0)),
            flow=_flow(messages),
            messages=messages,
            errors=" ".join(self._read("errors").split())[:2000],
            log=" ".join(self._read("notes").split()),
        )


def _flow(messages: str) -> tuple[str, ...]:
    steps = [a or b for a, b in re.findall(r"^(?:SIP/2\.0 (\d+)|([A-Z]+) \S+ SIP/2\.0)", messages, re.MULTILINE)]
    return tuple(step for i, step in enumerate(steps) if i == 0 or step != steps[i - 1])
