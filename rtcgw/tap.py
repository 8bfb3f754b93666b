"""`twistd rtcgw`: the options, and the service that twistd runs. The only module that imports the global reactor.

    twistd -n rtcgw --sandbox                    try it: stand-in core, phones, two users
    twistd rtcgw --config /etc/rtcgw.toml        real use
    twistd rtcgw --config FILE --check           validate, try every listener and peer, exit 0 or 1
    twistd rtcgw --config FILE --print-config    what is in force, without secrets

No wiring here: `rtcgw.gateway.build` does that. The gateway and the reactor are imported when they are
needed, so that `--help` is quick and `twistd --reactor` still has a choice.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from attrs import evolve
from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions

from rtcgw.config import Config, ConfigError, check_listener, is_loopback, listen_address, load
from rtcgw.config.writing import effective
from rtcgw.media.backend import MediaError
from rtcgw.ops.logs import destination, observer
from rtcgw.ops.preflight import Finding
from rtcgw.sandbox.preset import reachable_address, sandbox_config, with_records


class Options(UsageOptions):
    """The command line after `twistd rtcgw`."""

    synopsis = "[--sandbox [--tls] | --config FILE] [--check | --print-config]"
    longdesc = "rtcgw gives web browsers the services of an IMS network."

    optFlags = [  # noqa: RUF012, N815 - read by usage.Options, never changed
        ["sandbox", "s", "Run with a stand-in IMS core, answering phones and the users alice and bob."],
        ["tls", None, "With --sandbox: serve the page by HTTPS, with a certificate made for it."],
        ["check", None, "Validate the configuration, try each listener and peer, say what was found, exit 0 or 1."],
        ["print-config", None, "Print the configuration in force, without secrets, and exit."],
    ]
    optParameters = [  # noqa: RUF012, N815
        ["config", "c", None, "The configuration file (TOML); etc/rtcgw.toml shows every key."],
        ["listen", "l", None, "Where the page is served, instead of [web] listen: a Twisted endpoint string."],
        ["state", None, None, "With --sandbox --tls: the folder in which the certificate is kept."],
    ]


class Gateway(Protocol):
    """What `rtcgw.gateway.build` makes, as far as this module knows it."""

    def start(self) -> Deferred[None]:
        """Open listeners, register at the core; fails when a listener cannot be had."""

    def stop(self) -> Deferred[None]:
        """End calls, de-register, close listeners; fires when all that is done."""

    def check(self) -> Deferred[list[Finding]]:
        """Try each listener and peer without serving anybody."""


class GatewayService(Service):
    """The gateway as a service of twistd; its stop is waited for."""

    log = Logger()

    def __init__(
        self, gateway: Gateway, config: Config, reactor: IReactorCore, log_observer: ILogObserver | None = None
    ) -> None:
        self.gateway = gateway
        self.config = config
        self.reactor = reactor
        self.log_observer = log_observer

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Twistd takes the log observer from the application, which a plugin meets only here."""
        if self.log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log_observer)  # type: ignore[no-untyped-call]
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start the gateway; when it cannot start, say why once and end the process with status 1."""
        super().startService()  # type: ignore[no-untyped-call]
        maybeDeferred(self.gateway.start).addCallbacks(self._started, self._failed)

    def stopService(self) -> Deferred[None]:
        """Stop the gateway; twistd waits for the result."""
        super().stopService()  # type: ignore[no-untyped-call]
        return maybeDeferred(self.gateway.stop)

    def _started(self, _result: object) -> None:
        calm_collector()
        for line in greeting(self.config):
            self.log.info("{line}", line=line)
        for line in warnings(self.config):
            self.log.warn("{line}", line=line)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CannotListenError, OSError, MediaError, ConfigError):
            self.log.critical("the gateway cannot start: {reason}", reason=failure.getErrorMessage())
        else:
            self.log.failure("the gateway cannot start", failure)
        # Twistd ends with status 0 whatever happened, and service managers would not notice.
        atexit.register(_exit_failed)
        if cast(Any, self.reactor).running:
            self.reactor.stop()
        else:
            cast(Any, self.reactor).callWhenRunning(self.reactor.stop)


COLLECTOR = (2000, 50, 15)
"""Allocations, and collections of one generation, until Python looks for cycles in the next.

A call that is over leaves cycles, old by then, which only the last generation's turn frees: 3000 refused calls left
125 000 objects, 15 MB. With 15 that turn comes after 1.5 million objects; with 100 it would come after ten million.
"""


def calm_collector() -> None:
    """What exists now exists for good, and the garbage collector need not walk over it again and again.

    Transactions linger for half a minute by the book, so that at hundreds of calls a second young objects are
    mostly not garbage; with Python's own thresholds, looking at them took 15 % of the gateway's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)


