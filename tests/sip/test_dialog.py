"""Dialogs: what both ends remember, and the requests that follow from it."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from rtcgw.sip.dialog import COOKIE, Dialog, DialogId, new_branch, new_call_id, new_tag, next_hop
from rtcgw.sip.flow import Hop
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Request, Response, make_response
from tests.sip.doubles import make_request


def answer(request: Request, status: int = 200, tag: str | None = "bt", *routes: str) -> Response:
    response = make_response(request, status, None, tag)
    response.set("contact", "<sip:b@10.0.0.2:5070>")
    for route in routes:
        response.add("record-route", route)
    return response


class UacTest(TestCase):
    def setUp(self) -> None:
        self.invite = make_request("INVITE", 7)

    def test_made_by_a_response(self) -> None:
        """The caller's dialog: the response's tag and Contact, its Record-Routes turned round."""
        dialog = Dialog.as_uac(self.invite, answer(self.invite, 180, "bt", "<sip:p2;lr>, <sip:p1;lr>"))
        self.assertEqual(dialog.id, DialogId("c1", "at", "bt"))
        self.assertEqual([str(route) for route in dialog.route_set], ["<sip:p1;lr>", "<sip:p2;lr>"])
        self.assertEqual(str(dialog.remote_target), "sip:b@10.0.0.2:5070")
        self.assertEqual((dialog.local_cseq, dialog.remote_cseq), (7, None))

    def test_without_contact(self) -> None:
        """A 180 without Contact is enough for a dialog; the 2xx brings the target and the valid route set."""
        ringing = make_response(self.invite, 180, None, "bt")
        dialog = Dialog.as_uac(self.invite, ringing)
        self.assertEqual(dialog.remote_target, self.invite.uri)
        dialog.confirm(answer(self.invite, 200, "bt", "<sip:p1;lr>"))
        self.assertEqual(str(dialog.remote_target), "sip:b@10.0.0.2:5070")
        self.assertEqual([str(route) for route in dialog.route_set], ["<sip:p1;lr>"])

    def test_what_the_peer_takes(self) -> None:
        """Its last Allow counts; before it has sent one nothing is known."""
        dialog = Dialog.as_uac(self.invite, answer(self.invite, 180))
        self.assertIsNone(dialog.takes("UPDATE"))
        final = answer(self.invite)
        final.set("allow", "INVITE,ACK", "BYE , UPDATE")
        dialog.confirm(final)
        dialog.refresh_target(answer(self.invite))
        self.assertEqual(
            [dialog.takes(method) for method in ("UPDATE", "ACK", "PRACK", "update")], [True, True, False, False]
        )
        final.set("allow", "")
        dialog.refresh_target(final)
        self.assertIs(dialog.takes("UPDATE"), False)

    def test_headers_of_its_requests(self) -> None:
        """What a dialog's requests bear besides stands in each of them but the ACK."""
        dialog = Dialog.as_uac(self.invite, answer(self.invite))
        dialog.headers = (("x-one", "1"),)
        self.assertEqual([dialog.request("BYE").get("x-one"), dialog.ack(7).get("x-one")], ["1", None])

    def test_forks(self) -> None:
        """Each To tag is a dialog of its own, with its own numbers."""
        one, two = (Dialog.as_uac(self.invite, answer(self.invite, 183, tag)) for tag in ("b1", "b2"))
        self.assertNotEqual(one.id, two.id)
        self.assertEqual(one.request("PRACK").cseq.number, 8)
        self.assertEqual(one.request("BYE").cseq.number, 9)
        self.assertEqual(two.request("PRACK").cseq.number, 8)
        self.assertEqual(two.request("PRACK").to.tag, "b2")

    def test_no_tag(self) -> None:
        """A peer of RFC 2543 that gives no tag still has a dialog."""
        response = answer(self.invite)
        response.set("to", "<sip:b@home>")
        dialog = Dialog.as_uac(self.invite, response)
        self.assertEqual(dialog.id.remote_tag, "")
        self.assertIsNone(dialog.request("BYE").to.tag)


