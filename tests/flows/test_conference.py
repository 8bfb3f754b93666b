"""A page makes a conference of its calls: who hears of it, in what order, and what is left when somebody goes."""

from __future__ import annotations

from typing import Any

from rtcgw.model.events import Part, Roster
from rtcgw.model.reason import Reason
from tests.flows.case import FlowCase
from tests.flows.rig import Page
from tests.peers.core_call import CoreCall
from tests.translator.mixing import PHONE_SDP, MarkedRoom

ALICE = "sip:alice@ims.test"
ONE, TWO, THREE = "sip:one@ims.test", "sip:two@ims.test", "sip:three@ims.test"


class ConferenceCase(FlowCase):
    """alice's page talks to two phones at once, each of which takes whatever it is offered."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["participants"])
        self.first, self.one = self.talk(ONE)
        self.second, self.two = self.talk(TWO)
        self.rig.ladder.clear()

    def talk(self, to: str, page: Page | None = None) -> tuple[str, CoreCall]:
        """The page calls a phone, which answers."""
        page = page or self.alice
        session = page.call(to)
        self.rig.advance()
        phone = self.rig.call
        phone.answer(PHONE_SDP)
        phone.canned["UPDATE"] = [(200, PHONE_SDP)]
        self.rig.advance()
        page.send("ANSWER", session=session)
        self.rig.advance()
        return session, phone

    def page_takes(self, session: str, page: Page | None = None) -> None:
        """The page takes the new offer for its call."""
        page = page or self.alice
        self.assertEqual(page.last("OFFER")["session"], session)
        self.assertTrue(page.last("OFFER")["fresh"])
        page.send("ANSWER", session=session, sdp="page's")
        self.rig.advance()

    def merge(self) -> MarkedRoom:
        """Both calls become one conference."""
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.page_takes(self.first)
        self.assertEqual(self.alice.last("OK")["session"], self.first)
        return self.rig.mixer.rooms[-1]

    def told(self, session: str) -> list[dict[str, Any]]:
        """Every list of participants that the page has had for a call."""
        return [each for each in self.alice.transcript if each["type"] == "PARTICIPANTS" and each["session"] == session]

    def ended(self) -> list[str]:
        """The page's calls that are over."""
        return [each["session"] for each in self.alice.transcript if each["type"] == "HANGUP"]

    def tearDown(self) -> None:
        """Whoever still talks is left to talk by the tests; here it ends."""
        self.rig.translator.end_all(Reason.SHUTDOWN)
        super().tearDown()

    def parts(self, page: Page | None = None, session: str = "") -> list[tuple[str, str]]:
        """Whom the page was told last to be in the conference, and what each is doing."""
        found = (page or self.alice).last("PARTICIPANTS")
        self.assertEqual(found["session"], session or self.first)
        return [(member["party"]["uri"], member["part"]) for member in found["participants"]]


class MergeTests(ConferenceCase):
    def test_three(self) -> None:
        """The first phone comes, then the page, then the second phone; the page's second call is over, and it learns
        who is there each time that changes."""
        room = self.merge()
        self.reads(
            """
            alice -> MERGE
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            alice <- OFFER sdp
            alice -> ANSWER page's
            alice <- OK ANSWER
            alice <- PARTICIPANTS
            alice <- PARTY
            alice <- PARTICIPANTS
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            alice <- PARTICIPANTS
            alice <- OK MERGE
            alice <- HANGUP merged
            """
        )
        self.assertEqual(self.alice.last("HANGUP")["session"], self.second)
        self.assertEqual(self.parts(), [(ONE, "talking"), (ALICE, "talking"), (TWO, "talking")])
        self.assertEqual([line.inside for line in room.lines], [False, True, False], "whom the gateway's media carry")
        versions = [told["version"] for told in self.told(self.first)]
        self.assertEqual(versions, list(range(1, len(versions) + 1)), "the numbers of the page's call go on")

    def test_one_more(self) -> None:
        """A third call comes into the conference that is there; nothing is moved but that phone."""
        self.merge()
        third, three = self.talk(THREE)
        self.rig.ladder.clear()
        self.alice.send("MERGE", sessions=[third, self.first])
        self.rig.advance()
        self.reads(
            """
            alice -> MERGE
            alice <- PARTICIPANTS
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            alice <- PARTICIPANTS
            alice <- OK MERGE
            alice <- HANGUP merged
            """
        )
        self.assertEqual(self.alice.last("OK")["session"], self.first)
        self.assertEqual([who for who, _ in self.parts()], [ONE, ALICE, TWO, THREE])
        three.bye()
        self.rig.advance()
        self.assertEqual([who for who, _ in self.parts()], [ONE, ALICE, TWO])

    def test_pages(self) -> None:
        """Another user's page comes in as phones do, on its own media, and is told as the page that made it is."""
        bob = self.rig.page("bob", capabilities=["participants"])
        called = self.alice.call("bob", PHONE_SDP)
        self.rig.advance()
        theirs = bob.invited
        bob.send("ANSWER", session=theirs, sdp=PHONE_SDP)
        self.alice.send("ANSWER", session=called)
        self.rig.advance()
        self.alice.send("MERGE", sessions=[called, self.first])
        self.rig.advance()
        self.page_takes(theirs, bob)
        self.page_takes(called)
        self.rig.advance()
        self.assertEqual(self.alice.last("OK")["for"], "MERGE")
        everybody = [("bob", "talking"), (ALICE, "talking"), (ONE, "talking")]
        self.assertEqual(self.parts(session=called), everybody)
        self.assertEqual(self.parts(bob, theirs), everybody)
        self.assertEqual([line.inside for line in self.rig.mixer.rooms[-1].lines], [True, True, False])


