"""What an engineer reads at the manhole's prompt."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import TestCase

from rtcgw.media.backend import MediaStats, Stream
from rtcgw.ops.inspector import Inspector, Row, table
from rtcgw.translator.callstate import CallView
from rtcgw.translator.leg import LegView


def view(session: str = "x7abcdef", age: float = 12.7, peer: str = "alice #3") -> CallView:
    browser = LegView("browser", peer, "InCall", {"grace": 3.25}, ("<- OFFER", "-> WAITING"), {"role": "caller"})
    sip = LegView("sip", "sip:echo@ims.test", "CONFIRMED", {}, ("-> INVITE",), {"secret": "swordfish"})
    phone = Stream(9, 1548, 1, lost=2, jitter=3.14, rtt=20.0, codec="PCMU", mos=4.31)
    media = MediaStats("embedded", "PCMU", Stream(10, 1720), phone, "ice+dtls", Stream(300, 3000), transcoding=True)
    return CallView(
        session, "alice", "sip:echo@ims.test", "InCall", age, "602-604-606-608-610-612", (browser, sip), media
    )


class InspectorTests(TestCase):
    def inspector(self, *views: CallView, sessions: tuple[Row, ...] = ()) -> Inspector:
        self.drained: list[str] = []

        def drain() -> int:
            self.drained.append("drain")
            return len(views)

        return Inspector(
            lambda: views,
            lambda: sessions,
            lambda: [{"profile": "gw1", "state": "REGISTERED", "expires": 588.06}],
            lambda: [{"carrier": "127.0.0.1:2223", "state": "up", "calls": 7}],
            lambda: [{"server": "turn:turn.example.com", "state": "up"}],
            lambda: {"sip": {"untrusted": 3, "malformed": 1}, "web": {}},
            drain,
        )

    def test_calls(self) -> None:
        """The oldest call stands first, each on one line under its columns."""
        lines = self.inspector(view(), view("older", 99.0)).calls().splitlines()
        columns = "session state now seconds caller callee path codec mos media"
        self.assertEqual(lines[0].split(), columns.split())
        self.assertTrue(lines[1].startswith("older "))
        self.assertEqual(lines[2].split()[:4], ["x7abcdef", "InCall", "12", "alice"])
        self.assertEqual(self.inspector().calls(), "no calls")

    def test_doings(self) -> None:
        """Who holds, whose page is away, who is being moved, in one column."""
        plain = view()
        legs = evolve(plain.legs[0], state="Reloading"), evolve(plain.legs[1], kind="moved")
        busy = evolve(plain, legs=legs, holders=("callee",))
        self.assertIn(" callee holds, caller away, callee moves ", self.inspector(busy).calls())

    def test_records(self) -> None:
        """What has ended of late."""
        records = evolve(self.inspector(), show_records=lambda: [{"session": "x1", "reason": "busy"}]).records()
        self.assertEqual(records.split(), ["session", "reason", "x1", "busy"])
        self.assertEqual(self.inspector().records(), "no call has ended yet")

    def test_one_call(self) -> None:
        """call(id) shows both legs, their timers and last messages; the beginning of the id is enough."""
        text = self.inspector(view()).call("x7")
        for part in (
            "call x7abcdef: InCall, 12 s",
            "caller: browser alice #3: InCall; timers: grace 3.2 s",
            "    -> WAITING",
            "    role: caller",
            "callee: sip sip:echo@ims.test: CONFIRMED; timers: none",
            "media embedded PCMU ice+dtls, converting",
            "from callee: PCMU, 9 packets, 1548 octets, 1 dropped, 2 lost, jitter 3.1 ms, round trip 20.0 ms, MOS 4.3",
            "from caller: 10 packets, 1720 octets, 0 dropped\n",
            "from caller's picture: 300 packets",
        ):
            self.assertIn(part, text)

    def test_unclear_id(self) -> None:
        """An id that fits none or several calls says so instead of showing the wrong one."""
        inspector = self.inspector(view("aa"), view("ab"))
        self.assertEqual(inspector.call("a"), "2 calls begin with 'a'")
        self.assertEqual(inspector.call("b"), "0 calls begin with 'b'")
        self.assertIn("say which", inspector.call(""))

    def test_other_tables(self) -> None:
        """Sessions, registrations and counters are tables; an empty one says what is not there."""
        inspector = self.inspector(sessions=({"user": "alice", "calls": 1},))
        self.assertEqual(inspector.sessions(), "user   calls\nalice  1")
        self.assertIn("gw1      REGISTERED  588.1", inspector.registrations())
        self.assertIn("127.0.0.1:2223  up     7", inspector.media())
        self.assertIn("turn:turn.example.com  up", inspector.servers())
        self.assertEqual([line.split() for line in inspector.counters().splitlines()][1], ["sip", "malformed", "1"])
        self.assertEqual(self.inspector().sessions(), "nobody is logged in")

    def test_drain(self) -> None:
        """drain() stops new calls and says how many still run."""
        self.assertEqual(self.inspector(view()).drain(), "no new calls are taken; 1 still run")
        self.assertEqual(self.drained, ["drain"])

    def test_reconnect(self) -> None:
        """reconnect() is for everybody or for one user, and says how many pages that concerns."""
        inspector = evolve(self.inspector(view()), start_reconnect=lambda user: 12 if user is None else 1)
        self.assertEqual(inspector.reconnect(), "12 connections are asked to reconnect")
        self.assertEqual(inspector.namespace()["reconnect"]("alice"), "1 connections are asked to reconnect")

    def test_secrets_are_not_shown(self) -> None:
        """A column or detail that sounds like a secret does not appear, whoever put it there."""
        self.assertNotIn("swordfish", self.inspector(view()).call("x7"))
        rows: list[Row] = [{"user": "a", name: "swordfish"} for name in ("password", "k", "token", "ice_pwd", "HA1")]
        self.assertEqual(table(rows, ""), "user\n" + "\n".join("a" for _ in rows))

    def test_peers_do_not_drive_the_terminal(self) -> None:
        """Escape sequences in a name that a peer sent are not sent to the engineer's terminal."""
        text = self.inspector(view(peer="\x1b[2Jbob\r\nfake")).call("x7")
        self.assertIn("?[2Jbob??fake", text)
        self.assertNotIn("\x1b", text)
        self.assertIn("?2J?bob", self.inspector(view(peer="\x9b2J\u202ebob")).call("x7"))
        self.assertEqual(table([{"a": "x" * 100}], "").splitlines()[1], "x" * 57 + "...")

    def test_prompt_shows_text_as_it_is(self) -> None:
        """A prompt prints the repr; that is the table itself, without quotes and backslashes."""
        shown = self.inspector(view()).namespace()["calls"]()
        self.assertEqual(repr(shown), str(shown))
