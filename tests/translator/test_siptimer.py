"""Session timers of a leg: whether there is one, the peer that refreshes, sessions too short. RFC 4028."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Accept, Description, End, Kind, UpdateReject
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.translator.sipstate import State
from rtcgw.translator.siptimer import RAISES, TIMER
from tests.translator.sipbench import UacBench, UasBench, rows, walk
from tests.translator.test_siprefresh import RefreshTests
from tests.translator.timercase import NEW, OURS, THEIRS, TIMERS, UPDATES, Case


class WatchTests(Case):
    """The peer refreshes."""

    def test_refreshed(self) -> None:
        """Each refresh of the peer gets a 200 that names the interval, and the call goes on."""
        bench = self.taken("100;refresher=uac")
        self.assertEqual(bench.tx.responses[-1].get("session-expires"), "100;refresher=uac")
        self.assertEqual(bench.tx.responses[-1].get("require"), "timer")
        for _ in range(3):
            bench.clock.advance(60)
            response = bench.request("UPDATE", None, ("session-expires", "100;refresher=uac"), TIMERS).responses[0]
            self.assertEqual(response.get("session-expires"), "100;refresher=uac")
            self.assertEqual((bench.heard, bench.sent), ([], []))
        self.dead(bench, 68)

    def test_overdue(self) -> None:
        """Without one the call ends before the interval does: by a third of it, or by 32 s."""
        self.dead(self.taken("90;refresher=uac"), 60)
        self.dead(self.taken("1000", session_expires=1000), 968)
        self.dead(self.placed("100;refresher=uas"), 100 - 32)

    def test_taken_over(self) -> None:
        """Who refreshes is settled anew with each change, whoever asked for it."""
        bench = self.placed("100;refresher=uas")
        bench.leg.deliver(NEW)
        self.assertEqual(bench.port.asked[-1].request.get("session-expires"), "100;refresher=uas")
        bench.answer_last(200, "yes", OURS)
        bench.clock.advance(50)
        self.assertEqual(bench.sent, ["UPDATE new", "UPDATE"])
        bench.request("UPDATE", None, ("session-expires", "200;refresher=uac"), TIMERS)
        bench.answer_last(500, None, ("retry-after", "2"))
        bench.clock.advance(60)
        self.assertEqual(len(bench.sent), 2)
        bench.request("UPDATE", None, THEIRS, TIMERS)
        bench.clock.advance(51)
        self.assertEqual(len(bench.sent), 3)
        bench.request("UPDATE", None, ("session-expires", "100;refresher=uac"), TIMERS)
        bench.leg.deliver(NEW)
        bench = self.placed("100;refresher=uac")
        bench.request("UPDATE", None, ("session-expires", "90;refresher=uac"), TIMERS)
        bench.clock.advance(59)
        self.assertEqual(bench.sent, [])
        bench.end()
        self.assertEqual(bench.clock.getDelayedCalls(), [])

    def test_both_at_once(self) -> None:
        """A 200 to our refresh may give the duty to the peer."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.answer_last(200, None, THEIRS)
        self.dead(bench, 68)

    def test_refused_change(self) -> None:
        """A change that we refuse has not refreshed anything."""
        bench = self.taken("90;refresher=uac")
        bench.clock.advance(50)
        tx = bench.request("INVITE", "bad", ("session-expires", "90;refresher=uac"), TIMERS)
        bench.leg.deliver(UpdateReject(Reason.MEDIA))
        self.assertEqual((tx.statuses, tx.responses[0].get("session-expires")), ([488], None))
        bench.heard.clear()
        self.dead(bench, 10)


