"""Preconditions: met for our part, waited for on the phone's, never shown to a browser."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media import preconditions
from rtcgw.media.backend import Access, MediaError
from rtcgw.media.preconditions import MAX_LINES
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason, from_status
from tests.media.descriptions import codecs, line, page, phone, phone_line, web_line
from tests.media.memory import Bench

PEER = PeerProfile(preconditions=True)
WAITING = (
    "a=curr:qos local none",
    "a=curr:qos remote none",
    "a=des:qos mandatory local sendrecv",
    "a=des:qos mandatory remote sendrecv",
)
READY = ("a=curr:qos local sendrecv", *WAITING[1:])


def offer(*lines: str, version: int = 1, formats: tuple[int, ...] = (0, 8, 101)) -> str:
    return phone(phone_line(extra=lines, formats=formats), version=version)


def status(text: str) -> list[str]:
    """The precondition lines of a description."""
    return [part for part in text.split("\r\n") if part[:6] in ("a=curr", "a=des:", "a=conf")]


class TestIncoming(SynchronousTestCase):
    """A phone offers them."""

    def setUp(self) -> None:
        self.bench = Bench(Access.CORE, peer=PEER)
        self.session = self.bench.session

    def test_the_whole_course(self) -> None:
        """Nobody is alerted until the phone has its resources; the first answer is the last one's, and fits it."""
        shown = str(self.session.offer(self.bench.core, offer(*WAITING)))
        self.assertEqual((status(shown), self.session.reserved), ([], False))
        early = str(self.session.early_answer(self.bench.core))
        self.assertEqual(codecs(early), [(0, "PCMU"), (101, "TELEPHONE-EVENT")])
        self.assertEqual(
            status(early),
            [
                "a=curr:qos local sendrecv",
                "a=curr:qos remote none",
                "a=des:qos mandatory local sendrecv",
                "a=des:qos mandatory remote sendrecv",
                "a=conf:qos remote sendrecv",
            ],
        )
        updated = str(self.session.reoffer(self.bench.core, offer(*READY, version=2)).answer)
        self.assertTrue(self.session.reserved)
        self.assertEqual(status(updated)[1], "a=curr:qos remote sendrecv")
        self.assertNotIn("a=conf", updated)
        self.assertEqual(codecs(updated), codecs(early))
        last = self.session.answer(self.bench.web, page(web_line(formats=(0, 8, 126), setup="active")), True)
        self.assertEqual(last, updated)
        self.assertEqual(status(self.bench.told_web), [])

    def test_the_browser_takes_another_codec(self) -> None:
        """What the phone was told can no longer be changed: refused, not mute."""
        self.session.offer(self.bench.core, offer(*WAITING, formats=(0, 9)))
        self.session.early_answer(self.bench.core)
        wrong = page(web_line(formats=(9,), setup="active"))
        self.bench.backend.places.limit = 0  # or G.722 would be converted
        error = self.assertRaises(MediaError, self.session.answer, self.bench.web, wrong, True)
        self.assertIs(error.reason, Reason.MEDIA)

    def test_met_already(self) -> None:
        """A phone that is ready need not be waited for; optional ones are never waited for."""
        for lines in (READY, ("a=curr:qos local none", "a=des:qos optional local sendrecv"), ()):
            bench = Bench(Access.CORE, peer=PEER)
            bench.session.offer(bench.core, offer(*lines))
            self.assertTrue(bench.session.reserved, lines)

    def test_halves(self) -> None:
        """Directions are the phone's: what it sends is what we receive."""
        table = preconditions.read({"curr": ["qos local send"], "des": ["qos mandatory local recv"]})
        assert table is not None
        self.assertEqual((table.current, table.met), ({"remote": 2}, False))
        both = preconditions.read(
            {"curr": ["qos local sendrecv"], "des": ["qos mandatory local send", "qos optional local recv"]}
        )
        assert both is not None
        self.assertTrue(both.met)

    def test_end_to_end(self) -> None:
        """One segment for the whole way is answered as one, and confirmation asked."""
        bench = Bench(Access.CORE, peer=PEER)
        bench.session.offer(bench.core, offer("a=curr:qos e2e none", "a=des:qos mandatory e2e sendrecv"))
        self.assertFalse(bench.session.reserved)
        self.assertEqual(
            status(str(bench.session.early_answer(bench.core))),
            ["a=curr:qos e2e none", "a=des:qos mandatory e2e sendrecv", "a=conf:qos e2e sendrecv"],
        )

    def test_impossible(self) -> None:
        """A kind that nobody knows, required, and one that has failed, are 580; wished for only, it is passed over."""
        for wrong in ("a=des:sec mandatory local sendrecv", "a=des:qos failure remote sendrecv"):
            bench = Bench(Access.CORE, peer=PEER)
            error = self.assertRaises(MediaError, bench.session.offer, bench.core, offer(wrong))
            self.assertEqual((error.reason, error.reason.status), (Reason.PRECONDITION, 580))
        self.session.offer(self.bench.core, offer("a=des:sec optional local sendrecv", "a=des:qos", "a=curr:qos x y"))
        self.assertTrue(self.session.reserved)
        self.assertIs(from_status(580), Reason.PRECONDITION)

    def test_profiles_without(self) -> None:
        """Where the profile has none they are not read, and none are written."""
        bench = Bench(Access.CORE)
        bench.session.offer(bench.core, offer("a=des:sec mandatory local sendrecv", *WAITING))
        self.assertTrue(bench.session.reserved)
        self.assertEqual(status(str(bench.session.early_answer(bench.core))), [])

    def test_bound(self) -> None:
        """Of endless tables the beginning is read."""
        lines = {"des": ["qos optional local sendrecv"] * MAX_LINES + ["qos mandatory local sendrecv"]}
        table = preconditions.read(lines)
        assert table is not None
        self.assertTrue(table.met)


class TestOutgoing(SynchronousTestCase):
    """We offer them."""

    def test_offer_and_answer(self) -> None:
        """Ready here, nothing insisted on; what the phone says of itself stands in our later offers."""
        bench = Bench(peer=PEER)
        text = str(bench.session.offer(bench.web, page()))
        self.assertEqual(
            status(text),
            [
                "a=curr:qos local sendrecv",
                "a=curr:qos remote none",
                "a=des:qos optional local sendrecv",
                "a=des:qos optional remote sendrecv",
            ],
        )
        answer = ("a=curr:qos local none", "a=curr:qos remote sendrecv", "a=des:qos mandatory local sendrecv")
        shown = str(bench.session.answer(bench.core, offer(*answer), False))
        self.assertEqual(status(shown), [])
        self.assertTrue(bench.session.reserved, "whom we call waits for itself")
        later = str(bench.session.reoffer(bench.core, offer(*READY, version=2)).answer)
        self.assertIn("a=curr:qos remote sendrecv", later)
        self.assertEqual(line(later).port, line(text).port)

    def test_failed_at_the_phone(self) -> None:
        """A phone that answers that it failed is 580."""
        bench = Bench(peer=PEER)
        bench.session.offer(bench.web, page())
        failed = offer("a=des:qos failure remote sendrecv")
        error = self.assertRaises(MediaError, bench.session.answer, bench.core, failed, False)
        self.assertIs(error.reason, Reason.PRECONDITION)
