"""Who takes part in a call of two, told to every page in it whenever that changes; conferences have tests of their own.

Each list is whole and bears a number that grows by one, whatever becomes of the call.
"""

from __future__ import annotations

from typing import Any

from rtcgw.media.backend import News, Party
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, FlowMedia, Page
from tests.flows.test_replaces import NEWCOMER, naming
from tests.peers.browser import ANSWER_SDP, SDP

WORDS = ["progress", "participants"]
CAMERA = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"


class ParticipantsCase(FlowCase):
    """Alice's page, and whoever she calls."""

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=WORDS)

    def lists(self, page: Page) -> list[list[str]]:
        """What a page was told, each part in a word; the numbers are looked at on the way."""
        page.look()
        found = [each for each in page.transcript if each["type"] == "PARTICIPANTS"]
        versions = [each["version"] for each in found]
        self.assertEqual(versions, list(range(versions[0], versions[0] + len(versions))) if versions else [])
        return [[self.shown(member) for member in each["participants"]] for each in found]

    def shown(self, member: dict[str, Any]) -> str:
        name = member["party"]["uri"].removeprefix("sip:").partition("@")[0]
        return " ".join([name, member["part"], *(["video"] if member.get("video") else [])])

    def back(self, page: Page, **login: Any) -> Page:
        token = next(message["resume"] for message in page.transcript if message.get("for") == "LOGIN")
        return self.rig.page("alice", "again", resume=token, capabilities=WORDS)


class PhoneTests(ParticipantsCase):
    """A page and a phone."""

    def setUp(self) -> None:
        super().setUp()
        self.rig.phone(lambda call: call.answer("final"))
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.alice.answer(self.session)
        self.rig.advance()
        self.phone = self.rig.call
        self.phone.canned["UPDATE"] = [(200, "ok")]

    def tearDown(self) -> None:
        self.rig.pages[-1].send("HANGUP", session=self.session)
        self.rig.advance()
        super().tearDown()

    def test_answered(self) -> None:
        """The first list comes with the answer."""
        self.assertEqual(self.lists(self.alice), [["alice talking", "echo talking"]])

    def test_holds(self) -> None:
        """Who is on hold is shown so, whoever has put it there; a hold that is refused is no news."""
        self.phone.canned["UPDATE"] = [(488, None), (200, "held"), (200, "back")]
        for on in (True, True, False):
            self.alice.send("HOLD", session=self.session, on=on)
            self.rig.advance()
        self.rig.news(News.HELD, Party.CALLEE)
        self.rig.news(News.RESUMED, Party.CALLEE)
        self.assertEqual(
            self.lists(self.alice)[1:],
            [
                ["alice talking", "echo held"],
                ["alice talking", "echo talking"],
                ["alice held", "echo talking"],
                ["alice talking", "echo talking"],
            ],
        )

    def test_camera(self) -> None:
        """A picture that the phone shows from now on."""
        assert isinstance(self.rig.media, FlowMedia)
        self.rig.media.media.showing = {Party.CALLEE}
        self.phone.request("UPDATE", "with video")
        self.rig.advance()
        self.assertEqual(self.lists(self.alice)[1:], [["alice talking", "echo talking video"]])

    def test_replaced(self) -> None:
        """Another phone takes the phone's place; the numbers of the page's lists go on."""
        assert self.phone.dialog is not None
        self.rig.core.call("sip:alice@ims.test", "new", NEWCOMER, naming(self.phone.dialog.id))
        self.rig.advance()
        self.alice.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.assertEqual(self.lists(self.alice)[1:], [["newcomer talking", "alice talking"]])

    def test_reloaded(self) -> None:
        """The page that is back learns who is there."""
        self.alice.drop()
        again = self.back(self.alice)
        again.send("OFFER", session=self.session, sdp="restart")
        self.assertEqual(self.lists(again), [["alice talking", "echo talking"]])

    def test_taken_over(self) -> None:
        """So does another page that takes the call over; the old one hears nothing more."""
        lap = self.rig.page("alice", "lap", capabilities=WORDS)
        lap.send("OFFER", session=self.session, sdp="lap's")
        self.assertEqual(self.lists(lap), [["alice talking", "echo talking"]])
        self.alice.drop()
        self.rig.news(News.HELD, Party.CALLEE)
        self.assertEqual(self.lists(lap)[1:], [["alice held", "echo talking"]])
        self.assertEqual(len(self.lists(self.alice)), 1)

    def test_old_page(self) -> None:
        """A page without the word is told nothing."""
        plain = self.rig.page("alice", "plain")
        plain.send("OFFER", session=self.session, sdp="plain's")
        self.assertEqual(self.lists(plain), [])


class PagesTests(ParticipantsCase):
    """Two pages: whatever one of them does, both are told."""

    def setUp(self) -> None:
        super().setUp()
        self.bob = self.rig.page("bob", capabilities=WORDS)
        self.session = self.alice.call("bob", SDP)

    def tearDown(self) -> None:
        self.bob.send("HANGUP", session=self.session)
        super().tearDown()

    def answer(self) -> None:
        self.bob.answer(self.session, ANSWER_SDP)
        self.alice.answer(self.session)

    def test_camera(self) -> None:
        """Alice shows a picture once bob has taken it, and not when he has declined."""
        self.answer()
        for sdp in ("", ANSWER_SDP + CAMERA):
            self.alice.send("OFFER", session=self.session, sdp=SDP + CAMERA + "a=sendonly\r\n")
            if sdp:
                self.bob.answer(self.session, sdp + "a=recvonly\r\n")
            else:
                self.bob.send("DECLINE", session=self.session)
        for page in (self.alice, self.bob):
            self.assertEqual(self.lists(page)[1:], [["alice talking video", "bob talking"]])

    def test_reloaded(self) -> None:
        """Bob sees that alice is away, and that she is back; she is told both lists' number by the last one."""
        self.answer()
        self.alice.drop()
        self.assertEqual(self.lists(self.bob)[1:], [["alice away", "bob talking"]])
        again = self.back(self.alice)
        again.send("OFFER", session=self.session, sdp=SDP)
        self.bob.answer(self.session, ANSWER_SDP)
        for page in (again, self.bob):
            self.assertEqual(self.lists(page)[-1], ["alice talking", "bob talking"])
            self.assertEqual(page.last("PARTICIPANTS")["version"], 3)

    def test_answered_while_away(self) -> None:
        """Bob answers while alice's page is loaded again: the first list says so already, the next that she is back."""
        self.alice.drop()
        self.bob.answer(self.session, ANSWER_SDP)
        self.assertEqual(self.lists(self.bob), [["alice away", "bob talking"]])
        again = self.back(self.alice)
        again.send("OFFER", session=self.session, sdp=SDP)
        self.bob.answer(self.session, ANSWER_SDP)
        self.assertEqual(self.lists(again), [["alice talking", "bob talking"]])
        self.assertEqual(len(self.lists(self.bob)), 2)
