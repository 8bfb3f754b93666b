"""One rtpengine: whether it lives, which calls it carries, what it says of them, and what was left in it.

It is pinged at intervals. One missed answer makes an engine doubtful: it gets no new calls and is asked again at
once. The second one confirms its death, and its calls are told.

Its calls are asked about in turn, so many at a time and no more, and what it answers is handed to them. An engine that
was killed and started again answers pings but knows no call, and its calls would be mute: one that it has forgotten is
told, and the others are asked about at once.

Its list of calls is compared with ours at the start and at intervals. A call that bears this gateway's mark and is
none of ours was left behind by a gateway that was killed, or by a move, and is deleted. Others' calls are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.engine.ng import NgClient, NgTimeout, Reply, Value
from rtcgw.media.sockets import Address

log = Logger()

LOOK = 0.5
"""Seconds between two rounds of questions about calls."""
AT_ONCE = 10
"""Calls asked about in one round: twenty a second. Each answer is some 3 kB to read, about 0.2 ms of CPU."""
WATCHED = 10
"""Calls besides, asked about in each round because their first sound is waited for."""
WATCH_TIME = 60.0
"""Seconds for which a first sound is waited for."""
SWEEP = 60.0
"""Seconds between two comparisons of the engine's list with ours."""
LISTED = 1000
"""Calls that an engine is asked to list; more would not fit a datagram. Where there are more, what was left behind may
take several comparisons to come up."""
FULL = 5.0
"""Seconds for which an engine gets no new calls after it has said that it is full."""


_UNKNOWN = "Unknown call"
"""In what the engine says of a call that it does not have."""


class Tenant(Protocol):
    """A call that the engine carries."""

    def lost(self, detail: str) -> None:
        """The engine is dead or has forgotten the call."""

    def counted(self, reply: Reply) -> None:
        """The engine's answer to `query`."""

    @property
    def is_early(self) -> bool:
        """Whether the first sound of its callee is waited for."""


class NodeState(Symbol):
    """Whether the engine lives."""

    UNKNOWN = "not yet asked"
    UP = "up"
    DOUBTED = "doubted"
    DOWN = "down"
    STOPPED = "stopped"


class NodeEvent(Symbol):
    """What moves a node."""

    ANSWERED = "it answered"
    MISSED = "it did not answer in time"
    CONFIRMED = "asked again, it did not answer either"
    TICK = "time to ask"
    LOOK = "time to ask about calls"
    SWEEP = "time to compare lists"
    STOP = "the gateway stops"


