"""The gateway as its operator meets it: checks, refusals, certificates, the prompt inside, and its end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import ssl
from twisted.internet.endpoints import SSL4ClientEndpoint
from twisted.trial.unittest import TestCase

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import FAULT, SECRET, Gateway
from tests.live.ims.core import ROOT
from tests.live.ims.subscribers import named
from tests.live.prompt import Prompt
from tests.live.requirements import need
from tests.live.running import Running
from tests.live.waiting import HOST, bound, reactor, until
from tests.live.webclient import Call, WebClient

TWISTD = (
    sys.executable,
    "-c",
    "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()",
    "--nodaemon",
    "--pidfile=",
    "rtcgw",
)
MANHOLE = 18023
PASSWORD = "the-engineer-on-duty"
HTTPS = 18444


def twistd(folder: Path, name: str, *words: str) -> Running:
    """`twistd rtcgw` with these options, in `folder`."""
    return Running(name, [*TWISTD, *words], folder, env={"PYTHONPATH": str(ROOT)})


class CommandTests(TestCase):
    """What needs no core."""

    timeout = 30

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    async def said(self, *words: str) -> tuple[int, str]:
        """Run to the end: the exit status, and everything printed."""
        running = twistd(self.folder, "command", *words)
        self.addCleanup(running.stop)
        return await running.end(15), running.log()

    def configuration(self, text: str) -> str:
        path = self.folder / "rtcgw.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    async def test_check_without_a_core(self) -> None:
        """`--check` says what is well and what is not, one line each, and ends with 1."""
        self.assertFalse(bound(18899, "tcp"))
        file = self.configuration(
            '[web]\nlisten = "tcp:18098:interface=127.0.0.1"\n'
            '[sip]\nlisten = "tcp:15998:interface=127.0.0.1"\npeer = "tcp:127.0.0.1:18899"\n'
            "[media]\nport = 12400\n"
        )
        status, text = await self.said("--config", file, "--check")
        self.assertEqual(status, 1, text)
        self.assertIn("ok       [web] listen: tcp:18098:interface=127.0.0.1 can be opened", text)
        self.assertIn("FAILED   [sip] peer: tcp:127.0.0.1:18899 takes no connection: Connection was refused", text)
        self.assertIn("warning  nobody can log in", text)
        self.assertNotIn("Traceback", text)

    async def test_check_of_the_sandbox(self) -> None:
        """A sandbox that could be started is well: 0."""
        status, text = await self.said("--sandbox", "--listen", "tcp:18098:interface=127.0.0.1", "--check")
        self.assertEqual(status, 0, text)
        self.assertNotIn("FAILED", text)
        self.assertIn("ok       [media] backend embedded", text)

    async def test_wrong_configuration(self) -> None:
        """Everything wrong is told at once, by section and key, with what was found and what is allowed; status 1."""
        file = self.configuration(
            '[web]\nping = "soon"\n[media]\nbackend = "tape"\n[manhole]\ncolour = 1\n[sip]\nt1 = 99\n'
        )
        status, text = await self.said("--config", file)
        self.assertEqual(status, 1, text)
        for line in (
            '[web] ping: found "soon"; allowed: a number of seconds from 1 to 3600',
            '[media] backend: found "tape"; allowed: "embedded" or "rtpengine" or "direct"',
            "[manhole] colour",
            "[sip] t1: found 99; allowed: a number of seconds from 0.05 to 5",
        ):
            self.assertIn(line, text)
        self.assertEqual(len(text.splitlines()), 4, text)

    async def test_print_config(self) -> None:
        """`--print-config` shows what is in force, and no secret of it."""
        file = self.configuration(
            f'[web]\nping = 7\n[login]\nkeys = ["{SECRET}"]\n[manhole]\nenabled = true\npassword = "{PASSWORD}"\n'
            '[[profile]]\nname = "gw1"\nimpi = "gw1@ims.test"\nimpus = ["sip:gw1@ims.test"]\ndomain = "ims.test"\n'
            'secret = "gw1-secret"\n'
            '[ice]\nservers = [{urls = ["turn:t.example"], username = "u", credential = "turn-secret"}]\n'
        )
        status, text = await self.said("--config", file, "--print-config")
        self.assertEqual(status, 0, text)
        self.assertIn("ping = 7", text)
        self.assertIn('impi = "gw1@ims.test"', text)
        for secret in (SECRET, PASSWORD, "gw1-secret", "turn-secret"):
            self.assertNotIn(secret, text)

    async def test_tls(self) -> None:
        """`--sandbox --tls` serves the page and the WebSocket under a certificate of its own, which it keeps."""
        state = self.folder / "state"
        words = ("--sandbox", "--tls", "--state", str(state), "--listen", f"tcp:{HTTPS}:interface={HOST}")
        running = twistd(self.folder, "tls", *words)
        self.addCleanup(running.stop)
        await running.said(rf"the page is at https://{HOST}:{HTTPS}/", 15)
        pem = next(path for path in state.iterdir() if b"BEGIN CERTIFICATE" in path.read_bytes())
        key = next(path for path in state.iterdir() if b"PRIVATE KEY" in path.read_bytes())
        self.assertEqual(key.stat().st_mode & 0o077, 0, "the key can be read by others")
        # A client that trusts nothing but this certificate, and looks at the address in it.
        own = ssl.Certificate.loadPEM(pem.read_bytes())
        options = ssl.optionsForClientTLS(HOST, trustRoot=own)
        page = WebClient(HTTPS)
        await page.connect(SSL4ClientEndpoint(reactor, HOST, HTTPS, options))
        sent = page.send("LOGIN", user="alice", password="alice", capabilities=[])
        await page.expect("OK", for_="LOGIN", id=sent)
        await page.close()
        self.assertIn(await running.stop(15), (0, -signal.SIGTERM))
        self.assertNotRegex(running.log(), FAULT)
        self.assertNotIn("no microphone", running.log())


@need("kamailio")
class CheckTests(GatewayCase):
    async def test_check(self) -> None:
        """Against a running core everything is well: 0. Beside a running gateway the ports are not to be had: 1."""
        gateway = Gateway(self.folder / "gateway", self.core)
        gateway.folder.mkdir()
        file = gateway.folder.absolute() / "checked.toml"
        file.write_text(gateway.configuration(), encoding="utf-8")
        first = twistd(gateway.folder, "check", "--config", str(file), "--check")
        self.assertEqual(await first.end(15), 0, first.log())
        self.assertIn("answers over UDP: 200", first.log())
        self.assertIn("ok       [[profile]]: 2 to register: gw1, gw2", first.log())
        self.addCleanup(gateway.stop)
        await gateway.start()
        second = twistd(gateway.folder, "check2", "--config", str(file), "--check")
        self.assertEqual(await second.end(15), 1, second.log())
        self.assertIn("is the gateway running?", second.log())


@need("kamailio", "baresip")
class DutyTests(GatewayCase):
    """With a call up."""

    async def called(self, sections: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Gateway, Call, Baresip]:
        gateway = await self.gateway("gw1", sections=sections)
        phone = Baresip(named("erin"), self.folder / "erin", self.core)
        await phone.start()
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await phone.event("CALL_ESTABLISHED")
        await call.hears(phone.tone)
        return gateway, call, phone

    async def prompt(self) -> Prompt:
        prompt = await Prompt.open(MANHOLE)
        self.addCleanup(prompt.close)
        return prompt

    async def test_manhole(self) -> None:
        """A wrong password gets nothing. The right one: calls, sessions, registrations, a drain; and no secret."""
        manhole = {"enabled": True, "listen": f"tcp:{MANHOLE}:interface={HOST}", "password": PASSWORD}
        gateway, call, phone = await self.called({"manhole": manhole})
        self.assertFalse(await (await self.prompt()).login("admin", "a-wrong-password"))
        prompt = await self.prompt()
        self.assertTrue(await prompt.login("admin", PASSWORD))
        calls = await prompt.ask("calls()")
        self.assertEqual(len(calls.splitlines()), 2, calls)
        self.assertIn(call.session, calls)
        one = await prompt.ask(f"call('{call.session[:8]}')")
        for word in ("caller: browser wanda", "callee: sip sip:erin@ims.test", "timers:", "INVITE", "200", "ANSWER"):
            self.assertIn(word, one)
        self.assertRegex(await prompt.ask("sessions()"), r"(?m)^wanda +sip:gw1@ims.test +1 +1 +0")
        self.assertRegex(await prompt.ask("registrations()"), r"(?m)^gw1 .*registered")
        self.assertGreater((await prompt.counters())["sip", "received"], 5)
        self.assertIn("1 still run", await prompt.ask("drain()"))
        await self.refused(gateway, phone)
        await call.hang_up()
        await phone.event("CALL_CLOSED")
        self.assertIn("no calls", await prompt.ask("calls()"))
        self.no_secrets(call, gateway.token("wanda"), prompt.transcript + gateway.log())

    async def refused(self, gateway: Gateway, phone: Baresip) -> None:
        """A drained gateway takes no new call from a page."""
        late = await gateway.client("wanda")
        sent = late.send("OFFER", to=phone.who.uri, sdp="v=0\r\n")
        answer = await late.expect_any({"HANGUP", "ERROR"}, passing=frozenset({"WAITING"}))
        self.assertTrue(answer["type"] == "HANGUP" or answer["id"] == sent, answer)

    def no_secrets(self, call: Call, token: str, text: str) -> None:
        """Neither prompt nor log, at debug level, held what opens anything."""
        peer = call.media.peer
        assert peer.remote is not None
        theirs = next(media for media in peer.remote.media if media.kind == "audio")
        secrets = {
            "manhole password": PASSWORD,
            "token key": SECRET,
            "token": token.partition(".")[0],  # any token: they begin alike
            "digest secret": named("gw1").password,
            "page's ICE password": peer.password,
            "page's ufrag": f"ufrag:{peer.ufrag}",
            "gateway's ICE password": theirs.get("ice-pwd") or "",
            "gateway's ufrag": theirs.get("ice-ufrag") or "",
        }
        for what, secret in secrets.items():
            self.assertGreater(len(secret), 3, what)
            self.assertNotIn(secret, text, what)

    async def test_end_in_mid_call(self) -> None:
        """SIGTERM hangs up at the phone, tells the page, and takes the registration back."""
        gone = self.core.count(named("gw1").impi, "USER_DEREGISTRATION")
        gateway, call, phone = await self.called()
        os.kill(gateway.running.pid, signal.SIGTERM)
        await call.ended("shutdown")
        await phone.event("CALL_CLOSED")
        self.assertIn(await gateway.running.end(15), (0, -signal.SIGTERM))
        await until("the page is told to go", lambda: call.client.lost, 5)
        self.assertEqual(call.client.closed_with, 1001)
        self.assertIn("profile gw1: gone", gateway.log())
        await self.core.assigned(named("gw1").impi, "USER_DEREGISTRATION", gone + 1)
        gateway.check_log()