def _exit_failed() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def makeService(options: UsageOptions) -> Service:
    """The service for these options. Ends the process for `--check`, `--print-config` and a wrong configuration."""
    config = configured(options)
    if options["print-config"]:
        sys.stdout.write(effective(config))
        sys.exit(0)

    from twisted.internet import reactor  # noqa: PLC0415 - see above

    from rtcgw.gateway import build  # noqa: PLC0415 - see above

    core = cast(IReactorCore, reactor)
    try:
        gateway = build(config, reactor)
    except ConfigError as error:
        refuse(error)
    if options["check"]:
        check(config, gateway, core)
    return GatewayService(gateway, config, core, log_observer(config, options))


def configured(options: UsageOptions) -> Config:
    """The configuration that the options ask for; ends the process with status 1 when it cannot be used."""
    sandbox = bool(options["sandbox"])
    if not sandbox and options["config"] is None:
        sys.exit("rtcgw: say --config FILE, or --sandbox to try it (twistd rtcgw --help)")
    if options["tls"] and not sandbox:
        sys.exit('rtcgw: --tls goes with --sandbox; else use an "ssl:" endpoint in [web] listen')
    try:
        config = load(options["config"], sandbox) if options["config"] is not None else Config()
        if options["listen"] is not None:
            config = evolve(config, web=evolve(config.web, listen=check_listener(options["listen"], "--listen")))
        if sandbox:
            config = sandbox_config(bool(options["tls"]), config, Path(options["state"]) if options["state"] else None)
            config = with_records(config, Path.cwd())
    except ConfigError as error:
        refuse(error)
    except OSError as error:
        sys.exit(f"rtcgw: the sandbox's certificate cannot be kept: {error} (see --state)")
    return config


def refuse(error: ConfigError) -> NoReturn:
    """Tell every problem, one per line, and end the process with status 1."""
    sys.exit("\n".join(f"rtcgw: {problem}" for problem in error.problems))


def check(config: Config, gateway: Gateway, reactor: IReactorCore) -> NoReturn:
    """Run the gateway's own check, print what it found, and end the process: 0 when all is well, else 1."""

    def told(findings: Iterable[Finding]) -> None:
        rows = list(findings)
        for line in [*map(str, rows), *(f"warning  {line}" for line in warnings(config))]:
            sys.stdout.write(line + "\n")
        if not all(finding.good for finding in rows):
            raise SystemExit(1)

    def main(_reactor: object) -> Deferred[None]:
        return maybeDeferred(gateway.check).addCallback(told)

    react(main, (), cast(Any, reactor))
    raise SystemExit(0)  # `react` has ended the process


def log_observer(config: Config, options: UsageOptions) -> ILogObserver | None:
    """Our own observer, unless twistd was told to use another (`--logger`, `--syslog`)."""
    twistd = options.parent if options.parent is not None else {}
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    out = destination(twistd.get("logfile"), bool(twistd.get("nodaemon")))
    return observer(cast(Any, out), config.log.level, config.log.json)


def page_address(config: Config) -> str:
    """The URL under which a browser finds the page."""
    host, port = listen_address(config.web.listen)
    scheme = "https" if config.web.listen.startswith("ssl:") else "http"
    host = reachable_address(host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def greeting(config: Config) -> list[str]:
    """What an operator wants to read first: where the page is, and who may log in."""
    if not listen_address(config.web.listen)[1]:
        lines = [f"browsers are served at {config.web.listen}"]
    else:
        lines = [f"the page is at {page_address(config)}" if config.web.page else f"WebSocket: {config.web.listen}"]
    if config.sandbox.enabled:
        if config.records.file:
            lines.append(f"each call leaves a line in {config.records.file}")
        lines.append(f"log in as {' or '.join(f'{n} (password {p})' for n, p in config.passwords.items())}")
    elif config.login.keys or config.login.jwks:
        lines.append(f"log-in is by token ({', '.join(config.login.algorithms)})")
    return lines


def warnings(config: Config) -> list[str]:
    """What works but will not please."""
    found = []
    secure = config.web.listen.startswith(("ssl:", "systemd:", "unix:"))
    if not secure and not is_loopback(listen_address(config.web.listen)[0]):
        found.append(
            "the page is served by plain HTTP beyond loopback: browsers give no microphone to such a page; "
            'use an "ssl:" endpoint in [web] listen, or --sandbox --tls'
        )
    if not config.sandbox.enabled and not (config.login.keys or config.login.jwks):
        found.append("nobody can log in: [login] has neither keys nor jwks")
    if not config.sandbox.enabled and not config.profiles:
        found.append("there is no [[profile]]: browsers can call each other, but not the core")
    return found
