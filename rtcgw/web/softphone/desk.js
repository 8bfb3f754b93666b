/**
 * The calls of this page on its screen: which one is shown, what is said of it, which tone sounds.
 *
 * One call is shown, the others are lines beside it. Which of them speaks is `rtcgw.js`'s affair.
 */

import { CallView } from './callview.js';
import { showLines, showOthers, showParticipants } from './lines.js';
import { State, sentence } from './rtcgw.js';
import { showQuality } from './stage.js';
import { canDial, isAnonymous } from './wire.js';
import { aboutOf, lineOf, noteOf, partWords, stageWords, tidy, timeOf, transferWords } from './words.js';

/** @typedef {import('./rtcgw.js').Call} Call */

/** Seconds for which the end of a call stays on the screen. */
const FAREWELL = 4;
/** Recent calls shown. */
const RECENT = 8;
/** Seconds for which it stays on the screen what has happened in a call. */
const NEWS_SHOWN = 6;
/** Seconds that sound may take to connect without the relay server before the user hears of its trouble. */
const RELAY_PATIENCE = 2;
const PRESSED = 'The other side pressed ';
/** Ends of an incoming call that do not make it a missed one. */
const NOT_MISSED = new Set(['declined', 'answered-elsewhere', 'moved']);

export class Desk {
  #view;
  #tones;
  #panel;
  #gateway;
  /** @type {Set<Call>} those that have not ended */ #live = new Set();
  /** @type {Call | null} */ #shown = null;
  /** @type {WeakMap<Call, string>} what was said of each last */ #said = new WeakMap();
  /** @type {WeakMap<Call, string>} the same, where it is of interest for some seconds only */ #news = new WeakMap();
  /** @type {import('./view.js').Entry[]} */ #recent = [];
  /** @type {Map<string, string>} address -> name */ #names = new Map();
  /** the user dials another call beside those that are there */ #adding = false;
  /** the browser plays nothing before the page is touched */ #blocked = false;
  #farewell = 0;

