"""The words that header values are made of: tokens, quoted strings, comma lists, parameters.

RFC 3261 §25.1, read with care for what really arrives: `=` inside a value, `:` and brackets in one
(`received=[::1]`), a flag such as `;lr`. Everything here is text to text; `headers.py` makes the values.

All patterns take time in proportion to the text: where one could try a text in many ways it is
possessive, or applied at one place only. A peer must not be able to buy seconds with 8 kB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class HeaderError(ValueError):
    """A header value that breaks its grammar, or one that must not be printed."""


class Quoted(str):
    """A parameter value that stands in quotes on the wire; the text itself is without them."""

    __slots__ = ()


Params = Mapping[str, str | None]
"""Parameters by lower-case name; a flag has None."""

NO_PARAMS: Params = {}
"""Shared by all values that have none."""

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
"""RFC 3261 §25.1, token."""

PLAIN_VALUE = re.compile(r"[^\s;\"<>,\x00-\x1f\x7f]+\Z")
"""What may stand as a parameter value without quotes."""

_QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PIECES = re.compile(rf'{_QUOTED}|<[^>]*+>|[^",<]++|,', re.S)
_PARAM = re.compile(
    rf'\s*([^\s;="<>,\x00-\x1f\x7f]+)\s*(?:=\s*(?:({_QUOTED})|([^\s;"<>,\x00-\x1f\x7f]+))\s*)?(?:;|\Z)', re.S
)
_PLAIN_PARAMS = re.compile(r"[A-Za-z0-9\-.!%*_+`'~=:;\[\]]+\Z")
_ESCAPED = re.compile(r"\\(.)", re.S)
_TO_ESCAPE = re.compile(r'(["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f])')
_LEADING_QUOTED = re.compile(rf"({_QUOTED})\s*", re.S)
_SCHEME = re.compile(r"\s*([A-Za-z0-9\-.!%*_+`'~]+)(?:\s+|\Z)")
_AUTH_PARAM = re.compile(rf'\s*([A-Za-z0-9\-.!%*_+`\'~]+)\s*=\s*(?:({_QUOTED})|([^\s,"]+))\s*(?:,|\Z)', re.S)


def split_list(text: str) -> list[str]:
    """The elements of a comma list, commas in quotes and in angle brackets being text; empty elements fall away.

    Raises `HeaderError` when a quote or a bracket does not close.
    """
    if "," not in text:
        text = text.strip()
        return [text] if text else []
    items: list[str] = []
    start = position = 0
    while position < len(text):
        match = _PIECES.match(text, position)
        if match is None:
            raise HeaderError("a quote or a bracket does not close")
        if match[0] == ",":
            items.append(text[start:position].strip())
            start = match.end()
        position = match.end()
    items.append(text[start:].strip())
    return [item for item in items if item]


def quote(text: str) -> str:
    """`text` as a quoted-string (RFC 3261 §25.1). Raises `HeaderError` for CR and LF, which no quoting makes legal."""
    if "\r" in text or "\n" in text:
        raise HeaderError("line break inside a quoted string")
    return '"' + _TO_ESCAPE.sub(r"\\\1", text) + '"'


def unquote(text: str) -> str:
    """A quoted-string without its quotes and escapes."""
    inner = text[1:-1]
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def split_quoted(text: str) -> tuple[str, int]:
    """The quoted-string that `text` begins with, undone, and where the text goes on behind it and its white space."""
    match = _LEADING_QUOTED.match(text)
    if match is None:
        raise HeaderError("quote does not close")
    return unquote(match[1]), match.end()


def parse_params(text: str) -> Params:
    """`a=1;b;c="x;y"` (no leading semicolon) as a mapping. Raises `HeaderError`, also for a name standing twice."""
    params: dict[str, str | None] = {}
    if _PLAIN_PARAMS.match(text):
        items = text.split(";")
        for item in items:
            name, equals, value = item.partition("=")
            if not name or (equals and not value):
                break
            params[name.lower()] = value if equals else None
        if len(params) == len(items):
            return params
        params.clear()  # something is empty or stands twice: the careful way says which
    position, end = 0, len(text)
    while True:
        match = _PARAM.match(text, position)
        if match is None:
            raise HeaderError("broken parameter")
        name, quoted, plain = match.groups()
        name = name.lower()
        if name in params:
            raise HeaderError(f"parameter {name[:32]!r} stands twice")
        params[name] = plain if quoted is None else Quoted(unquote(quoted))
        position = match.end()
        if position == end:
            if text[-1] == ";":
                raise HeaderError("empty parameter")
            return params


def print_params(params: Params) -> str:
    """The parameters with a semicolon before each; a value that needs quotes gets them."""
    if not params:
        return ""
    parts = []
    for name, value in params.items():
        if not PLAIN_VALUE.match(name) or "=" in name:
            raise HeaderError(f"not a parameter name: {name[:32]!r}")
        if value is None:
            parts.append(f";{name}")
        elif type(value) is Quoted or not PLAIN_VALUE.match(value):
            parts.append(f";{name}={quote(value)}")
        else:
            parts.append(f";{name}={value}")
    return "".join(parts)


def parse_auth(text: str) -> tuple[str, Params]:
    """Scheme and parameters of a challenge or of credentials: `Digest realm="x", nonce="y"`. Raises `HeaderError`."""
    match = _SCHEME.match(text)
    if match is None:
        raise HeaderError("broken authentication scheme")
    params: dict[str, str | None] = {}
    position, end = match.end(), len(text)
    while position < end:
        item = _AUTH_PARAM.match(text, position)
        if item is None:
            raise HeaderError("broken authentication parameter")
        name, quoted, plain = item.groups()
        name = name.lower()
        if name in params:
            raise HeaderError(f"authentication parameter {name[:32]!r} stands twice")
        params[name] = plain if quoted is None else Quoted(unquote(quoted))
        position = item.end()
    return match[1], params


def print_auth(scheme: str, params: Params) -> str:
    """The reverse of `parse_auth`."""
    parts = []
    for name, value in params.items():
        text = "" if value is None else value
        plain = type(value) is not Quoted and PLAIN_VALUE.match(text)
        parts.append(f"{name}={text}" if plain else f"{name}={quote(text)}")
    return f"{scheme} {', '.join(parts)}" if parts else scheme
