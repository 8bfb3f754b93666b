"""Session timers through the whole gateway: an hour of refreshes of which no page hears, and calls that are dead."""

from __future__ import annotations

from attrs import evolve

from rtcgw.config.sections import Sip
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Page, Rig, configured
from tests.peers.core_call import CoreCall

HOUR = 3600.0
SE = 90
TIMER = ("Supported", "timer")


def terms(refresher: str, seconds: int = SE) -> tuple[tuple[str, str], ...]:
    return (TIMER, ("Session-Expires", f"{seconds};refresher={refresher}"))


class TimedCase(FlowCase):
    """The gateway asks for sessions of 90 s."""

    expires = SE

    def build(self) -> Rig:
        return Rig(evolve(configured(), sip=evolve(Sip(), session_expires=self.expires)))

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def tearDown(self) -> None:
        if self.rig.translator.calls and not self.rig.call.ended:
            self.rig.call.bye()
        super().tearDown()

    def placed(self, *words: tuple[str, str]) -> tuple[CoreCall, str]:
        """The page calls; the phone's 2xx have these headers."""

        def answer(call: CoreCall) -> None:
            call.terms = words
            call.answer("final")

        self.rig.phone(answer)
        session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(session)
        self.rig.advance()
        return self.begun(self.rig.call), session

    def taken(self, *words: tuple[str, str]) -> CoreCall:
        """A phone calls, with these headers in its INVITE."""
        phone = self.rig.core.call("sip:alice@ims.test", "offer", "sip:bob@ims.test", *words)
        self.rig.advance()
        self.alice.answer(self.alice.invited, "ours")
        self.rig.advance()
        return self.begun(phone)

    def begun(self, phone: CoreCall) -> CoreCall:
        self.assertEqual(len(self.rig.translator.calls), 1)
        self.rig.ladder.clear()
        self.judged = len(self.media)
        return phone

    @property
    def media(self) -> list[tuple[object, str, bool]]:
        """What the media have been told as answers."""
        assert isinstance(self.rig.media, FlowMedia)
        return list(self.rig.media.media.answered)

    def heard(self, page: Page) -> list[str]:
        """What a page has heard since the call stood."""
        return [line for line in self.rig.ladder if line.startswith(page.name)]

    def undisturbed(self) -> None:
        """Neither the page nor the media has heard of anything, and the call stands."""
        self.assertEqual((self.heard(self.alice), len(self.media)), ([], self.judged))
        self.assertEqual(len(self.rig.translator.calls), 1)


class HourTests(TimedCase):
    def test_we_refresh(self) -> None:
        """An hour of talk: an UPDATE every 45 s, and nothing else."""
        phone, _ = self.placed(*terms("uac"))
        self.rig.advance(HOUR)
        self.assertEqual([one.method for one in phone.requests if one.method != "ACK"], ["UPDATE"] * 79)
        self.assertTrue(all(not one.body for one in phone.requests))
        self.undisturbed()

    def test_we_refresh_by_reinvite(self) -> None:
        """A phone that refuses UPDATE gets a re-INVITE every 45 s, with the very description that it has."""
        phone, _ = self.placed(*terms("uac"))
        phone.canned["INVITE"] = [(200, "final")] * 100
        phone.canned["UPDATE"] = [(501, None)]
        self.rig.advance(HOUR)
        invites = [one for one in phone.requests if one.method == "INVITE"]
        self.assertEqual(len(invites), 79)
        self.assertEqual({one.body for one in invites}, {phone.invite.body})
        self.undisturbed()

    def test_phone_refreshes(self) -> None:
        """An hour in which the phone refreshes: each gets its 200, and the gateway sends nothing."""
        phone = self.taken(*terms("uac"))
        for _ in range(79):
            self.rig.advance(45)
            phone.request("UPDATE", None, *terms("uac"))
        self.rig.advance(1)
        answers = [one for one in phone.responses if one.cseq.method == "UPDATE"]
        self.assertEqual([one.status for one in answers], [200] * 79)
        self.assertEqual({one.get("session-expires") for one in answers}, {"90;refresher=uac"})
        self.assertEqual([one.method for one in phone.requests], [])
        self.undisturbed()

    def test_phone_refreshes_by_reinvite(self) -> None:
        """Refreshes by re-INVITE repeat the offer; the media say the same again, and no page hears of it."""
        phone = self.taken(*terms("uac"))
        for _ in range(10):
            self.rig.advance(45)
            phone.request("INVITE", "offer", *terms("uac"))
        self.rig.advance(1)
        self.assertEqual(self.heard(self.alice), [])
        self.assertEqual([one.status for one in phone.responses].count(200), 11)

    def test_we_refresh_for_an_old_phone(self) -> None:
        """A caller without timers is asked by us, and lives as long as it answers anything at all."""
        phone = self.taken(("Allow", "INVITE, ACK, BYE, UPDATE"), ("Supported", "100rel"))
        phone.canned["UPDATE"] = [(200, None), (488, None), (603, None)]
        self.rig.advance(HOUR)
        self.assertEqual(len([one for one in phone.requests if one.method == "UPDATE"]), 79)
        self.undisturbed()


