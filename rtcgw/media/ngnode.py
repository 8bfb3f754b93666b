"""One rtpengine: whether it lives, and which sessions it carries.

It is asked at intervals, and not just `ping`: where it carries sessions, for one of them in turn. An
engine that was killed and started again answers pings but knows no call, and its calls would be mute.
One missed answer makes an engine doubtful: it gets no new sessions and is asked again at once. The second
one confirms its death, and its sessions are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.ng import NgClient, NgTimeout, Reply, Value
from rtcgw.media.sockets import Address

log = Logger()


class NodeState(Enum):
    """Whether the engine lives."""

    UNKNOWN = "not yet asked"
    UP = "up"
    DOUBTED = "doubted"
    DOWN = "down"
    STOPPED = "stopped"


class NodeEvent(Enum):
    """What moves a node."""

    ANSWERED = "it answered"
    MISSED = "it did not answer in time"
    CONFIRMED = "asked again, it did not answer either"
    TICK = "time to ask"
    STOP = "the gateway stops"


class NgNode:
    """See the module. Sessions are kept by call-id with the function that tells them they are lost."""

    def __init__(self, client: NgClient, address: Address, clock: IReactorTime, interval: float) -> None:
        self.address = address
        self.interval = interval
        self.sessions: dict[str, Callable[[str], None]] = {}
        self.clock = clock
        self._client = client
        self.machine = Machine(NODE_TABLE, self, clock, label=f"rtpengine {self}")

    def __str__(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def healthy(self) -> bool:
        """New sessions may be put here."""
        return self.machine.state is NodeState.UP

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
        """Ask for the session that was asked for longest ago, or just for a sign of life."""
        self.machine.arm("interval", self.interval)
        if not self.sessions:
            self.ask({"command": "ping"}).addErrback(_known)
            return
        call = next(iter(self.sessions))
        self.sessions[call] = self.sessions.pop(call)
        self.ask({"command": "query", "call-id": call}).addCallbacks(self._checked, _known, callbackArgs=(call,))

    def _checked(self, reply: Reply, call: str) -> None:
        if reply.get("result") != "error" or call not in self.sessions:
            return
        # It has forgotten this one; it was started again, and has very likely forgotten the others.
        log.warn("rtpengine {node} has forgotten call {session}", node=self, session=call)
        self.sessions.pop(call)("rtpengine has forgotten the call")
        if self.sessions:
            self._check()

    def _doubt(self) -> None:
        # Not `ask`: requests that were out at the same time miss for the same cause and confirm nothing.
        asked = self._client.request(self.address, {"command": "ping"})
        asked.addCallbacks(self._answered, lambda _: self.machine.handle(NodeEvent.CONFIRMED))

    def _up(self) -> None:
        log.info("rtpengine {node} is up", node=self)

    def _down(self) -> None:
        log.error("rtpengine {node} is down, {count} calls lose their sound", node=self, count=len(self.sessions))
        sessions, self.sessions = self.sessions, {}
        for lost in sessions.values():
            lost(f"rtpengine {self} is down")


def _known(failure: Failure) -> None:
    """The node's state has taken note of it."""


_S, _E = NodeState, NodeEvent
_ASK = (NgNode._check,)
_STOP = Row(_S.STOPPED)

NODE_TABLE: Table[NodeState, NodeEvent] = Table(
    "rtpengine",
    NodeState.UNKNOWN,
    NodeEvent,
    {
        (_S.UNKNOWN, _E.ANSWERED): Row(_S.UP, (NgNode._up,)),
        (_S.UNKNOWN, _E.MISSED): Row(_S.DOWN, (NgNode._down,)),
        (_S.UNKNOWN, _E.TICK): Row(_S.UNKNOWN, _ASK),
        (_S.UNKNOWN, _E.STOP): _STOP,
        (_S.UP, _E.MISSED): Row(_S.DOUBTED, (NgNode._doubt,)),
        (_S.UP, _E.TICK): Row(_S.UP, _ASK),
        (_S.UP, _E.STOP): _STOP,
        (_S.DOUBTED, _E.ANSWERED): Row(_S.UP),
        (_S.DOUBTED, _E.CONFIRMED): Row(_S.DOWN, (NgNode._down,)),
        (_S.DOUBTED, _E.TICK): Row(_S.DOUBTED, _ASK),
        (_S.DOUBTED, _E.STOP): _STOP,
        (_S.DOWN, _E.ANSWERED): Row(_S.UP, (NgNode._up,)),
        (_S.DOWN, _E.TICK): Row(_S.DOWN, _ASK),
        (_S.DOWN, _E.STOP): _STOP,
    },
    {
        _S.UNKNOWN: {_E.CONFIRMED},
        _S.UP: {_E.ANSWERED, _E.CONFIRMED},
        _S.DOUBTED: {_E.MISSED},
        _S.DOWN: {_E.MISSED, _E.CONFIRMED},
        _S.STOPPED: set(NodeEvent),
    },
    [Timer("interval", frozenset(_S) - {_S.STOPPED}, lambda node: node.interval, _E.TICK)],
)
