"""Registering, staying registered, being refused, leaving: against a registrar in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.registration import Backoff, RegState
from rtcgw.model.identity import Attach, Profile
from rtcgw.sip.headers import Credentials
from rtcgw.sip.message import Request
from tests.ims.rig import GW1, Rig


def expires(request: Request) -> str | None:
    return request.get("expires")


class RegisterTests(SynchronousTestCase):
    def test_registers_with_digest(self) -> None:
        """A profile is registered by itself, for as long as the core lets it, under its public identities."""
        rig = Rig().start()
        self.assertEqual(rig.registration().state, RegState.REGISTERED)
        self.assertEqual(set(rig.core.registered), {"sip:gw1@ims.test", "tel:+15550011"})
        self.assertEqual(rig.registration().identities, ("sip:gw1@ims.test", "tel:+15550011"))
        self.assertEqual(rig.registration().routes, ("<sip:orig@127.0.0.1:5061;lr>",))
        self.assertTrue(rig.registration().usable)

    def test_the_first_register(self) -> None:
        """It names the private identity before any challenge, as 24.229 wants, and what makes it ours."""
        rig = Rig().start()
        first, second = rig.core.registers
        self.assertEqual(str(first.uri), "sip:ims.test")
        self.assertEqual(str(first.to.uri), "sip:gw1@ims.test")
        self.assertEqual(str(first.from_.uri), "sip:gw1@ims.test")
        self.assertEqual(first.get("expires"), "600000")
        self.assertTrue(first.has("supported", "path"))
        self.assertIsNone(first.get("require"))
        params = Credentials.parse(first.get("authorization") or "").params
        self.assertEqual(params["username"], "gw1@ims.test")
        self.assertEqual((params["nonce"], params["response"]), ("", ""))
        assert first.contact is not None
        self.assertRegex(first.contact.params["+sip.instance"] or "", r"\A<urn:uuid:[0-9a-f-]{36}>\Z")
        self.assertEqual(second.call_id, first.call_id)
        self.assertEqual(second.cseq.number, first.cseq.number + 1)

    def test_same_contact_after_restart(self) -> None:
        """A restarted gateway replaces its old binding instead of adding one; other profiles have their own."""
        first, again = Rig().start(), Rig().start()
        self.assertEqual(first.agent().line.contact, again.agent().line.contact)
        self.assertEqual(first.agent().line.instance, again.agent().line.instance)
        other = Profile("gw2", "gw2@ims.test", ("sip:gw2@ims.test",), "ims.test", secret="x")
        both = Rig((GW1, other))
        self.assertNotEqual(both.agent("gw1").line.token, both.agent("gw2").line.token)
        self.assertNotIn("gw1", both.agent("gw1").line.token)

    def test_profiles_are_paced(self) -> None:
        """Many profiles do not all register in the same moment."""
        profiles = tuple(
            Profile(f"p{n}", f"p{n}@ims.test", (f"sip:p{n}@ims.test",), "ims.test", secret="s") for n in range(4)
        )
        rig = Rig(profiles)
        rig.profiles.start()
        rig.advance(0.04)
        self.assertEqual(len({request.call_id for request in rig.core.registers}), 1)
        rig.advance(0.2)
        self.assertEqual(len({request.call_id for request in rig.core.registers}), 4)
        self.assertTrue(all(agent.registration.usable for agent in rig.profiles))

    def test_mode_b_is_its_own_p_cscf(self) -> None:
        """At the S-CSCF itself the REGISTER has what a P-CSCF would have added."""
        profile = Profile(
            "gw1", "gw1@ims.test", ("sip:gw1@ims.test",), "ims.test", attach=Attach.B, secret="gw1-secret"
        )
        rig = Rig((profile,)).start()
        first, second = rig.core.registers
        self.assertEqual(first.get("path"), f"<sip:{rig.agent().line.token}@127.0.0.1:5070;lr>")
        self.assertTrue(first.has("require", "path"))
        self.assertEqual(first.get("p-visited-network-id"), "ims.test")
        self.assertRegex(first.get("p-charging-vector") or "", r"\Aicid-value=[0-9a-f]{24};orig-ioi=ims.test\Z")
        marks = [
            Credentials.parse(one.get("authorization") or "").params.get("integrity-protected")
            for one in (first, second)
        ]
        self.assertEqual(marks, [None, "ip-assoc-pending"])
        self.assertTrue(rig.registration().usable)

    def test_plain_registrar(self) -> None:
        """A registrar that knows neither Service-Route nor P-Associated-URI will do."""
        rig = Rig()
        rig.core.service_route = rig.core.associated = False
        rig.core.subscribe_status = 489
        rig.start()
        self.assertTrue(rig.registration().usable)
        self.assertEqual(rig.registration().routes, ())
        self.assertEqual(rig.registration().identities, GW1.impus)

    def test_barred_identity(self) -> None:
        """An identity that the network leaves out is not used to call."""
        rig = Rig()
        rig.core.barred.add("sip:gw1@ims.test")
        rig.start()
        self.assertEqual(rig.registration().identities, ("tel:+15550011",))

    def test_wrong_password(self) -> None:
        """Refused once, it is not tried again and again; the operator can have it tried when it is put right."""
        rig = Rig((Profile("gw1", "gw1@ims.test", ("sip:gw1@ims.test",), "ims.test", secret="gw1-secret"),))
        rig.core.subscribe("gw1@ims.test", "another", "sip:gw1@ims.test")
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REFUSED)
        tried = len(rig.core.registers)
        rig.advance(4000)
        self.assertEqual(len(rig.core.registers), tried)
        rig.core.subscribe("gw1@ims.test", "gw1-secret", "sip:gw1@ims.test")
        rig.registration().start()
        rig.advance()
        self.assertEqual(rig.registration().state, RegState.REGISTERED)

    def test_second_challenge_refuses(self) -> None:
        """A registrar that challenges for ever is not answered for ever."""
        rig = Rig()
        for _ in range(6):
            rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge()))
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REFUSED)
        self.assertEqual(len(rig.core.registers), 3)

    def test_same_challenge_refuses(self) -> None:
        """The same nonce again leaves no doubt: the secret is wrong."""
        rig = Rig()
        challenge = rig.core.challenge()
        for _ in range(6):
            rig.core.next_register(401, ("WWW-Authenticate", challenge))
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REFUSED)
        self.assertEqual(len(rig.core.registers), 2)

    def test_registrar_forgets_its_challenge(self) -> None:
        """A registrar that restarted before the answer came challenges anew; that is met, and no refusal."""
        rig = Rig()
        rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge()))
        rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge()))
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REGISTERED)
        self.assertEqual(len(rig.core.registers), 3)

    def test_stale_nonce(self) -> None:
        """A nonce that was too old costs one more REGISTER and no more, however often the registrar says so."""
        rig = Rig()
        rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge()))
        rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge(stale=True)))
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REGISTERED)
        rig = Rig()
        for _ in range(9):
            rig.core.next_register(401, ("WWW-Authenticate", rig.core.challenge(stale=True)))
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REFUSED)
        self.assertLessEqual(len(rig.core.registers), 4)

    def test_proxy_challenge(self) -> None:
        """407 is met with Proxy-Authorization."""
        rig = Rig()
        rig.core.next_register(407, ("Proxy-Authenticate", rig.core.challenge()))
        rig.core.next_register(200, ("Contact", f"{rig.agent().line.contact};expires=3600"))
        rig.start()
        self.assertIsNotNone(rig.core.registers[1].get("proxy-authorization"))
        self.assertTrue(rig.registration().usable)

    def test_unmeetable_challenge(self) -> None:
        """Basic, an unknown algorithm, or nonsense: refused without a secret having been sent."""
        for challenge in ("Basic realm=x", 'Digest realm="x", nonce="y", algorithm=ROT13', '"', ""):
            rig = Rig()
            rig.core.next_register(401, ("WWW-Authenticate", challenge))
            rig.start()
            self.assertEqual(rig.registration().state, RegState.REFUSED, challenge)
            self.assertEqual(len(rig.core.registers), 1)

    def test_interval_too_brief(self) -> None:
        """423 is met with the registrar's own interval, once."""
        rig = Rig()
        rig.core.next_register(423, ("Min-Expires", "700000"))
        rig.start()
        self.assertEqual([expires(request) for request in rig.core.registers], ["600000", "700000", "700000"])
        self.assertTrue(rig.registration().usable)
        for nonsense in ("1", "", "99999999999", "soon"):
            rig = Rig()
            rig.core.next_register(423, ("Min-Expires", nonsense))
            rig.start()
            self.assertEqual(rig.registration().state, RegState.WAITING)

    def test_2xx_without_our_contact(self) -> None:
        """A 200 that grants nothing to us is no registration."""
        for headers in ((("Contact", "<sip:other@127.0.0.1>;expires=60"),), (("Expires", "0"),)):
            rig = Rig()
            rig.core.next_register(200, *headers)
            rig.start()
            self.assertEqual(rig.registration().state, RegState.WAITING)


