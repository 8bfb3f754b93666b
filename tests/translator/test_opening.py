"""The first exchange of a call: our own early answers, preconditions, a second try, early answers that stay here."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import Deferred

from rtcgw.media.backend import Access, MediaError, News, Party
from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Event,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Ringback,
    Setup,
    Sound,
    Stage,
    Unacceptable,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.peer import EarlyMedia
from rtcgw.model.reason import Reason
from rtcgw.translator.call import RESERVE_TIME
from rtcgw.translator.callstate import Terms
from tests.translator.callcase import CallCase, answer, offer, pranswer
from tests.translator.doubles import ALICE, ECHO, OFFER, SETUP

WARM = Progress(Stage.TRYING, pranswer("early-for-caller"))
OFFERED = Setup(ALICE, ECHO, offer("caller-offer(offer)"))


class WarmStartTests(CallCase):
    """A browser calls a phone: its media connect while the phone rings."""

    def setUp(self) -> None:
        super().setUp()
        self.media.early = True

    def test_early_answer(self) -> None:
        """Right after the set-up has gone out the page has something to connect to; the answer comes as ever."""
        self.call.start()
        self.assertEqual((self.callee.heard, self.caller.heard), ([OFFERED], [WARM]))
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.callee.say(Accept(answer("final")))
        self.assertEqual(
            self.caller.heard[1:],
            [Progress(Stage.SESSION, pranswer("callee-pranswer(early)")), Accept(answer("callee-answer(final)"))],
        )

    def test_the_pages_prack(self) -> None:
        """A page that acknowledges it is answered by whoever answers PRANSWER: the callee's leg."""
        self.call.start()
        self.caller.say(ProgressAck())
        self.callee.say(ProgressAcked())
        self.assertEqual((self.callee.heard[1:], self.caller.heard[1:]), ([ProgressAck()], [ProgressAcked()]))

    def test_slow(self) -> None:
        """The set-up does not wait for it, a quick phone's answer comes after it."""
        self.media.slow = True
        self.call.start()
        self.media.fire()
        self.assertEqual((self.callee.heard, self.caller.heard), ([OFFERED], []))
        self.callee.say(Accept(answer("final")))
        self.media.fire()
        self.media.fire()
        self.assertEqual(self.caller.heard, [WARM, Accept(answer("callee-answer(final)"))])

    def test_end_meanwhile(self) -> None:
        """Hanging up while the media makes it."""
        self.media.slow = True
        self.call.start()
        self.media.fire()
        self.caller.say(End(Reason.CANCELLED))
        self.assertEqual(self.callee.heard[1:], [End(Reason.CANCELLED)])
        self.check_over(Reason.CANCELLED)

    def test_not_to_be_had(self) -> None:
        """Without it the call goes on: it is a courtesy."""
        self.patch(self.media, "early_answer", self.refuse)
        self.call.start()
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.caller.heard, [Accept(answer("callee-answer(final)"))])

    def refuse(self, target: Party) -> str:
        raise MediaError(Reason.MEDIA_FAILED, "no early answer today")

    def test_callee_refuses_at_once(self) -> None:
        """A number that cannot be called: the page hears that, and nothing else."""

        def refuse(event: Event) -> None:
            self.callee.say(End(Reason.NOT_FOUND))

        self.patch(self.callee, "deliver", refuse)
        self.call.start()
        self.assertEqual(self.caller.heard, [End(Reason.NOT_FOUND)])
        self.check_over(Reason.NOT_FOUND)


class PatentTests(CallCase):
    """The literal ladder of Fig. 8."""

    terms: ClassVar = Terms(ring_time=60, warm_start=False)

    def test_off(self) -> None:
        """Has no place for it."""
        self.media.early = True
        self.call.start()
        self.assertEqual(self.caller.heard, [])


class OfferlessTests(CallCase):
    """A page calls without an offer."""

    setup_event: ClassVar = Setup(ALICE, ECHO, None)

    def test_nothing_to_answer(self) -> None:
        """There is nothing that could be answered early, and nothing to try in another way."""
        self.media.early = self.media.second = True
        self.call.start()
        self.assertEqual(self.caller.heard, [])
        self.callee.say(Unacceptable(Reason.MEDIA, "Not Acceptable Here", 488))
        self.assertEqual(self.caller.heard, [End(Reason.MEDIA, "Not Acceptable Here", 488)])
        self.check_over(Reason.MEDIA)


