/**
 * The states of a call, and what moves it from one to the next: the gateway's own Fig. 7, as a table.
 *
 * Every move is decided in every state. `null` says that nothing happens, which is right for what
 * comes late or twice: the network orders nothing across a reload.
 */

/** The states of Fig. 7. `Idle` is before the call; a Call never has it. */
export const State = Object.freeze({
  IDLE: 'Idle',
  CALLING: 'Calling',
  IN_CALL: 'InCall',
  RELOADING: 'Reloading',
  HANGUP: 'Hangup',
});

/**
 * - `answered`: both sides know that the call has begun
 * - `lost`: the sound, or the connection to the gateway, is gone
 * - `back`: the sound of an answered call is there again
 * - `waits`: the gateway is there again, and nobody has answered yet
 * - `over`: the call is
 *
 * @typedef {'answered' | 'lost' | 'back' | 'waits' | 'over'} Move
 */

const { CALLING, IN_CALL, RELOADING, HANGUP } = State;

/** @type {Readonly<Record<string, Readonly<Record<Move, string | null>>>>} State -> move -> next state. */
export const TABLE = Object.freeze({
  [CALLING]: { answered: IN_CALL, lost: RELOADING, back: null, waits: null, over: HANGUP },
  [IN_CALL]: { answered: null, lost: RELOADING, back: null, waits: null, over: HANGUP },
  [RELOADING]: { answered: IN_CALL, lost: null, back: IN_CALL, waits: CALLING, over: HANGUP },
  [HANGUP]: { answered: null, lost: null, back: null, waits: null, over: null },
});

/**
 * @typedef {object} Ended why a call is over
 * @property {string} reason the word, e.g. `busy`
 * @property {string} text a sentence to show
 * @property {number} [status] the SIP status, where one was the cause
 * @property {string} [said] what the other side or its network said about it, in its own words
 */

/** Where one call stands. */
export class Figure {
  #state;
  #changed;

  /**
   * @param {string} state the first one
   * @param {(state: string, before: string) => void} changed
   */
  constructor(state, changed) {
    this.#state = state;
    this.#changed = changed;
  }

  /** One of `State`. @returns {string} */
  get state() {
    return this.#state;
  }

  /**
   * @param {Move} move
   * @returns {boolean} whether anything happened
   */
  move(move) {
    const next = TABLE[this.#state][move];
    if (next === null) return false;
    const before = this.#state;
    this.#state = next;
    this.#changed(next, before);
    return true;
  }
}
