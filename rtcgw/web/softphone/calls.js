/**
 * The calls of one user: those on this page, those on others, and those that nobody took.
 *
 * It knows which call a message is about, and that one of them speaks at a time. How the connection comes
 * and goes is `rtcgw.js`.
 */

import { Call } from './call.js';
import { RtcgwError } from './errors.js';
import { State } from './figure.js';
import { list, readCalls, readMissed, readParty, record, text } from './wire.js';

/**
 * @typedef {object} CallPort what a call may use of its connection
 * @property {HTMLMediaElement | null} audio
 * @property {MediaTrackConstraints | boolean} microphone
 * @property {MediaTrackConstraints | boolean} camera
 * @property {boolean} warm whether an incoming call's media are set up while it rings
 * @property {boolean} answerVideo whether our camera goes on when the other side shows video
 * @property {() => RTCConfiguration} configuration as it is now
 * @property {import('./relays.js').Relays} relays
 * @property {(name: string) => boolean} can what the gateway is capable of
 * @property {boolean} acknowledges whether the gateway waits for PRANSWER to each RINGING (ladder `patent`)
 * @property {number} grace seconds that a call outlives its connection
 * @property {() => boolean} open whether the gateway can be asked
 * @property {() => Promise<boolean>} check whether the gateway is there; the connection is given up if not
 * @property {(message: import('./rtcgw.js').Message, timeout?: number) => Promise<import('./rtcgw.js').Message>} request
 * @property {(call: Call, session: string) => void} adopt
 * @property {(call: Call, everywhere: boolean) => void} forget it is over, here or everywhere
 * @property {(call: Call) => void} only this call speaks from now on: others fall silent
 * @property {() => void} changed what is worth keeping across a reload is not what it was
 */

/**
 * @typedef {object} Init how a call begins
 * @property {'caller' | 'callee'} role
 * @property {Party} remote
 * @property {string} [session]
 * @property {string} [offer] of an incoming call
 * @property {boolean} [warm] whether its media may be set up before the answer
 * @property {boolean} [video] with our camera on
 * @property {boolean} [anonymous] the called is not to see who calls
 * @property {Record<string, string> | null} [headers] of the call, as the gateway lets them pass
 * @property {Party[]} [history] whom the call was meant for before, the first one first
 * @property {string} [referredBy] who asked for this call by a transfer
 * @property {boolean} [away] it is there already, and is to be taken up
 */

/**
 * @typedef {object} Hub what the calls may use of their connection
 * @property {import('./rtcgw.js').Settings} options
 * @property {import('./relays.js').Relays} relays
 * @property {() => import('./wire.js').Welcome | null} welcome
 * @property {() => boolean} open
 * @property {() => Promise<boolean>} check
 * @property {(message: import('./rtcgw.js').Message, timeout?: number) => Promise<import('./rtcgw.js').Message>} request
 * @property {(type: string, detail: unknown) => void} emit
 * @property {() => void} changed which calls are ours, or how they stand
 */

export class Calls {
  #hub;
  /** @type {Map<string, Call>} by session */ #named = new Map();
  /** @type {Set<Call>} calls without a session yet */ #unborn = new Set();
  /** @type {Set<string>} sessions that ended here while the gateway could not be told */ #abandoned = new Set();
  /** @type {import('./wire.js').CallInfo[]} */ #known = [];
  /** @type {import('./wire.js').MissedCall[]} */ #missed = [];

  /** @param {Hub} hub */
  constructor(hub) {
    this.#hub = hub;
  }

