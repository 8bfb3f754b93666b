"""rtcgw.js and who is in a call: conferences, participants, other media behind it, callers and callees by name."""

from __future__ import annotations

from tests.live.harness import TWO, JsCase
from tests.live.requirements import need


@need("chromium")
class TogetherTests(JsCase):
    async def test_merge(self) -> None:
        """Two calls become one, which is taken off hold; refused, both are as they were."""
        refused, asked, merged = await self.run_js(
            TWO
            + """
            const { gateway, socket, first, second, until } = await two();
            const polite = socket.reply;
            socket.reply = ({ id }) => setTimeout(() => socket.get({ type: 'ERROR', id, code: 'limit', text: '' }));
            const refused = await gateway.merge([first, second]).catch(({ code }) => code);
            const after = [first.state, second.state, first.holding, first.conference];
            socket.reply = (message) => message.type === 'MERGE'
              ? setTimeout(() => socket.get({ type: 'OK', for: 'MERGE', id: message.id, session: 's1' }))
              : polite(message);
            const call = await gateway.merge([first, second]);
            socket.get({ type: 'HANGUP', session: 's2', reason: 'merged' });
            await until(() => !first.holding);
            const { sessions } = socket.of('MERGE')[1];
            return [[refused, ...after], sessions, [call === first, call.conference, gateway.calls.length]];"""
        )
        self.assertEqual(refused, ["limit", "InCall", "InCall", True, False])
        self.assertEqual(asked, ["s1", "s2"])
        self.assertEqual(merged, [True, True, 1])

    async def test_participants(self) -> None:
        """The newest list counts; older ones, doubled ones and strange ones change nothing."""
        versions, last = await self.run_js("""
            const laboratory = await lab();
            const { socket } = laboratory;
            const call = await talk(laboratory, makeFar());
            const versions = [];
            call.addEventListener('participants', ({ detail }) => versions.push(detail.version));
            const party = { uri: 'sip:c@d', name: 'Carol' };
            const news = { type: 'PARTICIPANTS', session: 's1' };
            const tell = (version, participants) => socket.get({ ...news, version, participants });
            tell(2, [{ party, part: 'talking' }]);
            tell(1, []);
            tell(2, []);
            tell('3', [{ party, part: 'held' }]);
            tell('x', []);
            tell(undefined, []);
            tell(4, [{ party, part: 'away', video: true }, 7, null]);
            return [versions, call.participants];""")
        self.assertEqual(versions, [2, 3, 4])
        self.assertEqual(last[0], {"uri": "sip:c@d", "name": "Carol", "part": "away", "video": True})
        self.assertEqual(len(last), 3)

    async def test_other_media(self) -> None:
        """Other media behind the call: a second peer connection answers, is heard, and then the first one goes."""
        peers, before, heard, tracks, versions = await self.run_js("""
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const [far, other] = [makeFar(), makeFar()];
            const call = await talk(laboratory, far);
            const old = call.peer;
            const [track] = call.remoteStream.getAudioTracks();
            const versions = [];
            call.addEventListener('participants', ({ detail }) => versions.push(detail.version));
            const tell = (version) => socket.get({ type: 'PARTICIPANTS', session: 's1', version, participants: [] });
            tell(9);
            socket.get({ type: 'OFFER', session: 's1', sdp: await other.offer(), sdpType: 'offer', fresh: true });
            await until(() => socket.of('ANSWER').length === 2);
            const before = [old.connectionState, call.remoteStream.getAudioTracks()[0] === track];
            await other.take(socket.of('ANSWER')[1].sdp);
            await until(() => old.connectionState === 'closed');
            tell(1);
            await until(() => 0);
            const tracks = call.remoteStream.getAudioTracks();
            const peers = [call.peer !== old, call.peer.connectionState, call.state];
            return [peers, before, await other.arrived(), [tracks.length, tracks[0] !== track], versions];""")
        self.assertEqual(peers, [True, "connected", "InCall"])
        self.assertEqual(before, ["connected", True])
        self.assertGreater(heard, 20)
        self.assertEqual(tracks, [1, True])
        self.assertEqual(versions, [9, 1])

    async def test_other_media_that_cannot_be_had(self) -> None:
        """What cannot be applied is declined; what the gateway withdraws is forgotten; the first media go on."""
        declined, same, state = await self.run_js("""
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const [far, other] = [makeFar(), makeFar()];
            const call = await talk(laboratory, far);
            const old = call.peer;
            const offer = (sdp) => socket.get({ type: 'OFFER', session: 's1', sdp, sdpType: 'offer', fresh: true });
            offer('v=0 nonsense');
            await until(() => socket.of('DECLINE').length);
            const polite = socket.reply;
            socket.reply = (message) => message.type === 'ANSWER'
              ? setTimeout(() => socket.get({ type: 'ERROR', id: message.id, code: 'withdrawn' })) : polite(message);
            offer(await other.offer());
            await until(() => socket.of('ANSWER').length === 2);
            const before = await far.arrived();
            await until(() => 0);
            const goesOn = (await far.arrived()) - before > 20;
            return [socket.of('DECLINE').map(({ reason }) => reason), call.peer === old, [call.state, goesOn]];""")
        self.assertEqual(declined, ["media-incompatible"])
        self.assertTrue(same)
        self.assertEqual(state, ["InCall", True])


