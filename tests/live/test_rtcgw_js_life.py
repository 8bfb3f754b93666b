"""rtcgw.js and calls that have been answered: on hold, beside others, handed on."""

from __future__ import annotations

from tests.live.harness import TWO, JsCase
from tests.live.requirements import need


@need("chromium")
class HoldTests(JsCase):
    async def test_hold_and_resume(self) -> None:
        """Silent at once, before the gateway has said a word; heard again when it has."""
        at_once, after, back, asked = await self.run_js(
            TWO
            + """
            const audio = new Audio();
            const laboratory = await lab({ audio });
            const { socket, until } = laboratory;
            const call = await talk(laboratory, makeFar());
            const told = [];
            call.addEventListener('holding', ({ detail }) => told.push(detail.holding));
            const held = call.hold();
            const twice = call.hold();
            const at = [call.holding, speaks(call), plays(call), audio.srcObject];
            await Promise.all([held, twice]);
            const after = [call.holding, call.state];
            await call.resume();
            const back = [call.holding, speaks(call), plays(call), audio.srcObject !== null, told];
            return [at, after, back, holds(socket)];"""
        )
        self.assertEqual(at_once, [True, False, False, None])
        self.assertEqual(after, [True, "InCall"])
        self.assertEqual(back, [False, True, True, True, [True, False]])
        self.assertEqual(asked, [["s1", True], ["s1", False]])

    async def test_refused(self) -> None:
        """Refused, it is as it was, and the page hears why; what met another change is asked again."""
        reason, state, asked = await self.run_js(
            TWO
            + """
            const laboratory = await lab();
            const { socket, until } = laboratory;
            const call = await talk(laboratory, makeFar());
            const answers = ['conflict', 'declined'];
            const polite = socket.reply;
            socket.reply = (message) => {
              const { type, id, session } = message;
              if (type !== 'HOLD') polite(message);
              else setTimeout(() => socket.get({ type: 'ERROR', id, session, code: answers.shift(), text: '' }));
            };
            const reason = await call.hold().catch(({ code }) => code);
            return [reason, [call.holding, speaks(call), plays(call)], holds(socket).length];"""
        )
        self.assertEqual((reason, state, asked), ("declined", [False, True, True], 2))

    async def test_muted_and_held(self) -> None:
        """Taking a call back does not unmute it, and muting does not take it back."""
        states = await self.run_js(
            TWO
            + """
            const laboratory = await lab();
            const call = await talk(laboratory, makeFar());
            call.mute(true);
            await call.hold();
            await call.resume();
            const muted = speaks(call);
            await call.hold();
            call.mute(false);
            const held = speaks(call);
            await call.resume();
            return [muted, held, speaks(call)];"""
        )
        self.assertEqual(states, [False, False, True])

    async def test_held_by_the_other_side(self) -> None:
        """News of the other side's hold are told once each, whatever they look like."""
        told, held = await self.run_js("""
            const laboratory = await lab();
            const { socket } = laboratory;
            const call = await talk(laboratory, makeFar());
            const told = [];
            call.addEventListener('held', ({ detail }) => told.push(detail.held));
            for (const on of [true, true, 'yes', null, true]) socket.get({ type: 'HOLD', session: 's1', on });
            return [told, call.held];""")
        self.assertEqual((told, held), ([True, False, True], True))

    async def test_one_speaks_at_a_time(self) -> None:
        """Another call puts the first one on hold; taking that back does so with the other; by option both speak."""
        first, swapped, asked, both = await self.run_js(
            TWO
            + """
            const { socket, first, second, audio } = await two();
            const before = [first.holding, speaks(first), speaks(second), audio.srcObject === second.remoteStream];
            await first.resume();
            const swapped = [second.holding, speaks(first), speaks(second), audio.srcObject === first.remoteStream];
            const asked = holds(socket);
            const free = await two({ oneActive: false });
            return [before, swapped, asked, [free.first.holding, speaks(free.first), holds(free.socket)]];"""
        )
        self.assertEqual(first, [True, False, True, True])
        self.assertEqual(swapped, [True, True, False, True])
        self.assertEqual(asked, [["s1", True], ["s2", True], ["s1", False]])
        self.assertEqual(both, [False, True, []])

    async def test_silent_although_refused(self) -> None:
        """Where the other side will not be put on hold, the first call is silent all the same while another speaks."""
        silent, back, asked = await self.run_js(
            TWO
            + """
            const laboratory = await lab();
            const { gateway, socket, until } = laboratory;
            const first = await talk(laboratory, makeFar());
            const polite = socket.reply;
            socket.reply = (message) => {
              const { type, id, session } = message;
              if (type !== 'HOLD') polite(message);
              else setTimeout(() => socket.get({ type: 'ERROR', id, session, code: 'declined', text: '' }));
            };
            gateway.call('sip:z@y');
            await until(() => socket.of('HOLD').length);
            await until(() => 0);
            const silent = [first.holding, speaks(first), plays(first)];
            await first.resume();
            return [silent, [first.holding, speaks(first)], holds(socket)];"""
        )
        self.assertEqual(silent, [True, False, False])
        self.assertEqual(back, [False, True])
        self.assertEqual(asked, [["s1", True]])


