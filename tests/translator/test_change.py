"""Changes within a call: who is asked, who hears the outcome, and that every one comes to an end."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from rtcgw.media.backend import Access, MediaError, MediaNews, News, Party, Reoffer
from rtcgw.model.events import Accept, Confirm, End, Event, Update, UpdateAccept, UpdateReject
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.change import ANSWER_TIME, CLASH_LIMIT, CLASH_TIME, LOAN_TIME, ChangeState
from tests.translator.callcase import CallCase, answer, offer
from tests.translator.doubles import SETUP, MarkedMedia, RecordedLeg


class ChangeCase(CallCase):
    """An established call."""

    def setUp(self) -> None:
        super().setUp()
        self.establish()

    @property
    def state(self) -> ChangeState:
        return self.call.changes.machine.state

    def check_goes_on(self) -> None:
        """Nothing is open and the call lives."""
        self.assertEqual((self.state, self.ended, self.clock.getDelayedCalls()), (ChangeState.SETTLED, [], []))


class AnsweredHereTests(ChangeCase):
    """What the media settles by itself."""

    def test_answered(self) -> None:
        """A hold, a refresh, an ICE restart: answered here, the other side hears nothing."""
        for leg, other in ((self.callee, self.caller), (self.caller, self.callee)):
            leg.say(Update(offer("new")))
            self.assertEqual((leg.heard, other.heard), ([UpdateAccept(answer("re-answer(new)"))], []))
            self.forget()
        self.check_goes_on()

    def test_unfit(self) -> None:
        """What the media cannot make is refused, and the call stays as it was."""
        self.callee.say(Update(offer("bad")))
        self.assertEqual((self.callee.heard, self.caller.heard), ([UpdateReject(Reason.MEDIA)], []))
        self.assertEqual(self.media.reverted, 0)
        self.check_goes_on()

    def test_empty_plan(self) -> None:
        """A media session that neither answers nor asks is taken as a refusal."""
        self.patch(self.media, "reoffer", lambda origin, sdp: Reoffer())
        self.callee.say(Update(offer("new")))
        self.assertEqual(self.callee.heard, [UpdateReject(Reason.MEDIA)])
        self.check_goes_on()


class OfferlessTests(ChangeCase):
    """A party wants an offer: a re-INVITE without a description."""

    def test_answered_in_the_ack(self) -> None:
        """It gets one; its answer comes with the ACK and concerns nobody else."""
        self.callee.say(Update(None))
        self.assertEqual(self.callee.heard, [UpdateAccept(offer("offer-for-callee"))])
        self.callee.say(Confirm(answer("theirs")))
        self.assertEqual(self.media.answered[-1], (Party.CALLEE, "theirs", True))
        self.assertEqual(self.caller.heard, [])
        self.check_goes_on()

    def test_no_offer(self) -> None:
        """Media that cannot offer refuse."""
        self.patch(self.media, "make_offer", self.refuse)
        self.callee.say(Update(None))
        self.assertEqual(self.callee.heard, [UpdateReject(Reason.MEDIA)])
        self.check_goes_on()

    def refuse(self, target: Party) -> str:
        raise MediaError(Reason.MEDIA, "nothing to offer")

    def test_never_answered(self) -> None:
        """An ACK that brings no answer leaves all as it was."""
        self.callee.say(Update(None))
        self.callee.say(Confirm())
        self.clock.advance(LOAN_TIME)
        self.assertEqual(self.media.reverted, 1)
        self.check_goes_on()

    def test_unfit_answer(self) -> None:
        """An ACK cannot be refused (RFC 6337 §2.3): a call whose answer is of no use ends."""
        self.callee.say(Update(None))
        self.callee.say(Confirm(answer("bad")))
        self.assertEqual([call.reason for call in self.ended], [Reason.MEDIA])
        self.check_over(Reason.MEDIA)


class AskedTests(ChangeCase):
    """What the other party must decide: video, or any change between two pages."""

    def setUp(self) -> None:
        super().setUp()
        self.media.local = False
        self.caller.say(Update(offer("video")))

    def test_accepted(self) -> None:
        """The other party is asked with an offer of the media's, and its answer comes back the same way."""
        self.assertEqual((self.callee.heard, self.caller.heard), ([Update(offer("re-offer(video)"))], []))
        self.callee.say(UpdateAccept(answer("yes")))
        self.assertEqual(self.caller.heard, [UpdateAccept(answer("callee-answer(yes)"))])
        self.assertEqual(self.media.reverted, 0)
        self.check_goes_on()

    def test_refused(self) -> None:
        """A person who wants no video: the offerer hears it, the call goes on as it was."""
        self.callee.say(UpdateReject(Reason.DECLINED))
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.DECLINED)])
        self.assertEqual(self.media.reverted, 1)
        self.check_goes_on()

    def test_silent(self) -> None:
        """Nobody decides: refused when SIP itself would give up, and what comes later changes nothing."""
        self.clock.advance(ANSWER_TIME - 0.1)
        self.assertEqual(self.caller.heard, [])
        self.clock.advance(0.1)
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.TIMEOUT)])
        self.callee.say(UpdateAccept(answer("late")))
        self.callee.say(UpdateReject(Reason.DECLINED))
        self.assertEqual((len(self.caller.heard), self.media.reverted), (1, 1))
        self.check_goes_on()

    def test_answer_of_no_use(self) -> None:
        """An answer that the media cannot use, or none at all, is a refusal."""
        self.callee.say(UpdateAccept(answer("bad")))
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.MEDIA)])
        self.caller.say(Update(offer("video")))
        self.callee.say(UpdateAccept(None))
        self.assertEqual(self.caller.heard[1:], [UpdateReject(Reason.PROTOCOL)])
        self.assertEqual(self.media.reverted, 2)
        self.check_goes_on()

    def test_not_the_one_who_is_asked(self) -> None:
        """Only the party that was asked decides."""
        self.caller.say(UpdateAccept(answer("mine")))
        self.caller.say(UpdateReject(Reason.DECLINED))
        self.assertEqual((self.state, self.caller.heard), (ChangeState.ASKED, []))

    def test_taken_back(self) -> None:
        """Whoever offers takes it back: the other side need not decide, and all is as it was."""
        self.caller.say(UpdateReject(Reason.CANCELLED))
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.CANCELLED)])
        self.assertEqual(self.callee.heard[1:], [UpdateReject(Reason.CANCELLED)])
        self.assertEqual(self.media.reverted, 1)
        self.callee.say(UpdateAccept(answer("late")))
        self.assertEqual(len(self.caller.heard), 1)
        self.callee.heard.clear()
        self.caller.heard.clear()
        self.check_goes_on()

    def test_glare(self) -> None:
        """A second change meanwhile, of either party, is told to wait; the first one is not disturbed."""
        self.callee.say(Update(offer("theirs")))
        self.caller.say(Update(None))
        self.assertEqual(self.callee.heard[1:], [UpdateReject(Reason.CONFLICT)])
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.CONFLICT)])
        self.callee.say(UpdateAccept(answer("yes")))
        self.assertEqual(self.caller.heard[1:], [UpdateAccept(answer("callee-answer(yes)"))])
        self.check_goes_on()

    def test_end_in_the_middle(self) -> None:
        """Hanging up while the other side is asked leaves nothing behind."""
        self.caller.say(End(Reason.HANGUP))
        self.assertEqual(self.callee.heard[1:], [End(Reason.HANGUP)])
        self.check_over(Reason.HANGUP)


