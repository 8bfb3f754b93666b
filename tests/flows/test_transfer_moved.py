"""Transfers that the gateway makes by itself: the far party's half of the call goes to the target."""

from __future__ import annotations

from rtcgw.model.identity import SessionId
from tests.flows.transfers import TARGET, TransferCase, origin, sdp
from tests.peers.core_call import CoreCall


class PhoneTests(TransferCase):
    """A phone is handed on to another phone."""

    def target(self) -> CoreCall:
        """The page asks, the target rings."""
        self.phone.canned["UPDATE"] = [(200, sdp("echo"))]
        self.transfer(to=TARGET)
        target = self.rig.call
        self.assertIsNot(target, self.phone)
        target.ring()
        self.rig.advance()
        return target

    def together(self, target: CoreCall) -> None:
        """Both phones are in one call: when one hangs up so does the other."""
        self.rig.advance()
        self.assertFalse(self.phone.ended)
        target.bye()
        self.rig.advance()
        self.assertTrue(self.phone.ended)

    def test_blind(self) -> None:
        """The target is called without an offer; its own goes to the phone that is transferred, whose answer goes in
        the ACK. The page hears how it goes, and then that it is out."""
        target = self.target()
        target.answer(sdp("target"))
        self.rig.advance()
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            alice <- TRANSFER trying
            core <- INVITE
            core -> 100 INVITE
            core -> 180 INVITE
            alice <- TRANSFER ringing
            core -> 200 INVITE sdp
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            alice <- TRANSFER done
            alice <- HANGUP transferred
            core <- ACK sdp
            """
        )
        self.assertEqual(target.invite.get("referred-by"), "<sip:alice@ims.test>")
        self.assertFalse(target.invite.has("supported", "100rel"))
        self.assertIn(b"o=- 1 1 IN", target.last("ACK").body)
        self.assertIn(b"m=audio 4000", self.phone.last("UPDATE").body)
        self.together(target)

    def test_records(self) -> None:
        """Each of the two calls has its record: the first one ended because it was transferred."""
        target = self.target()
        target.answer(sdp("target"))
        self.together(target)
        self.assertEqual([record.reason for record in self.rig.records], ["transferred", "hangup"])

    def test_lost_packets(self) -> None:
        """Any message may be lost once: all comes to the same."""
        self.page.send("HANGUP", session=self.session)
        for lost in ("INVITE", "180", "200", "UPDATE", "ACK"):
            self.session, self.phone = self.talk()
            self.phone.canned["UPDATE"] = [(200, sdp("echo"))]
            self.rig.lose(lost)
            self.transfer(to=TARGET)
            self.rig.advance(2)
            target = self.rig.call
            target.ring()
            self.rig.advance()
            target.answer(sdp("target"))
            self.rig.advance(0.2)
            if not self.news() or self.news()[-1] != "done":
                target.answer_again()
            self.rig.advance(2)
            if not target.acked:
                target.answer_again()
                self.rig.advance()
            self.assertEqual(self.news()[-1], "done", lost)
            self.assertTrue(target.acked, lost)
            self.together(target)

    def test_target_does_not_answer(self) -> None:
        """Refused, or nobody there: the page hears why, with the status, and has its call."""
        target = self.target()
        target.reject(486, "Busy Here")
        self.rig.advance()
        self.assertEqual((self.news()[-1], self.page.last("TRANSFER")["status"]), ("busy", 486))
        self.target()
        self.rig.advance(200)
        self.assertEqual(self.news()[-1], "no-answer")
        self.assertTrue(self.rig.call.cancelled)
        self.rig.call.reject(487, "Request Terminated")
        self.still_talks()

    def test_phone_refuses_the_target(self) -> None:
        """The phone does not take the target's media: the target is hung up on, the first call is as it was."""
        target = self.target()
        self.phone.canned["UPDATE"] = [(488, None)]
        target.answer(sdp("target"))
        self.rig.advance()
        self.assertEqual(self.news()[-1], "media-incompatible")
        self.assertTrue(target.acked)
        self.assertTrue(target.ended)
        self.still_talks()

    def test_who_asked_hangs_up(self) -> None:
        """A page that hands on and hangs up at once: the transfer goes on without it."""
        target = self.target()
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertFalse(self.phone.ended)
        target.answer(sdp("target"))
        self.together(target)

    def test_left_alone(self) -> None:
        """It has hung up, and the target does not answer: the phone is let go."""
        target = self.target()
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        target.reject(480, "Temporarily Unavailable")
        self.rig.advance()
        self.assertTrue(self.phone.ended)

    def test_phone_hangs_up(self) -> None:
        """The phone that is to be transferred hangs up: the target's ringing stops, and the page knows."""
        target = self.target()
        self.phone.bye()
        self.rig.advance()
        self.assertTrue(target.cancelled)
        target.reject(487, "Request Terminated")
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_both_change_at_once(self) -> None:
        """Glare with the phone's own change: it is asked again after the pause of RFC 3261 §14.1."""
        target = self.target()
        self.phone.canned["UPDATE"] = [(491, None), (200, sdp("echo"))]
        target.answer(sdp("target"))
        self.rig.advance(5)
        self.assertEqual(self.news()[-1], "done")
        self.together(target)

    def test_page_reloads_meanwhile(self) -> None:
        """The page that asked is away when it happens: the transfer does not need it."""
        target = self.target()
        self.page.drop()
        target.answer(sdp("target"))
        self.together(target)

    def test_profile_is_refused(self) -> None:
        """The network refuses the profile for good while the target rings: nothing of either call is left."""
        target = self.target()
        self.rig.core.network_deregisters("sip:alice@ims.test", "rejected")
        self.rig.advance(1)
        self.assertTrue(self.phone.ended)
        self.assertTrue(target.cancelled)
        target.reject(487, "Request Terminated")

    def test_one_at_a_time(self) -> None:
        """A second transfer of the same call meanwhile is refused, and does not disturb the first one."""
        target = self.target()
        self.transfer(to="sip:other@ims.test")
        self.assertEqual(self.news()[-1], "conflict")
        target.answer(sdp("target"))
        self.together(target)

    def test_nobody_of_that_name(self) -> None:
        """An address that is none."""
        self.transfer(to="sip:not an address")
        self.assertEqual(self.news(), ["trying", "not-found"])
        self.still_talks()

    def test_again(self) -> None:
        """A call that was made by a transfer can be transferred once more, by REFER of the phone that was handed on."""
        target = self.target()
        target.answer(sdp("target"))
        self.rig.advance()
        target.canned["UPDATE"] = [(200, sdp("target", 4002, 2))]
        self.phone.request("REFER", None, ("refer-to", "<sip:third@ims.test>"))
        self.rig.advance()
        third = self.rig.call
        self.assertIsNot(third, target)
        third.answer(sdp("third"))
        self.rig.advance()
        self.assertTrue(self.phone.ended)
        self.assertEqual(third.invite.get("referred-by"), self.phone.invite.get("to"))
        third.bye()
        self.rig.advance()
        self.assertTrue(target.ended)