class PageToPageTests(CallCase):
    """Two browsers."""

    callee_access = Access.WEB

    def test_off(self) -> None:
        """They connect to each other, not to the gateway."""
        self.media.early = True
        self.call.start()
        self.assertEqual(self.caller.heard, [])
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.assertEqual(self.caller.heard, [Progress(Stage.SESSION, pranswer("callee-pranswer(early)"))])

    def test_no_second_try(self) -> None:
        """What a page refuses, its user or its browser has decided."""
        self.media.second = True
        self.call.start()
        self.callee.say(Unacceptable(Reason.MEDIA))
        self.assertEqual((self.caller.heard, self.callee.heard[1:]), ([End(Reason.MEDIA)],) * 2)
        self.check_over(Reason.MEDIA)


class SecondTryTests(CallCase):
    """A phone refuses the offer as it is: 415, 420, 488, 580, 606."""

    REFUSED = Unacceptable(Reason.MEDIA, "Not Acceptable Here", 488)
    AGAIN = Setup(ALICE, ECHO, offer("fallback"))

    def setUp(self) -> None:
        super().setUp()
        self.media.second = True

    def test_again(self) -> None:
        """The same call once more with the fallback's offer; the page notices nothing."""
        self.call.start()
        self.callee.say(self.REFUSED)
        self.assertEqual((self.callee.heard, self.caller.heard), ([OFFERED, self.AGAIN], []))
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.caller.heard, [Accept(answer("callee-answer(final)"))])

    def test_only_once(self) -> None:
        """The second refusal is the call's end, with the phone's own words; both legs hear it."""
        self.call.start()
        self.callee.say(self.REFUSED)
        self.callee.say(self.REFUSED)
        end = End(Reason.MEDIA, "Not Acceptable Here", 488)
        self.assertEqual((self.caller.heard, self.callee.heard[2:]), ([end], [end]))
        self.check_over(Reason.MEDIA)

    def test_no_second_way(self) -> None:
        """A peer without a fallback: the first refusal is the end."""
        self.media.second = False
        self.call.start()
        self.callee.say(Unacceptable(Reason.EXTENSION, "Bad Extension", 420))
        self.assertEqual(self.caller.heard, [End(Reason.EXTENSION, "Bad Extension", 420)])
        self.check_over(Reason.EXTENSION)

    def test_refused_on_pick_up(self) -> None:
        """Some phones ring first and look at the offer when they are picked up."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(self.REFUSED)
        self.assertEqual(self.callee.heard[1:], [self.AGAIN])
        self.clock.advance(60)
        self.check_over(Reason.NO_ANSWER)

    def test_early_answer_is_void(self) -> None:
        """What was answered early to the refused offer is no answer to the other one."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.callee.say(self.REFUSED)
        self.callee.say(Accept())
        self.check_over(Reason.MEDIA)

    def test_end_meanwhile(self) -> None:
        """Hanging up while the media thinks of another offer."""
        self.media.slow = True
        self.call.start()
        self.media.fire()
        self.callee.say(self.REFUSED)
        self.caller.say(End(Reason.CANCELLED))
        self.assertEqual(self.callee.heard, [OFFERED, End(Reason.CANCELLED)])
        self.check_over(Reason.CANCELLED)

    def test_too_late(self) -> None:
        """In a call that is answered nothing is tried again."""
        self.establish()
        self.callee.say(self.REFUSED)
        self.assertEqual((self.caller.heard, self.callee.heard, self.ended), ([], [], []))


class CalledPageCase(CallCase):
    """A phone calls a page."""

    caller_access, callee_access = Access.CORE, Access.WEB
    setup_event: ClassVar = Setup(ECHO, ALICE, OFFER)


