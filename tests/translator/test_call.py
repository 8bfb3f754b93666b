"""The call: what one side reports the other is told, through the media, in order, and it ends once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from rtcgw.media.backend import Access, MediaNews, News, Party
from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Description,
    End,
    Event,
    Info,
    Keyframe,
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
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.joint import PENDING_LIMIT
from tests.translator.callcase import CallCase, answer, offer, pranswer
from tests.translator.doubles import ALICE, ECHO, SETUP, MarkedMedia, RecordedLeg


class OutgoingTests(CallCase):
    """A browser calls a phone."""

    def test_whole_call(self) -> None:
        """Each description reaches the other side as the media made it; the rest passes as it is."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("early"), reliable=True))
        self.caller.say(ProgressAck())
        self.callee.say(ProgressAcked())
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept(answer("final")))
        self.caller.say(Confirm())
        self.assertEqual(
            self.callee.heard,
            [Setup(ALICE, ECHO, Description(Kind.OFFER, "caller-offer(offer)")), ProgressAck(), Confirm()],
        )
        self.assertEqual(
            self.caller.heard,
            [
                Progress(Stage.SESSION, pranswer("callee-pranswer(early)"), reliable=True),
                ProgressAcked(),
                Progress(Stage.RINGING),
                Ringback(Sound.LOCAL),
                Accept(answer("callee-answer(final)")),
                Ringback(Sound.NONE),
            ],
        )
        self.assertEqual(self.call.view().state, "InCall")
        self.callee.say(End(Reason.HANGUP))
        self.assertEqual(self.caller.heard[-1], End(Reason.HANGUP))
        self.assertNotIn(End(Reason.HANGUP), self.callee.heard)
        self.check_over(Reason.HANGUP)

    def test_answer_repeats_the_early_one(self) -> None:
        """A 200 without a description answers with the one given early, which the media hears is final."""
        self.call.start()
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.callee.say(Accept())
        self.assertEqual(self.caller.heard[-1], Accept(answer("callee-answer(early)")))

    def test_answered_without_an_answer(self) -> None:
        """A 200 that describes nothing, after nothing was described, would be a mute call: it is ended instead."""
        self.call.start()
        self.callee.say(Accept())
        self.assertEqual(self.caller.heard, [End(Reason.MEDIA)])
        self.assertEqual(self.callee.heard[-1], End(Reason.MEDIA))
        self.check_over(Reason.MEDIA)

    def test_nobody_answers(self) -> None:
        """A call that rings too long ends for both sides."""
        self.call.start()
        self.clock.advance(60)
        self.assertEqual(self.caller.heard, [End(Reason.NO_ANSWER)])
        self.assertEqual(self.callee.heard[-1], End(Reason.NO_ANSWER))
        self.check_over(Reason.NO_ANSWER)

    def test_refused_media(self) -> None:
        """An answer that the media cannot use ends the call with its reason, for both sides."""
        self.call.start()
        self.callee.say(Accept(answer("bad")))
        self.assertEqual((self.caller.heard[-1], self.callee.heard[-1]), (End(Reason.MEDIA), End(Reason.MEDIA)))
        self.check_over(Reason.MEDIA)

    def test_lost_media(self) -> None:
        """When nothing can flow any more the call ends; lesser news changes nothing."""
        self.call.start()
        for state in (News.ICE, News.DTLS, News.SOUND, News.SILENT, News.HEARD):
            self.news(state)
        self.assertEqual(self.ended, [])
        self.news(News.LOST, detail="silent")
        self.assertEqual(self.caller.heard, [End(Reason.MEDIA_LOST, "silent")])
        self.news(News.LOST, detail="again")
        self.news(News.MOVED)
        self.check_over(Reason.MEDIA_LOST)

    def test_keyframes(self) -> None:
        """A whole picture that a phone asks for by INFO is asked of the browser's video, and the other way round."""
        self.establish()
        self.callee.say(Keyframe())
        self.assertEqual((self.media.keyframes, self.caller.heard), ([Party.CALLER], []))
        self.news(News.KEYFRAME, Party.CALLER)
        self.assertEqual((self.callee.heard, self.caller.heard), ([Keyframe()], []))

    def test_keys(self) -> None:
        """Keys pressed outside the sound pass both ways."""
        self.establish()
        self.caller.say(Info("5"))
        self.callee.say(Info("#"))
        self.assertEqual((self.callee.heard, self.caller.heard), ([Info("5")], [Info("#")]))

    def test_what_only_goes_down(self) -> None:
        """A leg that reports what only a call may say is not listened to."""
        self.establish()
        self.callee.say(SETUP)
        self.callee.say(Ringback(Sound.LOCAL))
        self.assertEqual((self.caller.heard, self.ended), ([], []))

    def test_candidates(self) -> None:
        """Candidates stay with a gateway that relays, and pass through one that does not."""
        self.call.start()
        self.caller.say(Candidates("candidate:1"))
        self.media.local = False
        self.caller.say(Candidates(None))
        self.assertEqual(self.media.candidates, ["candidate:1", None])
        self.assertEqual(self.callee.heard[1:], [Candidates(None)])

    def test_a_leg_that_fails_at_its_end(self) -> None:
        """A fault in one leg is logged once; the other leg is told and the call is forgotten all the same."""
        self.call.start()
        self.patch(self.caller, "deliver", lambda event: 1 // 0)
        self.call.end(Reason.SHUTDOWN)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.callee.heard[-1], End(Reason.SHUTDOWN))
        self.check_over(Reason.SHUTDOWN)

    def test_nothing_after_the_end(self) -> None:
        """After the end nothing is told, and nothing ends twice."""
        self.call.start()
        self.caller.say(End(Reason.HANGUP))
        self.callee.say(Accept(answer("late")))
        self.callee.say(End(Reason.BUSY))
        self.call.end(Reason.SHUTDOWN)
        self.assertEqual(self.caller.heard, [])
        self.check_over(Reason.HANGUP)


