"""Pages that can reach nothing but a TURN server, with the passwords that the gateway makes for them."""

from __future__ import annotations

import time
from typing import Any

from tests.live.browsing import RELAY_ONLY, BrowserCase
from tests.live.coturn import SECRET, Coturn, password, username
from tests.live.gateway import Gateway
from tests.live.requirements import need
from tests.live.sound import G711

TTL = 600
_GATHER = """async (server) => {
  const peer = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
  const found = { relays: 0, errors: [] };
  peer.onicecandidate = ({ candidate }) => { if (candidate?.candidate.includes('typ relay')) found.relays++; };
  peer.onicecandidateerror = ({ errorCode }) => found.errors.push(errorCode);
  peer.createDataChannel('x');
  await peer.setLocalDescription();
  for (let n = 0; n < 100 && peer.iceGatheringState !== 'complete'; n++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  peer.close();
  return found;
}"""


@need("chromium", "kamailio", "coturn")
class TurnTests(BrowserCase):
    async def start(self, **server: Any) -> tuple[Gateway, Coturn]:
        """A TURN server, and a gateway that names it with `server`'s keys."""
        turn = Coturn(self.folder / "coturn")
        self.addCleanup(turn.stop)
        await turn.start()
        servers = [{"urls": turn.urls, "secrets": [SECRET], "ttl": TTL, **server}]
        return await self.gateway("gw1", sections={"ice": {"servers": servers}}), turn

    async def test_relayed_call(self) -> None:
        """A browser that can reach nothing else calls through the TURN server: both hear each other."""
        gateway, turn = await self.start()
        page = await self.browse(gateway, script=RELAY_ONLY)
        phone = await self.answerer(G711(0))
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        self.assertEqual((await self.statistics(page))["local"], "relay")
        users = turn.users()
        self.assertEqual(len(users), 1, users)
        expiry = float(users.pop().partition(":")[0])
        self.assertApproximates(expiry, time.time() + TTL, 60)
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])

    async def test_secrets_are_replaced(self) -> None:
        """While the secret is being replaced the gateway has two, and makes passwords from the first."""
        gateway, turn = await self.start(secrets=[SECRET, "the-secret-of-yesterday"])
        page = await self.browse(gateway, script=RELAY_ONLY)
        phone = await self.answerer(G711(8))
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        self.assertEqual(len(turn.users()), 1)
        await self.hang_up(page, call)

    async def test_server_alone(self) -> None:
        """The server of these tests gives a relay for a right password, and none for a wrong or an old one."""
        gateway, turn = await self.start()
        page = await self.browse(gateway)
        good, old = username(60), username(-60)
        for name, word, relays in ((good, password(good), 1), (good, "wrong", 0), (old, password(old), 0)):
            server = {"urls": turn.urls[:1], "username": name, "credential": word}
            found = await page.evaluate(_GATHER, server)
            self.assertEqual(found["relays"], relays, found)
            self.assertEqual(401 in found["errors"], not relays, found)
