"""The neutral call events: what one leg reports and the other is told.

Each leg speaks one protocol outward and these inward, so a dialect never meets SIP and
SIP never meets a dialect. Everything that can be received can be sent. An event is a
frozen fact: nothing here knows a state, a socket or an encoding.

    caller's leg          call          callee's leg
      Setup        ------------------->  Setup
      Progress     <-------------------  Progress          (trying, ringing, session)
      ProgressAck  ------------------->  ProgressAck       (PRANSWER / PRACK)
      ProgressAcked <------------------  ProgressAcked     (its OK / 200)
      Accept       <-------------------  Accept            (OK / 200 to the INVITE)
      Confirm      ------------------->  Confirm           (ANSWER / ACK)
      Unacceptable <---------------------  Unacceptable      (488: another offer may do)
      Ringback     <---------------------  (the call's own)   who makes the ring-back tone
      Stray        ------------------->  (the call's own)     whose sound is that?
      Update, UpdateAccept, UpdateReject, Candidates, Info, Keyframe, End: either way
      Hold, Away   ------------------->  Hold                (either way)
      Transfer     ------------------->  (the call)          Transferring comes back as it goes on
      Roster, Connected  <-------------  (the call's own)    who takes part, and with whom one talks
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import frozen

from rtcgw.model.identity import ANONYMOUS, DialogRef, Identity, SessionId
from rtcgw.model.reason import Reason


class Kind(Enum):
    """What a session description is in its offer/answer exchange (RFC 3264; RFC 8829 §3.2)."""

    OFFER = "offer"
    PRANSWER = "pranswer"
    ANSWER = "answer"


@frozen
class Description:
    """A session description on its way. The SDP is text with CRLF line ends."""

    kind: Kind
    sdp: str


@frozen
class Setup:
    """A party asks for a session."""

    caller: Identity
    """The asserted caller: never what a client merely claimed."""
    callee: Identity
    """Whom the caller asked for."""
    description: Description | None = None
    """The offer; None is an offerless set-up, whose offer comes with Progress or Accept."""
    headers: tuple[tuple[str, str], ...] = ()
    """Allow-listed headers: a page's for the INVITE, an INVITE's for the page."""
    private: bool = False
    """The caller is not to be shown to the called (RFC 3323)."""
    history: tuple[Identity, ...] = ()
    """Whom the call was meant for before it was sent on to `callee`, the first one first (RFC 7044)."""
    replaces: DialogRef | None = None
    """The dialog of the callee's that this call takes the place of (RFC 3891); only SIP legs read it."""
    referred_by: str | None = None
    """The URI of who asked for this call by a transfer (RFC 3892)."""
    moved: bool = False
    """The caller is in another call already and is moved into this one. Without an offer of its own it is made one of
    what the callee has answered, and confirms with its answer."""
    warm: bool = True
    """The called page may begin ICE and DTLS while it rings. Not where several ring, nor where pages talk directly: all
    would begin with the caller's one end, and the handshake of one that is loaded again, or does not answer, would
    spoil that of the one that does."""

    @property
    def shown(self) -> Identity:
        """The caller as the called may see it."""
        return ANONYMOUS if self.private else self.caller


class Stage(Enum):
    """How far a set-up has come."""

    TRYING = "trying"
    """Under way. With a description: the gateway's own early answer, so that the caller's media connect meanwhile."""
    RINGING = "ringing"
    SESSION = "session"
    FORWARDED = "forwarded"
    """181: it is being sent on to somebody else."""
    QUEUED = "queued"
    """182: it waits for its turn."""


@frozen
class Progress:
    """The set-up moves on: 100, 180, 183 and their dialect words."""

    stage: Stage
    description: Description | None = None
    """Early description: pranswer, or the offer when the set-up had none."""
    reliable: bool = False
    """True when the other side expects a ProgressAck (RFC 3262)."""
    sounds: bool | None = None
    """Whether the callee's network says that it sends sound before the answer (P-Early-Media, RFC 5009 §8);
    None: it says nothing."""
    another: bool = False
    """It is about another callee than so far, of those that the call has been forked or sent on to: what was said of
    sound before is void, and a description replaces the earlier one."""


@frozen
class ProgressAck:
    """PRANSWER from the caller's browser, PRACK from the caller's phone."""

    description: Description | None = None
    """The answer when the Progress carried the offer."""


@frozen
class ProgressAcked:
    """The acknowledgement of a Progress has arrived: the 200 to the PRACK."""


@frozen
class Accept:
    """The callee answers the call."""

    description: Description | None = None
    """The answer (or the offer after an offerless set-up); None repeats the early answer."""


@frozen
class Confirm:
    """ANSWER from the caller's browser, ACK from the caller's phone."""

    description: Description | None = None
    """The answer when the Accept carried the offer."""


@frozen
class Update:
    """A party offers a change of a session in progress: re-INVITE, UPDATE, OFFER in session.

    Reported by a leg: its peer offers. Delivered to a leg: its peer is to be asked, and the leg reports
    `UpdateAccept` or `UpdateReject`. Delivered and reported the same way once the other party has decided.
    """

    description: Description | None
    fresh: bool = False
    """The media behind the offer are others than so far: a page builds its peer connection anew."""
    focus: str = ""
    """With `fresh`: the name of the conference that the peer is now in; a phone is told so (RFC 4579 §4.1)."""


