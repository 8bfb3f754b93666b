"""Phones that subscribe to the conference they are in: what they are told, how often, and how it ends (RFC 4575)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote
from xml.etree import ElementTree

from rtcgw.model.events import Part, Participant
from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.sip.dialog import DialogId, new_call_id, new_tag
from rtcgw.sip.headers import NameAddr
from rtcgw.sip.message import Request, Response
from rtcgw.sip.notifier import GAP, LEAST, MOST
from rtcgw.sip.uri import Uri
from rtcgw.translator.confinfo import CONTENT, LIMIT, NAMESPACE, users
from tests.flows.rig import GATEWAY
from tests.flows.test_conference import ALICE, ONE, TWO, ConferenceCase
from tests.peers.core_call import CoreCall
from tests.translator.mixing import PHONE_SDP

NS = f"{{{NAMESPACE}}}"


def read(notify: Request) -> ElementTree.Element:
    return ElementTree.fromstring(notify.body)  # noqa: S314 - the gateway's own


def told(notify: Request) -> tuple[str, int, dict[str, list[str]]]:
    """What a NOTIFY says: state, version, and by user what each endpoint is doing; `deleted` for one who has left."""
    root = read(notify)
    users = {}
    for user in root.iter(f"{NS}user"):
        gone = user.get("state") == "deleted"
        users[user.get("entity", "")] = ["deleted"] if gone else [str(s.text) for s in user.iter(f"{NS}status")]
    return root.get("state", ""), int(root.get("version", "0")), users


class InfoCase(ConferenceCase):
    """A conference of two phones and a page; the first phone is one that subscribes."""

    def setUp(self) -> None:
        super().setUp()
        self.merge()
        self.uri = self.contact().uri

    def contact(self) -> NameAddr:
        """Where the first phone was told that the conference is."""
        return NameAddr.parse(self.one.last("UPDATE").get("contact") or "")

    def subscribe(self, expires: int | None = 600, event: str = "conference", **headers: str) -> Response:
        """In the dialog of the call: the response."""
        fields = {"event": event, "accept": CONTENT, **headers}
        if expires is not None:
            fields["expires"] = str(expires)
        self.one.request("SUBSCRIBE", None, *fields.items())
        self.rig.advance()
        return next(one for one in reversed(self.one.responses) if one.cseq.method == "SUBSCRIBE")

    @property
    def notified(self) -> Sequence[Request]:
        """The NOTIFYs that have come to the first phone."""
        return [request for request in self.one.requests if request.method == "NOTIFY"]

    def states(self) -> list[str]:
        return [request.get("subscription-state") or "" for request in self.notified]


class InDialogTests(InfoCase):
    def test_contact(self) -> None:
        """A phone in a conference is told so by the Contact, in what is asked of it and in what it is answered."""
        self.assertEqual(str(self.uri).split("@")[0], f"sip:{next(iter(self.rig.conferences.rooms))}")
        self.assertIn(";isfocus", self.one.last("UPDATE").get("contact") or "")
        self.one.request("INVITE", PHONE_SDP)
        self.rig.advance()
        self.one.ack()
        self.assertIn(";isfocus", self.one.responses[-1].get("contact") or "")

    def test_told_at_once(self) -> None:
        """The whole list comes with the subscription."""
        response = self.subscribe()
        self.assertEqual((response.status, response.get("expires")), (200, "600"))
        notify = self.notified[0]
        self.assertEqual(notify.get("content-type"), CONTENT)
        self.assertEqual((notify.get("event"), self.states()), ("conference", ["active;expires=600"]))
        everybody = {ONE: ["connected"], ALICE: ["connected"], TWO: ["connected"]}
        self.assertEqual(told(notify), ("full", 1, everybody))
        root = read(notify)
        self.assertEqual(root.findtext(f"{NS}conference-state/{NS}user-count"), "3")
        self.assertEqual(root.get("entity"), f"sip:{self.uri.user}@{self.uri.host}")

    def test_changes(self) -> None:
        """Then only what has changed, each time under the next version: on hold, away, gone."""
        self.subscribe()
        self.rig.advance(GAP)
        self.two.request("INVITE", PHONE_SDP.replace("sendrecv", "sendonly"))
        self.rig.advance()
        self.two.ack()
        self.rig.advance(GAP)
        self.alice.drop()
        self.rig.advance(GAP)
        self.two.bye()
        self.rig.advance(GAP)
        self.assertEqual(
            [told(notify) for notify in self.notified[1:]],
            [
                ("partial", 2, {TWO: ["on-hold"]}),
                ("partial", 3, {ALICE: ["on-hold"]}),
                ("partial", 4, {TWO: ["deleted"]}),
            ],
        )

    def test_not_too_often(self) -> None:
        """However fast things change, one NOTIFY a second tells what has come of it."""
        self.subscribe()
        for _ in range(10):
            for direction in ("sendonly", "sendrecv", "inactive"):
                self.two.request("INVITE", PHONE_SDP.replace("sendrecv", direction))
                self.rig.advance(0.01)
                self.two.ack()
                self.rig.advance(0.02)
        self.rig.advance(2 * GAP)
        self.assertLessEqual(len(self.notified), 4)
        self.assertEqual(told(self.notified[-1])[2], {TWO: ["on-hold"]})

    def test_refreshed(self) -> None:
        """A refresh prolongs it and brings the whole list again; without one it expires."""
        self.subscribe(LEAST)
        self.rig.advance(30)
        self.subscribe(LEAST)
        self.rig.advance(31)
        self.assertEqual([told(notify)[:2] for notify in self.notified], [("full", 1), ("full", 2)])
        self.rig.advance(30)
        self.assertEqual(self.states()[-1], "terminated;reason=timeout")
        self.assertEqual(len(self.rig.confinfo), 0)

    def test_unsubscribed(self) -> None:
        """Expires 0 ends it, with a last list."""
        self.subscribe()
        self.rig.advance(GAP)
        self.assertEqual(self.subscribe(0).status, 200)
        self.assertEqual(self.states()[-1], "terminated;reason=timeout")
        self.assertEqual(told(self.notified[-1])[0], "full")
        self.two.bye()
        self.rig.advance(GAP)
        self.assertEqual(len(self.notified), 2)

    def test_conference_over(self) -> None:
        """With the conference the subscription of whoever is left ends; with the call that of who has left."""
        self.subscribe()
        self.rig.advance(GAP)
        self.one.bye()
        self.rig.advance()
        self.assertEqual(len(self.rig.confinfo), 0)
        self.assertEqual(len(self.notified), 1)

    def test_phone_that_does_not_know_it_any_more(self) -> None:
        """A NOTIFY that is refused is the last one."""
        self.subscribe()
        self.rig.advance(GAP)
        self.one.canned["NOTIFY"] = [(481, None)]
        self.two.bye()
        self.rig.advance(GAP)
        self.assertEqual(len(self.rig.confinfo), 0)


class HostileTests(InfoCase):
    def test_refusals(self) -> None:
        """Another package, a body that is not ours, too short, no number, an old number: each its own answer."""
        self.assertEqual(self.subscribe(event="presence").status, 489)
        self.assertEqual(self.one.responses[-1].get("allow-events"), "conference")
        self.assertEqual(self.subscribe(accept="text/plain").status, 406)
        self.assertEqual(self.subscribe(LEAST - 1).status, 423)
        self.assertEqual(self.one.responses[-1].get("min-expires"), str(LEAST))
        self.assertEqual(self.subscribe(expires=None).status, 200)
        self.assertEqual(self.one.responses[-1].get("expires"), str(MOST))
        self.assertEqual(self.subscribe(10**9).get("expires"), str(MOST))
        self.assertEqual(self.subscribe(event=";;").status, 400)
        self.one.request("SUBSCRIBE", None, ("event", "conference"), ("expires", "soon"))
        self.rig.advance()
        self.assertEqual(self.one.responses[-1].status, 400)
        self.assertEqual(len(self.rig.confinfo), 1)

    def test_typed_addresses(self) -> None:
        """What a page has typed to call somebody may be no URI, nor even text that XML can hold: the phones are told
        an address that is one."""
        for typed in ("sip:two@ims.test;\uffff", "sip:two@ims.test \x85", "tel:+1;\u202e", "two\ufffe <&"):
            found = users((Participant(Identity(typed), Part.TALKING),), "conference.invalid")
            (uri,) = found
            self.assertEqual(Uri.parse(uri).host, "conference.invalid", typed)
            self.assertEqual(unquote(Uri.parse(uri).user or ""), typed)
        for proper in ("sip:two@ims.test;user=phone", "tel:+15550100"):
            self.assertEqual(list(users((Participant(Identity(proper), Part.TALKING),), "x")), [proper])

    def test_call_that_is_no_conference(self) -> None:
        """In the dialog of an ordinary call there is nothing to subscribe to."""
        _, three = self.talk("sip:three@ims.test")
        three.request("SUBSCRIBE", None, ("event", "conference"))
        self.rig.advance()
        self.assertEqual(three.responses[-1].status, 489)


class Subscriber:
    """A phone that subscribes outside any dialog; `call` is where what the core gets for it arrives."""

    def __init__(self, case: InfoCase) -> None:
        self._rig = case.rig
        self._uri = case.uri
        self.call = CoreCall(case.rig.core, Request("SUBSCRIBE", case.uri), GATEWAY)
        self.call_id, self.tag, self.theirs, self.number = new_call_id("x"), new_tag(), "", 0
        case.rig.core.dialogs = Dialogs(case.rig.core.dialogs, self)

    def ask(self, to: str = "", **headers: str) -> Response:
        """SUBSCRIBE, in the dialog once there is one: the response."""
        self.number += 1
        uri = to or str(self._uri)
        request = Request("SUBSCRIBE", Uri.parse(uri))
        fields = {
            "max-forwards": "70",
            "from": f"<{ONE}>;tag={self.tag}",
            "to": f"<{uri}>" + (f";tag={self.theirs}" if self.theirs else ""),
            "call-id": self.call_id,
            "cseq": f"{self.number} SUBSCRIBE",
            "contact": f"<sip:one@{self._rig.core.host}:{self._rig.core.scscf_port}>",
            "event": "conference",
            "expires": "600",
            **headers,
        }
        for name, value in fields.items():
            if value:
                request.set(name, value)
        self._rig.core._via(request, self.call)
        self._rig.core.send(request, GATEWAY)
        self._rig.advance()
        response = self.call.responses[-1]
        self.theirs = self.theirs or ((response.to.tag or "") if response.status == 200 else "")
        return response

    @property
    def told(self) -> list[tuple[str, int, dict[str, list[str]]]]:
        return [told(notify) for notify in self.call.requests]


class Dialogs(dict[DialogId, CoreCall]):
    """The core's dialogs, and the subscriber's, whose other tag it does not know in time."""

    def __init__(self, others: dict[DialogId, CoreCall], subscriber: Subscriber) -> None:
        super().__init__(others)
        self._subscriber = subscriber

    def get(self, key: DialogId, default: CoreCall | None = None) -> CoreCall | None:  # type: ignore[override]
        if key.call_id == self._subscriber.call_id:
            return self._subscriber.call
        return super().get(key, default)


class OutsideTests(InfoCase):
    def setUp(self) -> None:
        super().setUp()
        self.watcher = Subscriber(self)

    def test_whole_life(self) -> None:
        """Subscribed, told, refreshed in its own dialog, told again, and told that the conference is over."""
        response = self.watcher.ask()
        self.assertEqual(response.status, 200)
        self.assertIn(";isfocus", response.get("contact") or "")
        self.rig.advance(GAP)
        self.assertEqual(self.watcher.ask().status, 200)
        self.rig.advance(GAP)
        self.alice.send("HANGUP", session=self.first)
        self.rig.advance(GAP)
        self.assertEqual([state for state, _, _ in self.watcher.told], ["full", "full", "partial"])
        self.assertEqual([version for _, version, _ in self.watcher.told], [1, 2, 3])
        self.one.bye()
        self.rig.advance(GAP)
        self.assertEqual(self.watcher.call.requests[-1].get("subscription-state"), "terminated;reason=noresource")
        self.assertEqual([users for _, _, users in self.watcher.told[-2:]], [{ONE: ["deleted"]}, {TWO: ["deleted"]}])
        self.assertEqual(self.watcher.ask().status, 481)

    def test_fetched(self) -> None:
        """Expires 0 at once: one look, and nothing is kept."""
        self.assertEqual(self.watcher.ask(expires="0").status, 200)
        self.assertEqual(len(self.watcher.told), 1)
        self.assertEqual(self.watcher.call.requests[0].get("subscription-state"), "terminated;reason=timeout")
        self.assertEqual(len(self.rig.confinfo), 0)

    def test_unknown_conference(self) -> None:
        """A conference that is not there, a user's address, a dialog that is not ours."""
        self.assertEqual(self.watcher.ask(f"sip:conference-0@{self.uri.host}").status, 404)
        self.assertEqual(self.watcher.ask(ALICE).status, 404)
        self.watcher.theirs = "nobody"
        self.assertEqual(self.watcher.ask().status, 481)

    def test_without_contact(self) -> None:
        """A SUBSCRIBE that cannot make a dialog is a bad request, and leaves nothing."""
        self.assertEqual(self.watcher.ask(contact="").status, 400)
        self.assertEqual(len(self.rig.confinfo), 0)

    def test_brief(self) -> None:
        """What is refused at first leaves nothing either; in a subscription it leaves that as it was."""
        self.assertEqual(self.watcher.ask(expires="5").status, 423)
        self.assertEqual(len(self.rig.confinfo), 0)
        self.watcher.ask()
        self.assertEqual(self.watcher.ask(expires="5").status, 423)
        self.assertEqual(len(self.rig.confinfo), 1)

    def test_other_requests_in_its_dialog(self) -> None:
        """Only SUBSCRIBE makes sense in a subscription, and numbers only grow."""
        self.watcher.ask()
        self.watcher.number = 0
        self.assertEqual(self.watcher.ask().status, 500)

    def test_broken_refreshes(self) -> None:
        """A refresh that cannot be read is refused, and the subscription lasts as long as it did."""
        phone = Subscriber(self)
        phone.ask()
        for fields in ({"event": ";;"}, {"event": ""}, {"expires": "soon"}, {"expires": "-1"}, {"contact": "<<<"}):
            self.assertIn(phone.ask(**fields).status, (400, 489), fields)
        self.assertEqual(phone.ask(expires=str(LEAST - 1)).status, 423)
        phone.number = 1
        self.assertEqual(phone.ask().status, 500)
        self.assertEqual(len(self.rig.confinfo), 1)
        self.rig.advance(601)
        self.assertEqual(len(self.rig.confinfo), 0)

    def test_limit(self) -> None:
        """A conference has a bounded number of subscriptions."""
        for _ in range(LIMIT):
            self.assertEqual(self.watcher.ask().status, 200)
            self.watcher.call_id, self.watcher.theirs = new_call_id("x"), ""
        self.assertEqual(self.watcher.ask().status, 503)
        self.assertEqual(len(self.rig.confinfo), LIMIT)

    def test_names(self) -> None:
        """A user's name is text, whatever is in it; who is hidden stays so."""
        conference = next(iter(self.rig.conferences.rooms.values()))
        conference.legs[0].party = Identity("eve", '<b>&"\x07</b>')
        conference.legs[2].party = ANONYMOUS
        conference.changed()
        self.watcher.ask()
        root = read(self.watcher.call.requests[0])
        names = [user.findtext(f"{NS}display-text") for user in root.iter(f"{NS}user")]
        self.assertEqual(names, ['<b>&"</b>', "Alice", "Anonymous"])
        self.assertIn(f"sip:eve@{self.rig.conferences.domain}", self.watcher.told[0][2])
