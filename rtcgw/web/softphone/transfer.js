/**
 * A transfer of one call: asked for, followed, and decided once.
 *
 * The gateway tells how it goes by news of its own, and in the end by the end of the call. What was lost
 * with a connection in the middle of it is not known: whoever waits hears so, and the call itself tells
 * the rest.
 */

import { RtcgwError } from './errors.js';
import { text } from './wire.js';

/** Reasons of a call's end that say that its transfer has come about. */
const DONE = new Set(['transferred', 'replaced']);

export class Transfer {
  #line;
  /** @type {{resolve: () => void, reject: (error: RtcgwError) => void} | null} */ #waiting = null;

  /** @param {import('./sound.js').Line} line */
  constructor(line) {
    this.#line = line;
  }

  /**
   * @param {{to: string} | {with: string}} whom an address, or the session of another call
   * @returns {Promise<void>} resolved when they talk to each other; rejected when the call stays as it was
   */
  start(whom) {
    if (this.#waiting) return Promise.reject(new RtcgwError('transfer-busy'));
    const decided = new Promise((resolve, reject) => {
      this.#waiting = { resolve: () => resolve(undefined), reject };
    });
    this.#line.ask('TRANSFER', whom).catch((error) => this.#decide(error));
    return decided;
  }

  /** @param {import('./rtcgw.js').Message} message TRANSFER of the gateway */
  hear(message) {
    const [stage, reason] = [text(message.stage), text(message.reason)];
    const failed = stage === 'failed' ? new RtcgwError(reason || 'transfer-failed', text(message.text)) : null;
    const status = Number(message.status) || undefined;
    this.#line.emit('transfer', { stage, reason, text: failed?.message ?? '', status });
    if (stage === 'done') this.#decide(null);
    else if (failed) this.#decide(failed);
  }

  /** The call is over. @param {import('./figure.js').Ended} ended */
  end({ reason, text: said }) {
    this.#decide(DONE.has(reason) ? null : new RtcgwError(reason, said));
  }

  /** The connection is lost, and the news with it. */
  lost() {
    this.#decide(new RtcgwError('connection-lost'));
  }

  /** @param {RtcgwError | null} error */
  #decide(error) {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (error) waiting?.reject(error);
    else waiting?.resolve();
  }
}
