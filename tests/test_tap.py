"""`twistd rtcgw`: what the options do, and what an operator is told."""

from __future__ import annotations

import atexit
import gc
import io
import sys
from pathlib import Path
from typing import cast

from attrs import define, evolve, field
from twisted.application.service import Application, IServiceCollection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, Logger, LogPublisher, formatEvent
from twisted.trial.unittest import TestCase

from rtcgw import tap
from rtcgw.config import Config, Login, Web
from rtcgw.ops.preflight import Finding


@define
class Gateway:
    """A gateway that only notes what it is told."""

    heard: list[str] = field(factory=list)
    started: Deferred[None] = field(factory=Deferred)
    stopped: Deferred[None] = field(factory=Deferred)

    def start(self) -> Deferred[None]:
        self.heard.append("start")
        return self.started

    def stop(self) -> Deferred[None]:
        self.heard.append("stop")
        return self.stopped

    def check(self) -> Deferred[list[Finding]]:
        return succeed([])


def options(*words: str) -> tap.Options:
    parsed = tap.Options()
    parsed.parseOptions(list(words))
    return parsed


class OptionTests(TestCase):
    def refused(self, *words: str) -> str:
        with self.assertRaises(SystemExit) as caught:
            tap.configured(options(*words))
        return str(caught.exception.code)

    def test_says_what_is_needed(self) -> None:
        """Without a configuration and without --sandbox it says which two ways there are."""
        self.assertIn("--config FILE, or --sandbox", self.refused())
        self.assertIn("--tls goes with --sandbox", self.refused("--tls", "--config", "x"))

    def test_wrong_configuration(self) -> None:
        """Every problem of a configuration is told, one per line, and the process ends with status 1."""
        path = Path(self.mktemp())
        path.write_text("[web]\nping = 0\nrate = 0\n")
        self.assertEqual(len(self.refused("--config", str(path)).splitlines()), 2)

    def test_listen(self) -> None:
        """--listen replaces the page's address; a wrong one is refused like a wrong key."""
        config = tap.configured(options("--sandbox", "--listen", "tcp:9000:interface=127.0.0.1"))
        self.assertEqual(config.web.listen, "tcp:9000:interface=127.0.0.1")
        self.assertIn('--listen: found "9000x"', self.refused("--sandbox", "--listen", "9000x"))

    def test_sandbox_over_a_file(self) -> None:
        """--sandbox with --config keeps what the file says of other matters."""
        path = Path(self.mktemp())
        path.write_text("[web]\nping = 3\n")
        config = tap.configured(options("--sandbox", "--config", str(path)))
        self.assertEqual((config.web.ping, config.sandbox.enabled), (3.0, True))

    def test_sandbox_certificate_cannot_be_kept(self) -> None:
        """A state folder that cannot be written is one clear sentence."""
        path = Path(self.mktemp())
        path.write_text("a file, no folder")
        self.assertIn("see --state", self.refused("--sandbox", "--tls", "--state", str(path)))

    def test_print_config(self) -> None:
        """--print-config prints what is in force and ends well."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        with self.assertRaises(SystemExit) as caught:
            tap.makeService(options("--sandbox", "--print-config"))
        self.assertEqual(caught.exception.code, 0)
        self.assertIn('[web]\nlisten = "tcp:8080:interface=127.0.0.1"', out.getvalue())


class GreetingTests(TestCase):
    def test_sandbox(self) -> None:
        """Whoever starts the sandbox reads where the page is, where calls are recorded, and who may log in."""
        lines = tap.greeting(tap.configured(options("--sandbox")))
        self.assertEqual(
            lines,
            [
                "the page is at http://127.0.0.1:8080/",
                f"each call leaves a line in {Path.cwd() / 'sandbox-calls.jsonl'}",
                "log in as alice (password alice) or bob (password bob)",
            ],
        )
        self.assertEqual(tap.warnings(tap.configured(options("--sandbox"))), [])

    def test_addresses(self) -> None:
        """The address printed is one that can be clicked."""
        for listen, address in {
            r"tcp:80:interface=\:\:1": "http://[::1]:80/",
            "ssl:8443:interface=192.0.2.1:privateKey=k": "https://192.0.2.1:8443/",
        }.items():
            self.assertEqual(tap.page_address(evolve(Config(), web=Web(listen=listen))), address)
        self.assertEqual(
            tap.greeting(evolve(Config(), web=Web(listen="systemd:domain=INET:index=0"))),
            ["browsers are served at systemd:domain=INET:index=0"],
        )

    def test_warnings(self) -> None:
        """Plain HTTP beyond loopback, and a gateway that nobody can use, are worth a warning each."""
        open_ = evolve(Config(), web=Web(listen="tcp:8080"))
        self.assertIn("no microphone", tap.warnings(open_)[0])
        self.assertIn("nobody can log in", tap.warnings(Config())[0])
        keyed = evolve(Config(), login=Login(keys=("k" * 32,)), web=Web(listen="ssl:443"))
        self.assertEqual([line[:10] for line in tap.warnings(keyed)], ["there is n"])
        self.assertIn("log-in is by token", tap.greeting(keyed)[1])


class ServiceTests(TestCase):
    def setUp(self) -> None:
        self.gateway = Gateway()
        self.reactor = MemoryReactorClock()
        self.service = tap.GatewayService(self.gateway, Config(), self.reactor)

    def test_stop_is_waited_for(self) -> None:
        """twistd waits until the gateway has said goodbye to the core."""
        self.service.startService()
        stopping = self.service.stopService()
        self.assertEqual(self.gateway.heard, ["start", "stop"])
        self.assertNoResult(stopping)
        self.gateway.stopped.callback(None)
        self.successResultOf(stopping)

    def test_collector_leaves_alone_what_stays(self) -> None:
        """Under load the garbage collector does not stop the gateway to look at what was there from the start."""
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        self.service.startService()
        self.assertNotEqual(gc.get_threshold(), tap.COLLECTOR)
        self.gateway.started.callback(None)
        self.assertEqual(gc.get_threshold(), tap.COLLECTOR)
        self.assertGreater(gc.get_freeze_count(), 1000)

    def fail_with(self, error: Exception) -> list[str]:
        """Start a gateway that cannot; what is logged."""
        registered: list[object] = []
        self.patch(atexit, "register", registered.append)
        logged: list[str] = []
        publisher = LogPublisher(cast(ILogObserver, lambda event: logged.append(formatEvent(event))))
        self.patch(self.service, "log", Logger("x", observer=publisher))
        self.service.startService()
        self.gateway.started.errback(error)
        self.assertEqual(len(registered), 1)
        return logged

    def test_failed_start_ends_the_process(self) -> None:
        """A gateway that cannot open its ports says why once, in one line, stops, and ends with status 1."""
        logged = self.fail_with(CannotListenError("127.0.0.1", 8080, OSError(98, "Address already in use")))
        self.assertEqual(
            logged,
            ["the gateway cannot start: Couldn't listen on 127.0.0.1:8080: [Errno 98] Address already in use."],
        )
        self.assertTrue(self.reactor.hasStopped or self.reactor.whenRunningHooks)

    def test_fault_of_ours_ends_the_process(self) -> None:
        """A fault of the gateway itself ends the process as well, and leaves a traceback."""
        self.assertEqual(self.fail_with(RuntimeError("a fault")), ["the gateway cannot start"])
        self.assertTrue(self.reactor.hasStopped or self.reactor.whenRunningHooks)

    def test_log_observer_reaches_the_application(self) -> None:
        """[log] is in force from twistd's first line on."""
        log_observer = tap.log_observer(Config(), options("--sandbox"))
        application = Application("rtcgw")
        service = tap.GatewayService(self.gateway, Config(), self.reactor, log_observer)
        service.setServiceParent(cast(IServiceCollection, application))  # as twistd does: the application itself
        self.assertIs(application.getComponent(ILogObserver), log_observer)

    def test_twistds_own_logger_wins(self) -> None:
        """--logger and --syslog of twistd are not overridden."""
        parsed = options("--sandbox")
        parsed.parent = {"logger": "x"}  # type: ignore[assignment]
        self.assertIsNone(tap.log_observer(Config(), parsed))