  /**
   * @param {import('./view.js').View} view
   * @param {import('./tones.js').Tones} tones
   * @param {() => import('./rtcgw.js').Rtcgw | null} gateway null while logged out
   */
  constructor(view, tones, gateway) {
    this.#view = view;
    this.#tones = tones;
    this.#gateway = gateway;
    this.#panel = new CallView({
      answer: (video) => this.#answer(this.#shown, video),
      hangup: () => this.#shown?.hangup(),
      back: () => this.#settle(),
      again: () => this.dial(this.#shown?.remote.uri ?? ''),
      mute: () => this.#shown?.mute(!this.#shown.muted),
      video: () => this.#toggleVideo(),
      hold: () => this.#toggleHold(),
      add: () => this.#add(true),
      merge: () => this.#merge(),
      transfer: (address) => this.#transfer(tidy(address)),
      key: (key) => this.key(key),
    });
  }

  /** @param {{name: string, address: string}[]} contacts */
  open(contacts) {
    this.#names = new Map(contacts.map(({ name, address }) => [address, name]));
    this.refresh();
  }

  /** Logged out: nothing of the user's stays. */
  clear() {
    this.#live.clear();
    this.#recent = [];
    this.#adding = false;
    this.#view.showRecent([]);
    this.#view.showMissed([]);
    this.#shown = null;
    this.#settle();
  }

  // ---------------------------------------------------------------- what the user does

  /**
   * @param {string} text what was typed
   * @param {boolean} [video]
   */
  dial(text, video = false) {
    const [address, gateway] = [tidy(text), this.#gateway()];
    this.#tones.unlock();
    if (this.#panel.asking) {
      this.#panel.transferTo(address);
      return;
    }
    // One at a time is placed; a second one is meant only where the user has asked for it.
    if (!address || !gateway || (this.#live.size && !this.#adding)) return;
    this.#view.notice('');
    this.take(gateway.call(address, { video }));
  }

  /** @param {string} key of the keypad */
  key(key) {
    const call = this.#shown;
    this.#tones.unlock();
    if (!call || !this.#live.has(call) || this.#adding) {
      this.#tones.key(key);
    } else if (call.sendDtmf(key)) {
      this.#tones.key(key);
      this.#panel.showSent(key);
    } else if (call.state === State.IN_CALL) {
      const connected = call.peer?.connectionState === 'connected';
      this.#say(call, connected ? 'The other side takes no tones.' : 'The sound is not connected yet.');
    }
  }

  /** Back from dialling to the call. */
  toCall() {
    this.#add(false);
  }

  /** The page was touched: what the browser would not play before, it plays now. */
  touched() {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#view.notice('');
    for (const call of this.#live) if (!call.holding) call.play();
  }

  /** @param {boolean} adding whether another call is dialled beside those that are there */
  #add(adding) {
    this.#adding = adding;
    this.refresh();
  }

  /** @param {Call | null} call @param {boolean} [video] */
  #answer(call, video = false) {
    if (!call) return;
    this.#tones.unlock();
    this.#show(call);
    call.answer({ video });
    this.#say(call, 'Connecting…');
  }

  async #toggleVideo() {
    const call = this.#shown;
    if (call) await this.#try(call, () => (call.localVideo ? call.removeVideo() : call.addVideo()));
  }

  async #toggleHold() {
    const call = this.#shown;
    if (call) await this.#try(call, () => (call.holding ? call.resume() : call.hold()));
  }

  /** @param {Call} call that the user turns to */
  #swap(call) {
    this.#show(call);
    if (call.holding) this.#try(call, () => call.resume());
  }

  async #merge() {
    const gateway = this.#gateway();
    const calls = [...this.#live].filter((call) => call.connectedAt && call.state === State.IN_CALL);
    const call = this.#shown;
    if (!gateway || !call) return;
    await this.#try(call, async () => this.#show(await gateway.merge(calls)));
  }

  /** @param {string | Call} to */
  async #transfer(to) {
    const call = this.#shown;
    if (!call || !to) return;
    this.#panel.closeTransfer();
    this.#say(call, transferWords({ stage: 'trying', text: '' }));
    await this.#try(call, () => call.transfer(to), 'The transfer failed. ');
  }

  /**
   * Do something that may be refused; the user hears why.
   *
   * @param {Call} call
   * @param {() => Promise<unknown>} work
   * @param {string} [what] failed
   */
  async #try(call, work, what = '') {
    this.#view.notice('');
    try {
      await work();
    } catch (error) {
      if (call.state !== State.HANGUP) this.#view.notice(what + error.message);
    }
    this.refresh();
  }

  // ---------------------------------------------------------------- calls come and go

  /** @param {Call} call placed here, or taken over */
  take(call) {
    this.#adding = false;
    this.#watch(call, call.role === 'caller' ? 'Calling…' : 'Connecting…');
    this.#show(call);
  }

  /** @param {Call} call that rings here */
  incoming(call) {
    this.#watch(call, 'Incoming call');
    if (this.#live.size === 1) this.#show(call);
    this.refresh();
  }

  /** @param {Call} call from before the page was loaded; it may have ended meanwhile */
  restored(call) {
    this.#watch(call, 'Coming back…');
    if (!this.#shown || this.#shown.holding) this.#show(call);
  }

  /** @param {Call} call @param {string} said */
  #watch(call, said) {
    this.#live.add(call);
    this.#said.set(call, said);
    /** @param {string} type @param {(detail: any) => void} [act] */
    const hear = (type, act) =>
      call.addEventListener(type, (event) => {
        act?.(/** @type {CustomEvent} */ (event).detail);
        this.refresh();
      });
    hear('ringing', () => this.#say(call, 'Ringing…'));
    hear('stage', ({ stage }) => this.#say(call, stageWords(stage)));
    hear('connected', () => this.#say(call, call.peer?.connectionState === 'connected' ? 'Connected' : 'Connecting the sound…'));
    hear('media', (media) => this.#media(call, media));
    hear('trouble', (trouble) => this.#trouble(trouble));
    hear('tones', ({ tones }) => this.#pressed(call, tones));
    hear('transfer', (transfer) => this.#say(call, transferWords(transfer)));
    hear('quality', (quality) => call === this.#shown && call.state === State.IN_CALL && showQuality(quality));
    hear('ended', (ended) => this.#ended(call, ended));
    hear('party', () => call.state === State.IN_CALL && this.#tell(call, `Now with ${this.#name(call)}`));
    for (const type of ['ringback', 'video', 'muted', 'state', 'holding', 'held', 'participants']) hear(type);
  }

  /** @param {Call} call the one on the screen from now on */
  #show(call) {
    globalThis.clearTimeout(this.#farewell);
    this.#adding = false;
    if (this.#shown !== call) this.#panel.leave();
    this.#shown = call;
    this.refresh();
  }

  /**
   * @param {Call} call
   * @param {{state: string, text?: string}} media
   */
  #media(call, { state, text = '' }) {
    if (state.startsWith('relay-')) {
      // Only where nothing else connects the sound does the user have to know.
      globalThis.setTimeout(() => {
        const missed = this.#live.has(call) && call.peer?.connectionState !== 'connected';
        if (missed) this.#view.notice(text);
      }, RELAY_PATIENCE * 1000);
      return;
    }
    if (call.state !== State.IN_CALL && call.state !== State.RELOADING) return;
    if (state === 'connected') this.#news.has(call) || this.#say(call, 'Connected');
    else if (state === 'disconnected' || state === 'failed') this.#say(call, 'The sound is interrupted…');
  }

  /** @param {{code: string, text: string}} trouble */
  #trouble({ code, text }) {
    this.#blocked ||= code === 'playback-blocked';
    this.#view.notice(text);
  }

  /**
   * @param {Call} call
   * @param {import('./figure.js').Ended} ended
   */
  #ended(call, ended) {
    this.#live.delete(call);
    this.#remember(call, call.role === 'callee' && !call.connectedAt && !NOT_MISSED.has(ended.reason));
    // Where the user must do something about it, it stays until read.
    if (/^(microphone-|insecure-|relay-)/.test(ended.reason)) this.#view.notice(ended.text);
    this.#say(call, ended.said ? `${ended.text} (${ended.said})` : ended.text);
    if (call !== this.#shown) return;
    if (call.role === 'caller' && ended.reason === 'busy') this.#tones.play('busy', 3);
    globalThis.clearTimeout(this.#farewell);
    this.#farewell = globalThis.setTimeout(() => this.#settle(), FAREWELL * 1000);
  }

  /** Away from a call that has ended: to the next one, or back to Idle. */
  #settle() {
    globalThis.clearTimeout(this.#farewell);
    if (this.#shown && this.#live.has(this.#shown)) return;
    const calls = [...this.#live];
    this.#shown = calls.find(({ holding }) => !holding) ?? calls[0] ?? null;
    this.#panel.leave();
    this.refresh();
  }

  /**
   * @param {Call} call
   * @param {boolean} missed
   */
  #remember(call, missed) {
    const kind = missed ? 'Missed' : call.role === 'caller' ? 'Outgoing' : 'Incoming';
    const address = canDial(call.remote) ? call.remote.uri : '';
    this.#recent.unshift({ name: this.#name(call), address, note: `${kind}, ${timeOf(new Date())}`, missed });
    this.#recent.length = Math.min(this.#recent.length, RECENT);
    this.#view.showRecent(this.#recent);
  }

  // ---------------------------------------------------------------- the screen

  /** @param {Call} call @param {string} words */
  #say(call, words) {
    this.#news.delete(call);
    this.#said.set(call, words);
    this.refresh();
  }

  /** The keys of the other side, one after the other, until it has pressed none for a while. @param {Call} call @param {string} tones */
  #pressed(call, tones) {
    const before = this.#said.get(call) ?? '';
    this.#tell(call, `${before.startsWith(PRESSED) ? before : PRESSED}${tones}`);
  }

  /** Say something that is of interest for some seconds only. @param {Call} call @param {string} words */
  #tell(call, words) {
    this.#say(call, words);
    this.#news.set(call, words);
    globalThis.setTimeout(() => {
      if (this.#news.get(call) === words) this.#say(call, 'Connected');
    }, NEWS_SHOWN * 1000);
  }

  /** Show all as it is now. */
  refresh() {
    const call = this.#shown;
    const away = this.#gateway()?.open === false;
    this.#tone();
    this.#lines();
    this.#participants();
    if (!call || this.#adding) {
      const detail = this.#adding ? 'The other call waits.' : 'Ready';
      this.#view.showIdle(away ? 'Connection lost. Trying again…' : detail, this.#adding);
      return;
    }
    const ringing = rings(call);
    this.#panel.show({
      state: call.state,
      detail: call.state === State.RELOADING ? this.#reloading(away) : this.#alsoRings() || (this.#said.get(call) ?? ''),
      note: noteOf(call),
      name: call.conference ? 'Conference' : this.#name(call),
      address: canDial(call.remote) && !call.conference ? call.remote.uri : '',
      about: aboutOf(call, (party) => this.#named(party)),
      since: call.connectedAt,
      incoming: ringing,
      alerting: call.state === State.CALLING && (call.ringing || ringing),
      muted: call.muted,
      holding: call.holding,
      mergeable: this.#answered().length > 1,
      partners: this.#answered().filter((other) => other !== call).map((other) => this.#partner(other)),
      offersVideo: call.offersVideo,
      theirs: call.video.receiving && !call.holding && call.state !== State.HANGUP ? call.remoteStream : null,
      ours: call.localVideo,
    });
  }

  /** @returns {Call[]} */
  #answered() {
    return [...this.#live].filter(({ connectedAt }) => connectedAt > 0);
  }

  /** Who takes part in the call that is shown. */
  #participants() {
    const call = this.#shown;
    const people = !call || this.#adding || call.state === State.HANGUP ? [] : call.participants;
    const { user, identities } = this.#gateway()?.welcome ?? { user: '', identities: [] };
    const ours = new Set([user, ...identities]);
    const lines = people.map((each) => ({
      name: ours.has(each.uri) ? 'You' : this.#named(each),
      note: partWords(each.part),
    }));
    const room = call !== null && (call.conference || (!canDial(call.remote) && !isAnonymous(call.remote)));
    showParticipants(lines, room && lines.length > 1);
  }

  /** @returns {string} that somebody rings beside the call that is shown; '' for nobody */
  #alsoRings() {
    const other = [...this.#live].find((call) => call !== this.#shown && rings(call));
    return other && this.#shown?.connectedAt ? `${this.#name(other)} calls as well.` : '';
  }

  /** @param {Call} other to whom the shown call can be transferred */
  #partner(other) {
    return { name: this.#name(other), act: () => this.#transfer(other) };
  }

  #lines() {
    const others = [...this.#live].filter((call) => call !== this.#shown);
    showLines(others.map((call) => this.#line(call)));
    showOthers((this.#gateway()?.others ?? []).filter(canMove).map((info) => this.#elsewhere(info)));
  }

  /** @param {Call} call @returns {import('./lines.js').Line} */
  #line(call) {
    const [name, note] = [this.#name(call), lineOf(call)];
    /** @type {import('./lines.js').Line['acts']} */
    const acts = rings(call)
      ? [
          { text: 'Reject', spoken: `Reject ${name}`, act: () => call.hangup(), kind: 'hangup' },
          { text: 'Answer', spoken: `Answer ${name}, and hold the other call`, act: () => this.#answer(call), kind: 'call' },
        ]
      : [{ text: 'Switch', spoken: `Switch to ${name}, ${note}`, act: () => this.#swap(call), kind: '' }];
    return { key: `${call.session} ${name} ${note}`, name, note, acts };
  }

  /** @param {import('./wire.js').CallInfo} info @returns {import('./lines.js').Line} */
  #elsewhere({ session, remote, away, answered }) {
    const name = this.#named(remote);
    const note = away ? 'Waits for its page' : answered === null ? 'Calling, on another page' : 'In a call, on another page';
    const act = () => {
      const gateway = this.#gateway();
      if (gateway) this.take(gateway.pull(session));
    };
    const spoken = `Take the call with ${name} over to this page`;
    return { key: `${session} ${name} ${note}`, name, note, acts: [{ text: 'Take over here', spoken, act, kind: '' }] };
  }

  /** What sounds now, of all that could. */
  #tone() {
    const calls = [...this.#live];
    const ringing = calls.some(rings);
    const talking = calls.some((call) => call.connectedAt > 0 || call.answering || call.role === 'caller');
    const ringback = calls.some((call) => call.state === State.CALLING && call.ringback === 'local');
    if (ringing) this.#tones.play(talking ? 'waiting' : 'ring');
    else if (ringback) this.#tones.play('ringback');
    else if (this.#tones.playing !== 'busy' || calls.length) this.#tones.play('');
  }

  /** What is lost decides what the user may do about it: nothing, or look after the network. @param {boolean} away */
  #reloading(away) {
    return away ? 'Connection lost. Getting it back…' : 'The sound is interrupted. Getting it back…';
  }

  /** @param {Call} call @returns {string} */
  #name(call) {
    return this.#named(call.remote);
  }

  /** @param {import('./wire.js').Party} party @returns {string} */
  #named(party) {
    return isAnonymous(party) ? 'Anonymous' : party.name || this.#names.get(party.uri) || party.uri;
  }

  /** @param {import('./wire.js').MissedCall[]} missed by anybody of the user's pages, the oldest first */
  missed(missed) {
    const entries = missed.map(({ from, at, reason }) => ({
      name: this.#named(from),
      address: isAnonymous(from) ? '' : from.uri,
      note: `${timeOf(at)}, ${sentence(reason)}`,
      missed: true,
    }));
    this.#view.showMissed(entries.reverse());
  }
}

/** Whether it waits for the user to answer. @param {Call} call */
function rings(call) {
  return call.state === State.CALLING && call.role === 'callee' && !call.answering;
}

/** Whether it makes sense to have it here: what rings elsewhere rings here too. @param {import('./wire.js').CallInfo} info */
function canMove({ role, answered, away }) {
  return answered !== null || role === 'caller' || away;
}
