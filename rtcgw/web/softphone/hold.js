/**
 * Who has put whom on hold.
 *
 * Ours silences both directions here at once, before the gateway is asked: whoever presses the button
 * must not be heard a moment longer. What is theirs we are told; their sound may be music then.
 */

import { again } from './changes.js';
import { Turns } from './waiting.js';

export class Hold {
  #line;
  #sound;
  #turns = new Turns();
  #holding = false;
  #held = false;
  /** whether the other side has been told of ours */ #told = false;

  /**
   * @param {import('./sound.js').Line} line
   * @param {import('./sound.js').Sound} sound
   */
  constructor(line, sound) {
    this.#line = line;
    this.#sound = sound;
  }

  /** Whether we have put the other side on hold. @returns {boolean} */
  get holding() {
    return this.#holding;
  }

  /** Whether the other side has put us on hold. @returns {boolean} */
  get held() {
    return this.#held;
  }

  /**
   * Put the other side on hold, or take it back.
   *
   * @param {boolean} on
   * @param {boolean} [insist] silent it stays, even where the gateway refuses
   * @returns {Promise<void>} rejected with the gateway's refusal; nothing has changed then
   */
  set(on, insist = false) {
    if (on && !this.#holding) this.#apply(true);
    return this.#turns.take(async () => {
      if (on === this.#told) {
        this.#apply(on);
        return;
      }
      try {
        await again(() => this.#line.turn(() => this.#line.ask('HOLD', { on })));
        this.#told = on;
        this.#apply(on);
      } catch (error) {
        if (!insist) this.#apply(this.#told);
        throw error;
      }
    });
  }

  /** Another call takes the place of this one: it falls silent even where the other side will not hear of it. */
  park() {
    this.set(true, true).catch(() => undefined);
  }

  /** @param {boolean} on what the gateway tells of the other side */
  hear(on) {
    if (on === this.#held) return;
    this.#held = on;
    this.#line.emit('held', { held: on });
  }

  /** As the gateway says that it stands. @param {{holding: boolean, held: boolean}} as */
  restore({ holding, held }) {
    this.#told = holding;
    this.#apply(holding);
    this.hear(held);
  }

  /** @param {boolean} holding */
  #apply(holding) {
    if (holding === this.#holding || this.#line.over()) return;
    this.#holding = holding;
    this.#sound.silence(holding);
    this.#line.emit('holding', { holding });
  }
}