class AgreeingTests(Case):
    """Whether there is a timer at all."""

    def test_callee_without_timers(self) -> None:
        """A callee that grants no interval has none, and nothing runs."""
        bench = self.placed(supported="100rel")
        self.assertIsNone(bench.leg.timer)
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        assert bench.leg.invite is not None
        self.assertEqual(bench.leg.invite.get("session-expires"), "100")

    def test_caller_without_timers(self) -> None:
        """Where the caller has no timers, we refresh; its refusal is a sign of life, and so is a 200 without words."""
        bench = self.taken("", supported="100rel")
        self.assertEqual(bench.tx.responses[-1].get("session-expires"), "100;refresher=uas")
        self.assertIsNone(bench.tx.responses[-1].get("require"))
        for status in (200, 488, 603):
            bench.clock.advance(50)
            bench.answer_last(status)
        bench.clock.advance(50)
        self.assertEqual((bench.sent, bench.heard), (["UPDATE"] * 4, []))
        bench.answer_last(481)
        self.assertEqual(bench.sent[-1], "BYE")

    def test_nothing_asked_for(self) -> None:
        """Configured not to ask, we ask nobody, but do as the peer wishes."""
        bench = self.placed(session_expires=0)
        assert bench.leg.invite is not None
        self.assertIsNone(bench.leg.invite.get("session-expires"))
        self.assertIsNone(self.taken(session_expires=0).leg.timer)
        bench = self.placed("100;refresher=uac", session_expires=0)
        bench.clock.advance(50)
        self.assertEqual(bench.port.asked[-1].request.get("session-expires"), "100;refresher=uac")
        self.dead(self.taken("90;refresher=uac", session_expires=0), 60)

    def test_turned_off(self) -> None:
        """A 200 of a peer with timers that names no interval ends the timer; so does a request where we want none."""
        bench = self.placed("100;refresher=uac")
        bench.clock.advance(50)
        bench.answer_last(200, None, TIMERS)
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", THEIRS)
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", TIMERS)
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", TIMERS)
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", OURS)
        bench.leg.deliver(NEW)
        bench.answer_last(200, "yes", TIMERS)
        self.assertEqual(bench.clock.getDelayedCalls(), [])
        bench.end()

    def test_told_not_to(self) -> None:
        """With a peer that is not told of timers there are none, whatever it says."""
        peer = PeerProfile(without=("timer",))
        bench = UacBench(peer, session_expires=100)
        bench.setup()
        assert bench.leg.invite is not None
        self.assertIsNone(bench.leg.invite.get("session-expires"))
        bench.response(422, min_se="300")
        self.assertEqual(bench.state, State.ENDED)
        called = UasBench(peer=peer, headers=(("session-expires", "100"),), supported="timer", session_expires=100)
        called.leg.deliver(Accept(Description(Kind.ANSWER, "ours")))
        self.assertIsNone(called.tx.responses[-1].get("session-expires"))

    def test_before_the_answer(self) -> None:
        """A change before the answer settles no interval: there is no session yet."""
        bench = UacBench(session_expires=100)
        bench.setup()
        bench.response(183, "early", rseq=7, allow=UPDATES)
        bench.leg.deliver(NEW)
        self.assertIsNone(bench.port.asked[-1].request.get("session-expires"))
        bench.answer_last(200, "yes", OURS)
        response = bench.request("UPDATE", None, THEIRS, TIMERS).responses[0]
        self.assertIsNone(response.get("session-expires"))
        self.assertIsNone(bench.leg.timer)


class TooShortTests(Case):
    """422, which says that somebody on the way wants longer sessions."""

    def test_once_more(self) -> None:
        """The same call is asked for again with as much as is demanded; every later request remembers it."""
        bench = self.calling()
        first = bench.leg.invite
        assert first is not None
        bench.response(422, min_se="300")
        second = bench.leg.invite
        assert second is not None
        self.assertEqual(second.cseq.number, first.cseq.number + 1)
        self.assertEqual((second.call_id, second.from_.tag, second.body), (first.call_id, first.from_.tag, first.body))
        self.assertEqual((second.get("session-expires"), second.get("min-se")), ("300", "300"))
        bench.response(200, "final", session_expires="300;refresher=uac", supported="timer", allow=UPDATES)
        bench.clock.advance(150)
        self.assertEqual(bench.port.asked[-1].request.get("min-se"), "300")

    def test_none_asked(self) -> None:
        """It is obeyed even where we asked for none: the network wants one."""
        bench = self.calling(0)
        bench.response(422, min_se="300")
        assert bench.leg.invite is not None
        self.assertEqual(bench.leg.invite.get("session-expires"), "300")

    def test_in_vain(self) -> None:
        """A 422 that demands no more than was asked, or nothing, or more and more, is a refusal."""
        for demands in (["100"], [""], ["9" * 12], [str(200 + number) for number in range(RAISES + 1)]):
            bench = self.calling()
            for demand in demands:
                self.assertEqual(bench.state, State.CALLING)
                bench.response(422, min_se=demand)
            self.assertEqual((bench.state, bench.heard), (State.ENDED, [End(Reason.PROTOCOL, None, 422)]))

    def test_a_change(self) -> None:
        """A change that meets 422 is asked for once more, and refused where that does not help."""
        bench = self.placed("100;refresher=uac")
        bench.leg.deliver(NEW)
        bench.answer_last(422, None, ("min-se", "200"))
        self.assertEqual(bench.sent, ["UPDATE new"] * 2)
        self.assertEqual(bench.port.asked[-1].request.get("session-expires"), "200;refresher=uac")
        bench.answer_last(422, None, ("min-se", "200"))
        self.assertEqual([type(event) for event in bench.heard], [UpdateReject])

    def test_given_up_meanwhile(self) -> None:
        """A 422 to a call that was given up is its end."""
        bench = self.calling()
        bench.end()
        bench.response(422, min_se="300")
        self.assertEqual((bench.state, bench.sent), (State.ENDED, ["INVITE offer", "CANCEL"]))


class EveryRowTests(SynchronousTestCase):
    def test_every_row(self) -> None:
        """The tests above meet each row of the timer's table."""
        ticks = set()
        for case in walk(RefreshTests, WatchTests, AgreeingTests, TooShortTests):
            assert isinstance(case, Case)
            ticks |= case.ticks
        self.assertEqual({str(row) for row in rows(TIMER) - ticks}, set())
