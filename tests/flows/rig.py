"""The whole gateway on a `Clock`, in memory, between pages and an IMS core, and the ladder of what they said.

    rig = Rig()                                    registered, nobody logged in
    alice = rig.page("alice")                      a page, logged in, that answers pings
    rig.core.phone("sip:echo@ims.test", lambda call: call.ring())
    session = alice.call("sip:echo@ims.test")
    rig.advance()
    rig.ladder                                     ["alice -> OFFER offer", "alice <- WAITING", "core <- INVITE ..."]

The rooms are real and wired as the gateway wires them: WebSocket, dialect, translator, junction, IMS
module, SIP. Not real are the network, the core, the pages, and the media, which marks each description
with who gave it and how, so that the ladder shows where it went: `caller-offer(offer)`.

A ladder's lines are what one end sent (`->`) or what reached it (`<-`), in order of time:
SIP methods and statuses at `core`, the dialect's words at a page, then the description if there is one.
What was lost on the way to an end is not at that end. Registration is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from rtcgw.config import Call as CallSettings
from rtcgw.config import Config
from rtcgw.ims.profiles import Profiles, make_agent
from rtcgw.ims.routing import DialogIndex, RoutingFactory
from rtcgw.junction import Junction
from rtcgw.media.backend import Access, IMediaBackend, MediaNews, News, OnNews, Party
from rtcgw.media.direct import DirectBackend
from rtcgw.model.emergency import Emergency
from rtcgw.model.identity import Profile, SessionId, User
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.rtcweb.client import make_desk
from rtcgw.rtcweb.identifying import Users
from rtcgw.rtcweb.missed import MissedCalls
from rtcgw.rtcweb.websocket import BrowserFactory
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request
from rtcgw.sip.parser import parse_message
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import SipTransport
from rtcgw.store.missed import MemoryMissed
from rtcgw.store.table import MemoryTable
from rtcgw.translator.conference import Conferences
from rtcgw.translator.confinfo import ConferenceInfo
from rtcgw.translator.corefocus import CoreMerger
from rtcgw.translator.crowd import Crowds
from rtcgw.translator.factory import Limits, Translator
from rtcgw.translator.merge import Merger
from rtcgw.translator.record import Books, CallRecord
from tests.peers.browser import Browser
from tests.peers.core_call import CoreCall
from tests.peers.ims_core import ImsCore
from tests.peers.network import Address, MemoryNetwork, MemoryReactor, Packet
from tests.translator.doubles import MarkedBackend, MarkedMedia
from tests.translator.mixing import MarkedMixer

MAIN = Profile("main", "gw1@ims.test", ("sip:alice@ims.test", "tel:+15550011"), "ims.test", secret="gw1-secret")
USERS = (
    User("alice", "sip:alice@ims.test", "main", "Alice"),
    User("bob", "tel:+15550011", "main"),
    User("carol"),
    User("dave"),
)
ECHO = "sip:echo@ims.test"
GATEWAY = ("127.0.0.1", 5070)
CORE = (("127.0.0.1", 5060), ("127.0.0.1", 5061))
LEFT_OUT = ("REGISTER", "SUBSCRIBE", "NOTIFY")
SHOWN = {
    "OK": "for",
    "HANGUP": "reason",
    "ERROR": "code",
    "RINGBACK": "sound",
    "DTMF": "tones",
    "TRANSFER": "stage",
}
"""The field of a message that a ladder shows, by type."""
QUIET_TIME = 75.0
"""Seconds after which nothing of a call may be left: BYE unanswered for 64*T1, then 64*T1 more of lingering."""


def configured(profiles: tuple[Profile, ...] = (MAIN,), **call: Any) -> Config:
    """A configuration with four users whose passwords are their names; `call` sets keys of `[call]`."""
    return Config(
        call=evolve(CallSettings(), **call),
        profiles=profiles,
        users=USERS,
        passwords={user.name: user.name for user in USERS},
    )


def lines(text: str) -> list[str]:
    """A ladder written in a test: one line each, indentation and empty lines aside."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def shown(sdp: str | None) -> str:
    """A description in a ladder: itself where it is a test's word, else only that there is one."""
    if not sdp:
        return ""
    return f" {sdp}" if "\n" not in sdp else " sdp"


