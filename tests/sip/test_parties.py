"""Who calls, who is connected, whom a call was meant for before: read from headers that may say anything."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.defaults import NAME_LIMIT
from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.sip.parties import HISTORY_LIMIT, asserted, diverted, hidden, plain, referrer
from tests.ims.requests import request

ALICE, BOB, CAROL = Identity("sip:alice@ims.test"), Identity("sip:bob@ims.test"), Identity("sip:carol@ims.test")


class NameTests(SynchronousTestCase):
    def test_cleaned(self) -> None:
        """A name is one line without controls, not longer than can be shown; marks that reverse text are gone."""
        for text, name in (
            ("Bob", "Bob"),
            ("  B\to\x07b \r\n", "B ob"),
            ("\u202eboB\u200b", "boB"),
            ("Zoë \U0001f642", "Zoë \U0001f642"),
            ("x" * 500, "x" * NAME_LIMIT),
            (" \x00 ", None),
            ("", None),
            (None, None),
        ):
            self.assertEqual(plain(text), name)


class AssertedTests(SynchronousTestCase):
    def test_nobody(self) -> None:
        """Without an assertion, or with one that cannot be read, nobody is asserted."""
        self.assertIsNone(asserted(request()))
        self.assertIsNone(asserted(request(p_asserted_identity="<sip:")))
        self.assertIsNone(asserted(request(p_asserted_identity='<sip:bob@x>, "<')))

    def test_address_first(self) -> None:
        """Of an address and a number the address is shown, with whichever name there is."""
        for value, party in (
            ('"Bob" <tel:+15550002>, <sip:bob@ims.test>', Identity("sip:bob@ims.test", "Bob")),
            ('<sip:bob@ims.test>, "Bob" <tel:+15550002>', Identity("sip:bob@ims.test", "Bob")),
            ("<tel:+15550002>", Identity("tel:+15550002", "From")),
            ('"B" <sip:+15550002@ims.test;user=phone>', Identity("sip:+15550002@ims.test;user=phone", "B")),
            ("<sip:bob@ims.test>", Identity("sip:bob@ims.test", "From")),
        ):
            self.assertEqual(asserted(request(p_asserted_identity=value), "From"), party)

    def test_private(self) -> None:
        """Who does not want to be shown is not."""
        for privacy in ("id", "critical; ID", "header", "user,critical"):
            self.assertEqual(asserted(request(privacy=privacy, p_asserted_identity="<sip:bob@ims.test>")), ANONYMOUS)
            self.assertTrue(hidden(request(privacy=privacy)))
        self.assertFalse(hidden(request(privacy="none")))
        self.assertTrue(hidden(request(from_='"Anonymous" <sip:anonymous@Anonymous.INVALID>;tag=1')))
        self.assertFalse(hidden(request(from_="<<<")))


class HistoryTests(SynchronousTestCase):
    def test_history_info(self) -> None:
        """In order, without the reasons in the addresses, neighbours that are one party once."""
        value = (
            "<sip:bob@ims.test?Reason=SIP%3Bcause%3D302>;index=1, <sip:bob@ims.test;transport=tcp>;index=1.1,"
            ' "Carol\x07" <sip:carol@ims.test>;index=1.2, <sip:alice@ims.test>;index=1.2.1'
        )
        self.assertEqual(diverted(request(history_info=value)), (BOB, Identity("sip:carol@ims.test", "Carol"), ALICE))
        self.assertEqual(diverted(request()), ())
        self.assertEqual(diverted(request(history_info='<sip:bob@x>, "<')), ())

    def test_history_private(self) -> None:
        """That a call was sent on is told, by whom is not where it is private."""
        value = "<sip:bob@ims.test?Privacy=history&Reason=SIP>;index=1, <sip:alice@ims.test>;index=1.1"
        self.assertEqual(diverted(request(history_info=value)), (ANONYMOUS, ALICE))
        for privacy in ("history", "session", "header"):
            self.assertEqual(diverted(request(history_info=value, privacy=privacy)), (ANONYMOUS,))

    def test_diversion(self) -> None:
        """The newest entry stands first there; each says what may be shown of it. History-Info counts before it."""
        value = (
            '"Carol" <sip:carol@ims.test>;reason=no-answer;privacy=name, <sip:dave@ims.test>;privacy=full, '
            '"Bob" <sip:bob@ims.test>;reason=unconditional'
        )
        self.assertEqual(diverted(request(diversion=value)), (Identity("sip:bob@ims.test", "Bob"), ANONYMOUS, CAROL))
        both = request(diversion=value, history_info="<sip:alice@ims.test>;index=1")
        self.assertEqual(diverted(both), (ALICE,))

    def test_bounded(self) -> None:
        """A history that never ends is cut."""
        value = ", ".join(f"<sip:u{number}@ims.test>;index={number}" for number in range(200))
        self.assertEqual(len(diverted(request(history_info=value))), HISTORY_LIMIT)

    def test_referrer(self) -> None:
        """Who has transferred the call."""
        self.assertEqual(referrer(request(referred_by='"C" <sip:carol@ims.test>;cid="x@y"')), CAROL.uri)
        self.assertIsNone(referrer(request()))
        self.assertIsNone(referrer(request(referred_by="<sip:")))
