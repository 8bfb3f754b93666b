"""Why a call ended, in the peer's words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.defaults import TEXT_LIMIT
from rtcgw.model.events import End
from rtcgw.model.reason import Reason
from rtcgw.sip.message import Response
from rtcgw.sip.reasons import of_bye, of_cancel, of_refusal, told
from tests.ims.requests import request


def refusal(status: int, phrase: str = "", **headers: str) -> End:
    response = Response(status, phrase)
    for name, value in headers.items():
        response.set(name.replace("_", "-"), value)
    return of_refusal(response)


class RefusalTests(SynchronousTestCase):
    def test_cause(self) -> None:
        """A cause beside a vague status says what has happened; its words are kept."""
        self.assertEqual(
            refusal(480, "Temporarily Unavailable", reason='Q.850;cause=19;text="No answer from user"'),
            End(Reason.NO_ANSWER, "No answer from user", 480),
        )
        self.assertEqual(refusal(503, reason="Q.850;cause=34"), End(Reason.OVERLOADED, None, 503))
        self.assertEqual(refusal(486, "Busy", reason="Q.850;cause=19"), End(Reason.BUSY, "Busy", 486))

    def test_usual_phrase(self) -> None:
        """The phrase that every server sends with a status is nothing that anybody has said."""
        self.assertEqual(refusal(486, "Busy here"), End(Reason.BUSY, None, 486))
        self.assertEqual(refusal(486, "In a meeting"), End(Reason.BUSY, "In a meeting", 486))

    def test_broken(self) -> None:
        """A Reason that cannot be read says nothing."""
        for value in ('Q.850;cause="', "Q.850;cause=x", "Q.850;cause=1900", ";;", "Q.850", "Q.850;cause=\u0661"):
            self.assertEqual(refusal(480, reason=value), End(Reason.OFFLINE, None, 480), value)

    def test_warning(self) -> None:
        """The first Warning with words says more than the phrase."""
        self.assertEqual(
            refusal(488, "Not Acceptable Here", warning='304 gw "Media type not available", 399 x "more"').text,
            "Media type not available",
        )
        self.assertEqual(refusal(488, "No", warning='399 a ""').text, "No")
        self.assertEqual(refusal(488, "No", warning="399 a").text, "No")
        self.assertEqual(refusal(488, "No", warning='399 a "').text, "No")

    def test_retry_after(self) -> None:
        """When to try again is a part of the text, however long the rest is."""
        self.assertEqual(refusal(503, "Busy", retry_after="30 (maintenance);duration=9").text, "Busy (again in 30 s)")
        self.assertEqual(refusal(480, retry_after="99999999").text, None)
        text = refusal(503, "x" * 500, retry_after="7").text
        self.assertEqual((text or "")[-14:], "(again in 7 s)")
        self.assertEqual(len(text or ""), TEXT_LIMIT)

    def test_cleaned(self) -> None:
        """What the network says is one line without controls."""
        self.assertEqual(refusal(480, "a\x1b[31m\tb").text, "a[31m b")
        self.assertEqual(len(refusal(480, "y" * 500).text or ""), TEXT_LIMIT)


class EndTests(SynchronousTestCase):
    def test_bye(self) -> None:
        """Hung up, unless BYE says otherwise."""
        for value, end in (
            ("", End(Reason.HANGUP)),
            ("Q.850;cause=16", End(Reason.HANGUP)),
            ("Q.850;cause=31", End(Reason.HANGUP)),
            ("Q.850;cause=27", End(Reason.UNREACHABLE)),
            (
                'SIP;cause=200;text="Call completed elsewhere"',
                End(Reason.ANSWERED_ELSEWHERE, "Call completed elsewhere"),
            ),
            ('SIP;cause=503;text="gone", Q.850;cause=38', End(Reason.UNREACHABLE, "gone")),
            ("Q.850;cause=102;text=RTP", End(Reason.TIMEOUT, "RTP")),
        ):
            self.assertEqual(of_bye(request("BYE", reason=value)), end, value)
        self.assertEqual(of_bye(request("BYE")), End(Reason.HANGUP))

    def test_cancel(self) -> None:
        """Given up, unless CANCEL says that another device has decided."""
        for value, end in (
            ("", End(Reason.CANCELLED)),
            ("Q.850;cause=16", End(Reason.CANCELLED)),
            ("SIP;cause=2000", End(Reason.CANCELLED)),
            ("SIP;cause=200", End(Reason.ANSWERED_ELSEWHERE)),
            ("Q.850;cause=26", End(Reason.ANSWERED_ELSEWHERE)),
            ("SIP;cause=603;text=Declined", End(Reason.DECLINED, "Declined")),
        ):
            self.assertEqual(of_cancel(request("CANCEL", reason=value)), end, value)

    def test_first_of_each(self) -> None:
        """Of each protocol the first value counts, and the first words."""
        self.assertEqual(told(request(reason="sip;cause=486, SIP;cause=500, Q.850;cause=17;text=b")), (486, 17, "b"))
