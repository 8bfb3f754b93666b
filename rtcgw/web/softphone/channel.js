/**
 * One WebSocket to the gateway: it is opened, requests find their replies, and its end is told once.
 *
 * It knows nothing of log-ins and calls, and is never opened again: whoever wants another connection
 * makes another one, which may be there before the old one has gone.
 */

import { RtcgwError } from './errors.js';
import { parse, text } from './wire.js';

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = 'rtcgw.1';

/**
 * @typedef {object} Hooks
 * @property {(message: import('./rtcgw.js').Message) => void} said what replies to no request of this connection
 * @property {(end: {code: number, reason: string}) => void} closed once, after it had been open
 */

export class Channel {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, {resolve: (reply: import('./rtcgw.js').Message) => void, reject: (error: RtcgwError) => void, timer: number}>} */
  #pending = new Map();
  #lastId = 0;
  #hooks;
  #timeout;
  /** @type {(() => void) | null} */ #quiet = null;

  /**
   * @param {Hooks} hooks
   * @param {number} timeout seconds that a reply may take
   */
  constructor(hooks, timeout) {
    this.#hooks = hooks;
    this.#timeout = timeout;
  }

  /** Whether messages can be sent. @returns {boolean} */
  get open() {
    return this.#socket?.readyState === 1;
  }

  /**
   * @param {string} url
   * @param {typeof WebSocket} Socket
   * @param {number} limit seconds that it may take
   * @returns {Promise<void>} rejected with RtcgwError `gateway-unreachable`
   */
  connect(url, Socket, limit) {
    return new Promise((resolve, reject) => {
      const socket = new Socket(url, [SUBPROTOCOL]);
      this.#socket = socket;
      const fail = () => {
        globalThis.clearTimeout(late);
        this.#socket = null;
        reject(new RtcgwError('gateway-unreachable'));
      };
      const late = globalThis.setTimeout(() => {
        socket.onclose = null;
        fail();
        socket.close();
      }, limit * 1000);
      socket.onclose = fail;
      socket.onmessage = (event) => this.#receive(event.data);
      socket.onopen = () => {
        globalThis.clearTimeout(late);
        socket.onclose = ({ code, reason }) => this.#end({ code, reason });
        resolve();
      };
    });
  }

  /**
   * Send a request and wait for its reply, matched by `id`.
   *
   * @param {import('./rtcgw.js').Message} message without `id`
   * @param {number} [timeout] seconds
   * @returns {Promise<import('./rtcgw.js').Message>} rejected with the gateway's ERROR, `no-reply` or `connection-lost`
   */
  request(message, timeout = this.#timeout) {
    const socket = this.#socket;
    if (!socket || !this.open) return Promise.reject(new RtcgwError('closed'));
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      const timer = globalThis.setTimeout(() => {
        this.#settled(id);
        reject(new RtcgwError('no-reply'));
      }, timeout * 1000);
      this.#pending.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ ...message, id }));
    });
  }

  /** Wait until no reply is owed. @param {number} limit ms at most @returns {Promise<void>} */
  async quiet(limit) {
    if (!this.#pending.size) return;
    await new Promise((resolve) => {
      this.#quiet = () => resolve(undefined);
      globalThis.setTimeout(resolve, limit);
    });
    this.#quiet = null;
  }

  /** Close politely; `closed` is told when the browser has done it. */
  close() {
    this.#socket?.close(1000);
  }

  /**
   * Give it up at once: its own farewell may take the browser many seconds.
   *
   * @param {number} code
   * @param {string} reason
   */
  drop(code, reason) {
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = null;
    socket.close(code, reason);
    this.#end({ code, reason });
  }

  /** Close it without a word to anybody: another one has taken its place. */
  leave() {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onclose = null;
    socket.onmessage = null;
    this.#abandon('');
    socket.close(1000);
  }

  /** @param {{code: number, reason: string}} end */
  #end(end) {
    if (!this.#socket) return;
    this.#socket = null;
    this.#abandon(end.reason);
    this.#hooks.closed(end);
  }

  /** @param {string} reason why there will be no replies */
  #abandon(reason) {
    for (const [id, waiting] of [...this.#pending]) {
      this.#settled(id);
      waiting.reject(new RtcgwError('connection-lost', reason));
    }
  }

  /** @param {unknown} data one frame */
  #receive(data) {
    const message = parse(data);
    if (!message) return;
    const id = message.id === undefined ? '' : String(message.id);
    const waiting = this.#pending.get(id);
    if (!waiting) {
      this.#hooks.said(message);
      return;
    }
    this.#settled(id);
    if (message.type === 'ERROR') waiting.reject(new RtcgwError(text(message.code), text(message.text)));
    else waiting.resolve(message);
  }

  /** @param {string} id of a request that waits no longer */
  #settled(id) {
    globalThis.clearTimeout(this.#pending.get(id)?.timer);
    this.#pending.delete(id);
    if (!this.#pending.size) this.#quiet?.();
  }
}