class CalledPageTests(CalledPageCase):
    """The page's early answer connects its media and must not silence the phone."""

    def test_early_answer_stays_here(self) -> None:
        """It reaches the media, the phone hears that it rings; the 200 carries the description."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.assertEqual(self.caller.heard, [Progress(Stage.RINGING)])
        self.assertEqual(self.media.answered, [(Party.CALLEE, "early", False)])
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept())
        self.assertEqual(self.caller.heard[1:], [Accept(answer("callee-answer(early)"))])
        self.assertEqual(self.media.answered[1:], [(Party.CALLEE, "early", True)])

    def test_prack_of_the_180(self) -> None:
        """What the phone acknowledges is still acknowledged to it."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING, reliable=True))
        self.caller.say(ProgressAck())
        self.callee.say(ProgressAcked())
        self.assertEqual(self.callee.heard[1:], [ProgressAck()])
        self.assertEqual(self.caller.heard, [Progress(Stage.RINGING, reliable=True), ProgressAcked()])

    def test_unfit_early_answer(self) -> None:
        """One that the media cannot use ends the call; the phone does not ring on."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("bad")))
        self.assertEqual(self.caller.heard, [End(Reason.MEDIA)])
        self.check_over(Reason.MEDIA)

    def test_no_ring_back(self) -> None:
        """A phone makes its own tones."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept(answer("final")))
        self.assertEqual([event for event in self.caller.heard if isinstance(event, Ringback)], [])

    def test_rings_too_long(self) -> None:
        """Ringing does not begin the time anew."""
        self.call.start()
        self.clock.advance(40)
        self.callee.say(Progress(Stage.RINGING))
        self.assertEqual(self.call.view().state, "Calling, ringing")
        self.clock.advance(20)
        self.check_over(Reason.NO_ANSWER)


class OfferlessPhoneTests(CalledPageCase):
    """A phone calls a page without an offer."""

    setup_event: ClassVar = Setup(ECHO, ALICE, None)

    def test_offer_goes_early(self) -> None:
        """Here the page's early answer becomes our offer, which must go as early as it can (RFC 3261 §13.2.1)."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.assertEqual(self.caller.heard, [Progress(Stage.SESSION, offer("callee-pranswer(early)"))])


class PreconditionTests(CalledPageCase):
    """The caller's network reserves resources first (RFC 3312): nobody may be alerted before it has."""

    def setUp(self) -> None:
        super().setUp()
        self.media.early = True
        self.media.reserved = False

    def test_whole_call(self) -> None:
        """An early answer, its PRACK, the UPDATE that says they are met; then, and not before, the page rings."""
        self.call.start()
        self.assertEqual((self.caller.heard, self.callee.heard), ([WARM], []))
        self.assertEqual(self.call.view().state, "Calling, preconditions not met")
        self.caller.say(ProgressAck())
        self.caller.say(Update(offer("still not")))
        self.assertEqual(self.callee.heard, [])
        self.caller.say(Update(offer("met")))
        self.assertEqual(
            self.caller.heard[1:],
            [UpdateAccept(answer("re-answer(still not)")), UpdateAccept(answer("re-answer(met)"))],
        )
        self.assertEqual(self.callee.heard, [Setup(ECHO, ALICE, offer("caller-offer(offer)"))])
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept(answer("web")))
        self.caller.say(Confirm())
        self.assertEqual(self.caller.heard[3:], [Progress(Stage.RINGING), Accept(answer("callee-answer(web)"))])
        self.assertEqual(self.call.view().state, "InCall")

    def test_slow(self) -> None:
        """The same with media that take their time."""
        self.media.slow = True
        self.call.start()
        self.media.fire()
        self.caller.say(ProgressAck())
        self.caller.say(Update(offer("met")))
        self.media.fire()
        self.assertEqual((self.caller.heard, self.callee.heard), ([WARM], []))
        self.media.fire()
        self.assertEqual(self.caller.heard[1:], [UpdateAccept(answer("re-answer(met)"))])
        self.assertEqual(len(self.callee.heard), 1)

    def test_never_met(self) -> None:
        """A network that never gets ready: 580, and the page has heard nothing."""
        self.call.start()
        self.clock.advance(RESERVE_TIME)
        self.assertEqual(self.caller.heard[1:], [End(Reason.PRECONDITION)])
        self.assertEqual(self.callee.heard, [End(Reason.PRECONDITION)])
        self.check_over(Reason.PRECONDITION)

    def test_ringing_time(self) -> None:
        """Ringing begins when the page rings."""
        self.call.start()
        self.clock.advance(RESERVE_TIME - 1)
        self.caller.say(Update(offer("met")))
        self.clock.advance(59)
        self.assertEqual(self.ended, [])
        self.clock.advance(1)
        self.check_over(Reason.NO_ANSWER)

    def test_no_early_answer(self) -> None:
        """Media that can give none cannot meet preconditions."""
        self.media.early = False
        self.call.start()
        self.assertEqual(self.caller.heard, [End(Reason.PRECONDITION)])
        self.check_over(Reason.PRECONDITION)

    def test_unfit_early_answer(self) -> None:
        """Media that fail at it end the call with their own reason."""
        failing: Deferred[str] = Deferred()
        self.patch(self.media, "early_answer", lambda target: failing)
        self.call.start()
        failing.errback(MediaError(Reason.MEDIA_FAILED, "the engine is gone"))
        self.check_over(Reason.MEDIA_FAILED)

    def test_another_offer(self) -> None:
        """What would need the page's decision is refused as long as the page does not know of the call."""
        self.media.local = False
        self.call.start()
        self.caller.say(Update(offer("video")))
        self.assertEqual((self.caller.heard[1:], self.callee.heard), ([UpdateReject(Reason.MEDIA)], []))

    def test_given_up(self) -> None:
        """The phone hangs up meanwhile."""
        self.call.start()
        self.caller.say(End(Reason.CANCELLED))
        self.check_over(Reason.CANCELLED)

    def test_callee_says_too_much(self) -> None:
        """A leg that has not been asked is not listened to."""
        self.call.start()
        self.callee.say(Unacceptable(Reason.MEDIA))
        self.assertEqual((self.callee.heard, self.ended), ([], []))


