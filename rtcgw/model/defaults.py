"""The declared default for every parameter that one side of a translation cannot express.

The patent asks for predefined default parameter values, RFC 4123 §5.1.1 for documented
ones. Nothing else in the project may invent a value: it names one of these.
"""

from __future__ import annotations

from typing import Final

MAX_FORWARDS: Final = 70
"""RFC 3261 §8.1.1.6."""
EXPIRES_REGISTER: Final = 600_000
"""Seconds; TS 24.229 §5.1.1.2.1."""
MIN_SE: Final = 90
"""Seconds; RFC 4028 §5."""
SESSION_EXPIRES: Final = 1800
"""Seconds; RFC 4028 §4."""
SDP_SESSION_NAME: Final = "-"
"""RFC 3264 §5."""
PTIME: Final = 20
"""Milliseconds per packet; RFC 7874 §3."""
RING_TIME: Final = 180
"""Seconds a call may ring before it ends as unanswered; RFC 3261 §13.3.1.1 allows three minutes."""
HOLD_MAX: Final = 2.0
"""Seconds that PRACK or ACK may wait for a browser in `ladder = "patent"`."""
GRACE: Final = 30.0
"""Seconds that a call outlives its browser's connection."""
HOLD_AFTER: Final = 5.0
"""Seconds without its page until a call's other side is put on hold."""
RESUME_TIME: Final = 120.0
"""Seconds after the loss of its connection in which a page may log in again by its resume token."""
UDP_LIMIT: Final = 1300
"""Bytes; a larger request goes over TCP. RFC 3261 §18.1.1."""
TEXT_LIMIT: Final = 128
"""Characters kept of a peer's reason phrase or warning text."""
NAME_LIMIT: Final = 64
"""Characters kept of a party's display name."""
