/**
 * The STUN and TURN servers that the gateway names, kept fresh: their passwords hold for a while only.
 */

/** How much of its time a list may have used before it is renewed: by itself, and before it is needed. */
const RENEW = 0.8;
const STALE = 0.5;
/** Seconds before a renewal that failed is tried again. */
const RETRY = 10;
/** Seconds that a call waits for a renewal. */
const PATIENCE = 1;
/** What `setTimeout` can wait, in ms; a longer wait would be none. */
const LONGEST = 2 ** 31 - 1;

export class Relays {
  /** @type {RTCIceServer[]} */ #servers = [];
  #ttl = 0;
  #since = 0;
  #timer = 0;
  #ask;
  #changed;
  /** @type {Promise<void> | null} */ #renewing = null;

  /**
   * @param {(timeout?: number) => Promise<Record<string, any>>} ask the gateway for a fresh list
   * @param {(servers: RTCIceServer[]) => void} changed
   */
  constructor(ask, changed) {
    this.#ask = ask;
    this.#changed = changed;
  }

  /** @returns {RTCIceServer[]} */
  get servers() {
    return this.#servers;
  }

  /**
   * @param {RTCIceServer[]} servers
   * @param {number} ttl seconds for which they can be used; 0 for ever
   */
  use(servers, ttl) {
    this.#servers = servers;
    this.#ttl = ttl;
    this.#since = performance.now();
    this.stop();
    if (ttl > 0) this.#later(ttl * RENEW);
    this.#changed(servers);
  }

  /** Renewed if they are half used up; at worst the old ones stay. @returns {Promise<void>} */
  async fresh() {
    const age = (performance.now() - this.#since) / 1000;
    if (this.#ttl > 0 && age > this.#ttl * STALE) await this.renew(PATIENCE);
  }

  /**
   * @param {number} [timeout] seconds
   * @returns {Promise<void>} never rejected
   */
  renew(timeout) {
    this.#renewing ??= this.#ask(timeout)
      .then((reply) => this.use(Array.isArray(reply.iceServers) ? reply.iceServers : [], Number(reply.ttl) || 0))
      .catch(() => this.#later(RETRY))
      .finally(() => {
        this.#renewing = null;
      });
    return this.#renewing;
  }

  stop() {
    globalThis.clearTimeout(this.#timer);
  }

  /** @param {number} seconds */
  #later(seconds) {
    this.stop();
    this.#timer = globalThis.setTimeout(() => this.renew(), Math.min(seconds * 1000, LONGEST));
  }
}
