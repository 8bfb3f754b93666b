/**
 * rtcgw.js: the browser's side of the `rtcgw.1` protocol, for this page or any other.
 *
 *     import { Rtcgw } from './rtcgw.js';
 *     const gateway = new Rtcgw('wss://gw.example.com/ws', { audio: document.querySelector('audio') });
 *     await gateway.connect();
 *     await gateway.login({ token });
 *     const call = gateway.call('sip:echo@ims.test');
 *     call.addEventListener('ended', (event) => console.log(event.detail.text));
 *
 * This module holds the connection: the socket, requests and their replies, which call a message
 * belongs to. A call is in `call.js`. Nothing here touches the document; nothing is loaded from
 * elsewhere. A lost connection is reported, and made again with the credentials of the last `login`
 * (option `reconnect`); within the gateway's grace time running calls go on (`Reloading` -> `InCall`).
 */

import { Call, State } from './call.js';
import { RtcgwError, sentence } from './errors.js';
import { Comeback, watchNetwork } from './reconnect.js';
import { Relays } from './relays.js';
import { parse, readWelcome, text } from './wire.js';

export { Call, RtcgwError, State, sentence };

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = 'rtcgw.1';
const CLIENT = 'rtcgw.js/0.2';
const CAPABILITIES = Object.freeze(['progress', 'trickle', 'ringback', 'dtmf']);
/** Seconds in which a gateway that is there answers when we doubt it; more where its answers take long. */
const QUICK = 0.5;
/** The close code of a log-in that failed or was not renewed. */
const LOGIN_OVER = 4401;
/** Refusals of a log-in that a later attempt may not meet. */
const PASSING = new Set(['no-reply', 'connection-lost', 'closed', 'gateway-unreachable']);

/**
 * @typedef {object} Options
 * @property {HTMLMediaElement | null} [audio] where the other side is heard; without one, use `call.remoteStream`
 * @property {MediaTrackConstraints | boolean} [microphone] what to ask `getUserMedia` for; default true
 * @property {MediaTrackConstraints | boolean} [camera] the same, for calls with video; default true
 * @property {boolean} [warm] set up an incoming call's media while it rings, so that the first word is heard; default true
 * @property {boolean} [answerVideo] switch the camera on when the other side shows video in a call; default false
 * @property {boolean} [relayOnly] let sound go through TURN servers only; default false
 * @property {RTCConfiguration} [rtc] laid over the configuration made from the gateway's `iceServers`
 * @property {boolean | (() => Credentials | Promise<Credentials>)} [reconnect] whether a lost connection is made again;
 *   a function gives the credentials for it; default true
 * @property {number} [timeout] seconds that a reply may take; default 10
 * @property {typeof WebSocket} [WebSocket] for tests
 */

/** @typedef {{token: string} | {user: string, password: string}} Credentials */

/** @typedef {import('./wire.js').Welcome} Welcome */
/** @typedef {Record<string, unknown> & {type: string}} Message */

const DEFAULTS = Object.freeze({
  audio: null,
  microphone: true,
  camera: true,
  warm: true,
  answerVideo: false,
  relayOnly: false,
  rtc: {},
  reconnect: true,
  timeout: 10,
});

/**
 * A connection to the gateway.
 *
 * Events, each a CustomEvent:
 * - `incoming` {call}: somebody calls; answer it or hang it up.
 * - `closed` {code, reason, text}: the connection is gone.
 * - `back` {welcome}: it is there again, and we are logged in.
 * - `refused` {code, text}: the gateway is there again and does not take the credentials; no more is tried.
 * - `error` {code, text}: the gateway complained of something that belongs to no request and no call.
 * - `unknown` {message}: a message of a kind, or for a session, that this version does not know.
 */
