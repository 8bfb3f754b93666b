"""Octets to messages: one datagram at a time, or a stream of any cut.

Twisted's `MessagesParser` keeps state between datagrams, so that a message cut short swallows the
next peer's; it decodes bodies, and one wrong octet drops the message. Here a datagram is read
whole by one function, and a stream by a `StreamParser` of its own, over the same function.

A message that is wrong ends in a `ParseError`, which carries the answer where there is one to
give. Nothing else is raised, whatever comes (RFC 4475).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Any

from rtcgw.sip.headers import HeaderError, NameAddr, Via
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.names import KNOWN, SINGLE, long_name, prefix
from rtcgw.sip.uri import Uri, UriError

MAX_MESSAGE = 65535
"""Octets of one message, on a stream too."""
MAX_HEADERS = 200
"""Header lines of one message."""
MAX_LINE = 8192
"""Characters of one line, folded lines joined."""

_REQUEST = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+) ([^\s]+) SIP/([0-9]+\.[0-9]+)\Z", re.I)
_STATUS = re.compile(r"SIP/([0-9]+\.[0-9]+) ([1-6][0-9][0-9])(?: (.*))?\Z", re.I | re.S)
_FOLD = re.compile(r"\r\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,10}\Z")
_LENGTH_LINE = re.compile(rb"(?:^|\n)(?:content-length|l)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)", re.I)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_WAY_BACK = re.compile(
    r"SIP\s*/\s*[0-9.]+\s*/\s*([A-Za-z0-9]+)\s+((?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)", re.I
)
_BRANCH = re.compile(r";\s*branch\s*=\s*([A-Za-z0-9\-.!%*_+`'~]+)", re.I)
# What nearly every From and To looks like; only another one is read in full before somebody asks for it.
_ADDRESS = re.compile(
    r"(?:\"[^\"\\]*\" ?|[A-Za-z0-9\-. ]*)<sips?:(?:[A-Za-z0-9+.\-_]+@)?[A-Za-z0-9][A-Za-z0-9.\-]*(?::[1-9][0-9]{0,3})?"
    r"(?:;user=phone)?>(?:;tag=[A-Za-z0-9\-.!%*_+`'~]+)?\Z"
)


_ABSENT: list[Any] = [None]


class ParseError(Exception):
    """A message that cannot be used."""

    def __init__(self, reason: str, detail: str = "", response: Response | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        """One of a small set of words, fit for a counter's label."""
        self.response = response
        """What to answer, when it was a request (not ACK) and enough of it could be read."""


class KeepAlive(Enum):
    """What RFC 5626 §4.4.1 sends between messages on a stream."""

    PING = "ping"
    """Two line ends: answer with one."""
    PONG = "pong"
    """One line end."""


class StreamBroken(Exception):
    """Where one message ends and the next begins is lost: close the connection."""

    def __init__(self, error: ParseError, completed: list[Request | Response | KeepAlive | ParseError]) -> None:
        super().__init__(str(error))
        self.error = error
        """What was wrong; its `response` may be sent before closing."""
        self.completed = completed
        """What the same octets held before the fault."""