class BackoffTests(SynchronousTestCase):
    def test_delays(self) -> None:
        """RFC 5626's table: 30-60 s after the first failure, doubling, at most half an hour."""
        backoff = Backoff()
        self.assertEqual([backoff.delay(n, 0.0) for n in range(1, 8)], [30, 60, 120, 240, 480, 900, 900])
        self.assertEqual(backoff.delay(1, 0.5), 45)
        self.assertEqual(backoff.delay(10_000, 0.999999) <= 1800, True)

    def test_errors_and_silence_back_off(self) -> None:
        """500, a time-out and 503 are tried again later, each time later; then all is well."""
        rig = Rig()
        rig.core.next_register(500)
        rig.start()
        self.assertEqual(rig.registration().state, RegState.WAITING)
        rig.core.silent = True
        rig.advance(31)
        self.assertEqual(rig.registration().state, RegState.REGISTERING)
        rig.advance(33)
        self.assertEqual((rig.registration().state, rig.registration().failures), (RegState.WAITING, 2))
        rig.core.silent = False
        rig.advance(61)
        self.assertEqual((rig.registration().state, rig.registration().failures), (RegState.REGISTERED, 0))

    def test_retry_after(self) -> None:
        """503 with Retry-After is obeyed, within reason."""
        rig = Rig()
        rig.core.next_register(503, ("Retry-After", "120 (maintenance);duration=60"))
        rig.start()
        rig.advance(118)
        self.assertEqual(rig.registration().state, RegState.WAITING)
        rig.advance(3)
        self.assertEqual(rig.registration().state, RegState.REGISTERED)
        rig = Rig()
        rig.core.next_register(503, ("Retry-After", "999999999"))
        rig.start()
        rig.advance(3601)
        self.assertEqual(rig.registration().state, RegState.REGISTERED)

    def test_forbidden_stops(self) -> None:
        """403 is final until somebody acts."""
        rig = Rig()
        rig.core.next_register(403)
        rig.start()
        self.assertEqual(rig.registration().state, RegState.REFUSED)


