/**
 * What a page leaves for itself to find when it is loaded again: the token that logs it in without a
 * password, and which calls were its own.
 *
 * Two places. `TabMemory` lives and dies with the tab: a reload finds it, a browser that was killed and
 * begins anew does not. `BrowserMemory` outlives the browser, so what it holds must not be found by a
 * tab beside the one that is still open: each tab has a slot of its own and holds a lock on it while it
 * lives, and only a slot without a lock is another tab's to take. What is kept is secret while it holds:
 * the gateway takes a token once, and not for long.
 */

/**
 * @typedef {object} Kept
 * @property {string} token
 * @property {number} ttl seconds that the token holds after the connection was lost
 * @property {KeptCall[]} calls
 */

/** @typedef {{session: string, role: 'caller' | 'callee', remote: import('./wire.js').Party, muted: boolean}} KeptCall */

/**
 * @typedef {object} Memory
 * @property {() => Promise<Kept | null>} take what was kept; from now on this page's own
 * @property {(kept: Kept) => void} keep in place of what was kept before
 * @property {() => void} forget
 */

import { list, readParty, record, text } from './wire.js';

/** Slots of one gateway in one browser; what would be more loses the oldest. */
const SLOTS = 8;
/** Milliseconds in which the page that was here before lets go of its lock. */
const HANDOVER = 1000;

/** Keeps nothing. @implements {Memory} */
export class NoMemory {
  /** @returns {Promise<Kept | null>} */
  async take() {
    return null;
  }

  keep() {}

  forget() {}
}

/** One place in one tab. @implements {Memory} */
export class TabMemory {
  #key;

  /** @param {string} url of the gateway: several must not be mixed up */
  constructor(url) {
    this.#key = `rtcgw ${url}`;
  }

  /** @returns {Promise<Kept | null>} */
  async take() {
    return read(globalThis.sessionStorage, this.#key);
  }

  /** @param {Kept} kept */
  keep(kept) {
    write(globalThis.sessionStorage, this.#key, kept);
  }

  forget() {
    erase(globalThis.sessionStorage, this.#key);
  }
}

/** Slots in the browser, one for each tab. @implements {Memory} */
export class BrowserMemory {
  #url;
  /** @type {string} ours; '' before we have one */ #slot = '';
  #tab;

  /** @param {string} url of the gateway: several must not be mixed up */
  constructor(url) {
    this.#url = url;
    this.#tab = `rtcgw-slot ${url}`;
  }

  /** @returns {Promise<Kept | null>} */
  async take() {
    const own = recall(this.#tab);
    // The same tab, loaded again: the page before may hold its lock for another moment. A tab that is
    // the copy of an open one has its slot's name too, and waits in vain.
    if (own && (await lock(this.#name(own), HANDOVER))) return this.#settle(own);
    for (const slot of this.#others(own)) {
      if (await lock(this.#name(slot), 0)) return this.#settle(slot);
    }
    await this.#begin();
    return null;
  }

  /** @param {Kept} kept */
  keep(kept) {
    if (!this.#slot) this.#begin();
    write(globalThis.localStorage, this.#name(this.#slot), { ...kept, at: Date.now() });
    for (const slot of this.#others(this.#slot).slice(SLOTS - 1)) erase(globalThis.localStorage, this.#name(slot));
  }

  forget() {
    if (this.#slot) erase(globalThis.localStorage, this.#name(this.#slot));
  }

  /** A slot of our own, that nobody else knows of. */
  async #begin() {
    this.#slot = randomName();
    remember(this.#tab, this.#slot);
    await lock(this.#name(this.#slot), 0);
  }

  /**
   * @param {string} slot whose lock is ours
   * @returns {Kept | null}
   */
  #settle(slot) {
    this.#slot = slot;
    remember(this.#tab, slot);
    return read(globalThis.localStorage, this.#name(slot));
  }

  /**
   * @param {string} mine
   * @returns {string[]} all other slots, the latest first
   */
  #others(mine) {
    const start = this.#name('');
    const names = keys(globalThis.localStorage).filter((key) => key.startsWith(start));
    const aged = names.map((name) => ({ slot: name.slice(start.length), at: written(name) }));
    aged.sort((one, other) => other.at - one.at);
    return aged.map(({ slot }) => slot).filter((slot) => slot !== mine);
  }

  /** @param {string} slot @returns {string} of its entry, and of its lock */
  #name(slot) {
    return `rtcgw ${this.#url} ${slot}`;
  }
}

/**
 * The memory that a page asks for.
 *
 * @param {'tab' | 'browser' | 'none' | Memory} wanted
 * @param {string} url
 * @returns {Memory}
 */
export function makeMemory(wanted, url) {
  if (typeof wanted === 'object') return wanted;
  if (wanted === 'none') return new NoMemory();
  // Without locks tabs cannot be told apart; browsers give them to securely loaded pages only.
  return wanted === 'browser' && globalThis.navigator?.locks ? new BrowserMemory(url) : new TabMemory(url);
}

/**
 * Hold a lock for as long as this page lives.
 *
 * @param {string} name
 * @param {number} patience ms to wait for whoever has it
 * @returns {Promise<boolean>} whether it is ours
 */
function lock(name, patience) {
  return new Promise((resolve) => {
    const wait = patience ? { signal: AbortSignal.timeout(patience) } : { ifAvailable: true };
    const held = globalThis.navigator.locks.request(name, wait, (granted) => {
      resolve(granted !== null);
      return granted && new Promise(() => undefined);
    });
    held.catch(() => resolve(false));
  });
}

/** @returns {string} that cannot be guessed and does not come twice */
function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} name @returns {number} when it was written, ms since the epoch; 0 for what nobody of us wrote */
function written(name) {
  return Number(parsed(globalThis.localStorage.getItem(name)).at) || 0;
}

/** @param {string} key @returns {string} */
function recall(key) {
  try {
    return globalThis.sessionStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} key @param {string} value */
function remember(key, value) {
  try {
    globalThis.sessionStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing: a reload then begins at the log-in.
  }
}

/** @param {Storage} storage @returns {string[]} */
function keys(storage) {
  return Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? '');
}

/**
 * @param {Storage} storage
 * @param {string} key
 * @returns {Kept | null} null for nothing, and for what is not as we write it
 */
function read(storage, key) {
  try {
    const found = parsed(storage.getItem(key));
    if (!text(found.token)) return null;
    const calls = list(found.calls).map((each) => record(each)).filter(({ session }) => text(session));
    return {
      token: found.token,
      ttl: Number(found.ttl) || 0,
      calls: calls.map(({ session, role, remote, muted }) => ({
        session,
        role: role === 'callee' ? 'callee' : 'caller',
        remote: readParty(remote),
        muted: muted === true,
      })),
    };
  } catch {
    return null; // no access to the storage: the user may have forbidden it
  }
}

/** @param {Storage} storage @param {string} key @param {object} value */
function write(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Full, or forbidden: a reload then begins at the log-in.
  }
}

/** @param {Storage} storage @param {string} key */
function erase(storage, key) {
  try {
    storage.removeItem(key);
  } catch {
    // Forbidden: then nothing was written either.
  }
}

/** @param {string | null} written @returns {Record<string, any>} */
function parsed(written) {
  try {
    return record(JSON.parse(written ?? ''));
  } catch {
    return {};
  }
}
