"""Typed header values: each has `parse`, `str()`, and `parse_many` where lists are legal.

Values are frozen: a message hands out the same object to everybody who asks. Parameters are
mappings from lower-case name to value; a flag (`;lr`, `;ob`) has None, and a value that stood in
quotes is a `Quoted`, a str without its quotes that prints with them.

What is wrong in a text is told by one exception, `HeaderError`. `twisted.protocols.sip` has
`parseAddress`, which raises on flags and on `=` or `;` in quoted text, and `parseViaHeader`,
which lets a parameter `;host=` replace the host; nothing of either is used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from attrs import evolve, field, frozen
from twisted.protocols import sip

from rtcgw.sip.grammar import (
    NO_PARAMS,
    PLAIN_VALUE,
    TOKEN,
    HeaderError,
    Params,
    Quoted,
    parse_auth,
    parse_params,
    print_auth,
    print_params,
    quote,
    split_list,
    split_quoted,
    unquote,
)
from rtcgw.sip.uri import Uri, UriError, parse_host

__all__ = [
    "TOKEN",
    "CSeq",
    "Challenge",
    "Credentials",
    "HeaderError",
    "NameAddr",
    "ParamValue",
    "Params",
    "Quoted",
    "RAck",
    "Via",
    "parse_params",
    "print_params",
    "quote",
    "split_list",
    "unquote",
]


_DISPLAY = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\s\u0080-\U0010ffff]*\Z")
_SENT = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+([^\s;:\[\],]+|\[[^\]]*\])\s*(?::\s*([0-9]{1,5})\s*)?(?:;|\Z)",
    re.I,
)
# What nearly every Via looks like, its pieces checked by this alone.
_PLAIN_VIA = re.compile(
    r"SIP/2\.0/([A-Z]+) ([A-Za-z0-9][A-Za-z0-9.\-]*)(?::([1-9][0-9]{0,3}))?(?:;([A-Za-z0-9\-.!%*_+`'~=:;]+))?\Z"
)
_CSEQ = re.compile(r"([0-9]{1,20})\s+([A-Za-z0-9\-.!%*_+`'~]+)\Z")
_RACK = re.compile(r"([0-9]{1,20})\s+([0-9]{1,20})\s+([A-Za-z0-9\-.!%*_+`'~]+)\Z")
_SLASH = re.compile(r"(?<!\s)\s*/\s*")
_MAX_NUMBER = 2**32 - 1


def _after(text: str, position: int) -> Params:
    """The parameters that follow at `position`: nothing, or a semicolon and a list."""
    rest = text[position:].lstrip()
    if not rest:
        return NO_PARAMS
    if rest[0] != ";":
        raise HeaderError("text after the value")
    return parse_params(rest[1:])


def _number(text: str) -> int:
    number = int(text)
    if number > _MAX_NUMBER:
        raise HeaderError("number out of range")
    return number


# -- From, To, Contact, Route, P-Asserted-Identity ------------------------------------------


@frozen
class NameAddr:
    """A URI with a display name and header parameters: From, To, Contact, Route and their like (RFC 3261 §20.10)."""

    uri: Uri
    display: str | None = None
    """The display name without quotes and escapes, or None."""
    params: Params = field(default=NO_PARAMS, hash=False)

    @staticmethod
    def parse(text: str) -> NameAddr:
        """Read one value. Raises `HeaderError`.

        Without angle brackets everything after `;` belongs to the header, and `?` and `,` are refused (§20.10).
        """
        return _parse_name_addr(text)

    @staticmethod
    def parse_many(values: Iterable[str]) -> list[NameAddr]:
        """Read header lines, each a comma list."""
        return [_parse_name_addr(item) for value in values for item in split_list(value)]

    @property
    def tag(self) -> str | None:
        """The parameter `tag`."""
        return self.params.get("tag")

    def with_tag(self, tag: str) -> NameAddr:
        """The same address with this tag."""
        return evolve(self, params={**self.params, "tag": tag})

    def with_params(self, **params: str | None) -> NameAddr:
        """The same address with these parameters set."""
        return evolve(self, params={**self.params, **params})

    def bare(self) -> NameAddr:
        """The same address without header parameters."""
        return evolve(self, params=NO_PARAMS)

    def __str__(self) -> str:
        try:
            address = f"<{self.uri.text}>"
        except UriError as error:
            raise HeaderError(str(error)) from error
        if self.display is not None:
            address = f"{quote(self.display)} {address}"
        return address + print_params(self.params)


@lru_cache(maxsize=1024)
def _parse_name_addr(text: str) -> NameAddr:
    """Cached, for the reason given at `uri._parse`."""
    text = text.strip()
    display: str | None = None
    if text.startswith('"'):
        display, left = split_quoted(text)
        if text[left : left + 1] != "<":
            raise HeaderError("display name without an address in brackets")
    else:
        left = text.find("<")
        if left > 0:
            display = text[:left].strip()
            if not _DISPLAY.match(display):
                raise HeaderError("display name needs quotes")
    try:
        if left < 0:
            return _bare_address(text)
        right = text.find(">", left)
        if right < 0:
            raise HeaderError("angle bracket does not close")
        uri = Uri.parse(text[left + 1 : right])
    except UriError as error:
        raise HeaderError(str(error)) from None
    return NameAddr(uri, display or None, _after(text, right + 1))


def _bare_address(text: str) -> NameAddr:
    address, semicolon, _ = text.partition(";")
    address = address.rstrip()
    if "?" in address or "," in address:
        raise HeaderError("address with ? or , needs angle brackets")
    return NameAddr(Uri.parse(address), None, _after(text, len(address)) if semicolon else NO_PARAMS)


# -- Via -----------------------------------------------------------------------------------


@frozen(slots=False)
class Via(sip.Via):
    """One hop of the way back (RFC 3261 §20.42, RFC 3581).

    The base class forces `:5060` into every Via it prints, takes any parameter as a constructor
    argument (`;host=evil` moves the response, `;self=1` raises), and knows neither IPv6 nor
    white space around the slashes; so parsing, printing and the attributes are all our own.
    Not slotted, for the reason given at `uri.Uri`.
    """

    transport: str
    """`UDP`, `TCP`, `TLS`, `WS`, ... in upper case."""
    host: str
    """The sent-by host, IPv6 without brackets."""
    port: int | None = None
    params: Params = field(default=NO_PARAMS, hash=False)

    @staticmethod
    def parse(text: str) -> Via:
        """Read one Via value. Raises `HeaderError`."""
        match = _PLAIN_VIA.match(text)
        if match is not None:
            transport, host, port, rest = match.groups()
            return Via(transport, host, int(port) if port else None, parse_params(rest) if rest else NO_PARAMS)
        match = _SENT.match(text)
        if match is None:
            raise HeaderError("broken Via")
        transport, host, port = match.groups()
        try:
            host = parse_host(host)
        except UriError as error:
            raise HeaderError(str(error)) from None
        number = int(port) if port else None
        if number is not None and not 0 < number < 65536:
            raise HeaderError("port of Via out of range")
        end = match.end()
        params = NO_PARAMS if text[end - 1] != ";" else parse_params(text[end:])
        return Via(transport.upper(), host, number, params)

    @staticmethod
    def parse_many(values: Iterable[str]) -> list[Via]:
        """Read header lines, each a comma list."""
        return [Via.parse(item) for value in values for item in split_list(value)]

    @property
    def branch(self) -> str | None:
        """The transaction's id."""
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address that the request came from, IPv6 without brackets (RFC 5118 §4.5 has both forms)."""
        value = self.params.get("received")
        return value[1:-1] if value and value[0] == "[" else value

    @property
    def maddr(self) -> str | None:
        """The address that responses go to instead, if the sender says so."""
        return self.params.get("maddr")

    @property
    def ttl(self) -> str | None:
        """The parameter `ttl`."""
        return self.params.get("ttl")

    @property  # type: ignore[misc]  # the base class sets it; here a Via is never changed
    def rport(self) -> int | None:
        """The port that the request came from; None when not filled in, or not a port."""
        value = self.params.get("rport")
        if value is None or not (value.isascii() and value.isdigit() and len(value) < 6):
            return None
        return int(value)

    @property
    def wants_rport(self) -> bool:
        """Whether the sender asks for its port to be filled in (RFC 3581 §3)."""
        return "rport" in self.params

    # The base class's names for what this class keeps elsewhere.
    rportValue = property(lambda self: self.rport)  # noqa: N815
    rportRequested = property(lambda self: self.wants_rport and self.rport is None)  # noqa: N815
    hidden = property(lambda self: "hidden" in self.params)
    otherParams = property(lambda self: dict(self.params))  # noqa: N815

    @property
    def sent_by(self) -> str:
        """`host` or `host:port`, IPv6 in brackets, as compared by RFC 3261 §18.1.2."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def with_params(self, **params: str | None) -> Via:
        """The same Via with these parameters set."""
        return evolve(self, params={**self.params, **params})

    def stamped(self, host: str, port: int) -> Via:
        """The Via of a request that came from `host`, `port`: `received` and `rport` filled in.

        RFC 3261 §18.2.1, RFC 3581 §4: `received` when the host differs or `rport` was asked for. What the
        sender wrote there itself is overwritten or, where nothing is due, taken out.
        """
        params = {name: value for name, value in self.params.items() if name != "received"}
        if "rport" in params:
            params["rport"] = str(port)
            params["received"] = host
        elif host != self.host:
            params["received"] = host
        return evolve(self, params=params)

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{print_params(self.params)}"

    def toString(self) -> str:
        """The base class's name for `str()`."""
        return str(self)


