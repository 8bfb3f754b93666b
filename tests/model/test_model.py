"""The shared words: identities reduced to keys, and the one table of reasons."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.identity import Identity, Profile, canonical_key, new_session_id
from rtcgw.model.reason import Reason, from_cause, from_status, from_word, refined


class KeyTests(SynchronousTestCase):
    """The spellings of one address meet in one key (RFC 3261 §19.1.4, §19.1.6; RFC 3966 §4)."""

    def test_spellings(self) -> None:
        """A number is one number however it is written; a user keeps its case, a host does not."""
        for text, key in (
            ("tel:+1-555-00.01", "tel:+15550001"),
            ("TEL:+15550001;phone-context=x", "tel:+15550001"),
            ("sip:+1(555)0001@ims.test;user=phone", "tel:+15550001"),
            ("sip:+15550001@IMS.test:5060", "tel:+15550001"),
            ("+15550001", "tel:+15550001"),
            ("sip:Alice@IMS.Test:5070;transport=tcp?Subject=x", "sip:Alice@ims.test"),
            ("<sips:alice:secret@ims.test>", "sip:alice@ims.test"),
            ("sip:%61lice@ims.test", "sip:alice@ims.test"),
            ("sip:bob@[2001:DB8::1]:5060", "sip:bob@[2001:db8::1]"),
            ("sip:ims.test", "sip:ims.test"),
            ("alice", "alice"),
            ("alice@ims.test", "sip:alice@ims.test"),
            ("", ""),
        ):
            self.assertEqual(canonical_key(text), key, text)

    @given(st.text(max_size=60))
    @settings(max_examples=200, deadline=None)
    def test_never_raises(self, text: str) -> None:
        """Whatever a peer writes has a key, and a number's key is its own key."""
        key = canonical_key(text)
        if key.startswith("tel:+"):
            self.assertEqual(canonical_key(key), key)

    def test_identity(self) -> None:
        """An identity's key is its URI's."""
        self.assertEqual(Identity("sip:a@B").key, "sip:a@b")

    def test_session_ids(self) -> None:
        """Session ids are long and never repeat."""
        ids = {new_session_id() for _ in range(1000)}
        self.assertEqual(len(ids), 1000)
        self.assertTrue(all(len(session) >= 22 for session in ids))

    def test_no_secrets(self) -> None:
        """A profile printed in a log or a prompt shows none of its keys."""
        profile = Profile("p", "i", ("u",), "d", secret="hush", k=b"kkkkkkkkkkkkkkkk", opc=b"oooooooooooooooo")
        text = repr(profile)
        for secret in ("hush", "kkkk", "oooo"):
            self.assertNotIn(secret, text)


class ReasonTests(SynchronousTestCase):
    """Every ending has one reason, and every final response has one."""

    def test_every_status(self) -> None:
        """Each final response of 300-699 reads as a reason; a reason's own refusal reads as itself or its like."""
        for status in range(300, 700):
            self.assertIsInstance(from_status(status), Reason)
        for status, reason in (
            (486, Reason.BUSY),
            (603, Reason.DECLINED),
            (480, Reason.OFFLINE),
            (404, Reason.NOT_FOUND),
        ):
            self.assertIs(from_status(status), reason)
        self.assertIs(from_status(302), Reason.REDIRECTED)
        self.assertIs(from_status(380), Reason.ALTERNATIVE)
        self.assertIs(from_status(499), Reason.PROTOCOL)
        self.assertIs(from_status(599), Reason.SERVER)
        self.assertIs(from_status(699), Reason.DECLINED)

    def test_words(self) -> None:
        """Words are unique, fit for a metric label, and lead back to their reason."""
        for reason in Reason:
            self.assertIs(from_word(reason.word), reason)
            self.assertRegex(reason.word, r"\A[a-z]+(-[a-z]+)*\Z")
        self.assertIsNone(from_word("nonsense"))

    def test_facts(self) -> None:
        """Each reason has a sentence for people, a Q.850 cause and a log level that exists."""
        for reason in Reason:
            self.assertTrue(reason.text.endswith("."), reason)
            self.assertIn(reason.level, ("info", "warn", "error"))
            self.assertTrue(1 <= reason.cause <= 127)
            self.assertTrue(reason.phrase)

    def test_causes(self) -> None:
        """Each Q.850 cause reads as a reason, or says nothing; what we send is read as its like."""
        for cause in range(128):
            self.assertIsInstance(from_cause(cause), (Reason, type(None)))
        for cause, reason in (
            (1, Reason.NOT_FOUND),
            (17, Reason.BUSY),
            (19, Reason.NO_ANSWER),
            (34, Reason.OVERLOADED),
        ):
            self.assertIs(from_cause(cause), reason)
        for silent in (0, 31, 127):
            self.assertIsNone(from_cause(silent))
        for said in (Reason.BUSY, Reason.NO_ANSWER, Reason.INCOMPLETE, Reason.ANSWERED_ELSEWHERE, Reason.HANGUP):
            self.assertIs(from_cause(said.cause), said)

    def test_status_and_cause(self) -> None:
        """A vague status gives way to the cause beside it, a clear one does not."""
        for status, cause, reason in (
            (480, 19, Reason.NO_ANSWER),
            (480, 16, Reason.OFFLINE),
            (480, None, Reason.OFFLINE),
            (480, 127, Reason.OFFLINE),
            (503, 34, Reason.OVERLOADED),
            (503, 17, Reason.BUSY),
            (500, 1, Reason.NOT_FOUND),
            (404, 19, Reason.NOT_FOUND),
            (486, 19, Reason.BUSY),
            (603, 17, Reason.DECLINED),
            (499, 111, Reason.PROTOCOL),
        ):
            self.assertIs(refined(status, cause), reason, (status, cause))
