"""One subscription: every row of its table, and the ladders of RFC 6665 as a notifier would play them."""

from __future__ import annotations

from enum import Enum
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.subscription import (
    SUBSCRIPTION,
    ISubscriptionPort,
    ISubscriptionUser,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
)
from rtcgw.sip.txuser import Failure, IClientUser
from rtcgw.sip.uri import Uri
from tests.sip.doubles import Expected, check_rows, with_via

S, E = SubscriptionState, SubscriptionEvent
ASK = ["began", "SUBSCRIBE 600"]

ROWS: Expected = {
    (S.IDLE, E.START): (S.ASKING, ASK),
    (S.ASKING, E.STOP): (S.IDLE, []),
    (S.ASKING, E.TAKEN): (S.ASKING, []),
    (S.ASKING, E.CHALLENGED): (S.ASKING, ["SUBSCRIBE 600"]),
    (S.ASKING, E.BRIEF): (S.ASKING, ["SUBSCRIBE 900"]),
    (S.ASKING, E.GONE): (S.RESTING, []),
    (S.ASKING, E.REFUSED): (S.IDLE, ["ended"]),
    (S.ASKING, E.FAILED): (S.RESTING, []),
    (S.ASKING, E.LIVE): (S.ACTIVE, []),
    (S.ASKING, E.AGAIN): (S.ASKING, ASK),
    (S.ASKING, E.LATER): (S.RESTING, []),
    (S.ASKING, E.OVER): (S.IDLE, ["ended"]),
    (S.ASKING, E.TIMER_N): (S.RESTING, []),
    (S.ACTIVE, E.STOP): (S.LEAVING, ["SUBSCRIBE 0"]),
    (S.ACTIVE, E.TAKEN): (S.ACTIVE, []),
    (S.ACTIVE, E.LIVE): (S.ACTIVE, []),
    (S.ACTIVE, E.AGAIN): (S.ASKING, ASK),
    (S.ACTIVE, E.LATER): (S.RESTING, []),
    (S.ACTIVE, E.OVER): (S.IDLE, ["ended"]),
    (S.ACTIVE, E.REFRESH): (S.REFRESHING, ["SUBSCRIBE 600"]),
    (S.ACTIVE, E.EXPIRED): (S.ASKING, ASK),
    (S.REFRESHING, E.STOP): (S.LEAVING, ["SUBSCRIBE 0"]),
    (S.REFRESHING, E.TAKEN): (S.ACTIVE, []),
    (S.REFRESHING, E.CHALLENGED): (S.REFRESHING, ["SUBSCRIBE 600"]),
    (S.REFRESHING, E.BRIEF): (S.REFRESHING, ["SUBSCRIBE 900"]),
    (S.REFRESHING, E.GONE): (S.ASKING, ASK),
    (S.REFRESHING, E.REFUSED): (S.IDLE, ["ended"]),
    (S.REFRESHING, E.FAILED): (S.ACTIVE, []),
    (S.REFRESHING, E.LIVE): (S.REFRESHING, []),
    (S.REFRESHING, E.AGAIN): (S.ASKING, ASK),
    (S.REFRESHING, E.LATER): (S.RESTING, []),
    (S.REFRESHING, E.OVER): (S.IDLE, ["ended"]),
    (S.REFRESHING, E.EXPIRED): (S.ASKING, ASK),
    (S.LEAVING, E.START): (S.ASKING, ASK),
    (S.LEAVING, E.CHALLENGED): (S.LEAVING, ["SUBSCRIBE 0"]),
    (S.LEAVING, E.BRIEF): (S.IDLE, []),
    (S.LEAVING, E.GONE): (S.IDLE, []),
    (S.LEAVING, E.REFUSED): (S.IDLE, []),
    (S.LEAVING, E.FAILED): (S.IDLE, []),
    (S.LEAVING, E.AGAIN): (S.IDLE, []),
    (S.LEAVING, E.LATER): (S.IDLE, []),
    (S.LEAVING, E.OVER): (S.IDLE, []),
    (S.LEAVING, E.TIMER_N): (S.IDLE, []),
    (S.RESTING, E.START): (S.ASKING, ASK),
    (S.RESTING, E.STOP): (S.IDLE, []),
    (S.RESTING, E.RESTED): (S.ASKING, ASK),
}


