"""A client without ICE: who may be it, and what happens when it moves, falls silent or leaves."""

from __future__ import annotations

import struct

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.srtp import Transform, inbound, outbound
from rtcgw.media.webside.dtls import Association, Fingerprint, Identity
from rtcgw.media.webside.plainleg import CANDIDATES, TRIES_PER_SECOND, PlainLeg
from rtcgw.media.webside.webleg import CONSENT, LegState

Address = tuple[str, int]
CLIENT = ("192.0.2.7", 5000)


class Client:
    """A client's DTLS end at an address; `identity` is what its description promises, or should have."""

    def __init__(self, world: World, address: Address, identity: Identity, leads: bool = True) -> None:
        self.world = world
        self.address = address
        self.leads = leads
        self.association = Association(identity, client=leads)
        self.protect: Transform | None = None
        self.unprotect: Transform | None = None
        self.heard: list[bytes] = []
        world.clients[address] = self
        if leads:
            self.say(self.association.start())

    def say(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.world.leg.datagramReceived(datagram, self.address)

    def take(self, data: bytes) -> None:
        if 127 < data[0] < 192:
            assert self.unprotect is not None
            self.heard.append(self.unprotect(data))
            return
        out = self.association.feed(data)
        if self.association.finished and self.protect is None:
            keys = self.association.keys(self.leads)
            assert keys is not None
            self.unprotect, _ = inbound(keys)
            self.protect, self.protect_rtcp = outbound(keys)
        self.say(out)

    def rtp(self, number: int) -> bytes:
        assert self.protect is not None
        return self.protect(struct.pack("!BBHII", 0x80, 0, number, number * 160, 7) + b"sound")


class World:
    """The leg, and what it sends and says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clients: dict[Address, Client] = {}
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.news: list[tuple[str, str]] = []
        self.leg = PlainLeg(
            Identity(), self.clock, self.rtp.append, self.rtcp.append, lambda *news: self.news.append(news)
        )
        self.leg.opened(self.deliver)
        self.identity = Identity()

    def deliver(self, data: bytes, address: Address) -> None:
        client = self.clients.get(address)
        if client is None:
            raise OSError("nobody there")
        self.clock.callLater(0, client.take, data)

    def describe(self, client: bool = False, target: Address | None = None) -> None:
        self.leg.describe([Fingerprint("sha-256", self.identity.fingerprint)], client, target)

    def run(self, turns: int = 10) -> None:
        for _ in range(turns):
            self.clock.advance(0)

    def connected(self) -> Client:
        self.describe()
        client = Client(self, CLIENT, self.identity)
        self.run()
        return client


class PlainLegTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()

    def tearDown(self) -> None:
        self.world.leg.close()
        self.world.clients.clear()
        self.world.run()  # its farewell arrives
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def words(self) -> list[str]:
        return [state for state, _ in self.world.news]

    def test_both_hear(self) -> None:
        """The first proven handshake is the client; sound passes both ways."""
        client = self.world.connected()
        self.assertEqual(self.words(), ["ice", "dtls"])
        self.assertEqual((self.world.leg.address, self.world.leg.state), (CLIENT, LegState.READY))
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.assertEqual(self.world.rtp[0][12:], b"sound")
        self.world.leg.send_rtp(struct.pack("!BBHII", 0x80, 0, 1, 160, 9) + b"voice")
        self.run_and_check_heard(client)

    def run_and_check_heard(self, client: Client) -> None:
        self.world.run()
        self.assertEqual(client.heard[0][12:], b"voice")

    def test_we_lead(self) -> None:
        """A client that waits gets our handshake where its description says it is."""
        self.world.clients.clear()
        waiting = Client(self.world, CLIENT, self.world.identity, leads=False)
        self.world.describe(client=True, target=CLIENT)
        self.world.run()
        self.assertEqual(self.words(), ["ice", "dtls"])
        self.world.leg.datagramReceived(waiting.rtp(1), CLIENT)
        self.assertEqual(len(self.world.rtp), 1)

    def test_before_the_description(self) -> None:
        """A handshake that overtakes the description counts once the certificate is known to be the right one."""
        client = Client(self.world, CLIENT, self.world.identity)
        self.world.run()
        self.assertEqual(self.words(), [])
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.assertEqual((self.world.rtp, self.world.leg.dropped), ([], 1))
        self.world.describe()
        self.assertEqual(self.words(), ["ice", "dtls"])

    def test_strangers_first(self) -> None:
        """Strangers who come first, and in numbers, do not keep the client out, and their sound is never heard."""
        self.world.describe()
        strangers = [Client(self.world, ("198.51.100.1", port), Identity()) for port in range(2 * CANDIDATES)]
        self.world.run()
        client = Client(self.world, CLIENT, self.world.identity)
        self.world.run()
        self.assertEqual(self.world.leg.address, CLIENT)
        self.assertEqual(self.words(), ["ice", "dtls"])
        for stranger in strangers:
            if stranger.protect is not None:
                self.world.leg.datagramReceived(stranger.rtp(1), stranger.address)
            stranger.say([b"\x16rubbish", b"\x80", b"", b"\x00\x01"])
        self.assertEqual(self.world.rtp, [])
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.assertEqual(len(self.world.rtp), 1)

    def test_flood_of_handshakes(self) -> None:
        """Of a flood only so many are answered in a second; the host that the description names is not shut out."""
        self.world.describe(target=CLIENT)
        begun = Association(Identity(), client=True).start()
        sent: list[Address] = []
        self.world.leg.opened(lambda data, address: sent.append(address))
        for number in range(3 * TRIES_PER_SECOND):
            self.world.leg.datagramReceived(begun[0], ("198.51.100.1", number))
            self.world.leg.datagramReceived(b"\x16rubbish", ("198.51.100.2", number))
        self.assertEqual(len(set(sent)), TRIES_PER_SECOND)
        self.assertEqual(self.world.leg.dropped, 5 * TRIES_PER_SECOND)
        self.world.leg.opened(self.world.deliver)
        client = Client(self.world, CLIENT, self.world.identity)
        for number in range(2 * CANDIDATES):
            self.world.clock.advance(1)
            self.world.leg.datagramReceived(begun[0], ("198.51.100.3", number))
        self.world.run()
        self.assertEqual(self.world.leg.address, CLIENT)
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.assertEqual(len(self.world.rtp), 1)

    def test_no_word_to_strangers(self) -> None:
        """Where we begin the handshake, nobody but the host named is sent anything, whatever he sends us."""
        self.world.describe(client=True, target=CLIENT)
        sent: list[Address] = []
        self.world.leg.opened(lambda data, address: sent.append(address))
        for first in (20, 22, 63):
            self.world.leg.datagramReceived(bytes((first,)) + bytes(60), ("198.51.100.1", first))
        self.assertEqual(sent, [])
        self.world.leg.datagramReceived(b"\x16" + bytes(60), (CLIENT[0], 6000))
        self.assertEqual(sent, [(CLIENT[0], 6000)])

    def test_begun_again(self) -> None:
        """A client that closed a handshake made before its description was here may begin another."""
        first = Client(self.world, CLIENT, self.world.identity)
        self.world.run()
        first.say(first.association.close())
        Client(self.world, CLIENT, self.world.identity)
        self.world.run()
        self.world.describe()
        self.assertEqual(self.words(), ["ice", "dtls"])

    def test_client_moves(self) -> None:
        """A client behind NAT whose port changes is followed by a packet that authenticates, and by no other."""
        client = self.world.connected()
        self.world.leg.datagramReceived(b"\x80\x00" + bytes(40), ("203.0.113.1", 1))
        self.assertEqual(self.world.leg.address, CLIENT)
        moved = ("192.0.2.7", 6000)
        self.world.leg.datagramReceived(client.rtp(1), moved)
        self.assertEqual(self.world.leg.address, moved)
        self.assertEqual(self.world.news[-1], ("ice", "192.0.2.7:6000"))

    def test_silence(self) -> None:
        """A client without any packet for the time of a consent is lost; one that sends is not."""
        client = self.world.connected()
        self.world.clock.advance(CONSENT - 1)
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.world.clock.advance(1)
        self.assertEqual(self.words(), ["ice", "dtls"])
        self.world.clock.advance(CONSENT)
        self.assertEqual(self.words(), ["ice", "dtls", "lost"])

    def test_goodbye(self) -> None:
        """A client that closes its connection is gone."""
        client = self.world.connected()
        client.say(client.association.close())
        self.assertEqual(self.words(), ["ice", "dtls", "gone"])

    def test_closed(self) -> None:
        """After the end nothing is heard, said or sent."""
        client = self.world.connected()
        self.world.leg.close()
        self.world.leg.close()
        self.world.leg.datagramReceived(client.rtp(1), CLIENT)
        self.world.leg.send_rtp(bytes(12))
        self.world.leg.send_rtcp(bytes(12))
        self.assertEqual((self.words(), self.world.rtp), (["ice", "dtls"], []))
