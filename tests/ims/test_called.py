"""Whom an INVITE is for, and who calls."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.called import called_user, caller_of
from rtcgw.model.identity import Identity
from rtcgw.sip.parties import hidden
from tests.ims.requests import request

USERS = {
    "sip:alice@ims.test": "alice",
    "tel:+15550011": "alice",
    "sip:bob@ims.test": "bob",
    "carol": "carol",
    "sip:dave@ims.test": "dave",
}


class CalledTests(SynchronousTestCase):
    def called(self, uri: str = "sip:token@127.0.0.1:5070", **headers: str) -> str | None:
        return called_user(request("INVITE", uri, b"", **headers), USERS.get)

    def test_called_party_id_first(self) -> None:
        """The address before the S-CSCF rewrote it wins over a To that still names somebody else."""
        self.assertEqual(self.called(p_called_party_id="<sip:bob@ims.test>", to="<sip:alice@ims.test>"), "bob")

    def test_to_next(self) -> None:
        """The patent's way: the To header names the user."""
        self.assertEqual(self.called(to='"A" <sip:alice@IMS.test;user=phone>'), "alice")
        self.assertEqual(self.called(p_called_party_id="<sip:else@ims.test>", to="<sip:bob@ims.test>"), "bob")

    def test_request_uri_user_next(self) -> None:
        """A PBX that sends to the gateway's address names the user there."""
        self.assertEqual(self.called("sip:carol@127.0.0.1:5070", to="<sip:800@pbx>"), "carol")

    def test_history_last(self) -> None:
        """A forwarded call is for the last target that the network tried."""
        history = "<sip:800@pbx>;index=1, <sip:dave@ims.test?Reason=SIP%3Bcause%3D302>;index=1.1"
        self.assertEqual(self.called(to="<sip:800@pbx>", history_info=history), "dave")

    def test_numbers_in_every_spelling(self) -> None:
        """A number is one number, as tel URI, as SIP URI, with hyphens."""
        for spelling in ("tel:+1-555-0011", "sip:+15550011@any.example;user=phone", "sip:+15550011@ims.test"):
            self.assertEqual(self.called(p_called_party_id=f"<{spelling}>"), "alice")

    def test_nobody(self) -> None:
        """Nobody known, or headers that cannot be read: nobody."""
        self.assertIsNone(self.called(to="<sip:x@y>", p_called_party_id="<<<", history_info='<x>, "<'))
        self.assertIsNone(self.called(to="<sip:x@y>", history_info="<sip:"))


class CallerTests(SynchronousTestCase):
    def test_asserted(self) -> None:
        """The network's assertion counts, not what the caller wrote in From."""
        made = request(
            from_='"The Queen" <sip:queen@palace>;tag=1', p_asserted_identity='"Bob" <sip:bob@ims.test>, <tel:+1>'
        )
        self.assertEqual(caller_of(made), Identity("sip:bob@ims.test", "Bob"))

    def test_claimed(self) -> None:
        """Without one the claim is all there is; a broken assertion is none."""
        self.assertEqual(caller_of(request()), Identity("sip:bob@ims.test", "Bob"))
        self.assertEqual(caller_of(request(p_asserted_identity='<sip:x>, "<')), Identity("sip:bob@ims.test", "Bob"))

    def test_private(self) -> None:
        """A caller who asks for privacy is marked: the gateway knows who it is, the page is not to."""
        for privacy in ("id", "header;critical", "none;user"):
            made = request(privacy=privacy, p_asserted_identity="<sip:bob@ims.test>")
            self.assertTrue(hidden(made))
            self.assertEqual(caller_of(made).uri, "sip:bob@ims.test")
        self.assertFalse(hidden(request(privacy="none")))
