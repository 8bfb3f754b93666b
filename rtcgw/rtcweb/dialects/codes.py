"""The codes of the native dialect: of ERROR, and of a closed WebSocket."""

from __future__ import annotations

from typing import Final

CODES: Final = {
    "malformed": "The message is no JSON object, or a field is missing, unknown, too long or of the wrong type.",
    "unknown-message": "There is no message of this type.",
    "not-logged-in": "LOGIN comes first.",
    "auth-failed": "Token, name or password are not accepted. After the third the connection closes with 4401.",
    "too-many-attempts": "Too many failed log-ins from this address; the connection closes with 4401.",
    "token-expired": "The token has expired: send LOGIN with a fresh one, or the connection closes with 4401.",
    "already-logged-in": "This connection belongs to another user.",
    "unsupported-version": "The gateway does not speak this version.",
    "no-session": "There is no such call, or it is over.",
    "illegal-state": "The message makes no sense now; nothing has changed.",
    "sdp-required": "This message needs a session description now.",
    "forbidden-header": "A header that the gateway's configuration does not allow pages to set.",
    "limit": "A bound is reached: calls or connections of this user, candidates waiting, requests for ICE servers.",
    "conflict": "The gateway's own OFFER is on its way: roll back, answer that, then offer again.",
    "withdrawn": "The gateway's OFFER no longer stands: roll back, or where it is too late offer anew.",
    "flood": "Too many messages; the connection closes with 4413.",
    "ended": "The call ended, or its page left, before the request was carried out.",
    "moved": "Another connection of this user has taken up the call.",
    "internal": "The gateway made a mistake; its log says more.",
}
"""Codes of ERROR that are not reasons. A refused change carries the word of a reason (`model/reason.py`)."""

CLOSE_CODES: Final = {
    1000: "After LOGOUT.",
    1001: "The gateway stops.",
    1002: "The client broke the WebSocket protocol.",
    1003: "A binary message.",
    1007: "Text that is not UTF-8.",
    1009: "A message larger than allowed.",
    1011: "The gateway made a mistake.",
    4401: "Log-in failed, or a token expired and was not renewed.",
    4408: "No log-in in time. A client that answers no ping is cut off without a code: it would not hear it.",
    4412: "The gateway had asked for a new connection (RECONNECT); or the page has one, with no room for both.",
    4413: "Messages came too fast, or were read too slowly.",
}
"""With which codes the gateway closes a connection."""