class FakeTx:
    """A transaction of either side, by its request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.statuses: list[int] = []

    def respond(self, response: Response) -> None:
        self.statuses.append(response.status)


@implementer(ISubscriptionPort, ISubscriptionUser)
class Rig:
    """A subscription between a notifier and a user that the test plays; `said` is what it did."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.sent: list[FakeTx] = []
        self.states: list[str] = []
        self.credentials = True
        self.notified_number = 0
        target = Uri.parse("sip:me@home")
        self.subscription = Subscription(self, self, self.clock, target, "reg", "application/reginfo+xml", 600)

    # -- the port

    def subscribe(self, target: Uri) -> Request:
        request = Request("SUBSCRIBE", target)
        request.add("from", f"<sip:me@home>;tag=at{len(self.sent)}")
        request.add("to", "<sip:me@home>")
        request.add("call-id", f"call{len(self.sent)}")
        request.add("cseq", "5 SUBSCRIBE")
        return request

    def decorate(self, message: Message) -> None:
        message.set("contact", "<sip:gw@127.0.0.1>")

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        self.sent.append(FakeTx(with_via(request)))
        self.said.append(f"SUBSCRIBE {request.get('expires')}")
        return cast(ClientTransaction, self.sent[-1])

    def authorize(self, request: Request, response: Response) -> Request | None:
        if not self.credentials:
            return None
        again = Request("SUBSCRIBE", request.uri)
        for name in ("from", "to", "call-id", "event", "accept", "expires"):
            again.add(name, request.get(name) or "")
        again.set("cseq", f"{request.cseq.number + 1} SUBSCRIBE")
        return again

    # -- the user

    def subscription_began(self) -> None:
        self.said.append("began")

    def notified(self, request: Request, state: str) -> None:
        self.states.append(state)

    def subscription_ended(self, why: str) -> None:
        self.said.append("ended")
        self.states.append(why)

    # -- the notifier

    @property
    def state(self) -> SubscriptionState:
        return self.subscription.machine.state

    @property
    def request(self) -> Request:
        return self.sent[-1].request

    def respond(self, status: int, *headers: tuple[str, str], tx: FakeTx | None = None) -> None:
        tx = tx or self.sent[-1]
        response = make_response(tx.request, status, None, "bt")
        for name, value in headers:
            response.add(name, value)
        self.subscription.got_response(cast(ClientTransaction, tx), response)

    def fail(self) -> None:
        self.subscription.got_failure(cast(ClientTransaction, self.sent[-1]), Failure.TIMEOUT)

    def notify(self, state: str = "active;expires=600", tag: str = "bt", event: str = "reg", number: int = 0) -> int:
        """Send a NOTIFY; its answer, or 0 when the subscription does not want it."""
        self.notified_number += 1
        request = Request("NOTIFY", Uri.parse("sip:gw@127.0.0.1"))
        request.add("from", f"<sip:me@home>;tag={tag}")
        request.add("to", str(self.request.from_))
        request.add("call-id", self.request.call_id)
        request.add("cseq", f"{number or self.notified_number} NOTIFY")
        request.add("contact", "<sip:scscf@10.0.0.1>")
        request.add("record-route", "<sip:p1;lr>")
        request.add("event", event)
        request.add("subscription-state", state)
        tx = FakeTx(with_via(request))
        taken = self.subscription.got_notify(cast(ServerTransaction, tx), request)
        return tx.statuses[0] if taken else 0

    def to(self, state: SubscriptionState) -> None:
        """Play until the subscription is in `state`."""
        if state is S.IDLE:
            return
        self.subscription.start()
        if state is S.RESTING:
            self.fail()
        elif state is not S.ASKING:
            self.respond(200)
            self.notify()
            if state is S.REFRESHING:
                self.clock.advance(300)
            elif state is S.LEAVING:
                self.subscription.stop()


def argument(rig: Rig, event: Enum) -> tuple[Any, ...]:
    if event in (E.LATER, E.AGAIN, E.OVER):
        return ("rejected",)
    if event is E.LIVE:
        return (600.0,)
    if event in (E.TAKEN, E.CHALLENGED, E.BRIEF, E.GONE, E.REFUSED, E.FAILED):
        request = rig.request if rig.sent else with_via(rig.subscribe(Uri.parse("sip:x@y")))
        response = make_response(request, 423, None, "bt")
        response.add("min-expires", "900")
        return (response,)
    return ()


def play(state: Enum, event: Enum) -> tuple[Enum, list[str]]:
    rig = Rig()
    rig.to(cast(SubscriptionState, state))
    assert rig.state is state
    rig.said.clear()
    rig.subscription.machine.handle(cast(SubscriptionEvent, event), *argument(rig, event))
    return rig.state, rig.said


class RowsTest(TestCase):
    def test_rows(self) -> None:
        """The subscription does in each state what its table promises, and nothing more."""
        check_rows(self, SUBSCRIPTION, ROWS, play)


