"""The native dialect `rtcgw.1`: JSON text frames, one message each, in the patent's words.

    page                       gateway                        page                       gateway
      LOGIN        ------------>                                <------------  OFFER        (a call comes in)
      <------------  OK for LOGIN                               RINGING      ------------>
      OFFER        ------------>                                <------------  OK for RINGING
      <------------  WAITING                                    ANSWER       ------------>
      <------------  RINGING, PROGRESS                          <------------  OK for ANSWER (the caller knows)
      PRANSWER     ------------>
      <------------  OK for PRANSWER                            either side, once it is answered:
      <------------  OK for OFFER   (answered)                  OFFER (a change), DTMF
      ANSWER       ------------>                                either side, at any time:
      <------------  OK for ANSWER                              HANGUP, CANDIDATE

Every request of a client carries an `id` and is answered exactly once: by OK, by WAITING, or by ERROR.

The classes are the vocabulary between the user agent (430) and every dialect: another dialect is a module that
turns its own wire format into these and back. This module is the whole vocabulary by one name; it is declared in

    fields.py     what a field may hold, and its bounds
    requests.py   what a page may say
    news.py       what the gateway says
    codes.py      codes of ERROR and of a closed WebSocket

from which `reference.py` prints the JSON Schema and the tables of docs/protocol.md.

What it is not: it keeps no state and decides nothing about calls. `useragent.py` does.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from rtcgw.rtcweb.dialects.codes import CLOSE_CODES, CODES
from rtcgw.rtcweb.dialects.fields import SDP_LIMIT, VERSION, Id, News, PairValue, Request
from rtcgw.rtcweb.dialects.news import (
    Alerting,
    CallInfo,
    Calls,
    Change,
    Connected,
    Contact,
    Early,
    Ended,
    Error,
    Held,
    IceServer,
    Incoming,
    Keys,
    LoggedIn,
    Member,
    Missed,
    MissedCall,
    Ok,
    Participants,
    Party,
    Reconnect,
    Ringback,
    Servers,
    Transferring,
    Trickle,
    Waiting,
)
from rtcgw.rtcweb.dialects.requests import (
    Answer,
    Candidate,
    Decline,
    Dtmf,
    Hangup,
    Hold,
    Ice,
    IceServers,
    Login,
    Logout,
    Merge,
    Offer,
    Ping,
    Pranswer,
    Ringing,
    Seen,
    Transfer,
)
from rtcgw.rtcweb.dialects.wire import Wire

__all__ = [
    "CAPABILITIES",
    "CLOSE_CODES",
    "CODES",
    "SDP_LIMIT",
    "SUBPROTOCOL",
    "VERSION",
    "Alerting",
    "Answer",
    "CallInfo",
    "Calls",
    "Candidate",
    "Change",
    "ClientMessage",
    "Connected",
    "Contact",
    "Decline",
    "Dtmf",
    "Early",
    "Ended",
    "Error",
    "GatewayMessage",
    "Hangup",
    "Held",
    "Hold",
    "Ice",
    "IceServer",
    "IceServers",
    "Id",
    "Incoming",
    "Keys",
    "LoggedIn",
    "Login",
    "Logout",
    "Member",
    "Merge",
    "Missed",
    "MissedCall",
    "News",
    "Offer",
    "Ok",
    "PairValue",
    "Participants",
    "Party",
    "Ping",
    "Pranswer",
    "Reconnect",
    "Request",
    "Ringback",
    "Ringing",
    "Seen",
    "Servers",
    "Transfer",
    "Transferring",
    "Trickle",
    "Waiting",
    "decode",
    "encode",
]

SUBPROTOCOL: Final = "rtcgw.1"
"""The WebSocket subprotocol."""
CAPABILITIES: Final = ("progress", "trickle", "resume", "ringback", "dtmf", "participants", "calls")
"""What this gateway can do beyond the minimum."""

ClientMessage: TypeAlias = (
    Login
    | Offer
    | Ringing
    | Pranswer
    | Answer
    | Decline
    | Candidate
    | Hangup
    | Dtmf
    | Hold
    | Transfer
    | Merge
    | Seen
    | Ping
    | Logout
    | Ice
    | IceServers
)
GatewayMessage: TypeAlias = (
    LoggedIn
    | Ok
    | Servers
    | Waiting
    | Alerting
    | Early
    | Ringback
    | Incoming
    | Change
    | Keys
    | Trickle
    | Held
    | Connected
    | Transferring
    | Participants
    | Calls
    | Missed
    | Reconnect
    | Ended
    | Error
)

_wire: Wire[ClientMessage] = Wire(ClientMessage)
_encoder = msgspec.json.Encoder()

decode = _wire.decode
"""The message in a frame; raises `WireError`."""
encode = _encoder.encode
"""The frame for a gateway message."""
