/**
 * Connecting again after a loss: when, and how long each attempt may take.
 */

import { Nap } from './waiting.js';

/** Seconds before each attempt, the last one from then on: with calls that wait for it, and without. */
const URGENT = [0, 0.15, 0.3, 0.6, 1];
const PATIENT = [0.5, 1, 2, 4, 8, 15];
/** Seconds that an attempt may take: short at first, because one begun in the old network never ends. */
const LIMITS = [1, 2, 4, 8];

export class Comeback {
  #attempt;
  #urgent;
  #nap = new Nap();
  #active = false;

  /**
   * @param {(limit: number) => Promise<boolean>} attempt true when there is nothing more to try
   * @param {() => boolean} urgent whether calls wait
   */
  constructor(attempt, urgent) {
    this.#attempt = attempt;
    this.#urgent = urgent;
  }

  /** @returns {boolean} */
  get active() {
    return this.#active;
  }

  async start() {
    if (this.#active) return;
    this.#active = true;
    for (let n = 0; this.#active; n++) {
      const pauses = this.#urgent() ? URGENT : PATIENT;
      const seconds = pauses[Math.min(n, pauses.length - 1)];
      // Spread, so that the pages of a gateway that was restarted do not all come at once.
      if (seconds) await this.#nap.sleep(seconds * (750 + 500 * Math.random()));
      if (this.#active && (await this.#attempt(LIMITS[Math.min(n, LIMITS.length - 1)]))) break;
    }
    this.#active = false;
  }

  /** The network is there again: do not wait any longer. */
  hurry() {
    if (this.#active) this.#nap.wake();
  }

  stop() {
    this.#active = false;
    this.#nap.wake();
  }
}

/**
 * Call back when the machine's network may have changed.
 *
 * @param {() => void} changed
 * @returns {() => void} ends it
 */
export function watchNetwork(changed) {
  /** @type {[EventTarget | undefined, string][]} */
  const signs = [
    [globalThis, 'online'],
    // Not in every browser. It also tells of new estimates of the speed; the listener looks for itself.
    [/** @type {any} */ (globalThis.navigator)?.connection, 'change'],
  ];
  for (const [target, type] of signs) target?.addEventListener?.(type, changed);
  return () => {
    for (const [target, type] of signs) target?.removeEventListener?.(type, changed);
  };
}
