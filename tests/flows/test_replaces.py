"""Calls from the core that take the place of another one (RFC 3891)."""

from __future__ import annotations

from rtcgw.sip.dialog import DialogId
from rtcgw.sip.message import Request
from tests.flows.rig import FlowMedia, Rig, configured
from tests.flows.transfers import TransferCase, sdp
from tests.peers.core_call import CoreCall

NEWCOMER = "sip:newcomer@ims.test"


def naming(dialog: DialogId, more: str = "") -> tuple[str, str]:
    """Replaces, for a phone's dialog as the gateway knows it."""
    return ("replaces", f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}{more}")


class ReplacesTests(TransferCase):
    """alice's page talks to a phone, and another one takes its place."""

    def replace(
        self, *headers: tuple[str, str], offer: str | None = "new", called: str = "sip:alice@ims.test"
    ) -> CoreCall:
        assert self.phone.dialog is not None
        if not headers:
            headers = (naming(self.phone.dialog.id),)
        call = self.rig.core.call(called, offer, NEWCOMER, *headers)
        self.rig.advance()
        return call

    def status(self, call: CoreCall) -> int | None:
        return None if call.final is None else call.final.status

    def test_confirmed(self) -> None:
        """The page keeps its session and is offered the newcomer's media; the first phone is let go. Nothing rings."""
        call = self.replace()
        change = self.page.last("OFFER")
        self.assertEqual((change["session"], change["fresh"]), (self.session, True))
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE new
            alice <- OFFER caller-offer(new)
            alice -> ANSWER again
            alice <- OK ANSWER
            alice <- PARTY
            core <- 200 INVITE callee-answer(again)
            core -> ACK
            core <- BYE
            core -> 200 BYE
            """
        )
        self.assertEqual(self.page.last("PARTY")["remote"]["uri"], NEWCOMER)
        self.assertEqual(self.phone.last("BYE").get("reason"), "Q.850;cause=16")
        self.assertEqual([record.reason for record in self.rig.records], ["replaced"])
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertTrue(call.ended)

    def test_by_contact_alone(self) -> None:
        """An INVITE for the gateway's Contact, which names no user: the dialog says whom it is about."""
        call = self.replace(naming(self._dialog()), ("p-called-party-id", "<sip:gw@127.0.0.1>"), ("to", "<sip:gw@h>"))
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.assertEqual(self.status(call), 200)
        call.bye()
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def _dialog(self) -> DialogId:
        assert self.phone.dialog is not None
        return self.phone.dialog.id

    def test_offerless(self) -> None:
        """A newcomer that offers nothing gets the page's choice as an offer, which its ACK answers."""
        call = self.replace(offer=None)
        call.auto_ack = False
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.assertEqual(self.status(call), 200)
        call.ack("theirs")
        self.rig.advance()
        call.bye()
        self.rig.advance()

    def test_refused(self) -> None:
        """What names no dialog of ours, or one that may not be replaced, changes nothing."""
        known = self._dialog()
        other = DialogId(known.call_id, known.local_tag, "other")
        for status, *headers in (
            (481, naming(other)),
            (481, naming(DialogId("c", "1", "2"))),
            (486, naming(known, ";early-only")),
            (400, ("replaces", "c;to-tag=1")),
            (400, ("replaces", "")),
        ):
            self.assertEqual(self.status(self.replace(*headers)), status, headers)
        self.still_talks()

    def test_more_than_one(self) -> None:
        """Two dialogs cannot be replaced by one call."""
        value = naming(self._dialog())[1]
        first = self.replace(naming(DialogId("c", "1", "2")))
        request = Request("INVITE", first.invite.uri)
        for name, values in first.invite.headers.items():
            if name not in ("via", "replaces"):
                request.set(name, *values)
        request.set("call-id", "another")
        request.set("replaces", value, value)
        call = self.rig.core.place(request, first.flow)
        self.rig.advance()
        self.assertEqual(self.status(call), 400)
        self.still_talks()

    def test_somebody_elses(self) -> None:
        """A call for bob does not take over alice's."""
        self.rig.page("bob")
        self.assertEqual(self.status(self.replace(naming(self._dialog()), called="tel:+15550011")), 403)
        self.still_talks()

    def test_over(self) -> None:
        """A call that is ending is not taken over."""
        known = self._dialog()
        self.rig.network.fate = lambda packet: 0 if packet.start.startswith("BYE") else 1
        self.page.send("HANGUP", session=self.session)
        call = self.replace(naming(known))
        self.assertEqual(self.status(call), 603)
        self.rig.network.fate = lambda packet: 1

    def test_page_declines(self) -> None:
        """The page stays with its phone; the newcomer hears why."""
        call = self.replace()
        self.page.send("DECLINE", session=self.session)
        self.rig.advance()
        self.assertEqual(self.status(call), 603)
        self.still_talks()

    def test_newcomer_gives_up(self) -> None:
        """It cancels while the page decides: the page is offered its first phone's media again."""
        call = self.replace()
        call.cancel()
        self.rig.advance()
        self.assertEqual(self.status(call), 487)
        self.page.send("ANSWER", session=self.session, sdp="too late")
        self.rig.advance()
        change = self.page.last("OFFER")
        self.assertEqual((change["sdp"], change["fresh"]), ("offer-for-caller", True))
        self.page.send("ANSWER", session=self.session, sdp="back")
        self.rig.advance()
        self.still_talks()

    def test_two_at_once(self) -> None:
        """Who comes second is told to wait."""
        first = self.replace()
        second = self.replace()
        self.assertEqual(self.status(second), 491)
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        first.bye()
        self.rig.advance()

    def test_theirs_that_rings(self) -> None:
        """A call that rings at a page was not begun by us: nobody replaces it (RFC 3891 §3)."""
        ringing = self.rig.ring(called="sip:alice@ims.test")
        self.page.send("RINGING", session=self.page.invited)
        self.rig.advance()
        assert ringing.dialog is not None
        known = ringing.dialog.id
        call = self.replace(("replaces", f"{known.call_id};to-tag={known.remote_tag};from-tag={known.local_tag}"))
        self.assertEqual(self.status(call), 481)
        ringing.cancel()
        self.rig.advance()
        self.still_talks()

    def test_phones(self) -> None:
        """Two phones that a transfer has joined: one of them can be replaced as well."""
        self.phone.canned["UPDATE"] = [(200, sdp("echo")), (200, sdp("echo", 4002, 2))]
        self.transfer(to="sip:target@ims.test")
        target = self.rig.call
        target.answer(sdp("target"))
        self.rig.advance()
        assert target.dialog is not None
        call = self.replace(naming(target.dialog.id), offer=sdp("newcomer", 7000))
        self.assertEqual(self.status(call), 200)
        self.assertTrue(target.ended)
        self.assertIn(b"m=audio 7000", self.phone.last("UPDATE").body)
        call.bye()
        self.rig.advance()
        self.assertTrue(self.phone.ended)


