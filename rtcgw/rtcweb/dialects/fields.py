"""What a field of the native dialect may hold: types with their bounds, and the base of each direction's messages.

Each type says what it is, its bounds and, under `description`, what it is for; the JSON Schema and the tables of
docs/protocol.md are printed from that.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

VERSION: Final = "1.0"
"""The dialect's version; the major number is the subprotocol's."""

SDP_LIMIT: Final = 32768
"""Characters of a session description."""

# The end of a pattern: `$` would let a trailing newline pass, and JSON Schema knows no `\Z`.
_END = r"(?![\s\S])"

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=1 - 2**53, le=2**53 - 1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Word: TypeAlias = Annotated[str, Meta(max_length=64)]
Session: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sdp: TypeAlias = Annotated[str, Meta(min_length=1, max_length=SDP_LIMIT)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256, pattern=r'^[^\x00-\x1f\x7f<>"]+' + _END)]
Line: TypeAlias = Annotated[str, Meta(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*" + _END)]
Tones: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        pattern=r"^[0-9A-D*#]+" + _END,
        description="The keys, of `0` to `9`, `A` to `D`, `*`, `#`.",
    ),
]
PairValue: TypeAlias = Annotated[str, Meta(max_length=256)] | int | float | bool | None

Headers: TypeAlias = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+" + _END)], Line], Meta(max_length=16)
]

RequestId: TypeAlias = Annotated[Id, Meta(description="The client's own number or name for this request.")]
OptionalId: TypeAlias = Annotated[Id | None, Meta(description="Where given, the message is answered with OK.")]
ForId: TypeAlias = Annotated[Id | None, Meta(description="The `id` of the request that this answers.")]
OfSession: TypeAlias = Annotated[Session, Meta(description="The call, as the gateway named it.")]
Mid: TypeAlias = Annotated[
    Annotated[str, Meta(max_length=64)] | None, Meta(description="The media section it belongs to, by `a=mid`.")
]
MLine: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0, le=255)] | None, Meta(description="The media section it belongs to, by number.")
]
Ufrag: TypeAlias = Annotated[
    Annotated[str, Meta(max_length=256)] | None, Meta(description="The ICE user fragment it belongs to.")
]
CandidateLine: TypeAlias = Annotated[
    Line | None, Meta(description="The candidate, without `a=`; null ends the candidates (RFC 8838).")
]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", rename="camel"):
    """What a client may send. Unknown fields are refused, so that a misspelt one is noticed."""


class News(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", rename="camel", gc=False):
    """What the gateway sends. Fields that say nothing are left out; clients ignore fields they do not know."""
