"""Phones that misuse REFER and Replaces: what they smuggle goes nowhere, and the call goes on."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from rtcgw.model.peer import TransferWay
from rtcgw.sip.message import Request
from tests.flows.test_replaces import NEWCOMER, naming
from tests.flows.transfers import TARGET, TransferCase, sdp
from tests.peers.core_call import CoreCall

SMUGGLED = (
    "x@y\r\nX-Evil: 1;to-tag=a;from-tag=b",
    'x;to-tag="a\r\nX-Evil: 1";from-tag=b',
    "x;to-tag=a;from-tag=b\r\nX-Evil: 1",
    "x\x00y;to-tag=a;from-tag=b",
    "x\u202ey;to-tag=a;from-tag=b",
    "x y, z;to-tag=a;from-tag=b",
)
"""Values of Replaces that are none; each stands escaped in a Refer-To."""
BROKEN = (
    ("contact", "<<<"),
    ("contact", "*"),
    ("contact", '"x'),
    ("record-route", "<<<"),
    ("content-type", "multipart/mixed"),
    ("require", '"'),
)
"""Headers of an INVITE that nothing can be made of."""


class ReferTests(TransferCase):
    """A phone sends the page elsewhere."""

    def refer(self, to: str, *headers: tuple[str, str]) -> int:
        """The answer to a REFER."""
        self.phone.request("REFER", None, ("refer-to", to), *headers)
        self.rig.advance()
        return next(one.status for one in reversed(self.phone.responses) if one.cseq.method == "REFER")

    def invites(self) -> list[Request]:
        """Those that the core got after the page's own; each is refused."""
        calls = self.rig.core.calls[1:]
        for call in calls:
            if call.final is None:
                call.reject(486, "Busy Here")
        self.rig.advance(1)
        return [call.invite for call in calls]

    def test_smuggled(self) -> None:
        """A Replaces in whose escapes a line break hides, or another character that no dialog is named by, is no
        Replaces: refused at once, and nobody is called."""
        for value in SMUGGLED:
            self.assertEqual(self.refer(f"<{TARGET}?Replaces={quote(value, safe='')}>"), 400, value)
        self.assertEqual(self.invites(), [])
        self.still_talks()

    def test_headers(self) -> None:
        """Headers and a body that the Refer-To asks for are left out of the INVITE, as is a method."""
        extra = "Route=%3Csip%3Aevil%3E&body=v%3D0&From=x&Subject=hi%0d%0aX-Evil%3A1&P-Asserted-Identity=%3Csip%3Ax%3E"
        self.assertEqual(self.refer(f"<{TARGET};method=INVITE?{extra}>", ("referred-by", "<sip:b@h>")), 202)
        (invite,) = self.invites()
        text = invite.to_bytes().decode().lower()
        self.assertEqual(str(invite.uri), TARGET)
        self.assertNotIn("evil", text)
        self.assertNotIn("subject", text)
        self.assertTrue(invite.body.startswith(b"offer"), invite.body)
        self.still_talks()

    def test_nowhere(self) -> None:
        """What names nobody, or not one, is refused."""
        for to in (
            "",
            "*",
            "<sip:a@h>, <sip:b@h>",
            "<sip:a@h;method=BYE>",
            "<sip:a@h?Replaces=x&Replaces=y>",
            "<sip:>",
        ):
            self.assertEqual(self.refer(to), 400, to)
        self.assertEqual(self.refer("<http://a/b>"), 416)
        self.assertEqual(self.invites(), [])
        self.still_talks()

    def test_itself(self) -> None:
        """A phone that sends the page to the page's own user: it rings there beside the call, which goes on when
        nobody takes that one."""
        self.assertEqual(self.refer("<sip:alice@ims.test>"), 202)
        ringing = self.page.invited
        self.assertNotEqual(ringing, self.session)
        self.page.send("HANGUP", session=ringing, reason="busy")
        self.rig.advance()
        self.assertIn(b"486", self.phone.last("NOTIFY").body)
        self.still_talks()

    def test_flood(self) -> None:
        """One REFER at a time is carried out, and one NOTIFY each is all that the others cost: none."""
        for _ in range(200):
            self.phone.request("REFER", None, ("refer-to", f"<{TARGET}>"))
        self.rig.advance()
        statuses = sorted(one.status for one in self.phone.responses if one.cseq.method == "REFER")
        self.assertEqual((statuses[0], set(statuses[1:]), len(statuses)), (202, {491}, 200))
        self.assertEqual(len(self.invites()), 1)
        self.assertLessEqual(len([one for one in self.phone.requests if one.method == "NOTIFY"]), 3)
        self.still_talks()


