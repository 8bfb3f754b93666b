"""Holds of one call: a page's own, one for a page that is away, a phone's; in every order with other changes."""

from __future__ import annotations

from typing import ClassVar

from rtcgw.media.backend import Access, MediaError, News, Party
from rtcgw.model.events import Accept, Away, Hold, Info, Update, UpdateAccept, UpdateReject
from rtcgw.model.reason import Reason
from rtcgw.translator.callstate import Terms
from rtcgw.translator.change import CLASH_LIMIT, CLASH_TIME, ChangeState
from tests.translator.callcase import CallCase, answer, offer


class HoldCase(CallCase):
    """An established call of a page to a phone."""

    def setUp(self) -> None:
        super().setUp()
        self.holds: list[tuple[Party, bool]] = []
        hold = self.media.hold

        def noted(by: Party, on: bool) -> object:
            self.holds.append((by, on))
            return hold(by, on)

        self.patch(self.media, "hold", noted)
        self.establish()

    def check_goes_on(self) -> None:
        """Nothing is open and the call lives."""
        state = self.call.changes.machine.state
        self.assertEqual((state, self.ended, self.clock.getDelayedCalls()), (ChangeState.SETTLED, [], []))


class OwnTests(HoldCase):
    """The page holds."""

    def test_hold_and_back(self) -> None:
        """The phone is offered the hold; what it answers goes to the media, and the page hears that it is done."""
        for on, word in ((True, "caller-holds"), (False, "caller-resumes")):
            self.forget()
            self.caller.say(Hold(on))
            self.assertEqual((self.caller.heard, self.callee.heard), ([], [Update(offer(word))]))
            self.callee.say(UpdateAccept(answer("as you like")))
            self.assertEqual(self.caller.heard, [UpdateAccept(None)])
            self.assertEqual(self.media.answered[-1], (Party.CALLEE, "as you like", True))
        self.check_goes_on()

    def test_refused(self) -> None:
        """A phone that refuses: all is as it was, and the page is told."""
        self.caller.say(Hold(True))
        self.callee.say(UpdateReject(Reason.MEDIA))
        self.assertEqual((self.caller.heard, self.media.reverted), ([UpdateReject(Reason.MEDIA)], 1))
        self.check_goes_on()

    def test_nobody_to_tell(self) -> None:
        """Media that need tell nobody hold at once."""
        self.patch(self.media, "hold", lambda by, on: "")
        self.caller.say(Hold(True))
        self.assertEqual((self.caller.heard, self.callee.heard), ([UpdateAccept(None)], []))
        self.check_goes_on()

    def test_media_refuse(self) -> None:
        """Media that cannot hold now say so."""
        self.patch(self.media, "hold", self.refuse)
        self.caller.say(Hold(True))
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.CONFLICT)])
        self.check_goes_on()

    def refuse(self, by: Party, on: bool) -> str:
        raise MediaError(Reason.CONFLICT, "not now")

    def test_one_at_a_time(self) -> None:
        """While anything else is decided a hold is refused with a conflict, and the other way round."""
        self.media.local = False
        for first, second in ((Update(offer("video")), Hold(True)), (Hold(True), Update(offer("video")))):
            for party in (self.caller, self.callee):
                self.forget()
                self.caller.say(first)
                party.say(second)
                self.assertIn(UpdateReject(Reason.CONFLICT), party.heard)
                self.callee.say(UpdateReject(Reason.DECLINED))
                self.check_goes_on()

    def test_clash(self) -> None:
        """A phone that changes something itself just then: the page hears of the conflict, and asks again or not."""
        self.caller.say(Hold(True))
        self.callee.say(UpdateReject(Reason.CONFLICT))
        self.assertEqual(self.caller.heard, [UpdateReject(Reason.CONFLICT)])
        self.check_goes_on()