class RingbackTests(CallCase):
    """What the caller's page is told to play."""

    def sounds(self) -> list[Sound]:
        return [event.sound for event in self.caller.heard if isinstance(event, Ringback)]

    def test_first_packet(self) -> None:
        """The phone rings, then the network plays something, then somebody answers."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING, pranswer("early")))
        self.news(News.SOUND, Party.CALLER)
        self.assertEqual(self.sounds(), [Sound.LOCAL])
        self.news(News.SOUND, Party.CALLEE)
        self.news(News.SILENT, Party.CALLEE)
        self.news(News.HEARD, Party.CALLEE)
        self.callee.say(Accept(answer("final")))
        self.news(News.SOUND, Party.CALLEE)
        self.assertEqual(self.sounds(), [Sound.LOCAL, Sound.NETWORK, Sound.LOCAL, Sound.NETWORK, Sound.NONE])

    def test_after_the_description(self) -> None:
        """With slow media the page hears of the network's sound when it has its description, not before."""
        self.call.start()
        self.media.slow = True
        self.callee.say(Progress(Stage.SESSION, pranswer("early"), sounds=True))
        self.assertEqual(self.caller.heard, [])
        self.media.fire()
        self.assertEqual([type(event) for event in self.caller.heard], [Progress, Ringback])

    def test_warm_start_is_no_sound(self) -> None:
        """The gateway's own early answer is neither ringing nor the network's."""
        self.media.early = True
        self.call.start()
        self.callee.say(Progress(Stage.RINGING))
        self.assertEqual(self.sounds(), [Sound.LOCAL])

    def test_second_try(self) -> None:
        """What the network of a refused try has promised is void."""
        self.media.second = True
        self.call.start()
        self.callee.say(Progress(Stage.RINGING, pranswer("early"), sounds=True))
        self.callee.say(SecondTryTests.REFUSED)
        self.assertEqual(self.sounds()[-1], Sound.LOCAL)

    def test_unanswered(self) -> None:
        """A call that ends before it is answered: the end says all."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept())
        self.assertEqual(self.caller.heard[1:], [Ringback(Sound.LOCAL), End(Reason.MEDIA)])


class RingbackByProfileTests(CallCase):
    """A peer whose early media are not wanted."""

    terms: ClassVar = Terms(ring_time=60, early_media=EarlyMedia.LOCAL)

    def test_profile(self) -> None:
        """The peer profile decides."""
        self.call.start()
        self.callee.say(Progress(Stage.RINGING, Description(Kind.PRANSWER, "early"), sounds=True))
        self.news(News.SOUND, Party.CALLEE)
        self.assertEqual([event for event in self.caller.heard if isinstance(event, Ringback)], [Ringback(Sound.LOCAL)])


class SetupTests(CallCase):
    """What the second try says besides its offer."""

    setup_event: ClassVar = Setup(ALICE, ECHO, OFFER, (("Subject", "lunch"),))

    def test_the_same_again(self) -> None:
        """The same caller, callee and headers."""
        self.media.second = True
        self.call.start()
        self.callee.say(SecondTryTests.REFUSED)
        again = self.callee.heard[-1]
        assert isinstance(again, Setup)
        self.assertEqual(
            (again.caller, again.callee, again.headers), (SETUP.caller, SETUP.callee, (("Subject", "lunch"),))
        )
