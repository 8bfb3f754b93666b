"""A call with the network's own conference: the page learns who is in it, by subscription (RFC 4575)."""

from __future__ import annotations

from rtcgw.sip.subscription import QUIET
from rtcgw.translator.crowd import ENDPOINTS, PAUSE, USERS
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO

FOCUS = "sip:room7@127.0.0.1"
CONTACT = f"<{FOCUS}:5061>;isfocus"


def user(uri: str, *statuses: str, state: str = "full", name: str = "") -> str:
    """One user and its endpoints."""
    shown = f"<display-text>{name}</display-text>" if name else ""
    endpoints = "".join(
        f'<endpoint entity="{uri};{number}"><status>{status}</status></endpoint>'
        for number, status in enumerate(statuses)
    )
    return f'<user entity="{uri}" state="{state}">{shown}{endpoints}</user>'


def info(version: int, *users: str, state: str = "full") -> bytes:
    """A conference's list."""
    return (
        '<?xml version="1.0"?><conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:room7@x" '
        f'state="{state}" version="{version}"><users>{"".join(users)}</users></conference-info>'
    ).encode()


class CrowdCase(FlowCase):
    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice", capabilities=["participants"])

    def call(self, contact: str = CONTACT) -> None:
        """The page calls what turns out to be a conference."""
        self.session = self.alice.call(ECHO)
        self.rig.advance()
        self.rig.call.respond(200, "OK", "answer", ("Contact", contact))
        self.rig.advance()
        self.alice.send("ANSWER", session=self.session)
        self.rig.advance()

    def tell(self, body: bytes, state: str = "active;expires=600", event: str = "conference") -> None:
        self.rig.core.notify(FOCUS, body, state, event)
        self.rig.advance()

    def present(self) -> list[tuple[str, str]]:
        found = self.alice.last("PARTICIPANTS")
        return [(member["party"]["uri"], member["part"]) for member in found["participants"]]

    def asked(self) -> list[str]:
        """Expires of each SUBSCRIBE to the conference."""
        return [
            request.get("expires") or ""
            for request in self.rig.core.received
            if request.to.uri.user == "room7" and request.cseq.method == "SUBSCRIBE"
        ]

    def hang_up(self) -> None:
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()


class ListTests(CrowdCase):
    def test_whole_and_partial(self) -> None:
        """The whole list, then who joins, changes and leaves; the page is told each time."""
        self.call()
        self.assertEqual(self.asked(), ["3600"])
        self.tell(info(1, user("sip:a@x", "connected", name="Ann"), user("sip:b@x", "alerting")))
        self.assertEqual(self.present(), [("sip:a@x", "talking"), ("sip:b@x", "calling")])
        self.assertEqual(self.alice.last("PARTICIPANTS")["participants"][0]["party"]["name"], "Ann")
        self.tell(info(2, user("sip:b@x", "on-hold", state="partial"), state="partial"))
        self.tell(info(3, user("sip:c@x", "disconnected", "connected"), state="partial"))
        self.assertEqual(self.present(), [("sip:a@x", "talking"), ("sip:b@x", "held"), ("sip:c@x", "talking")])
        self.tell(info(4, user("sip:a@x", state="deleted"), state="partial"))
        self.assertEqual(self.present(), [("sip:b@x", "held"), ("sip:c@x", "talking")])
        self.hang_up()
        self.assertEqual(self.asked(), ["3600", "0"], "the subscription ends with the call")

    def test_old_news(self) -> None:
        """What has been overtaken is not taken; what leaves a gap makes us ask for everything again."""
        self.call()
        self.tell(info(5, user("sip:a@x", "connected")))
        self.tell(info(5, user("sip:b@x", "connected"), state="partial"))
        self.tell(info(4, user("sip:b@x", "connected")))
        self.assertEqual(self.present(), [("sip:a@x", "talking")])
        self.tell(info(9, user("sip:b@x", "connected"), state="partial"))
        self.assertEqual(self.asked(), ["3600", "0", "3600"])
        self.assertEqual(self.present(), [("sip:a@x", "talking")])
        self.tell(info(9, user("sip:a@x", "connected"), user("sip:b@x", "connected")))
        self.assertEqual(len(self.present()), 2)
        self.hang_up()

    def test_endpoints(self) -> None:
        """An endpoint that is deleted does not count; a user without endpoints is there."""
        self.call()
        gone = user("sip:a@x", "connected", state="partial").replace("<endpoint", '<endpoint state="deleted"')
        self.tell(info(1, user("sip:a@x", "connected", "on-hold"), user("sip:b@x")))
        self.assertEqual(self.present(), [("sip:a@x", "talking"), ("sip:b@x", "talking")])
        self.tell(info(2, gone, state="partial"))
        self.assertEqual(self.present(), [("sip:a@x", "held"), ("sip:b@x", "talking")])
        self.hang_up()

    def test_becomes_a_conference(self) -> None:
        """A call that the network turns into a conference by a re-INVITE is one from then on."""
        self.call("<sip:echo@127.0.0.1:5061>")
        self.assertEqual(self.asked(), [])
        phone = self.rig.call
        phone.request("INVITE", "again", ("contact", CONTACT))
        self.rig.advance()
        phone.ack()
        self.rig.advance()
        self.assertEqual(self.asked(), ["3600"])
        self.hang_up()


