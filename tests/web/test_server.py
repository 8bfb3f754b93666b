"""The web server, over bytes: what a browser gets, and what somebody who probes it does not get."""

from __future__ import annotations

import json
import re
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from rtcgw.model.reason import Reason
from rtcgw.web.server import PageSettings, make_site, softphone_files


class Talker(WebSocketServerProtocol):
    """Answers each message with itself."""

    def onConnect(self, request: Any) -> str:
        return "rtcgw.1"

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload)


class Answer:
    """A response, taken apart."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


class WebCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        factory: Any = WebSocketServerFactory(reactor=self.clock)
        factory.protocol = Talker
        self.factory = factory
        self.site = make_site(factory, "/ws", reactor=self.clock)

    def send(self, data: bytes, site: Site | None = None) -> tuple[Any, StringTransport]:
        """A connection on which `data` has arrived."""
        channel: Any = (site or self.site).buildProtocol(None)
        transport: Any = StringTransport()
        # A socket's transport knows its protocol; a WebSocket takes it over there.
        transport.protocol = channel
        channel.makeConnection(transport)
        channel.dataReceived(data)
        return channel, transport

    def ask(self, path: str, method: str = "GET", site: Site | None = None, **headers: str) -> Answer:
        """The response to one request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gw", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        return Answer(self.send("\r\n".join((*lines, "", "")).encode(), site)[1].value())


