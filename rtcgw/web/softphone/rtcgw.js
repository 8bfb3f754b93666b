/**
 * rtcgw.js: the browser's side of the `rtcgw.1` protocol, for this page or any other.
 *
 *     import { Rtcgw } from './rtcgw.js';
 *     const gateway = new Rtcgw('wss://gw.example.com/ws', { audio: document.querySelector('audio') });
 *     if (!(await gateway.resume())) {
 *       await gateway.connect();
 *       await gateway.login({ token });
 *     }
 *     const call = gateway.call('sip:echo@ims.test');
 *     call.addEventListener('ended', (event) => console.log(event.detail.text));
 *
 * This module holds the connection and who is logged in on it; one WebSocket is in `channel.js`, the user's
 * calls in `calls.js`, a call in `call.js`. Nothing here touches the document; nothing is loaded from
 * elsewhere. A lost connection is reported, and made again (option `reconnect`); a page that is loaded again
 * finds its session (`resume`). Within the gateway's grace time calls go on (`Reloading` -> `InCall`).
 */

import { Call, State } from './call.js';
import { Calls } from './calls.js';
import { Channel, SUBPROTOCOL } from './channel.js';
import { RtcgwError, sentence } from './errors.js';
import { makeMemory } from './memory.js';
import { Comeback, watchNetwork } from './reconnect.js';
import { Relays } from './relays.js';
import { pause } from './waiting.js';
import { readWelcome, text } from './wire.js';

export { Call, RtcgwError, State, SUBPROTOCOL, sentence };

const CLIENT = 'rtcgw.js/0.3';
const CAPABILITIES = Object.freeze(['progress', 'trickle', 'resume', 'ringback', 'dtmf', 'participants', 'calls']);
/** Seconds in which a gateway that is there answers when we doubt it; more where its answers take long. */
const QUICK = 0.5;
/** The close code of a log-in that failed or was not renewed. */
const LOGIN_OVER = 4401;
/** Refusals of a log-in that a later attempt may not meet. */
const PASSING = new Set(['no-reply', 'connection-lost', 'closed', 'gateway-unreachable']);
/** Seconds for which a page that is loaded again tries to reach the gateway, at most; and between attempts. */
const RETURN = 30;
const RETURN_PAUSE = 0.5;
/** Milliseconds for which replies are awaited before another connection takes the place of this one. */
const QUIET = 1000;

/**
 * @typedef {object} Options
 * @property {HTMLMediaElement | null} [audio] where the other side is heard; without one, use `call.remoteStream`
 * @property {MediaTrackConstraints | boolean} [microphone] what to ask `getUserMedia` for; default true
 * @property {MediaTrackConstraints | boolean} [camera] the same, for calls with video; default true
 * @property {boolean} [warm] set up an incoming call's media while it rings, so that the first word is heard; default true
 * @property {boolean} [answerVideo] switch the camera on when the other side shows video in a call; default false
 * @property {boolean} [oneActive] put a call on hold when another one is placed, answered or resumed; default true
 * @property {boolean} [endOnLeave] hang up when the page is closed or loaded again; default false
 * @property {'tab' | 'browser' | 'none' | import('./memory.js').Memory} [storage] where a page that is loaded again finds
 *   its session: in its own tab, or also after the browser was killed; default `tab`
 * @property {boolean} [relayOnly] let sound go through TURN servers only; default false
 * @property {RTCConfiguration} [rtc] laid over the configuration made from the gateway's `iceServers`
 * @property {boolean | (() => Credentials | Promise<Credentials>)} [reconnect] whether a lost connection is made again;
 *   a function gives the credentials for it, where the session itself is no longer known; default true
 * @property {number} [timeout] seconds that a reply may take; default 10
 * @property {typeof WebSocket} [WebSocket] for tests
 */

/** @typedef {Required<Omit<Options, 'audio'>> & {audio: HTMLMediaElement | null}} Settings */
/** @typedef {{token: string} | {user: string, password: string}} Credentials */
/** @typedef {import('./wire.js').Welcome} Welcome */
/** @typedef {Record<string, unknown> & {type: string}} Message */

const DEFAULTS = Object.freeze({
  audio: null,
  microphone: true,
  camera: true,
  warm: true,
  answerVideo: false,
  oneActive: true,
  endOnLeave: false,
  storage: /** @type {const} */ ('tab'),
  relayOnly: false,
  rtc: {},
  reconnect: true,
  timeout: 10,
});

