"""The registration of one profile (510): the gateway as an ordinary subscriber of the IMS (TS 24.229 §5.1.1).

    IDLE -> REGISTERING -> REGISTERED <-> REFRESHING
                 |  ^           refresh fails, core alive:  HOLDING (the lease still runs)
                 v  |           core silent:                WAITING (calls fail at once)
              WAITING           forbidden, or wrong secret: REFUSED (until told to start again)
    shutdown: (CLOSING ->) LEAVING -> GONE

It registers once, independently of any browser, and keeps the registration by itself:
refreshes, backs off, follows what the registrar announces in the `reg` event, and looks
again when a call failed as if the registration were lost. The REGISTERs themselves are
`attempt.py`'s, the reg-event subscription `regwatch.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.ims import binding
from rtcgw.ims.attempt import Attempt, Outcome, Result
from rtcgw.ims.binding import Binding
from rtcgw.ims.line import Line
from rtcgw.ims.regnews import Verdict
from rtcgw.ims.regwatch import RegWatch
from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.model import defaults
from rtcgw.sip.dialog import new_call_id, new_tag
from rtcgw.sip.message import Request

log = Logger()

RETRY_AFTER_MAX = 3600.0
"""Seconds: no registrar may send us away for longer."""
RECALL_GAP = 60.0
"""Seconds: a registrar that ends what it has just granted, again and again, is met with patience."""
CHECK_GAP = 5.0
"""Seconds within which a shortened lease is the one that has been acted upon."""
SUSPECT_GAP = 30.0
"""Seconds between two checks that failing calls set off: a barred number dialled again and again asks for no more."""


class RegState(Enum):
    """Where a registration stands."""

    IDLE = "idle"
    REGISTERING = "registering"
    REGISTERED = "registered"
    REFRESHING = "refreshing"
    HOLDING = "holding"
    WAITING = "waiting"
    REFUSED = "refused"
    CLOSING = "closing"
    LEAVING = "leaving"
    GONE = "gone"


class RegInput(Enum):
    """What happens to it."""

    START = "start"
    STOP = "stop"
    TAKEN = "taken"
    REFUSED = "refused"
    FAILED = "failed"
    SILENT = "silent"
    REFRESH = "refresh due"
    RETRY = "retry due"
    EXPIRED = "expired"
    SUSPECT = "suspect"
    GIVE_UP = "give up"
    REJECTED = "rejected by the network"
    DEACTIVATED = "deactivated by the network"
    PROBATION = "sent away by the network"
    SHORTENED = "shortened by the network"


USABLE = frozenset({RegState.REGISTERED, RegState.REFRESHING, RegState.HOLDING})
"""States in which calls may be placed."""

_OUTCOMES = {
    Outcome.TAKEN: RegInput.TAKEN,
    Outcome.REFUSED: RegInput.REFUSED,
    Outcome.FAILED: RegInput.FAILED,
    Outcome.SILENT: RegInput.SILENT,
}
_VERDICTS = {
    Verdict.REJECTED: RegInput.REJECTED,
    Verdict.DEACTIVATED: RegInput.DEACTIVATED,
    Verdict.PROBATION: RegInput.PROBATION,
    Verdict.SHORTENED: RegInput.SHORTENED,
}


@frozen
class Backoff:
    """How long to wait after failures in a row. RFC 5626 §4.5, with its values for a total failure."""

    base: float = 30.0
    """Seconds."""
    longest: float = 1800.0
    """Seconds."""

    def delay(self, failures: int, jitter: float) -> float:
        """Seconds to wait after the n-th failure; `jitter` is random in [0, 1)."""
        limit = min(self.longest, self.base * 2.0 ** min(failures, 30))
        return limit * (0.5 + jitter / 2)


@define(eq=False)
class Registration:
    """Keeps one profile registered.

    `on_change(self)` is called after each change of `state` that changes whether the profile can be used,
    and on each refusal and at the end.
    """

    _line: Line
    _clock: IReactorTime
    _random: Callable[[], float]
    """In [0, 1)."""
    _backoff: Backoff = field(factory=Backoff)
    _expires: int = defaults.EXPIRES_REGISTER
    """Seconds asked for; less than 24.229's value where a registrar's loss of memory must be noticed sooner."""
    _leave_wait: float = 3.0
    """Seconds that de-registering may take."""
    on_change: Callable[[Registration], None] | None = None
    binding: Binding | None = field(default=None, init=False)
    """What was granted last; kept while the registration may still stand."""
    failures: int = field(default=0, init=False)
    """In a row."""
    last_error: str = field(default="", init=False)
    machine: Machine[RegState, RegInput] = field(init=False)
    _wait: float = field(default=0.0, init=False)
    _call_id: str = field(default="", init=False)
    _tag: str = field(default="", init=False)
    _cseq: int = field(default=0, init=False)
    _ends: float = field(default=0.0, init=False)
    """Clock time at which the lease ends."""
    _checked: float = field(default=float("-inf"), init=False)
    _recalled: float = field(default=float("-inf"), init=False)
    """When the network last asked for a new registration."""
    _attempt: Attempt | None = field(default=None, init=False)
    _watch: RegWatch = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.machine = Machine(REGISTRATION_TABLE, self, self._clock, label=self._line.profile.name)
        self._watch = RegWatch(self._line, self._clock, self._told)
        self._renumber()

    # -- orders from outside ---------------------------------------------------------------

    def start(self) -> None:
        """Register; also after a refusal, when somebody has put it right."""
        self.machine.handle(RegInput.START)

    def stop(self) -> None:
        """De-register, within a bounded time; the state ends as GONE."""
        self.machine.handle(RegInput.STOP)

    def suspect(self) -> None:
        """A call failed as if the core had forgotten us: make sure."""
        now = self._clock.seconds()
        if now - self._checked >= SUSPECT_GAP:
            self._checked = now
            self.machine.handle(RegInput.SUSPECT)

    @property
    def state(self) -> RegState:
        """Where it stands."""
        return self.machine.state

    @property
    def usable(self) -> bool:
        """Whether calls may be placed through it."""
        return self.machine.state in USABLE

    @property
    def identities(self) -> tuple[str, ...]:
        """The public identities that may be used, the default one first; the same object while nothing changes."""
        return self._line.profile.impus if self.binding is None else self.binding.identities

    @property
    def routes(self) -> tuple[str, ...]:
        """The Service-Route."""
        return () if self.binding is None else self.binding.routes

    @property
    def watch(self) -> RegWatch:
        """The reg-event subscription; requests that fall into it are given to it."""
        return self._watch

    def lease(self) -> float:
        """Seconds left of what was granted, 0 when nothing is."""
        return max(0.0, self._ends - self._clock.seconds())

    # -- news ------------------------------------------------------------------------------

    def _finished(self, result: Result) -> None:
        """An attempt has ended. What the machine's timers need is put down before it moves."""
        self._attempt = None
        outcome = result.outcome
        if outcome is Outcome.TAKEN and self.machine.state is not RegState.LEAVING:
            outcome = self._take(result)
        else:
            self.last_error = result.text
        if outcome in (Outcome.FAILED, Outcome.SILENT):
            self.failures += 1
            self._wait = max(self._told_to_wait(result), self._backoff.delay(self.failures, self._random()))
        self.machine.handle(_OUTCOMES[outcome])

    def _take(self, result: Result) -> Outcome:
        assert result.response is not None
        granted = binding.read(result.response, self._line, result.asked)
        if granted is None:
            self.last_error = "the 2xx does not hold our Contact"
            return Outcome.FAILED
        self.binding = granted
        self.failures = 0
        self.last_error = ""
        self._ends = self._clock.seconds() + granted.granted
        return Outcome.TAKEN

    def _told_to_wait(self, result: Result) -> float:
        """Retry-After, in seconds; 0 without one. RFC 3261 §20.33."""
        text = "" if result.response is None else result.response.get("retry-after") or ""
        digits = text.strip().partition(";")[0].partition("(")[0].strip()
        return min(float(digits[:9]), RETRY_AFTER_MAX) if digits.isascii() and digits.isdigit() else 0.0

    def _told(self, verdict: Verdict, seconds: float) -> None:
        """The reg event speaks of our contact."""
        now = self._clock.seconds()
        again = now - self._recalled < RECALL_GAP
        if verdict is Verdict.SHORTENED and (again or seconds >= self.lease() - CHECK_GAP):
            return  # the news of a shortening that has been acted upon
        if verdict in (Verdict.DEACTIVATED, Verdict.SHORTENED):
            self._recalled = now
        if verdict is Verdict.DEACTIVATED and again:
            verdict, seconds = Verdict.PROBATION, self._backoff.delay(1, self._random())
        if verdict is Verdict.PROBATION:
            self._wait = min(seconds, RETRY_AFTER_MAX)
        self.machine.handle(_VERDICTS[verdict])

    # -- actions ---------------------------------------------------------------------------

    def _register(self) -> None:
        """Send a REGISTER."""
        self._try(self._expires)

    def _register_anew(self) -> None:
        """The network has ended the registration and wants a new one."""
        log.info("profile {profile}: the network ended the registration", profile=self._line.profile.name)
        self._lose()
        self._renumber()
        self._register()

    def _registered(self) -> None:
        self.machine.arm("lease", self.lease())
        log.info(
            "profile {profile}: registered for {seconds} s as {identities}",
            profile=self._line.profile.name,
            seconds=int(self.lease()),
            identities=", ".join(self.identities),
        )
        self._observe()
        self._changed()

    def _refreshed(self) -> None:
        self.machine.arm("lease", self.lease())
        log.info(
            "profile {profile}: registered again for {seconds} s",
            profile=self._line.profile.name,
            seconds=int(self.lease()),
        )
        self._observe()

    def _observe(self) -> None:
        """Subscribe to `reg` under the default identity that is not barred; a tel URI names no registrar."""
        sip = (impu for impu in self.identities if not impu.lower().startswith("tel:"))
        self._watch.start(next(sip, str(self._line.public)))

    def _check(self) -> None:
        """The core may have forgotten everything: the subscription must be made again too."""
        log.info("profile {profile}: calls fail, checking the registration", profile=self._line.profile.name)
        self._watch.stop()
        self._register()

    def _failed(self) -> None:
        log.warn(
            "profile {profile}: not registered: {error}; again in {seconds} s",
            profile=self._line.profile.name,
            error=self.last_error,
            seconds=round(self._wait),
        )

    def _lost(self) -> None:
        """The core does not answer: calls would hang, so they are refused until it does."""
        self._failed()
        self._lose()
        self._changed()

    def _wait_as_told(self) -> None:
        """The network sent us away for a while."""
        self._abandon()
        self._lose()
        self.last_error = "sent away by the network"
        self.machine.arm("retry", self._wait)
        self._failed()
        self._changed()

    def _ran_out(self) -> None:
        self.binding = None
        self._changed()

    def _refused(self) -> None:
        log.error(
            "profile {profile}: registration refused: {error}",
            profile=self._line.profile.name,
            error=self.last_error,
        )
        self._lose()
        self._changed()

    def _rejected(self) -> None:
        self._abandon()
        self.last_error = "ended by the network for good"
        self._refused()

    def _leave(self) -> None:
        self._watch.stop()
        self._try(0)

    def _give_up(self) -> None:
        self._abandon()
        self._gone()

    def _gone(self) -> None:
        self._lose()
        log.info("profile {profile}: gone", profile=self._line.profile.name)
        self._changed()

    # -- helpers ---------------------------------------------------------------------------

    def _try(self, expires: int) -> None:
        self._attempt = Attempt(
            self._line, self._clock, self._request, expires, self.binding is not None, self._finished
        )
        self._attempt.start()

    def _abandon(self) -> None:
        if self._attempt is not None:
            self._attempt.abandon()
            self._attempt = None

    def _lose(self) -> None:
        self.binding = None
        self._ends = 0.0
        self._watch.stop()

    def _renumber(self) -> None:
        """A new registration has a new Call-ID; its refreshes keep it (RFC 3261 §10.2)."""
        self._call_id = new_call_id(self._line.address)
        self._tag = new_tag()
        self._cseq = 0

    def _request(self, expires: int, authorization: tuple[str, str]) -> Request:
        line = self._line
        self._cseq += 1
        request = Request("REGISTER", line.domain)
        request.set("max-forwards", str(defaults.MAX_FORWARDS))
        request.set("from", f"<{line.public}>;tag={self._tag}")
        request.set("to", f"<{line.public}>")
        request.set("call-id", self._call_id)
        request.set("cseq", f"{self._cseq} REGISTER")
        request.set("contact", f'{line.contact};+sip.instance="<{line.instance}>"')
        request.set("expires", str(expires))
        request.set("supported", "path")
        request.set(authorization[0].lower(), authorization[1])
        line.register_extras(request)
        return request

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self)


