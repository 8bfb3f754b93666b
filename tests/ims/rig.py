"""The whole IMS side on a `Clock`: real transport, transactions, registrations and routing before an `ImsCore`."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from rtcgw.ims.profiles import Profiles, make_agent
from rtcgw.ims.registration import Backoff, Registration
from rtcgw.ims.routing import DialogIndex, RoutingFactory
from rtcgw.ims.useragent import ImsUserAgent
from rtcgw.model.identity import Profile
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import SipTransport
from tests.peers.ims_core import ImsCore
from tests.peers.network import MemoryNetwork, MemoryReactor

GW1 = Profile("gw1", "gw1@ims.test", ("sip:gw1@ims.test", "tel:+15550011"), "ims.test", secret="gw1-secret")
USERS = {"sip:gw1@ims.test": "alice", "tel:+15550011": "alice", "bob": "bob"}


@define(eq=False)
class Rig:
    """`jitter` is what every random draw gives; `started` starts the registrations at once."""

    profiles_used: tuple[Profile, ...] = (GW1,)
    jitter: float = 0.0
    dialogs: int = 100
    backoff: Backoff = field(factory=Backoff)
    clock: Clock = field(factory=Clock)
    network: MemoryNetwork = field(init=False)
    core: ImsCore = field(init=False)
    transport: SipTransport = field(init=False)
    layer: TransactionLayer = field(init=False)
    profiles: Profiles = field(init=False)
    routing: RoutingFactory = field(init=False)
    invites: list[tuple[ImsUserAgent, ServerTransaction, Request, str]] = field(factory=list)
    busy: bool = False
    peers: dict[str, PeerProfile] = field(factory=dict)
    """By the caller's URI; others are plain."""

    def __attrs_post_init__(self) -> None:
        self.network = MemoryNetwork(self.clock)
        self.core = ImsCore(self.network)
        self.transport = SipTransport(MemoryReactor(self.network), "tcp:5070:interface=127.0.0.1")
        ensureDeferred(self.transport.start())
        self.layer = TransactionLayer(self.clock, self.transport, None)
        index = DialogIndex(self.dialogs)
        self.profiles = Profiles(self.clock)
        for profile in self.profiles_used:
            self.core.subscribe(profile.impi, profile.secret, *profile.impus)
            agent = make_agent(
                profile,
                self.layer,
                Hop("127.0.0.1", 5060),
                self.transport.sent_by(),
                index,
                self.clock,
                random=lambda: self.jitter,
                backoff=self.backoff,
            )
            self.profiles.add(agent)
        self.routing = RoutingFactory(
            self.profiles,
            index,
            USERS.get,
            self._invited,
            lambda: self.busy,
            peers=lambda uri: self.peers.get(uri, PLAIN_PEER),
        )
        self.layer.user = self.routing

    def _invited(self, port: ImsUserAgent, tx: ServerTransaction, request: Request, user: str) -> None:
        self.invites.append((port, tx, request, user))

    def start(self) -> Rig:
        """Register everybody."""
        self.profiles.start()
        self.advance(0.5)
        return self

    def advance(self, seconds: float = 0.05) -> None:
        """Let time pass."""
        self.network.advance(seconds)

    def agent(self, name: str = "gw1") -> ImsUserAgent:
        agent = self.profiles.get(name)
        assert agent is not None
        return agent

    def registration(self, name: str = "gw1") -> Registration:
        return self.agent(name).registration