class _Bad(Exception):
    """Internal: the message is wrong in this way, and this would be the answer."""

    def __init__(self, reason: str, status: int = 400, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = status
        self.detail = detail


def parse_message(data: bytes) -> Request | Response:
    """Read one datagram. Octets beyond Content-Length are ignored (RFC 3261 §18.3). Raises `ParseError`."""
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if len(data) > MAX_MESSAGE:
        raise ParseError("size")
    if not end:
        raise ParseError("cut" if head else "empty")
    message = _parse_head(head)
    length = message.headers.get("content-length")
    if length is not None:
        size = int(length[0])
        if size > len(body):
            raise _failure(message, _Bad("body", detail="body is shorter than Content-Length"))
        body = body[:size]
    message._body = body  # a fresh message: there is no print to drop
    return message


def _parse_head(head: bytes) -> Request | Response:
    """A message without body from the octets above the empty line, all mandatory headers checked."""
    try:
        text, charset = head.decode(), "utf-8"
    except UnicodeDecodeError:
        text, charset = head.decode("latin-1"), "latin-1"
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    line = text.partition("\r\n")[0]
    message: Request | Response
    bad: _Bad | None = None
    if line[:4].upper() == "SIP/":
        message = Response(*_status_line(line))
    else:
        message, bad = _request_line(line)
    message.charset = charset
    try:
        _read_headers(message, text)
        if bad is not None:
            raise bad
        _check(message)
    except _Bad as error:
        raise _failure(message, error) from None
    return message


@lru_cache(maxsize=64)
def _status_line(line: str) -> tuple[int, str]:
    """Cached: there are not many status lines."""
    match = _STATUS.match(line)
    if match is None:
        raise ParseError("start-line", "broken status line")
    if match[1] != "2.0":
        raise ParseError("version")
    return int(match[2]), match[3] or ""


_NOWHERE = Uri("sip", host="invalid")


def _request_line(line: str) -> tuple[Request, _Bad | None]:
    """The request, and what is wrong with its line: known only when the headers say where to tell it."""
    match = _REQUEST.match(line)
    if match is None:
        method, _, rest = line.partition(" ")
        if not re.search(r"\sSIP/2\.0\s*\Z", rest, re.I):
            raise ParseError("start-line", "neither request nor status line")
        return Request(method, _NOWHERE), _Bad("start-line", detail="broken request line")
    method, target, version = match.groups()
    if version != "2.0":
        return Request(method, _NOWHERE), _Bad("version", 505)
    try:
        uri = Uri.parse(target)
    except UriError as error:
        return Request(method, _NOWHERE), _Bad("uri", detail=str(error))
    if not (uri.host or uri.scheme == "tel"):
        return Request(method, uri), _Bad("scheme", 416)
    if uri.headers:
        return Request(method, uri), _Bad("uri", detail="headers in the Request-URI")
    return Request(method, uri), None


def _read_headers(message: Message, text: str) -> None:
    lines = text.split("\r\n")
    # Equal counts mean that each CR and LF was one of the line ends just taken away.
    if not text.count("\n") == text.count("\r") == len(lines) - 1:
        raise _Bad("header", detail="bare CR or LF")
    del lines[MAX_HEADERS + 2 :], lines[0]
    headers = message.headers
    bad = None
    for line in lines:
        name, _, value = line.partition(": ")
        try:
            key = KNOWN[name]
        except KeyError:
            name, colon, value = line.partition(":")
            try:
                key = long_name(name if colon else "")
            except HeaderError:
                bad = _Bad("header", detail="broken header line")
                continue
        if key in headers:
            headers[key].append(value.strip())
        else:
            headers[key] = [value.strip()]
    if bad is not None:
        raise bad
    if len(lines) > MAX_HEADERS:
        raise _Bad("headers", detail="too many headers")
    if len(text) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        raise _Bad("line", detail="line too long")


def _check(message: Request | Response) -> None:
    """Every mandatory header is there once and can be read (RFC 3261 §8.1.1, §16.3)."""
    headers = message.headers
    try:
        (call_id,) = headers["call-id"]
        (from_,) = headers["from"]
        (to,) = headers["to"]
        (_,) = headers["cseq"]
        (length,) = headers.get("content-length", _ABSENT)
        (_,) = headers.get("max-forwards", _ABSENT)
    except (KeyError, ValueError):
        raise _Bad(*_wrong_count(headers)) from None
    if not call_id:
        raise _Bad("missing", detail="Call-ID is empty")
    if length is not None and not _LENGTH.match(length):
        raise _Bad("length", detail="broken Content-Length")
    name = "via"
    try:
        _ = message.via
        name = "cseq"
        cseq = message.cseq
        name = "from"
        if not _ADDRESS.match(from_):
            NameAddr.parse(from_)
        name = "to"
        if not _ADDRESS.match(to):
            NameAddr.parse(to)
    except HeaderError as error:
        raise _Bad(name if name in headers else "missing", detail=str(error)) from None
    if isinstance(message, Request) and cseq.method != message.method:
        raise _Bad("cseq", detail="CSeq names another method")


def _wrong_count(headers: dict[str, list[str]]) -> tuple[str, int, str]:
    """Which header that must stand once does not: the arguments of `_Bad`."""
    for name in SINGLE:
        count = len(headers.get(name, ()))
        if count > 1:
            return "repeated", 400, f"{prefix(name)[:-2]} stands twice"
        if count == 0 and name not in ("content-length", "max-forwards"):
            return "missing", 400, f"{prefix(name)[:-2]} is missing"
    raise AssertionError("the count was wrong")


def _failure(message: Request | Response, bad: _Bad) -> ParseError:
    """The error for the caller, with an answer where one can find its way back: with as many headers as there are."""
    if isinstance(message, Response) or message.method == "ACK" or not _mend_via(message):
        return ParseError(bad.reason, bad.detail)
    phrase = f"Bad Request ({bad.detail})" if bad.status == 400 and bad.detail else None
    return ParseError(bad.reason, bad.detail, make_response(message, bad.status, phrase))


def _mend_via(message: Request) -> bool:
    """Whether the top Via tells a way back; one that is broken behind its host is cut down to what can be read."""
    try:
        _ = message.via
        return True
    except HeaderError:
        text = (message.get("via") or "").partition(",")[0]
    match = _WAY_BACK.match(text)
    if match is None:
        return False
    branch = _BRANCH.search(text)
    mended = f"SIP/2.0/{match[1]} {match[2]}" + (f";branch={branch[1]}" if branch else "")
    try:
        Via.parse(mended)
    except HeaderError:
        return False
    message.headers["via"][0] = mended
    return True


class StreamParser:
    """One connection's octets in, messages out: `feed` what arrives, in any pieces.

    The buffer never holds more than one message's limit beyond what was fed.
    """

    __slots__ = ("_broken", "_buffer", "_need", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._need = 0
        self._broken: ParseError | None = None

    def feed(self, data: bytes) -> list[Request | Response | KeepAlive | ParseError]:
        """What these octets complete. A `ParseError` in the list is a wrong message whose end is known.

        Raises `StreamBroken` when the end of a message cannot be known, and at each call from then on.
        """
        found: list[Request | Response | KeepAlive | ParseError] = []
        if self._broken is not None:
            raise StreamBroken(self._broken, found)
        self._buffer += data
        try:
            while self._buffer:
                if not self._step(found):
                    break
        except ParseError as error:
            self._broken = error
            self._buffer.clear()
            raise StreamBroken(error, found) from None
        return found

    def _step(self, found: list[Request | Response | KeepAlive | ParseError]) -> bool:
        """Take one thing off the buffer; False when more octets are needed."""
        buffer = self._buffer
        if not self._need:
            if buffer[0] in b"\r\n":
                return self._keep_alive(found)
            end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
            if end < 0:
                self._scanned = len(buffer)
                if len(buffer) > MAX_MESSAGE:
                    raise ParseError("size", "no end of headers")
                return False
            self._need = end + 4 + self._length(bytes(buffer[:end]))
        if len(buffer) < self._need:
            return False
        data = bytes(buffer[: self._need])
        del buffer[: self._need]
        self._need = self._scanned = 0
        try:
            found.append(parse_message(data))
        except ParseError as error:
            found.append(error)
        return True

    def _keep_alive(self, found: list[Request | Response | KeepAlive | ParseError]) -> bool:
        buffer = self._buffer
        if buffer[:1] == b"\n" or (len(buffer) > 1 and buffer[1:2] != b"\n"):
            raise ParseError("start-line", "bare CR or LF between messages")
        if len(buffer) == 1:
            return False
        if buffer[:4] == b"\r\n\r\n":
            del buffer[:4]
            found.append(KeepAlive.PING)
        elif len(buffer) == 3:
            return False
        else:
            del buffer[:2]
            # A ping cut in two would be told as two pongs. To wait for the other half instead would hold back
            # every true pong until the next message, and the connection would be given up for dead.
            found.append(KeepAlive.PONG)
        return True

    def _length(self, head: bytes) -> int:
        """Content-Length, without which a stream has no messages (RFC 3261 §18.3)."""
        lengths = {match[1].strip() for match in _LENGTH_LINE.finditer(head)}
        text = lengths.pop().decode("latin-1") if len(lengths) == 1 else ""
        if _LENGTH.match(text):
            if len(head) + 4 + int(text) <= MAX_MESSAGE:
                return int(text)
            reason, status, detail = "size", 513, "message too large"
        else:
            reason, status, detail = "length", 400, "no usable Content-Length"
        try:
            message = _parse_head(head)
        except ParseError as error:
            raise ParseError(reason, detail, error.response) from None
        raise _failure(message, _Bad(reason, status, detail))
