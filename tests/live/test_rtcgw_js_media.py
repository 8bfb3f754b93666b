"""rtcgw.js and what a call hears: descriptions, changes, and the way back of lost sound.

The other side is a second peer connection in the same page, so that sound really flows.
"""

from __future__ import annotations

from tests.live.harness import JsCase
from tests.live.requirements import need

INCOMING = """
    const far = makeFar();
    let asked = 0;
    const open = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = (wanted) => { asked++; return open(wanted); };
    const incoming = async ({ socket, events, until }, more = {}) => {
      const from = { uri: 'sip:c@d' };
      socket.get({ type: 'OFFER', session: 's1', from, to: 'a', sdp: await far.offer(), sdpType: 'offer', ...more });
      await until(() => events.length);
      return events[0][1].call;
    };
"""
"""JavaScript: `incoming(lab)` is a call that comes in, `asked` counts who wanted the microphone."""


@need("chromium")
class EarlyTests(JsCase):
    async def test_connected_while_it_rings(self) -> None:
        """An early answer connects the sound before anybody has picked up; said again, it changes nothing."""
        before, applied, after, heard = await self.run_js("""
            const lab1 = await lab({}, { capabilities: ['ringback'] });
            const { gateway, socket, until } = lab1;
            const far = makeFar();
            socket.reply = politely(() => socket);
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            const [{ id, sdp }] = socket.of('OFFER');
            socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            await until(() => call.session);
            let applied = 0;
            call.peer.addEventListener('signalingstatechange', () => applied++);
            const early = { type: 'PROGRESS', session: 's1', sdp: await far.answer(sdp), sdpType: 'pranswer' };
            socket.get(early);
            socket.get(early);
            await until(() => call.peer.connectionState === 'connected');
            const before = [call.state, call.ringback, call.peer.signalingState];
            socket.get({ type: 'OK', for: 'OFFER', session: 's1' });
            await until(() => call.state === 'InCall');
            await until(() => 0);
            const after = [call.state, call.peer.signalingState, call.peer.connectionState];
            return [before, applied, after, await far.arrived()];
        """)
        self.assertEqual(before, ["Calling", "none", "have-remote-pranswer"])
        self.assertEqual(applied, 2)  # once as the early answer, once as the answer
        self.assertEqual(after, ["InCall", "stable", "connected"])
        self.assertGreater(heard, 20)

    async def test_another_description_at_the_answer(self) -> None:
        """What the answer says in the end counts, also after other early answers."""
        codecs = await self.run_js("""
            const { gateway, socket, until } = await lab();
            const far = makeFar();
            socket.reply = politely(() => socket);
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            const [{ id, sdp }] = socket.of('OFFER');
            socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            const first = await far.answer(sdp);
            const only = (format) => first.replace(/(m=audio \\d+ \\S+) .*/, `$1 ${format}`)
              .replace(/a=(rtpmap|fmtp|rtcp-fb):(?![08] ).*\\r\\n/g, '');
            socket.get({ type: 'PROGRESS', session: 's1', sdp: only(8), sdpType: 'pranswer' });
            socket.get({ type: 'PROGRESS', session: 's1', sdp: only(0), sdpType: 'pranswer' });
            await until(() => call.peer?.remoteDescription?.sdp.includes('SAVPF 0'));
            const early = call.peer.remoteDescription.type;
            socket.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: only(8), sdpType: 'answer' });
            await until(() => call.state === 'InCall');
            const last = call.peer.remoteDescription;
            return [early, last.type, /m=audio .*/.exec(last.sdp)[0].slice(-3)];
        """)
        self.assertEqual(codecs, ["pranswer", "answer", "F 8"])

    async def test_browser_without_early_answers(self) -> None:
        """A browser without provisional answers connects early too; another answer then takes an offer of ours."""
        state, offers = await self.run_js("""
            const original = RTCPeerConnection.prototype.setRemoteDescription;
            RTCPeerConnection.prototype.setRemoteDescription = function (description) {
              return description.type === 'pranswer'
                ? Promise.reject(new DOMException('no', 'NotSupportedError')) : original.call(this, description);
            };
            const { gateway, socket, until } = await lab();
            const far = makeFar();
            socket.reply = politely(() => socket);
            const call = gateway.call('sip:x@y');
            await until(() => socket.of('OFFER').length);
            const [{ id, sdp }] = socket.of('OFFER');
            socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            const first = await far.answer(sdp);
            socket.get({ type: 'PROGRESS', session: 's1', sdp: first, sdpType: 'pranswer' });
            await until(() => call.peer?.connectionState === 'connected');
            const state = call.state;
            const other = first.replace(/(m=audio \\d+ \\S+) .*/, '$1 0');
            socket.get({ type: 'OK', for: 'OFFER', session: 's1', sdp: other, sdpType: 'answer' });
            await until(() => socket.of('OFFER').length === 2);
            return [state, socket.of('OFFER').map((message) => message.session ?? '')];
        """)
        self.assertEqual((state, offers), ("Calling", ["", "s1"]))

    async def test_who_makes_the_tone(self) -> None:
        """The gateway's word decides who is heard; where it has none, ringing without sound of the network is ours."""
        told, guessed = await self.run_js("""
            const sounds = async (capabilities, messages) => {
              const { gateway, socket, until } = await lab({}, { capabilities });
              const far = makeFar();
              socket.reply = politely(() => socket);
              const call = gateway.call('sip:x@y');
              const heard = [];
              for (const type of ['ringback', 'ringing', 'progress']) {
                call.addEventListener(type, (event) => heard.push(event.detail?.sound ?? type));
              }
              await until(() => socket.of('OFFER').length);
              const [{ id, sdp }] = socket.of('OFFER');
              socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
              const early = await far.answer(sdp);
              for (const message of messages) {
                const withSdp = message.type === 'PROGRESS' ? { sdp: early, sdpType: 'pranswer' } : {};
                socket.get({ session: 's1', ...message, ...withSdp });
              }
              await until(() => heard.length > 2);
              call.hangup();
              return heard;
            };
            const [early, rings] = [{ type: 'PROGRESS' }, { type: 'RINGING' }];
            const sound = (sound) => ({ type: 'RINGBACK', sound });
            return [
              await sounds(['ringback'], [early, rings, sound('local'), sound('sideways'), sound('network')]),
              await sounds([], [rings, early]),
            ];""")
        self.assertEqual(told, ["ringing", "local", "progress", "network"])
        self.assertEqual(guessed, ["ringing", "local", "progress", "network"])


