/**
 * How good a call sounds, in numbers and in a word, from the browser's own statistics.
 */

import { pairInUse } from './media.js';

/** Milliseconds between two measurements. */
const PERIOD = 2000;

/**
 * Up to where a word holds: parts of 1 lost, seconds of jitter, seconds there and back. From there on
 * people notice (fair), or suffer (poor): ITU-T G.114 for the delay, G.113 for the loss.
 */
const LIMITS = [
  { word: 'good', loss: 0.02, jitter: 0.03, roundTrip: 0.3 },
  { word: 'fair', loss: 0.06, jitter: 0.08, roundTrip: 0.6 },
];

/**
 * @typedef {object} Direction
 * @property {number} packets in the last period
 * @property {number | null} loss parts of 1
 * @property {number | null} jitter seconds
 * @property {string} codec e.g. `opus`
 * @property {number | null} level 0..1
 */

/**
 * @typedef {object} Quality
 * @property {'good' | 'fair' | 'poor' | ''} word '' while nothing can be said
 * @property {Direction} received of the sound
 * @property {Direction} sent of the sound
 * @property {number | null} roundTrip seconds
 */

export class QualityMeter {
  #peer;
  #report;
  #timer = 0;
  /** @type {Map<string, Record<string, any>>} the last entries, by id */ #before = new Map();

  /**
   * @param {RTCPeerConnection} peer
   * @param {(quality: Quality) => void} report called every two seconds
   */
  constructor(peer, report) {
    this.#peer = peer;
    this.#report = report;
  }

  start() {
    if (!this.#timer) this.#timer = globalThis.setInterval(() => this.#measure(), PERIOD);
  }

  stop() {
    globalThis.clearInterval(this.#timer);
  }

  async #measure() {
    const stats = await this.#peer.getStats();
    const find = (/** @type {string} */ type) =>
      [...stats.values()].find((entry) => entry.type === type && entry.kind === 'audio') ?? {};
    const [inbound, outbound, remote] = [find('inbound-rtp'), find('outbound-rtp'), find('remote-inbound-rtp')];
    const lost = this.#grown(inbound, 'packetsLost');
    const packets = this.#grown(inbound, 'packetsReceived');
    const received = {
      packets,
      loss: packets + lost > 0 ? Math.max(0, lost) / (packets + Math.max(0, lost)) : null,
      jitter: inbound.jitter ?? null,
      codec: codecName(stats.get(inbound.codecId)),
      level: inbound.audioLevel ?? null,
    };
    const sent = {
      packets: this.#grown(outbound, 'packetsSent'),
      loss: remote.fractionLost ?? null,
      jitter: remote.jitter ?? null,
      codec: codecName(stats.get(outbound.codecId)),
      level: stats.get(outbound.mediaSourceId)?.audioLevel ?? null,
    };
    const roundTrip = remote.roundTripTime ?? pairInUse(stats)?.currentRoundTripTime ?? null;
    this.#before = new Map([inbound, outbound].map((entry) => [entry.id, entry]));
    this.#report({ word: word(received, sent, roundTrip), received, sent, roundTrip });
  }

  /**
   * @param {Record<string, any>} entry
   * @param {string} name of a counter
   * @returns {number} how far it has come since the last measurement
   */
  #grown(entry, name) {
    return (entry[name] ?? 0) - (this.#before.get(entry.id)?.[name] ?? 0);
  }
}

/**
 * @param {Direction} received
 * @param {Direction} sent
 * @param {number | null} roundTrip
 * @returns {Quality['word']}
 */
function word(received, sent, roundTrip) {
  if (!received.packets && !sent.packets) return '';
  const loss = Math.max(received.loss ?? 0, sent.loss ?? 0);
  const jitter = Math.max(received.jitter ?? 0, sent.jitter ?? 0);
  const fits = LIMITS.find((limit) => loss <= limit.loss && jitter <= limit.jitter && (roundTrip ?? 0) <= limit.roundTrip);
  return /** @type {Quality['word']} */ (fits?.word ?? 'poor');
}

/**
 * @param {Record<string, any> | undefined} codec
 * @returns {string}
 */
function codecName(codec) {
  return String(codec?.mimeType ?? '').replace(/^\w+\//, '');
}