class HostileTests(CrowdCase):
    def test_bodies(self) -> None:
        """What is no list changes nothing, whatever it is; it is answered, and the call goes on."""
        self.call()
        self.tell(info(1, user("sip:a@x", "connected")))
        for body in (
            b"",
            b"<html/>",
            b"<conference-info",
            b'<!DOCTYPE x [<!ENTITY a "b">]><conference-info/>',
            info(2, "<a>" * 20 + "</a>" * 20),
            info(2, "<a/>" * 4000),
            info(2).replace(b'version="2"', b'version="' + b"9" * 40 + b'"').replace(b"full", b"partial"),
        ):
            self.tell(body)
            self.assertEqual(self.present(), [("sip:a@x", "talking")])
        self.hang_up()

    def test_many_users(self) -> None:
        """So many users are kept, and no more."""
        self.call()
        self.tell(info(1, *(user(f"sip:{number}@x", "connected") for number in range(USERS + 20))))
        self.assertEqual(len(self.present()), USERS)
        self.hang_up()

    def test_many_endpoints(self) -> None:
        """However many endpoints a user is said to have, list after list, so many are kept."""
        self.call()
        self.tell(info(1, user("sip:a@x", "connected")))
        for version in range(2, 12):
            more = user("sip:a@x", *["on-hold"] * 300, state="partial").replace("sip:a@x;", f"sip:a@x;{version}-")
            self.tell(info(version, more, state="partial"))
        (crowd,) = self.rig.crowds._crowds.values()
        self.assertEqual([len(each.endpoints) for each in crowd._users.values()], [ENDPOINTS])
        self.assertEqual(self.present(), [("sip:a@x", "talking")])
        self.hang_up()

    def test_lists_that_never_fit(self) -> None:
        """A focus that tells of changes alone is asked for everything now and then, not as fast as it can answer."""
        self.call()
        for version in range(1, 100):
            self.tell(info(3 * version, user("sip:a@x", "connected"), state="partial"))
        spent = 99 * 0.05
        self.assertLessEqual(self.asked().count("3600"), 2 + spent / PAUSE)
        self.rig.advance(PAUSE)
        self.tell(info(1, user("sip:a@x", "connected")))
        self.assertEqual(self.present(), [("sip:a@x", "talking")])
        self.hang_up()

    def test_names(self) -> None:
        """Names and addresses come to the page as one line that reads one way, like those of callers."""
        self.call()
        self.tell(info(1, user("sip:a&#x202e;@x&#10;y", "connected", name="A&#x202e;nn&#10;Lee&#x2028;")))
        party = self.alice.last("PARTICIPANTS")["participants"][0]["party"]
        self.assertEqual((party["uri"], party["name"]), ("sip:a@x y", "Ann Lee"))
        self.hang_up()

    def test_repeated(self) -> None:
        """The page hears of a list that says nothing new once, however often it comes."""
        self.call()
        self.tell(info(1, user("sip:a@x", "connected"), user("sip:b@x", "connected")))
        told = len(self.alice.transcript)
        for version in range(2, 50):
            self.tell(info(version, user("sip:a@x", "connected"), user("sip:b@x", "connected")))
        self.assertEqual(len(self.alice.transcript), told)
        self.hang_up()

    def test_refused(self) -> None:
        """A conference that takes no subscriptions is a call like any other."""
        self.rig.core.subscribe_status = 489
        self.call()
        self.rig.advance(QUIET)
        self.assertEqual(self.asked(), ["3600"])
        self.assertEqual(len(self.present()), 2)
        self.hang_up()

    def test_not_ours(self) -> None:
        """Another package, a NOTIFY after the call: 489 and 481."""
        self.call()
        self.tell(info(1, user("sip:a@x", "connected")), event="presence")
        self.assertEqual(len(self.present()), 2)
        self.hang_up()
        self.tell(info(2, user("sip:a@x", "connected")))
        statuses = [m.status for m in self.rig.core.received if m.cseq.method == "NOTIFY" and hasattr(m, "status")]
        self.assertEqual(statuses[-2:], [489, 481])