@need("chromium")
class CalledTests(JsCase):
    async def test_warm(self) -> None:
        """While it rings all is connected but the microphone, and nobody is heard; the answer needs no words."""
        ringing, answered, heard = await self.run_js(
            INCOMING
            + """
            const audio = new Audio();
            const laboratory = await lab({ audio });
            const { socket, until } = laboratory;
            socket.reply = politely(() => socket);
            const call = await incoming(laboratory);
            await until(() => socket.of('PRANSWER').length);
            await far.take(socket.of('PRANSWER')[0].sdp);
            await until(() => call.peer.connectionState === 'connected');
            const ringing = [call.state, asked, audio.srcObject, await far.arrived()];
            await call.answer();
            const answered = [call.state, asked, socket.of('ANSWER')[0].sdp ?? null, audio.srcObject !== null];
            await until(() => 0);
            return [ringing, answered, await far.arrived()];"""
        )
        self.assertEqual(ringing, ["Calling", 0, None, 0])
        self.assertEqual(answered, ["InCall", 1, None, True])
        self.assertGreater(heard, 20)

    async def test_cold(self) -> None:
        """Switched off, or refused by the gateway, the answer carries the description."""
        for options, early in (("{ warm: false }", 0), ("{}", 1)):
            sent, sdp = await self.run_js(
                INCOMING
                + f"""
                const laboratory = await lab({options});
                const {{ socket, until }} = laboratory;
                socket.reply = (message) => {{
                  const {{ type, id }} = message;
                  const refused = {{ type: 'ERROR', code: 'illegal-state', id }};
                  setTimeout(() => socket.get(type === 'PRANSWER' ? refused : {{ type: 'OK', for: type, id }}));
                }};
                const call = await incoming(laboratory);
                await new Promise((resolve) => setTimeout(resolve, 200));
                const sent = socket.of('PRANSWER').length;
                await call.answer();
                return [sent, socket.of('ANSWER')[0].sdp];"""
            )
            self.assertEqual(sent, early)
            self.assertIn("a=setup:active", sdp)

    async def test_another_page_rings(self) -> None:
        """Where the gateway says that other pages ring as well, the media are set up when the user answers."""
        first, second = await self.run_js(
            INCOMING
            + """
            const laboratory = await lab();
            const { socket, until } = laboratory;
            socket.reply = politely(() => socket);
            const call = await incoming(laboratory, { warm: false });
            await until(() => socket.of('RINGING').length);
            await new Promise((resolve) => setTimeout(resolve, 200));
            const early = [socket.of('PRANSWER').length, call.peer];
            await call.answer();
            return [early, [call.state, socket.of('ANSWER')[0].sdp !== undefined]];"""
        )
        self.assertEqual((first, second), ([0, None], ["InCall", True]))

    async def test_declined(self) -> None:
        """A call that is declined, or given up, leaves no connection open and never had the microphone."""
        closed = await self.run_js(
            INCOMING
            + """
            const laboratory = await lab();
            const { socket, until } = laboratory;
            socket.reply = politely(() => socket);
            const call = await incoming(laboratory);
            await until(() => socket.of('PRANSWER').length);
            const { peer } = call;
            call.hangup();
            return [peer.connectionState, asked, socket.of('HANGUP')[0].reason, laboratory.gateway.calls.length];"""
        )
        self.assertEqual(closed, ["closed", 0, "declined", 0])