class FlowMedia(MarkedBackend):
    """Marked media, a session for each call, all of them remembered; `options` are those of each session.

    `reserved` False: offers from the core have preconditions that are not met.
    """

    def __init__(self, reserved: bool = True, **options: bool) -> None:
        super().__init__()
        self.sessions: list[MarkedMedia] = []
        self._reserved = reserved
        self._options = options

    def open(
        self, session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> MarkedMedia:
        self.media = MarkedMedia(**self._options)
        self.media.reserved = self._reserved
        opened = super().open(session, caller, callee, on_news, peer)
        self.sessions.append(opened)
        return opened


class Wire(MemoryNetwork):
    """A network that shows what the core sends, and gives everybody a chance to look after each packet."""

    def __init__(self, clock: Clock, look: Callable[[], None], note: Callable[[str], None]) -> None:
        super().__init__(clock)
        self._look = look
        self._note = note

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        if source in CORE:
            self._show("->", data)
        super().send(data, source, destination)

    def _arrive(self, packet: Packet) -> None:
        if packet.destination in CORE:
            self._show("<-", packet.data)
        super()._arrive(packet)
        self._look()

    def _show(self, arrow: str, data: bytes) -> None:
        message = parse_message(data)
        word = message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
        if message.cseq.method not in LEFT_OUT:
            self._note(f"core {arrow} {word}{shown(message.body.decode())}")


class Page(Browser):
    """A browser whose messages go into the ladder, once `note` and `everybody` are set.

    `everybody` makes each page look what has come for it.
    """

    def __init__(self, name: str, factory: BrowserFactory) -> None:
        super().__init__(factory)
        self.name = name
        self.note: Callable[[str], None] = lambda line: None
        self.everybody: Callable[[], None] = lambda: None
        self._noted = 0
        self._ponged = 0

    def send(self, kind: str, **fields: Any) -> int:
        self.everybody()
        self.note(f"{self.name} -> {kind}{shown(fields.get('sdp'))}")
        sent = super().send(kind, **fields)
        self.look()
        self.everybody()
        return sent

    def look(self) -> None:
        """Read what has come; answer a ping as browsers do."""
        self.pump()
        for message in self.transcript[self._noted :]:
            word = message["type"]
            more = SHOWN.get(word)
            text = word if more is None else f"{word} {message[more]}"
            self.note(f"{self.name} <- {text}{shown(message.get('sdp'))}")
        self._noted = len(self.transcript)
        if self.pings > self._ponged:
            self._ponged = self.pings
            self.pong()

    def last(self, kind: str) -> dict[str, Any]:
        """The last message of this type."""
        self.look()
        return next(message for message in reversed(self.transcript) if message["type"] == kind)

    def call(self, to: str, sdp: str | None = "offer") -> str:
        """Place a call; its session."""
        self.send("OFFER", to=to, **({} if sdp is None else {"sdp": sdp}))
        session = self.last("WAITING")["session"]
        assert isinstance(session, str)
        return session

    @property
    def invited(self) -> str:
        """The session of the call that came in last."""
        session = self.last("OFFER")["session"]
        assert isinstance(session, str)
        return session


@define(eq=False)
class Rig:
    """A registered gateway. `media` carries calls between the networks; `peer` is what every phone is like."""

    config: Config = field(factory=configured)
    media: IMediaBackend = field(factory=FlowMedia)
    register: bool = True
    clock: Clock = field(factory=Clock)
    peer: PeerProfile = PLAIN_PEER
    ladder: list[str] = field(factory=list, init=False)
    pages: list[Page] = field(factory=list, init=False)
    network: Wire = field(init=False)
    core: ImsCore = field(init=False)
    reactor: MemoryReactor = field(init=False)
    transport: SipTransport = field(init=False)
    layer: TransactionLayer = field(init=False)
    profiles: Profiles = field(init=False)
    index: DialogIndex = field(init=False)
    routing: RoutingFactory = field(init=False)
    users: Users = field(init=False)
    table: MemoryTable = field(init=False)
    junction: Junction = field(init=False)
    translator: Translator = field(init=False)
    mixer: MarkedMixer = field(factory=MarkedMixer, init=False)
    conferences: Conferences = field(init=False)
    confinfo: ConferenceInfo = field(init=False)
    crowds: Crowds = field(init=False)
    books: Books = field(init=False)
    records: list[CallRecord] = field(factory=list, init=False)
    """Of calls that have ended and of refused set-ups, in order."""
    browsers: BrowserFactory = field(init=False)
    _baseline: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.network = Wire(self.clock, self.look, self.ladder.append)
        self.core = ImsCore(self.network)
        self.reactor = MemoryReactor(self.network)
        self._build()
        self.browsers.start()
        if self.register:
            self.profiles.start()
            self.advance(1)
        self._baseline = len(self.clock.getDelayedCalls())

    # long: who is built from what, and handed to whom, is to be read in one place
    def _build(self) -> None:
        """As `rtcgw.gateway.build` and `Gateway.start` do."""
        config, call, clock = self.config, self.config.call, self.clock
        self.transport = SipTransport(self.reactor, config.sip.listen)
        ensureDeferred(self.transport.start())
        self.layer = TransactionLayer(clock, self.transport)
        self.profiles = Profiles(clock)
        self.users = Users(config.users, config.profiles, call.max_calls_per_user, clock)
        self.table = MemoryTable(clock, limit=2 * call.max_calls, linger=64 * config.sip.t1)
        sip = config.sip
        session = sip.session_expires, sip.min_se
        self.junction = Junction(self.users, self.profiles, self.table, clock, call, sip.t1, self._peer, *session)
        limits = Limits(
            call.max_calls,
            call.ring_time,
            warm_start=call.ladder != "patent",
            hold_after=call.hold_after,
            emergency=Emergency.of(call.emergency),
        )
        missed = MissedCalls(self.users, MemoryMissed())
        self.books = Books(clock, clock.seconds, ended=missed.ended, write=self.records.append)
        web_media = DirectBackend(clock)
        self.translator = Translator(clock, self.junction, self.media, web_media, self.table, limits, self.books)
        self.conferences = Conferences(self.mixer, clock)
        self.translator.merger = Merger(self.conferences, self.translator, clock)
        if call.conference_factory:
            transfers = self.translator.transfers
            self.translator.merger = CoreMerger(call.conference_factory, self.translator, transfers, clock)
        self.junction.translator = self.translator
        self.profiles.on_change = self.junction.registration_changed
        self.index = DialogIndex()
        self.routing = RoutingFactory(
            self.profiles,
            self.index,
            self.junction.find_user,
            self.junction.invited,
            lambda: self.translator.draining or self.translator.full,
            min_se=sip.min_se,
        )
        self.crowds = self.translator.crowds = Crowds(clock)
        self.routing.on_notify = self.crowds.got_notify
        self.confinfo = ConferenceInfo(self.conferences, self.index, clock)
        self.routing.on_subscribe = self.confinfo.subscribe
        self.layer.user = self.routing
        desk = make_desk(config, self.users, self.translator, clock, clock.seconds, missed)
        self.browsers = BrowserFactory(config.web, desk)
        for profile in config.profiles:
            self.core.subscribe(profile.impi, profile.secret, *profile.impus)
            address = self.transport.sent_by()
            hop = Hop("127.0.0.1", 5060)
            self.profiles.add(make_agent(profile, self.layer, hop, address, self.index, clock, random=lambda: 0.0))

    def _peer(self, uri: str) -> PeerProfile:
        return self.peer

    # -- the two ends ------------------------------------------------------------------------

    def page(self, user: str, name: str = "", **login: Any) -> Page:
        """A page on which `user` has logged in; `name` is its name in the ladder."""
        page = Page(name or user, self.browsers)
        page.handshake()
        page.login(user, **login)
        page.look()
        page.note, page.everybody = self.ladder.append, self.look
        self.pages.append(page)
        return page

    def phone(self, *steps: Callable[[CoreCall], object]) -> None:
        """What ECHO does when it is called."""

        def ring(call: CoreCall) -> None:
            for step in steps:
                step(call)

        self.core.phone(ECHO, ring)

    @property
    def call(self) -> CoreCall:
        """The core's last call."""
        return self.core.calls[-1]

    def ring(self, sdp: str | None = "offer", called: str = "sip:alice@ims.test", **options: Any) -> CoreCall:
        """A phone calls a web user."""
        call = self.core.call(called, sdp, **options)
        self.advance()
        return call

    def news(self, state: News, party: Party) -> None:
        """The media of the last call have something to say."""
        assert isinstance(self.media, FlowMedia)
        self.media.news(MediaNews(party, state))
        self.advance()

    def first_packet(self) -> None:
        """The called phone's first packet has come."""
        self.news(News.SOUND, Party.CALLEE)

    def inject(self, data: bytes) -> None:
        """A datagram of the test's own making, from the core's address but not its port; it is not in the ladder."""
        self.network.send(data, (CORE[0][0], 9999), GATEWAY)
        self.advance()

    def lose(self, *words: str) -> None:
        """Lose the coming SIP messages whose start lines begin so, one each."""
        doomed = list(words)

        def fate(packet: Packet) -> int:
            for word in doomed:
                if packet.start.removeprefix("SIP/2.0 ").startswith(word):
                    doomed.remove(word)
                    return 0
            return 1

        self.network.fate = fate

    # -- time --------------------------------------------------------------------------------

    def advance(self, seconds: float = 0.05) -> None:
        """Let time pass; the default is long enough for a dozen messages and for no repetition."""
        clock = self.clock
        end = clock.seconds() + seconds
        while clock.seconds() < end - 1e-9:
            calls = [call.getTime() for call in clock.getDelayedCalls()]
            clock.advance(max(min([end, *calls]) - clock.seconds(), 1e-6))
            self.look()

    def look(self) -> None:
        """Each page looks what has come for it."""
        for page in self.pages:
            page.look()

    # -- what is left --------------------------------------------------------------------------

    def left(self) -> dict[str, Any]:
        """What of any call is still there once everything has had its time; empty when nothing is."""
        self.advance(QUIET_TIME)
        sessions = self.media.sessions if isinstance(self.media, FlowMedia) else []
        found: dict[str, Any] = {
            "calls": list(self.translator.calls),
            "conferences": list(self.conferences.rooms),
            "subscriptions": len(self.confinfo) + len(self.crowds),
            "dialogs": len(self.index),
            "mapping rows": len(self.table),
            "transactions": len(self.layer),
            "load": [len(agent.load) for agent in self.profiles if len(agent.load)],
            "legs": [leg.view() for session in self.users.sessions.values() for leg in session.legs],
            "unrecorded": sum(self.translator.ended.values()) - len(self.records),
            "recorded twice": len(self.records) - len({record.session for record in self.records}),
            "media not closed once": [media.closed for media in sessions if media.closed != 1],
            "timers": self._timers(),
            "faults": self.layer.counters.get("faults", 0),
        }
        return {name: value for name, value in found.items() if value}

    def _timers(self) -> list[str]:
        """Delayed calls, if there are more than those of registration and of the sweep over connections."""
        calls = self.clock.getDelayedCalls()
        return [str(call) for call in calls] if len(calls) > self._baseline else []
