"""Transfers in which pages are handed on, to phones and to each other."""

from __future__ import annotations

from tests.flows.rig import ECHO, Page
from tests.flows.transfers import TARGET, TransferCase, sdp


class PageTests(TransferCase):
    """A page is handed on, or a phone to a page."""

    def test_to_a_page(self) -> None:
        """A phone is handed on to a web user: its page is offered what the gateway makes up, and rings."""
        carol = self.rig.page("carol")
        self.phone.canned["UPDATE"] = [(200, "echo-again")]
        self.transfer(to="carol")
        session = carol.invited
        carol.send("RINGING", session=session)
        self.rig.advance()
        carol.send("ANSWER", session=session, sdp="hers")
        self.rig.advance()
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            alice <- TRANSFER trying
            carol <- OFFER offer-for-callee
            carol -> RINGING
            carol <- OK RINGING
            alice <- TRANSFER ringing
            carol -> ANSWER hers
            core <- UPDATE callee-answer(hers)
            core -> 200 UPDATE echo-again
            alice <- TRANSFER done
            alice <- HANGUP transferred
            carol <- OK ANSWER
            """
        )
        offer = carol.last("OFFER")
        self.assertEqual((offer["from"]["uri"], offer["referredBy"]), (ECHO, "sip:alice@ims.test"))
        self.phone.bye()
        self.rig.advance()
        self.assertEqual(carol.last("HANGUP")["reason"], "hangup")

    def bob_calls_alice(self) -> tuple[Page, str]:
        """Two pages talk to each other; whose page bob has, and his session."""
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        bob = self.rig.page("bob")
        session = bob.call("alice", sdp("bob"))
        self.rig.advance()
        self.session = self.page.invited
        self.page.send("RINGING", session=self.session)
        self.page.send("ANSWER", session=self.session, sdp=sdp("alice"))
        self.rig.advance()
        bob.send("ANSWER", session=session)
        self.rig.advance()
        self.rig.ladder.clear()
        return bob, session

    def test_page_to_phone(self) -> None:
        """A web user is handed on to a phone: its page keeps its session, is told who it talks to, and offered the
        phone's media for a fresh connection."""
        bob, session = self.bob_calls_alice()
        self.transfer(to=TARGET)
        target = self.rig.call
        target.ring()
        self.rig.advance()
        target.answer("theirs")
        self.rig.advance()
        change = bob.last("OFFER")
        self.assertEqual((change["session"], change["sdp"], change["fresh"]), (session, "callee-answer(theirs)", True))
        bob.send("ANSWER", session=session, sdp="again")
        self.rig.advance()
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            alice <- TRANSFER trying
            core <- INVITE offer-for-callee
            core -> 100 INVITE
            core -> 180 INVITE
            alice <- TRANSFER ringing
            core -> 200 INVITE theirs
            bob <- OFFER callee-answer(theirs)
            core <- ACK
            bob -> ANSWER again
            bob <- OK ANSWER
            bob <- PARTY
            alice <- TRANSFER done
            alice <- HANGUP transferred
            """
        )
        self.assertEqual(bob.last("PARTY")["remote"]["uri"], TARGET)
        bob.send("HANGUP", session=session)
        self.rig.advance()
        self.assertTrue(target.ended)

    def test_page_to_page(self) -> None:
        """A web user is handed on to another one: both talk through the gateway's own media, for nobody could offer
        to the other directly. Whoever hangs up ends both."""
        bob, session = self.bob_calls_alice()
        carol = self.rig.page("carol")
        self.transfer(to="carol")
        carol.send("RINGING", session=carol.invited)
        self.rig.advance()
        carol.send("ANSWER", session=carol.invited, sdp="hers")
        self.rig.advance()
        change = bob.last("OFFER")
        self.assertEqual((change["session"], change["fresh"]), (session, True))
        bob.send("ANSWER", session=session, sdp="his")
        self.rig.advance()
        self.reads(
            """
            alice -> TRANSFER
            alice <- OK TRANSFER
            alice <- TRANSFER trying
            carol <- OFFER caller-offer(offer-for-callee)
            carol -> RINGING
            carol <- OK RINGING
            alice <- TRANSFER ringing
            carol -> ANSWER hers
            bob <- OFFER callee-answer(callee-answer(hers))
            bob -> ANSWER his
            bob <- OK ANSWER
            bob <- PARTY
            alice <- TRANSFER done
            alice <- HANGUP transferred
            carol <- OK ANSWER
            """
        )
        self.assertEqual(carol.last("OFFER")["from"]["uri"], "tel:+15550011")
        bob.send("DTMF", session=session, tones="3")
        self.rig.advance()
        carol.send("HANGUP", session=carol.invited)
        self.rig.advance()
        self.assertEqual(bob.last("HANGUP")["reason"], "hangup")

    def test_page_to_nobody(self) -> None:
        """The web user who is to take over does not, or is not there."""
        bob, session = self.bob_calls_alice()
        self.transfer(to="dave")
        carol = self.rig.page("carol")
        self.transfer(to="carol")
        carol.send("HANGUP", session=carol.invited, reason="busy")
        self.rig.advance()
        self.assertEqual(self.news(), ["trying", "unavailable", "trying", "busy"])
        bob.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_pages_attended(self) -> None:
        """The page has talked to both web users first."""
        bob, session = self.bob_calls_alice()
        carol = self.rig.page("carol")
        other = self.page.call("carol", sdp("alice"))
        self.rig.advance()
        there = carol.invited
        carol.send("ANSWER", session=there, sdp=sdp("carol"))
        self.rig.advance()
        self.page.send("ANSWER", session=other)
        self.rig.advance()
        self.transfer(**{"with": other})
        self.assertTrue(carol.last("OFFER")["fresh"])
        carol.send("ANSWER", session=there, sdp="hers")
        self.rig.advance()
        self.assertTrue(bob.last("OFFER")["fresh"])
        bob.send("ANSWER", session=session, sdp="his")
        self.rig.advance()
        self.assertEqual(self.news(), ["trying", "done"])
        bob.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(carol.last("HANGUP")["reason"], "hangup")

    def test_handed_on_again(self) -> None:
        """A web user who was handed on to another one is handed on to a third by that one."""
        bob, session = self.bob_calls_alice()
        carol = self.rig.page("carol")
        self.transfer(to="carol")
        there = carol.invited
        carol.send("ANSWER", session=there, sdp="hers")
        self.rig.advance()
        bob.send("ANSWER", session=session, sdp="his")
        self.rig.advance()
        dave = self.rig.page("dave")
        carol.send("TRANSFER", session=there, to="dave")
        self.rig.advance()
        dave.send("ANSWER", session=dave.invited, sdp="hers too")
        self.rig.advance()
        self.assertEqual(self.news(carol), ["trying", "done"])
        self.assertEqual(carol.last("HANGUP")["reason"], "transferred")
        dave.send("HANGUP", session=dave.invited)
        self.rig.advance()
        self.assertEqual(bob.last("HANGUP")["reason"], "hangup")

    def test_page_declines(self) -> None:
        """A page that does not take the new media stays where it is."""
        bob, session = self.bob_calls_alice()
        self.transfer(to=TARGET)
        target = self.rig.call
        target.answer("theirs")
        self.rig.advance()
        bob.send("DECLINE", session=session)
        self.rig.advance()
        self.assertEqual(self.news()[-1], "declined")
        self.assertTrue(target.ended)
        bob.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_page_is_away(self) -> None:
        """A page that reloads when the target answers is asked again when it is back."""
        bob, session = self.bob_calls_alice()
        self.transfer(to=TARGET)
        target = self.rig.call
        bob.drop()
        target.answer("theirs")
        self.rig.advance(3)
        again = self.rig.page("bob", "bob2")
        again.send("OFFER", session=session, sdp=sdp("bob", 4002, 2))
        self.rig.advance()
        self.page.send("ANSWER", session=self.session, sdp=sdp("alice", 4002, 2))
        self.rig.advance(3)
        change = again.last("OFFER")
        self.assertEqual((change["sdp"], change["fresh"]), ("callee-answer(theirs)", True))
        again.send("ANSWER", session=session, sdp="again")
        self.rig.advance()
        self.assertEqual(self.news()[-1], "done")
        target.bye()
        self.rig.advance()

    def test_page_does_not_come_back(self) -> None:
        """A page that stays away for too long is not handed on; its call waits for it as before."""
        bob, _ = self.bob_calls_alice()
        self.transfer(to=TARGET)
        target = self.rig.call
        bob.drop()
        target.answer("theirs")
        self.rig.advance(20)
        self.assertEqual(self.news()[-1], "client-lost")
        self.assertTrue(target.ended)
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