@need("chromium")
class TransferTests(JsCase):
    async def test_comes_about(self) -> None:
        """To an address or to another call: the steps are told, and in the end the call ends by itself."""
        asked, stages, done = await self.run_js(
            TWO
            + """
            const { socket, first, second } = await two();
            const stages = [];
            first.addEventListener('transfer', ({ detail }) => stages.push(detail.stage));
            let done = 0;
            first.transfer('sip:new@y').then(() => done++);
            const busy = await first.transfer('sip:other@y').catch(({ code }) => code);
            for (const stage of ['trying', 'ringing', 'done']) socket.get({ type: 'TRANSFER', session: 's1', stage });
            socket.get({ type: 'HANGUP', session: 's1', reason: 'transferred' });
            socket.get({ type: 'TRANSFER', session: 's1', stage: 'failed' });
            const attended = second.transfer(first).then(() => done++);
            socket.get({ type: 'HANGUP', session: 's2', reason: 'transferred' });
            await attended;
            const words = ({ session, to = null, with: other = null }) => [session, to, other];
            const asked = socket.of('TRANSFER').map(words);
            return [asked, [...stages, busy], [done, first.ended.reason, second.ended.reason]];"""
        )
        self.assertEqual(asked, [["s1", "sip:new@y", None], ["s2", None, "s1"]])
        self.assertEqual(stages, ["trying", "ringing", "done", "transfer-busy"])
        self.assertEqual(done, [2, "transferred", "transferred"])

    async def test_fails(self) -> None:
        """Failed, refused, or lost with the connection: the reason is told, and the call is as it was."""
        failed, detail, refused, ended, lost = await self.run_js("""
            const laboratory = await lab({}, { grace: 5 });
            const { socket } = laboratory;
            const call = await talk(laboratory, makeFar());
            const told = [];
            call.addEventListener('transfer', ({ detail }) => told.push(detail));
            const start = (to) => call.transfer(to).then(() => 'done', ({ code, message }) => [code, message]);
            const first = start('sip:a@y');
            const news = { type: 'TRANSFER', session: 's1' };
            socket.get({ ...news, stage: 'failed', reason: 'busy', text: 'Busy Here', status: 486 });
            socket.get({ ...news, stage: 'done' });
            const failed = await first;
            const polite = socket.reply;
            const refusal = { type: 'ERROR', code: 'illegal-state', text: 'No.' };
            socket.reply = ({ id }) => setTimeout(() => socket.get({ ...refusal, id }));
            const refused = await start('sip:b@y');
            socket.reply = polite;
            const strange = start('sip:c@y');
            for (const stage of [5, null, 'sideways']) socket.get({ ...news, stage });
            const state = call.state;
            socket.drop(1006);
            return [failed, told[0], refused, state, await strange];""")
        self.assertEqual(failed, ["busy", "The number is busy."])
        self.assertEqual(detail, {"stage": "failed", "reason": "busy", "text": "The number is busy.", "status": 486})
        self.assertEqual(refused, ["illegal-state", "No."])
        self.assertEqual((ended, lost[0]), ("InCall", "connection-lost"))

    async def test_ended_instead(self) -> None:
        """The call ends for another reason while it is transferred: that is what the page hears."""
        code = await self.run_js("""
            const laboratory = await lab();
            const call = await talk(laboratory, makeFar());
            const transfer = call.transfer('sip:a@y').catch(({ code }) => code);
            laboratory.socket.get({ type: 'HANGUP', session: 's1', reason: 'media-lost' });
            return await transfer;""")
        self.assertEqual(code, "media-lost")