class EarlyTests(CallCase):
    """Before the answer nobody is asked: there is nobody yet who could decide."""

    def test_asked_too_early(self) -> None:
        """What would need the other party is refused, what the media can answer is answered."""
        self.call.start()
        self.forget()
        self.callee.say(Update(offer("hold")))
        self.media.local = False
        self.callee.say(Update(offer("video")))
        self.assertEqual(self.callee.heard, [UpdateAccept(answer("re-answer(hold)")), UpdateReject(Reason.MEDIA)])
        self.assertEqual((self.caller.heard, self.media.reverted), ([], 1))


class SlowTests(ChangeCase):
    """The media asks another process."""

    def setUp(self) -> None:
        super().setUp()
        self.media.slow = True

    def test_everything_in_turn(self) -> None:
        """Two changes at once: the second is judged when the first is decided, and neither is lost."""
        self.callee.say(Update(offer("first")))
        self.callee.say(Update(offer("second")))
        self.caller.say(Update(offer("third")))
        self.assertEqual(self.callee.heard, [])
        for _ in range(3):
            self.media.fire()
        self.assertEqual(
            self.callee.heard, [UpdateAccept(answer("re-answer(first)")), UpdateAccept(answer("re-answer(second)"))]
        )
        self.assertEqual(self.caller.heard, [UpdateAccept(answer("re-answer(third)"))])
        self.check_goes_on()

    def test_asked(self) -> None:
        """Both questions to the media take their time."""
        self.media.local = False
        self.caller.say(Update(offer("video")))
        self.media.fire()
        self.callee.say(UpdateAccept(answer("yes")))
        self.assertEqual(self.caller.heard, [])
        self.media.fire()
        self.assertEqual(self.caller.heard, [UpdateAccept(answer("callee-answer(yes)"))])
        self.check_goes_on()

    def test_end_while_the_media_thinks(self) -> None:
        """Hanging up waits for nothing, at each question."""
        self.media.local = False
        self.caller.say(Update(offer("video")))
        self.media.fire()
        self.callee.say(UpdateAccept(answer("yes")))
        self.caller.say(End(Reason.HANGUP))
        self.assertEqual(self.callee.heard[1:], [End(Reason.HANGUP)])
        self.check_over(Reason.HANGUP)

    def test_moved_meanwhile(self) -> None:
        """A relay that dies while the media thinks about a change: the change first, then the new offer."""
        self.callee.say(Update(offer("hold")))
        self.news(News.MOVED)
        self.assertEqual(self.caller.heard, [])
        self.media.fire()
        self.media.fire()
        self.assertEqual(self.caller.heard, [Update(offer("offer-for-caller"))])


