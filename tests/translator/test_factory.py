"""The translator: where a set-up goes by Fig. 6, what bounds it, and how it empties."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.media.backend import Access, MediaError
from rtcgw.model.events import End, Setup
from rtcgw.model.identity import DialogRef, Identity, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.store.table import MemoryTable
from rtcgw.translator.factory import IDestinations, Limits, Translator, Unreachable
from rtcgw.translator.flow import Form, Network
from rtcgw.translator.leg import ILeg
from tests.translator.doubles import ALICE, OFFER, MarkedBackend, RecordedLeg

BOB = Identity("bob")
PHONE = Identity("sip:echo@ims")


@implementer(IDestinations)
class Destinations:
    """`bob` is on the web, what begins with `sip:` is the core's, everybody else is unknown."""

    def __init__(self) -> None:
        self.made: list[RecordedLeg] = []
        self.refuse: Reason | None = None
        self.profile = PLAIN_PEER

    def network(self, destination: str) -> Network:
        if destination == BOB.uri:
            return Network.RTCWEB
        if destination.startswith("sip:"):
            return Network.IMS
        raise Unreachable(Reason.NOT_FOUND)

    def readable(self, destination: str, form: Form) -> bool:
        return form is Form.NATIVE

    def peer(self, setup: Setup, caller: Access, callee: Access) -> PeerProfile:
        return self.profile

    def dialog(self, ref: DialogRef) -> ILeg | None:
        return next((leg for leg in self.made if leg.session == ref.call_id), None)

    def web_leg(self, setup: Setup, session: SessionId) -> ILeg:
        return self._leg(session, Access.WEB)

    def ims_leg(self, setup: Setup, session: SessionId) -> ILeg:
        return self._leg(session, Access.CORE)

    def _leg(self, session: SessionId, access: Access) -> RecordedLeg:
        if self.refuse is not None:
            raise Unreachable(self.refuse)
        leg = RecordedLeg("callee", access, session)
        self.made.append(leg)
        return leg


class Fixture(SynchronousTestCase):
    limits = Limits(max_calls=2, ring_time=60)
    rows = 10

    def setUp(self) -> None:
        self.clock = Clock()
        self.destinations = Destinations()
        self.core, self.web = MarkedBackend(), MarkedBackend()
        self.table = MemoryTable(self.clock, self.rows, 32)
        self.translator = Translator(self.clock, self.destinations, self.core, self.web, self.table, self.limits)

    def place(
        self, name: str, callee: Identity = PHONE, access: Access = Access.WEB, form: Form = Form.NATIVE
    ) -> RecordedLeg:
        origin = RecordedLeg("caller", access, SessionId(name))
        self.translator.place(origin, Setup(ALICE, callee, OFFER), form)
        return origin

    def path(self, name: str) -> str:
        return self.translator.calls[SessionId(name)].path