class ReplacesTests(TransferCase):
    """Somebody wants the phone's place."""

    def replace(self, *headers: tuple[str, str]) -> CoreCall:
        call = self.rig.core.call("sip:alice@ims.test", "new", NEWCOMER, *headers)
        self.rig.advance()
        return call

    def naming(self) -> tuple[str, str]:
        assert self.phone.dialog is not None
        return naming(self.phone.dialog.id)

    def test_broken(self) -> None:
        """An INVITE of which no call can be made takes nobody's place: the page can still be handed on."""
        for header in BROKEN:
            call = self.replace(self.naming(), header)
            assert call.final is not None
            self.assertIn(call.final.status, (400, 415, 420), header)
            call = self.replace(self.naming())
            self.assertIsNone(call.final, header)
            self.page.send("DECLINE", session=self.session)
            self.rig.advance()
            self.assertIsNotNone(call.final, header)
        self.still_talks()

    def test_guesses(self) -> None:
        """Whoever guesses gets 481 for each guess, and leaves nothing behind; the call does not notice."""
        assert self.phone.dialog is not None
        known = self.phone.dialog.id
        for number in range(200):
            ids = (known.call_id, known.remote_tag, f"{number}"), (f"{number}", known.remote_tag, known.local_tag)
            for call_id, to_tag, from_tag in ids:
                call = self.replace(("replaces", f"{call_id};to-tag={to_tag};from-tag={from_tag}"))
                assert call.final is not None
                self.assertEqual(call.final.status, 481)
        self.assertEqual([each["type"] for each in self.page.transcript if each["type"] == "PARTY"], [])
        self.still_talks()

    def test_two_at_once(self) -> None:
        """Two that want the same place: one gets it, the other may try again."""
        first, second = self.replace(self.naming()), self.replace(self.naming())
        assert second.final is not None
        self.assertEqual((first.final, second.final.status), (None, 491))
        self.page.send("DECLINE", session=self.session)
        self.rig.advance()
        self.still_talks()


class ReferrerTests(TransferCase):
    """Who asks for a transfer is known to the called by an address, or not at all."""

    def referred_by(self, caller: str, to: str, asker: str) -> str | None:
        """Referred-By of the INVITE, when `caller` has called `asker` so and is handed on."""
        page, called = self.rig.page(caller, "caller"), self.rig.page(asker, "asker")
        session = page.call(to, sdp("caller"))
        self.rig.advance()
        called.send("ANSWER", session=called.invited, sdp=sdp("called"))
        self.rig.advance()
        page.send("ANSWER", session=session)
        called.send("TRANSFER", session=called.invited, to=TARGET)
        self.rig.advance()
        invite = self.rig.call.invite
        self.assertEqual(str(invite.uri), TARGET)
        self.rig.call.reject(486, "Busy Here")
        self.rig.advance()
        page.send("HANGUP", session=session)
        self.still_talks()
        return invite.get("referred-by")

    def test_name(self) -> None:
        """A web user without an address in the network is one of the gateway's domain."""
        self.assertEqual(self.referred_by("bob", "carol", "carol"), "<sip:carol@ims.test>")

    def test_typed(self) -> None:
        """Whoever was called by something that is no address is not named by it."""
        self.assertIsNone(self.referred_by("bob", "tel:+15550011;x=a b, \u202e;y", "bob"))


class SentTests(TransferCase):
    """A page has a phone sent elsewhere that takes REFER."""

    way: ClassVar[TransferWay] = TransferWay.AUTO

    def test_method(self) -> None:
        """No phone is asked to send anything but a call, whatever the page wants: BYE, MESSAGE, headers, a body."""
        self.phone.canned["REFER"] = [(202, None)] * 10
        for more in (";method=BYE", ";method=MESSAGE?body=x", "?body=x", "?Subject=a%0d%0aVia:x", ";METHOD=INVITE"):
            self.transfer(to=TARGET + more)
            self.assertEqual(self.news()[-1], "not-found", more)
        self.assertEqual([one for one in self.phone.requests if one.method == "REFER"], [])
        self.still_talks()
