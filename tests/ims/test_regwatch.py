"""What the network announces about our registration is acted upon."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.ims.registration import RegState
from rtcgw.sip.message import Request
from tests.ims.rig import Rig
from tests.peers.ims_core import by_method

IMPU = "sip:gw1@ims.test"


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig().start()

    @property
    def state(self) -> RegState:
        return self.rig.registration().state

    def subscribes(self) -> list[Request]:
        return by_method(self.rig.core.received, "SUBSCRIBE")

    def test_subscribes_to_itself(self) -> None:
        """After the first 200 the profile watches its own default identity, by the Service-Route."""
        (subscribe,) = self.subscribes()
        for uri in (subscribe.uri, subscribe.from_.uri, subscribe.to.uri):
            self.assertEqual(str(uri), IMPU)
        self.assertEqual(subscribe.get("event"), "reg")
        self.assertEqual(subscribe.get("accept"), "application/reginfo+xml")
        self.assertEqual(subscribe.get("expires"), "600000")
        self.assertEqual(subscribe.headers["route"][-1], "<sip:orig@127.0.0.1:5061;lr>")
        self.assertEqual(self.rig.registration().watch.state, "active")

    def test_barred_default_identity_is_not_watched(self) -> None:
        """A barred identity may do nothing, so another one is watched."""
        self.rig = Rig()
        self.rig.core.subscribe("gw1@ims.test", "gw1-secret", IMPU, "sip:other@ims.test")
        self.rig.core.barred.add(IMPU)
        self.rig.start()
        self.assertEqual(str(self.subscribes()[0].uri), "sip:other@ims.test")

    def test_rejected_stops(self) -> None:
        """Thrown out for good: no calls, and no REGISTER until somebody acts."""
        before = len(self.rig.core.registers)
        self.rig.core.network_deregisters(IMPU, "rejected")
        self.rig.advance()
        self.assertEqual((self.state, self.rig.registration().usable), (RegState.REFUSED, False))
        self.rig.advance(4000)
        self.assertEqual(len(self.rig.core.registers), before)

    def test_deactivated_registers_again(self) -> None:
        """Ended for another reason: registered again at once, as a new registration, and watched again."""
        for event in ("deactivated", "expired", "unregistered"):
            self.setUp()
            first = self.rig.core.registers[0].call_id
            self.rig.core.network_deregisters(IMPU, event)
            self.rig.advance()
            self.assertEqual(self.state, RegState.REGISTERED)
            self.assertNotEqual(self.rig.core.registers[-1].call_id, first)
            self.assertIn(IMPU, self.rig.core.registered)
            self.assertEqual(self.rig.registration().watch.state, "active")

    def test_a_registrar_that_cannot_stop(self) -> None:
        """Ended again and again, each new registration waits: no loop at the speed of the network."""
        self.rig.core.network_deregisters(IMPU, "deactivated")
        self.rig.advance()
        self.rig.core.network_deregisters(IMPU, "deactivated")
        self.rig.advance()
        self.assertEqual(self.state, RegState.WAITING)
        self.rig.advance(31)
        self.assertEqual(self.state, RegState.REGISTERED)

    def test_probation(self) -> None:
        """Sent away for a while: back after exactly that."""
        self.rig.core.network_deregisters(IMPU, "probation", 'retry-after="120"')
        self.rig.advance()
        self.assertEqual(self.state, RegState.WAITING)
        self.rig.advance(119)
        self.assertEqual(self.state, RegState.WAITING)
        self.rig.advance(2)
        self.assertEqual(self.state, RegState.REGISTERED)

    def test_shortened(self) -> None:
        """Given less time: proven anew within it, once; calls go on."""
        core = self.rig.core
        before = len(core.registers)
        for _ in range(3):
            core.notify(IMPU, core.reginfo(IMPU, "active", "shortened", 'expires="60"'))
            self.rig.advance()
        self.assertEqual(len(core.registers), before + 2)
        self.assertEqual(self.state, RegState.REGISTERED)

    def test_not_ours(self) -> None:
        """NOTIFYs of no subscription get 481, of another event 489; both change nothing."""
        core = self.rig.core
        core.notify(IMPU, core.reginfo(IMPU, "terminated", "rejected"), event="presence")
        self.rig.advance()
        self.assertEqual(core.ladder[-1], "<- 489 NOTIFY")
        self.rig.registration().watch.stop()
        self.rig.advance()
        core.notify(IMPU, core.reginfo(IMPU, "terminated", "rejected"))
        self.rig.advance()
        self.assertEqual(core.ladder[-1], "<- 481 NOTIFY")
        self.assertEqual(self.state, RegState.REGISTERED)

    def test_broken_document(self) -> None:
        """A body that is no reginfo is answered, counted, and changes nothing."""
        for body in (b"<broken", b"<!DOCTYPE a>" + self.rig.core.reginfo(IMPU, "terminated", "rejected")[22:]):
            self.rig.core.notify(IMPU, body)
            self.rig.advance()
            self.assertEqual(self.rig.core.ladder[-1], "<- 200 NOTIFY")
        self.assertEqual((self.state, self.rig.registration().watch.broken), (RegState.REGISTERED, 2))
        self.rig.core.notify(IMPU, b"")
        self.rig.advance()
        self.assertEqual(self.rig.registration().watch.broken, 2)

    def test_missed_document(self) -> None:
        """When a change was missed the whole state is fetched again, but not for every such NOTIFY."""
        core = self.rig.core
        for _ in range(3):
            core.reginfo(IMPU)  # a version that is never sent
            core.notify(IMPU, core.reginfo(IMPU).replace(b'state="full"', b'state="partial"'))
            self.rig.advance()
        first, *later = [request for request in self.subscribes() if not request.to.tag]
        self.assertEqual(len(later), 1)
        self.assertNotEqual(later[0].call_id, first.call_id)

    def test_registrar_without_the_package(self) -> None:
        """489 to the SUBSCRIBE is taken for an answer: no second try with each refresh."""
        self.rig = Rig()
        self.rig.core.subscribe_status = 489
        self.rig.core.granted = 100
        self.rig.start()
        self.rig.advance(500)
        self.assertEqual(len(self.subscribes()), 1)
        self.assertEqual(self.state, RegState.REGISTERED)

    def test_subscription_lost(self) -> None:
        """An S-CSCF that has forgotten the subscription is asked for a new one at the refresh."""
        self.rig.core.subscriptions.clear()
        self.rig.advance(600_000 - 590)
        self.assertIn(IMPU, self.rig.core.subscriptions)

    def test_leaving_ends_the_watch(self) -> None:
        """After de-registration nothing is watched, and news that still comes is refused."""
        self.rig.profiles.stop()
        self.rig.advance()
        self.assertEqual(self.rig.registration().watch.state, "none")
