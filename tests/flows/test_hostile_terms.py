"""What a call's INVITE and its 2xx say of themselves, as nobody should say it: the call is served all the same."""

from __future__ import annotations

from rtcgw.sip.parties import HISTORY_LIMIT
from rtcgw.translator.record import TEXT_LIMIT
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO
from tests.peers.core_call import CoreCall

HUGE = "9" * 4000
WAY = ", ".join(f'"n\\\a{n}" <sip:u{n}@h?Reason=SIP%3Bcause%3D302%0d%0aX>;index=1.{n}' for n in range(100))
ADDRESS = "<sip:" + "a" * 7000 + "@h>"
DRIVEN = '"A\\\x1b[2J\u202eB" <sip:x@y>'
"""A name that would drive a terminal, and turn the direction of what follows."""


class TermsTests(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def rings(self, name: str, *values: str) -> CoreCall:
        """A phone calls and says this, alice's page answers."""
        call = self.rig.core.call("sip:alice@ims.test", "offer", "sip:caller@ims.test", *((name, v) for v in values))
        self.rig.advance()
        self.assertIsNone(call.final, (name, values[0][:40]))
        session = self.alice.invited
        self.alice.send("ANSWER", session=session, sdp="mine")
        self.rig.advance()
        assert call.final is not None
        self.assertEqual(call.final.status, 200)
        return call

    def ends(self, call: CoreCall) -> None:
        call.bye()
        self.rig.advance()
        self.assertEqual(self.rig.layer.counters.get("faults", 0), 0)

    def test_sessions(self) -> None:
        """However long or short a session a caller asks for, it gets one that does no harm, in the call as well."""
        for asked, given in (
            ("4294967296", 1800),
            (HUGE, 1800),
            ("-1", 1800),
            ("", 1800),
            ("soon", 1800),
            ("1", 90),
            ("100;refresher=", 1800),
            ("100;refresher=nobody", 100),
            ("100;refresher=uac;refresher=uas", 1800),
        ):
            call = self.rings("session-expires", asked)
            assert call.final is not None
            self.assertEqual((call.final.get("session-expires") or "").partition(";")[0], str(given), asked[:40])
            call.request("UPDATE", None, ("session-expires", asked))
            self.rig.advance()
            interval = int((call.responses[-1].get("session-expires") or "").partition(";")[0])
            self.assertTrue(90 <= interval <= 1800, asked[:40])
            self.ends(call)
        for asked in ("4294967296", HUGE, "-1", "soon"):
            self.ends(self.rings("min-se", asked))

    def test_agreed(self) -> None:
        """The same of a phone that we call: we neither refresh without end nor give the call up at once."""
        for said in ("4294967296;refresher=uac", "1;refresher=uac", "-5;refresher=uac", "0;refresher=uas", '9;x="'):
            session = self.alice.call(ECHO)
            self.rig.advance()
            phone = self.rig.call
            phone.respond(200, "OK", "answer", ("Session-Expires", said))
            self.rig.advance()
            self.alice.send("ANSWER", session=session)
            self.rig.advance(55)
            self.assertFalse(phone.ended, said)
            self.assertLessEqual(len([one for one in phone.requests if one.method in ("INVITE", "UPDATE")]), 2, said)
            self.alice.send("HANGUP", session=session)
            self.rig.advance()

    def test_longer_and_longer(self) -> None:
        """A proxy that is never content with the session we offer ends the call, after a few tries."""
        for least in ("4294967296", "-1", "", "600000"):
            self.alice.call(ECHO)
            self.rig.advance()
            before = len(self.rig.core.calls)
            for more in range(10):
                if self.rig.call.final is None:
                    raised = str(int(least) + more) if least == "600000" else least
                    self.rig.call.reject(422, "Too Small", ("Min-SE", raised))
                self.rig.advance()
            self.assertLessEqual(len(self.rig.core.calls) - before, 3, least)
            self.assertEqual(self.alice.last("HANGUP")["status"], 422)

    def test_histories(self) -> None:
        """Of a history without end the page is told its beginning, without what would break out of a line."""
        call = self.rings("history-info", *(WAY for _ in range(3)))
        history = self.alice.last("OFFER")["history"]
        self.assertEqual(len(history), HISTORY_LIMIT)
        self.assertEqual(history[0], {"uri": "sip:u0@h", "name": "n0"})
        self.ends(call)
        for name, value in (
            ("history-info", "<" * 4000),
            ("history-info", '"' + "," * 4000),
            ("diversion", ", ".join("<sip:a@h>;privacy=full" for _ in range(300))),
            ("referred-by", "<" * 4000),
            ("privacy", "id;" * 2000),
            ("reason", 'SIP;cause=200;text="' + "x" * 7000 + '"'),
        ):
            self.ends(self.rings(name, value))

    def test_names(self) -> None:
        """What people read, and operators find in their records, is one line of bounded length."""
        call = self.rings("p-asserted-identity", DRIVEN)
        self.assertEqual(self.alice.last("OFFER")["from"]["name"], "A[2JB")
        self.ends(call)
        for name in ("referred-by", "p-asserted-identity", "history-info"):
            self.ends(self.rings(name, ADDRESS))
        record = self.rig.records[-1]
        self.assertEqual(self.rig.records[0].caller_name, "A[2JB")
        self.assertLess(max(len(str(value)) for value in record.line().values()), 1000)

    def test_who_answers(self) -> None:
        """So it is with whoever answers."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.respond(200, "OK", "answer", ("P-Asserted-Identity", ADDRESS))
        self.rig.advance()
        self.alice.send("ANSWER", session=session)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        connected = self.rig.records[-1].connected
        assert connected is not None
        self.assertLessEqual(len(connected), TEXT_LIMIT)
