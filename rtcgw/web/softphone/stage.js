/** Pictures of a call, and how good it is. */

import { at, make, show } from './elements.js';

/** @type {Readonly<Record<string, string>>} */
const WORDS = Object.freeze({ good: 'Good sound', fair: 'Fair sound', poor: 'Poor sound' });

/**
 * @param {MediaStream | null} theirs
 * @param {MediaStream | null} ours
 * @returns {boolean} whether there is a picture at all
 */
export function showStage(theirs, ours) {
  put('remote-video', theirs);
  put('own-video', ours);
  show('stage', theirs !== null || ours !== null);
  return theirs !== null || ours !== null;
}

/** @param {import('./quality.js').Quality} quality */
export function showQuality({ word, received, sent, roundTrip }) {
  at('quality').classList.toggle('known', word !== '');
  at('quality-word').textContent = WORDS[word] ?? '';
  at('quality-bars').dataset.word = word;
  /** @type {[string, string][]} */
  const lines = [
    ['Lost', `${percent(received.loss)} in, ${percent(sent.loss)} out`],
    ['Jitter', `${milliseconds(received.jitter)} in, ${milliseconds(sent.jitter)} out`],
    ['Round trip', milliseconds(roundTrip)],
    ['Codec', [...new Set([received.codec, sent.codec])].filter(Boolean).join(' / ') || '–'],
  ];
  at('quality-numbers').replaceChildren(...lines.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]));
}

/**
 * @param {string} id
 * @param {MediaStream | null} stream
 */
function put(id, stream) {
  const video = /** @type {HTMLVideoElement} */ (at(id));
  if (video.srcObject !== stream) video.srcObject = stream;
  show(id, stream !== null);
}

/**
 * @param {number | null} value parts of 1
 * @returns {string}
 */
function percent(value) {
  return value === null ? '–' : `${(value * 100).toFixed(1)} %`;
}

/**
 * @param {number | null} seconds
 * @returns {string}
 */
function milliseconds(seconds) {
  return seconds === null ? '–' : `${Math.round(seconds * 1000)} ms`;
}
