/**
 * Getting the sound of an answered call back: noticing that it is gone, and trying until it is there.
 *
 * What tells of a loss, from the quickest to the surest: the browser's word of a change of network,
 * packets that no longer come, the peer connection's `disconnected`, the loss of the WebSocket. The
 * first two may be false alarms (a phone may fall silent); the gateway's answer to a PING tells them
 * apart, since after a change of network it does not come.
 *
 * There is one attempt at a time, and however it fails the next one begins afresh: an offer that
 * went under with the old connection is rolled back by whoever made it.
 */

import { Nap, pause } from './waiting.js';

/** Milliseconds between two looks at what has come. */
const LOOK = 400;
/** Milliseconds without a packet after which something may be wrong. */
const SILENCE = 800;
/** Milliseconds that sound may take to be connected at first. */
const FIRST = 6000;
/** Milliseconds in which a path that works brings a packet. */
const PROOF = 300;
/** Milliseconds to wait for the sound after each attempt, and between attempts; the last from then on. */
const SETTLE = [1500, 2500, 4000];
const BACK_OFF = [150, 300, 600, 1000, 2000];

/**
 * @typedef {object} Work
 * @property {() => Promise<import('./peering.js').Sample>} sample
 * @property {() => boolean} expects whether the other side is to be heard at all
 * @property {() => boolean} open whether the gateway can be asked
 * @property {() => Promise<boolean>} check whether the gateway is there; it is given up if not
 * @property {() => Promise<boolean>} restart an ICE restart; false when it is to be tried again
 * @property {() => void} lost it begins
 * @property {() => void} restored
 * @property {() => void} gaveUp
 */

export class Recovery {
  #work;
  #nap = new Nap();
  #timer = 0;
  #running = false;
  #stopped = false;
  #deadline = 0;
  #patience = 0;
  /** packets seen, and when their number last grew */ #packets = 0;
  #since = 0;
  #armed = false;

  /** @param {Work} work */
  constructor(work) {
    this.#work = work;
  }

  /** Watch from now on. @param {number} patience seconds that an attempt may take, all in all */
  watch(patience) {
    this.#patience = patience;
    this.#since = performance.now();
    this.#timer = globalThis.setInterval(() => this.#look(), LOOK);
  }

  stop() {
    this.#stopped = true;
    globalThis.clearInterval(this.#timer);
    this.#nap.wake();
  }

  /** The connection to the gateway is there again, or the network: no need to wait any longer. */
  wake() {
    if (this.#running) this.#nap.wake();
  }

  /** The network may have changed: look closely. */
  async suspect() {
    this.#work.check();
    if (this.#running) {
      this.wake();
      return;
    }
    if (!this.#work.expects()) return;
    const before = await this.#work.sample();
    await pause(PROOF);
    if (this.#stopped || this.#running) return;
    const after = await this.#work.sample();
    if (!after.connected || after.packets === before.packets) await this.begin();
  }

  /**
   * Try until the sound is back, or patience is at an end.
   *
   * @param {number} [patience] seconds
   * @returns {Promise<void>}
   */
  async begin(patience = this.#patience) {
    this.#deadline = performance.now() + patience * 1000;
    if (this.#stopped || this.#running) return;
    this.#running = true;
    this.#work.lost();
    let restored = false;
    for (let attempt = 0; !restored && this.#goes; attempt++) {
      restored = this.#work.open() && (await this.#attempt(attempt));
      if (!restored && this.#goes) await this.#nap.sleep(nth(BACK_OFF, attempt));
    }
    this.#running = false;
    this.#armed = false;
    this.#since = performance.now();
    if (this.#stopped) return;
    if (restored) this.#work.restored();
    else this.#work.gaveUp();
  }

  get #goes() {
    return !this.#stopped && performance.now() < this.#deadline;
  }

  /**
   * @param {number} attempt
   * @returns {Promise<boolean>} whether the sound is back
   */
  async #attempt(attempt) {
    if (!(await this.#work.restart())) return false;
    const before = await this.#work.sample();
    const end = performance.now() + nth(SETTLE, attempt);
    while (this.#goes && this.#work.open() && performance.now() < end) {
      await pause(50);
      if (this.#stopped) return false;
      const { connected, packets, responses, pair } = await this.#work.sample();
      const moved = packets > before.packets || responses > before.responses || pair !== before.pair;
      if (connected && moved) return true;
    }
    return false;
  }

  async #look() {
    if (this.#running || this.#stopped) return;
    const { connected, packets } = await this.#work.sample();
    if (this.#running || this.#stopped) return;
    const silent = performance.now() - this.#since;
    if (packets !== this.#packets) {
      this.#packets = packets;
      this.#since = performance.now();
      this.#armed = true;
    } else if (packets === 0 && !connected && silent > FIRST) {
      this.#since = performance.now();
      await this.begin();
    } else if (this.#armed && silent > SILENCE && this.#work.expects()) {
      // Asked once for each silence: if the gateway is there, it is the other side that has nothing to say,
      // and if only the way of the sound is broken, the peer connection tells in a moment.
      this.#armed = false;
      await this.#work.check();
    }
  }
}

/**
 * @param {number[]} values
 * @param {number} index
 * @returns {number} the last one from the end on
 */
function nth(values, index) {
  return values[Math.min(index, values.length - 1)];
}