class EarlyTests(TransferCase):
    """The page calls a phone, which rings; another phone takes the call."""

    def build(self) -> Rig:
        return Rig(configured(), FlowMedia(early=True))

    def setUp(self) -> None:
        super().setUp()
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.rig.phone(CoreCall.ring)
        self.session = self.page.call("sip:echo@ims.test")
        self.rig.advance()
        self.phone = self.rig.call
        assert self.phone.dialog is not None
        self.rig.ladder.clear()
        self.call = self.rig.core.call(
            "sip:alice@ims.test", "new", NEWCOMER, naming(self.phone.dialog.id, ";early-only")
        )
        self.rig.advance()

    def test_taken(self) -> None:
        """The phone stops ringing, with the reason; the page is answered, and then offered the newcomer's media."""
        self.assertTrue(self.phone.cancelled)
        self.assertIn("cause=200", self.phone.last("CANCEL").get("reason") or "")
        self.phone.reject(487, "Request Terminated")
        self.page.send("ANSWER", session=self.session)
        self.rig.advance(2)
        change = self.page.last("OFFER")
        self.assertEqual((change["session"], change["sdp"], change["fresh"]), (self.session, "caller-offer(new)", True))
        self.page.send("ANSWER", session=self.session, sdp="again")
        self.rig.advance()
        self.assertEqual(self.call.final and self.call.final.status, 200)
        self.call.bye()
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "hangup")

    def test_newcomer_gives_up(self) -> None:
        """Nobody is left: the page's call is over."""
        self.phone.reject(487, "Request Terminated")
        self.page.send("ANSWER", session=self.session)
        self.call.cancel()
        self.rig.advance()
        self.assertEqual(self.page.last("HANGUP")["reason"], "cancelled")

    def test_page_gives_up(self) -> None:
        """The page hangs up before it is there."""
        self.phone.reject(487, "Request Terminated")
        self.page.send("HANGUP", session=self.session)
        self.rig.advance()
        self.assertIsNotNone(self.call.final)