class MovedTests(ChangeCase):
    """The media has moved: what the parties were told is no longer true."""

    def test_one_party(self) -> None:
        """It is offered anew; the other one need not know."""
        self.news(News.MOVED, Party.CALLEE)
        self.assertEqual(self.callee.heard, [Update(offer("offer-for-callee"))])
        self.callee.say(UpdateAccept(answer("there")))
        self.assertEqual(self.media.answered[-1], (Party.CALLEE, "there", True))
        self.assertEqual((self.caller.heard, self.media.reverted), ([], 0))
        self.check_goes_on()

    def test_both_parties(self) -> None:
        """One after the other."""
        self.news(News.MOVED, Party.CALLEE)
        self.news(News.MOVED, Party.CALLER)
        self.assertEqual(self.caller.heard, [])
        self.callee.say(UpdateAccept(answer("there")))
        self.assertEqual(self.caller.heard, [Update(offer("offer-for-caller"))])
        self.caller.say(UpdateAccept(answer("here")))
        self.assertEqual([origin for origin, _, _ in self.media.answered[1:]], [Party.CALLEE, Party.CALLER])
        self.check_goes_on()

    def test_refused(self) -> None:
        """It cannot stay as it was: the call ends."""
        self.news(News.MOVED)
        self.caller.say(UpdateReject(Reason.MEDIA))
        self.assertEqual(self.caller.heard[-1], End(Reason.MEDIA_LOST))
        self.check_over(Reason.MEDIA_LOST)

    def test_silent(self) -> None:
        """The same where the party never answers."""
        self.news(News.MOVED)
        self.clock.advance(ANSWER_TIME)
        self.check_over(Reason.MEDIA_LOST)

    def test_media_cannot_offer(self) -> None:
        """The same where the media has nothing to offer after all, or no use for the answer."""
        self.news(News.MOVED)
        self.caller.say(UpdateAccept(answer("bad")))
        self.check_over(Reason.MEDIA_LOST)

    def test_page_is_away(self) -> None:
        """A page that reloads just then is not given up: it will offer anew when it is back."""
        self.news(News.MOVED)
        self.caller.say(UpdateReject(Reason.CLIENT_LOST))
        self.check_goes_on()
        self.caller.say(Update(offer("back")))
        self.assertEqual(self.caller.heard[-1], UpdateAccept(answer("re-answer(back)")))

    def test_clash(self) -> None:
        """The party changes something itself at that moment: its change goes first, ours is tried again."""
        self.news(News.MOVED)
        self.caller.say(UpdateReject(Reason.CONFLICT))
        self.assertEqual(self.media.reverted, 1)
        self.clock.advance(CLASH_TIME)
        self.assertEqual(self.caller.heard, [Update(offer("offer-for-caller"))] * 2)
        self.caller.say(UpdateReject(Reason.CONFLICT))
        self.caller.say(Update(offer("hold")))
        self.assertEqual(
            self.caller.heard[2:], [UpdateAccept(answer("re-answer(hold)")), Update(offer("offer-for-caller"))]
        )
        self.caller.say(UpdateAccept(answer("here")))
        self.check_goes_on()

    def test_clashes_without_end(self) -> None:
        """Not for ever."""
        self.news(News.MOVED)
        for _ in range(CLASH_LIMIT):
            self.caller.say(UpdateReject(Reason.CONFLICT))
            self.assertEqual(self.ended, [])
            self.clock.advance(CLASH_TIME)
        self.caller.say(UpdateReject(Reason.CONFLICT))
        self.check_over(Reason.MEDIA_LOST)

    def test_end_while_put_off(self) -> None:
        """Nothing is tried again in a call that is over."""
        self.news(News.MOVED)
        self.caller.say(UpdateReject(Reason.CONFLICT))
        self.callee.say(End(Reason.HANGUP))
        self.check_over(Reason.HANGUP)

    def test_during_a_change(self) -> None:
        """A change that is open is finished first."""
        self.media.local = False
        self.caller.say(Update(offer("video")))
        self.news(News.MOVED, Party.CALLEE)
        self.assertEqual(len(self.callee.heard), 1)
        self.callee.say(UpdateAccept(answer("yes")))
        self.assertEqual(self.callee.heard[1:], [Update(offer("offer-for-callee"))])