class SlowMediaTests(CallCase):
    """The media asks another process: descriptions stay in order, and an end waits for nobody."""

    def setUp(self) -> None:
        super().setUp()
        self.media.slow = True

    def test_order(self) -> None:
        """What comes while the media thinks waits its turn."""
        self.call.start()
        self.assertEqual(self.callee.heard, [])
        self.media.fire()
        self.callee.say(Progress(Stage.SESSION, pranswer("early")))
        self.callee.say(Progress(Stage.RINGING))
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.caller.heard, [])
        self.media.fire()
        self.assertEqual(len(self.caller.heard), 3)
        self.media.fire()
        self.assertEqual(
            self.caller.heard,
            [
                Progress(Stage.SESSION, pranswer("callee-pranswer(early)")),
                Progress(Stage.RINGING),
                Ringback(Sound.LOCAL),
                Accept(answer("callee-answer(final)")),
                Ringback(Sound.NONE),
            ],
        )

    def test_end_cancels(self) -> None:
        """A caller who gives up while the media thinks is not kept waiting."""
        self.call.start()
        self.caller.say(End(Reason.HANGUP))
        self.assertEqual(self.callee.heard, [End(Reason.HANGUP)])
        self.check_over(Reason.HANGUP)

    def test_flood(self) -> None:
        """A side that keeps talking while the media thinks ends the call; nothing grows without bound."""
        self.call.start()
        for _ in range(PENDING_LIMIT + 1):
            self.caller.say(Info("1"))
        self.check_over(Reason.PROTOCOL)

    def test_candidates_do_not_wait(self) -> None:
        """What the media thinks about may be waiting for the candidates: it has them at once. Those that it does not
        take are told to the other side in their turn, when that knows of the call."""
        self.call.start()
        self.caller.say(Candidates("candidate:1"))
        self.assertEqual(self.media.candidates, ["candidate:1"])
        self.media.local = False
        self.caller.say(Candidates(None))
        self.assertEqual(self.callee.heard, [])
        self.media.fire()
        self.assertEqual([type(event) for event in self.callee.heard], [Setup, Candidates])

    def test_candidates_flood(self) -> None:
        """Candidates for the other side, without end while the media thinks, end the call."""
        self.call.start()
        self.media.local = False
        for _ in range(PENDING_LIMIT + 1):
            self.caller.say(Candidates("candidate:1"))
        self.check_over(Reason.PROTOCOL)

    def test_failure_of_ours(self) -> None:
        """A fault in the media is logged once and ends the call as internal."""
        self.call.start()
        self.media.pending[0][0].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.check_over(Reason.INTERNAL)


class BareInviteTests(CallCase):
    """A phone calls a browser without an offer: the gateway offers to both."""

    caller_access, callee_access = Access.CORE, Access.WEB
    setup_event = Setup(ECHO, ALICE, None)

    def test_whole_call(self) -> None:
        """The browser answers the gateway's offer; the phone gets one in the 200 and answers it in the ACK."""
        self.call.start()
        self.assertEqual(self.callee.heard, [Setup(ECHO, ALICE, Description(Kind.OFFER, "offer-for-callee"))])
        self.callee.say(Accept(answer("web")))
        self.assertEqual(self.caller.heard, [Accept(Description(Kind.OFFER, "callee-answer(web)"))])
        self.caller.say(Confirm(answer("phone")))
        self.assertEqual(self.callee.heard[-1], Confirm())

    def test_ack_without_the_answer(self) -> None:
        """The ACK owes the answer to our offer; without it the phone would hear nothing, so the call ends."""
        self.call.start()
        self.callee.say(Accept(answer("web")))
        self.caller.say(Confirm())
        self.check_over(Reason.MEDIA)


class OfferlessBrowserTests(CallCase):
    """A browser calls without an offer: the phone's offer comes early, the answer goes in PRACK or ACK."""

    setup_event = Setup(ALICE, ECHO, None)

    def test_whole_call(self) -> None:
        """The literal offer/answer reading of Fig. 8."""
        self.call.start()
        self.assertEqual(self.callee.heard, [Setup(ALICE, ECHO, None)])
        self.callee.say(Progress(Stage.SESSION, Description(Kind.OFFER, "phone")))
        self.assertEqual(self.caller.heard, [Progress(Stage.SESSION, Description(Kind.OFFER, "callee-offer(phone)"))])
        self.caller.say(ProgressAck(answer("web")))
        self.assertEqual(self.callee.heard[-1], ProgressAck(answer("caller-answer(web)")))
        self.callee.say(Accept())
        self.caller.say(Confirm())
        self.assertEqual(self.callee.heard[-1], Confirm())


