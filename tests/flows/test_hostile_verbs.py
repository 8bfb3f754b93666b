"""Pages that misuse the requests about calls: other people's sessions, floods, all at once, and garbage."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.flows.test_conference import ONE, TWO, ConferenceCase
from tests.peers.core_call import CoreCall

STRANGE: tuple[Any, ...] = (None, 5, "", "no-such", ["x"], {}, "x" * 65, "\u202e", True)


class OthersTests(ConferenceCase):
    """alice talks to two phones; mallory's page has a call of his own, and has learnt alice's session ids."""

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.rig.page("dave", capabilities=["participants", "calls"])
        self.own, self.three = self.talk("sip:three@ims.test", self.mallory)
        self.before = len(self.alice.transcript)

    def refused(self, kind: str, code: str = "no-session", **fields: Any) -> None:
        self.mallory.send(kind, **fields)
        self.rig.advance()
        self.assertEqual(self.mallory.transcript[-1]["type"], "ERROR", (kind, fields))
        self.assertEqual(self.mallory.transcript[-1]["code"], code, (kind, fields))

    def test_sessions_of_others(self) -> None:
        """Whatever is asked with the session of another user is asked of no session: neither end of it notices."""
        phones: list[CoreCall] = [self.one, self.two]
        heard = [len(phone.requests) for phone in phones]
        for kind, fields in (
            ("OFFER", {"sdp": "mine"}),
            ("ANSWER", {"sdp": "mine"}),
            ("PRANSWER", {}),
            ("RINGING", {}),
            ("DECLINE", {}),
            ("HOLD", {"on": True}),
            ("TRANSFER", {"to": ONE}),
            ("TRANSFER", {"with": self.own}),
            ("DTMF", {"tones": "1"}),
            ("CANDIDATE", {"candidate": "x"}),
            ("ICE", {"pair": {}}),
            ("HANGUP", {}),
        ):
            self.refused(kind, session=self.first, **fields)
        self.refused("TRANSFER", session=self.own, **{"with": self.first})
        self.refused("MERGE", sessions=[self.own, self.first])
        self.refused("MERGE", sessions=[self.first, self.second])
        self.assertEqual([len(phone.requests) for phone in phones], heard)
        self.assertEqual(len(self.alice.transcript), self.before)
        self.assertEqual(self.rig.conferences.rooms, {})

    def test_itself(self) -> None:
        """A call cannot be joined or merged with itself."""
        self.mallory.send("TRANSFER", session=self.own, **{"with": self.own})
        self.rig.advance()
        self.assertEqual(self.mallory.last("TRANSFER")["reason"], "conflict")
        self.refused("MERGE", "illegal-state", sessions=[self.own] * 2)
        self.refused("MERGE", "illegal-state", sessions=[self.own] * 8)

    def test_garbage(self) -> None:
        """Fields of any other kind than they should be: an answer to each, and no change."""
        for value in STRANGE:
            for kind, name in (
                ("HOLD", "session"),
                ("TRANSFER", "session"),
                ("MERGE", "sessions"),
                ("SEEN", "what"),
                ("OFFER", "headers"),
            ):
                self.mallory.send(kind, **{name: value})
            self.mallory.send("HOLD", session=self.own, on=value if value is not True else 1)
            self.mallory.send("TRANSFER", session=self.own, to=value, **{"with": value})
            self.mallory.send("OFFER", to=ONE, sdp="x", headers={"Via": str(value)})
            self.rig.advance()
        kinds = {each["type"] for each in self.mallory.transcript[-8 * len(STRANGE) :]}
        self.assertEqual(kinds, {"ERROR"})
        self.assertEqual(len(self.alice.transcript), self.before)


class FloodTests(ConferenceCase):
    """alice's page does not stop asking."""

    def answered(self, sent: list[int]) -> None:
        """Each request has been answered exactly once."""
        found = [each.get("id") for each in self.alice.transcript if each["type"] in ("OK", "ERROR")]
        self.assertEqual(sorted(number for number in found if number in set(sent)), sent)

    def test_holds(self) -> None:
        """One hold at a time reaches the phone, and the last word that was taken holds."""
        asked = len(self.one.requests)
        sent = [self.alice.send("HOLD", session=self.first, on=bool(number % 2)) for number in range(100)]
        self.rig.advance(1)
        self.answered(sent)
        self.assertLessEqual(len(self.one.requests) - asked, 4)
        self.assertEqual(list(self.rig.translator.calls), [self.first, self.second])

    def test_merges(self) -> None:
        """A phone that takes no change is asked for each MERGE, one after the other; no line stays open."""
        self.one.canned["UPDATE"] = [(488, None)] * 100
        sent = []
        for _ in range(50):
            sent += [self.alice.send("MERGE", sessions=[self.first, self.second]) for _ in range(3)]
            self.rig.advance(1)
        self.answered(sent)
        self.assertEqual(self.rig.conferences.rooms, {})
        self.assertTrue(all(room.closed and not room.lines for room in self.rig.mixer.rooms))

    def test_transfers(self) -> None:
        """While one transfer is under way all others fail at once; the target is called once."""
        calls = len(self.rig.core.calls)
        sent = [self.alice.send("TRANSFER", session=self.first, to=TWO) for _ in range(100)]
        self.rig.advance()
        self.answered(sent)
        self.assertEqual(len(self.rig.core.calls), calls + 1)
        self.rig.call.reject(486, "Busy Here")
        self.rig.advance()
        self.assertEqual(len(self.rig.translator.transfers), 0)

    def test_everything_at_once(self) -> None:
        """Any order of all of it: whatever becomes of the calls, nothing of them is left, and each request has its
        answer."""
        for seed in range(12):
            random = Random(seed)
            page = self.alice
            sent = []
            for _ in range(60):
                session, other = random.sample([self.first, self.second], 2)
                kind, fields = random.choice(
                    (
                        ("HOLD", {"session": session, "on": random.random() < 0.5}),
                        ("TRANSFER", {"session": session, "to": random.choice((ONE, "alice", "nobody", "911"))}),
                        ("TRANSFER", {"session": session, "with": other}),
                        ("MERGE", {"sessions": [session, other]}),
                        ("OFFER", {"session": session, "sdp": "again"}),
                        ("ANSWER", {"session": session, "sdp": "taken"}),
                        ("DTMF", {"session": session, "tones": "1"}),
                    )
                )
                sent.append(page.send(kind, **fields))
                if random.random() < 0.3:
                    self.rig.advance(random.choice((0.001, 0.05, 2)))
            self.rig.advance(70)
            for session in (self.first, self.second):
                page.send("HANGUP", session=session)
            for ringing in self.rig.core.calls:
                if ringing.final is None and not ringing.cancelled:
                    ringing.reject(480, "Gone")
            self.rig.advance(1)
            self.answered([number for number in sent if number is not None])
            self.first, self.one = self.talk(ONE)
            self.second, self.two = self.talk(TWO)


class SmuggledTests(ConferenceCase):
    """alice's page dials and hands on to addresses that would say more than whom."""

    def test_more_than_an_address(self) -> None:
        """Nobody is called by, and no phone is sent to, an address that bears headers, a body, or a method: the phone
        would send in its own name what the page says."""
        self.one.canned["REFER"] = [(202, None)] * 10
        calls, asked = len(self.rig.core.calls), len(self.one.requests)
        for more in (
            "?Route=%3Csip:evil%3E",
            "?body=x",
            "?Subject=a%0d%0aVia:x",
            ";method=BYE",
            ";method=MESSAGE?body=x",
        ):
            self.alice.send("TRANSFER", session=self.first, to=f"sip:x@ims.test{more}")
            self.rig.advance()
            self.assertEqual(self.alice.last("TRANSFER")["reason"], "not-found", more)
            self.alice.send("OFFER", to=f"sip:x@ims.test{more}", sdp="x")
            self.rig.advance()
            self.assertEqual(self.alice.last("HANGUP")["reason"], "not-found", more)
        self.assertEqual((len(self.rig.core.calls), len(self.one.requests)), (calls, asked))