class PagesTests(HoldCase):
    """Two pages."""

    callee_access = Access.WEB

    def test_told(self) -> None:
        """The other page is told by signalling, once; repetitions are agreed to and told to nobody."""
        self.patch(self.media, "hold", lambda by, on: "")
        for on in (True, True, False, False):
            self.caller.say(Hold(on))
        self.assertEqual(self.caller.heard, [UpdateAccept(None)] * 4)
        self.assertEqual(self.callee.heard, [Hold(True), Hold(False)])


class PhoneTests(HoldCase):
    """The phone holds, by its description; the media say so."""

    def test_page_is_told(self) -> None:
        """The page hears it, the phone nothing; a phone beside a phone hears nothing of that either."""
        self.news(News.HELD, Party.CALLEE)
        self.news(News.RESUMED, Party.CALLEE)
        self.assertEqual((self.caller.heard, self.callee.heard), ([Hold(True), Hold(False)], []))
        self.news(News.HELD, Party.CALLER)
        self.assertEqual(self.callee.heard, [])

    def test_participants(self) -> None:
        """The list of participants shows who is held by whom."""
        before = len(self.caller.rosters)
        self.news(News.HELD, Party.CALLEE)
        self.assertEqual(len(self.caller.rosters), before + 1)
        self.assertEqual([each.part.value for each in self.caller.rosters[-1].participants], ["held", "talking"])


