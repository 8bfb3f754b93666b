"""Two pages whose call changes: what one offers the other decides, also when both offer, or one comes back."""

from __future__ import annotations

from rtcgw.rtcweb.legtable import CHANGE_WAIT
from tests.flows.case import FlowCase
from tests.peers.browser import ANSWER_SDP, SDP

SECOND = SDP.replace("o=- 1 1", "o=- 7 1")
THIRD = SDP.replace("o=- 1 1", "o=- 8 1")


class PageChangeTests(FlowCase):
    """Alice and bob talk to each other directly, so each change concerns both."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.rig.page("alice"), self.rig.page("bob")
        self.session = self.alice.call("bob", SDP)
        self.bob.answer(self.session, ANSWER_SDP)
        self.alice.answer(self.session)
        self.rig.look()
        self.rig.ladder.clear()

    def tearDown(self) -> None:
        self.rig.pages[-1].send("HANGUP", session=self.session)
        super().tearDown()

    def test_taken(self) -> None:
        """An ICE restart of alice's, or her camera: bob's browser answers it."""
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        self.assertEqual(self.bob.last("OFFER")["sdp"], SECOND)
        self.bob.answer(self.session, THIRD)
        self.assertEqual(self.alice.last("OK")["sdp"], THIRD)
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            bob -> ANSWER sdp
            bob <- OK ANSWER
            alice <- OK OFFER sdp
            """
        )

    def test_declined(self) -> None:
        """Bob declines: alice hears the word, the call goes on."""
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        self.bob.send("DECLINE", session=self.session, reason="media-incompatible")
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            bob -> DECLINE
            bob <- OK DECLINE
            alice <- ERROR media-incompatible
            """
        )

    def test_silent(self) -> None:
        """Bob's page hangs: alice does not wait for ever, and is free to try again."""
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        self.rig.advance(CHANGE_WAIT)
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            alice <- ERROR timeout
            bob <- ERROR withdrawn
            """
        )
        self.test_taken()

    def test_glare(self) -> None:
        """Both offer: bob's is refused, he answers alice's, and his next one is taken."""
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        self.bob.send("OFFER", session=self.session, sdp=THIRD)
        self.bob.answer(self.session, ANSWER_SDP)
        self.bob.send("OFFER", session=self.session, sdp=THIRD)
        self.alice.answer(self.session, ANSWER_SDP)
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            bob -> OFFER sdp
            bob <- ERROR conflict
            bob -> ANSWER sdp
            bob <- OK ANSWER
            alice <- OK OFFER sdp
            bob -> OFFER sdp
            alice <- OFFER sdp
            alice -> ANSWER sdp
            alice <- OK ANSWER
            bob <- OK OFFER sdp
            """
        )

    def test_network_changes_twice(self) -> None:
        """Alice's network changes while her first offer is still with bob: her new page goes on from there."""
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        again = self.rig.page("alice", "alice2")
        again.send("OFFER", session=self.session, sdp=THIRD)
        self.bob.answer(self.session, ANSWER_SDP)
        self.assertEqual(self.bob.last("OFFER")["sdp"], THIRD)
        self.bob.answer(self.session, SECOND)
        self.assertEqual(again.last("OK")["sdp"], SECOND)
        self.alice.drop()
        self.reads(
            """
            alice -> OFFER sdp
            bob <- OFFER sdp
            alice2 -> OFFER sdp
            alice <- ERROR moved
            alice <- ERROR ended
            bob -> ANSWER sdp
            bob <- OK ANSWER
            bob <- OFFER sdp
            bob -> ANSWER sdp
            bob <- OK ANSWER
            alice2 <- OK OFFER sdp
            """
        )

    def test_other_keys(self) -> None:
        """Alice's call is taken up by a page with a peer connection of its own: bob's page is told to make one too, and
        not where the same page restarts ICE."""
        keys = "a=fingerprint:sha-256 "
        for page, key, fresh in (("alice", "01", None), ("alice2", "02", True), ("alice2", "02", None)):
            taker = next((each for each in self.rig.pages if each.name == page), None) or self.rig.page("alice", page)
            taker.send("OFFER", session=self.session, sdp=f"{SDP}{keys}{key}\r\n")
            self.assertEqual(self.bob.last("OFFER").get("fresh"), fresh)
            self.bob.answer(self.session, ANSWER_SDP)
            self.assertEqual(taker.last("OK")["sdp"], ANSWER_SDP)

    def test_both_networks_change(self) -> None:
        """Bob is gone when alice's offer comes, and returns with his own: alice hears at once, and both connect."""
        self.bob.drop()
        self.alice.send("OFFER", session=self.session, sdp=SECOND)
        again = self.rig.page("bob", "bob2")
        again.send("OFFER", session=self.session, sdp=THIRD)
        self.alice.answer(self.session, ANSWER_SDP)
        self.assertEqual(again.last("OK")["sdp"], ANSWER_SDP)
        self.reads(
            """
            alice -> OFFER sdp
            alice <- ERROR client-lost
            bob2 -> OFFER sdp
            alice <- OFFER sdp
            alice -> ANSWER sdp
            alice <- OK ANSWER
            bob2 <- OK OFFER sdp
            """
        )
