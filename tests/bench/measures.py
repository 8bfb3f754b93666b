"""What `make bench` measures, one function per group of rows."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.bench.calls import QUEUE, Run, percentile
from tests.bench.descriptions import phone
from tests.bench.gateway import DIRECT, Rig, free_port, gateway, reference
from tests.bench.loop import HOST, now
from tests.bench.process import Process
from tests.bench.relay import PLAIN, Sound, Talks, Voice, opus
from tests.bench.report import Report, Row, markdown, say
from tests.bench.users import crowd, storm

Start = Callable[[Path, int | None], AbstractContextManager[Rig]]
"""Starts the program under measurement: `gateway`, `reference`."""
LOW, HIGH = 100, 800
"""Calls per second at which CPU is measured; the low one is the moderate rate, at which none may fail."""


@frozen
class Plan:
    """How long and how much."""

    seconds: float
    """Of a stretch at a steady rate."""
    probe: float
    """Seconds at each step towards the highest rate."""
    steps: tuple[int, ...]
    """Rates tried for it."""
    users: int
    talks: int
    samples: bool
    """Whether the CPU split is measured too."""


QUICK = Plan(2, 3, (400, 600, 800, 1000), 300, 60, True)
FULL = Plan(10, 5, tuple(range(200, 2001, 100)), 1000, 60, True)


@frozen
class Bench:
    """One run of the benchmark."""

    plan: Plan
    folder: Path
    cpu: int | None
    """The processor of the program under measurement."""
    report: Report

    # -- signalling ------------------------------------------------------------------------

    def signalling(self) -> None:
        """CPU, delays, and the highest rate, of the gateway and the bare program."""
        say("bare Twisted program")
        with reference(self.folder, self.cpu) as rig:
            bare = self._steady(rig)
        bare_top = self._highest(reference)
        say("gateway, direct media: descriptions pass through, ICE and DTLS on both sides")
        with gateway(self.folder, self.cpu) as rig:
            runs = self._steady(rig)
        top = self._highest(gateway)
        self._cpu_rows(runs, bare)
        self.report.add(
            Row(
                "calls per second on one core, no failure",
                (top,),
                "/s",
                "700",
                "1200",
                (bare_top,),
                self._top_note(top),
            )
        )
        self._delay_rows(runs[10], bare[10])

    def _delay_rows(self, run: Run, bare: Run) -> None:
        for name, must, aim, ours, theirs in (
            ("OFFER to INVITE at 10/s, p50/p99", "2/5", "1.2/3", run.to_invite, bare.to_invite),
            ("180 to RINGING at 10/s, p50/p99", "1/3", "0.5/1", run.to_ringing, bare.to_ringing),
        ):
            self.report.add(Row(name, _pair(ours), "ms", must, aim, _pair(theirs)))

    def _steady(self, rig: Rig) -> dict[int, Run]:
        """Runs at the rates that the table names, after a warm-up."""
        rig.calls.drive(LOW, 1, rig.process.cpu)
        slow = self._drive(rig, 10, self.plan.seconds)
        return {10: slow, LOW: self._calmest(rig, LOW), HIGH: self._calmest(rig, HIGH)}

    def _calmest(self, rig: Rig, rate: int) -> Run:
        """The cheapest of three stretches: neighbours on the machine make calls dearer, through caches, never cheaper.

        Stretches with failures count only where all have some.
        """
        runs = [self._drive(rig, rate, self.plan.seconds / 2) for _ in range(3)]
        return min(runs, key=lambda run: (run.failed, run.cpu_ms))

    def _drive(self, rig: Rig, rate: int, seconds: float) -> Run:
        run = rig.calls.drive(rate, seconds, rig.process.cpu)
        say(f"  {rate}/s: {run.started} calls, {run.cpu_ms:.3f} ms CPU each{_faults(run)}")
        return run

    def _cpu_rows(self, runs: Mapping[int, Run], bare: Mapping[int, Run]) -> None:
        if runs[LOW].failed:
            self.report.problems.append(f"calls failed at {LOW}/s{_faults(runs[LOW])}")
        for rate, must, aim in ((HIGH, "1.2", "0.8"), (LOW, "1.8", "1.2")):
            run = runs[rate]
            self.report.add(
                Row(f"CPU per call at {rate}/s", (run.cpu_ms,), "ms", must, aim, (bare[rate].cpu_ms,), _note(run))
            )

    def _highest(self, start: Start) -> int:
        """The highest rate that is kept up without a failure; at the second try, for the machine is shared.

        Each try has a process of its own: calls that an overload left behind would go on, and be repeated, in the next.
        """
        best = 0
        for rate in self.plan.steps:
            if not any(self._fresh(start, rate).kept_up for _ in range(2)):
                break
            best = rate
        return best

    def _fresh(self, start: Start, rate: int) -> Run:
        with start(self.folder, self.cpu) as rig:
            rig.calls.drive(LOW, 1, rig.process.cpu)
            return self._drive(rig, rate, self.plan.probe)

    def _top_note(self, top: int) -> str:
        return "more was not tried" if top == self.plan.steps[-1] else ""

    # -- other backends --------------------------------------------------------------------

    def engines(self) -> None:
        """The same calls with media that are set up: by an engine that only talks, by rtpengine, by ourselves."""
        port = free_port()
        media = {"backend": "rtpengine", "nodes": [f"udp:{HOST}:{port}"]}
        self._with_media("with rtpengine control (an engine that only talks)", media, "1.5", "1.0", port)
        program = shutil.which("rtpengine")
        if program is not None:
            engine = self._rtpengine(program, port)
            try:
                self._with_media("with rtpengine control (rtpengine itself)", media, "", "", rate=LOW)
            finally:
                engine.stop()
        else:
            say("rtpengine is not installed: measured against an engine that only talks")
        embedded = {"backend": "embedded", "port": free_port(), "rtp_ports": "24000-31999"}
        self._with_media("with embedded media, set-up only", embedded, "", "")

    def _with_media(
        self, name: str, media: Mapping[str, Any], must: str, aim: str, engine: int = 0, rate: int = HIGH
    ) -> None:
        say(f"gateway {name}")
        with gateway(self.folder, self.cpu, media, engine) as rig:
            rig.core.answer = lambda number, offer: phone(30000)
            self._drive(rig, LOW, 1)
            run = self._calmest(rig, rate)
        self.report.add(Row(f"CPU per call at {rate}/s {name}", (run.cpu_ms,), "ms", must, aim, (), _note(run)))

    def _rtpengine(self, program: str, port: int) -> Process:
        argv = [program, "--foreground", "--log-stderr", "--config-file=none", "--table=-1", f"--interface={HOST}"]
        argv += [f"--listen-ng={HOST}:{port}", "--port-min=30000", "--port-max=39999", "--delete-delay=0"]
        argv += ["--log-level=6", "--dtls-passive", "--num-threads=1"]
        return Process("rtpengine", argv, self.folder, "Startup complete", None, lambda: time.sleep(0.02))

    # -- users, sound, the split -----------------------------------------------------------

    def users(self) -> None:
        """Idle users, log-ins, and a storm of them."""
        say("users who log in")
        with gateway(self.folder, self.cpu) as rig:
            found = crowd(rig, self.plan.users)
            rig.loop.rest(0.5)
            run = storm(rig, 100)
        self.report.add(Row(f"memory per idle user, at {found.users}", (found.memory,), "KiB", "40", "16"))
        self.report.add(
            Row("log-ins per second", (found.rate,), "/s", "200", "500", (), f"{found.cpu:.2f} ms CPU each")
        )
        worst = 1000 * max(run.to_invite, default=0.0)
        self.report.add(Row("worst OFFER to INVITE, 100 log-ins at once", (worst,), "ms", "500", "200", (), _note(run)))

    def sound(self) -> None:
        """The embedded relay, passing on and converting, with rtpengine doing the same beside it."""
        program = shutil.which("rtpengine")
        plain, converting = self.plan.talks, max(10, self.plan.talks // 3)
        for words, size, voice, limits in (
            ("per G.711 call", plain, PLAIN, ("0.25", "0.16")),
            ("per call from Opus to G.711", converting, opus(), ("", "1.3")),
        ):
            say(f"{size} calls talk, {words}")
            beside = () if program is None else (self._engine_sound(program, size, voice).core,)
            media = {"backend": "embedded", "port": free_port(), "rtp_ports": "24000-31999"}
            with gateway(self.folder, self.cpu, media) as rig:
                found = Talks(rig, size, voice).measure(self.plan.seconds)
            note = f"{found.delivered:.1f} % delivered; beside it: rtpengine"
            self.report.add(
                Row(f"embedded relay, {words} of {found.calls}", (found.core,), "% of a core", *limits, beside, note)
            )
            if voice is PLAIN:
                self.report.add(Row("the same, setting a call up with ICE and DTLS", (found.setup,), "ms"))
                self.report.add(Row("the same, memory per call", (found.memory,), "KiB"))

    def _engine_sound(self, program: str, size: int, voice: Voice) -> Sound:
        """The same calls through rtpengine: what it takes, not what the gateway does."""
        port = free_port()
        media = {"backend": "rtpengine", "nodes": [f"udp:{HOST}:{port}"]}
        engine = self._rtpengine(program, port)
        try:
            with gateway(self.folder, None, media) as rig:
                return Talks(rig, size, voice, engine.cpu).measure(self.plan.seconds)
        finally:
            engine.stop()

    def split(self) -> str:
        """Where the CPU goes, by layer; empty when it was not to be measured."""
        if not self.plan.samples:
            return ""
        out = self.folder / "samples.json"
        say("where the CPU goes (sampled, in a run of its own)")
        with gateway(self.folder, self.cpu, DIRECT, samples=out) as rig:
            rig.calls.drive(LOW, 1, rig.process.cpu)
            rig.process.signal(signal.SIGUSR1)
            began = now()
            run = rig.calls.drive(HIGH // 2, max(4.0, self.plan.seconds), rig.process.cpu)
            rig.process.signal(signal.SIGUSR1)
            if not rig.loop.until(out.exists, 5):
                return f"no samples after {now() - began:.0f} s"
        found = json.loads(out.read_text(encoding="utf-8"))
        total = sum(found["layers"].values()) or 1
        layers = sorted(found["layers"].items(), key=lambda item: -int(item[1]))
        rows = [
            (name, f"{100 * hits / total:.1f} %", f"{1000 * run.cpu_ms * hits / total:.0f}") for name, hits in layers
        ]
        functions = [(name, f"{100 * hits / total:.1f} %", "") for name, hits in found["functions"][:15]]
        return markdown([("layer", f"CPU at {HIGH // 2}/s", "us per call"), *rows, ("by function", "", ""), *functions])


def _pair(values: list[float]) -> tuple[float, float]:
    return (1000 * percentile(values, 0.5), 1000 * percentile(values, 0.99))


def _faults(run: Run) -> str:
    slow = f"; {run.behind:.1f} s behind" if run.behind > QUEUE else ""
    told = ", ".join(f"{number} {why}" for why, number in run.faults.items() if number)
    return f"; {run.failed} failed: {told}{slow}" if run.failed else slow


def _note(run: Run) -> str:
    late = f"load {1000 * run.late:.0f} ms late" if run.late > 0.05 else ""
    return "; ".join(
        text for text in (f"{run.failed} of {run.started} calls failed" if run.failed else "", late) if text
    )
