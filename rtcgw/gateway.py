"""All the wiring, and nothing else: every room is built here and handed its neighbours.

    page, WebSocket        rtcweb           translator            ims            core
    web/server.py  -->  websocket, client  -->  Translator  -->  profiles, routing  -->  sip
                              |                   |    |               |
                            users ----------- junction  media ------ (530, 510)

Who wants to know who talks to whom reads `build`. Logic belongs into the rooms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from rtcgw.config import Config, ConfigError, peer_address, trusts
from rtcgw.config import Media as MediaSettings
from rtcgw.ims.profiles import Profiles, make_agent
from rtcgw.ims.routing import DialogIndex, RoutingFactory
from rtcgw.junction import Junction
from rtcgw.media.backend import IMediaBackend
from rtcgw.media.direct import DirectBackend
from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from rtcgw.media.mixer.room import Mixer, MixerSettings
from rtcgw.media.packets.relay import Latch
from rtcgw.media.ports import PortPairs
from rtcgw.model.emergency import Emergency
from rtcgw.model.reason import Reason
from rtcgw.model.wave import Wave, read_wave
from rtcgw.ops.inspector import Inspector
from rtcgw.ops.manhole import ManholeServer
from rtcgw.ops.preflight import Finding, preflight
from rtcgw.ops.records import Records
from rtcgw.rtcweb.client import make_desk
from rtcgw.rtcweb.identifying import Users
from rtcgw.rtcweb.missed import MissedCalls
from rtcgw.rtcweb.tokens import BadKey
from rtcgw.rtcweb.websocket import BrowserFactory, nvx_in_use
from rtcgw.sandbox.music import tune
from rtcgw.sandbox.service import SandboxService
from rtcgw.sip.flow import TCP, TLS, UDP, Hop
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import Limits as SipLimits
from rtcgw.sip.transport import SipTransport
from rtcgw.sip.txuser import Timers
from rtcgw.store.missed import MemoryMissed
from rtcgw.store.table import MemoryTable
from rtcgw.translator.conference import Conferences
from rtcgw.translator.confinfo import ConferenceInfo
from rtcgw.translator.corefocus import CoreMerger
from rtcgw.translator.crowd import Crowds
from rtcgw.translator.factory import Limits, Translator
from rtcgw.translator.merge import Merger
from rtcgw.translator.record import Books
from rtcgw.web.server import PageSettings, make_site

log = Logger()


@define(eq=False)
class Gateway:
    """The built gateway: `start`, `stop`, `check`."""

    config: Config
    reactor: Any
    """Everything the rooms need of a reactor: time, TCP, UDP, names."""
    transport: SipTransport
    layer: TransactionLayer
    profiles: Profiles
    routing: RoutingFactory
    media: IMediaBackend
    translator: Translator
    books: Books
    records: Records
    mixer: Mixer
    browsers: BrowserFactory
    inspector: Inspector
    manhole: ManholeServer | None
    sandbox: SandboxService | None
    page: IListeningPort | None = field(default=None, init=False)
    """The port that serves browsers, once started."""

    def start(self) -> Deferred[None]:
        """Open every listener and begin to register; fails with the first that cannot be had."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        if not nvx_in_use():
            log.warn("Autobahn's native code is not in use: WebSocket frames will cost twenty times as much")
        if self.sandbox is not None:
            await self.sandbox.start()
        await self.transport.start()
        await maybeDeferred(self.media.start)
        for profile in self.config.profiles:
            self.profiles.add(
                make_agent(
                    profile,
                    self.layer,
                    next_hop(self.config),
                    self.transport.sent_by(),
                    self.routing.index,
                    self.reactor,
                    secure=self.transport.secure,
                )
            )
        web = self.config.web
        greeting = PageSettings(
            passwords=bool(self.config.passwords),
            hint=" or ".join(f"{name} / {password}" for name, password in self.config.passwords.items()),
        )
        site = make_site(self.browsers, web.path, web.page, reactor=self.reactor, settings=greeting)
        self.page = await serverFromString(self.reactor, web.listen).listen(site)
        self.browsers.start()
        if self.manhole is not None:
            await self.manhole.start()
        self.profiles.start()

    def stop(self) -> Deferred[None]:
        """End the calls, de-register, say farewell to the pages, close what is open."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.translator.drain()
        self.translator.end_all(Reason.SHUTDOWN)
        if self.page is not None:
            await maybeDeferred(self.page.stopListening)
        if self.manhole is not None:
            await self.manhole.stop()
        await self.browsers.stop()
        await self.profiles.stop()
        self.layer.close()
        await self.transport.stop()
        await self.mixer.stop()
        await maybeDeferred(self.media.stop)
        self.books.settle()
        self.records.stop()
        if self.sandbox is not None:
            await self.sandbox.stop()

    def check(self) -> Deferred[list[Finding]]:
        """Try each listener and peer without serving anybody."""
        return Deferred.fromCoroutine(preflight(self.config, self.reactor, self.media))


# long: who is built from what, and handed to whom, is to be read in one place
def build(config: Config, reactor: Any, now: Callable[[], float] = time.time) -> Gateway:
    """The gateway that the configuration describes; nothing is open yet. Raises `ConfigError`."""
    sip, call = config.sip, config.call
    transport = SipTransport(
        reactor,
        sip.listen,
        trusted=trusts(sip.trusted),
        advertise=sip.advertise,
        limits=SipLimits(ping=sip.keep_alive or None),
    )
    layer = TransactionLayer(
        reactor, transport, timers=Timers(t1=sip.t1, t2=sip.t2, t4=sip.t4), limit=sip.max_transactions
    )
    profiles = Profiles(reactor)
    users = Users(config.users, config.profiles, call.max_calls_per_user, reactor)
    table = MemoryTable(reactor, limit=2 * call.max_calls, linger=64 * sip.t1)
    media = media_backend(config.media, reactor, tune() if config.sandbox.enabled else None)
    session = sip.session_expires, sip.min_se
    junction = Junction(users, profiles, table, reactor, call, sip.t1, config.peers.of, *session)
    emergency = Emergency.of(call.emergency)
    warm = call.ladder != "patent"
    limits = Limits(call.max_calls, call.ring_time, warm, hold_after=call.hold_after, emergency=emergency)
    records = Records(config.records, reactor)
    missed = MissedCalls(users, MemoryMissed())
    books = Books(reactor, now, ended=missed.ended, write=records.take)
    translator = Translator(reactor, junction, media, DirectBackend(reactor), table, limits, books)
    mixer = make_mixer(config, media, reactor)
    conferences = Conferences(mixer, reactor)
    if call.conference_factory:
        translator.merger = CoreMerger(call.conference_factory, translator, translator.transfers, reactor)
    else:
        translator.merger = Merger(conferences, translator, reactor)
    junction.translator = translator
    profiles.on_change = junction.registration_changed
    routing = RoutingFactory(
        profiles,
        DialogIndex(),
        junction.find_user,
        junction.invited,
        lambda: translator.draining or translator.full,
        peers=config.peers.of,
        min_se=sip.min_se,
    )
    translator.crowds = Crowds(reactor)
    routing.on_notify = translator.crowds.got_notify
    confinfo = ConferenceInfo(conferences, routing.index, reactor)
    routing.on_subscribe = confinfo.subscribe
    layer.user = routing
    try:
        desk = make_desk(config, users, translator, reactor, now, missed)
    except BadKey as error:
        raise ConfigError([f"[login] keys: {error}"]) from None
    browsers = BrowserFactory(config.web, desk)

    def counters() -> Mapping[str, Mapping[str, int]]:
        return {
            "browsers": browsers.counters,
            "calls ended": translator.ended,
            "sip": transport.counters,
            "transactions": layer.counters,
            "routing": routing.counters,
            "media": media.counters,
            "mixer": mixer.counters,
            "subscriptions": confinfo.counters,
            "records": records.counters,
        }

    inspector = Inspector(
        show_calls=lambda: [each.view() for each in translator.calls.values()],
        show_sessions=junction.sessions,
        show_registrations=profiles.rows,
        show_media=lambda: [*media.rows(), *mixer.rows()],
        show_servers=desk.ice.rows,
        show_counters=counters,
        start_drain=translator.drain,
        start_reconnect=browsers.reconnect,
        show_records=records.rows,
    )
    manhole = ManholeServer(config.manhole, inspector.namespace(), reactor) if config.manhole.enabled else None
    sandbox = SandboxService(config, reactor) if config.sandbox.enabled else None
    return Gateway(
        config,
        reactor,
        transport,
        layer,
        profiles,
        routing,
        media,
        translator,
        books,
        records,
        mixer,
        browsers,
        inspector,
        manhole,
        sandbox,
    )


def media_backend(media: MediaSettings, reactor: Any, music: Wave | None = None) -> IMediaBackend:
    """The backend that `[media] backend` names. `music`: what whoever is held hears where no file is configured."""
    if media.backend == "direct":
        return DirectBackend(reactor)
    if media.backend == "rtpengine":
        engine = media.rtpengine
        nodes = RtpengineSettings(
            engine.addresses, engine.timeout, engine.ping, engine.instance, media.transcodes, media.hold_music
        )
        return RtpengineBackend(nodes, reactor, reactor)
    low, high = media.rtp_ports
    settings = EmbeddedSettings(
        address=media.address,
        port=media.port,
        announce=media.advertise,
        core_address=media.core_address,
        core_announce=media.core_advertise,
        rtp_low=low,
        rtp_high=high,
        latch=Latch(media.latch),
        setup_time=media.setup_time,
        transcodes=media.transcodes,
        music=read_wave(Path(media.hold_music)) if media.hold_music else music,
    )
    return EmbeddedBackend(settings, reactor, reactor)


def make_mixer(config: Config, backend: IMediaBackend, reactor: Any) -> Mixer:
    """The mixer of small conferences. Its ports are of `[media] rtp_ports`, as those of the embedded backend are."""
    media = config.media
    pairs = backend.pairs if isinstance(backend, EmbeddedBackend) else PortPairs(*media.rtp_ports)
    settings = MixerSettings(
        address=media.core_address,
        announce=media.core_advertise,
        inside=media.core_address if isinstance(backend, EmbeddedBackend) else "",
        latch=Latch(media.latch),
        size=config.call.room_size,
    )
    return Mixer(settings, pairs, reactor, reactor)


def next_hop(config: Config) -> Hop:
    """The core's door: `[sip] peer`, spoken to as `[sip] transport` says."""
    host, port = peer_address(config.sip.peer)
    if config.sip.peer.startswith("tls:"):
        return Hop(host, port, TLS)
    return Hop(host, port, {"udp": UDP, "tcp": TCP}.get(config.sip.transport))