  /** Those on this page that have not ended. @returns {Call[]} */
  get all() {
    return [...this.#unborn, ...this.#named.values()];
  }

  /** The user's calls on other pages, or on none. @returns {import('./wire.js').CallInfo[]} */
  get others() {
    return this.#known.filter(({ session, here }) => !here && !this.#named.has(session));
  }

  /** @returns {import('./wire.js').MissedCall[]} the oldest first */
  get missed() {
    return [...this.#missed];
  }

  /** What to find again after a reload. @returns {import('./memory.js').KeptCall[]} */
  get kept() {
    return [...this.#named.values()]
      .filter(({ role, state }) => role === 'caller' || state !== State.CALLING)
      .map(({ session, role, remote, muted }) => ({ session, role, remote, muted }));
  }

  // ---------------------------------------------------------------- what pages want

  /**
   * @param {string} to
   * @param {{video?: boolean, anonymous?: boolean, headers?: Record<string, string>}} how
   * @returns {Call}
   */
  place(to, { video = false, anonymous = false, headers }) {
    const remote = { uri: to, name: '' };
    const call = new Call(this.#port(), { role: 'caller', remote, video, anonymous, headers: headers ?? null });
    this.#unborn.add(call);
    call.start();
    return call;
  }

  /**
   * Take a call over that is on another page of the user's, or on none.
   *
   * @param {string} session
   * @returns {Call} on its way here; where that fails, it stays where it was
   */
  pull(session) {
    const here = this.#named.get(session);
    if (here) return here;
    const info = this.#known.find((each) => each.session === session);
    if (!info) throw new RtcgwError('no-session');
    const call = this.#adopt(info, this.#port());
    call.takeUp(info, { patience: this.#hub.options.timeout, ours: false });
    this.#toldOthers();
    return call;
  }

  /**
   * Make one conference of several calls.
   *
   * @param {Call[]} calls
   * @returns {Promise<Call>} by which we take part in it; the others end. Rejected, all calls are as they were
   */
  async merge(calls) {
    const reply = await this.#hub.request({ type: 'MERGE', sessions: calls.map(({ session }) => session) });
    const session = text(reply.session);
    const found = this.#named.get(session);
    if (!found) throw new RtcgwError('protocol');
    found.conference = true;
    if (found.holding) found.resume().catch(() => undefined);
    return found;
  }

  /** The user has seen which calls were missed. @returns {Promise<void>} */
  async seen() {
    await this.#hub.request({ type: 'SEEN' });
  }

  // ---------------------------------------------------------------- what the gateway says

  /**
   * @param {import('./rtcgw.js').Message} message
   * @returns {boolean} whether it was for us
   */
  hear(message) {
    const { type } = message;
    const call = this.#named.get(text(message.session));
    if (call) call.receive(message);
    else if (type === 'OFFER' && text(message.session) && message.from !== undefined) this.#incoming(message);
    else if (type === 'CALLS') this.#know(readCalls(message.calls));
    else if (type === 'MISSED') this.#miss(readMissed(message.missed));
    else return false;
    return true;
  }

  /**
   * We are logged in: go on with our calls, and end those that were hung up meanwhile.
   *
   * @param {import('./wire.js').Welcome} welcome
   * @param {import('./memory.js').KeptCall[]} kept what this page had before it was loaded again
   */
  takeUp(welcome, kept) {
    this.#known = welcome.calls;
    // All of ours, listed or not: the gateway may not have missed the old connection yet. What has
    // ended meanwhile is refused when it is taken up.
    for (const call of this.all) call.connectionBack();
    for (const { session } of welcome.calls) {
      // A refusal means that it has ended by itself.
      if (this.#abandoned.has(session)) this.#hub.request({ type: 'HANGUP', session }).catch(() => undefined);
    }
    this.#abandoned.clear();
    for (const each of kept) this.#restore(each, welcome);
    this.#toldOthers();
    this.#miss(welcome.missed);
  }

  /** @param {import('./wire.js').Welcome} welcome of the connection that has taken the place of the one before */
  moveOver(welcome) {
    this.#know(welcome.calls);
    this.#miss(welcome.missed);
    for (const call of this.all) call.connectionMoved();
  }

  /** @param {import('./memory.js').KeptCall} kept @param {import('./wire.js').Welcome} welcome */
  #restore({ session, role, remote, muted }, welcome) {
    if (this.#named.has(session)) return;
    const info = welcome.calls.find((each) => each.session === session);
    // Where it has a page, that is ours of a moment ago, whose connection the gateway has not missed yet; or, if we
    // were away for longer, another one that has taken it over meanwhile: then it goes on there.
    if (info && !info.here && !info.away && !wasReloaded()) return;
    const call = this.#adopt(info ?? { session, role, remote }, this.#port());
    this.#hub.emit('restored', { call });
    if (info) call.takeUp(info, { patience: welcome.grace, ours: true, muted });
    else call.receive({ type: 'HANGUP', reason: 'no-session' });
  }

  /** @param {import('./rtcgw.js').Message} message an OFFER for a session that is new to us */
  #incoming(message) {
    const call = new Call(this.#port(), {
      role: 'callee',
      remote: readParty(message.from),
      session: text(message.session),
      offer: text(message.sdp),
      warm: message.warm !== false,
      history: list(message.history).map(readParty),
      referredBy: text(message.referredBy),
      headers: record(message.headers),
    });
    this.#named.set(call.session, call);
    call.start();
    if (call.state === State.CALLING) this.#hub.emit('incoming', { call });
  }

  /** @param {import('./wire.js').CallInfo[]} calls all of the user's */
  #know(calls) {
    this.#known = calls;
    this.#toldOthers();
  }

  /** @param {import('./wire.js').MissedCall[]} missed */
  #miss(missed) {
    this.#missed = missed;
    this.#hub.emit('missed', { missed: this.missed });
  }

  #toldOthers() {
    this.#hub.emit('others', { others: this.others });
  }

  // ---------------------------------------------------------------- inside

  /**
   * @param {{session: string, role: 'caller' | 'callee', remote: import('./wire.js').Party}} info
   * @param {CallPort} port
   * @returns {Call} that is there already
   */
  #adopt({ session, role, remote }, port) {
    const call = new Call(port, { role, remote, session, away: true });
    this.#named.set(session, call);
    this.#hub.changed();
    return call;
  }

  /** Let this one speak, and no other. @param {Call} speaker */
  #only(speaker) {
    if (!this.#hub.options.oneActive) return;
    for (const call of this.#named.values()) if (call !== speaker) call.park();
  }

  /** What a call may use of its connection. @returns {CallPort} */
  #port() {
    const hub = this.#hub;
    const { audio, microphone, camera, warm, answerVideo, relayOnly, rtc } = hub.options;
    const { capabilities = [], grace = 0, ladder = '' } = hub.welcome() ?? {};
    return {
      audio,
      microphone,
      camera,
      warm,
      answerVideo,
      relays: hub.relays,
      configuration: () => ({
        iceServers: hub.relays.servers,
        iceTransportPolicy: relayOnly ? 'relay' : 'all',
        // Not max-bundle: phones that talk to browsers directly know no BUNDLE, and their descriptions were refused.
        bundlePolicy: 'balanced',
        ...rtc,
      }),
      can: (name) => capabilities.includes(name),
      acknowledges: ladder === 'patent',
      grace,
      open: () => hub.open() && hub.welcome() !== null,
      check: () => hub.check(),
      request: (message, timeout) => hub.request(message, timeout),
      only: (call) => this.#only(call),
      changed: () => hub.changed(),
      adopt: (call, session) => {
        this.#unborn.delete(call);
        this.#named.set(session, call);
        hub.changed();
      },
      forget: (call, everywhere) => this.#forget(call, everywhere),
    };
  }

  /** @param {Call} call @param {boolean} everywhere whether it is over with this page */
  #forget(call, everywhere) {
    this.#unborn.delete(call);
    if (call.session && this.#named.get(call.session) === call) this.#named.delete(call.session);
    if (call.session && everywhere && !this.#hub.open()) this.#abandoned.add(call.session);
    this.#hub.changed();
    this.#toldOthers();
  }
}

/** Whether this page was there until a moment ago. @returns {boolean} */
function wasReloaded() {
  const [navigation] = globalThis.performance.getEntriesByType('navigation');
  return /** @type {PerformanceNavigationTiming | undefined} */ (navigation)?.type === 'reload';
}