@need("chromium")
class ChangeTests(JsCase):
    async def test_offer_within_the_call(self) -> None:
        """What the other side changes is answered; what cannot be applied is declined, and the talk goes on."""
        answer, declined, state = await self.run_js("""
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            socket.get({ type: 'OFFER', session: 's1', sdp: await far.offer(), sdpType: 'offer' });
            await until(() => socket.of('ANSWER').length === 2);
            const { sdp } = socket.of('ANSWER')[1];
            await far.take(sdp);
            socket.get({ type: 'OFFER', session: 's1', sdp: 'v=0 nonsense', sdpType: 'offer' });
            await until(() => socket.of('DECLINE').length);
            return [sdp, socket.of('DECLINE')[0].reason, [call.state, call.peer.signalingState]];""")
        self.assertIn("m=audio", answer)
        self.assertEqual(declined, "media-incompatible")
        self.assertEqual(state, ["InCall", "stable"])

    async def test_too_late(self) -> None:
        """An answer that came too late is set right by an offer of ours."""
        offers = await self.run_js("""
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const far = makeFar();
            await talk(laboratory, far);
            const polite = socket.reply;
            socket.reply = (message) => message.type === 'ANSWER'
              ? setTimeout(() => socket.get({ type: 'ERROR', code: 'withdrawn', id: message.id, session: 's1' }))
              : polite(message);
            socket.get({ type: 'OFFER', session: 's1', sdp: await far.offer(), sdpType: 'offer' });
            await until(() => socket.of('OFFER').length === 2);
            return socket.of('OFFER').map((message) => message.session ?? '');""")
        self.assertEqual(offers, ["", "s1"])

    async def test_glare(self) -> None:
        """Both offer at once: ours is rolled back, theirs answered, ours made anew, and the sound goes on."""
        order, ufrags, state, heard = await self.run_js("""
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const far = makeFar();
            const call = await talk(laboratory, far);
            const ufrag = () => /a=ice-ufrag:(\\S+)/.exec(call.peer.localDescription.sdp)[1];
            const ufrags = [ufrag()];
            const restarted = call.restart();
            await until(() => socket.of('OFFER').length === 2);
            socket.get({ type: 'OFFER', session: 's1', sdp: await far.offer(), sdpType: 'offer' });
            socket.get({ type: 'ERROR', id: socket.of('OFFER')[1].id, session: 's1', code: 'conflict', text: '' });
            await until(() => socket.of('ANSWER').length === 2);
            await far.take(socket.of('ANSWER')[1].sdp);
            await until(() => socket.of('OFFER').length === 3);
            const { id, sdp } = socket.of('OFFER')[2];
            socket.get({ type: 'OK', for: 'OFFER', id, session: 's1', sdp: await far.answer(sdp), sdpType: 'answer' });
            await restarted;
            ufrags.push(ufrag());
            const before = await far.arrived();
            await until(() => 0);
            const order = socket.sent.filter(({ type }) => /OFFER|ANSWER/.test(type)).map(({ type }) => type);
            return [order, ufrags, call.state, (await far.arrived()) - before];""")
        self.assertEqual(order, ["OFFER", "ANSWER", "OFFER", "ANSWER", "OFFER"])
        self.assertNotEqual(ufrags[0], ufrags[1])
        self.assertEqual(state, "InCall")
        self.assertGreater(heard, 20)

    async def test_keys_without_telephone_event(self) -> None:
        """Keys go as RFC 4733 where the other side takes that, else as a message; theirs are told to the page."""
        inband, by_message, told = await self.run_js("""
            const press = async (answer) => {
              const laboratory = await lab({}, { capabilities: ['dtmf'] });
              const { socket, until } = laboratory;
              const far = makeFar();
              const plain = far.answer;
              far.answer = async (sdp) => answer(await plain(sdp));
              const call = await talk(laboratory, far);
              const told = [];
              call.addEventListener('tones', (event) => told.push(event.detail.tones));
              const sent = call.sendDtmf('12#');
              await until(() => socket.of('DTMF').length);
              socket.get({ type: 'DTMF', session: 's1', tones: '7' });
              call.hangup();
              return [sent, socket.of('DTMF').map(({ tones }) => tones), told];
            };
            const without = (sdp) => sdp.replace(/a=rtpmap:\\d+ telephone-event.*\\r\\n/g, '');
            const [inband, other] = [await press((sdp) => sdp), await press(without)];
            return [inband.slice(0, 2), other.slice(0, 2), other[2]];""")
        self.assertEqual(inband, [True, []])
        self.assertEqual(by_message, [True, ["12#"]])
        self.assertEqual(told, ["7"])