class LifeTest(TestCase):
    def setUp(self) -> None:
        self.rig = Rig()

    def test_ordinary(self) -> None:
        """Asked, confirmed, notified, refreshed half-way, left with Expires 0."""
        rig = self.rig
        rig.subscription.start()
        self.assertEqual((rig.request.get("event"), rig.request.get("accept")), ("reg", "application/reginfo+xml"))
        self.assertEqual(rig.subscription.key, ("call0", "at0"))
        rig.respond(200, ("expires", "400"))
        self.assertEqual(rig.notify("active;expires=400"), 200)
        rig.clock.advance(200)
        refresh = rig.request
        self.assertEqual(
            (str(refresh.cseq), refresh.to.tag, str(refresh.uri)), ("6 SUBSCRIBE", "bt", "sip:scscf@10.0.0.1")
        )
        self.assertEqual(refresh.headers["route"], ["<sip:p1;lr>"])
        self.assertEqual(refresh.get("contact"), "<sip:gw@127.0.0.1>")
        rig.respond(200, ("expires", "400"))
        rig.subscription.stop()
        rig.respond(200)
        self.assertEqual(rig.notify("terminated;reason=timeout"), 200)
        self.assertEqual(rig.said, ["began", "SUBSCRIBE 600", "SUBSCRIBE 600", "SUBSCRIBE 0"])
        self.assertEqual((rig.state, rig.states), (S.IDLE, ["active", "terminated"]))
        self.assertEqual(rig.clock.getDelayedCalls(), [])
        self.assertIsNone(rig.subscription.key)

    def test_long_ones_are_refreshed_600_s_before(self) -> None:
        """A subscription of a week is not refreshed half-way."""
        self.rig.subscription.start()
        self.rig.notify("active;expires=600000")
        self.assertEqual(self.rig.subscription.machine.timers(), {"refresh": 599400.0, "expiry": 600000.0})

    def test_notify_overtakes_the_200(self) -> None:
        """The NOTIFY makes the subscription, whether the 200 has come or not; the 200 then tells its duration."""
        self.rig.subscription.start()
        self.assertEqual(self.rig.notify("active"), 200)
        self.assertIs(self.rig.state, S.ACTIVE)
        self.rig.respond(200, ("expires", "60"))
        self.assertEqual(self.rig.subscription.machine.timers()["expiry"], 60.0)

    def test_duration_of_the_200_counts(self) -> None:
        """When the NOTIFY says no duration, the 200's holds, not the one asked for."""
        self.rig.subscription.start()
        self.rig.respond(200, ("expires", "60"))
        self.rig.notify("active")
        self.assertEqual(self.rig.subscription.machine.timers()["expiry"], 60.0)

    def test_a_duration_of_nothing(self) -> None:
        """A notifier that grants nothing does not make us ask without end."""
        self.rig.subscription.start()
        self.rig.notify("active;expires=0")
        self.rig.clock.advance(4.9)
        self.assertEqual(len(self.rig.sent), 1)

    def test_no_notify(self) -> None:
        """N: a subscription that is confirmed but never notified is asked for anew after a pause."""
        self.rig.subscription.start()
        self.rig.respond(200)
        self.rig.clock.advance(32)
        self.assertIs(self.rig.state, S.RESTING)
        self.assertEqual(self.rig.notify(), 0)
        self.rig.clock.advance(30)
        self.assertIs(self.rig.state, S.ASKING)
        self.assertEqual(self.rig.request.call_id, "call1")

    def test_pauses_grow(self) -> None:
        """A notifier that is down is asked ever more rarely, at least once in half an hour."""
        rig = self.rig
        rig.subscription.start()
        pauses = []
        for _ in range(12):
            rig.fail()
            pauses.append(rig.subscription.machine.timers()["rest"])
            rig.clock.advance(pauses[-1])
        self.assertTrue(15 <= pauses[0] <= 30)
        self.assertTrue(all(900 <= pause <= 1800 for pause in pauses[7:]))
        rig.notify()
        rig.notify("terminated;reason=giveup")
        self.assertLessEqual(rig.subscription.machine.timers()["rest"], 30)

    def test_expiry(self) -> None:
        """Refreshes that find no answer do not end the subscription before its time; then it is asked for anew."""
        rig = self.rig
        rig.to(S.REFRESHING)
        rig.respond(503, ("retry-after", "100"))
        self.assertEqual(rig.subscription.machine.timers(), {"expiry": 300.0, "refresh": 100.0})
        rig.clock.advance(100)
        rig.fail()
        rig.clock.advance(15)
        while rig.state is not S.ASKING:
            rig.fail()
            rig.clock.advance(30)
        self.assertEqual(rig.said.count("began"), 2)


