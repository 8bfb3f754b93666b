"""Offerless INVITE and re-INVITE, in and out, each message of each lost once, doubled, and late."""

from __future__ import annotations

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.media.backend import Party
from rtcgw.model.events import Confirm, Description, End, Event, Kind, Setup, Update, UpdateAccept
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent
from rtcgw.translator.sipstate import Ladder, State
from rtcgw.translator.siptable import outgoing
from tests.flows.rig import ECHO, FlowMedia, Page, Rig
from tests.ims.rig import Rig as ImsRig
from tests.peers.core_call import CoreCall
from tests.peers.weather import ROUND, Fate, Weather, every


def begun(weather: Weather) -> tuple[Rig, Page]:
    """A rig with a page; from here on the weather counts."""
    rig = Rig()
    page = rig.page("alice")
    weather.over(rig.network)
    return rig, page


def acknowledged(phone: CoreCall, sdp: str, rig: Rig) -> None:
    """The phone has the ACK with this answer, if it must with its 2xx repeated."""
    if not phone.acked:
        phone.answer_again()
        rig.advance(ROUND)
    assert phone.last("ACK").body.decode() == sdp, phone.last("ACK").body


def over(rig: Rig, page: Page, phone: CoreCall) -> None:
    """The phone hangs up, the page hears it once, and nothing is left."""
    phone.bye()
    rig.advance(ROUND)
    assert rig.ladder.count(f"{page.name} <- HANGUP hangup") == 1, rig.ladder
    assert rig.left() == {}, rig.left()


def answered(rig: Rig) -> tuple[Party, str, bool]:
    """What the media were last told as an answer."""
    assert isinstance(rig.media, FlowMedia)
    return rig.media.media.answered[-1]


