/** Who takes part in a call, as the gateway tells it: whole lists, of which the newest counts. */

import { readParticipants } from './wire.js';

export class Roster {
  #line;
  #version = -1;
  /** @type {import('./wire.js').Participant[]} */ #participants = [];

  /** @param {import('./sound.js').Line} line */
  constructor(line) {
    this.#line = line;
  }

  /** All of them; empty while nothing is known. @returns {import('./wire.js').Participant[]} */
  get participants() {
    return [...this.#participants];
  }

  /** @param {import('./rtcgw.js').Message} message PARTICIPANTS; what is older than the list we have is dropped */
  hear(message) {
    const version = Number(message.version);
    if (!Number.isInteger(version) || version <= this.#version) return;
    this.#version = version;
    this.#participants = readParticipants(message.participants);
    this.#line.emit('participants', { version, participants: this.participants });
  }

  /** Another call of the gateway's begins behind this one, and counts its lists anew. */
  renew() {
    this.#version = -1;
  }
}
