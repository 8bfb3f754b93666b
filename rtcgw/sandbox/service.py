"""The sandbox as a service: the stand-in core and its phones, on loopback, in the gateway's own process.

Two SIP transports on one reactor, so that what the gateway sees is a core with phones behind it, real messages
between all three: the core on the configured port, the phones on one that the system chooses.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rtcgw.config import Config, is_loopback
from rtcgw.model.identity import canonical_key
from rtcgw.sandbox.core import Core
from rtcgw.sandbox.phone import MANNERS, Phones
from rtcgw.sandbox.preset import DOMAIN
from rtcgw.sandbox.registrar import Registrar
from rtcgw.sip.transaction import Timers, TransactionLayer
from rtcgw.sip.transport import SipTransport
from rtcgw.sip.uri import Uri

log = Logger()

HOST = "127.0.0.1"
MAX_TRANSACTIONS = 5000
"""Of the core, and of the phones."""


class SandboxService:
    """`start` it before the gateway registers; what it serves is in `config.profiles` and `config.sandbox`."""

    def __init__(self, config: Config, reactor: Any) -> None:
        timers = Timers(config.sip.t1, config.sip.t2, config.sip.t4)
        self._config = config
        self._reactor = reactor
        self.domain = config.profiles[0].domain if config.profiles else DOMAIN
        self._core_transport = SipTransport(
            reactor, f"tcp:{config.sandbox.core_port}:interface={HOST}", trusted=is_loopback
        )
        self._phone_transport = SipTransport(reactor, f"tcp:0:interface={HOST}", trusted=is_loopback)
        self._core_layer = TransactionLayer(reactor, self._core_transport, None, timers, MAX_TRANSACTIONS)
        self._phone_layer = TransactionLayer(reactor, self._phone_transport, None, timers, MAX_TRANSACTIONS)
        self.core: Core | None = None
        self.phones: Phones | None = None

    @property
    def core_port(self) -> int:
        """The port of the core, UDP and TCP; the configured one until it listens."""
        return self._core_transport.port or self._config.sandbox.core_port

    def start(self) -> Deferred[None]:
        """Listen; when this fires the core takes registrations. Fails with `CannotListenError`."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self._core_transport.start()
        try:
            await self._phone_transport.start()
        except Exception:
            await self._core_transport.stop()
            raise
        here = f"sip:{self._core_transport.sent_by()}"
        there = self._phone_transport.sent_by()
        registrar = Registrar(self._config.profiles, self._reactor, f"<{here};lr>", self.domain)
        phones = {canonical_key(f"sip:{n}@{self.domain}"): Uri.parse(f"sip:{n}@{there}") for n in MANNERS}
        self.core = self._core_layer.user = Core(self._core_layer, registrar, self.domain, phones)
        self.phones = self._phone_layer.user = Phones(self._phone_layer, self._reactor, self.domain, f"<{here};lr>")
        log.info("sandbox: the core is at {address}, its phones at {phones}", address=here, phones=there)

    def stop(self) -> Deferred[None]:
        """End it all without farewells: whoever had calls here is going as well. Fires when the ports are free."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self.core is not None:
            self.core.close()
        if self.phones is not None:
            await self.phones.close()
        self._phone_layer.close()
        self._core_layer.close()
        await self._phone_transport.stop()
        await self._core_transport.stop()