class AwayTests(HoldCase):
    """A page is away."""

    terms: ClassVar = Terms(hold_after=5)

    def leave(self, seconds: float = 5) -> None:
        self.caller.say(Away(True))
        self.clock.advance(seconds)

    def test_short(self) -> None:
        """A quick reload holds nobody."""
        self.leave(4.9)
        self.caller.say(Away(False))
        self.assertEqual((self.holds, self.callee.heard), ([], []))
        self.check_goes_on()

    def test_long(self) -> None:
        """Whoever waits longer is held, and taken back when the page is there again; the page hears of neither."""
        self.leave()
        self.assertEqual(self.callee.heard, [Update(offer("caller-holds"))])
        self.callee.say(UpdateAccept(answer("fine")))
        self.caller.say(Away(False))
        self.assertEqual(self.callee.heard[1:], [Update(offer("caller-resumes"))])
        self.callee.say(UpdateAccept(answer("fine")))
        self.assertEqual(self.caller.heard, [])
        self.check_goes_on()

    def test_back_with_an_offer(self) -> None:
        """The page's new offer is answered first, so that its media connect while the phone is taken back."""
        self.leave()
        self.callee.say(UpdateAccept(answer("fine")))
        self.caller.say(Update(offer("fresh")))
        self.caller.say(Away(False))
        self.assertEqual(self.caller.heard, [UpdateAccept(answer("re-answer(fresh)"))])
        self.assertEqual(self.callee.heard[1:], [Update(offer("caller-resumes"))])
        self.callee.say(UpdateAccept(answer("fine")))
        self.check_goes_on()

    def test_back_while_the_phone_decides(self) -> None:
        """What the page offers then waits for the call's own hold, instead of being refused for what nobody asked."""
        self.leave()
        self.caller.say(Away(False))
        self.caller.say(Update(offer("fresh")))
        self.callee.say(Update(offer("another")))
        self.assertEqual(self.callee.heard[1:], [UpdateReject(Reason.CONFLICT)], "one waits, not two")
        self.callee.say(UpdateAccept(answer("fine")))
        self.assertEqual(self.caller.heard, [UpdateAccept(answer("re-answer(fresh)"))])
        self.assertEqual(self.callee.heard[2:], [Update(offer("caller-resumes"))])
        self.callee.say(UpdateAccept(answer("fine")))
        self.check_goes_on()

    def test_own_hold_persists(self) -> None:
        """A page that held before it was reloaded holds after it; the phone hears nothing of the reload."""
        self.caller.say(Hold(True))
        self.callee.say(UpdateAccept(answer("fine")))
        self.forget()
        self.leave(60)
        self.caller.say(Update(offer("fresh")))
        self.caller.say(Away(False))
        self.assertEqual(self.callee.heard, [])
        self.caller.say(Hold(False))
        self.assertEqual(self.callee.heard, [Update(offer("caller-resumes"))])
        self.callee.say(UpdateAccept(answer("fine")))
        self.check_goes_on()

    def test_refused(self) -> None:
        """A phone that does not want to be held goes on as it was; the call lives, and nobody asks it again."""
        self.leave()
        self.callee.say(UpdateReject(Reason.MEDIA))
        self.clock.advance(60)
        self.caller.say(Away(False))
        self.assertEqual(len(self.callee.heard), 1)
        self.check_goes_on()

    def test_media_refuse_while_away(self) -> None:
        """Media that cannot hold at once are asked once, not for ever, and the call goes on."""
        asked: list[bool] = []

        def refuse(by: Party, on: bool) -> str:
            asked.append(on)
            assert len(asked) < 3, "asked again and again"
            raise MediaError(Reason.CONFLICT, "not now")

        self.patch(self.media, "hold", refuse)
        self.leave()
        self.caller.say(Away(False))
        self.assertEqual(asked, [True])
        self.check_goes_on()

    def test_not_taken_back(self) -> None:
        """One that refuses to be taken back is held as if the page had wanted it; so the page can try."""
        self.leave()
        self.callee.say(UpdateAccept(answer("fine")))
        self.caller.say(Away(False))
        self.callee.say(UpdateReject(Reason.MEDIA))
        self.check_goes_on()
        self.caller.say(Hold(False))
        self.assertEqual(self.callee.heard[-1], Update(offer("caller-resumes")))
        self.callee.say(UpdateAccept(answer("fine")))
        self.check_goes_on()

    def test_clashes(self) -> None:
        """One that changes something itself just then is asked again in a while, a few times."""
        self.leave()
        for _ in range(CLASH_LIMIT):
            self.callee.say(UpdateReject(Reason.CONFLICT))
            self.clock.advance(CLASH_TIME)
        self.assertEqual(len(self.callee.heard), CLASH_LIMIT + 1)
        self.callee.say(UpdateReject(Reason.CONFLICT))
        self.clock.advance(60)
        self.assertEqual(len(self.callee.heard), CLASH_LIMIT + 1)
        self.check_goes_on()

    def test_before_the_answer(self) -> None:
        """A caller's page that is away when the phone answers has it held as soon as there is something to hold."""
        super(HoldCase, self).setUp()
        self.call.start()
        self.leave(60)
        self.assertEqual(len(self.callee.heard), 1)
        self.callee.say(Accept(answer("final")))
        self.assertEqual(self.callee.heard[-1], Update(offer("caller-holds")))

    def test_end(self) -> None:
        """A call that ends meanwhile leaves no timer."""
        self.leave(1)
        self.call.end(Reason.HANGUP)
        self.check_over(Reason.HANGUP)


class NeverTests(HoldCase):
    """`hold_after` 0."""

    terms: ClassVar = Terms(hold_after=0)

    def test_never(self) -> None:
        """Nobody is held because a page is away."""
        self.caller.say(Away(True))
        self.clock.advance(3600)
        self.assertEqual(self.holds, [])
        self.caller.say(Away(False))
        self.check_goes_on()


class KeyTests(HoldCase):
    """Keys of both sides."""

    def test_of_the_page(self) -> None:
        """They go in the sound where the media can say them; else by signalling, as the phone's profile wants."""
        self.media.plays_keys = True
        self.caller.say(Info("12", 160))
        self.assertEqual((self.media.pressed, self.callee.heard), ([(Party.CALLEE, "12", 160)], []))
        self.media.plays_keys = False
        self.caller.say(Info("3"))
        self.assertEqual(self.callee.heard, [Info("3")])

    def test_in_the_phones_sound(self) -> None:
        """The page is told of each; a phone needs not be told what it hears."""
        self.news(News.KEYS, Party.CALLEE, "5")
        self.news(News.KEYS, Party.CALLER, "6")
        self.assertEqual((self.caller.heard, self.callee.heard), ([Info("5")], []))
