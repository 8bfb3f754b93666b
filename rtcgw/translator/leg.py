"""The seam of the translator: a leg speaks one protocol outward and neutral events inward.

    leg  --report(event)-->  parent  --deliver(event)-->  the other leg

News goes up by `ILegParent.report`, orders come down by `ILeg.deliver`. A call is the
parent of two legs, a fork the parent of several that ring together; a leg cannot tell
which. Incoming and outgoing are the same leg class in two starting states.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from zope.interface import Attribute, Interface

from rtcgw.media.backend import Access
from rtcgw.model.events import Event
from rtcgw.model.identity import SessionId


@frozen
class LegView:
    """What the inspector shows of a leg. Holds no secret."""

    kind: str
    """`sip`, `browser`, `fork`, or `moved` for one that was in another call until this one."""
    peer: str
    """Whom the leg talks to: a URI, or a user and connection."""
    state: str
    timers: Mapping[str, float] = field(factory=dict)
    """Running timers and the seconds each has left."""
    last: tuple[str, ...] = ()
    """The last messages, one line each (`-> INVITE sip:...`, `<- 180 Ringing`), oldest first."""
    details: Mapping[str, str] = field(factory=dict)
    user: str = ""
    """The user's name, on the web."""
    profile: str = ""
    """The subscription that carries it, in the core."""
    call_id: str = ""
    """SIP Call-ID."""
    agent: str = ""
    """What the peer calls itself (User-Agent, Server), where it has said so."""


class ILegParent(Interface):
    """Whoever a leg reports to: a call, or a fork."""

    def report(leg: ILeg, event: Event) -> None:
        """News from `leg`. After it has reported `End` a leg reports nothing more."""


class ILeg(Interface):
    """Half of a call."""

    session: SessionId = Attribute("The session this leg belongs to.")
    access: Access = Attribute("What kind of media peer is at its far end.")
    parent: ILegParent | None = Attribute("Whom it reports to; set before anything is delivered.")

    def deliver(event: Event) -> None:
        """An order from the parent. An event that makes no sense in the leg's state is counted and dropped.

        `Setup` makes a callee's leg place its call; `End` makes any leg end it. A leg to which End was
        delivered does not report End.
        """

    def view() -> LegView:
        """A picture for the inspector; cheap, no side effects."""
