"""Calls that nobody took: one entry each, on all pages, until somebody has seen it."""

from __future__ import annotations

from typing import Any

from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Page, Rig, configured

WORDS = ["calls"]


class MissedTests(FlowCase):
    def page(self, user: str = "alice", name: str = "") -> Page:
        return self.rig.page(user, name, capabilities=WORDS)

    def missed(self, page: Page) -> list[dict[str, Any]]:
        """The last list that the page has heard."""
        page.look()
        heard = [message for message in page.transcript if message["type"] == "MISSED"]
        listed: list[dict[str, Any]] = heard[-1]["missed"] if heard else page.transcript[0].get("missed", [])
        return listed

    def reasons(self, page: Page) -> list[str]:
        return [entry["reason"] for entry in self.missed(page)]

    def test_given_up(self) -> None:
        """Two devices rang, the caller gave up: one missed call on both, with who it was and when."""
        here, there = self.page(), self.page("alice", "there")
        self.rig.advance(10)
        phone = self.rig.ring()
        session, rang = here.invited, self.rig.clock.seconds()
        phone.cancel()
        self.rig.advance()
        (entry,) = self.missed(here)
        self.assertEqual(self.missed(there), [entry])
        self.assertEqual(entry["from"], {"uri": "sip:bob@ims.test", "name": "Bob"})
        self.assertEqual((entry["session"], entry["reason"]), (session, "cancelled"))
        self.assertAlmostEqual(entry["at"], rang, 0)

    def test_seen(self) -> None:
        """SEEN on one page clears the list on all; a second one is as good and says nothing."""
        here, there = self.page(), self.page("alice", "there")
        self.rig.ring().cancel()
        self.rig.advance()
        sent = here.send("SEEN")
        self.assertEqual(here.last("OK")["id"], sent)
        self.assertEqual((self.missed(here), self.missed(there)), ([], []))
        told = len(there.transcript)
        here.send("SEEN")
        there.look()
        self.assertEqual(len(there.transcript), told)
        self.assertEqual(self.page("alice", "later").transcript[0].get("missed", []), [])

    def test_not_there(self) -> None:
        """Who was not logged in learns it at the log-in, from the core's callers and the web's."""
        self.rig.ring()
        self.page("bob").call("alice")
        self.assertEqual(self.reasons(self.page()), ["unavailable", "unavailable"])

    def test_no_answer(self) -> None:
        """It rang out."""
        here = self.page()
        self.rig.ring()
        self.rig.advance(self.rig.config.call.ring_time + 1)
        self.assertEqual(self.reasons(here), ["no-answer"])

    def test_busy(self) -> None:
        """The page said busy by itself: the user has not decided anything."""
        here = self.page()
        self.rig.ring()
        here.send("HANGUP", session=here.invited, reason="busy")
        self.rig.advance()
        self.assertEqual(self.reasons(here), ["busy"])

    def test_answered_elsewhere(self) -> None:
        """One device took it: the other one has missed nothing."""
        here, there = self.page(), self.page("alice", "there")
        phone = self.rig.ring()
        there.answer(there.invited, "answer")
        self.rig.advance()
        phone.bye()
        self.rig.advance()
        self.assertEqual((self.missed(here), self.missed(there)), ([], []))

    def test_declined(self) -> None:
        """The user said no on one device."""
        here, there = self.page(), self.page("alice", "there")
        self.rig.ring()
        there.send("HANGUP", session=there.invited)
        self.rig.advance()
        self.assertEqual((self.missed(here), self.missed(there)), ([], []))

    def test_page_lost_while_it_rings(self) -> None:
        """The only page went away and nobody came: missed when the call has ended."""
        here = self.page()
        phone = self.rig.ring()
        here.drop()
        self.rig.advance(1)
        phone.cancel()
        self.rig.advance()
        self.assertEqual(len(self.missed(self.page("alice", "again"))), 1)

    def test_anonymous(self) -> None:
        """Who withholds the number is not given away by the list."""
        here = self.page()
        phone = self.rig.ring()
        phone.cancel()
        self.rig.advance()
        hidden = self.rig.core.call("sip:alice@ims.test", "offer", "sip:spy@ims.test", ("Privacy", "id"))
        self.rig.advance()
        hidden.cancel()
        self.rig.advance()
        self.assertEqual(self.missed(here)[-1]["from"]["uri"], "sip:anonymous@anonymous.invalid")
        self.assertEqual((self.rig.records[-1].caller, self.rig.records[-1].private), ("sip:spy@ims.test", True))

    def test_own_calls(self) -> None:
        """A call of the user's own that nobody answered is no missed call, and no phone's is."""
        here = self.page()
        self.rig.phone(lambda call: call.reject(486, "Busy Here"))
        here.call(ECHO)
        self.rig.advance()
        self.assertEqual(self.missed(here), [])

    def test_without_the_word(self) -> None:
        """A page that does not know the word is told nothing, but can ask by logging in."""
        plain = self.rig.page("alice")
        self.rig.ring().cancel()
        self.rig.advance()
        plain.look()
        self.assertNotIn("MISSED", [message["type"] for message in plain.transcript])


class HiddenUserTests(MissedTests):
    """With `offline = "404"` callers are told that there is nobody; the user is told all the same."""

    def build(self) -> Rig:
        return Rig(configured(offline="404"))

    def test_not_there(self) -> None:
        """The reason is the one that the caller was given."""
        self.rig.ring()
        self.page("bob").call("alice")
        self.assertEqual(self.reasons(self.page()), ["not-found", "not-found"])