class MovedEarlyTests(CallCase):
    """The media moves while the phone rings."""

    def test_put_off_until_the_answer(self) -> None:
        """Nobody can be asked yet; right after the answer the party is."""
        self.call.start()
        self.news(News.MOVED, Party.CALLEE)
        self.assertEqual(len(self.callee.heard), 1)
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.callee.heard[1:], [Update(offer("offer-for-callee"))])


class StalledTests(ChangeCase):
    """A browser has connected and does not begin its handshake."""

    def test_repaired(self) -> None:
        """It gets a new start; the phone hears nothing."""
        self.news(News.STALLED)
        self.assertEqual(self.caller.heard, [Update(offer("offer-for-caller"))])
        self.caller.say(UpdateAccept(answer("anew")))
        self.news(News.DTLS)
        self.assertEqual(self.callee.heard, [])
        self.check_goes_on()

    def test_once(self) -> None:
        """A second time it is hopeless: the call ends and says why."""
        self.news(News.STALLED)
        self.caller.say(UpdateAccept(answer("anew")))
        self.news(News.STALLED, detail="connected, no DTLS within 2 s")
        self.assertEqual(self.caller.heard[-1], End(Reason.MEDIA_FAILED, "connected, no DTLS within 2 s"))
        self.check_over(Reason.MEDIA_FAILED)

    def test_once_each_time(self) -> None:
        """A repair that has worked is forgotten: the next trouble, an hour later, is repaired as well."""
        for _ in range(3):
            self.news(News.STALLED)
            self.caller.say(UpdateAccept(answer("anew")))
            self.news(News.DTLS)
        self.check_goes_on()

    def test_refused(self) -> None:
        """A page that cannot take a new start loses the call."""
        self.news(News.STALLED)
        self.caller.say(UpdateReject(Reason.MEDIA))
        self.check_over(Reason.MEDIA_FAILED)

    def test_moved_as_well(self) -> None:
        """One new offer serves for both; that it has moved is the graver of them."""
        self.media.local = False
        self.callee.say(Update(offer("video")))
        self.news(News.STALLED)
        self.news(News.MOVED)
        self.news(News.STALLED)
        self.news(News.DTLS)
        self.caller.say(UpdateReject(Reason.DECLINED))
        self.assertEqual(self.caller.heard[1:], [Update(offer("offer-for-caller"))])
        self.caller.say(UpdateAccept(answer("here")))
        self.check_goes_on()


