"""SIP, SIPS and tel URIs: read, printed, compared.

A `Uri` is a frozen value that is also a `twisted.protocols.sip.URL`, so that Twisted's
message classes accept it. What the base class does not do is done here: `sips:` and `tel:`,
flag parameters, IPv6 hosts, `;` and `?` inside a user part, escapes that must survive, and
comparison. Escapes are never undone in place: `user` and `headers` keep the spelling that
arrived, so that `sip:null-%00-null@h` prints as it was read; `plain_user` is the decoded form.

Other schemes (`isbn:`, `http:`, `urn:` in a To or From) are carried as opaque text: they are
legal there (RFC 4475 §3.3.3), and whoever must route to one refuses it with 416.

This module does not resolve hosts and does not choose transports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote, unquote

from attrs import evolve, field, frozen
from twisted.protocols import sip

from rtcgw.model.identity import canonical_key


class UriError(ValueError):
    """A text that is no URI, or parts that make none."""


# RFC 3261 §25.1. "%" stands in the classes and is checked apart: a class is many times faster than an
# alternation. "#" is illegal in a user part and yet what telephones send for service codes.
_USER = r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%#]+"
_AFTER_COLON = r"[A-Za-z0-9\-_.!~*'()&=+$,%]*"
_HOST = r"[A-Za-z0-9][A-Za-z0-9.\-_]*|\[[0-9A-Fa-f:.]+\]"
_PARAM = r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]+"
_PARAMS = rf"(?:;{_PARAM}(?:={_PARAM})?)*"
_HEADER = r"[A-Za-z0-9\-_.!~*'()\[\]/?:+$%]"
_HEADERS = rf"\?{_HEADER}+={_HEADER}*(?:&{_HEADER}+={_HEADER}*)*"

_SIP = re.compile(
    rf"(sips?):(?:({_USER})(?::({_AFTER_COLON}))?@)?({_HOST})(?::([0-9]{{1,5}}))?({_PARAMS})({_HEADERS})?\Z", re.I
)
_TEL = re.compile(rf"(tel):(?=\+?[-.()]*[0-9A-Fa-f*#])(\+?[0-9A-Fa-f*#\-.()]++)({_PARAMS})\Z", re.I)
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):([^\x00-\x20<>\"\x7f]+)\Z")
_HOST_ONLY = re.compile(rf"(?:{_HOST})\Z")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile(r"[\x00-\x20<>\"\x7f]")
_UNRESERVED_ESCAPE = re.compile(r"%(2[1D-Ed-e]|2[7-9Aa]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")
_VISUAL = str.maketrans("", "", "-.()")
_USER_SAFE = "-_.!~*'()&=+$,;/"

_NO_PARAMS: Mapping[str, str | None] = {}
_SIP_SCHEMES = ("sip", "sips")
_MUST_MATCH = ("user", "ttl", "method", "maddr", "transport")
"""Parameters that make two SIP URIs differ when only one has them (RFC 3261 §19.1.4)."""


def escape_user(text: str) -> str:
    """Any text as the user part of a SIP URI, percent-escaped where the grammar asks for it."""
    return quote(text, safe=_USER_SAFE)


def _parameter(name: str) -> Any:
    """An attribute of the base class that is a URI parameter here."""

    def get(self: Uri) -> str | None:
        return self.params.get(name)

    return property(get, doc=f"The parameter `{name}`, or None.")


def _split_params(text: str) -> Mapping[str, str | None]:
    """`;a=1;b` as {"a": "1", "b": None}; names in lower case, values as spelled."""
    if not text:
        return _NO_PARAMS
    params: dict[str, str | None] = {}
    for item in text[1:].split(";"):
        name, equals, value = item.partition("=")
        name = name.lower()
        if name in params:
            raise UriError(f"URI parameter {name} stands twice")
        params[name] = value if equals else None
    return params


def _split_headers(text: str | None) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    pairs = (item.partition("=") for item in text[1:].split("&"))
    return tuple((name, value) for name, _, value in pairs)


def _others(params: Mapping[str, str | None]) -> list[str]:
    known = ("user", "transport", "method", "maddr", "ttl", "tag")
    rest = ((name, value) for name, value in params.items() if name not in known)
    return [name if value is None else f"{name}={value}" for name, value in rest]


@frozen(slots=False, repr=False)
class Uri(sip.URL):
    """One URI. `sip.URL` knows `sip:` alone, splits the user part at `;`, and breaks on `[::1]`.

    Not slotted: the base class is not, so that every instance has a dictionary anyway; it
    holds the printed form. `params` and `headers` are not to be changed: parsed values are shared.
    """

    scheme: str
    """`sip`, `sips`, `tel`, or another scheme whose text is opaque here; in lower case."""
    user: str | None = None
    """The user part with its escapes; the number of a tel URI; the whole of an opaque one."""
    host: str = ""
    """Host name or address, IPv6 without brackets; empty when the scheme has none."""
    port: int | None = None
    password: str | None = None
    params: Mapping[str, str | None] = field(default=_NO_PARAMS, hash=False)
    """URI parameters by lower-case name; a flag such as `lr` has None."""
    # A tuple of pairs where the base has a dict: a name may stand twice, and a value is hashable.
    headers: tuple[tuple[str, str], ...] = ()  # type: ignore[assignment]
    """The part after `?`, names and values as spelled."""

    @staticmethod
    def parse(text: str) -> Uri:
        """Read one URI without angle brackets. Raises `UriError`."""
        return _parse(text)

    @cached_property
    def text(self) -> str:
        """The URI as sent: the spelling that was read, or printed from the fields.

        Raises `UriError` when a field holds what would break out of a URI: white space, quotes, brackets.
        """
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(self.user)
            if self.password is not None:
                parts += ":", self.password
            if self.host:
                parts.append("@")
        if self.host:
            parts.append(f"[{self.host}]" if ":" in self.host else self.host)
            if self.port is not None:
                parts.append(f":{self.port}")
        for name, value in self.params.items():
            parts.append(f";{name}" if value is None else f";{name}={value}")
        if self.headers:
            parts.append("?" + "&".join(f"{name}={value}" for name, value in self.headers))
        text = "".join(parts)
        if _UNPRINTABLE.search(text):
            raise UriError("a part of the URI holds a character that no URI may hold")
        return text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Uri {self.text}>"

    def toString(self) -> str:
        """The name by which Twisted's message classes print a URL."""
        return self.text

    # The base class's names for what this class keeps elsewhere.
    username = property(lambda self: self.user, doc="The user part; the base class's name for `user`.")
    usertype = _parameter("user")
    transport = _parameter("transport")
    method = _parameter("method")
    maddr = _parameter("maddr")
    ttl = _parameter("ttl")
    tag = _parameter("tag")

    other = property(lambda self: _others(self.params), doc="The other parameters, each `name` or `name=value`.")

    @property
    def plain_user(self) -> str | None:
        """The user part with its escapes undone (octets as UTF-8, others replaced)."""
        return None if self.user is None else unquote(self.user)

    @property
    def is_sip(self) -> bool:
        """True for `sip:` and `sips:`."""
        return self.scheme in _SIP_SCHEMES

    @property
    def secure(self) -> bool:
        """True for `sips:`."""
        return self.scheme == "sips"

    @property
    def loose(self) -> bool:
        """True when the parameter `lr` is there: a loose router (RFC 3261 §19.1.1)."""
        return "lr" in self.params

    @property
    def hostport(self) -> str:
        """`host` or `host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @cached_property
    def key(self) -> str:
        """The identity that this URI names, see `model.identity.canonical_key`."""
        return canonical_key(self.text)

    def replace(self, **changes: Any) -> Uri:
        """The same URI with other fields."""
        return evolve(self, **changes)

    def equivalent(self, other: Uri) -> bool:
        """Whether both name the same resource: RFC 3261 §19.1.4, RFC 3966 §4. Not transitive, so not `==`."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            return _same_number(self, other)
        if not self.is_sip:
            return self.user == other.user
        return (
            _plain(self.user) == _plain(other.user)
            and _plain(self.password) == _plain(other.password)
            and self.host.lower() == other.host.lower()
            and self.port == other.port
            and _same_params(self.params, other.params)
            and _header_bag(self) == _header_bag(other)
        )


