"""rtcgw.js when the network is not what it was: connections that are dead, sound that stops, passwords that expire."""

from __future__ import annotations

from tests.live.harness import JsCase
from tests.live.requirements import need


@need("chromium")
class ReturnTests(JsCase):
    async def test_dead_connection_in_a_call(self) -> None:
        """No packet and no reply: within two seconds the page is back over a new connection, with fresh credentials."""
        took, states, codes, restarted = await self.run_js("""
            const laboratory = await lab({ reconnect: true }, { grace: 5 });
            const { socket, until } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            const ufrag = () => /a=ice-ufrag:(\\S+)/.exec(call.peer.localDescription.sdp)[1];
            const before = ufrag();
            const states = [];
            call.addEventListener('state', (event) => states.push(event.detail.state));
            await new Promise((resolve) => setTimeout(resolve, 1000));
            const fake = socket.constructor;
            fake.reply = (message) => politely(() => fake.last, { calls: [] })(message);
            socket.reply = null;
            await far.silence(true);
            const start = performance.now();
            await until(() => fake.last !== socket && fake.last.of('OFFER').length);
            const took = performance.now() - start;
            await far.silence(false);
            const { id, sdp, session } = fake.last.of('OFFER')[0];
            fake.last.get({ type: 'OK', for: 'OFFER', id, session, sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => call.state === 'InCall');
            return [took, states, socket.closedWith, ufrag() !== before];""")
        self.assertLess(took, 2500)
        self.assertEqual(states, ["Reloading", "InCall"])
        self.assertEqual(codes[0], 4000)
        self.assertTrue(restarted)

    async def test_silent_phone(self) -> None:
        """A phone that says nothing is no loss: the gateway is asked once, and the call goes on untouched."""
        states, pings, offers = await self.run_js("""
            const laboratory = await lab({}, { grace: 5 });
            const { socket } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            const states = [];
            call.addEventListener('state', (event) => states.push(event.detail.state));
            await new Promise((resolve) => setTimeout(resolve, 1000));
            await far.silence(true);
            await new Promise((resolve) => setTimeout(resolve, 3000));
            return [states, socket.of('PING').length, socket.of('OFFER').length];""")
        self.assertEqual((states, pings, offers), ([], 1, 1))

    async def test_offer_lost_with_the_connection(self) -> None:
        """An offer that went under with the old connection is made anew over the next, and is not the same."""
        sessions, different, state = await self.run_js("""
            const laboratory = await lab({ reconnect: true }, { grace: 5 });
            const { socket, until } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            const fake = socket.constructor;
            fake.reply = (message) => politely(() => fake.last)(message);
            call.restart();
            await until(() => socket.of('OFFER').length === 2);
            socket.drop(1006);
            await until(() => fake.last !== socket && fake.last.of('OFFER').length);
            const [lost, { id, sdp, session }] = [socket.of('OFFER')[1], fake.last.of('OFFER')[0]];
            fake.last.get({ type: 'OK', for: 'OFFER', id, session, sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => call.state === 'InCall');
            return [[lost.session, session], lost.sdp !== sdp, [call.state, call.peer.signalingState]];""")
        self.assertEqual(sessions, ["s1", "s1"])
        self.assertTrue(different)
        self.assertEqual(state, ["InCall", "stable"])

    async def test_call_over_meanwhile(self) -> None:
        """A call that was over before the page came back ends, and says why."""
        ended = await self.run_js("""
            const laboratory = await lab({ reconnect: true }, { grace: 5 });
            const { socket, until } = laboratory;
            const call = await talk(laboratory, makeFar());
            const fake = socket.constructor;
            fake.reply = (message) => {
              politely(() => fake.last)(message);
              const { type, id, session } = message;
              if (type === 'OFFER') setTimeout(() => fake.last.get({ type: 'ERROR', id, session, code: 'no-session' }));
            };
            socket.drop(1006);
            await until(() => call.ended);
            return [call.ended.reason, call.ended.text];""")
        self.assertEqual(ended, ["no-session", "The call was over before the connection came back."])

    async def test_refused_at_the_return(self) -> None:
        """Credentials that are no longer good are said to be so, once; nothing more is tried."""
        events = await self.run_js("""
            const { socket, gateway, until } = await lab({ reconnect: true });
            const seen = [];
            for (const type of ['closed', 'back', 'refused']) {
              gateway.addEventListener(type, (event) => seen.push([type, event.detail.code]));
            }
            const fake = socket.constructor;
            const refusal = { type: 'ERROR', code: 'auth-failed', text: '' };
            fake.reply = ({ id }) => setTimeout(() => fake.last.get({ ...refusal, id }));
            socket.drop(1006);
            await until(() => seen.length > 1);
            await new Promise((resolve) => setTimeout(resolve, 300));
            return seen;""")
        self.assertEqual(events, [["closed", 1006], ["refused", "login-refused"]])


@need("chromium")
class RelayTests(JsCase):
    async def test_renewed_in_time(self) -> None:
        """Passwords of relay servers are renewed before they expire, and running calls use the new ones."""
        asked, used, next_call = await self.run_js("""
            const server = (username) => ({ urls: ['turn:127.0.0.1:9?transport=udp'], username, credential: 'c' });
            const welcome = { iceServers: [server('first')], iceTtl: 2, grace: 5 };
            const laboratory = await lab({ timeout: 1 }, welcome);
            const { gateway, socket, until } = laboratory;
            const start = performance.now();
            const far = makeFar();
            const call = await talk(laboratory, far);
            socket.reply = (message) => {
              const { type, id } = message;
              if (type !== 'ICE_SERVERS') return;
              setTimeout(() => socket.get({ type: 'OK', for: type, id, iceServers: [server('second')], ttl: 3600 }));
            };
            await until(() => socket.of('ICE_SERVERS').length);
            const asked = performance.now() - start;
            const name = (peer) => peer.getConfiguration().iceServers[0].username;
            await until(() => name(call.peer) === 'second');
            const next = gateway.call('sip:z@y');
            await until(() => next.peer);
            return [asked, name(call.peer), name(next.peer)];""")
        self.assertTrue(1200 < asked < 2000, asked)
        self.assertEqual((used, next_call), ("second", "second"))

    async def test_relay_refuses(self) -> None:
        """A relay server that refuses us is named as the trouble, and fresh passwords are asked for, once."""
        policy, told, asked = await self.run_js("""
            const { gateway, socket, until } = await lab({ relayOnly: true, timeout: 10 });
            const call = gateway.call('sip:x@y');
            const told = [];
            call.addEventListener('media', (event) => told.push([event.detail.state, event.detail.text]));
            await until(() => socket.of('OFFER').length);
            const refusal = { errorCode: 401, errorText: 'Unauthorized', url: 'turn:127.0.0.1:9', hostCandidate: '' };
            for (const errorCode of [701, 401, 401]) {
              const event = new RTCPeerConnectionIceErrorEvent('icecandidateerror', { ...refusal, errorCode });
              call.peer.dispatchEvent(event);
            }
            const policy = call.peer.getConfiguration().iceTransportPolicy;
            return [policy, told, socket.of('ICE_SERVERS').length];""")
        self.assertEqual(policy, "relay")
        self.assertEqual([state for state, _ in told], ["relay-unreachable", "relay-refused", "relay-refused"])
        self.assertTrue(told[1][1].startswith("The relay server refused this page"))
        self.assertEqual(asked, 1)
