"""Fig. 6: the decision flow for every received message, as one function that logs its step path.

    S602 received -> S604 session protocol? -no-> S620 deliver to the client
                       | yes
                     S606 destination? -RTCWeb-> S616 can the client read it? -yes-> S620
                       | IMS                       | no -> S618 translate -> S620
                     S608 SIP already? -yes-> S612 send to the S-CSCF
                       | no -> S610 translate -> S612

The translation itself is not here: it is what the two legs of a call do. This function
decides which legs there must be, and says by which steps it came to that.

A session protocol is anything with a user as destination: call control, presence, messages.
The rest is page and control traffic, which never reaches the IMS.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen
from twisted.logger import Logger, LogLevel
from zope.interface import Interface

log = Logger()


class Form(Enum):
    """The form in which a message came, or which a client reads."""

    SIP = "sip"
    NATIVE = "rtcgw.1"
    JABBER = "xmpp"


class Network(Enum):
    """Which network a destination belongs to."""

    IMS = "ims"
    RTCWEB = "rtcweb"


@frozen
class Received:
    """S602: a message, reduced to what the flow decides on."""

    form: Form
    session_protocol: bool
    destination: str
    """URI or name of the party addressed; for control traffic the client itself."""


class IWorld(Interface):
    """What the flow asks and orders. Each method is one step of the figure."""

    def network(destination: str) -> Network:
        """S606: RTCWeb or IMS, from the user profile found by destination. Raises what refuses the message."""

    def readable(destination: str, form: Form) -> bool:
        """S616: whether the RTCWeb side of `destination` can read a message of this form as it is."""

    def to_ims(message: Received) -> None:
        """S612: send into the IMS domain, as an IMS client."""

    def to_client(message: Received) -> None:
        """S620: deliver to the client for processing."""


def dispatch(message: Received, world: IWorld) -> str:
    """Run Fig. 6 for one message; returns the steps taken, e.g. `602-604-606-608-610-612`.

    What `world` raises passes through: the steps up to there are logged all the same.
    """
    steps = ["602", "604"]
    try:
        if not message.session_protocol:
            steps.append("620")
            world.to_client(message)
        elif _for_ims(message, world, steps):
            if message.form is not Form.SIP:
                steps.append("610")
            steps.append("612")
            world.to_ims(message)
        else:
            if not world.readable(message.destination, message.form):
                steps.append("618")
            steps.append("620")
            world.to_client(message)
    finally:
        path = "-".join(steps)
        log.emit(
            LogLevel.debug,
            "flow {path}: {form} for {destination}",
            path=path,
            form=message.form.value,
            destination=message.destination,
        )
    return path


def _for_ims(message: Received, world: IWorld, steps: list[str]) -> bool:
    """S606, and the step that follows it either way."""
    steps.append("606")
    ims = world.network(message.destination) is Network.IMS
    steps.append("608" if ims else "616")
    return ims