@lru_cache(maxsize=1024)
def _parse(text: str) -> Uri:
    """Cached: the few URIs of a dialog are read again with each of its messages, and a `Uri` never changes."""
    match = _SIP.match(text)
    if match is None:
        return _parse_other(text)
    scheme, user, password, host, port, params, headers = match.groups()
    if "%" in text and _BAD_ESCAPE.search(text):
        raise UriError("broken escape in URI")
    if host[0] == "[":
        host = host[1:-1]
    number = int(port) if port else None
    if number is not None and not 0 < number < 65536:
        raise UriError("port of the URI out of range")
    uri = Uri(scheme.lower(), user, host, number, password, _split_params(params), _split_headers(headers))
    uri.__dict__["text"] = text
    return uri


def _parse_other(text: str) -> Uri:
    match = _TEL.match(text)
    if match is not None:
        uri = Uri("tel", match[2], params=_split_params(match[3]))
    else:
        match = _ABSOLUTE.match(text)
        if match is None or match[1].lower() in ("sip", "sips", "tel"):
            raise UriError(f"not a URI: {text[:80]!r}")
        uri = Uri(match[1].lower(), match[2])
    if "%" in text and _BAD_ESCAPE.search(text):
        raise UriError("broken escape in URI")
    uri.__dict__["text"] = text
    return uri


def parse_host(text: str) -> str:
    """A host as it stands in a URI or Via, returned without IPv6 brackets. Raises `UriError`."""
    if not _HOST_ONLY.match(text):
        raise UriError(f"not a host: {text[:80]!r}")
    return text[1:-1] if text[0] == "[" else text


# -- comparison ----------------------------------------------------------------------------


def _plain(text: str | None) -> str | None:
    """Escapes of unreserved characters undone, the others in upper case: %41 is A, %2f stays %2F."""
    if text is None or "%" not in text:
        return text
    text = _UNRESERVED_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return re.sub("%..", lambda match: match[0].upper(), text)


def _fold(text: str | None) -> str | None:
    return None if text is None else (_plain(text) or "").lower()


def _same_params(ours: Mapping[str, str | None], theirs: Mapping[str, str | None]) -> bool:
    if any((name in ours) != (name in theirs) for name in _MUST_MATCH):
        return False
    return all(_fold(value) == _fold(theirs[name]) for name, value in ours.items() if name in theirs)


def _header_bag(uri: Uri) -> list[tuple[str, str]]:
    return sorted((name.lower(), _plain(value) or "") for name, value in uri.headers)


def _same_number(one: Uri, two: Uri) -> bool:
    """RFC 3966 §4; a local and a global number never match, for the "+" is a part of the number."""
    return _digits(one.user) == _digits(two.user) and _tel_params(one) == _tel_params(two)


def _digits(number: str | None) -> str:
    return (number or "").translate(_VISUAL).lower()


def _tel_params(uri: Uri) -> dict[str, str | None]:
    params = {name: _fold(value) for name, value in uri.params.items()}
    for name in ("phone-context", "ext"):
        value = params.get(name)
        if value is not None and (value.startswith("+") or name == "ext"):
            params[name] = _digits(value)
    return params
