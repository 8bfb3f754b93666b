/**
 * Whether this page is the only one of its user in this browser.
 *
 * It matters while a call rings: a page that sets up its media before the answer begins ICE and DTLS with
 * whoever calls, and two pages that do so spoil each other's handshake. Pages of one browser find out by a
 * shared lock, which each of them holds while it is logged in. Of pages in other browsers it does not know.
 */

export class Presence {
  #name;
  /** @type {(() => void) | null} */ #leave = null;

  /** @param {string} url of the gateway */
  constructor(url) {
    this.#name = `rtcgw page ${url}`;
  }

  /** We are there from now on. @param {string} user */
  enter(user) {
    if (this.#leave) return;
    this.#name += ` ${user}`;
    const left = new Promise((resolve) => {
      this.#leave = () => resolve(undefined);
    });
    globalThis.navigator?.locks?.request(this.#name, { mode: 'shared' }, () => left).catch(() => undefined);
  }

  leave() {
    this.#leave?.();
  }

  /** @returns {Promise<boolean>} true also where the browser cannot tell */
  async alone() {
    const found = await globalThis.navigator?.locks?.query().catch(() => undefined);
    return (found?.held ?? []).filter(({ name }) => name === this.#name).length < 2;
  }
}
