/**
 * What can go wrong, as one error type with a word for programs and a sentence for people.
 *
 * The words of ended calls are the gateway's (its reason table); the words that begin with
 * `microphone-`, `camera-`, `relay-` and `transfer-`, and `video-refused`, `playback-blocked`, `insecure-origin`,
 * `gateway-unreachable`, `connection-lost`, `no-reply` and `closed` are made here, on the page's side.
 */

/** @type {Readonly<Record<string, string>>} Word -> what happened, and what to do about it. */
const SENTENCES = Object.freeze({
  // made on this side
  'insecure-origin':
    'The browser gives no microphone to a page that was not loaded securely. Open this page with https://, or on the gateway’s own machine at http://localhost.',
  'microphone-denied':
    'The microphone is not allowed for this page. Allow it in the browser’s site settings, beside the address, and call again.',
  'microphone-missing': 'No microphone was found. Connect one and call again.',
  'microphone-busy': 'The microphone cannot be used: another program may hold it. Close that program and call again.',
  'camera-denied':
    'The camera is not allowed for this page. Allow it in the browser’s site settings, beside the address, and try again.',
  'camera-missing': 'No camera was found. Connect one and try again.',
  'camera-busy': 'The camera cannot be used: another program may hold it. Close that program and try again.',
  'video-refused': 'The other side takes no video. The call goes on with sound.',
  'relay-refused':
    'The relay server refused this page, so sound may find no way through the network. Log in again, or ask whoever runs the service.',
  'relay-unreachable': 'The relay server cannot be reached, so sound may find no way through the network.',
  'playback-blocked': 'The browser plays no sound before you have touched this page. Click or tap anywhere.',
  'transfer-busy': 'This call is being transferred already.',
  'transfer-failed': 'The call could not be transferred.',
  'gateway-unreachable':
    'The gateway does not answer. Check the network, and that the gateway is running, then try again.',
  'connection-lost': 'The connection to the gateway was lost.',
  'no-reply': 'The gateway did not reply in time. Try again.',
  closed: 'There is no connection to the gateway now. Try again in a moment.',
  // refusals of requests
  'login-refused': 'Name, password or token were not accepted.',
  'too-many-attempts': 'Too many failed log-ins. Wait a moment and try again.',
  'token-expired': 'The token has expired. Log in with a fresh one.',
  'already-logged-in': 'This connection belongs to another user. Log out first.',
  'unsupported-version': 'Gateway and page are of different versions. Reload the page.',
  limit: 'Too many calls or connections at once.',
  moved: 'The call goes on in another tab or on another device.',
  'no-session': 'The call was over before the connection came back.',
  ended: 'The call has ended.',
  // the gateway's reasons
  hangup: 'The call has ended.',
  transferred: 'The call has been transferred.',
  merged: 'The call is part of a conference now.',
  replaced: 'Another call has taken the place of this one.',
  cancelled: 'The caller gave up.',
  busy: 'The number is busy.',
  declined: 'The call was declined.',
  unwanted: 'The call was marked as unwanted.',
  'no-answer': 'Nobody answered.',
  'answered-elsewhere': 'The call was answered on another device.',
  unavailable: 'The person cannot be reached now.',
  'not-found': 'There is no such number or user. Check the address.',
  'address-incomplete': 'The number is incomplete. Check it and call again.',
  forbidden: 'This call is not allowed.',
  'anonymity-refused': 'The other side does not take anonymous calls.',
  'service-alternative': 'The network offers another service in place of this call.',
  'emergency-not-supported': 'Emergency numbers cannot be called from here. Use a phone.',
  'media-incompatible': 'The two sides have no sound format in common.',
  'precondition-failed': 'The phone network could not keep the line that this call needs. Try again later.',
  'media-failed': 'The sound could not be set up.',
  'media-lost': 'The sound was lost. Check the network and call again.',
  timeout: 'The other side did not respond.',
  gone: 'The other side no longer knows the call.',
  'client-lost': 'The other side lost its connection.',
  'not-registered': 'The gateway is not registered at the phone network. Try again later.',
  'auth-failed': 'The phone network refused the gateway.',
  server: 'The phone network had an error. Try again later.',
  overloaded: 'The service is busy. Try again in a moment.',
  unreachable: 'The phone network could not be reached. Try again later.',
  protocol: 'The other side and the gateway did not understand each other.',
  loop: 'The call went in a circle.',
  redirected: 'The other side has moved.',
  conflict: 'Both sides changed the call at once. Call again.',
  'bad-extension': 'The other side wants something that the gateway does not know.',
  shutdown: 'The gateway is shutting down.',
  internal: 'The gateway had an error.',
});

/** An error of this library: `code` is a word for programs, `message` a sentence for people. */
export class RtcgwError extends Error {
  /**
   * @param {string} code
   * @param {string} [text] the gateway's own sentence, used where we have none
   */
  constructor(code, text) {
    super(sentence(code, text));
    this.name = 'RtcgwError';
    /** @type {string} */
    this.code = code;
    /** @type {string | undefined} the gateway's sentence as it came */
    this.text = text;
  }
}

/**
 * Whatever was thrown, as an error of ours: what the browser does not take has to do with media.
 *
 * @param {unknown} error
 * @returns {RtcgwError}
 */
export function asError(error) {
  return error instanceof RtcgwError ? error : new RtcgwError('media-failed');
}

/**
 * The sentence that a page may show for a word.
 *
 * @param {string} code a reason or error word
 * @param {string} [text] what the gateway said, the fallback for a word that is new to us
 * @returns {string}
 */
export function sentence(code, text) {
  return Object.hasOwn(SENTENCES, code) ? SENTENCES[code] : text || `The call failed (${code}).`;
}
