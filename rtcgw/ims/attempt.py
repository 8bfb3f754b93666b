"""One REGISTER, with the challenges and the Min-Expires that it meets on its way, to one outcome.

A registration runs one attempt at a time (TS 24.229 §5.1.1.2.1). The attempt knows 401,
407 and 423; what an outcome means for the registration is that machine's business.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.ims.challenge import challenges_of, is_stale
from rtcgw.ims.line import Line
from rtcgw.machine import Machine, Row, Table
from rtcgw.model import defaults
from rtcgw.model.identity import Scheme
from rtcgw.sip.digest import AuthRefused
from rtcgw.sip.message import Request, Response
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser

MAX_ROUNDS = 3
"""REGISTERs with credentials per attempt: a stale nonce, a forgotten one and an AKA resynchronisation cost one more."""
MAX_EXPIRES = 2**31 - 1


class Outcome(Enum):
    """How an attempt ended."""

    TAKEN = "taken"
    """2xx."""
    REFUSED = "refused"
    """403, or credentials that the registrar or we do not accept: trying again would change nothing."""
    FAILED = "failed"
    """Any other final response: the core is alive."""
    SILENT = "silent"
    """408, no answer, or no way to send."""


@frozen
class Result:
    """The outcome, with what the registrar said."""

    outcome: Outcome
    response: Response | None = None
    text: str = ""
    """For the log."""
    asked: int = 0
    """The Expires that was asked for last."""


class _State(Enum):
    ASKING = "asking"
    PROVING = "proving"
    DONE = "done"


class _Input(Enum):
    CHALLENGED = "challenged"
    TOO_BRIEF = "too brief"
    FINAL = "final"
    SILENCE = "silence"
    ABANDONED = "abandoned"


@implementer(IClientUser)
@define(eq=False)
class Attempt:
    """`build(expires, authorization)` makes the next REGISTER; `done(result)` is called once, unless abandoned."""

    _line: Line
    _clock: IReactorTime
    _build: Callable[[int, tuple[str, str]], Request]
    _expires: int
    _renewing: bool
    """Whether there is a registration already: attach mode B says so to the S-CSCF."""
    _done: Callable[[Result], None]
    _rounds: int = field(default=0, init=False)
    _sent: Request | None = field(default=None, init=False)
    _tx: ClientTransaction | None = field(default=None, init=False)
    _answer: str = field(default="", init=False, repr=False)
    machine: Machine[_State, _Input] = field(init=False)

    def start(self) -> None:
        """Send the first REGISTER."""
        self.machine = Machine(ATTEMPT_TABLE, self, self._clock)
        self._send(("Authorization", self._empty()))

    def abandon(self) -> None:
        """Nobody waits for the outcome any more."""
        self.machine.handle(_Input.ABANDONED)

    # -- news ------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        if response.status >= 200 and tx is self._tx:
            self.machine.handle(self._kind(response), response)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self.machine.handle(_Input.SILENCE, failure)

    def _kind(self, response: Response) -> _Input:
        if response.status in (401, 407) and self._rounds < MAX_ROUNDS:
            return _Input.CHALLENGED
        if response.status == 423 and self._min_expires(response) is not None:
            return _Input.TOO_BRIEF
        return _Input.FINAL

    def _min_expires(self, response: Response) -> int | None:
        """A longer time than we asked for, or None: a registrar must not lead us in circles."""
        text = response.get("min-expires") or ""
        if not (text.isascii() and text.isdigit()) or len(text) > 10:
            return None
        return int(text) if self._expires < int(text) <= MAX_EXPIRES else None

    # -- orders ----------------------------------------------------------------------------

    def _prove(self, response: Response) -> None:
        """Answer the challenge with the credentials of the profile."""
        register = self._sent
        assert register is not None
        try:
            answer = self._line.credentials.answer(challenges_of(response), "REGISTER", str(register.uri), b"")
        except AuthRefused as error:
            self.machine.handle(_Input.FINAL, response, str(error))
            return
        self._rounds += 1
        self._send(("Authorization" if response.status == 401 else "Proxy-Authorization", self._marked(answer)))

    def _prove_again(self, response: Response) -> None:
        """A further challenge refuses the credentials, unless it is for another cause than the secret."""
        if self._excusable(response):
            self._prove(response)
        else:
            self.machine.handle(_Input.FINAL, response, "the credentials are not accepted")

    def _excusable(self, response: Response) -> bool:
        """The nonce was stale, the SQN out of step, or, once, the nonce is another one: a registrar that restarts
        between challenge and answer has forgotten its own and need not say so, and a refusal would be for good."""
        challenges = challenges_of(response)
        if "auts=" in self._answer or any(map(is_stale, challenges)):
            return True
        nonces = [challenge.params.get("nonce") or "" for challenge in challenges]
        return self._rounds == 1 and not any(f'nonce="{nonce}"' in self._answer for nonce in nonces)

    def _lengthen(self, response: Response) -> None:
        """423: ask for what the registrar wants."""
        assert self._sent is not None
        self._expires = self._min_expires(response) or defaults.EXPIRES_REGISTER
        self._send(("Authorization", self._empty()))

    def _finish(self, response: Response, text: str = "") -> None:
        status = response.status
        if status < 300:
            outcome = Outcome.TAKEN
        elif status == 408:
            outcome = Outcome.SILENT
        else:
            outcome = Outcome.REFUSED if status in (401, 403, 407) else Outcome.FAILED
        text = text or f"{status} {response.phrase[: defaults.TEXT_LIMIT]}"
        self._done(Result(outcome, response, text, self._expires))

    def _unheard(self, failure: Failure) -> None:
        self._done(Result(Outcome.SILENT, None, failure.name.lower(), self._expires))

    def _send(self, authorization: tuple[str, str]) -> None:
        self._answer = authorization[1]
        self._sent = self._build(self._expires, authorization)
        self._tx = self._line.layer.request(self._sent, self._line.peer, self)

    def _empty(self) -> str:
        """The Authorization of a REGISTER that has not been challenged: it names the IMPI. TS 24.229 §5.1.1.2.2."""
        profile = self._line.profile
        mark = ""
        if self._line.core and profile.scheme is Scheme.AKA:
            mark = ',integrity-protected="no"'
        uri = self._line.domain
        return f'Digest username="{profile.impi}",realm="{profile.domain}",uri="{uri}",nonce="",response=""{mark}'

    def _marked(self, answer: str) -> str:
        """In mode B we are our own P-CSCF and say how far the REGISTER is protected (TS 24.229 §7.2A.2)."""
        if not self._line.core:
            return answer
        if self._line.profile.scheme is Scheme.AKA:
            return answer + ',integrity-protected="yes"'
        mark = "ip-assoc-yes" if self._renewing else "ip-assoc-pending"
        return f'{answer},integrity-protected="{mark}"'


# fmt: off
ATTEMPT_TABLE: Table[_State, _Input] = Table(
    "REGISTER attempt",
    _State.ASKING,
    _Input,
    {
        (_State.ASKING, _Input.CHALLENGED): Row(_State.PROVING, (Attempt._prove,)),
        (_State.ASKING, _Input.TOO_BRIEF): Row(_State.ASKING, (Attempt._lengthen,)),
        (_State.ASKING, _Input.FINAL): Row(_State.DONE, (Attempt._finish,)),
        (_State.ASKING, _Input.SILENCE): Row(_State.DONE, (Attempt._unheard,)),
        (_State.ASKING, _Input.ABANDONED): Row(_State.DONE),

        (_State.PROVING, _Input.CHALLENGED): Row(_State.PROVING, (Attempt._prove_again,)),
        (_State.PROVING, _Input.TOO_BRIEF): Row(_State.ASKING, (Attempt._lengthen,)),
        (_State.PROVING, _Input.FINAL): Row(_State.DONE, (Attempt._finish,)),
        (_State.PROVING, _Input.SILENCE): Row(_State.DONE, (Attempt._unheard,)),
        (_State.PROVING, _Input.ABANDONED): Row(_State.DONE),
    },
    {_State.DONE: set(_Input)},
)
# fmt: on