class NgNode:
    """See the module. `mark`: what the names of this gateway's calls begin with."""

    def __init__(
        self, client: NgClient, address: Address, clock: IReactorTime, interval: float, mark: str = "rtcgw-gw-"
    ) -> None:
        self.address = address
        self.interval = interval
        self.mark = mark
        self.clock = clock
        self.sessions: dict[str, Tenant] = {}
        """The calls that it knows, by its name for them; whoever was asked about longest ago comes first."""
        self.placed = 0
        """Calls given to it, also such as it was not yet told of."""
        self.turn = 0
        """When it was last given a call, by the backend's count."""
        self.swept = 0
        """Calls of ours deleted because nobody here knew them."""
        self._full_until = 0.0
        self._watched: dict[str, float] = {}
        self._client = client
        self.machine = Machine(NODE_TABLE, self, clock, label=f"rtpengine {self}")

    def __str__(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def healthy(self) -> bool:
        """New calls may be put here."""
        return self.machine.state is NodeState.UP and self.clock.seconds() >= self._full_until

    def filled(self) -> None:
        """It has said that it takes no more calls for now."""
        if self.clock.seconds() >= self._full_until:
            log.warn("rtpengine {node} is full, with {count} calls of ours", node=self, count=self.placed)
        self._full_until = self.clock.seconds() + FULL

    def watch(self, call: str) -> None:
        """Ask about this call in every round until its callee is heard; for so many calls at once and no more."""
        if len(self._watched) < WATCHED:
            self._watched[call] = self.clock.seconds() + WATCH_TIME

    def start(self) -> Deferred[Reply]:
        """Ask for the first time, and from then on at intervals. Fires with the first answer or `NgError`."""
        self.machine.start()
        return self.ask({"command": "ping"})

    def stop(self) -> None:
        """Ask no more."""
        self.machine.handle(NodeEvent.STOP)

    def ask(self, message: Mapping[str, Value]) -> Deferred[Reply]:
        """Send a request; whatever comes of it also tells whether the engine lives."""
        return self._client.request(self.address, message).addCallbacks(self._answered, self._failed)

    def _answered(self, reply: Reply) -> Reply:
        self.machine.handle(NodeEvent.ANSWERED)
        return reply

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(NgTimeout):
            self.machine.handle(NodeEvent.MISSED)
        return failure

    # -- actions --------------------------------------------------------------------------------------

    def _check(self) -> None:
        self.machine.arm("interval", self.interval)
        self.ask({"command": "ping"}).addErrback(_known)

    def _look(self) -> None:
        self.machine.arm("look", LOOK)
        now = self.clock.seconds()
        for call, end in list(self._watched.items()):
            tenant = self.sessions.get(call)
            if tenant is None or not tenant.is_early or now >= end:
                del self._watched[call]
            else:
                self._query(call)
        for call in list(islice(self.sessions, AT_ONCE)):
            if call not in self._watched:
                self._query(call)

    def _query(self, call: str) -> None:
        self.sessions[call] = self.sessions.pop(call)
        self.ask({"command": "query", "call-id": call}).addCallbacks(self._told, _known, callbackArgs=(call,))

    def _told(self, reply: Reply, call: str) -> None:
        tenant = self.sessions.get(call)
        if tenant is None:
            return
        if reply.get("result") != "error":
            tenant.counted(reply)
            return
        if _UNKNOWN not in str(reply.get("error-reason", "")):
            return  # a refusal of another kind says nothing of the call
        # It has forgotten this one; it was started again, and has very likely forgotten the others.
        log.warn("rtpengine {node} has forgotten call {session}", node=self, session=call)
        del self.sessions[call]
        tenant.lost("rtpengine has forgotten the call")
        self.machine.handle(NodeEvent.LOOK)

    def _sweep(self) -> None:
        self.machine.arm("sweep", SWEEP)
        self.ask({"command": "list", "limit": LISTED}).addCallbacks(self._listed, _known)

    def _listed(self, reply: Reply) -> None:
        calls = reply.get("calls")
        left = [
            call
            for call in (calls if isinstance(calls, list) else ())
            if isinstance(call, str) and call.startswith(self.mark) and call not in self.sessions
        ]
        for call in left:
            self.ask({"command": "delete", "call-id": call, "from-tag": ""}).addErrback(_known)
        if left:
            self.swept += len(left)
            log.warn("rtpengine {node}: {count} calls left behind are deleted", node=self, count=len(left))

    def _doubt(self) -> None:
        # Not `ask`: requests that were out at the same time miss for the same cause and confirm nothing.
        asked = self._client.request(self.address, {"command": "ping"})
        asked.addCallbacks(self._answered, lambda _: self.machine.handle(NodeEvent.CONFIRMED))

    def _up(self) -> None:
        log.info("rtpengine {node} is up", node=self)

    def _down(self) -> None:
        log.error("rtpengine {node} is down, with {count} calls", node=self, count=len(self.sessions))
        sessions, self.sessions = self.sessions, {}
        self._watched.clear()
        for tenant in sessions.values():
            tenant.lost(f"rtpengine {self} is down")


def _known(failure: Failure) -> None:
    """The node's state has taken note of it."""


_S, _E = NodeState, NodeEvent
_ASK = (NgNode._check,)
_STOP = Row(_S.STOPPED)
_UP = Row(_S.UP, (NgNode._up, NgNode._sweep))

NODE_TABLE: Table[NodeState, NodeEvent] = Table(
    "rtpengine",
    NodeState.UNKNOWN,
    NodeEvent,
    {
        (_S.UNKNOWN, _E.ANSWERED): _UP,
        (_S.UNKNOWN, _E.MISSED): Row(_S.DOWN, (NgNode._down,)),
        (_S.UNKNOWN, _E.TICK): Row(_S.UNKNOWN, _ASK),
        (_S.UNKNOWN, _E.STOP): _STOP,
        (_S.UP, _E.MISSED): Row(_S.DOUBTED, (NgNode._doubt,)),
        (_S.UP, _E.TICK): Row(_S.UP, _ASK),
        (_S.UP, _E.LOOK): Row(_S.UP, (NgNode._look,)),
        (_S.UP, _E.SWEEP): Row(_S.UP, (NgNode._sweep,)),
        (_S.UP, _E.STOP): _STOP,
        (_S.DOUBTED, _E.ANSWERED): Row(_S.UP),
        (_S.DOUBTED, _E.CONFIRMED): Row(_S.DOWN, (NgNode._down,)),
        (_S.DOUBTED, _E.TICK): Row(_S.DOUBTED, _ASK),
        (_S.DOUBTED, _E.STOP): _STOP,
        (_S.DOWN, _E.ANSWERED): _UP,
        (_S.DOWN, _E.TICK): Row(_S.DOWN, _ASK),
        (_S.DOWN, _E.STOP): _STOP,
    },
    {
        _S.UNKNOWN: {_E.CONFIRMED, _E.LOOK, _E.SWEEP},
        _S.UP: {_E.ANSWERED, _E.CONFIRMED},
        _S.DOUBTED: {_E.MISSED, _E.LOOK, _E.SWEEP},
        _S.DOWN: {_E.MISSED, _E.CONFIRMED, _E.LOOK, _E.SWEEP},
        _S.STOPPED: set(NodeEvent),
    },
    [
        Timer("interval", frozenset(_S) - {_S.STOPPED}, lambda node: node.interval, _E.TICK),
        Timer("look", frozenset({_S.UP}), lambda node: LOOK, _E.LOOK),
        Timer("sweep", frozenset({_S.UP}), lambda node: SWEEP, _E.SWEEP),
    ],
)