class RefusalsTest(TestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.rig.subscription.start()

    def test_challenge(self) -> None:
        """A challenge is met; one after another is a refusal."""
        self.rig.respond(401)
        self.assertEqual(self.rig.request.cseq.number, 6)
        self.rig.respond(407)
        self.rig.respond(401)
        self.assertEqual((self.rig.state, self.rig.states), (S.IDLE, ["401 Unauthorized"]))

    def test_challenge_of_a_refresh(self) -> None:
        """The numbers of the dialog go on after a challenge."""
        self.rig.notify()
        self.rig.clock.advance(300)
        self.rig.respond(401)
        self.rig.respond(200)
        self.rig.subscription.stop()
        self.assertEqual(self.rig.request.cseq.number, 8)

    def test_no_credentials(self) -> None:
        """A challenge that cannot be met is a refusal."""
        self.rig.credentials = False
        self.rig.respond(401)
        self.assertEqual(self.rig.state, S.IDLE)

    def test_bad_event(self) -> None:
        """489: a registrar without the package is not asked again."""
        self.rig.respond(489)
        self.rig.clock.advance(10000)
        self.assertEqual((self.rig.said, self.rig.states), ([*ASK, "ended"], ["489 Bad Event"]))

    def test_brief(self) -> None:
        """423: a longer duration is asked for, as long as the notifier says a longer one."""
        self.rig.respond(423, ("min-expires", "900"))
        self.assertEqual(self.rig.request.get("expires"), "900")
        self.rig.respond(423, ("min-expires", "900"))
        self.assertIs(self.rig.state, S.RESTING)

    def test_lost_by_the_notifier(self) -> None:
        """481 on a refresh: a new subscription, in a new dialog, at once."""
        self.rig.notify()
        self.rig.clock.advance(300)
        self.rig.respond(481)
        self.assertEqual((self.rig.state, self.rig.request.call_id, self.rig.request.to.tag), (S.ASKING, "call2", None))

    def test_stale_answer(self) -> None:
        """The late answer to a SUBSCRIBE that was given up decides nothing."""
        old = self.rig.sent[0]
        self.rig.subscription.stop()
        self.rig.subscription.start()
        self.rig.respond(489, tx=old)
        self.assertIs(self.rig.state, S.ASKING)


class TerminatedTest(TestCase):
    def end(self, state: str, age: float = 100.0) -> Rig:
        rig = Rig()
        rig.subscription.start()
        rig.notify()
        rig.clock.advance(age)
        rig.said.clear()
        self.assertEqual(rig.notify(state), 200)
        return rig

    def test_reasons(self) -> None:
        """What the reason of an end allows (RFC 6665 §4.1.3): again, later, or never."""
        for state, after in (
            ("terminated;reason=deactivated", S.ASKING),
            ("terminated;reason=timeout", S.ASKING),
            ("terminated", S.ASKING),
            ("terminated;reason=novelty", S.ASKING),
            ("terminated;reason=timeout;retry-after=20", S.RESTING),
            ("terminated;reason=probation", S.RESTING),
            ("terminated;reason=giveup", S.RESTING),
            ("terminated;reason=rejected", S.IDLE),
            ("terminated;reason=noresource", S.IDLE),
            ("terminated;reason=invariant", S.IDLE),
        ):
            self.assertIs(self.end(state).state, after, state)

    def test_retry_after(self) -> None:
        """The pause that the notifier asks for is kept."""
        rig = self.end("terminated;reason=probation;retry-after=77")
        self.assertEqual(rig.subscription.machine.timers(), {"rest": 77.0})

    def test_no_circle(self) -> None:
        """A notifier that ends each subscription at once is not asked at once."""
        self.assertIs(self.end("terminated;reason=deactivated", age=1).state, S.RESTING)


class NotifyTest(TestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.rig.subscription.start()

    def test_fork(self) -> None:
        """A second notifier is refused; the first one goes on."""
        self.assertEqual(self.rig.notify(), 200)
        self.assertEqual(self.rig.notify(tag="other"), 481)
        self.assertEqual(self.rig.notify(), 200)

    def test_order(self) -> None:
        """NOTIFYs out of order are refused."""
        self.assertEqual(self.rig.notify(number=5), 200)
        self.assertEqual(self.rig.notify(number=4), 500)
        self.assertEqual(self.rig.states, ["active"])

    def test_wrong_event(self) -> None:
        """A NOTIFY of another package is refused with 489."""
        self.assertEqual(self.rig.notify(event="presence"), 489)

    def test_unreadable(self) -> None:
        """A NOTIFY without a state is refused by the layer below, and changes nothing."""
        with self.assertRaises(HeaderError):
            self.rig.notify(state="")
        self.assertIs(self.rig.state, S.ASKING)

    def test_not_ours(self) -> None:
        """After the end NOTIFYs belong to nobody here."""
        self.rig.subscription.stop()
        self.assertEqual(self.rig.notify(), 0)

    def test_stopped_from_inside(self) -> None:
        """The user may stop the subscription while it is told of a NOTIFY."""
        rig = self.rig
        rig.notify()
        rig.notified = lambda request, state: rig.subscription.stop()  # type: ignore[method-assign]
        rig.notify()
        self.assertIs(rig.state, S.LEAVING)