export class Rtcgw extends EventTarget {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, {resolve: (reply: Message) => void, reject: (error: RtcgwError) => void, timer: number}>} */
  #pending = new Map();
  /** @type {Map<string, Call>} by session */ #calls = new Map();
  /** @type {Set<Call>} calls without a session yet */ #unborn = new Set();
  /** @type {Set<string>} sessions that ended here while the gateway could not be told */ #abandoned = new Set();
  #lastId = 0;
  #pingTimer = 0;
  /** ms that the last PING took */ #roundTrip = 0;
  /** @type {Promise<boolean> | null} */ #checking = null;
  /** @type {Credentials | null} */ #credentials = null;
  #comeback = new Comeback((limit) => this.#comeBack(limit), () => this.calls.length > 0);
  #relays = new Relays(
    (timeout) => this.request({ type: 'ICE_SERVERS' }, timeout),
    (servers) => {
      for (const call of this.calls) call.useServers(servers);
    },
  );
  /** @type {() => void} */ #unwatch = () => undefined;
  /** @type {Welcome | null} */ #welcome = null;
  /** @type {Required<Omit<Options, 'audio'>> & {audio: HTMLMediaElement | null}} */ #options;

  /**
   * @param {string | URL} url of the WebSocket, `ws:` or `wss:`
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    /** @type {string} */
    this.url = String(url);
    this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
  }

  /** What the gateway told at login, or null before it. @returns {Welcome | null} */
  get welcome() {
    return this.#welcome;
  }

  /** The calls that have not ended. @returns {Call[]} */
  get calls() {
    return [...this.#unborn, ...this.#calls.values()];
  }

  /** Whether messages can be sent. @returns {boolean} */
  get open() {
    return this.#socket?.readyState === 1;
  }

  /**
   * Open the WebSocket.
   *
   * @param {number} [limit] seconds that it may take
   * @returns {Promise<void>} rejected with RtcgwError `gateway-unreachable`
   */
  connect(limit = this.#options.timeout) {
    if (this.#socket) return Promise.reject(new RtcgwError('protocol', 'There is a connection already.'));
    return new Promise((resolve, reject) => {
      const socket = new this.#options.WebSocket(this.url, [SUBPROTOCOL]);
      this.#socket = socket;
      const fail = () => {
        if (this.#socket === socket) this.#socket = null;
        reject(new RtcgwError('gateway-unreachable'));
      };
      const late = globalThis.setTimeout(() => {
        fail();
        socket.close();
      }, limit * 1000);
      socket.onclose = () => {
        globalThis.clearTimeout(late);
        fail();
      };
      socket.onmessage = (event) => this.#receive(event.data);
      socket.onopen = () => {
        globalThis.clearTimeout(late);
        socket.onclose = (event) => {
          if (this.#socket === socket) this.#closed(event);
        };
        resolve();
      };
    });
  }

  /**
   * Say who we are; nothing else may be sent before. Again, with a fresh token, before the old one expires.
   *
   * @param {Credentials} credentials kept in memory, to log in again after a loss of the connection
   * @returns {Promise<Welcome>} rejected with the gateway's refusal
   */
  async login(credentials) {
    const reply = await this.request({
      type: 'LOGIN',
      ...credentials,
      version: '1.0',
      capabilities: CAPABILITIES,
      client: CLIENT,
    }).catch((error) => {
      // The same word ends calls that the network refuses; here it is about the user.
      throw error.code === 'auth-failed' ? new RtcgwError('login-refused', error.text) : error;
    });
    const welcome = readWelcome(reply);
    this.#welcome = welcome;
    this.#credentials = credentials;
    globalThis.clearInterval(this.#pingTimer);
    if (welcome.ping > 0) this.#pingTimer = globalThis.setInterval(() => this.#ping(this.#options.timeout), welcome.ping * 1000);
    this.#unwatch();
    this.#unwatch = watchNetwork(() => this.#networkChanged());
    this.#relays.use(welcome.iceServers, welcome.iceTtl);
    this.#takeUp(welcome.calls);
    return welcome;
  }

  /** Go on with the calls that wait for us, and end those that were hung up meanwhile. @param {string[]} waiting sessions */
  #takeUp(waiting) {
    // All of ours, waiting or not: the gateway may not have missed the old connection yet. What has
    // ended meanwhile is refused when it is taken up.
    for (const call of this.calls) call.connectionBack();
    for (const session of waiting) {
      // A refusal means that it has ended by itself.
      if (this.#abandoned.has(session)) this.request({ type: 'HANGUP', session }).catch(() => undefined);
    }
    this.#abandoned.clear();
  }

  /**
   * Call an address. Returns at once; what becomes of it is told by the call's events.
   *
   * @param {string} to `sip:` or `tel:` URI, number, or user name
   * @param {{video?: boolean}} [how] `video`: with our camera on
   * @returns {Call}
   */
  call(to, { video = false } = {}) {
    const call = new Call(this.#port(), { role: 'caller', remote: { uri: to, name: '' }, video });
    this.#unborn.add(call);
    call.start();
    return call;
  }

  /** Log out and close. Calls are hung up first. @returns {Promise<void>} */
  async close() {
    this.#comeback.stop();
    this.#credentials = null;
    for (const call of this.calls) call.hangup();
    const socket = this.#socket;
    if (this.open && this.#welcome) {
      await this.request({ type: 'LOGOUT' }).catch(() => undefined); // gone already: that is what we want
    }
    socket?.close(1000);
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
  request(message, timeout = this.#options.timeout) {
    if (!this.open) return Promise.reject(new RtcgwError('closed'));
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      const timer = globalThis.setTimeout(() => {
        this.#pending.delete(id);
        reject(new RtcgwError('no-reply'));
      }, timeout * 1000);
      this.#pending.set(id, { resolve, reject, timer });
      this.#send({ ...message, id });
    });
  }

  /** @param {Message} message */
  #send(message) {
    this.#socket?.send(JSON.stringify(message));
  }

  /** What a call may use of its connection. @returns {import('./call.js').CallPort} */
  #port() {
    const { audio, microphone, camera, warm, answerVideo, relayOnly, rtc } = this.#options;
    const { capabilities = [], grace = 0, ladder = '' } = this.#welcome ?? {};
    return {
      audio,
      microphone,
      camera,
      warm,
      answerVideo,
      relays: this.#relays,
      configuration: () => ({
        iceServers: this.#relays.servers,
        iceTransportPolicy: relayOnly ? 'relay' : 'all',
        // Not max-bundle: phones that talk to browsers directly know no BUNDLE, and their descriptions were refused.
        bundlePolicy: 'balanced',
        ...rtc,
      }),
      can: (name) => capabilities.includes(name),
      acknowledges: ladder === 'patent',
      grace,
      open: () => this.open && this.#welcome !== null,
      check: () => this.check(),
      request: (message, timeout) => this.request(message, timeout),
      adopt: (call, session) => {
        this.#unborn.delete(call);
        this.#calls.set(session, call);
      },
      forget: (call) => {
        this.#unborn.delete(call);
        if (call.session && this.#calls.get(call.session) === call) this.#calls.delete(call.session);
        if (call.session && !this.open) this.#abandoned.add(call.session);
      },
    };
  }

  /** @param {unknown} data one frame */
  #receive(data) {
    const message = parse(data);
    if (!message) return;
    const id = message.id === undefined ? '' : String(message.id);
    const waiting = this.#pending.get(id);
    if (waiting) {
      this.#pending.delete(id);
      globalThis.clearTimeout(waiting.timer);
      if (message.type === 'ERROR') waiting.reject(new RtcgwError(text(message.code), text(message.text)));
      else waiting.resolve(message);
      return;
    }
    const call = this.#calls.get(text(message.session));
    if (call) call.receive(message);
    else if (message.type === 'OFFER' && message.session) this.#incoming(message);
    else if (message.type === 'ERROR') this.#emit('error', { code: text(message.code), text: text(message.text) });
    else this.#emit('unknown', { message });
  }

  /** @param {Message} message an OFFER for a session that is new to us */
  #incoming(message) {
    const from = /** @type {Record<string, unknown>} */ (message.from ?? {});
    const call = new Call(this.#port(), {
      role: 'callee',
      remote: { uri: text(from.uri), name: text(from.name) },
      session: text(message.session),
      offer: text(message.sdp),
    });
    this.#calls.set(text(message.session), call);
    call.start();
    if (call.state === State.CALLING) this.#emit('incoming', { call });
  }

  /**
   * @param {number} timeout seconds
   * @returns {Promise<boolean>} whether there is a sign of life; without one the connection is given up
   */
  async #ping(timeout) {
    const socket = this.#socket;
    if (!this.open) return false;
    const asked = performance.now();
    try {
      await this.request({ type: 'PING' }, timeout);
    } catch (error) {
      // An ERROR is a sign of life too; silence is not.
      const code = error instanceof RtcgwError ? error.code : '';
      if (code === 'no-reply') this.#drop(socket, 4000, 'no reply to PING');
      if (code === 'no-reply' || code === 'connection-lost') return false;
    }
    this.#roundTrip = performance.now() - asked;
    return true;
  }

  /**
   * Give a connection up at once: its own farewell may take the browser many seconds.
   *
   * @param {WebSocket | null} socket
   * @param {number} code
   * @param {string} reason
   */
  #drop(socket, code, reason) {
    if (!socket || this.#socket !== socket) return;
    this.#socket = null;
    socket.close(code, reason);
    this.#closed({ code, reason });
  }

  /** @param {{code: number, reason: string}} event */
  #closed({ code, reason }) {
    const welcome = this.#welcome;
    const missed = welcome !== null || !this.#comeback.active;
    globalThis.clearInterval(this.#pingTimer);
    this.#relays.stop();
    this.#socket = null;
    this.#welcome = null;
    for (const waiting of this.#pending.values()) {
      globalThis.clearTimeout(waiting.timer);
      waiting.reject(new RtcgwError('connection-lost', reason));
    }
    this.#pending.clear();
    if (welcome) for (const call of this.calls) call.connectionLost(welcome.grace);
    const again = welcome && this.#credentials && this.#options.reconnect && code !== LOGIN_OVER;
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
    const { reconnect } = this.#options;
    try {
      const credentials = typeof reconnect === 'function' ? await reconnect() : this.#credentials;
      if (!credentials) return true;
      if (!this.#socket) await this.connect(limit);
      const welcome = await this.login(credentials);
      this.#emit('back', { welcome });
      return true;
    } catch (error) {
      const { code, message } = error instanceof RtcgwError ? error : new RtcgwError('gateway-unreachable');
      if (PASSING.has(code)) return false;
      this.#credentials = null;
      this.#emit('refused', { code, text: message });
      for (const call of this.calls) call.connectionLost(0);
      return true;
    }
  }

  #networkChanged() {
    this.#comeback.hurry();
    if (this.open) this.check();
    for (const call of this.calls) call.networkChanged();
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
