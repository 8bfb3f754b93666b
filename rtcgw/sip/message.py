"""SIP requests and responses: Twisted's classes with bytes bodies, typed headers and lists.

`Request` and `Response` are `twisted.protocols.sip`'s, so that whatever works on those works
on these. `Message`, mixed in before them, replaces what is wrong below, each override next to
its reason; `tests/sip/test_upstream.py` shows the faults themselves.

Headers are kept as text, `headers[long lower-case name] -> [line, ...]` in order of arrival,
and are read into values on first use only: most of what passes through is never looked at.
`headers` is for reading; change it by the methods, which drop what was derived from it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, TypeVar, cast

from twisted.protocols import sip

from rtcgw.sip.headers import CSeq, HeaderError, NameAddr, Via, split_list
from rtcgw.sip.names import LISTS, PHRASES, long_name, prefix
from rtcgw.sip.uri import Uri, UriError

T = TypeVar("T")

_TAG_KEY = secrets.token_bytes(16)
"""Keeps others from guessing the tags that `make_response` derives."""


class Message(sip.Message):
    """What requests and responses share. Not to be made by itself."""

    # The base class keeps a str body and lets Content-Length lie in characters; ours is computed from bytes.
    # `length` and `finished` belong to Twisted's line parser, which is not used (see parser.py).
    headers: dict[str, list[str]]  # type: ignore[assignment]  # there an OrderedDict, which dict has replaced
    """Lines by long lower-case name. Do not change in place."""
    charset: str
    """How the header text was decoded, `utf-8` or, where that failed, `latin-1`; it is printed the same way."""

    def __init__(self) -> None:
        self.headers = {}
        self.charset = "utf-8"
        self._body = b""
        self._typed: dict[str, Any] = {}
        self._printed: bytes | None = None

    # -- text --------------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """The first line of a header, or None. Any spelling of the name will do, the long lower-case one is fastest."""
        lines = self.headers.get(name)
        if lines is None:
            lines = self.headers.get(long_name(name))
        return lines[0] if lines else None

    def values(self, name: str) -> list[str]:
        """All values of a header, comma lists split where the grammar has lists.

        Raises `HeaderError` when a list is broken.
        """
        if name not in self.headers:
            name = long_name(name)
        lines = self.headers.get(name, [])
        if name not in LISTS:
            return list(lines)
        return [item for line in lines for item in split_list(line)]

    def has(self, name: str, token: str) -> bool:
        """Whether a list header holds `token`, in any case, with any parameters: `has("supported", "100rel")`."""
        wanted = token.lower()
        try:
            return any(value.partition(";")[0].strip().lower() == wanted for value in self.values(name))
        except HeaderError:
            return False

    def add(self, name: str, value: str) -> None:
        """Add a line below those of its name."""
        name = long_name(name)
        self.headers.setdefault(name, []).append(value)
        self._changed(name)

    def set(self, name: str, *values: str) -> None:
        """Make these the only lines of their name, in the place where it stood."""
        name = long_name(name)
        self.headers[name] = list(values)
        self._changed(name)

    def prepend(self, name: str, value: str) -> None:
        """Put a line above those of its name; a name that is new comes above all others, where Via and Route belong."""
        name = long_name(name)
        lines = self.headers.get(name)
        if lines is None:
            self.headers = {name: [value], **self.headers}
        else:
            lines.insert(0, value)
        self._changed(name)

    def remove(self, name: str) -> None:
        """Take away all lines of a name."""
        name = long_name(name)
        self.headers.pop(name, None)
        self._changed(name)

    # The base class's name for `add`, which there reads Content-Length on the way.
    addHeader = add  # noqa: N815

    def _changed(self, name: str) -> None:
        self._printed = None
        if self._typed:
            self._typed.pop(name, None)
            self._typed.pop(name + "*", None)

    @property  # type: ignore[override]  # there a str
    def body(self) -> bytes:
        """The body; empty when there is none. Content-Type is a header like others."""
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        self._body = body
        self._printed = None

    def bodyDataReceived(self, data: bytes) -> None:
        """Append to the body; the base class adds str to str."""
        self.body += data

    # -- values ------------------------------------------------------------------------------

    def _one(self, name: str, parse: Callable[[str], T]) -> T:
        """The first value of `name`, read once. Raises `HeaderError`, also when there is none."""
        found = self._typed.get(name)
        if found is None:
            text = self.get(name)
            if text is None:
                raise HeaderError(f"{prefix(name)[:-2]} is missing")
            if "," in text and name in LISTS:
                text = (split_list(text) or [""])[0]
            found = self._typed[name] = parse(text)
        return cast(T, found)

    def _many(self, name: str, parse_many: Callable[[Iterable[str]], list[T]]) -> list[T]:
        found = self._typed.get(name + "*")
        if found is None:
            found = self._typed[name + "*"] = parse_many(self.headers.get(name, ()))
        return list(found)

    @property
    def via(self) -> Via:
        """The topmost Via. Setting it replaces that one alone."""
        return self._one("via", Via.parse)

    @via.setter
    def via(self, via: Via) -> None:
        lines = self.headers.get("via", [""])
        rest = split_list(lines[0])[1:] if "," in lines[0] else []
        self.set("via", str(via), *rest, *lines[1:])
        self._typed["via"] = via

    @property
    def vias(self) -> list[Via]:
        """All Vias, topmost first."""
        return self._many("via", Via.parse_many)

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        text = self.get("call-id")
        if not text:
            raise HeaderError("Call-ID is missing")
        return text

    @property
    def cseq(self) -> CSeq:
        """The CSeq."""
        return self._one("cseq", CSeq.parse)

    @property
    def from_(self) -> NameAddr:
        """The From."""
        return self._one("from", NameAddr.parse)

    @property
    def to(self) -> NameAddr:
        """The To."""
        return self._one("to", NameAddr.parse)

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact, or None. `Contact: *` is no address and raises `HeaderError`: ask `get` first."""
        return self._one("contact", NameAddr.parse) if self.headers.get("contact") else None

    @property
    def routes(self) -> list[NameAddr]:
        """The Route values, topmost first."""
        return self._many("route", NameAddr.parse_many)

    @property
    def record_routes(self) -> list[NameAddr]:
        """The Record-Route values, topmost first."""
        return self._many("record-route", NameAddr.parse_many)

    # -- the wire ----------------------------------------------------------------------------

    def start_line(self) -> str:
        """The first line, without its end."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message as sent, Content-Length computed. Kept until the message changes.

        Raises `HeaderError` when a line break hides in a value: what a user typed must not become a header.
        """
        if self._printed is None:
            self._printed = self._print()
        return self._printed

    def _print(self) -> bytes:
        lines = [self.start_line()]
        for name, values in self.headers.items():
            if name != "content-length":
                before = prefix(name)
                for value in values:
                    lines.append(before + value)
        lines.append(f"Content-Length: {len(self._body)}\r\n\r\n")
        text = "\r\n".join(lines)
        ends = len(lines) + 1
        if text.count("\n") != ends or text.count("\r") != ends:
            raise HeaderError("line break inside a header value")
        try:
            head = text.encode(self.charset)
        except UnicodeEncodeError:
            head = text.encode("utf-8", "replace")
        return head + self._body

    def toString(self) -> bytes:
        """The base class's name for `to_bytes`; there it returns str, whose length in octets nobody knows."""
        return self.to_bytes()

    def _getHeaderLine(self) -> str:
        return self.start_line()


