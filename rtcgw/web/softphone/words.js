/** What the page says of a call, in words. */

import { State } from './rtcgw.js';

/** @type {Readonly<Record<string, string>>} */
const STAGES = Object.freeze({
  forwarded: 'The call is being forwarded…',
  queued: 'Waiting for a free line…',
});

/** @type {Readonly<Record<string, string>>} Of somebody who takes part. */
const PARTS = Object.freeze({
  calling: 'Is being called',
  talking: 'In the call',
  held: 'On hold',
  away: 'Connection lost, coming back',
});

/** @type {Readonly<Record<string, string>>} */
const TRANSFERS = Object.freeze({
  trying: 'Transferring the call…',
  ringing: 'Transferring the call: it rings there…',
  done: 'The call has been transferred.',
  failed: 'The transfer failed.',
});

/** @param {string} stage of PROGRESS @returns {string} */
export function stageWords(stage) {
  return STAGES[stage] ?? '';
}

/** @param {string} part of a participant @returns {string} */
export function partWords(part) {
  return PARTS[part] ?? '';
}

/** @param {{stage: string, text: string}} transfer @returns {string} */
export function transferWords({ stage, text }) {
  return stage === 'failed' && text ? `The transfer failed. ${text}` : (TRANSFERS[stage] ?? '');
}

/**
 * Who waits for whom, in a line under the call.
 *
 * @param {import('./rtcgw.js').Call} call
 * @returns {string} '' where nobody waits
 */
export function noteOf(call) {
  const others = call.participants.length === 2 ? call.participants.filter(({ uri }) => uri === call.remote.uri) : [];
  if (call.state === State.HANGUP) return '';
  if (call.holding && call.held) return 'Both sides are on hold';
  if (call.holding) return 'On hold';
  if (call.held) return 'You are on hold';
  return others.some(({ part }) => part === 'away') ? 'The other side has lost its connection and is coming back' : '';
}

/**
 * How an incoming call came here.
 *
 * @param {import('./rtcgw.js').Call} call
 * @param {(party: import('./wire.js').Party) => string} named
 * @returns {string}
 */
export function aboutOf(call, named) {
  const parts = [];
  const [first] = call.history;
  if (first) parts.push(`For ${named(first)}`);
  if (call.referredBy) parts.push(`Transferred by ${named({ uri: call.referredBy, name: '' })}`);
  return parts.join(' · ');
}

/**
 * A call that is not the one on the screen, in a few words.
 *
 * @param {import('./rtcgw.js').Call} call
 * @returns {string}
 */
export function lineOf(call) {
  if (call.state === State.RELOADING) return 'Coming back…';
  if (call.state === State.CALLING) return call.role === 'caller' ? (call.ringing ? 'Ringing…' : 'Calling…') : 'Calls you';
  return noteOf(call) || 'In the call';
}

/**
 * An address as it is dialled: a number loses the signs that only help to read it (RFC 3966 §5.1.1).
 *
 * @param {string} text
 * @returns {string}
 */
export function tidy(text) {
  const address = text.trim();
  return /^\+?[\d\s().\-/*#]+$/.test(address) ? address.replace(/[\s().\-/]/g, '') : address;
}

/** @param {Date} date @returns {string} the time of the day, with the day where it is another one */
export function timeOf(date) {
  const today = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return today ? time : `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })}, ${time}`;
}