/**
 * A user's session with the gateway.
 *
 * Events, each a CustomEvent:
 * - `incoming` {call}: somebody calls; answer it or hang it up.
 * - `restored` {call}: a call from before this page was loaded; it is on its way back, or ends at once if it is over.
 * - `others` {others}: the user's calls on other pages are these now.
 * - `missed` {missed}: the calls that nobody took are these now.
 * - `closed` {code, reason, text}: the connection is gone.
 * - `back` {welcome}: it is there again, and we are logged in.
 * - `refused` {code, text}: the gateway is there again and does not take the credentials; no more is tried.
 * - `error` {code, text}: the gateway complained of something that belongs to no request and no call.
 * - `unknown` {message}: a message of a kind, or for a session, that this version does not know.
 */
export class Rtcgw extends EventTarget {
  /** @type {Channel | null} */ #channel = null;
  /** @type {Settings} */ #options;
  #calls;
  #memory;
  #pingTimer = 0;
  /** ms that the last PING took */ #roundTrip = 0;
  /** @type {Promise<boolean> | null} */ #checking = null;
  /** @type {Credentials | null} */ #credentials = null;
  /** what logs us in without them; '' for nothing */ #token = '';
  #moving = false;
  #comeback = new Comeback((limit) => this.#comeBack(limit), () => this.calls.length > 0);
  #relays = new Relays(
    (timeout) => this.request({ type: 'ICE_SERVERS' }, timeout),
    (servers) => {
      for (const call of this.calls) call.useServers(servers);
    },
  );
  /** @type {() => void} */ #unwatch = () => undefined;
  /** @type {Welcome | null} */ #welcome = null;

  /**
   * @param {string | URL} url of the WebSocket, `ws:` or `wss:`
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    /** @type {string} */
    this.url = String(url);
    this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#memory = makeMemory(this.#options.storage, this.url);
    this.#calls = new Calls({
      options: this.#options,
      relays: this.#relays,
      welcome: () => this.#welcome,
      open: () => this.open,
      check: () => this.check(),
      request: (message, timeout) => this.request(message, timeout),
      emit: (type, detail) => this.#emit(type, detail),
      changed: () => this.#keep(),
    });
    if (this.#options.endOnLeave) globalThis.addEventListener('pagehide', () => this.#hangUp());
  }

  /** What the gateway told at login, or null before it. @returns {Welcome | null} */
  get welcome() {
    return this.#welcome;
  }

  /** The calls of this page that have not ended. @returns {Call[]} */
  get calls() {
    return this.#calls.all;
  }

  /** The user's calls on other pages, or waiting for a page. @returns {import('./wire.js').CallInfo[]} */
  get others() {
    return this.#calls.others;
  }

  /** Calls that nobody took, the oldest first. @returns {import('./wire.js').MissedCall[]} */
  get missed() {
    return this.#calls.missed;
  }

  /** Whether messages can be sent. @returns {boolean} */
  get open() {
    return this.#channel?.open ?? false;
  }

  // ---------------------------------------------------------------- coming and going

  /**
   * Open the WebSocket.
   *
   * @param {number} [limit] seconds that it may take
   * @returns {Promise<void>} rejected with RtcgwError `gateway-unreachable`
   */
  async connect(limit = this.#options.timeout) {
    if (this.#channel) throw new RtcgwError('protocol', 'There is a connection already.');
    const channel = this.#makeChannel();
    this.#channel = channel;
    try {
      await channel.connect(this.url, this.#options.WebSocket, limit);
    } catch (error) {
      if (this.#channel === channel) this.#channel = null;
      throw error;
    }
  }

  /**
   * Say who we are; nothing else may be sent before. Again, with a fresh token, before the old one expires.
   *
   * @param {Credentials} credentials kept in memory, to log in again after a loss of the connection
   * @returns {Promise<Welcome>} rejected with the gateway's refusal
   */
  async login(credentials) {
    const welcome = await this.#enter(credentials);
    this.#credentials = credentials;
    return welcome;
  }

  /**
   * Connect and go on with the session that this page had before it was loaded again, if there is one. Its calls are
   * told by `restored`.
   *
   * @returns {Promise<Welcome | null>} null when there is none, or no longer; rejected with `gateway-unreachable`
   */
  async resume() {
    const kept = await this.#memory.take();
    if (!kept) return null;
    const end = performance.now() + Math.min(kept.ttl || RETURN, RETURN) * 1000;
    for (;;) {
      try {
        if (!this.#channel) await this.connect();
        return await this.#enter({ resume: kept.token }, kept.calls);
      } catch (error) {
        const { code } = error instanceof RtcgwError ? error : new RtcgwError('gateway-unreachable');
        if (!PASSING.has(code)) break;
        if (performance.now() > end) throw error;
      }
      await pause(RETURN_PAUSE * 1000);
    }
    this.#memory.forget();
    this.#channel?.leave();
    this.#channel = null;
    return null;
  }

  /** Log out and close. Calls are hung up first. @returns {Promise<void>} */
  async close() {
    this.#comeback.stop();
    this.#credentials = null;
    this.#token = '';
    this.#hangUp();
    this.#memory.forget();
    const channel = this.#channel;
    if (this.open && this.#welcome) {
      await this.request({ type: 'LOGOUT' }).catch(() => undefined); // gone already: that is what we want
    }
    channel?.close();
  }

  /**
   * Whether the gateway is there: asked now, with little patience. If it is not, the connection is
   * given up and made again, which may be long before the browser would notice.
   *
   * @returns {Promise<boolean>}
   */
  check() {
    this.#checking ??= this.#ping(Math.max(QUICK, (4 * this.#roundTrip) / 1000)).finally(() => {
      this.#checking = null;
    });
    return this.#checking;
  }

  /**
   * Send a request and wait for its reply, matched by `id`.
   *
   * @param {Message} message without `id`
   * @param {number} [timeout] seconds
   * @returns {Promise<Message>} rejected with the gateway's ERROR, `no-reply` or `connection-lost`
   */
  request(message, timeout) {
    return this.#channel?.request(message, timeout) ?? Promise.reject(new RtcgwError('closed'));
  }

  // ---------------------------------------------------------------- calls

  /**
   * Call an address. Returns at once; what becomes of it is told by the call's events.
   *
   * @param {string} to `sip:` or `tel:` URI, number, or user name
   * @param {{video?: boolean, anonymous?: boolean, headers?: Record<string, string>}} [how] `video`: with our camera on;
   *   `anonymous`: the called is not to see who calls; `headers`: of those that the gateway lets pass
   * @returns {Call}
   */
  call(to, how = {}) {
    return this.#calls.place(to, how);
  }

  /**
   * Take a call over that is on another page of the user's.
   *
   * @param {string} session of one of `others`
   * @returns {Call} on its way here; where it cannot come it stays where it is, and this one ends
   */
  pull(session) {
    return this.#calls.pull(session);
  }

  /**
   * Make one conference of several calls.
   *
   * @param {Call[]} calls two and more, a conference among them where there is one already
   * @returns {Promise<Call>} by which we take part; the others end. Rejected, all are as they were
   */
  merge(calls) {
    return this.#calls.merge(calls);
  }

  /** The user has looked at the missed calls: all pages forget them. @returns {Promise<void>} */
  seen() {
    return this.#calls.seen();
  }

  // ---------------------------------------------------------------- inside

  /** @returns {Channel} */
  #makeChannel() {
    /** @type {Channel} */
    const channel = new Channel(
      {
        said: (message) => {
          // That a call has left a connection that we have left ourselves is no news.
          if (this.#channel === channel || message.code !== 'moved') this.#receive(message);
        },
        closed: (end) => {
          if (this.#channel === channel) this.#closed(end);
        },
      },
      this.#options.timeout,
    );
    return channel;
  }

  /**
   * @param {Credentials | {resume: string}} words
   * @param {import('./memory.js').KeptCall[]} [kept] what this page had before it was loaded again
   * @returns {Promise<Welcome>}
   */
  async #enter(words, kept = []) {
    const welcome = await this.#introduce(/** @type {Channel} */ (this.#channel), words);
    this.#settle(welcome);
    this.#calls.takeUp(welcome, kept);
    this.#keep();
    return welcome;
  }

  /**
   * @param {Channel | null} channel
   * @param {Credentials | {resume: string}} words
   * @returns {Promise<Welcome>}
   */
  async #introduce(channel, words) {
    if (!channel) throw new RtcgwError('closed');
    const about = { version: '1.0', capabilities: CAPABILITIES, client: CLIENT };
    const reply = await channel.request({ type: 'LOGIN', ...words, ...about }).catch((error) => {
      // The same word ends calls that the network refuses; here it is about the user.
      throw error.code === 'auth-failed' ? new RtcgwError('login-refused', error.text) : error;
    });
    return readWelcome(reply);
  }

  /** @param {Welcome} welcome we are logged in */
  #settle(welcome) {
    this.#welcome = welcome;
    this.#token = welcome.resume;
    globalThis.clearInterval(this.#pingTimer);
    if (welcome.ping > 0) this.#pingTimer = globalThis.setInterval(() => this.#ping(this.#options.timeout), welcome.ping * 1000);
    this.#unwatch();
    this.#unwatch = watchNetwork(() => this.#networkChanged());
    this.#relays.use(welcome.iceServers, welcome.iceTtl);
  }

  /** What the next page of this tab is to find. */
  #keep() {
    if (this.#token) this.#memory.keep({ token: this.#token, ttl: this.#welcome?.resumeTtl ?? RETURN, calls: this.#calls.kept });
  }

  #hangUp() {
    for (const call of this.calls) call.hangup();
  }

  /** @param {Message} message that replies to no request */
  #receive(message) {
    if (this.#calls.hear(message)) return;
    if (message.type === 'RECONNECT') this.#moveOver();
    else if (message.type === 'ERROR') this.#emit('error', { code: text(message.code), text: text(message.text) });
    else this.#emit('unknown', { message });
  }

  /**
   * @param {number} timeout seconds
   * @returns {Promise<boolean>} whether there is a sign of life; without one the connection is given up
   */
  async #ping(timeout) {
    const channel = this.#channel;
    if (!channel?.open) return false;
    const asked = performance.now();
    try {
      await channel.request({ type: 'PING' }, timeout);
    } catch (error) {
      // An ERROR is a sign of life too; silence is not.
      const code = error instanceof RtcgwError ? error.code : '';
      if (code === 'no-reply') channel.drop(4000, 'no reply to PING');
      if (code === 'no-reply' || code === 'connection-lost') return false;
    }
    this.#roundTrip = performance.now() - asked;
    return true;
  }

  /** @param {{code: number, reason: string}} end of the connection in use */
  #closed({ code, reason }) {
    const welcome = this.#welcome;
    const missed = welcome !== null || !this.#comeback.active;
    globalThis.clearInterval(this.#pingTimer);
    this.#relays.stop();
    this.#channel = null;
    this.#welcome = null;
    if (welcome) for (const call of this.calls) call.connectionLost(welcome.grace);
    const known = this.#token !== '' || this.#credentials !== null;
    const again = welcome && known && this.#options.reconnect && code !== LOGIN_OVER;
    if (!again && !this.#comeback.active) this.#unwatch();
    if (missed) {
      const said = reason || sentence(code === 1000 ? 'hangup' : 'connection-lost');
      this.#emit('closed', { code, reason, text: said });
    }
    if (again) this.#comeback.start();
  }

  /**
   * @param {number} limit seconds to connect
   * @returns {Promise<boolean>} whether there is nothing more to try
   */
  async #comeBack(limit) {
    try {
      if (!this.#channel) await this.connect(limit);
      const welcome = (await this.#enterByToken()) ?? (await this.#enterAnew());
      if (welcome) this.#emit('back', { welcome });
      return true;
    } catch (error) {
      const { code, message } = error instanceof RtcgwError ? error : new RtcgwError('gateway-unreachable');
      if (PASSING.has(code)) return false;
      this.#credentials = null;
      this.#token = '';
      this.#memory.forget();
      this.#emit('refused', { code, text: message });
      for (const call of this.calls) call.connectionLost(0);
      return true;
    }
  }

  /** @returns {Promise<Welcome | null>} null where there is no token, or none that is still good */
  async #enterByToken() {
    if (!this.#token) return null;
    try {
      return await this.#enter({ resume: this.#token });
    } catch (error) {
      const code = error instanceof RtcgwError ? error.code : '';
      if (PASSING.has(code) || !(this.#credentials || typeof this.#options.reconnect === 'function')) throw error;
      this.#token = '';
      return null;
    }
  }

  /** @returns {Promise<Welcome | null>} null where there is nothing to log in with */
  async #enterAnew() {
    const { reconnect } = this.#options;
    const credentials = typeof reconnect === 'function' ? await reconnect() : this.#credentials;
    return credentials ? this.#enter(credentials) : null;
  }

  /** The gateway is about to close this connection: have another one first. Sound does not depend on either. */
  async #moveOver() {
    const old = this.#channel;
    if (this.#moving || !old || !this.#token) return; // without a token, the usual way back once it is closed
    this.#moving = true;
    const next = this.#makeChannel();
    try {
      await next.connect(this.url, this.#options.WebSocket, this.#options.timeout);
      await old.quiet(QUIET);
      if (this.#channel !== old) throw new RtcgwError('connection-lost');
      // From here on what is asked follows the LOGIN, and what becomes of the old connection is no loss.
      this.#channel = next;
      this.#settle(await this.#introduce(next, { resume: this.#token }));
      this.#calls.moveOver(/** @type {Welcome} */ (this.#welcome));
      this.#keep();
      old.leave();
    } catch {
      if (this.#channel === next) this.#channel = old;
      next.leave();
      if (this.#channel === old && !old.open) this.#closed({ code: 1006, reason: '' });
    }
    this.#moving = false;
  }

  #networkChanged() {
    this.#comeback.hurry();
    if (this.open) this.check();
    for (const call of this.calls) call.networkChanged();
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
