"""Calls that we place and that are answered with another address."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.emergency import DEFAULTS, Emergency
from rtcgw.model.events import (
    Accept,
    Description,
    End,
    Event,
    Kind,
    Progress,
    Setup,
    Stage,
    Unacceptable,
)
from rtcgw.model.identity import Identity
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.alternative import CONTENT_TYPE, emergency
from rtcgw.sip.message import Request
from rtcgw.sip.transaction import Failure
from rtcgw.translator.sipstate import Policy, State
from tests.translator.sipbench import UacBench

SENT_ON = Progress(Stage.FORWARDED, another=True)
POLICY = Policy(3, Emergency.of(DEFAULTS))
RESTORATION = (
    b"<ims-3gpp><alternative-service><type>restoration</type><reason>lost</reason></alternative-service></ims-3gpp>"
)


class RedirectTests(SynchronousTestCase):
    """Each test leaves its bench in `bench`."""

    def setUp(self) -> None:
        self.bench = UacBench(policy=POLICY)
        self.bench.setup()

    def begin(
        self, policy: Policy = POLICY, peer: PeerProfile = PLAIN_PEER, target: str = "sip:echo@ims.test"
    ) -> UacBench:
        walked = self.bench.walked
        self.bench = UacBench(peer, policy=policy)
        self.bench.walked |= walked
        self.bench.setup(target=target)
        return self.bench

    def moved(self, *contacts: str, status: int = 302) -> None:
        self.bench.response(status, contact=", ".join(contacts))

    @property
    def invites(self) -> list[Request]:
        return [tx.request for tx in self.bench.port.asked if tx.request.method == "INVITE"]

    @property
    def targets(self) -> list[str]:
        return [str(invite.uri) for invite in self.invites]

    def news(self) -> list[Event]:
        heard, self.bench.heard = self.bench.heard, []
        return heard

    def test_followed(self) -> None:
        """The call goes where the contact says: the same one, with the next number, the offer made once more."""
        for status in (300, 301, 302):
            bench = self.begin()
            bench.response(183, "early", rseq=1)
            self.news()
            self.moved("<sip:there@ims.test:5070>", status=status)
            self.assertEqual(self.news(), [SENT_ON])
            first, second = self.invites
            self.assertEqual((str(second.uri), second.body), ("sip:there@ims.test:5070", b"offer"))
            self.assertEqual((first.cseq.number, second.cseq.number), (10, 11))
            for name in ("from", "to", "call-id"):
                self.assertEqual(second.get(name), first.get(name))
            self.assertNotIn("history-info", second.headers)
            self.assertEqual(bench.port.dialogs, {})
            bench.response(180)
            bench.response(200, "final")
            self.assertEqual(self.news(), [Progress(Stage.RINGING), Accept(Description(Kind.ANSWER, "final"))])
            self.assertEqual(bench.sent[-1], "ACK")

    def test_order(self) -> None:
        """By quality; a target that fails is followed by the next, one that sends on by its own targets first."""
        self.moved("<sip:b@x>;q=0.2", "<sip:a@x>;q=0.9", "<sip:c@x>;q=nonsense")
        self.assertEqual(self.targets[1:], ["sip:c@x"])
        self.bench.response(486)
        self.moved("<sip:d@x>")
        self.bench.silence()
        self.assertEqual(self.targets[1:], ["sip:c@x", "sip:a@x", "sip:d@x"])
        self.assertEqual((self.news(), self.bench.state), ([SENT_ON] * 3 + [End(Reason.TIMEOUT)], State.ENDED))

    def test_nobody_takes_it(self) -> None:
        """The last refusal is what the caller hears; one for all (6xx) is not followed by another target."""
        self.moved("<sip:a@x>", "<sip:b@x>")
        self.bench.response(404)
        self.bench.response(486)
        self.assertEqual(self.news()[-1], End(Reason.BUSY, None, 486))
        self.begin()
        self.moved("<sip:a@x>", "<sip:b@x>")
        self.bench.response(603)
        self.assertEqual((self.targets[1:], self.bench.state), (["sip:a@x"], State.ENDED))

    def test_bound(self) -> None:
        """So many and no more; none where redirections are not followed."""
        for number in range(6):
            self.moved(f"<sip:u{number}@x>")
        self.assertEqual(self.targets[1:], ["sip:u0@x", "sip:u1@x", "sip:u2@x"])
        self.assertEqual(self.news()[-1], End(Reason.REDIRECTED, None, 302))
        self.begin(Policy(0))
        self.moved("<sip:a@x>")
        self.assertEqual((len(self.targets), self.bench.state), (1, State.ENDED))

    def test_loop(self) -> None:
        """A circle ends, in whatever spelling it closes."""
        self.moved("<sip:a@x>")
        self.moved("<sip:echo@IMS.test>", "<sip:a@x>")
        self.assertEqual(self.news()[-1], End(Reason.LOOP, None, 302))
        self.begin(target="tel:+1-555-0002")
        self.moved("<sip:+15550002@ims.test;user=phone>")
        self.assertEqual(self.news()[-1], End(Reason.LOOP, None, 302))

    def test_twice_in_two_lists(self) -> None:
        """A target that two others name is tried once."""
        self.moved("<sip:a@x>", "<sip:b@x>")
        self.moved("<sip:b@x>")
        self.bench.response(404)
        self.assertEqual(self.targets[1:], ["sip:a@x", "sip:b@x"])
        self.assertEqual(self.bench.state, State.ENDED)

    def test_never_to_an_emergency_number(self) -> None:
        """A redirection to an emergency number is refused as if it had been dialled."""
        for spelling in ("<tel:112>", "<sip:1-1-2@x>", "<urn:service:sos>"):
            self.begin()
            self.moved(spelling)
            reason = Reason.REDIRECTED if "urn" in spelling else Reason.EMERGENCY
            self.assertEqual(self.news()[-1], End(reason, None, 302))
        self.begin()
        self.moved("<tel:112>", "<tel:113>")
        self.assertEqual(self.targets[1:], ["tel:113"])

    def test_what_is_not_followed(self) -> None:
        """Other schemes, unreadable contacts, a proxy, an alternative service, less security than was asked for."""
        for contacts in (("<mailto:a@x>",), ("<http://x/>",), ("*",), ("<<<",), ('"',), ()):
            self.begin()
            self.moved(*contacts)
            self.assertEqual((self.targets, self.bench.state), (["sip:echo@ims.test"], State.ENDED))
        for status, end in (
            (305, End(Reason.REDIRECTED, None, 305)),
            (380, End(Reason.ALTERNATIVE, None, 380)),
        ):
            self.begin()
            self.moved("<sip:a@x>", status=status)
            self.assertEqual((len(self.targets), self.news()), (1, [end]))
        self.begin(target="sips:echo@ims.test")
        self.moved("<sip:a@x>", "<sips:b@x>")
        self.assertEqual(self.targets[1:], ["sips:b@x"])

    def test_headers_of_a_contact(self) -> None:
        """A callee does not write our INVITE."""
        self.moved("<sip:a@x;method=BYE;transport=tcp?Route=%3Csip:evil%3E&Subject=x>")
        self.assertEqual(self.targets[1:], ["sip:a@x;transport=tcp"])
        self.assertNotIn("subject", self.invites[1].headers)

    def test_history(self) -> None:
        """Where the peer's profile has it, the new target learns whom the call was for, and why it came (RFC 7044)."""
        self.begin(peer=PeerProfile(history=True))
        self.assertNotIn("history-info", self.invites[0].headers)
        self.moved("<sip:a@x>;rc=1", "<sip:b@x>;mp=1", status=301)
        self.bench.response(486)
        self.moved("<sip:c@x>;np=evil")
        self.assertEqual(
            self.invites[-1].values("history-info"),
            [
                "<sip:echo@ims.test?Reason=SIP%3Bcause%3D301>;index=1",
                "<sip:a@x?Reason=SIP%3Bcause%3D486>;index=1.1;rc=1",
                "<sip:b@x?Reason=SIP%3Bcause%3D302>;index=1.2;mp=1",
                "<sip:c@x>;index=1.2.1",
            ],
        )

    def test_second_offer_of_a_target(self) -> None:
        """A target that refuses what is offered has the second offer, not whom the caller dialled."""
        self.moved("<sip:a@x>")
        self.bench.response(488)
        self.assertIsInstance(self.news()[-1], Unacceptable)
        again = Setup(Identity("sip:alice@ims.test"), Identity("sip:echo@ims.test"), Description(Kind.OFFER, "other"))
        self.bench.leg.deliver(evolve(again, private=True))
        self.assertEqual((self.targets[-1], self.invites[-1].body), ("sip:a@x", b"other"))
        self.assertEqual(self.invites[-1].get("privacy"), "id")

    def test_challenged(self) -> None:
        """A target may ask for credentials."""
        self.moved("<sip:a@x>")
        self.bench.response(407)
        self.assertEqual(self.targets[1:], ["sip:a@x", "sip:a@x"])

    def test_given_up(self) -> None:
        """A redirection that crosses our CANCEL ends the call; so does giving up while the target is tried."""
        self.bench.end(Reason.CANCELLED)
        self.moved("<sip:a@x>")
        self.assertEqual((self.bench.state, len(self.targets)), (State.ENDED, 1))
        self.begin()
        self.moved("<sip:a@x>", "<sip:b@x>")
        self.bench.end(Reason.CANCELLED)
        self.bench.response(487)
        self.assertEqual((self.bench.state, self.bench.sent[-1]), (State.ENDED, "CANCEL"))

    def test_not_sent(self) -> None:
        """A target that cannot be reached is followed by the next."""
        self.moved("<sip:a@x>", "<sip:b@x>")
        self.bench.silence(Failure.TRANSPORT)
        self.assertEqual(self.targets[1:], ["sip:a@x", "sip:b@x"])


class AlternativeTests(SynchronousTestCase):
    """380, and what its body says."""

    def refused(self, body: bytes) -> UacBench:
        bench = UacBench()
        bench.setup()
        bench.response(380, body.decode() if body else None, content_type=CONTENT_TYPE)
        return bench

    def test_plain(self) -> None:
        """Without a body it is no emergency."""
        self.assertEqual(self.refused(b"").heard, [End(Reason.ALTERNATIVE, None, 380)])

    def test_emergency(self) -> None:
        """The core knows the number as an emergency's: the caller is told to use a phone."""
        self.assertEqual(self.refused(emergency("x")).heard, [End(Reason.EMERGENCY, None, 380)])

    def test_restoration(self) -> None:
        """The core has lost us: the gateway registers again, and the caller may try once more."""
        bench = self.refused(RESTORATION)
        self.assertEqual((bench.heard, bench.port.troubles), ([End(Reason.NOT_REGISTERED, "lost", 380)], 1))