_S, _I = RegState, RegInput
_LEASED = frozenset({_S.REGISTERED, _S.REFRESHING, _S.HOLDING})


def _refresh_delay(registration: Registration) -> float:
    return binding.refresh_after(registration.lease())


# fmt: off
REGISTRATION_TABLE: Table[RegState, RegInput] = Table(
    "registration",
    _S.IDLE,
    RegInput,
    {
        (_S.IDLE, _I.START): Row(_S.REGISTERING, (Registration._register,)),
        (_S.IDLE, _I.STOP): Row(_S.GONE, (Registration._gone,)),

        (_S.REGISTERING, _I.TAKEN): Row(_S.REGISTERED, (Registration._registered,)),
        (_S.REGISTERING, _I.FAILED): Row(_S.WAITING, (Registration._failed,)),
        (_S.REGISTERING, _I.SILENT): Row(_S.WAITING, (Registration._failed,)),
        (_S.REGISTERING, _I.REFUSED): Row(_S.REFUSED, (Registration._refused,)),
        (_S.REGISTERING, _I.STOP): Row(_S.CLOSING),

        (_S.REGISTERED, _I.REFRESH): Row(_S.REFRESHING, (Registration._register,)),
        (_S.REGISTERED, _I.SUSPECT): Row(_S.REFRESHING, (Registration._check,)),
        (_S.REGISTERED, _I.SHORTENED): Row(_S.REFRESHING, (Registration._register,)),
        (_S.REGISTERED, _I.EXPIRED): Row(_S.REGISTERING, (Registration._ran_out, Registration._register)),
        (_S.REGISTERED, _I.DEACTIVATED): Row(_S.REGISTERING, (Registration._register_anew, Registration._changed)),
        (_S.REGISTERED, _I.PROBATION): Row(_S.WAITING, (Registration._wait_as_told,)),
        (_S.REGISTERED, _I.REJECTED): Row(_S.REFUSED, (Registration._rejected,)),
        (_S.REGISTERED, _I.STOP): Row(_S.LEAVING, (Registration._leave,)),

        (_S.REFRESHING, _I.TAKEN): Row(_S.REGISTERED, (Registration._refreshed,)),
        (_S.REFRESHING, _I.FAILED): Row(_S.HOLDING, (Registration._failed,)),
        (_S.REFRESHING, _I.SILENT): Row(_S.WAITING, (Registration._lost,)),
        (_S.REFRESHING, _I.REFUSED): Row(_S.REFUSED, (Registration._refused,)),
        (_S.REFRESHING, _I.EXPIRED): Row(_S.REGISTERING, (Registration._ran_out,)),
        (_S.REFRESHING, _I.DEACTIVATED): Row(_S.REGISTERING, (Registration._ran_out,)),
        (_S.REFRESHING, _I.PROBATION): Row(_S.WAITING, (Registration._wait_as_told,)),
        (_S.REFRESHING, _I.REJECTED): Row(_S.REFUSED, (Registration._rejected,)),
        (_S.REFRESHING, _I.STOP): Row(_S.CLOSING),

        (_S.HOLDING, _I.RETRY): Row(_S.REFRESHING, (Registration._register,)),
        (_S.HOLDING, _I.EXPIRED): Row(_S.WAITING, (Registration._ran_out,)),
        (_S.HOLDING, _I.DEACTIVATED): Row(_S.REGISTERING, (Registration._register_anew, Registration._changed)),
        (_S.HOLDING, _I.PROBATION): Row(_S.WAITING, (Registration._wait_as_told,)),
        (_S.HOLDING, _I.REJECTED): Row(_S.REFUSED, (Registration._rejected,)),
        (_S.HOLDING, _I.START): Row(_S.REFRESHING, (Registration._register,)),
        (_S.HOLDING, _I.STOP): Row(_S.LEAVING, (Registration._leave,)),

        (_S.WAITING, _I.RETRY): Row(_S.REGISTERING, (Registration._register,)),
        (_S.WAITING, _I.START): Row(_S.REGISTERING, (Registration._register,)),
        (_S.WAITING, _I.STOP): Row(_S.GONE, (Registration._gone,)),

        (_S.REFUSED, _I.START): Row(_S.REGISTERING, (Registration._register,)),
        (_S.REFUSED, _I.STOP): Row(_S.GONE, (Registration._gone,)),

        (_S.CLOSING, _I.TAKEN): Row(_S.LEAVING, (Registration._leave,)),
        (_S.CLOSING, _I.FAILED): Row(_S.LEAVING, (Registration._leave,)),
        (_S.CLOSING, _I.SILENT): Row(_S.GONE, (Registration._gone,)),
        (_S.CLOSING, _I.REFUSED): Row(_S.GONE, (Registration._gone,)),
        (_S.CLOSING, _I.GIVE_UP): Row(_S.GONE, (Registration._give_up,)),

        (_S.LEAVING, _I.TAKEN): Row(_S.GONE, (Registration._gone,)),
        (_S.LEAVING, _I.FAILED): Row(_S.GONE, (Registration._gone,)),
        (_S.LEAVING, _I.SILENT): Row(_S.GONE, (Registration._gone,)),
        (_S.LEAVING, _I.REFUSED): Row(_S.GONE, (Registration._gone,)),
        (_S.LEAVING, _I.GIVE_UP): Row(_S.GONE, (Registration._give_up,)),
    },
    {
        _S.IDLE: set(_I) - {_I.START, _I.STOP},
        _S.REGISTERING: set(_I) - {_I.TAKEN, _I.FAILED, _I.SILENT, _I.REFUSED, _I.STOP},
        _S.REGISTERED: {_I.START, _I.TAKEN, _I.FAILED, _I.SILENT, _I.REFUSED, _I.RETRY, _I.GIVE_UP},
        _S.REFRESHING: {_I.START, _I.REFRESH, _I.RETRY, _I.SUSPECT, _I.SHORTENED, _I.GIVE_UP},
        _S.HOLDING: {
            _I.TAKEN, _I.FAILED, _I.SILENT, _I.REFUSED, _I.REFRESH, _I.SUSPECT, _I.SHORTENED, _I.GIVE_UP,
        },
        _S.WAITING: set(_I) - {_I.RETRY, _I.START, _I.STOP},
        _S.REFUSED: set(_I) - {_I.START, _I.STOP},
        _S.CLOSING: set(_I) - {_I.TAKEN, _I.FAILED, _I.SILENT, _I.REFUSED, _I.GIVE_UP},
        _S.LEAVING: set(_I) - {_I.TAKEN, _I.FAILED, _I.SILENT, _I.REFUSED, _I.GIVE_UP},
        _S.GONE: set(_I),
    },
    [
        Timer("refresh", frozenset({_S.REGISTERED}), _refresh_delay, _I.REFRESH),
        Timer("lease", _LEASED, Registration.lease, _I.EXPIRED),
        Timer("retry", frozenset({_S.HOLDING, _S.WAITING}), lambda registration: registration._wait, _I.RETRY),
        Timer("limit", frozenset({_S.CLOSING, _S.LEAVING}), lambda reg: reg._leave_wait, _I.GIVE_UP),
    ],
)
# fmt: on