class OneSessionTests(TransferCase):
    def test_origin(self) -> None:
        """Whatever is told to a phone in one dialog is one session, the next version of it each time (RFC 3264 §8)."""
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.page.look()
        self.phone = self.rig.ring(sdp("echo"))
        self.session = self.page.invited
        self.page.send("RINGING", session=self.session)
        self.page.send("ANSWER", session=self.session, sdp="mine")
        self.rig.advance()
        leg = self.rig.translator.calls[SessionId(self.session)].caller
        leg.told = sdp("gateway", version=41)  # type: ignore[attr-defined]  # marked media write no SDP
        self.transfer(to=TARGET)
        self.phone.canned["INVITE"] = [(200, sdp("echo"))]
        target = self.rig.call
        target.answer(sdp("target", 5000))
        self.rig.advance()
        told = self.phone.last("INVITE")
        self.assertEqual(origin(told), "o=gateway 1 42 IN IP4 192.0.2.1")
        self.assertIn(b"m=audio 5000", told.body)
        target.bye()
        self.rig.advance()


class AttendedTests(TransferCase):
    """The page has talked to the target first."""

    def setUp(self) -> None:
        super().setUp()
        self.other, self.target = self.talk(TARGET, "from-target")
        self.phone.canned["UPDATE"] = [(200, sdp("echo"))]
        self.target.canned["INVITE"] = [(200, sdp("target"))]
        self.rig.ladder.clear()

    def test_attended(self) -> None:
        """The phone and the target are joined: one is asked for an offer, which the other answers. The page is out of
        both calls."""
        self.transfer(**{"with": self.other})
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            alice <- TRANSFER trying
            core <- INVITE
            core -> 200 INVITE sdp
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            alice <- HANGUP transferred
            alice <- TRANSFER done
            alice <- HANGUP transferred
            core <- ACK sdp
            """
        )
        self.assertFalse(self.phone.ended or self.target.ended)
        self.phone.bye()
        self.rig.advance()
        self.assertTrue(self.target.ended)

    def test_held(self) -> None:
        """The page has put the target on hold meanwhile: that one is offered the other's media, so that it speaks
        again; asked for an offer it would offer to be on hold."""
        self.target.canned["UPDATE"] = [(200, "held"), (200, sdp("target"))]
        self.page.send("HOLD", session=self.other, on=True)
        self.phone.canned["INVITE"] = [(200, sdp("echo"))]
        self.rig.advance()
        self.transfer(**{"with": self.other})
        self.assertEqual(self.news(), ["trying", "done"])
        self.assertEqual(self.phone.last("INVITE").body, b"")
        self.assertIn(b"m=audio", self.target.last("UPDATE").body)
        self.target.bye()
        self.rig.advance()
        self.assertTrue(self.phone.ended)

    def test_target_refuses(self) -> None:
        """The target does not take part: both calls of the page are as they were."""
        self.target.canned["INVITE"] = [(488, None)]
        self.transfer(**{"with": self.other})
        self.assertEqual(self.news(), ["trying", "media-incompatible"])
        self.page.send("HANGUP", session=self.other)
        self.rig.advance()
        self.assertTrue(self.target.ended)
        self.still_talks()

    def test_phone_refuses(self) -> None:
        """The phone does not take the target's offer, which the target's own media answer then: both calls go on."""
        self.phone.canned["UPDATE"] = [(488, None)]
        self.transfer(**{"with": self.other})
        self.assertEqual(self.news(), ["trying", "media-incompatible"])
        self.assertEqual(shown_body(self.target.last("ACK").body), "re-answer")
        self.page.send("HANGUP", session=self.other)
        self.rig.advance()
        self.assertTrue(self.target.ended)
        self.still_talks()

    def test_other_is_over(self) -> None:
        """A call that is no more, or rings, or is the same one, is nobody to be joined with."""
        self.page.send("HANGUP", session=self.other)
        self.rig.advance()
        ringing = self.page.call(TARGET)
        self.rig.advance()
        for session in (ringing, self.session):
            self.transfer(**{"with": session})
            self.assertEqual(self.news()[-1], "conflict")
        self.transfer(**{"with": self.other})
        self.assertEqual(self.page.last("ERROR")["code"], "no-session")
        self.page.send("HANGUP", session=ringing)
        self.rig.advance()
        self.rig.call.reject(487, "Request Terminated")
        self.still_talks()

    def test_not_somebody_elses(self) -> None:
        """No page reaches into a call that is not its user's."""
        carol = self.rig.page("carol")
        session, phone = self.talk("sip:third@ims.test", "x", carol)
        self.transfer(**{"with": session})
        self.assertEqual(self.page.last("ERROR")["code"], "no-session")
        for page, each in ((carol, session), (self.page, self.session), (self.page, self.other)):
            page.send("HANGUP", session=each)
        self.rig.advance()
        self.assertTrue(phone.ended)


def shown_body(body: bytes) -> str:
    """The word before the bracket of a description that marked media have written."""
    return body.decode().partition("(")[0]