@frozen
class UpdateAccept:
    """The change is taken."""

    description: Description | None


@frozen
class UpdateReject:
    """The change is refused; the call stays as it was (RFC 6141).

    With CANCELLED: it is taken back. So a leg reports of a peer that offered, and so it is told of one that was asked.
    """

    reason: Reason


@frozen
class Unacceptable:
    """The callee refused the offer as it is (415, 420, 488, 580, 606): the set-up may be tried with another one.

    Followed by a new `Setup` for the same leg, or by `End`.
    """

    reason: Reason
    text: str | None = None
    status: int | None = None


class Sound(Enum):
    """Who makes what a caller hears before the answer (RFC 3960 §3)."""

    LOCAL = "local"
    """The caller's own end: its ring-back tone."""
    NETWORK = "network"
    """The network: its tone or announcement comes as media."""
    NONE = "none"
    """Nobody: not ringing, or answered."""


@frozen
class Ringback:
    """The caller's end is told what to play."""

    sound: Sound


@frozen
class Keyframe:
    """The other side needs a whole picture: PLI or FIR where media carry them, INFO of RFC 5168 where not."""


@frozen
class Stray:
    """Sound comes, before the answer, from where the chosen description does not say: a call that has forked may know
    whose it is (RFC 3960 §3.2). Only SIP legs read it."""

    host: str
    port: int


@frozen
class Hold:
    """Reported: the peer of this leg puts the other one on hold, or takes it back; the leg hears `UpdateAccept(None)`
    or `UpdateReject`. Delivered: the leg's peer has been put on hold, or taken back."""

    on: bool


@frozen
class Away:
    """Reported: the peer of this leg cannot be reached for a while (its page reloads), or is there again. Then the
    `Update` with which it takes the call up is reported first: nothing that follows from this one is in its way."""

    on: bool


@frozen
class Transfer:
    """Reported: the peer of this leg wants the other party to talk to somebody else in its stead.
    Delivered: the peer of this leg is asked to call somebody else (REFER)."""

    target: str
    """Whom: a URI, a number, a user. Empty where `other` says it."""
    other: SessionId | None = None
    """The transferor's other call, whose far party is the target (attended transfer)."""
    replaces: DialogRef | None = None
    """The dialog at the target which the new call takes the place of (attended transfer by a phone)."""
    referred_by: str | None = None
    """Who asks, as a URI."""


class TransferStage(Enum):
    """How far a transfer is."""

    TRYING = "trying"
    RINGING = "ringing"
    DONE = "done"
    FAILED = "failed"


@frozen
class Transferring:
    """A transfer goes on. DONE and FAILED are its last word; FAILED leaves the call as it was."""

    stage: TransferStage
    reason: Reason | None = None
    """With FAILED: why."""
    status: int | None = None
    """The SIP status behind it, where there was one."""


class Part(Enum):
    """What a participant is doing."""

    CALLING = "calling"
    TALKING = "talking"
    HELD = "held"
    """Put on hold by somebody."""
    AWAY = "away"
    """Its page reloads, or its network changes."""


@frozen
class Participant:
    """Somebody in a call."""

    party: Identity
    part: Part
    video: bool = False
    """It shows a picture."""


@frozen
class Roster:
    """Who takes part in a call, all of them; delivered whenever that changes. `version` grows by one."""

    version: int
    participants: tuple[Participant, ...]


@frozen
class Focus:
    """Reported: the party at the peer's end is a conference (RFC 4579 §4.1), or one no more."""

    on: bool


@frozen
class Connected:
    """The party at the other end is this one now: after a transfer, or because the network has said so."""

    party: Identity


@frozen
class Candidates:
    """One trickled ICE candidate, or the end of them (RFC 8838)."""

    candidate: str | None
    """The candidate attribute's value, without `a=`; None means end of candidates."""
    mid: str | None = None
    mline: int | None = None
    ufrag: str | None = None


@frozen
class Info:
    """DTMF outside the media path: INFO `application/dtmf-relay`, DTMF of the dialect."""

    digits: str
    """Of 0-9 A-D * #."""
    duration: int = 100
    """Milliseconds per digit."""


@frozen
class End:
    """The call is over for this party, for one reason."""

    reason: Reason
    text: str | None = None
    """What the peer said about it, bounded, fit to show; None when it said nothing."""
    status: int | None = None
    """The SIP status received, when there was one."""


Event: TypeAlias = (
    Setup
    | Progress
    | ProgressAck
    | ProgressAcked
    | Accept
    | Confirm
    | Unacceptable
    | Ringback
    | Keyframe
    | Stray
    | Update
    | UpdateAccept
    | UpdateReject
    | Candidates
    | Info
    | Hold
    | Away
    | Transfer
    | Transferring
    | Roster
    | Focus
    | Connected
    | End
)
