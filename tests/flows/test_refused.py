"""Calls that do not come about: each side hears why, in its own words."""

from __future__ import annotations

from attrs import evolve

from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.names import PHRASES
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, MAIN, FlowMedia, Rig, configured
from tests.peers.browser import SDP
from tests.peers.core_call import CoreCall


class RefusedByTheCoreTests(FlowCase):
    """A page calls, and the core says no."""

    def refusal(self, status: int, phrase: str) -> str:
        alice = self.rig.page("alice")
        self.rig.phone(lambda call: call.reject(status, phrase))
        alice.call(ECHO)
        self.rig.advance()
        ended = alice.last("HANGUP")
        said = phrase if phrase != PHRASES[status] else None
        self.assertEqual((ended["status"], ended.get("said")), (status, said))
        self.assertEqual(ended["text"], said or from_status(status).text)
        self.assertEqual(self.rig.ladder[-2:], [f"alice <- HANGUP {ended['reason']}", "core <- ACK"])
        return str(ended["reason"])

    def test_words(self) -> None:
        """Each status has its word in the dialect, and a text of the core's own is shown, but not the usual phrase."""
        for status, phrase, word in (
            (486, "Busy Here", "busy"),
            (600, "Busy Everywhere", "busy"),
            (603, "Decline", "declined"),
            (404, "Not Found", "not-found"),
            (480, "Nobody there", "unavailable"),
            (488, "No codec", "media-incompatible"),
            (500, "Oops", "server"),
            (305, "Use Proxy", "redirected"),
            (421, "Extension Required", "protocol"),
        ):
            self.assertEqual(self.refusal(status, phrase), word)

    def test_registration_doubted(self) -> None:
        """403 and 503 may mean that the core has lost us: the call ends, and the gateway registers again, but a
        barred number that is dialled again soon sets off nothing more."""
        for status, word in ((403, "forbidden"), (503, "overloaded")):
            before = len(self.rig.core.registers)
            self.assertEqual(self.refusal(status, "No"), word)
            self.rig.advance(5)
            self.assertGreater(len(self.rig.core.registers), before)
            checked = len(self.rig.core.registers)
            self.refusal(status, "No")
            self.rig.advance(30)
            self.assertEqual(len(self.rig.core.registers), checked, "one suspicion, one check")

    def test_silence(self) -> None:
        """A core that says nothing: timeout after 64*T1."""
        alice = self.rig.page("alice")
        self.rig.core.silent = True
        alice.call(ECHO)
        self.rig.advance(32.1)
        self.assertEqual(alice.last("HANGUP")["reason"], "timeout")
        self.rig.core.silent = False

    def test_no_address(self) -> None:
        """What cannot be an address is not found, and the core is not asked."""
        alice = self.rig.page("alice")
        alice.call("sip:")
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            alice <- HANGUP not-found
            """
        )


class UnregisteredTests(FlowCase):
    """The gateway has no registration."""

    def build(self) -> Rig:
        return Rig(configured(), register=False)

    def test_outgoing(self) -> None:
        """A call into the core ends at once, and says why."""
        alice = self.rig.page("alice")
        alice.call(ECHO)
        self.assertEqual(alice.last("HANGUP")["reason"], "not-registered")


class NoProfileTests(FlowCase):
    """A gateway without a core."""

    def build(self) -> Rig:
        return Rig(configured(profiles=()))

    def test_unknown(self) -> None:
        """Whoever is no user here is nowhere."""
        alice = self.rig.page("alice")
        alice.call("sip:nobody@ims.test")
        self.assertEqual(alice.last("HANGUP")["reason"], "not-found")


class RefusedByThePageTests(FlowCase):
    """A phone calls, and the page says no, or nobody is there."""

    def status(self, call: CoreCall) -> tuple[int, str]:
        self.rig.advance()
        assert call.final is not None
        return call.final.status, call.final.get("reason") or ""

    def test_words(self) -> None:
        """Each word of the page has its status; what a page may not say means declined."""
        alice = self.rig.page("alice")
        for word, status, cause in (
            ("busy", 486, 17),
            ("declined", 603, 21),
            ("unwanted", 607, 21),
            ("no-answer", 480, 19),
            ("media-failed", 488, 127),
            ("shutdown", 603, 21),
            (None, 603, 21),
        ):
            call = self.rig.ring()
            alice.send("HANGUP", session=alice.invited, **({} if word is None else {"reason": word}))
            self.assertEqual(self.status(call), (status, f"Q.850;cause={cause}"))

    def test_ladder(self) -> None:
        """Refused while it rings."""
        alice = self.rig.page("alice")
        self.rig.ring()
        alice.send("RINGING", session=alice.invited)
        self.rig.advance()
        alice.send("HANGUP", session=alice.invited, reason="busy")
        self.rig.advance()
        self.reads(
            """
            core -> INVITE offer
            alice <- OFFER caller-offer(offer)
            alice -> RINGING
            alice <- OK RINGING
            core <- 180 INVITE
            core -> PRACK
            core <- 200 PRACK
            alice -> HANGUP
            alice <- OK HANGUP
            core <- 486 INVITE
            core -> ACK
            """
        )

    def test_offline(self) -> None:
        """Nobody has logged in: 480."""
        self.assertEqual(self.status(self.rig.ring()), (480, "Q.850;cause=20"))

    def test_unknown(self) -> None:
        """Nobody has that address: 404."""
        call = self.rig.ring()
        request = call.invite
        self.rig.advance(40)
        for name in ("to", "p-called-party-id"):
            request.set(name, "<sip:nobody@ims.test>")
        request.remove("via")
        request.set("call-id", "another")
        again = self.rig.core.place(request, call.flow)
        self.assertEqual(self.status(again)[0], 404)

    def test_nobody_answers(self) -> None:
        """A page that rings for three minutes: 480, and the page stops."""
        alice = self.rig.page("alice")
        call = self.rig.ring()
        self.rig.advance(180)
        self.assertEqual(self.status(call), (480, "Q.850;cause=19"))
        self.assertEqual(alice.last("HANGUP")["reason"], "no-answer")

    def test_unfit_description(self) -> None:
        """Media that cannot be: 488 for the phone, and the page never rings."""
        alice = self.rig.page("alice")
        call = self.rig.ring("bad")
        self.assertEqual(self.status(call), (488, "Q.850;cause=65"))
        alice.nothing()


class HiddenTests(FlowCase):
    settings = {"offline": "404"}  # noqa: RUF012

    def test_offline(self) -> None:
        """With `offline = "404"` the core does not learn that there is such a user."""
        call = self.rig.ring()
        assert call.final is not None
        self.assertEqual(call.final.status, 404)


class LimitTests(FlowCase):
    """As many calls as there may be."""

    settings = {"max_calls": 2, "max_calls_per_user": 1}  # noqa: RUF012

    def build(self) -> Rig:
        return Rig(configured(profiles=(evolve(MAIN, max_calls=1),), **self.settings))

    def test_calls_of_a_user(self) -> None:
        """One too many of one user: the page is refused, a phone hears busy."""
        alice = self.rig.page("alice")
        alice.call("carol")  # nobody is there
        self.assertEqual(alice.last("HANGUP")["reason"], "unavailable")
        self.rig.page("bob")
        session = alice.call("bob", SDP)
        alice.send("OFFER", to=ECHO, sdp="offer")
        self.assertEqual(alice.last("ERROR")["code"], "limit")
        call = self.rig.ring()
        assert call.final is not None
        self.assertEqual((call.final.status, call.final.get("reason")), (486, "Q.850;cause=17"))
        alice.send("HANGUP", session=session)

    def test_calls_of_a_profile(self) -> None:
        """One too many of one profile: overloaded, and 503 with Retry-After for a phone."""
        alice, carol = self.rig.page("alice"), self.rig.page("carol")
        session = alice.call(ECHO)
        self.rig.advance()
        carol.call(ECHO)
        self.assertEqual(carol.last("HANGUP")["reason"], "overloaded")
        self.rig.page("bob")
        call = self.rig.ring(called="tel:+15550011")
        assert call.final is not None
        self.assertEqual(call.final.status, 503)
        self.assertIsNotNone(call.final.get("retry-after"))
        alice.send("HANGUP", session=session)
        self.rig.advance()

    def test_calls_of_the_gateway(self) -> None:
        """One too many in all: the same."""
        alice, bob, dave = (self.rig.page(name) for name in ("alice", "bob", "dave"))
        self.rig.page("carol")
        first, second = alice.call(ECHO), bob.call("carol", SDP)
        self.rig.advance()
        dave.call(ECHO)
        self.assertEqual(dave.last("HANGUP")["reason"], "overloaded")
        call = self.rig.ring()
        assert call.final is not None
        self.assertEqual(call.final.status, 503)
        alice.send("HANGUP", session=first)
        bob.send("HANGUP", session=second)
        self.rig.advance()


class NoMediaTests(FlowCase):
    """The media backend has no room, or no way."""

    def test_refused_at_open(self) -> None:
        """The page hears it, the core is not asked; nothing is left of the attempt."""
        assert isinstance(self.rig.media, FlowMedia)
        self.rig.media.refuse = MediaError(Reason.OVERLOADED, "no ports left")
        alice = self.rig.page("alice")
        alice.call(ECHO)
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            alice <- HANGUP overloaded
            """
        )
        call = self.rig.ring()
        assert call.final is not None
        self.assertEqual(call.final.status, 503)

    def test_refused_answer(self) -> None:
        """The phone answers with what cannot be used: ACK and BYE for it, the reason for the page."""
        alice = self.rig.page("alice")
        self.rig.phone(lambda call: call.answer("bad"))
        alice.call(ECHO)
        self.rig.advance()
        self.reads(
            """
            alice -> OFFER offer
            alice <- WAITING
            core <- INVITE caller-offer(offer)
            core -> 100 INVITE
            core -> 200 INVITE bad
            alice <- HANGUP media-incompatible
            core <- ACK
            core <- BYE
            core -> 200 BYE
            """
        )