class StalledEarlyTests(CallCase):
    """The same with a warm start, while the phone rings."""

    def test_repaired_after_the_answer(self) -> None:
        """A page can be asked only then; where the handshake has come about by itself it is not asked at all."""
        for came in (False, True):
            self.setUp()
            self.call.start()
            self.news(News.STALLED)
            if came:
                self.news(News.DTLS)
            self.forget()
            self.callee.say(Accept(answer("final")))
            asked = [event for event in self.caller.heard if isinstance(event, Update)]
            self.assertEqual(asked, [] if came else [Update(offer("offer-for-caller"))])


PARTIES = st.sampled_from((Party.CALLER, Party.CALLEE))
DESCRIBED = st.sampled_from((None, offer("new"), offer("bad")))
STEPS = st.one_of(
    st.builds(lambda party, what: (party, Update(what)), PARTIES, DESCRIBED),
    st.builds(lambda party, sdp: (party, UpdateAccept(answer(sdp))), PARTIES, st.sampled_from(("yes", "bad"))),
    st.builds(
        lambda party, reason: (party, UpdateReject(reason)),
        PARTIES,
        st.sampled_from((Reason.DECLINED, Reason.CONFLICT, Reason.CLIENT_LOST)),
    ),
    st.builds(lambda party: (party, Confirm(answer("yes"))), PARTIES),
    st.builds(lambda party, state: (party, state), PARTIES, st.sampled_from((News.MOVED, News.STALLED, News.DTLS))),
    st.builds(lambda party, seconds: (party, seconds), PARTIES, st.sampled_from((0.0, 3.0, 20.0))),
    st.builds(lambda party, local: (party, local), PARTIES, st.booleans()),
)


class AnythingTests(CallCase):
    """Whatever the parties and the media do, in whatever order."""

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(STEPS, max_size=25), st.booleans())
    def test_every_change_ends(self, steps: list[tuple[Party, object]], slow: bool) -> None:
        """Each proposal is answered exactly once, unless the call ends; nothing stays open and no timer is left."""
        clock, media, ended = Clock(), MarkedMedia(), list[Call]()
        legs = {
            Party.CALLER: RecordedLeg("caller", Access.WEB),
            Party.CALLEE: RecordedLeg("callee", Access.CORE),
        }
        call = Call(
            SETUP, legs[Party.CALLER], legs[Party.CALLEE], lambda on_news: media, clock, ended.append, self.terms
        )
        call.start()
        legs[Party.CALLEE].say(Accept(answer("final")))
        media.slow = slow
        proposed = {Party.CALLER: 0, Party.CALLEE: 0}
        for party, step in steps:
            if isinstance(step, News):
                call._media_news(MediaNews(party, step))
            elif isinstance(step, bool):
                media.local = step
            elif isinstance(step, float):
                if media.pending:
                    media.fire()
                clock.advance(step)
            elif isinstance(step, Update | UpdateAccept | UpdateReject | Confirm) and not ended:
                proposed[party] += isinstance(step, Update)
                legs[party].say(step)
        self.let_it_end(clock, media)
        self.assertEqual(clock.getDelayedCalls(), [])
        if not ended:
            self.assertIs(call.changes.machine.state, ChangeState.SETTLED)
            self.assertEqual({party: outcomes(leg.heard) for party, leg in legs.items()}, proposed)

    def let_it_end(self, clock: Clock, media: MarkedMedia) -> None:
        for _ in range(40):
            while media.pending:
                media.fire()
            clock.advance(CLASH_TIME)


def outcomes(heard: list[Event]) -> int:
    return sum(isinstance(event, UpdateAccept | UpdateReject) for event in heard)
