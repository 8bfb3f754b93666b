"""rtcgw.js and a user's other pages: calls that are taken away and taken over, calls that nobody took."""

from __future__ import annotations

from tests.live.harness import JsCase
from tests.live.requirements import need


@need("chromium")
class OtherPagesTests(JsCase):
    async def test_moved_away(self) -> None:
        """Another page has taken the call: it ends here, once, and the gateway is told nothing."""
        reasons, hangups = await self.run_js("""
            const laboratory = await lab();
            const { socket } = laboratory;
            const call = await talk(laboratory, makeFar());
            const reasons = [];
            call.addEventListener('ended', ({ detail }) => reasons.push(detail.reason));
            for (let i = 0; i < 2; i++) socket.get({ type: 'ERROR', session: 's1', code: 'moved', text: '' });
            return [reasons, socket.of('HANGUP').length];""")
        self.assertEqual((reasons, hangups), (["moved"], 0))

    async def test_pull(self) -> None:
        """What is on another page is listed; taken over it is here, with its age and who holds whom."""
        others, offer, pulled = await self.run_js("""
            const { gateway, socket, until, RtcgwError } = await lab({}, { capabilities: ['calls'] });
            socket.reply = politely(() => socket);
            const told = [];
            gateway.addEventListener('others', ({ detail }) => told.push(detail.others.map(({ session }) => session)));
            const remote = { uri: 'sip:c@d', name: 'Carol' };
            const there = { session: 'there', role: 'callee', state: 'InCall', remote, answered: 30, held: true };
            socket.get({ type: 'CALLS', calls: [there, { session: 'mine', here: true }, { session: '' }, 7, null] });
            socket.get({ type: 'CALLS', calls: 'none' });
            socket.get({ type: 'CALLS', calls: [there] });
            const unknown = (() => { try { gateway.pull('nothing'); } catch (error) { return error.code; } })();
            const call = gateway.pull('there');
            const far = makeFar();
            await until(() => socket.of('OFFER').length);
            const [{ id, session, sdp }] = socket.of('OFFER');
            socket.get({ type: 'OK', for: 'OFFER', id, session, sdp: await far.answer(sdp), sdpType: 'answer' });
            await until(() => call.state === 'InCall');
            const age = Math.round((Date.now() - call.connectedAt) / 10000);
            return [told, [unknown, session], [call.remote.name, call.held, call.role, age, gateway.others.length]];""")
        self.assertEqual(others[:3], [["there"], [], ["there"]])
        self.assertEqual(others[-1], [])
        self.assertEqual(offer, ["no-session", "there"])
        self.assertEqual(pulled, ["Carol", True, "callee", 3, 0])

    async def test_pull_that_fails(self) -> None:
        """Without a microphone, or refused, the call stays where it is: it ends here and nowhere else."""
        microphone, refused, offers, hangups = await self.run_js("""
            const { gateway, socket, until } = await lab();
            socket.reply = politely(() => socket);
            const remote = { uri: 'sip:c@d' };
            const there = { session: 'there', role: 'callee', state: 'InCall', remote, answered: 3 };
            socket.get({ type: 'CALLS', calls: [there] });
            const open = navigator.mediaDevices.getUserMedia;
            navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
            const first = gateway.pull('there');
            await until(() => first.ended);
            navigator.mediaDevices.getUserMedia = open;
            const second = gateway.pull('there');
            await until(() => socket.of('OFFER').length);
            socket.get({ type: 'ERROR', id: socket.of('OFFER')[0].id, session: 'there', code: 'no-session', text: '' });
            await until(() => second.ended);
            return [first.ended.reason, second.ended.reason, socket.of('OFFER').length, socket.of('HANGUP').length];""")
        self.assertEqual((microphone, refused), ("microphone-denied", "no-session"))
        self.assertEqual((offers, hangups), (1, 0))

    async def test_missed(self) -> None:
        """Missed calls come with the log-in and as news; seen, the gateway is told."""
        at_login, told, seen = await self.run_js("""
            const entry = { session: 'm', from: { uri: 'tel:+1', name: 'Carol' }, at: 1e9, reason: 'no-answer' };
            const { gateway, socket } = await lab({}, { missed: [entry] });
            const at = gateway.missed.map(({ from, at, reason }) => [from.name, at.getTime(), reason]);
            const told = [];
            gateway.addEventListener('missed', ({ detail }) => told.push(detail.missed.length));
            for (const missed of [[entry, entry], [5, null, {}], 'none', []]) socket.get({ type: 'MISSED', missed });
            socket.reply = politely(() => socket);
            await gateway.seen();
            return [at, told, socket.of('SEEN').length];""")
        self.assertEqual(at_login, [["Carol", 1e12, "no-answer"]])
        self.assertEqual((told, seen), ([2, 3, 0, 0], 1))