class PageTests(WebCase):
    def test_page_at_the_root(self) -> None:
        """The bare address is the softphone."""
        answer = self.ask("/")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        self.assertIn(b'src="softphone.js"', answer.body)
        self.assertEqual(self.ask("/index.html").body, answer.body)

    def test_types(self) -> None:
        """Modules are JavaScript to the browser, which with nosniff takes them as nothing else."""
        types = {name: self.ask(f"/{name}").headers["content-type"] for name in softphone_files()}
        self.assertEqual(types["rtcgw.js"], "text/javascript; charset=utf-8")
        self.assertEqual(types["style.css"], "text/css; charset=utf-8")
        self.assertEqual(types["icon.svg"], "image/svg+xml")

    def test_modules_for_other_pages(self) -> None:
        """A page of another origin may import the modules, and read nothing else."""
        self.assertEqual(self.ask("/rtcgw.js").headers["access-control-allow-origin"], "*")
        self.assertNotIn("access-control-allow-origin", self.ask("/config.json").headers)

    def test_a_sentence_for_every_reason(self) -> None:
        """However a call ends, the page has a sentence for it."""
        errors = softphone_files()["errors.js"].decode()
        words = set(re.findall(r"^  '?([a-z-]+)'?:", errors, re.MULTILINE))
        self.assertEqual({reason.word for reason in Reason} - words, set())

    def test_every_reference_is_served(self) -> None:
        """All that the page and its modules load is there, and comes from here."""
        files = softphone_files()
        for name, body in files.items():
            for line in body.decode().splitlines():
                if line.lstrip().startswith(("import ", "export {")) and " from " in line:
                    target = line.split(" from ")[1].strip("';").removeprefix("./")
                    self.assertIn(target, files, f"{name}: {line}")
        self.assertNotIn(b"http", files["style.css"])

    def test_nothing_inline(self) -> None:
        """The page holds to its own Content-Security-Policy: no inline script, style or handler."""
        page = softphone_files()["index.html"].decode()
        for forbidden in ("<style", "style=", " onclick=", " onload=", "javascript:"):
            self.assertNotIn(forbidden, page)
        self.assertEqual(page.count("<script"), page.count('<script type="module" src='))

    def test_guarding_headers_on_every_answer(self) -> None:
        """Policy and nosniff stand on pages and on errors, and the server tells no version."""
        for path in ("/", "/style.css", "/no-such", "/healthz", "/ws"):
            headers = self.ask(path).headers
            self.assertIn("default-src 'none'", headers["content-security-policy"], path)
            self.assertEqual(headers["x-content-type-options"], "nosniff", path)
            self.assertEqual(headers["x-frame-options"], "DENY", path)
            self.assertEqual(headers["referrer-policy"], "no-referrer", path)
            self.assertEqual(headers["server"], "rtcgw", path)

    def test_unchanged_files_are_not_sent_again(self) -> None:
        """A browser asks each time and is told in a line that it has the file."""
        first = self.ask("/rtcgw.js")
        self.assertEqual(first.headers["cache-control"], "no-cache")
        again = self.ask("/rtcgw.js", if_none_match=first.headers["etag"])
        self.assertEqual((again.status, again.body), (304, b""))
        changed = self.ask("/rtcgw.js", if_none_match='"other"')
        self.assertEqual((changed.status, changed.body), (200, first.body))

    def test_head(self) -> None:
        """HEAD tells the length and sends nothing."""
        answer = self.ask("/style.css", "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(int(answer.headers["content-length"]), len(softphone_files()["style.css"]))

    def test_config(self) -> None:
        """The page learns where the WebSocket is and how one may log in."""
        settings = PageSettings(passwords=True, hint="alice/alice")
        site = make_site(self.factory, "/socket", reactor=self.clock, settings=settings)
        told = json.loads(self.ask("/config.json", site=site).body)
        self.assertEqual(told, {"websocket": "/socket", "login": ["password", "token"], "hint": "alice/alice"})
        self.assertEqual(json.loads(self.ask("/config.json").body)["login"], ["token"])

    def test_without_the_page(self) -> None:
        """Switched off, only the WebSocket and the health check are there."""
        site = make_site(self.factory, "/ws", False, reactor=self.clock)
        self.assertEqual(self.ask("/", site=site).status, 404)
        self.assertEqual(self.ask("/rtcgw.js", site=site).status, 404)
        self.assertEqual(self.ask("/healthz", site=site).body, b"ok\n")
        self.assertEqual(self.ask("/ws", site=site).status, 426)


class ProbeTests(WebCase):
    def test_nothing_else_is_served(self) -> None:
        """No listing, no way up, no other file of the package, no spelling that gets around it."""
        for path in (
            "/softphone/",
            "/rtcgw.js/",
            "/rtcgw.js/x",
            "//",
            "/../server.py",
            "/..%2fserver.py",
            "/%2e%2e/server.py",
            "/..%5cserver.py",
            "/server.py",
            "/__init__.py",
            "/index.html%00.js",
            "/RTCGW.JS",
            "/etc/passwd",
            "/" + "a" * 8000,
        ):
            self.assertEqual(self.ask(path).status, 404, path)

    def test_query_changes_nothing(self) -> None:
        """A query is no part of the name."""
        self.assertEqual(self.ask("/style.css?v=1").status, 200)

    def test_other_methods(self) -> None:
        """Only GET and HEAD are known."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertIn(self.ask("/", method).status, (405, 501), method)

    def test_a_large_body_is_dropped(self) -> None:
        """Whoever sends a gigabyte fills neither memory nor disk."""
        channel, transport = self.send(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(50):
            channel.dataReceived(b"x" * 65536)
        content = channel._channel.requests[-1].content
        self.assertEqual(content.getvalue(), b"")
        self.assertEqual(transport.value(), b"")

    def test_idle_connection_is_closed(self) -> None:
        """A connection on which nothing comes does not stay."""
        _, transport = self.send(b"GET / HTTP/1.1\r\n")
        self.clock.advance(61)
        self.assertTrue(transport.disconnecting)


class WebSocketTests(WebCase):
    UPGRADE = (
        b"GET /ws HTTP/1.1\r\nHost: gw\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://gw\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: rtcgw.1\r\n\r\n"
    )

    def test_upgrade(self) -> None:
        """On its path the connection becomes a WebSocket, and messages go through (RFC 6455 §1.3)."""
        _, transport = self.send(self.UPGRADE)
        answer = Answer(transport.value())
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(answer.headers["sec-websocket-protocol"], "rtcgw.1")
        transport.clear()
        socket: Any = transport
        # "hi" as a client's text frame, masked with zeros.
        socket.protocol.dataReceived(b"\x81\x82\x00\x00\x00\x00hi")
        self.assertEqual(transport.value(), b"\x81\x02hi")

    def test_plain_request(self) -> None:
        """Somebody who opens the WebSocket's address in a browser is told what it is, and nothing of our parts."""
        answer = self.ask("/ws")
        self.assertEqual(answer.status, 426)
        self.assertEqual(answer.headers["upgrade"], "websocket")
        self.assertNotIn(b"utobahn", answer.body)

    def test_elsewhere_there_is_none(self) -> None:
        """An upgrade at another path is not found."""
        _, transport = self.send(self.UPGRADE.replace(b"/ws ", b"/other "))
        self.assertEqual(Answer(transport.value()).status, 404)
