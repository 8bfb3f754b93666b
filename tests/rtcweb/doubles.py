"""The other side of the browser's half-call, as a recorder: a translator, and the parent of every leg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
from zope.interface import implementer

from rtcgw.model.events import Event, Setup
from rtcgw.model.identity import Identity, SessionId, new_session_id
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects.reference import schema
from rtcgw.rtcweb.useragent import BrowserLeg
from rtcgw.translator.factory import ITranslator
from rtcgw.translator.flow import Form
from rtcgw.translator.leg import ILeg, ILegParent
from tests.peers.browser import SDP, Browser, BrowserSide

_schema = schema()
GATEWAY: Any = jsonschema.Draft202012Validator(
    {"$defs": _schema["$defs"], "$ref": "#/$defs/gateway", "unevaluatedProperties": False}
)
"""Validates what the gateway sends."""
CLIENT: Any = jsonschema.Draft202012Validator({"$defs": _schema["$defs"], "$ref": "#/$defs/client"})
"""Validates what a client sends."""


@implementer(ITranslator, ILegParent)
class World:
    """Records what legs report, and places every call into the void."""

    def __init__(self) -> None:
        self.placed: list[Setup] = []
        self.legs: list[ILeg] = []
        self.reported: list[Event] = []
        self.merged: list[tuple[Sequence[ILeg], Callable[[ILeg | Reason], None]]] = []
        """Calls that were to become a conference, and who waits for the outcome."""

    def merge(self, legs: Sequence[ILeg], done: Callable[[ILeg | Reason], None]) -> None:
        self.merged.append((legs, done))

    def place(self, origin: ILeg, setup: Setup, form: Form) -> None:
        assert form is Form.NATIVE
        self.placed.append(setup)
        self.adopt(origin)

    def adopt(self, leg: ILeg) -> None:
        leg.parent = self
        self.legs.append(leg)

    def report(self, leg: ILeg, event: Event) -> None:
        assert leg in self.legs
        self.reported.append(event)

    def taken(self) -> list[Event]:
        """What was reported since the last look."""
        reported, self.reported = self.reported, []
        return reported

    def deliver(self, *events: Event) -> None:
        """Orders to the newest leg."""
        for event in events:
            self.legs[-1].deliver(event)

    def ring(self, side: BrowserSide, name: str, setup: Setup, session: SessionId | None = None) -> list[BrowserLeg]:
        """An incoming call for a user."""
        legs = side.users.ring(name, session or new_session_id())
        for leg in legs:
            self.adopt(leg)
            leg.deliver(setup)
        return legs


def checked(browser: Browser) -> None:
    """Everything the gateway has told this browser is in the schema."""
    browser.pump()
    for message in browser.transcript:
        GATEWAY.validate(message)


CAROL = Identity("tel:+15550100", "Carol")
ALICE = Identity("sip:alice@ims.test")

__all__ = ["ALICE", "CAROL", "CLIENT", "GATEWAY", "SDP", "World", "checked"]