@need("chromium")
class WhoTests(JsCase):
    async def test_who_calls(self) -> None:
        """For whom a call was meant, who has sent it on, and callers who hide, are the page's to show."""
        shown = await self.run_js("""
            const { socket, events } = await lab({ warm: false });
            socket.reply = politely(() => socket);
            const offer = { type: 'OFFER', to: 'a', sdp: 'v=0', sdpType: 'offer' };
            const from = { uri: 'sip:anonymous@anonymous.invalid' };
            const history = [{ uri: 'sip:reception@y', name: 'Reception' }, 5];
            const headers = { 'X-Account': '7' };
            socket.get({ ...offer, session: 's1', from, history, referredBy: 'sip:boss@y', headers });
            socket.get({ ...offer, session: 's2', from: 'strange', history: 'no', referredBy: 5, headers: 'no' });
            return events.map(([, { call }]) =>
              [call.anonymous, call.history.map(({ name }) => name), call.referredBy, call.headers]);""")
        self.assertEqual(shown[0], [True, ["Reception", ""], "sip:boss@y", {"X-Account": "7"}])
        self.assertEqual(shown[1], [True, [], "", {}])

    async def test_placing_with_more(self) -> None:
        """A caller may hide, and send headers; how far the call is, and with whom one talks in the end, is told."""
        offer, stages, remote = await self.run_js("""
            const { gateway, socket, until } = await lab();
            socket.reply = politely(() => socket);
            const call = gateway.call('sip:x@y', { anonymous: true, headers: { 'X-Account': '7' } });
            const stages = [];
            call.addEventListener('stage', ({ detail }) => stages.push(detail.stage));
            await until(() => socket.of('OFFER').length);
            const [{ id, anonymous, headers }] = socket.of('OFFER');
            socket.get({ type: 'WAITING', id, session: 's1', to: 'x' });
            await until(() => call.session);
            const stage = (stage) => socket.get({ type: 'PROGRESS', session: 's1', stage });
            for (const word of ['queued', 'sideways', 5, 'forwarded']) stage(word);
            socket.get({ type: 'PARTY', session: 's1', remote: { uri: 'sip:new@y', name: 'Nadia' } });
            await until(() => stages.length === 2);
            return [[anonymous, headers], [...stages, call.stage, call.ringback], call.remote];""")
        self.assertEqual(offer, [True, {"X-Account": "7"}])
        self.assertEqual(stages, ["queued", "forwarded", "forwarded", "none"])
        self.assertEqual(remote, {"uri": "sip:new@y", "name": "Nadia"})

    async def test_rings_on_another_connection(self) -> None:
        """A call that rings here rings anew after a planned change of connection: one call, taken by the new offer."""
        calls, early, answered = await self.run_js("""
            const { gateway, socket, events, until } = await lab();
            socket.reply = politely(() => socket);
            const [first, second] = [makeFar(), makeFar()];
            const offer = { type: 'OFFER', session: 's1', from: { uri: 'sip:c@d' }, to: 'a', sdpType: 'offer' };
            socket.get({ ...offer, sdp: await first.offer() });
            await until(() => socket.of('PRANSWER').length);
            socket.get({ ...offer, sdp: await second.offer() });
            await until(() => socket.of('PRANSWER').length === 2);
            const [{ call }] = events.map(([, detail]) => detail);
            await second.take(socket.of('PRANSWER')[1].sdp);
            await call.answer();
            await until(() => call.peer.connectionState === 'connected');
            return [events.length, socket.of('RINGING').length, [call.state, gateway.calls.length]];""")
        self.assertEqual((calls, early), (1, 2))
        self.assertEqual(answered, ["InCall", 1])
