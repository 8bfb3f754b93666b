"""Strict decoding at the edge: bytes from a client become one typed message, or one error that says what is wrong.

    Wire(ClientMessage).decode(b'{"type": "PING", "id": 5}')  ->  Ping(id=5)

A number where text is due, a field nobody knows, a text that is too long: each is a `WireError`
whose text names the path (`$.sdp`). Behind this module nobody sees a dictionary.

msgspec checks while it parses, in C; a converter that first builds dictionaries was refused because it
is several times slower on a 2.5 kB offer, and because the usual ones turn `5` into `"5"` on the way.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

ID_LIMIT = 64
"""Characters of a request id that is text."""
TEXT_LIMIT = 200
"""Characters of an error text."""


class WireError(Exception):
    """A client sent something that is no message. `code` is `malformed` or `unknown-message`."""

    def __init__(self, code: str, text: str, request_id: str | int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.request_id = request_id
        """The request's id, where it could still be read."""


class _Head(msgspec.Struct):
    """What is read of a message that is wrong elsewhere, so that the error can carry its id."""

    id: Any = None


_head = msgspec.json.Decoder(_Head)


def _id_of(data: bytes) -> str | int | None:
    """The request id of a broken message, if it has a usable one."""
    try:
        found = _head.decode(data).id
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found if abs(found) < 2**53 else None
    return found if isinstance(found, str) and 0 < len(found) <= ID_LIMIT else None


class Wire(Generic[T]):
    """A strict decoder for a union of tagged messages."""

    __slots__ = ("_decoder",)

    def __init__(self, kinds: Any) -> None:
        self._decoder = msgspec.json.Decoder(kinds)

    def decode(self, data: bytes) -> T:
        """The message in `data`. Raises `WireError`, and nothing else."""
        try:
            return self._decoder.decode(data)  # type: ignore[no-any-return]
        except msgspec.ValidationError as error:
            text = str(error)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise WireError("malformed", f"Not a JSON object: {error}"[:TEXT_LIMIT]) from None
        code = "unknown-message" if text.startswith("Invalid value") and text.endswith("`$.type`") else "malformed"
        raise WireError(code, text[:TEXT_LIMIT], _id_of(data))
