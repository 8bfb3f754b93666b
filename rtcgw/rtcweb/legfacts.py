"""What is known of a call beyond its page: for the user's list of calls, and for the page that takes the call up."""

from __future__ import annotations

from typing import Final

from attrs import define

from rtcgw.model.events import Roster, Sound
from rtcgw.model.identity import Identity

NOBODY: Final = Identity("")
"""The other end of a leg that has no call yet."""


@define(eq=False)
class Facts:
    """Of one browser leg. Its machine says how far the call is; here is only what cannot be told from that."""

    remote: Identity = NOBODY
    """Who is at the other end."""
    answered: float | None = None
    """When the call was answered, by the clock."""
    hold: bool | None = None
    """The hold that is being decided: put on, or taken back; None: what is being decided, if anything, is an offer."""
    holding: bool = False
    """The page has put the other side on hold."""
    on_hold: bool = False
    """The other side has put the page on hold."""
    rang: bool = False
    """It rings at the other side."""
    sound: Sound | None = None
    """Who makes what the caller hears."""
    roster: Roster | None = None
    """Who takes part, as it was told last: for a page that takes the call over, of which the others hear nothing."""
    undescribed: bool = False
    """The page has called without a description and given none since: nothing is there that could be taken up."""
