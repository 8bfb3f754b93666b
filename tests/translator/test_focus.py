"""The conference's end of a call: what each order makes of it, in every state."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.media.backend import Access, MediaError
from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Info,
    Kind,
    Part,
    Setup,
    Transfer,
    Transferring,
    TransferStage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from rtcgw.translator.conference import LIMIT, Conference, Conferences
from rtcgw.translator.focus import FocusLeg, FocusState
from rtcgw.translator.leg import ILeg, ILegParent
from tests.translator.doubles import ALICE, ECHO
from tests.translator.mixing import MIXER_SDP, MarkedMixer

OFFER = Description(Kind.OFFER, "theirs")
ANSWER = Description(Kind.ANSWER, "theirs")
OURS = Description(Kind.OFFER, MIXER_SDP)
AGREED = Description(Kind.ANSWER, MIXER_SDP)
BAD = Description(Kind.OFFER, "bad")


@implementer(ILegParent)
class Parent:
    """The call of one party."""

    def __init__(self, leg: FocusLeg) -> None:
        self.heard: list[Event] = []
        leg.parent = self

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)

    def taken(self) -> list[Event]:
        heard, self.heard = self.heard, []
        return [event for event in heard if type(event).__name__ != "Roster"]


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.mixer = MarkedMixer()
        self.conferences = Conferences(self.mixer, Clock())
        self.conference = self.conferences.open()
        self.conference.assemble()
        self.leg, self.call = self.seat(ALICE)

    def seat(self, who: Identity) -> tuple[FocusLeg, Parent]:
        leg = self.conference.seat(who, inside=True)
        return leg, Parent(leg)

    def talk(self, leg: FocusLeg) -> None:
        leg.deliver(Setup(ALICE, ECHO, OFFER))
        leg.deliver(Confirm())


class LegTests(Case):
    def test_offer(self) -> None:
        """Who offers is answered at once, and takes part when it has confirmed."""
        self.assertIs(self.leg.access, Access.CORE)
        self.leg.deliver(Setup(ALICE, ECHO, OFFER))
        self.assertEqual(self.call.taken(), [Accept(AGREED)])
        self.assertEqual((self.leg.present, self.leg.participant.part), (False, Part.CALLING))
        self.leg.deliver(Confirm())
        self.assertEqual((self.leg.present, self.leg.participant.part), (True, Part.TALKING))
        self.assertEqual(self.leg.view().kind, "conference")

    def test_no_offer(self) -> None:
        """Who offers nothing is offered the mixer's sound; its answer is taken."""
        self.leg.deliver(Setup(ALICE, ECHO))
        self.assertEqual(self.call.taken(), [Accept(OURS)])
        self.leg.deliver(Confirm(ANSWER))
        self.assertTrue(self.leg.present)

    def test_no_way(self) -> None:
        """An offer, or an answer, that is of no use: the party is not in, and its place is free."""
        for orders, reason in (
            ((Setup(ALICE, ECHO, BAD),), Reason.MEDIA),
            ((Setup(ALICE, ECHO), Confirm(BAD)), Reason.MEDIA),
            ((Setup(ALICE, ECHO), Confirm()), Reason.PROTOCOL),
        ):
            leg, call = self.seat(ECHO)
            for order in orders:
                leg.deliver(order)
            self.assertEqual(call.taken()[-1], End(reason))
            self.assertIs(leg.machine.state, FocusState.OVER)
            self.assertEqual(self.conference.legs, [self.leg])

    def test_changes(self) -> None:
        """A new offer is answered, one of no use refused, and a wish for an offer met; the party stays throughout."""
        self.talk(self.leg)
        self.call.taken()
        self.leg.deliver(Update(Description(Kind.OFFER, "sendonly")))
        self.assertEqual((self.call.taken(), self.leg.participant.part), ([UpdateAccept(AGREED)], Part.HELD))
        self.leg.deliver(Update(BAD))
        self.assertEqual((self.call.taken(), self.leg.participant.part), ([UpdateReject(Reason.MEDIA)], Part.HELD))
        for confirm in (Confirm(BAD), Confirm(), Confirm(ANSWER)):
            self.leg.deliver(Update(None))
            self.assertEqual(self.call.taken(), [UpdateAccept(OURS)])
            self.leg.deliver(confirm)
            self.assertTrue(self.leg.present)
        self.assertIs(self.leg.participant.part, Part.TALKING)

    def test_new_offer_instead_of_an_answer(self) -> None:
        """Our offer is never answered, but followed by one of theirs, or by another wish: that counts."""
        self.talk(self.leg)
        self.leg.deliver(Update(None))
        self.leg.deliver(Update(None))
        self.leg.deliver(Update(OFFER))
        self.assertIs(self.leg.machine.state, FocusState.TALKING)

    def test_away_and_renamed(self) -> None:
        """A page that reloads, and a party that is replaced, are shown to all."""
        self.talk(self.leg)
        self.leg.deliver(Away(True))
        self.assertIs(self.leg.participant.part, Part.AWAY)
        self.leg.deliver(Away(False))
        self.leg.deliver(Connected(ECHO))
        self.assertEqual(self.conference.roster.participants[0].party, ECHO)

    def test_transfer(self) -> None:
        """There is nobody who could be sent elsewhere: the gateway moves the leg itself."""
        self.talk(self.leg)
        self.call.taken()
        self.leg.deliver(Transfer("sip:x@y"))
        self.assertEqual(self.call.taken(), [Transferring(TransferStage.FAILED, Reason.PROTOCOL, 405)])

    def test_meaningless(self) -> None:
        """Keys and candidates are nobody's, and nothing is said after the end."""
        self.talk(self.leg)
        self.call.taken()
        early: tuple[Event, ...] = (Info("1"), Candidates(None), Setup(ALICE, ECHO, OFFER))
        for event in early:
            self.leg.deliver(event)
        self.leg.deliver(End(Reason.HANGUP))
        late: tuple[Event, ...] = (End(Reason.HANGUP), Update(OFFER), Confirm(), Setup(ALICE, ECHO))
        for event in late:
            self.leg.deliver(event)
        self.leg.dismiss()
        self.assertEqual(self.call.taken(), [])


class ConferenceTests(Case):
    def test_told(self) -> None:
        """Everybody who is in it has the same list; who is on the way is in it, and has none yet."""
        other, call = self.seat(ECHO)
        self.talk(self.leg)
        told = self.conference.roster
        self.assertEqual([each.part for each in told.participants], [Part.TALKING, Part.CALLING])
        self.assertEqual((self.call.heard[-1], call.heard), (told, []))
        self.talk(other)
        self.assertEqual(self.call.heard[-1], call.heard[-1])

    def test_over(self) -> None:
        """It ends with the second but last, not before those who are coming have had their chance."""
        other, call = self.seat(ECHO)
        self.talk(self.leg)
        self.talk(other)
        other.deliver(End(Reason.HANGUP))
        self.assertFalse(self.conference.over)
        self.conference.assembled()
        self.assertTrue(self.conference.over)
        self.assertEqual(self.call.taken()[-1], End(Reason.HANGUP))
        self.assertEqual((self.conferences.rooms, self.mixer.rooms[0].closed), ({}, True))
        self.assertRaises(MediaError, self.conference.seat, ECHO, True)
        self.assertTrue(call.heard)

    def test_limit(self) -> None:
        """There are only so many."""
        made: list[Conference] = [self.conferences.open() for _ in range(LIMIT - 1)]
        self.assertEqual(len({each.name for each in made}), LIMIT - 1)
        self.assertRaises(MediaError, self.conferences.open)
