"""rtcgw.js when its page, or its connection, is another one than before: sessions found again, calls taken up."""

from __future__ import annotations

from tests.live.harness import JsCase
from tests.live.requirements import need

AGAIN = """
    // A page that is loaded again: another Rtcgw with the same memory. `login` is what the gateway says to it.
    const again = async (laboratory, login, options = {}) => {
      const fake = laboratory.socket.constructor;
      const seen = [];
      const next = new laboratory.Rtcgw('ws://x/ws', { WebSocket: fake, timeout: 1, reconnect: false, ...options });
      fake.reply = (message) => politely(() => fake.last, login)(message);
      next.addEventListener('restored', ({ detail: { call } }) => {
        seen.push(call);
        for (const type of ['state', 'ended', 'connected']) {
          call.addEventListener(type, ({ detail }) => seen.push(detail?.reason ?? detail?.state ?? type));
        }
      });
      const welcome = await next.resume();
      return { next, seen, welcome, socket: fake.last };
    };
    const info = { session: 's1', role: 'caller', state: 'Reloading', remote: { uri: 'sip:x@y' }, away: true };
"""
"""JavaScript: `again(lab, login)` is the page's next life; `info` a call as the gateway lists it."""


@need("chromium")
class ReloadTests(JsCase):
    async def test_call_is_taken_up(self) -> None:
        """The next page logs in by the token, offers anew, and has the call as it was: muted, and as old as it is."""
        login, offer, kept, states, age = await self.run_js(
            AGAIN
            + """
            const laboratory = await lab({}, { resume: 'first', resumeTtl: 60, grace: 5, capabilities: ['resume'] });
            const before = await talk(laboratory, makeFar());
            before.mute(true);
            const more = { resume: 'second', calls: [{ ...info, answered: 70 }] };
            const { next, seen, socket } = await again(laboratory, more);
            const { until } = laboratory;
            await until(() => socket.of('OFFER').length);
            const far = makeFar();
            const [{ id, session, sdp, to = null }] = socket.of('OFFER');
            socket.get({ type: 'OK', for: 'OFFER', id, session, sdp: await far.answer(sdp), sdpType: 'answer' });
            const [call] = seen;
            await until(() => call.state === 'InCall');
            const { resume, user = null } = socket.of('LOGIN')[0];
            const kept = JSON.parse(sessionStorage['rtcgw ws://x/ws']);
            const age = (Date.now() - call.connectedAt) / 1000;
            const states = [call.muted, call.role, call.remote.uri, ...seen.slice(1), next.calls.length];
            return [[resume, user], [session, to, sdp !== ''], [kept.token, kept.calls.length], states, age];"""
        )
        self.assertEqual(login, ["first", None])
        self.assertEqual(offer, ["s1", None, True])
        self.assertEqual(kept, ["second", 1])
        self.assertEqual(states, [True, "caller", "sip:x@y", "InCall", "connected", 1])
        self.assertTrue(70 <= age < 75, age)

    async def test_over_meanwhile(self) -> None:
        """A call that is not in the list any more is told to the page, with the end that it had."""
        seen, calls = await self.run_js(
            AGAIN
            + """
            const laboratory = await lab({}, { resume: 'first', grace: 5 });
            await talk(laboratory, makeFar());
            const { seen, next } = await again(laboratory, { calls: [] });
            return [seen.slice(1), next.calls.length];"""
        )
        self.assertEqual((seen, calls), (["Hangup", "no-session"], 0))

    async def test_still_ringing(self) -> None:
        """Nobody has answered yet: the next page waits as the first one did, and is answered in its own words."""
        states = await self.run_js(
            AGAIN
            + """
            const laboratory = await lab({}, { resume: 'first', grace: 5 });
            const { gateway, socket: first, until } = laboratory;
            gateway.call('sip:x@y');
            await until(() => first.of('OFFER').length);
            first.get({ type: 'WAITING', id: first.of('OFFER')[0].id, session: 's1', to: 'x' });
            await until(() => sessionStorage['rtcgw ws://x/ws'].includes('s1'));
            const { seen, socket } = await again(laboratory, { calls: [info] });
            await until(() => socket.of('OFFER').length);
            const [{ id, sdp }] = socket.of('OFFER');
            socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            socket.get({ type: 'RINGING', session: 's1' });
            await until(() => seen[0].ringing);
            const far = makeFar();
            socket.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => seen.includes('connected'));
            return [...seen.slice(1), socket.of('ANSWER').length];"""
        )
        self.assertEqual(states, ["Calling", "InCall", "connected", 1])

    async def test_tried_until_there(self) -> None:
        """What is refused for the moment is tried again; a call that is elsewhere by now is left there."""
        offers, taken = await self.run_js(
            AGAIN
            + """
            const laboratory = await lab({}, { resume: 'first', grace: 5 });
            await talk(laboratory, makeFar());
            const { seen, socket } = await again(laboratory, { calls: [{ ...info, answered: 1 }] });
            const { until } = laboratory;
            for (const code of ['conflict', 'illegal-state']) {
              const count = socket.of('OFFER').length;
              await until(() => socket.of('OFFER').length > count || count);
              socket.get({ type: 'ERROR', id: socket.of('OFFER').at(-1).id, session: 's1', code, text: '' });
              await until(() => socket.of('OFFER').length > count + 1);
            }
            const offers = socket.of('OFFER').length;
            seen[0].hangup();
            const other = { ...info, away: false, here: false, state: 'InCall' };
            const { seen: none } = await again(laboratory, { calls: [other] });
            return [offers, none.length];"""
        )
        self.assertGreaterEqual(offers, 3)
        self.assertEqual(taken, 0)

    async def test_nothing_to_go_on_with(self) -> None:
        """Without a token nothing is asked; one that is no longer good is forgotten, and the page may log in."""
        nothing, refused = await self.run_js("""
            const laboratory = await lab({}, {});
            const { Rtcgw, socket } = laboratory;
            const fake = socket.constructor;
            const make = () => new Rtcgw('ws://x/ws', { WebSocket: fake, timeout: 0.3 });
            const nothing = [await make().resume(), fake.last === socket];
            sessionStorage['rtcgw ws://x/ws'] = JSON.stringify({ token: 'old', ttl: 5, calls: [] });
            const refusal = { type: 'ERROR', code: 'auth-failed', text: '' };
            fake.reply = ({ id }) => setTimeout(() => fake.last.get({ ...refusal, id }));
            const gateway = make();
            const refused = [await gateway.resume(), 'rtcgw ws://x/ws' in sessionStorage, gateway.open];
            fake.reply = (message) => politely(() => fake.last)(message);
            await gateway.connect();
            await gateway.login({ token: 't' });
            return [nothing, [...refused, gateway.open]];""")
        self.assertEqual(nothing, [None, True])
        self.assertEqual(refused, [None, False, False, True])

    async def test_strange_memory(self) -> None:
        """Whatever stands in the storage, the page is not surprised by it; logging out erases it."""
        found, erased = await self.run_js("""
            const { TabMemory } = await import('/memory.js');
            const memory = new TabMemory('ws://x/ws');
            const found = [];
            const calls = [5, null, {}, { session: 7 }, { session: 's', remote: 5, muted: 'no' }];
            const strange = { token: 't', calls };
            for (const text of ['', '{', '5', 'null', '[]', '{"token":5}', '{"token":""}', JSON.stringify(strange)]) {
              sessionStorage['rtcgw ws://x/ws'] = text;
              found.push(await memory.take());
            }
            const { gateway, socket } = await lab({}, { resume: 'mine' });
            socket.reply = politely(() => socket);
            await gateway.close();
            return [found, 'rtcgw ws://x/ws' in sessionStorage];""")
        self.assertEqual(found[:-1], [None] * 7)
        call = {"session": "s", "role": "caller", "remote": {"uri": "", "name": ""}, "muted": False}
        self.assertEqual(found[-1], {"token": "t", "ttl": 0, "calls": [call]})
        self.assertFalse(erased)

    async def test_slots_of_tabs(self) -> None:
        """What an open tab keeps in the browser no other tab finds; what a closed one kept, the next one does, once."""
        find = """(async () => {
            const { BrowserMemory } = await import('/memory.js');
            globalThis.memory = new BrowserMemory('ws://x/ws');
            return (await memory.take())?.token ?? null;
        })()"""
        keep = "(token) => memory.keep({ token, ttl: 5, calls: [] })"
        first, second = await self.open(), await self.open()
        self.assertIsNone(await first.evaluate(find))
        await first.evaluate(keep, "one")
        self.assertIsNone(await second.evaluate(find))
        await second.evaluate(keep, "two")
        await first.go("about:blank")
        third, fourth = await self.open(), await self.open()
        self.assertEqual(await third.evaluate(find), "one")
        self.assertIsNone(await fourth.evaluate(find))
        await second.reload()
        self.assertEqual(await second.evaluate(find), "two")

    async def test_end_on_leave(self) -> None:
        """By option the page hangs up when it is left; by default it does not."""
        for option, hangups in (("true", ["hangup"]), ("false", [])):
            sent = await self.run_js(f"""
                const laboratory = await lab({{ endOnLeave: {option} }});
                await talk(laboratory, makeFar());
                globalThis.dispatchEvent(new PageTransitionEvent('pagehide'));
                return laboratory.socket.of('HANGUP').map(({{ reason }}) => reason);""")
            self.assertEqual(sent, hangups)