# -- the small ones ------------------------------------------------------------------------


@frozen
class CSeq:
    """`314159 INVITE` (RFC 3261 §20.16)."""

    number: int
    method: str

    @staticmethod
    def parse(text: str) -> CSeq:
        """Read the value. Raises `HeaderError`, also for a number beyond 32 bits."""
        return _parse_cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@lru_cache(maxsize=256)
def _parse_cseq(text: str) -> CSeq:
    """Cached: nearly all traffic says `1 INVITE` or the like."""
    match = _CSEQ.match(text)
    if match is None:
        raise HeaderError("broken CSeq")
    return CSeq(_number(match[1]), match[2])


@frozen
class RAck:
    """`776656 1 INVITE`: which reliable response a PRACK acknowledges (RFC 3262 §7.2)."""

    rseq: int
    cseq: int
    method: str

    @staticmethod
    def parse(text: str) -> RAck:
        """Read the value. Raises `HeaderError`."""
        match = _RACK.match(text)
        if match is None:
            raise HeaderError("broken RAck")
        return RAck(_number(match[1]), _number(match[2]), match[3])

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


@frozen
class ParamValue:
    """A word with parameters: Event, Subscription-State, Session-Expires, Content-Type, Reason."""

    value: str
    """The word as spelled; compare in lower case."""
    params: Params = field(default=NO_PARAMS, hash=False)

    @staticmethod
    def parse(text: str) -> ParamValue:
        """Read one value. Raises `HeaderError`."""
        value, semicolon, rest = text.partition(";")
        value = _SLASH.sub("/", value.strip())
        if not PLAIN_VALUE.match(value):
            raise HeaderError("broken value")
        return ParamValue(value, parse_params(rest) if semicolon else NO_PARAMS)

    @staticmethod
    def parse_many(values: Iterable[str]) -> list[ParamValue]:
        """Read header lines, each a comma list."""
        return [ParamValue.parse(item) for value in values for item in split_list(value)]

    def __str__(self) -> str:
        if not PLAIN_VALUE.match(self.value):
            raise HeaderError("broken value")
        return self.value + print_params(self.params)


# -- challenges and credentials --------------------------------------------------------------


@frozen
class Challenge:
    """WWW-Authenticate or Proxy-Authenticate: one per header line (RFC 3261 §7.3.1)."""

    scheme: str
    params: Params = field(default=NO_PARAMS, hash=False)
    proxy: bool = False
    """True when it stood in Proxy-Authenticate."""

    @staticmethod
    def parse(text: str, proxy: bool = False) -> Challenge:
        """Read one line. Raises `HeaderError`."""
        return Challenge(*parse_auth(text), proxy)

    def __str__(self) -> str:
        return print_auth(self.scheme, self.params)


@frozen(repr=False)
class Credentials:
    """Authorization or Proxy-Authorization: one per header line. Its repr tells neither response nor nonce."""

    scheme: str
    params: Params = field(default=NO_PARAMS, hash=False)

    @staticmethod
    def parse(text: str) -> Credentials:
        """Read one line. Raises `HeaderError`."""
        return Credentials(*parse_auth(text))

    def __repr__(self) -> str:
        return f"<Credentials {self.scheme} {self.params.get('username', '')!r}>"

    def __str__(self) -> str:
        return print_auth(self.scheme, self.params)
