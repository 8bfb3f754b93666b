"""twistd with a sampler inside: where the gateway's own CPU time goes, by layer and by function.

    python -m tests.bench.sampled FILE twistd's arguments...

The kernel's profiling clock ticks in CPU time of this process, so that waiting is never counted, and the handler
notes the innermost frame. It costs a few per cent, which is why figures come from runs without it. SIGUSR1 starts
it; SIGUSR1 again writes what was found to FILE, as JSON. What a C function costs counts for its caller.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

TICK = 0.002
"""Seconds of CPU between two samples; the kernel rounds it up to its own tick."""

LAYERS: tuple[tuple[str, str | None], ...] = (
    ("rtcgw/rtcweb/websocket", "WebSocket"),
    ("/autobahn/", "WebSocket"),
    ("rtcgw/rtcweb/dialects", "JSON"),
    ("rtcgw/rtcweb", "browser side"),
    ("rtcgw/sip/transport", "SIP sockets"),
    ("rtcgw/sip/datagram", "SIP sockets"),
    ("rtcgw/sip/flow", "SIP sockets"),
    ("rtcgw/sip/parser", "SIP text"),
    ("rtcgw/sip/message", "SIP text"),
    ("rtcgw/sip/headers", "SIP text"),
    ("rtcgw/sip/names", "SIP text"),
    ("rtcgw/sip/grammar", "SIP text"),
    ("rtcgw/sip/uri", "SIP text"),
    ("/protocols/sip.py", "SIP text"),
    ("rtcgw/sip", "SIP transactions, dialogs"),
    ("rtcgw/machine", "state machines"),
    ("rtcgw/media", "media"),
    ("rtcgw/ims", "IMS side"),
    ("rtcgw/translator", "translator"),
    ("rtcgw/store", "translator"),
    ("rtcgw/junction", "translator"),
    ("rtcgw/model", "translator"),
    ("/twisted/logger", "log"),
    ("rtcgw/ops/logs", "log"),
    ("/epollreactor", "reactor: epoll"),
    ("/internet/tcp", "sockets of the reactor"),
    ("/internet/udp", "sockets of the reactor"),
    ("/internet/abstract", "sockets of the reactor"),
    ("/internet/", "reactor: timers, loop"),
    ("/twisted/python/util", None),
    ("/twisted/", "reactor: timers, loop"),
)
"""Part of a file's path -> layer; the first that fits. None, and other files, count for whoever called them."""

_layers: dict[CodeType, str | None] = {}


def layer_of(code: CodeType) -> str | None:
    """The layer that a function belongs to; None for a library's, which works for its caller."""
    if code not in _layers:
        file = code.co_filename
        _layers[code] = next((layer for part, layer in LAYERS if part in file), None)
    return _layers[code]


class Sampler:
    """Counts samples by layer and by function."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.layers: Counter[str] = Counter()
        self.functions: Counter[CodeType] = Counter()
        self.running = False

    def toggle(self, _number: int, _frame: FrameType | None) -> None:
        """Start, or stop and write."""
        self.running = not self.running
        signal.setitimer(signal.ITIMER_PROF, TICK if self.running else 0, TICK)
        if not self.running:
            self.write()

    def tick(self, _number: int, frame: FrameType | None) -> None:
        """One sample."""
        if frame is not None:
            self.functions[frame.f_code] += 1
        while frame is not None:
            layer = layer_of(frame.f_code)
            if layer is not None:
                self.layers[layer] += 1
                return
            frame = frame.f_back
        self.layers["other"] += 1

    def write(self) -> None:
        """The result, complete or not there."""
        top = [
            [f"{Path(code.co_filename).stem}.{code.co_qualname}", count]
            for code, count in self.functions.most_common(60)
        ]
        new = self.out.with_suffix(".new")
        new.write_text(json.dumps({"layers": self.layers, "functions": top}), encoding="utf-8")
        new.replace(self.out)


def main() -> None:
    """Make ready, and be twistd."""
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, sampler.toggle)
    signal.signal(signal.SIGPROF, sampler.tick)
    sys.argv = ["twistd", *sys.argv[2:]]

    from twisted.scripts.twistd import run  # noqa: PLC0415 - it reads sys.argv, and chooses the reactor

    run()


if __name__ == "__main__":
    main()
