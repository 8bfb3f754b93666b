"""The web server (340): the softphone page and the WebSocket, on one port.

What is served is fixed at start: the files of `rtcgw/web/softphone`, read once as package
data, a small `/config.json` that tells the page how one may log in, `/healthz`, and the
WebSocket. One dictionary from whole paths to resources decides everything, so there is no
directory to list and no path to climb out of.

This module knows nothing of what is said over the WebSocket: its factory is an argument.
Autobahn has no types; of it only `WebSocketResource` is used, and only here. (Twisted Web
calls, where it is without types itself, are marked one by one.)
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import Any

from attrs import frozen
from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

_log = Logger()

MIME_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""Suffix -> Content-Type. A file of any other kind is not served, whatever lies in the folder."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        # 'self' covers ws: and wss: of the same host and port (CSP 3, §6.7.2.8).
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere, nobody may frame the page."""

_HEADERS = {
    "Server": "rtcgw",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=()",
}


@frozen
class PageSettings:
    """What the page is told before anybody has logged in. Public: anyone may read it."""

    passwords: bool = False
    """Whether a name and a password may be used to log in (the sandbox); a token always may."""
    hint: str = ""
    """A sentence for the login form, e.g. which sandbox users there are."""


class _Asset(Resource):
    """One answer, held in memory: a file of the page, or a document made at start."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, body: bytes, content_type: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._body = body
        self._content_type = content_type
        self._etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode()

    def render_GET(self, request: Request) -> bytes:
        """The body, or 304 when the client's copy has the same hash (RFC 9110 §13.1.2)."""
        # Always asked again, answered in one packet when unchanged: after an upgrade of the gateway
        # no browser runs yesterday's module beside today's. Names with a hash need a build step.
        request.setHeader("Cache-Control", "no-cache")
        if self._content_type == MIME_TYPES[".js"]:
            # Pages of other origins may import the protocol module; there is nothing secret in a module.
            # Whether they may also connect is decided at the WebSocket's handshake.
            request.setHeader("Access-Control-Allow-Origin", "*")
        if request.setETag(self._etag) is http.CACHED:
            return b""
        request.setHeader("Content-Type", self._content_type)
        return self._body


class _Plain(Resource):
    """A short sentence with a status, for whatever is not served."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status
        self._text = text
        self._more = headers or {}

    def render(self, request: Request) -> bytes:
        """The sentence, whatever the method."""
        request.setResponseCode(self._status)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        for name, value in self._more.items():
            request.setHeader(name, value)
        return self._text.encode()


_NOT_FOUND = _Plain(http.NOT_FOUND, "There is nothing here.\n")
_UPGRADE = _Plain(426, "This address speaks WebSocket only.\n", {"Upgrade": "websocket", "Connection": "Upgrade"})


@implementer(IResource)
class _WebSocket:
    """The WebSocket's path: upgrades go to Autobahn, anything else is told to upgrade (RFC 9110 §15.5.22)."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, factory: Any) -> None:
        self._inner = WebSocketResource(factory)  # type: ignore[no-untyped-call]

    def render(self, request: Request) -> bytes | int:
        """Hand the connection over; from here on it is the factory's protocol, and HTTP is done with it."""
        if request.method != b"GET" or (request.getHeader("upgrade") or "").lower() != "websocket":
            # Autobahn would answer with a page that names itself and its version.
            return _UPGRADE.render(request)
        answer: bytes | int = self._inner.render(request)  # type: ignore[no-untyped-call]
        return answer

    def getChildWithDefault(self, name: bytes, request: Request) -> IResource:
        """Never asked of a leaf; nothing lies below."""
        return _NOT_FOUND

    def putChild(self, path: bytes, child: IResource) -> None:
        """Nothing can be put below a WebSocket."""
        raise TypeError("a WebSocket has no children")


class _Root(Resource):
    """The only resource that is asked for children: whole paths in one dictionary."""

    def __init__(self, routes: dict[bytes, IResource]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._routes = routes

    def getChildWithDefault(self, path: bytes, request: Request) -> IResource:
        """The resource at the request's whole path."""
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        # The path as it was sent: an escaped slash or dot is another name here, not a way around.
        whole = request.path
        request.postpath = []
        return self._routes.get(whole, _NOT_FOUND)


class _BodylessRequest(Request):
    """A request whose body is read off the connection and dropped: nothing here takes one."""

    def gotLength(self, length: int | None) -> None:
        """Keep the content in memory: it stays empty. Twisted would spool a large body to a file."""
        super().gotLength(0)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """Drop it."""


class RtcgwSite(Site):
    """The HTTP factory; logs requests as debug events rather than into an access log."""

    noisy = False

    requestFactory = _BodylessRequest  # noqa: N815 - Twisted's name

    def log(self, request: http.Request) -> None:
        """One debug line per request, without the query: a careless page might put a token there."""
        # The path is a field of the event, never part of the format: what it holds cannot break a line.
        _log.debug(
            "{method} {path} {status}",
            method=request.method.decode("ascii", "replace"),
            path=request.path.decode("ascii", "backslashreplace"),
            status=request.code,
        )


def softphone_files() -> dict[str, bytes]:
    """Name -> content of every file of the page, from the installed package."""
    folder = resources.files("rtcgw.web") / "softphone"
    return {
        entry.name: entry.read_bytes()
        for entry in folder.iterdir()
        if entry.is_file() and _suffix(entry.name) in MIME_TYPES
    }


def make_site(
    websocket_factory: Any,
    ws_path: str = "/ws",
    page_enabled: bool = True,
    *,
    reactor: IReactorTime,
    settings: PageSettings | None = None,
) -> Site:
    """The site that the gateway listens with.

    `websocket_factory` is an `autobahn.twisted.websocket.WebSocketServerFactory`; it is not
    listened with by itself. `ws_path` is an absolute path. Without `page_enabled` only the
    WebSocket and `/healthz` are there. `reactor` times idle connections.
    """
    routes: dict[bytes, IResource] = {b"/healthz": _Asset(b"ok\n", "text/plain; charset=utf-8")}
    if page_enabled:
        for name, body in softphone_files().items():
            routes[f"/{name}".encode()] = _Asset(body, MIME_TYPES[_suffix(name)])
        routes[b"/"] = routes[b"/index.html"]
        routes[b"/config.json"] = _config(ws_path, settings or PageSettings())
    routes[ws_path.encode()] = _WebSocket(websocket_factory)
    return RtcgwSite(_Root(routes), reactor=reactor)  # type: ignore[no-untyped-call]


def _config(ws_path: str, settings: PageSettings) -> _Asset:
    methods = ["password", "token"] if settings.passwords else ["token"]
    document = {"websocket": ws_path, "login": methods, "hint": settings.hint}
    return _Asset(json.dumps(document).encode(), MIME_TYPES[".json"])


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:] if dot > 0 else ""