class Request(Message, sip.Request):
    """A request. The base class would parse a str URI by rules that know only `sip:`; this one wants a `Uri`."""

    method: str
    """As spelled: methods are case-sensitive. Fixed once made."""

    def __init__(self, method: str, uri: Uri) -> None:
        Message.__init__(self)
        self.method = method
        self._uri = uri

    @property  # type: ignore[override]  # the base class has an attribute, of a wider type
    def uri(self) -> Uri:
        """The Request-URI."""
        return self._uri

    @uri.setter
    def uri(self, uri: Uri) -> None:
        self._uri = uri
        self._printed = None

    def start_line(self) -> str:
        """See `Message`."""
        try:
            return f"{self.method} {self._uri.text} SIP/2.0"
        except UriError as error:
            raise HeaderError(str(error)) from error

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._uri.text}>"


class Response(Message, sip.Response):
    """A response. The base class raises KeyError for a status without a phrase of its own."""

    status: int
    """100 to 699. Fixed once made."""
    phrase: str
    """The reason phrase, possibly empty. Fixed once made."""

    def __init__(self, status: int, phrase: str | None = None) -> None:
        Message.__init__(self)
        self.status = status
        self.phrase = PHRASES.get(status, "Unknown") if phrase is None else phrase

    @property
    def code(self) -> int:
        """The base class's name for `status`."""
        return self.status

    def start_line(self) -> str:
        """See `Message`."""
        return f"SIP/2.0 {self.status} {self.phrase}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.phrase}>"


def make_response(request: Request, status: int, phrase: str | None = None, to_tag: str | None = None) -> Response:
    """The response to `request` with what RFC 3261 §8.2.6.2 copies: Vias, From, To, Call-ID, CSeq.

    A To without a tag gets `to_tag`, or one derived from the request, the same for each repetition of it
    and for its CANCEL (§8.2.7, §9.2); a 100 leaves To alone and copies Timestamp (§8.2.6.1).
    """
    response = Response(status, phrase)
    response.charset = request.charset
    ours, theirs = response.headers, request.headers
    if "via" in theirs:
        ours["via"] = theirs["via"].copy()
    for name in ("from", "to", "call-id", "cseq"):
        lines = theirs.get(name)
        if lines:
            ours[name] = lines[:1]  # the answer to a request that has two is not ambiguous in turn
    if status == 100:
        if "timestamp" in theirs:
            ours["timestamp"] = theirs["timestamp"].copy()
    elif "to" in ours and not _has_tag(request):
        ours["to"][0] += f";tag={to_tag or _derived_tag(request)}"
    return response


def _has_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except HeaderError:
        return True  # unreadable: it goes back as it came


def _derived_tag(request: Request) -> str:
    cseq = (request.get("cseq") or "").partition(" ")[0]
    try:
        branch = request.via.branch
    except HeaderError:
        branch = None
    seed = "\n".join((request.get("call-id") or "", request.get("from") or "", cseq, branch or ""))
    return blake2b(seed.encode("utf-8", "replace"), digest_size=8, key=_TAG_KEY).hexdigest()