class DeadTests(TimedCase):
    """Phones that are gone without a word."""

    def test_no_answer_to_our_refresh(self) -> None:
        """A phone that is dead is found out by the refresh: the page hears `timeout` and the call is over."""
        self.placed(*terms("uac"))
        self.rig.core.silent = True
        self.rig.advance(45 + 33)
        self.assertEqual(self.heard(self.alice), ["alice <- HANGUP timeout"])

    def test_forgotten(self) -> None:
        """A phone that has restarted knows nothing of the call: 481, BYE, and the page is told."""
        phone, _ = self.placed(*terms("uac"))
        phone.canned["UPDATE"] = [(481, None)]
        self.rig.advance(46)
        self.assertEqual(self.heard(self.alice), ["alice <- HANGUP gone"])
        self.assertEqual(phone.last("BYE").get("reason"), "Q.850;cause=111")

    def test_no_refresh_of_the_phone(self) -> None:
        """A phone that should refresh and does not: BYE before the interval is over, by a third of it."""
        phone = self.taken(*terms("uac"))
        self.rig.advance(59.9)
        self.undisturbed()
        self.rig.advance(0.3)
        self.assertEqual(self.heard(self.alice), ["alice <- HANGUP timeout"])
        self.assertEqual(phone.last("BYE").get("reason"), "Q.850;cause=102")

    def test_lost_refresh(self) -> None:
        """A refresh lost on the way is repeated by its transaction."""
        phone, _ = self.placed(*terms("uac"))
        self.rig.lose("UPDATE", "UPDATE")
        self.rig.advance(200)
        self.assertEqual(len([one for one in phone.requests if one.method == "UPDATE"]), 4)
        self.undisturbed()


class TooShortTests(TimedCase):
    def test_ours(self) -> None:
        """A network that wants longer sessions gets its way: one more INVITE of the same call."""
        session = self.alice.call(ECHO)
        self.rig.advance()
        first = self.rig.call
        first.reject(422, "Session Interval Too Small", ("Min-SE", "600"))
        self.rig.advance()
        second = self.rig.call
        self.assertEqual(second.invite.call_id, first.invite.call_id)
        self.assertEqual(second.invite.cseq.number, first.invite.cseq.number + 1)
        self.assertEqual((second.invite.get("session-expires"), second.invite.get("min-se")), ("600", "600"))
        second.answer("final")
        self.rig.advance()
        self.assertEqual(self.alice.last("OK")["session"], session)

    def test_theirs(self) -> None:
        """A phone that asks for too little is told the least, and comes again."""
        phone = self.rig.core.call("sip:alice@ims.test", "offer", "sip:bob@ims.test", TIMER, ("Session-Expires", "60"))
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual((phone.final.status, phone.final.get("min-se")), (422, "90"))
        self.taken(*terms("uac"))


class ConfiguredTests(TimedCase):
    expires = 0

    def build(self) -> Rig:
        return Rig(evolve(configured(), sip=evolve(Sip(), session_expires=0, min_se=120)))

    def test_least(self) -> None:
        """The operator's least interval is that of the refusal."""
        phone = self.rig.core.call("sip:alice@ims.test", "offer", "sip:bob@ims.test", *terms("uac", 119))
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual((phone.final.status, phone.final.get("min-se")), (422, "120"))

    def test_not_asked_for(self) -> None:
        """Configured to ask for none, the gateway asks for none, and does as the phone wishes."""
        phone, _ = self.placed(TIMER)
        self.assertIsNone(phone.invite.get("session-expires"))
        self.rig.advance(200)
        self.assertEqual([one.method for one in phone.requests], ["ACK"])
        phone.request("UPDATE", None, *terms("uas", 120))
        self.rig.advance(61)
        self.assertEqual(phone.requests[-1].method, "UPDATE")