class LeavingTests(ConferenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.room = self.merge()
        self.rig.ladder.clear()

    def test_a_phone_leaves(self) -> None:
        """With two left it goes on; with one left it is over for that one as well."""
        self.two.bye()
        self.rig.advance()
        self.assertEqual(self.parts(), [(ONE, "talking"), (ALICE, "talking")])
        self.one.bye()
        self.rig.advance()
        self.assertEqual(self.alice.last("HANGUP")["reason"], "hangup")
        self.assertEqual(self.alice.last("HANGUP")["session"], self.first)
        self.assertTrue(self.room.closed)

    def test_the_page_leaves(self) -> None:
        """A conference outlives whoever made it: the phones go on talking until one of them hangs up."""
        self.alice.send("HANGUP", session=self.first)
        self.rig.advance()
        self.assertEqual((self.one.ended, self.two.ended, self.room.closed), (False, False, False))
        self.one.bye()
        self.rig.advance()
        self.assertTrue(self.two.ended)

    def test_a_phone_holds(self) -> None:
        """A phone that puts the conference on hold is shown so; its music is the mixer's to leave out."""
        self.one.request("INVITE", PHONE_SDP.replace("sendrecv", "sendonly"))
        self.rig.advance()
        self.one.ack()
        self.rig.advance()
        self.assertEqual(self.parts()[0], (ONE, "held"))
        self.one.request("INVITE", PHONE_SDP)
        self.rig.advance()
        self.one.ack()
        self.rig.advance()
        self.assertEqual(self.parts()[0], (ONE, "talking"))

    def test_the_page_holds(self) -> None:
        """So is a page."""
        self.alice.send("HOLD", session=self.first, on=True)
        self.rig.advance()
        self.assertEqual(self.parts()[1], (ALICE, "held"))
        self.alice.send("HOLD", session=self.first, on=False)
        self.rig.advance()
        self.assertEqual(self.parts()[1], (ALICE, "talking"))

    def test_the_page_reloads(self) -> None:
        """A page that is away stays in the conference for its grace time, and is back as soon as it offers again."""
        told: list[Part] = []
        watched = next(iter(self.rig.conferences.rooms.values()))

        def watch(roster: Roster | None) -> None:
            if roster is not None and len(roster.participants) == 3:
                told.append(roster.participants[1].part)

        watched.watchers.append(watch)
        self.alice.drop()
        self.rig.advance()
        again = self.rig.page("alice", capabilities=["participants"])
        again.send("OFFER", session=self.first, sdp="fresh")
        self.rig.advance()
        self.assertEqual(told, [Part.AWAY, Part.TALKING])
        self.assertEqual(self.parts(again)[1], (ALICE, "talking"))
        again.send("HANGUP", session=self.first)
        self.rig.advance()

    def test_a_change_that_cannot_be(self) -> None:
        """What a conference cannot speak is refused with 488, and the phone is heard as before (RFC 6141)."""
        self.one.request("INVITE", PHONE_SDP.replace("s=-", "s=bad"))
        self.rig.advance()
        self.assertEqual(self.one.responses[-1].status, 488)
        self.one.ack()
        self.assertEqual(self.parts()[0], (ONE, "talking"))


class FailingTests(ConferenceCase):
    def error(self) -> str:
        return str(self.alice.last("ERROR")["code"])

    def still_two_calls(self) -> None:
        """Both calls are as they were."""
        self.assertEqual(len(self.rig.translator.calls), 2)
        self.assertEqual([room.closed for room in self.rig.mixer.rooms], [True] * len(self.rig.mixer.rooms))
        for session, phone in ((self.first, self.one), (self.second, self.two)):
            self.alice.send("HANGUP", session=session)
            self.rig.advance()
            self.assertTrue(phone.ended)

    def test_refused_requests(self) -> None:
        """Calls that are not there, not this page's, named twice, or not answered: nothing happens."""
        ringing = self.alice.call(THREE)
        self.rig.advance()
        self.rig.call.ring()
        other = self.rig.page("alice", "other")
        for page, sessions, code in (
            (self.alice, [self.first, "nothing"], "no-session"),
            (other, [self.first, self.second], "no-session"),
            (self.alice, [self.first, self.first], "illegal-state"),
            (self.alice, [self.first, ringing], "conflict"),
        ):
            page.send("MERGE", sessions=sessions)
            self.assertEqual(page.last("ERROR")["code"], code)
        self.alice.send("HANGUP", session=ringing)
        self.rig.advance()
        self.assertEqual(self.rig.mixer.rooms, [])
        self.still_two_calls()

    def test_full(self) -> None:
        """More parties than a room holds."""
        self.rig.mixer.size = 2
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.assertEqual(self.error(), "overloaded")
        self.still_two_calls()

    def test_two_conferences(self) -> None:
        """Two conferences are not joined; the second is refused before anything is moved."""
        self.merge()
        third, three = self.talk(THREE)
        fourth, four = self.talk("sip:four@ims.test")
        self.alice.send("MERGE", sessions=[third, fourth])
        self.rig.advance()
        self.page_takes(third)
        self.alice.send("MERGE", sessions=[self.first, third])
        self.assertEqual(self.error(), "conflict")
        for session in (self.first, third):
            self.alice.send("HANGUP", session=session)
        self.rig.advance()
        for phone in (self.one, three):
            phone.bye()
        self.rig.advance()
        self.assertEqual((self.two.ended, four.ended), (True, True))

    def test_first_phone_refuses(self) -> None:
        """A phone that does not take the mixer's sound: the page hears why, and nothing has changed."""
        self.one.canned["UPDATE"] = [(488, None)]
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance(1)
        self.assertEqual(self.error(), "media-incompatible")
        self.assertEqual(self.ended(), [])
        self.still_two_calls()

    def test_second_phone_refuses(self) -> None:
        """The second phone stays in its call with the page; the first two have a conference that goes on."""
        self.two.canned["UPDATE"] = [(488, None)]
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.page_takes(self.first)
        self.rig.advance(1)
        self.assertEqual(self.error(), "media-incompatible")
        self.assertEqual(self.parts(), [(ONE, "talking"), (ALICE, "talking")])
        for session in (self.first, self.second):
            self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertEqual((self.one.ended, self.two.ended), (True, True))

    def test_page_refuses(self) -> None:
        """The page itself does not come: who came alone is not left waiting, and its other call is untouched."""
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.alice.send("DECLINE", session=self.first)
        self.rig.advance()
        self.assertEqual(self.ended(), [self.first])
        self.assertTrue(self.one.ended)
        self.alice.send("HANGUP", session=self.second)
        self.rig.advance()

    def test_page_vanishes(self) -> None:
        """The page is lost in the middle of it and does not come back: nothing of any call is left."""
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.alice.drop()
        self.rig.advance(60)
        self.assertEqual((self.one.ended, self.two.ended), (True, True))

    def test_phone_hangs_up_meanwhile(self) -> None:
        """The first phone hangs up while the page is coming; then the page is alone, and that is no conference."""
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.one.bye()
        self.rig.advance()
        self.page_takes(self.first)
        self.rig.advance()
        self.assertEqual(self.parts(), [(ALICE, "talking"), (TWO, "talking")])
        self.alice.send("HANGUP", session=self.first)
        self.rig.advance()
        self.assertTrue(self.two.ended)

    def test_draining(self) -> None:
        """A gateway that is about to stop makes no conferences."""
        self.rig.translator.drain()
        self.alice.send("MERGE", sessions=[self.first, self.second])
        self.rig.advance()
        self.assertEqual(self.error(), "shutdown")
        self.still_two_calls()
