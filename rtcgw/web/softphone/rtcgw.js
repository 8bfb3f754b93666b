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
 * elsewhere. A lost connection is reported and not made again by itself: who is asked for a password
 * or a fresh token is the page's business. When the page connects and logs in again within the
 * gateway's grace time, running calls go on (`Reloading` -> `InCall`).
 */

import { Call, State } from './call.js';
import { RtcgwError, sentence } from './errors.js';

export { Call, RtcgwError, State, sentence };

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = 'rtcgw.1';
const CLIENT = 'rtcgw.js/0.1';
const CAPABILITIES = Object.freeze(['progress', 'trickle']);

/**
 * @typedef {object} Options
 * @property {HTMLAudioElement | null} [audio] where the other side is heard; without one, use `call.remoteStream`
 * @property {MediaTrackConstraints | boolean} [microphone] what to ask `getUserMedia` for; default true
 * @property {RTCConfiguration} [rtc] laid over the configuration made from the gateway's `iceServers`
 * @property {number} [timeout] seconds that a reply may take; default 10
 * @property {typeof WebSocket} [WebSocket] for tests
 */

/**
 * @typedef {object} Welcome what the gateway tells at login
 * @property {string} user
 * @property {string[]} identities
 * @property {string} version
 * @property {string} [server]
 * @property {RTCIceServer[]} iceServers
 * @property {number} ping seconds between our PINGs; 0 for none
 * @property {number} grace seconds that a call outlives its connection
 * @property {string[]} capabilities
 * @property {{name: string, address: string}[]} contacts
 * @property {number} expires seconds until the token expires and `login` must be called again; 0 for never
 * @property {string[]} calls sessions that wait for their page
 */

/** @typedef {Record<string, unknown> & {type: string}} Message */

/**
 * A connection to the gateway.
 *
 * Events, each a CustomEvent:
 * - `incoming` {call}: somebody calls; answer it or hang it up.
 * - `closed` {code, reason, text}: the connection is gone; fired once per successful `connect`.
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
  /** @type {Welcome | null} */ #welcome = null;
  /** @type {Required<Omit<Options, 'audio'>> & {audio: HTMLAudioElement | null}} */ #options;

  /**
   * @param {string | URL} url of the WebSocket, `ws:` or `wss:`
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    /** @type {string} */
    this.url = String(url);
    this.#options = { audio: null, microphone: true, rtc: {}, timeout: 10, WebSocket: globalThis.WebSocket, ...options };
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
   * @returns {Promise<void>} rejected with RtcgwError `gateway-unreachable`
   */
  connect() {
    if (this.#socket) return Promise.reject(new RtcgwError('protocol', 'There is a connection already.'));
    return new Promise((resolve, reject) => {
      const socket = new this.#options.WebSocket(this.url, [SUBPROTOCOL]);
      this.#socket = socket;
      let opened = false;
      socket.onopen = () => {
        opened = true;
        resolve();
      };
      socket.onmessage = (event) => this.#receive(event.data);
      socket.onclose = (event) => {
        if (this.#socket !== socket) return;
        this.#closed(event, opened);
        if (!opened) reject(new RtcgwError('gateway-unreachable'));
      };
    });
  }

  /**
   * Say who we are; nothing else may be sent before. Again, with a fresh token, before the old one expires.
   *
   * @param {{token: string} | {user: string, password: string}} credentials
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
    globalThis.clearInterval(this.#pingTimer);
    if (welcome.ping > 0) {
      this.#pingTimer = globalThis.setInterval(() => this.#ping(), welcome.ping * 1000);
    }
    this.#takeUp(welcome.calls);
    return welcome;
  }

  /** Go on with the calls that wait for us, and end those that were hung up meanwhile. @param {string[]} waiting sessions */
  #takeUp(waiting) {
    for (const call of this.calls) {
      if (call.state !== State.RELOADING) continue;
      if (waiting.includes(call.session)) call.restart();
      else call.connectionLost(0);
    }
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
   * @returns {Call}
   */
  call(to) {
    const call = new Call(this.#port(), { role: 'caller', remote: { uri: to, name: '' } });
    this.#unborn.add(call);
    call.start();
    return call;
  }

  /** Log out and close. Calls are hung up first. @returns {Promise<void>} */
  async close() {
    const socket = this.#socket;
    if (!socket) return;
    for (const call of this.calls) call.hangup();
    if (this.open && this.#welcome) {
      await this.request({ type: 'LOGOUT' }).catch(() => undefined); // gone already: that is what we want
    }
    socket.close(1000);
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
    const { audio, microphone, rtc } = this.#options;
    return {
      audio,
      microphone,
      rtc: { iceServers: this.#welcome?.iceServers ?? [], bundlePolicy: 'max-bundle', ...rtc },
      trickle: this.#welcome?.capabilities.includes('trickle') ?? false,
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

  async #ping() {
    try {
      await this.request({ type: 'PING' });
    } catch (error) {
      // An ERROR is a sign of life too; silence is not.
      if (error instanceof RtcgwError && error.code === 'no-reply') this.#socket?.close(4000, 'no reply to PING');
    }
  }

  /**
   * @param {{code: number, reason: string}} event
   * @param {boolean} opened whether the connection had ever been open
   */
  #closed(event, opened) {
    const grace = this.#welcome?.grace ?? 0;
    globalThis.clearInterval(this.#pingTimer);
    this.#socket = null;
    this.#welcome = null;
    for (const waiting of this.#pending.values()) {
      globalThis.clearTimeout(waiting.timer);
      waiting.reject(new RtcgwError('connection-lost', event.reason));
    }
    this.#pending.clear();
    for (const call of this.calls) call.connectionLost(grace);
    if (opened) {
      const said = event.reason || sentence(event.code === 1000 ? 'hangup' : 'connection-lost');
      this.#emit('closed', { code: event.code, reason: event.reason, text: said });
    }
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * One frame as a message, or null: what is no message of ours is passed over, never thrown at the page.
 *
 * @param {unknown} data
 * @returns {Message | null}
 */
function parse(data) {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data);
    return message && typeof message === 'object' && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}

/**
 * @param {Message} reply
 * @returns {Welcome}
 */
function readWelcome(reply) {
  const fields = /** @type {Record<string, any>} */ (reply);
  return {
    user: text(fields.user),
    identities: list(fields.identities),
    version: text(fields.version),
    server: text(fields.server),
    iceServers: list(fields.iceServers),
    ping: Number(fields.ping) || 0,
    grace: Number(fields.grace) || 0,
    capabilities: list(fields.capabilities),
    contacts: list(fields.contacts),
    expires: Number(fields.expires) || 0,
    calls: list(fields.calls),
  };
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function text(value) {
  return typeof value === 'string' ? value : '';
}

/**
 * @param {unknown} value
 * @returns {any[]}
 */
function list(value) {
  return Array.isArray(value) ? value : [];
}
