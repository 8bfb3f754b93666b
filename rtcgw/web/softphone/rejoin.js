/**
 * A fresh access leg for a call that goes on without us: after a reload, from another page of the user's,
 * or for a call that was still ringing when the connection went.
 *
 * The gateway has kept the other half. We offer anew, with a peer connection that knows nothing of the one
 * before, until the gateway takes it, says that the call is over, or the time is up. A call that nobody has
 * answered yet is then waited for as before.
 */

import { RtcgwError, asError } from './errors.js';
import { text } from './wire.js';
import { Nap } from './waiting.js';

/** Milliseconds between attempts; the last from then on. */
const BACK_OFF = [100, 200, 400, 800, 1500];
/** Refusals that another attempt may not meet. */
const PASSING = new Set(['conflict', 'illegal-state', 'connection-lost', 'closed', 'no-reply', 'withdrawn']);

export class Rejoin {
  #line;
  #port;
  #sound;
  #nap = new Nap();
  #running = false;
  #deadline = 0;

  /**
   * @param {import('./sound.js').Line} line
   * @param {import('./calls.js').CallPort} port
   * @param {import('./sound.js').Sound} sound
   */
  constructor(line, port, sound) {
    this.#line = line;
    this.#port = port;
    this.#sound = sound;
  }

  /** Whether it is under way. @returns {boolean} */
  get running() {
    return this.#running;
  }

  /** There is a way to the gateway again: do not wait any longer. */
  wake() {
    if (this.#running) this.#nap.wake();
  }

  /**
   * @param {number} patience seconds in which the call must be there again
   * @returns {Promise<void>} never rejected: the call tells
   */
  async start(patience) {
    this.#deadline = performance.now() + patience * 1000;
    if (this.#running) return;
    this.#running = true;
    try {
      await this.#untilThere();
    } catch (error) {
      this.#line.fail(asError(error));
    }
    this.#running = false;
  }

  async #untilThere() {
    let failure = new RtcgwError('connection-lost');
    for (let attempt = 0; !this.#line.over(); attempt++) {
      if (this.#port.open()) {
        try {
          if (await this.#line.turn(() => this.#once())) return;
        } catch (error) {
          failure = asError(error);
          if (!PASSING.has(failure.code)) throw failure;
        }
      }
      if (performance.now() > this.#deadline) throw failure;
      await this.#nap.sleep(BACK_OFF[Math.min(attempt, BACK_OFF.length - 1)]);
    }
  }

  /** @returns {Promise<boolean>} whether there is nothing more to try */
  async #once() {
    if (this.#line.over()) return true;
    this.#sound.discard();
    // Before anything is said to the gateway: where there is no microphone, another page's call stays there.
    if (!(await this.#sound.ready())) return true;
    await this.#port.relays.fresh();
    const { peering } = this.#sound;
    await this.#sound.carry();
    const sdp = await peering.offer();
    if (this.#line.over()) return true;
    const asked = this.#line.ask('OFFER', { sdp });
    peering.release();
    const reply = await asked;
    const answer = text(reply.sdp);
    if (!answer) {
      this.#line.waits();
      return true;
    }
    if (reply.sdpType === 'pranswer') {
      await peering.take('pranswer', answer);
      this.#line.waits();
      return true;
    }
    await peering.take('answer', answer);
    this.#line.answered(this.#line.since());
    return true;
  }
}
