"""Finding servers: addresses at once, names by SRV and address records, kept within bounds."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import TestCase

from rtcgw.sip.flow import Hop
from rtcgw.sip.locate import Locator, Unlocated
from rtcgw.sip.uri import Uri


class Names:
    """A resolver over a dictionary `{(kind, name): [records]}`; it counts questions."""

    def __init__(self, **unused: Any) -> None:
        self.records: dict[tuple[int, str], list[dns.RRHeader]] = {}
        self.asked: list[str] = []

    def srv(self, name: str, priority: int, weight: int, port: int, target: str, ttl: int = 60) -> None:
        payload = dns.Record_SRV(priority, weight, port, target)
        self.records.setdefault((dns.SRV, name), []).append(dns.RRHeader(name, dns.SRV, dns.IN, ttl, payload))

    def a(self, name: str, address: str, ttl: int = 60) -> None:
        six = ":" in address
        kind = dns.AAAA if six else dns.A
        payload = dns.Record_AAAA(address) if six else dns.Record_A(address)
        self.records.setdefault((kind, name), []).append(dns.RRHeader(name, kind, dns.IN, ttl, payload))

    def _answer(self, kind: int, name: str) -> Deferred[Any]:
        self.asked.append(name)
        found = self.records.get((kind, name))
        return succeed((found, [], [])) if found else fail(dns.DomainError())

    def lookupService(self, name: str) -> Deferred[Any]:
        return self._answer(dns.SRV, name)

    def lookupAddress(self, name: str) -> Deferred[Any]:
        return self._answer(dns.A, name)

    def lookupIPV6Address(self, name: str) -> Deferred[Any]:
        return self._answer(dns.AAAA, name)


class LocateTest(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.names = Names()
        self.locator = Locator(self.clock, self.names)  # type: ignore[arg-type] # the part of IResolver that is used

    def find(self, hop: Hop, transport: str = "UDP") -> tuple[str, int]:
        return self.successResultOf(self.locator.find(hop, transport))

    def test_addresses(self) -> None:
        """An address needs no question, and gets the transport's port."""
        self.assertEqual(self.locator.known(Hop("192.0.2.1"), "UDP"), ("192.0.2.1", 5060))
        self.assertEqual(self.locator.known(Hop("192.0.2.1"), "TLS"), ("192.0.2.1", 5061))
        self.assertEqual(self.locator.known(Hop("[2001:db8::1]", 5070), "TCP"), ("2001:db8::1", 5070))
        self.assertEqual(self.names.asked, [])

    def test_name_with_port(self) -> None:
        """A name with a port is an address record."""
        self.names.a("core.test", "192.0.2.1")
        self.names.a("core.test", "2001:db8::1")
        hop = Hop("core.test", 5070)
        self.assertIsNone(self.locator.known(hop, "UDP"))
        self.assertEqual(self.find(hop), ("192.0.2.1", 5070))
        self.assertEqual(self.locator.known(hop, "UDP"), ("192.0.2.1", 5070))

    def test_service(self) -> None:
        """A name alone is asked for by SRV, best priority first; the answer lasts for its TTL."""
        self.names.srv("_sip._tcp.ims.test", 20, 1, 5072, "b.test")
        self.names.srv("_sip._tcp.ims.test", 10, 1, 5071, "a.test", ttl=30)
        self.names.a("a.test", "192.0.2.1")
        self.names.a("b.test", "192.0.2.2")
        hop = Hop("ims.test")
        self.assertEqual(self.find(hop, "TCP"), ("192.0.2.1", 5071))
        self.clock.advance(29)
        self.assertIsNotNone(self.locator.known(hop, "TCP"))
        self.clock.advance(2)
        self.assertIsNone(self.locator.known(hop, "TCP"))

    def test_weights(self) -> None:
        """Within a priority the load is spread, and a weight of 0 is not starved of its order."""
        for number, weight in enumerate((0, 100)):
            self.names.srv("_sip._udp.ims.test", 1, weight, 5060 + number, f"n{number}.test")
            self.names.a(f"n{number}.test", f"192.0.2.{number}")
        firsts = [self.find(Hop("ims.test"))[1] for _ in range(50)]
        self.assertGreater(firsts.count(5061), 40)

    def test_no_service(self) -> None:
        """A name without SRV is an address at the default port."""
        self.names.a("core.test", "192.0.2.1")
        self.assertEqual(self.find(Hop("core.test")), ("192.0.2.1", 5060))

    def test_nothing(self) -> None:
        """A name that nobody knows is told as such."""
        self.failureResultOf(self.locator.find(Hop("nowhere.test"), "UDP"), Unlocated)

    def test_failed_goes_last(self) -> None:
        """After an address could not be reached the next attempt takes another."""
        self.names.a("core.test", "192.0.2.1")
        self.names.a("core.test", "192.0.2.2")
        hop = Hop("core.test", 5060)
        self.find(hop)
        self.locator.failed(("192.0.2.1", 5060))
        self.assertEqual(self.locator.known(hop, "UDP"), ("192.0.2.2", 5060))

    def test_bounds(self) -> None:
        """Neither many names nor a name with many addresses fills the memory."""
        for number in range(600):
            self.locator.known(Hop(f"10.0.{number // 250}.{number % 250}"), "UDP")
            self.names.a(f"n{number}.test", "192.0.2.1")
            self.find(Hop(f"n{number}.test", 5060))
        self.assertLessEqual(max(len(self.locator._literals), len(self.locator._found)), 256)
        for number in range(40):
            self.names.a("many.test", f"192.0.2.{number}")
        self.find(Hop("many.test", 5060))
        self.assertEqual(len(self.locator._found["many.test", 5060, "UDP"][1]), 16)


class HopTest(TestCase):
    def test_uris(self) -> None:
        """What a Route or Contact says about where it wants to be reached."""
        for text, hop in (
            ("sip:u@192.0.2.1", Hop("192.0.2.1")),
            ("sip:u@192.0.2.1:5070;transport=tcp", Hop("192.0.2.1", 5070, "TCP")),
            ("sip:u@[2001:db8::1];transport=UDP", Hop("2001:db8::1", 0, "UDP")),
            ("sips:u@gw.test", Hop("gw.test", 0, "TLS")),
            ("sip:u@gw.test;maddr=192.0.2.9;transport=sctp", Hop("192.0.2.9")),
        ):
            self.assertEqual(Hop.to_uri(Uri.parse(text)), hop)