@need("chromium")
class ConnectionTests(JsCase):
    async def test_planned_change(self) -> None:
        """RECONNECT: the new connection is there before the old one goes, the call follows, nothing is interrupted."""
        answers = await self.run_js("""
            const laboratory = await lab({}, { resume: 'first', grace: 5 });
            const { gateway, socket, until } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            const states = [];
            call.addEventListener('state', ({ detail }) => states.push(detail.state));
            const [fake, { peer }] = [socket.constructor, call];
            fake.reply = (message) => politely(() => fake.last, { resume: 'second' })(message);
            const before = await far.arrived();
            socket.get({ type: 'RECONNECT', within: 10 });
            socket.get({ type: 'RECONNECT', within: 10 });
            await until(() => fake.last !== socket && fake.last.of('OFFER').length);
            const next = fake.last;
            const old = [socket.closedWith?.[0], socket.of('LOGIN').length];
            socket.onmessage?.({ data: JSON.stringify({ type: 'ERROR', session: 's1', code: 'moved' }) });
            const [{ id, session, sdp }] = next.of('OFFER');
            next.get({ type: 'OK', for: 'OFFER', id, session, sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => call.peer.signalingState === 'stable');
            await until(() => 0);
            const heard = (await far.arrived()) - before;
            return [old, next.of('LOGIN')[0].resume, states, call.state, call.peer === peer, heard, gateway.open];""")
        old, resume, states, state, same, heard, is_open = answers
        self.assertEqual((old, resume), ([1000, 1], "first"))
        self.assertEqual((states, state, same, is_open), ([], "InCall", True, True))
        self.assertGreater(heard, 20)

    async def test_planned_change_refused(self) -> None:
        """Where the new connection is refused, the old one stays in use until it is closed, and nothing is lost."""
        kept, pong = await self.run_js("""
            const laboratory = await lab({}, { resume: 'first', grace: 5 });
            const { gateway, socket, until } = laboratory;
            const call = await talk(laboratory, makeFar());
            const fake = socket.constructor;
            const refusal = { type: 'ERROR', code: 'auth-failed', text: '' };
            fake.reply = ({ id }) => setTimeout(() => fake.last.get({ ...refusal, id }));
            socket.get({ type: 'RECONNECT', within: 10 });
            await until(() => fake.last !== socket && fake.last.closedWith);
            const pong = await gateway.request({ type: 'PING' });
            return [[call.state, gateway.open, socket.closedWith], [pong.for, socket.of('PING').length]];""")
        self.assertEqual(kept, ["InCall", True, None])
        self.assertEqual(pong, ["PING", 1])

    async def test_token_before_credentials(self) -> None:
        """A lost connection is made again by the token; where that is no longer good, by the credentials."""
        words = await self.run_js("""
            const { gateway, socket, until } = await lab({ reconnect: true }, { resume: 'first', grace: 5 });
            const fake = socket.constructor;
            const words = [];
            fake.reply = (message) => {
              const { type, id, resume, user } = message;
              if (type === 'LOGIN') words.push(resume ?? user);
              const refused = { type: 'ERROR', id, code: 'auth-failed', text: '' };
              if (resume) setTimeout(() => fake.last.get(refused));
              else politely(() => fake.last)(message);
            };
            let back = false;
            gateway.addEventListener('back', () => { back = true; });
            socket.drop(1006);
            await until(() => back);
            return words;""")
        self.assertEqual(words, ["first", "a"])

    async def test_ringing_out_when_the_connection_goes(self) -> None:
        """A call that rings at the other side outlives the connection, and is answered over the next one."""
        states = await self.run_js("""
            const welcome = { resume: 'first', grace: 5, capabilities: ['resume'] };
            const { gateway, socket, until } = await lab({ reconnect: true }, welcome);
            const call = gateway.call('sip:x@y');
            const states = [];
            call.addEventListener('state', ({ detail }) => states.push(detail.state));
            await until(() => socket.of('OFFER').length);
            socket.get({ type: 'WAITING', id: socket.of('OFFER')[0].id, session: 's1', to: 'x' });
            await until(() => call.session);
            const fake = socket.constructor;
            fake.reply = (message) => politely(() => fake.last, welcome)(message);
            socket.drop(1006);
            await until(() => fake.last !== socket && fake.last.of('OFFER').length);
            const [next, far] = [fake.last, makeFar()];
            const [{ id, sdp }] = next.of('OFFER');
            next.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            next.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => call.state === 'InCall' && call.peer.connectionState === 'connected');
            return [...states, sdp !== socket.of('OFFER')[0].sdp];""")
        self.assertEqual(states, ["Reloading", "Calling", "InCall", True])