class UasTest(TestCase):
    def setUp(self) -> None:
        self.invite = make_request("INVITE", 7)

    def test_made_by_our_answer(self) -> None:
        """The callee's dialog: our tag, the request's Contact, its Record-Routes in their order."""
        self.invite.add("record-route", "<sip:p1;lr>, <sip:p2;lr>")
        dialog = Dialog.as_uas(self.invite, "bt")
        self.assertEqual(dialog.id, DialogId("c1", "bt", "at"))
        self.assertEqual([str(route) for route in dialog.route_set], ["<sip:p1;lr>", "<sip:p2;lr>"])
        self.assertEqual(str(dialog.remote_target), "sip:a@127.0.0.1:5060")
        bye = dialog.request("BYE")
        self.assertEqual((bye.from_.tag, bye.to.tag, bye.call_id), ("bt", "at", "c1"))
        self.assertEqual(bye.cseq.number, dialog.local_cseq)

    def test_without_contact(self) -> None:
        """An INVITE without Contact makes no dialog: its sender could not be called back."""
        self.invite.remove("contact")
        with self.assertRaises(HeaderError):
            Dialog.as_uas(self.invite, "bt")

    def test_order(self) -> None:
        """Requests must come with growing numbers; ACK and CANCEL bear old ones by their nature."""
        dialog = Dialog.as_uas(self.invite, "bt")
        for method, number, accepted in (
            ("ACK", 7, True),
            ("CANCEL", 7, True),
            ("INFO", 9, True),
            ("INFO", 8, False),
            ("BYE", 9, False),
            ("BYE", 10, True),
        ):
            self.assertEqual(dialog.accepts(make_request(method, number)), accepted, (method, number))

    def test_first_number_of_the_callee(self) -> None:
        """A caller's dialog takes whatever number the callee begins with."""
        dialog = Dialog.as_uac(self.invite, answer(self.invite))
        self.assertTrue(dialog.accepts(make_request("BYE", 1)))

    def test_of_request(self) -> None:
        """A request finds its dialog by our tag in its To."""
        self.assertEqual(DialogId.of_request(make_request("BYE", tag="bt")), DialogId("c1", "bt", "at"))


class RequestsTest(TestCase):
    def dialog(self, *routes: str) -> Dialog:
        invite = make_request("INVITE", 7)
        return Dialog.as_uac(invite, answer(invite, 200, "bt", *reversed(routes)))

    def test_direct(self) -> None:
        """Without proxies a request goes to the peer's Contact."""
        bye = self.dialog().request("BYE")
        self.assertEqual((str(bye.uri), bye.headers.get("route")), ("sip:b@10.0.0.2:5070", None))
        self.assertEqual(next_hop(bye), Hop("10.0.0.2", 5070))
        self.assertNotIn("via", bye.headers)
        self.assertEqual(bye.get("max-forwards"), "70")

    def test_loose(self) -> None:
        """Loose routers stand in Route, the target in the Request-URI."""
        dialog = self.dialog("<sip:p1.test:5080;lr>", "<sip:p2.test;lr>")
        bye = dialog.request("BYE")
        self.assertEqual(str(bye.uri), "sip:b@10.0.0.2:5070")
        self.assertEqual(bye.headers["route"], ["<sip:p1.test:5080;lr>", "<sip:p2.test;lr>"])
        self.assertEqual(dialog.next_hop(bye), Hop("p1.test", 5080))

    def test_strict(self) -> None:
        """A strict router finds itself in the Request-URI, without what no Request-URI bears, and the target last."""
        bye = self.dialog("<sip:p1.test;method=INVITE?a=b>", "<sip:p2.test;lr>").request("BYE")
        self.assertEqual(str(bye.uri), "sip:p1.test")
        self.assertEqual(bye.headers["route"], ["<sip:p2.test;lr>", "<sip:b@10.0.0.2:5070>"])

    def test_strict_alone(self) -> None:
        """A strict router alone: the next hop is the router, not the target in Route."""
        bye = self.dialog("<sip:p1.test>").request("BYE")
        self.assertEqual(bye.headers["route"], ["<sip:b@10.0.0.2:5070>"])
        self.assertEqual(next_hop(bye), Hop("p1.test"))

    def test_ack(self) -> None:
        """The ACK bears the INVITE's number and takes none of its own."""
        dialog = self.dialog()
        self.assertEqual(str(dialog.ack(7).cseq), "7 ACK")
        self.assertEqual(dialog.request("BYE").cseq.number, 8)

    def test_target_refresh(self) -> None:
        """A re-INVITE or its answer may move the peer, what bears no Contact does not; the route set stays."""
        dialog = self.dialog("<sip:p1;lr>")
        moved = make_request("INVITE")
        moved.set("contact", "<sip:b@10.0.0.9>")
        dialog.refresh_target(moved)
        info = make_request("INFO")
        info.remove("contact")
        dialog.refresh_target(info)
        self.assertEqual(str(dialog.request("BYE").uri), "sip:b@10.0.0.9")
        self.assertEqual(len(dialog.route_set), 1)


class IdsTest(TestCase):
    def test_fresh(self) -> None:
        """Ids differ, and branches bear the cookie of RFC 3261."""
        self.assertEqual(len({new_tag() for _ in range(100)}), 100)
        self.assertTrue(new_branch().startswith(COOKIE))
        self.assertNotEqual(new_branch(), new_branch())
        self.assertTrue(new_call_id("gw").endswith("@gw"))