class MovedPageTests(CallCase):
    """A page is moved here out of another call: it has offered nothing, and has no place for an early description."""

    setup_event = Setup(ALICE, ECHO, None, moved=True)

    def test_whole_call(self) -> None:
        """The phone is offered what the gateway makes up; the page gets its answer as an offer, whose answer is no
        business of the phone's."""
        self.call.start()
        self.assertEqual(self.callee.heard, [Setup(ALICE, ECHO, offer("offer-for-callee"), moved=True)])
        self.callee.say(Progress(Stage.RINGING, pranswer("early")))
        self.callee.say(Accept(answer("final")))
        self.assertIn(Accept(offer("callee-answer(final)")), self.caller.heard)
        self.caller.say(Confirm(answer("web")))
        self.assertEqual(self.callee.heard[-1], Confirm())
        self.assertEqual(self.media.answered[-1], (Party.CALLER, "web", True))


class MovedPhoneTests(CallCase):
    """A phone is moved to another phone: nothing lies between them that could offer anything."""

    caller_access = Access.CORE
    setup_event = Setup(ECHO, ALICE, None, moved=True)

    def test_whole_call(self) -> None:
        """The callee makes the offer, the one who is moved answers it."""
        self.call.start()
        self.assertEqual(self.callee.heard, [self.setup_event])
        self.callee.say(Accept(offer("theirs")))
        self.assertEqual(self.caller.heard[-1], Accept(offer("callee-offer(theirs)")))
        self.caller.say(Confirm(answer("mine")))
        self.assertEqual(self.callee.heard[-1], Confirm(answer("caller-answer(mine)")))


DESCRIPTIONS = st.sampled_from((None, pranswer("early"), answer("final"), offer("new"), answer("bad")))
EVENTS = st.one_of(
    st.builds(Progress, st.sampled_from(Stage), DESCRIPTIONS, st.booleans(), st.sampled_from((None, True, False))),
    st.builds(ProgressAck, DESCRIPTIONS),
    st.just(ProgressAcked()),
    st.builds(Accept, DESCRIPTIONS),
    st.builds(Confirm, DESCRIPTIONS),
    st.builds(Update, DESCRIPTIONS),
    st.builds(UpdateAccept, DESCRIPTIONS),
    st.builds(UpdateReject, st.sampled_from((Reason.MEDIA, Reason.CONFLICT))),
    st.builds(Unacceptable, st.just(Reason.MEDIA)),
    st.builds(Candidates, st.sampled_from((None, "candidate:1"))),
    st.builds(Info, st.just("5")),
    st.just(Keyframe()),
    st.builds(End, st.sampled_from((Reason.HANGUP, Reason.BUSY))),
)
STEPS = st.lists(st.tuples(st.booleans(), st.one_of(EVENTS, st.sampled_from(News), st.just(5.0))), max_size=20)
OPTIONS = st.fixed_dictionaries({name: st.booleans() for name in ("slow", "local", "early", "second")})


class AnythingTests(CallCase):
    """Whatever both sides and the media say, in whatever order, at whatever time."""

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        st.sampled_from(((Access.WEB, Access.CORE), (Access.CORE, Access.WEB), (Access.WEB, Access.PLAIN))),
        st.sampled_from((SETUP, Setup(ALICE, ECHO, None))),
        OPTIONS,
        st.booleans(),
        STEPS,
    )
    def test_ends_once(
        self,
        access: tuple[Access, Access],
        setup: Setup,
        options: dict[str, bool],
        reserved: bool,
        steps: list[tuple[bool, Event | News | float]],
    ) -> None:
        """The call ends once: each side hears of it once, or has said it; the media is closed, no timer is left."""
        clock, media, ended = Clock(), MarkedMedia(**options), list[Call]()
        media.reserved = reserved
        legs = RecordedLeg("caller", access[0]), RecordedLeg("callee", access[1])
        call = Call(setup, *legs, lambda on_news: media, clock, ended.append, self.terms)
        call.start()
        for is_callee, step in steps:
            leg = legs[is_callee]
            if isinstance(step, News):
                call._media_news(MediaNews(Party.CALLEE if is_callee else Party.CALLER, step))
            elif isinstance(step, float):
                clock.advance(step)
                while media.pending:
                    media.fire()
            elif not any(isinstance(event, End) for event in leg.heard):
                leg.say(step)
        call.end(Reason.SHUTDOWN)
        self.assertEqual((ended, media.closed, clock.getDelayedCalls()), ([call], 1, []))
        told = [sum(isinstance(event, End) for event in leg.heard) for leg in legs]
        self.assertIn(told, ([1, 1], [0, 1], [1, 0]))