class OfferlessTests(SynchronousTestCase):
    def everything(self, fate: Fate) -> None:
        for play in (self.invite_in, self.invite_out, self.invite_out_early, self.reinvite_in, self.reinvite_out):
            struck = [weather.struck for weather in every(fate, play)][1:]
            self.assertGreater(len(struck), 4)
            self.assertTrue(all(struck), struck)

    def test_lost(self) -> None:
        """Whatever message is lost, both parties end with the descriptions that they gave each other."""
        self.everything(Fate.LOST)

    def test_doubled(self) -> None:
        """Whatever comes twice is taken once."""
        self.everything(Fate.TWICE)

    def test_late(self) -> None:
        """Whatever is overtaken by the message after it does no harm."""
        self.everything(Fate.LATE)

    # -- the courses -----------------------------------------------------------------------

    def invite_in(self, weather: Weather) -> None:
        """A phone calls without an offer: the page gets one of the gateway's, the 200 offers, the ACK answers."""
        rig, alice = begun(weather)
        phone = rig.ring(None)
        rig.advance(ROUND)
        self.assertEqual(alice.last("OFFER")["sdp"], "offer-for-callee")
        alice.send("RINGING", session=alice.invited)
        rig.advance(ROUND)
        phone.auto_ack = False
        alice.answer(alice.invited, "ours")
        rig.advance(ROUND)
        assert phone.final is not None
        self.assertEqual((phone.final.status, phone.final.body), (200, b"callee-answer(ours)"))
        phone.ack("theirs")
        rig.advance(ROUND)
        self.assertEqual(answered(rig), (Party.CALLER, "theirs", True))
        self.assertEqual(rig.ladder.count("alice <- OK ANSWER"), 1)
        over(rig, alice, phone)

    def invite_out(self, weather: Weather) -> None:
        """A page calls without an offer: the 200 brings the phone's, the page's answer goes in the ACK."""
        rig, alice = begun(weather)
        session = alice.call(ECHO, None)
        rig.advance(ROUND)
        phone = rig.call
        self.assertEqual(phone.invite.body, b"")
        phone.ring()
        rig.advance(ROUND)
        phone.answer("theirs")
        rig.advance(ROUND)
        self.assertEqual(alice.last("OK")["sdp"], "callee-offer(theirs)")
        self.assertFalse(phone.acked)
        alice.send("ANSWER", session=session, sdp="mine")
        rig.advance(ROUND)
        acknowledged(phone, "caller-answer(mine)", rig)
        over(rig, alice, phone)

    def invite_out_early(self, weather: Weather) -> None:
        """The same with a reliable 183 that offers: its PRACK answers, and the ACK is plain."""
        rig, alice = begun(weather)
        session = alice.call(ECHO, None)
        rig.advance(ROUND)
        phone = rig.call
        phone.progress("theirs")
        rig.advance(ROUND)
        self.assertFalse(phone.pracked)
        alice.send("PRANSWER", session=session, sdp="mine")
        rig.advance(ROUND)
        self.assertEqual(phone.last("PRACK").body, b"caller-answer(mine)")
        phone.answer("theirs")
        rig.advance(ROUND)
        alice.send("ANSWER", session=session)
        rig.advance(ROUND)
        acknowledged(phone, "", rig)
        over(rig, alice, phone)

    def reinvite_in(self, weather: Weather) -> None:
        """A phone asks for an offer within the call: the 200 offers, the ACK answers, the page hears nothing."""
        rig, alice = begun(Weather(weather.fate, -1))
        phone = rig.ring()
        alice.answer(alice.invited, "ours")
        rig.advance(ROUND)
        said = len(alice.transcript)
        weather.over(rig.network)
        phone.auto_ack = False
        phone.request("INVITE")
        rig.advance(ROUND)
        self.assertEqual((phone.responses[-1].status, phone.responses[-1].body), (200, b"offer-for-caller"))
        phone.ack("theirs")
        rig.advance(ROUND)
        self.assertEqual(answered(rig), (Party.CALLER, "theirs", True))
        self.assertEqual(len(alice.transcript), said)
        over(rig, alice, phone)

    def reinvite_out(self, weather: Weather) -> None:
        """We ask a phone for an offer within the call: its 200 offers, our ACK answers."""
        rig, ear = ImsRig().start(), _Ear()
        leg = outgoing(SessionId("s1"), rig.agent(), rig.clock, Ladder())
        leg.parent = ear
        offer = Description(Kind.OFFER, "offer")
        leg.deliver(Setup(Identity("alice"), Identity("sip:bob@ims.test"), offer))
        rig.advance()
        phone = rig.core.calls[-1]
        phone.answer("final")
        rig.advance()
        weather.over(rig.network)
        phone.canned["INVITE"] = [(200, "theirs")]
        leg.deliver(Update(None))
        rig.advance(ROUND)
        self.assertEqual(phone.last("INVITE").body, b"")
        self.assertFalse(phone.last("INVITE").has("supported", "100rel"))
        self.assertEqual(ear.heard[-1], UpdateAccept(Description(Kind.OFFER, "theirs")))
        leg.deliver(Confirm(Description(Kind.ANSWER, "ours")))
        rig.advance(ROUND)
        if phone.last("ACK").cseq.number != phone.last("INVITE").cseq.number:  # the phone would repeat its 200
            phone.repeat()
            rig.advance(ROUND)
        self.assertEqual(
            (phone.last("ACK").cseq.number, phone.last("ACK").body), (phone.last("INVITE").cseq.number, b"ours")
        )
        self.assertEqual(ear.heard.count(UpdateAccept(Description(Kind.OFFER, "theirs"))), 1)
        leg.deliver(End(Reason.HANGUP))
        rig.advance(70)
        self.assertIs(leg.machine.state, State.ENDED)
        self.assertEqual((len(rig.layer), len(rig.routing.index)), (0, 0))


@implementer(ILegParent)
@define(eq=False)
class _Ear:
    heard: list[Event] = field(factory=list)

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)
