"""Where the two networks meet: who a destination is, which leg reaches it, and what a call from the core becomes.

The RTCWeb module (310) and the IMS module (320) do not know each other. The translator asks
this one for the identifying handler's (420) and the routing function's (530) knowledge, and
the routing function hands it the calls that arrive. No protocol is spoken here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.config import Call as CallSettings
from rtcgw.ims.called import caller_of, candidates, forwarders
from rtcgw.ims.profiles import Profiles
from rtcgw.ims.registration import RegState
from rtcgw.ims.useragent import ImsUserAgent
from rtcgw.media.backend import Access
from rtcgw.model.defaults import MIN_SE
from rtcgw.model.emergency import Emergency
from rtcgw.model.events import Description, Kind, Setup
from rtcgw.model.identity import DialogRef, Identity, SessionId, User, new_session_id
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.identifying import Users
from rtcgw.sip.dialog import Dialog, DialogId
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.parties import hidden, plain, referrer
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.store.table import IMappingTable
from rtcgw.translator.factory import IDestinations, Unreachable
from rtcgw.translator.flow import Form, Network
from rtcgw.translator.fork import Fork
from rtcgw.translator.leg import ILeg
from rtcgw.translator.moved import MovedLeg, itself
from rtcgw.translator.replace import Refused, take_place
from rtcgw.translator.sipdialog import sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.siprefer import read_replaces
from rtcgw.translator.sipstate import Ladder, Policy
from rtcgw.translator.siptable import incoming, outgoing

if TYPE_CHECKING:
    from rtcgw.translator.factory import Translator

log = Logger()

HEADER_LIMIT: Final = 1024
"""Characters of a header shown to a page, as many as a page may set."""


def _all_plain(uri: str) -> PeerProfile:
    """No peer is told from another."""
    return PLAIN_PEER


@implementer(IDestinations)
@define(eq=False)
class Junction:
    """Knows the users and the profiles, and makes the legs. `translator` is set once it is built.

    `peers` says what the party of the core at a URI is like. `session_expires` and `min_se` are those of
    `sipstate.Ladder`.
    """

    _users: Users
    _profiles: Profiles
    _table: IMappingTable
    _clock: IReactorTime
    _settings: CallSettings
    _t1: float = 0.5
    _peers: Callable[[str], PeerProfile] = _all_plain
    _session_expires: int = 0
    _min_se: int = MIN_SE
    _ladder: Ladder = field(init=False)
    _policy: Policy = field(init=False)
    translator: Translator = field(init=False)

    def __attrs_post_init__(self) -> None:
        refers = self._settings.refer_from_core == "allow"
        self._policy = Policy(self._settings.redirects, Emergency.of(self._settings.emergency), refers)
        patent = self._settings.ladder == "patent"
        self._ladder = Ladder(patent, self._settings.hold_max, self._t1, self._session_expires, self._min_se)

    # -- for the translator ----------------------------------------------------------------

    def network(self, destination: str) -> Network:
        """See `IDestinations`: whom a user profile names is on the web, everybody else is the core's to find."""
        if self._users.locate(destination) is not None:
            return Network.RTCWEB
        if len(self._profiles) == 0:
            raise Unreachable(Reason.NOT_FOUND)
        return Network.IMS

    def readable(self, destination: str, form: Form) -> bool:
        """See `IDestinations`: pages speak the native dialect."""
        return form is Form.NATIVE

    def peer(self, setup: Setup, caller: Access, callee: Access) -> PeerProfile:
        """See `IDestinations`."""
        if callee is Access.CORE:
            return self._peers(setup.callee.uri)
        return self._peers(setup.caller.uri) if caller is Access.CORE else PLAIN_PEER

    def dialog(self, ref: DialogRef) -> SipLeg | None:
        """See `IDestinations`."""
        agent = self._profiles.any()
        owner = None if agent is None else agent.owner(DialogId(ref.call_id, ref.to_tag, ref.from_tag))
        return owner if isinstance(owner, SipLeg) else None

    def web_leg(self, setup: Setup, session: SessionId) -> ILeg:
        """See `IDestinations`: all devices that are there ring, and those that come while it rings."""
        user = self._users.locate(setup.callee.uri)
        legs: list[ILeg] = [] if user is None else list(self._users.ring(user.name, session))
        if user is None or not legs:
            raise Unreachable(Reason.OFFLINE if self._settings.offline == "480" else Reason.NOT_FOUND)
        fork = Fork(session, legs, self._clock, grace=self._settings.grace)
        self._users.sessions[user.name].expect(fork)
        return fork

    def ims_leg(self, setup: Setup, session: SessionId) -> ILeg:
        """See `IDestinations`: through the caller's own profile, or that of whoever transfers a phone; else the least
        loaded one."""
        caller: User | None = self._users.locate(setup.caller.uri)
        if caller is None and setup.referred_by is not None:
            caller = self._users.locate(setup.referred_by)
        agent = self._profiles.choose(caller)
        peer = self._peers(setup.callee.uri)
        entered = self._on_dialog(session, agent)
        return outgoing(session, agent, self._clock, self._ladder, entered, peer=peer, policy=self._policy)

    # -- for the routing function ------------------------------------------------------------

    def find_user(self, key: str) -> str | None:
        """The web user whom a canonical key names."""
        user = self._users.locate(key)
        return None if user is None else user.name

    def invited(self, agent: ImsUserAgent, tx: ServerTransaction, request: Request, user: str) -> None:
        """A call from the core for a web user; for none where it takes the place of a dialog."""
        moved: MovedLeg | None = None
        if "replaces" in request.headers:
            try:
                moved = self._replaced(request, user)
            except Refused as refused:
                tx.respond(make_response(request, refused.status, refused.phrase))
                return
        session = new_session_id()
        caller = caller_of(request)
        entered = self._on_dialog(session, agent)
        peer = self._peers(caller.uri)
        leg = incoming(session, agent, self._clock, self._ladder, tx, entered, peer, self._policy)
        sdp = sdp_of(request)
        offer = None if sdp is None else Description(Kind.OFFER, sdp)
        called = next((key for key in candidates(request) if self.find_user(key) == user), user)
        setup = Setup(
            caller,
            Identity(called),
            offer,
            headers=self._shown_headers(request),
            private=hidden(request),
            history=forwarders(request, lambda key: self.find_user(key) == user),
            referred_by=referrer(request),
        )
        if leg.answers is not None:
            leg.answers.call_waiting = self._users.in_call(user)
        if moved is not None:
            setup = evolve(setup, callee=moved.identity)
        self.translator.place(leg, setup, Form.SIP, moved)
        if leg.dialog is not None:
            self._enter(session, agent, leg.dialog.id)

    def _replaced(self, request: Request, user: str) -> MovedLeg:
        """The leg that is to talk to whoever calls instead of to the dialog that is named. Raises `Refused`.

        Raises `HeaderError` for an INVITE that no dialog can be made of, as `incoming` will: by then the leg would be
        on its way to a call that there is never going to be.
        """
        Dialog.as_uas(request, "")
        named = request.headers["replaces"]
        try:
            ref = read_replaces(named[0])
        except HeaderError:
            raise Refused(400, "Bad Request") from None
        if len(named) > 1:
            raise Refused(400, "Bad Request")
        return take_place(self.translator, self._clock, ref, user)

    def _shown_headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers of an INVITE that pages may see, as configured; of each the first line, cut to a page's bound."""
        found = ((name, request.get(name.lower())) for name in self._settings.headers)
        return tuple((name, plain(value, HEADER_LIMIT) or "") for name, value in found if value is not None)

    def registration_changed(self, agent: ImsUserAgent) -> None:
        """The network has refused a profile for good: its calls are over (TS 24.229 §5.1.1.7)."""
        if agent.registration.state is not RegState.REFUSED:
            return
        for call in list(self.translator.calls.values()):
            # Asked of the legs: the mapping row learns its profile only with the dialog, and a call may still ring.
            legs: list[object] = [itself(leg) for leg in (call.caller, call.callee)]
            if any(isinstance(leg, SipLeg) and leg.port is agent for leg in legs):
                call.end(Reason.NOT_REGISTERED)

    def _on_dialog(self, session: SessionId, agent: ImsUserAgent) -> Callable[[DialogId], None]:
        return lambda dialog: self._enter(session, agent, dialog)

    def _enter(self, session: SessionId, agent: ImsUserAgent, dialog: DialogId) -> None:
        ids = (dialog.call_id, dialog.local_tag, dialog.remote_tag)
        self._table.change(session, dialog=ids, profile=agent.profile)

    # -- for the inspector -------------------------------------------------------------------

    def sessions(self) -> list[Mapping[str, object]]:
        """One row per user who is there."""
        return [
            {
                "user": name,
                "identity": session.user.impu or "",
                "connections": len(session.clients),
                "calls": len(session.calls()),
                "away": len(session.waiting()),
            }
            for name, session in self._users.sessions.items()
        ]
