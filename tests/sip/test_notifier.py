"""One subscription at its notifier: every row of its table, and what comes of NOTIFYs that fail."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.notifier import (
    GAP,
    INotifierPort,
    INotifierSource,
    Notification,
    Notifier,
    NotifierEvent,
    NotifierState,
    Refused,
    duration,
    package,
)
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.txuser import Failure, IClientUser
from rtcgw.sip.uri import Uri

S, E = NotifierState, NotifierEvent


class Answered:
    """A server transaction that keeps its response."""

    def __init__(self) -> None:
        self.response: Response | None = None

    def respond(self, response: Response) -> None:
        self.response = response


@implementer(INotifierPort, INotifierSource)
class World:
    """The way to the subscriber, and what it is told; `said` is what has gone out, or happened."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.sent: list[Request] = []
        self.credentials = True

    def decorate(self, message: Message) -> None:
        message.set("contact", "<sip:us@127.0.0.1>")

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        self.sent.append(request)
        self.said.append(f"{request.get('subscription-state')} {request.body.decode()}")
        return cast(ClientTransaction, self)

    def authorize(self, request: Request, response: Response) -> Request | None:
        if not self.credentials:
            return None
        again = Request("NOTIFY", request.uri)
        for name, values in request.headers.items():
            again.headers[name] = list(values)
        again.set("cseq", f"{request.cseq.number + 1} NOTIFY")
        again.body = request.body
        return again

    @property
    def request(self) -> Request:
        """As a transaction: what it has sent."""
        return self.sent[-1]

    def notification(self, full: bool) -> Notification:
        return Notification("text/plain", b"full" if full else b"partial")

    def watching_ended(self, notifier: Notifier) -> None:
        self.said.append("over")


def subscribe(**headers: str) -> Request:
    made = Request("SUBSCRIBE", Uri.parse("sip:us@127.0.0.1"))
    fields = {
        "from": "<sip:phone@x>;tag=theirs",
        "to": "<sip:us@127.0.0.1>",
        "call-id": "c",
        "cseq": "1 SUBSCRIBE",
        "via": "SIP/2.0/UDP x;branch=z9hG4bK1",
        "contact": "<sip:phone@198.51.100.7>",
        "event": "news",
        "expires": "600",
        **headers,
    }
    for name, value in fields.items():
        made.set(name, value)
    return made


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.world = World()
        dialog = Dialog.as_uas(subscribe(), "ours")
        self.notifier = Notifier(self.world, dialog, "news", self.world, self.clock)

    def ask(self, **headers: str) -> Response:
        tx: Any = Answered()
        self.notifier.subscribed(cast(ServerTransaction, tx), subscribe(**headers))
        assert tx.response is not None
        return cast(Response, tx.response)

    def said(self) -> list[str]:
        said, self.world.said = self.world.said, []
        return said

    @property
    def state(self) -> NotifierState:
        return self.notifier.machine.state

    def answer(self, status: int, *headers: tuple[str, str]) -> None:
        """The subscriber's answer to the last NOTIFY."""
        response = make_response(self.world.sent[-1], status, "")
        for name, value in headers:
            response.set(name, value)
        self.notifier.got_response(cast(ClientTransaction, self.world), response)


