"""rtcgw.js by itself, inside a browser, against a socket made of a few lines of JavaScript.

What the page never provokes: replies that do not come, messages that are none, races.
"""

from __future__ import annotations

from tests.live.harness import JsCase
from tests.live.requirements import need


@need("chromium")
class RtcgwJsTests(JsCase):
    async def test_login_message(self) -> None:
        """LOGIN carries version, capabilities and client; the subprotocol is asked for."""
        protocols, login = await self.run_js(
            "const { socket } = await lab(); return [socket.protocols, socket.of('LOGIN')[0]];"
        )
        self.assertEqual(protocols, ["rtcgw.1"])
        self.assertEqual(login["version"], "1.0")
        words = ["progress", "trickle", "resume", "ringback", "dtmf", "participants", "calls"]
        self.assertEqual(login["capabilities"], words)
        self.assertTrue(login["client"].startswith("rtcgw.js/"))

    async def test_replies_find_their_requests(self) -> None:
        """Replies are matched by id, in whatever order they come; an ERROR rejects its own request only."""
        answers = await self.run_js("""
            const { gateway, socket } = await lab();
            const one = gateway.request({ type: 'PING' });
            const two = gateway.request({ type: 'PING' });
            const three = gateway.request({ type: 'PING' }).catch((error) => [error.code, error.message]);
            const [a, b, c] = socket.of('PING').map((message) => message.id);
            socket.get({ type: 'ERROR', id: c, code: 'flood', text: 'Too fast.' });
            socket.get({ type: 'OK', for: 'PING', id: b, mark: 'b' });
            socket.get({ type: 'OK', for: 'PING', id: a, mark: 'a' });
            return [(await one).mark, (await two).mark, await three];""")
        self.assertEqual(answers, ["a", "b", ["flood", "Too fast."]])

    async def test_no_reply(self) -> None:
        """A request without a reply fails after its time, and a reply that comes later disturbs nobody."""
        code, events = await self.run_js("""
            const { gateway, socket, events } = await lab();
            const code = await gateway.request({ type: 'PING' }).catch((error) => error.code);
            socket.get({ type: 'OK', for: 'PING', id: socket.of('PING')[0].id });
            return [code, events.map(([type]) => type)];""")
        self.assertEqual((code, events), ("no-reply", ["unknown"]))

    async def test_silence_closes(self) -> None:
        """A gateway that answers no PING is taken as gone."""
        closed, events = await self.run_js("""
            const { socket, events, until } = await lab({}, { ping: 0.05 });
            await until(() => socket.closedWith);
            return [socket.closedWith[0], events.map(([type]) => type)];""")
        self.assertEqual((closed, events), (4000, ["closed"]))

    async def test_strange_messages(self) -> None:
        """What is no JSON, no object, of an unknown type or session is passed over; the next message works."""
        events, pong = await self.run_js("""
            const { gateway, socket, events } = await lab();
            for (const text of ['', '{', '[]', 'null', '5', '"x"', '{}', '{"type":5}']) socket.get(text);
            socket.onmessage({ data: new ArrayBuffer(4) });
            socket.get({ type: 'NEWS', session: 'x' });
            socket.get({ type: 'HANGUP', session: 'never-seen', reason: 'busy' });
            socket.get({ type: 'ERROR', code: 'flood', text: 'Slowly.' });
            const pong = gateway.request({ type: 'PING' });
            socket.get({ type: 'OK', for: 'PING', id: socket.of('PING')[0].id });
            return [events.map(([type]) => type), (await pong).type];""")
        self.assertEqual((events, pong), (["unknown", "unknown", "error"], "OK"))

    async def test_hangup_before_the_call_has_a_name(self) -> None:
        """Hung up before WAITING came, the call is cancelled as soon as it can be named."""
        ended, hangups, calls = await self.run_js("""
            const { gateway, socket, until } = await lab();
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            call.hangup();
            socket.get({ type: 'WAITING', id: socket.of('OFFER')[0].id, session: 's1', to: 'sip:x@y' });
            await until(() => socket.of('HANGUP').length);
            const calls = gateway.calls.length;
            return [call.ended.reason, socket.of('HANGUP').map((m) => [m.session, m.reason]), calls];""")
        self.assertEqual((ended, hangups, calls), ("cancelled", [["s1", "cancelled"]], 0))

    async def test_hangup_before_the_microphone(self) -> None:
        """Hung up while the browser still asks for the microphone: nothing is sent, the microphone is let go."""
        sent, live = await self.run_js("""
            const { gateway, socket, until } = await lab();
            const open = navigator.mediaDevices.getUserMedia;
            let asked, given;
            navigator.mediaDevices.getUserMedia = async (wanted) => {
              asked = true;
              await new Promise((resolve) => setTimeout(resolve, 100));
              return (given = await open(wanted));
            };
            const call = gateway.call('sip:x@y');
            await until(() => asked);
            call.hangup();
            await until(() => given?.getTracks().every((track) => track.readyState === 'ended'));
            return [socket.of('OFFER').length, given.getTracks().filter((t) => t.readyState === 'live').length];""")
        self.assertEqual((sent, live), (0, 0))

    async def test_description_that_cannot_be_applied(self) -> None:
        """An answer that the browser refuses ends the call as failed media, and the gateway is told."""
        ended, told = await self.run_js("""
            const { gateway, socket, until } = await lab();
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            socket.get({ type: 'WAITING', id: socket.of('OFFER')[0].id, session: 's1', to: 'x' });
            await until(() => call.session);
            socket.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: 'v=0 nonsense', sdpType: 'answer' });
            await until(() => call.ended);
            return [call.ended.reason, socket.of('HANGUP').map((m) => m.reason)];""")
        self.assertEqual((ended, told), ("media-failed", ["media-failed"]))

    async def test_offer_without_description(self) -> None:
        """An incoming call that offers no sound is refused without bothering the user."""
        reasons, events = await self.run_js("""
            const { socket, events } = await lab();
            socket.get({ type: 'OFFER', session: 's1', from: { uri: 'sip:c@d' }, to: 'a' });
            return [socket.of('HANGUP').map((m) => m.reason), events];""")
        self.assertEqual((reasons, events), (["media-incompatible"], []))

    async def test_connection_lost(self) -> None:
        """With the connection, waiting requests and calls that nobody has answered end; it can be made again."""
        answers = await self.run_js("""
            const { gateway, socket, events, until } = await lab();
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            const ping = gateway.request({ type: 'PING' }).catch((error) => error.code);
            socket.drop(1006);
            const late = await gateway.request({ type: 'PING' }).catch((error) => error.code);
            await gateway.connect();
            return [call.ended.reason, await ping, late, events.map(([type]) => type), gateway.open];""")
        self.assertEqual(answers, ["connection-lost", "connection-lost", "closed", ["closed"], True])

    async def test_hung_up_while_away(self) -> None:
        """A call that the user gave up while there was no connection is ended at the next log-in, others are not."""
        hangups = await self.run_js("""
            const { gateway, socket, until } = await lab();
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            socket.get({ type: 'WAITING', id: socket.of('OFFER')[0].id, session: 'mine', to: 'x' });
            await until(() => call.session);
            socket.drop(1006);
            await gateway.connect();
            const next = socket.constructor.last;
            const login = gateway.login({ user: 'a', password: 'a' });
            const calls = [{ session: 'other' }, { session: 'mine' }];
            next.get({ type: 'OK', for: 'LOGIN', id: next.of('LOGIN')[0].id, calls });
            await login;
            return next.of('HANGUP').map((message) => message.session);""")
        self.assertEqual(hangups, ["mine"])

    async def test_sentences(self) -> None:
        """Every reason of the gateway has a sentence of the page's own; a new word shows the gateway's."""
        known, fallback, unknown = await self.run_js("""
            const { sentence } = await lab();
            return [sentence('busy', 'Busy Here'), sentence('brand-new', 'What it said.'), sentence('constructor')];""")
        self.assertEqual(known, "The number is busy.")
        self.assertEqual(fallback, "What it said.")
        self.assertEqual(unknown, "The call failed (constructor).")