class TranslatorTests(Fixture):
    def test_paths(self) -> None:
        """Each way through Fig. 6 that a call can take."""
        for callee, access, form, path in (
            (PHONE, Access.WEB, Form.NATIVE, "602-604-606-608-610-612"),
            (BOB, Access.WEB, Form.NATIVE, "602-604-606-616-620"),
            (BOB, Access.CORE, Form.SIP, "602-604-606-616-618-620"),
            (PHONE, Access.CORE, Form.SIP, "602-604-606-608-612"),
        ):
            self.place(path, callee, access, form)
            self.assertEqual(self.path(path), path)
            self.translator.end_all(Reason.SHUTDOWN)

    def test_media(self) -> None:
        """Calls between pages go by the media for pages, all others by the core's."""
        self.place("a", PHONE)
        self.place("b", BOB)
        self.assertEqual(self.core.opened, [(SessionId("a"), Access.WEB, Access.CORE)])
        self.assertEqual(self.web.opened, [(SessionId("b"), Access.WEB, Access.WEB)])

    def test_without_ice(self) -> None:
        """A page without ICE is a page all the same: a call between two of them does not go by the core's media."""
        self.place("a", BOB, Access.PLAIN)
        self.assertEqual((len(self.web.opened), len(self.core.opened)), (1, 0))

    def test_peer(self) -> None:
        """The media learn what the party of the core is like, and the call how long it may ring there."""
        self.destinations.profile = PeerProfile("pbx", ring_time=30)
        origin = self.place("a", PHONE)
        self.assertEqual(self.core.peers, [self.destinations.profile])
        self.clock.advance(30)
        self.assertEqual(origin.heard, [End(Reason.NO_ANSWER)])

    def test_warm_start(self) -> None:
        """The literal ladder does without."""
        self.core.media.early = True
        self.assertEqual(len(self.place("a").heard), 1)
        self.translator = Translator(
            self.clock, self.destinations, self.core, self.web, self.table, Limits(warm_start=False)
        )
        self.assertEqual(self.place("b").heard, [])

    def test_unknown(self) -> None:
        """Nobody has that address: the caller is told, nothing is kept."""
        origin = self.place("a", Identity("nobody"))
        self.assertEqual(origin.heard, [End(Reason.NOT_FOUND)])
        self.assertEqual((len(self.table), self.translator.ended), (0, {"not-found": 1}))

    def test_no_leg(self) -> None:
        """The destination cannot be had now."""
        self.destinations.refuse = Reason.NOT_REGISTERED
        self.assertEqual(self.place("a").heard, [End(Reason.NOT_REGISTERED)])
        self.assertEqual(len(self.table), 0)

    def test_full(self) -> None:
        """One call too many is refused; one that ends makes room."""
        self.place("a")
        second = self.place("b")
        self.assertTrue(self.translator.full)
        self.assertEqual(self.place("c").heard, [End(Reason.OVERLOADED)])
        second.say(End(Reason.HANGUP))
        self.assertEqual(self.place("d").heard, [])
        self.assertEqual(self.translator.ended, {"overloaded": 1, "hangup": 1})

    def test_refused_media(self) -> None:
        """No media at open: both legs are ended, and no row is left but for lingering."""
        self.core.refuse = MediaError(Reason.MEDIA_FAILED, "no ports")
        origin = self.place("a")
        self.assertEqual((origin.heard, self.destinations.made[0].heard), ([End(Reason.MEDIA_FAILED)],) * 2)
        self.assertEqual(self.translator.calls, {})
        self.clock.advance(33)
        self.assertEqual(len(self.table), 0)

    def test_fault_of_ours(self) -> None:
        """Whether it comes before the call stands or after: logged once, the caller is told, nothing stays."""
        for owner, name in ((self.destinations, "ims_leg"), (self.core.media, "offer")):
            patch = self.patch(owner, name, lambda *args: 1 // 0)
            self.assertEqual(self.place(name).heard, [End(Reason.INTERNAL)])
            patch.restore()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.translator.calls, self.translator.ended), ({}, {"internal": 2}))
        self.assertEqual(self.destinations.made[0].heard, [End(Reason.INTERNAL)])
        self.clock.advance(33)
        self.assertEqual((len(self.table), self.clock.getDelayedCalls()), (0, []))

    def test_refused_offer(self) -> None:
        """An offer that the media cannot use ends the call at once; it is counted once."""
        origin = RecordedLeg("caller", Access.WEB, SessionId("a"))
        bad = Setup(ALICE, PHONE, evolve(OFFER, sdp="bad"))
        self.translator.place(origin, bad)
        self.assertEqual(origin.heard, [End(Reason.MEDIA)])
        self.assertEqual((self.translator.calls, self.translator.ended), ({}, {"media-incompatible": 1}))

    def test_drain(self) -> None:
        """No new calls; told once when the last has ended, at once when there is none."""
        emptied: list[str] = []
        origin = self.place("a")
        self.assertEqual(self.translator.drain(lambda: emptied.append("first")), 1)
        self.assertEqual(self.place("b").heard, [End(Reason.SHUTDOWN)])
        self.assertEqual(emptied, [])
        origin.say(End(Reason.HANGUP))
        self.assertEqual(emptied, ["first"])
        self.assertEqual(self.translator.drain(lambda: emptied.append("second")), 0)
        self.assertEqual(emptied, ["first", "second"])

    def test_rung_out(self) -> None:
        """The limit on ringing is the call's."""
        origin = self.place("a")
        self.clock.advance(60)
        self.assertEqual(origin.heard, [End(Reason.NO_ANSWER)])


class FullTableTests(Fixture):
    """The mapping table is smaller than the calls that may be."""

    limits = Limits(max_calls=10, ring_time=60)
    rows = 2

    def test_full(self) -> None:
        """No row: overloaded, for both legs; the calls that run are untouched."""
        first = self.place("a")
        self.place("b")
        self.assertEqual(self.place("c").heard, [End(Reason.OVERLOADED)])
        self.assertEqual(self.destinations.made[-1].heard, [End(Reason.OVERLOADED)])
        self.assertEqual(len(self.translator.calls), 2)
        first.say(End(Reason.HANGUP))
        self.assertEqual(self.place("d").heard, [])