class LifeTests(Case):
    def test_first(self) -> None:
        """Taken, told everything, and done with telling until there is news."""
        response = self.ask()
        self.assertEqual((response.status, response.get("expires"), response.to.tag), (200, "600", "ours"))
        self.assertEqual(self.said(), ["active;expires=600 full"])
        self.assertIs(self.state, S.RESTING)
        self.clock.advance(GAP)
        self.assertIs(self.state, S.CURRENT)
        self.assertEqual(self.said(), [])

    def test_news(self) -> None:
        """News is told at once, faster news in one go a second later, and nothing is lost."""
        self.ask()
        self.clock.advance(GAP)
        self.said()
        for _ in range(5):
            self.notifier.changed()
        self.assertEqual(self.said(), ["active;expires=599 partial"])
        self.assertIs(self.state, S.OWING)
        self.clock.advance(GAP)
        self.assertEqual(self.said(), ["active;expires=598 partial"])
        self.clock.advance(GAP)
        self.assertIs(self.state, S.CURRENT)

    def test_refresh(self) -> None:
        """A refresh brings everything again, in its turn, and another end."""
        self.ask()
        self.ask(expires="60")
        self.notifier.changed()
        self.assertIs(self.state, S.OWING)
        self.clock.advance(GAP)
        self.assertEqual(self.said()[1:], ["active;expires=59 full"])
        self.clock.advance(59)
        self.assertEqual(self.said(), ["terminated;reason=timeout partial", "over"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refresh_when_quiet(self) -> None:
        """So does one that comes when nothing else is due, at once."""
        self.ask()
        self.clock.advance(GAP)
        self.ask()
        self.assertEqual(self.said()[1:], ["active;expires=600 full"])

    def test_every_end(self) -> None:
        """Whatever the state, it ends: by the subscriber, by the clock, for want of anything to watch, or unheard."""
        ends: tuple[tuple[Callable[[Notifier], object], list[str]], ...] = (
            (lambda _: self.ask(expires="0"), ["terminated;reason=timeout full", "over"]),
            (lambda _: self.clock.advance(601), ["terminated;reason=timeout partial", "over"]),
            (methodcaller("close"), ["terminated;reason=noresource partial", "over"]),
            (methodcaller("lose"), ["over"]),
        )
        for state in (S.CURRENT, S.RESTING, S.OWING):
            for end, expected in ends:
                self.setUp()
                self.ask()
                if state is S.CURRENT:
                    self.clock.advance(GAP)
                elif state is S.OWING:
                    self.notifier.changed()
                self.assertIs(self.state, state)
                self.said()
                end(self.notifier)
                self.assertEqual(self.said()[-len(expected) :], expected)
                self.assertIs(self.state, S.OVER)
                self.notifier.changed()
                self.notifier.close()
                self.notifier.lose()
                self.assertEqual((self.said(), self.clock.getDelayedCalls()), ([], []))

    def test_fetched(self) -> None:
        """Expires 0 at the beginning is one look."""
        self.ask(expires="0")
        self.assertEqual(self.said(), ["terminated;reason=timeout full", "over"])


class AnswerTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.ask()
        self.said()

    def test_taken(self) -> None:
        """200, and a refusal that says when to come again, change nothing."""
        self.answer(200)
        self.answer(503, ("retry-after", "10"))
        self.assertIs(self.state, S.RESTING)

    def test_refused(self) -> None:
        """Any other refusal, or silence, ends it without another word."""
        for status in (481, 404, 503):
            self.setUp()
            self.answer(status)
            self.assertEqual((self.said(), self.state), (["over"], S.OVER))
        self.setUp()
        self.notifier.got_failure(cast(ClientTransaction, self.world), Failure.TIMEOUT)
        self.assertEqual((self.said(), self.state), (["over"], S.OVER))

    def test_challenged(self) -> None:
        """A challenge is met once; numbers go on from there."""
        number = self.world.sent[-1].cseq.number
        self.answer(407)
        self.assertEqual(self.world.sent[-1].cseq.number, number + 1)
        self.clock.advance(GAP)
        self.notifier.changed()
        self.assertEqual(self.world.sent[-1].cseq.number, number + 2)
        self.answer(401)
        self.answer(401)
        self.assertIs(self.state, S.OVER)

    def test_challenge_that_cannot_be_met(self) -> None:
        """Without credentials it is a refusal."""
        self.world.credentials = False
        self.answer(407)
        self.assertIs(self.state, S.OVER)


class HeaderTests(SynchronousTestCase):
    def test_package(self) -> None:
        """The event is repeated with its id; bodies that we do not make are refused, and so are other packages."""
        self.assertEqual(package(subscribe(event="News;id=7"), "news", "text/plain"), "News;id=7")
        for accept in ("text/plain;charset=x, a/b", "*/*"):
            package(subscribe(accept=accept), "news", "text/plain")
        for headers, status in (({"event": "other"}, 489), ({"accept": "a/b"}, 406)):
            with self.assertRaises(Refused) as caught:
                package(subscribe(**headers), "news", "text/plain")
            self.assertEqual(caught.exception.response.status, status)
        self.assertRaises(HeaderError, package, subscribe(event=""), "news", "text/plain")

    def test_duration(self) -> None:
        """At most an hour, at least a minute, or nothing; what is no number is no request."""
        for text, seconds in (("60", 60), ("0", 0), ("9999999999", 3600)):
            self.assertEqual(duration(subscribe(expires=text)), seconds)
        self.assertRaises(Refused, duration, subscribe(expires="59"))
        for text in ("-1", "x", "1" * 11, "٣"):
            self.assertRaises(HeaderError, duration, subscribe(expires=text))