class RefreshTests(SynchronousTestCase):
    def test_long_lease(self) -> None:
        """A long registration is refreshed ten minutes before its end."""
        rig = Rig()
        rig.core.granted = 7200
        rig.start()
        before = len(rig.core.registers)
        rig.advance(6598)
        self.assertEqual(len(rig.core.registers), before)
        rig.advance(3)
        self.assertEqual(len(rig.core.registers), before + 2)
        self.assertEqual(rig.registration().state, RegState.REGISTERED)
        self.assertEqual(rig.core.registers[-1].call_id, rig.core.registers[0].call_id)

    def test_short_lease(self) -> None:
        """A short one is refreshed at half its time."""
        rig = Rig()
        rig.core.granted = 100
        rig.start()
        before = len(rig.core.registers)
        rig.advance(48)
        self.assertEqual(len(rig.core.registers), before)
        rig.advance(3)
        self.assertEqual(len(rig.core.registers), before + 2)

    def test_service_route_goes_when_the_registrar_drops_it(self) -> None:
        """The last 200 decides about the route."""
        rig = Rig()
        rig.core.granted = 100
        rig.start()
        rig.core.service_route = False
        rig.advance(51)
        self.assertEqual(rig.registration().routes, ())

    def test_failed_refresh_holds_the_lease(self) -> None:
        """One 500 to a refresh does not stop calls while the lease runs; its end does."""
        rig = Rig()
        rig.core.granted = 100
        rig.start()
        for _ in range(3):
            rig.core.next_register(500)
        rig.advance(51)
        self.assertEqual((rig.registration().state, rig.registration().usable), (RegState.HOLDING, True))
        rig.advance(31)
        self.assertEqual((rig.registration().state, rig.registration().failures), (RegState.HOLDING, 2))
        rig.advance(20)
        self.assertEqual((rig.registration().state, rig.registration().usable), (RegState.WAITING, False))
        rig.advance(300)
        self.assertEqual(rig.registration().state, RegState.REGISTERED)

    def test_silent_core_makes_calls_fail_at_once(self) -> None:
        """When a refresh finds no answer, calls are refused at once instead of hanging; recovery is automatic."""
        rig = Rig()
        rig.core.granted = 1000
        rig.start()
        rig.core.silent = True
        rig.advance(533)
        self.assertEqual((rig.registration().state, rig.registration().usable), (RegState.WAITING, False))
        rig.core.silent = False
        rig.advance(31)
        self.assertTrue(rig.registration().usable)

    def test_suspicion(self) -> None:
        """A call that fails as if the core had forgotten us makes it look; a hundred make it look once."""
        rig = Rig().start()
        rig.core.forget()
        before = len(rig.core.registers)
        for _ in range(100):
            rig.agent().trouble(None)
        self.assertTrue(rig.registration().usable)
        rig.advance()
        self.assertEqual(len(rig.core.registers), before + 2)
        self.assertIn("sip:gw1@ims.test", rig.core.registered)
        self.assertIn("sip:gw1@ims.test", rig.core.subscriptions)


