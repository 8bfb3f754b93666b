/** Pauses that can be cut short, and work that is done one after the other. */

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
export function pause(ms) {
  return new Promise((resolve) => {
    globalThis.setTimeout(resolve, ms);
  });
}

/** One sleeper and whoever wakes it. Woken while it is not asleep, it skips its next sleep. */
export class Nap {
  /** @type {(() => void) | null} */ #rouse = null;
  #skip = false;

  /** @param {number} ms at most @returns {Promise<void>} */
  async sleep(ms) {
    if (!this.#skip) {
      await new Promise((resolve) => {
        const timer = globalThis.setTimeout(resolve, ms);
        this.#rouse = () => {
          globalThis.clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
    this.#rouse = null;
    this.#skip = false;
  }

  wake() {
    if (this.#rouse) this.#rouse();
    else this.#skip = true;
  }
}

/** Work that is done one after the other. */
export class Turns {
  /** @type {Promise<void>} */ #tail = Promise.resolve();

  /** Settled when all that was asked for so far is done. @returns {Promise<void>} */
  get done() {
    return this.#tail;
  }

  /**
   * Run after all that was asked before. What it throws is its caller's affair.
   *
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  take(work) {
    const done = this.#tail.then(work);
    const nothing = () => undefined;
    this.#tail = done.then(nothing, nothing);
    return done;
  }
}