class LeaveTests(SynchronousTestCase):
    def test_deregisters(self) -> None:
        """At shutdown the core is told, and the shutdown waits for its answer."""
        rig = Rig().start()
        done = rig.profiles.stop()
        self.assertNoResult(done)
        rig.advance()
        self.successResultOf(done)
        self.assertEqual(rig.core.registered, {})
        self.assertEqual(expires(rig.core.registers[-1]), "0")
        self.assertEqual(rig.registration().state, RegState.GONE)

    def test_silent_core_does_not_keep_us(self) -> None:
        """A core that does not answer delays the shutdown by a bounded time."""
        rig = Rig().start()
        rig.core.silent = True
        done = rig.profiles.stop()
        rig.advance(2.9)
        self.assertNoResult(done)
        rig.advance(0.2)
        self.successResultOf(done)

    def test_leaving_while_registering(self) -> None:
        """One procedure at a time: the REGISTER under way ends first, then comes the de-registration."""
        rig = Rig()
        rig.profiles.start()
        rig.advance(0.0015)
        done = rig.profiles.stop()
        rig.advance()
        self.successResultOf(done)
        self.assertEqual([expires(one) for one in rig.core.registers], ["600000", "600000", "0", "0"])
        self.assertEqual(rig.core.registered, {})

    def test_nothing_to_leave(self) -> None:
        """Profiles that are not registered are gone at once, those not yet started never start."""
        rig = Rig()
        rig.core.next_register(403)
        rig.start()
        self.successResultOf(rig.profiles.stop())
        rig = Rig()
        rig.profiles.start()
        self.successResultOf(rig.profiles.stop())
        rig.advance(1)
        self.assertEqual(rig.core.registers, [])
