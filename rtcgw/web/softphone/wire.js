/** What comes over the WebSocket, read so that nothing that is missing or strange surprises anybody. */

/** @typedef {{uri: string, name: string}} Party */

/**
 * @typedef {object} CallInfo a call of the user's, on whatever page
 * @property {string} session
 * @property {'caller' | 'callee'} role
 * @property {string} state `Calling`, `InCall`, `Reloading`
 * @property {Party} remote
 * @property {boolean} here whether the gateway has it on this page's connection
 * @property {boolean} away whether it waits for its page
 * @property {number | null} answered seconds since it was answered; null before that
 * @property {boolean} holding whether the user has put the other side on hold
 * @property {boolean} held whether the other side has put the user on hold
 */

/** @typedef {{session: string, from: Party, at: Date, reason: string}} MissedCall */
/** @typedef {Party & {part: string, video: boolean}} Participant `part`: `calling`, `talking`, `held`, `away` */

/**
 * @typedef {object} Welcome what the gateway tells at login
 * @property {string} user
 * @property {string[]} identities
 * @property {string} version
 * @property {string} [server]
 * @property {RTCIceServer[]} iceServers
 * @property {number} iceTtl seconds for which they can be used; 0 for ever
 * @property {number} ping seconds between our PINGs; 0 for none
 * @property {number} grace seconds that a call outlives its connection
 * @property {string} ladder `auto` or `patent`: whether the network waits for our acknowledgements
 * @property {string[]} capabilities
 * @property {{name: string, address: string, note?: string}[]} contacts
 * @property {number} expires seconds until the token expires and `login` must be called again; 0 for never
 * @property {CallInfo[]} calls all calls of the user
 * @property {string} resume logs this page in again, once; '' where the gateway gives none
 * @property {number} resumeTtl seconds that it holds after the connection was lost
 * @property {MissedCall[]} missed
 */

/**
 * One frame as a message, or null: what is no message of ours is passed over, never thrown at the page.
 *
 * @param {unknown} data
 * @returns {import('./rtcgw.js').Message | null}
 */
export function parse(data) {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data);
    return message && typeof message === 'object' && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}

/**
 * @param {import('./rtcgw.js').Message} reply
 * @returns {Welcome}
 */
export function readWelcome(reply) {
  const fields = /** @type {Record<string, any>} */ (reply);
  return {
    user: text(fields.user),
    identities: list(fields.identities),
    version: text(fields.version),
    server: text(fields.server),
    iceServers: list(fields.iceServers),
    iceTtl: Number(fields.iceTtl) || 0,
    ping: Number(fields.ping) || 0,
    grace: Number(fields.grace) || 0,
    ladder: text(fields.ladder),
    capabilities: list(fields.capabilities),
    contacts: list(fields.contacts),
    expires: Number(fields.expires) || 0,
    calls: readCalls(fields.calls),
    resume: text(fields.resume),
    resumeTtl: Number(fields.resumeTtl) || 0,
    missed: readMissed(fields.missed),
  };
}

/**
 * @param {unknown} value `calls` of a message
 * @returns {CallInfo[]} those that have a name
 */
export function readCalls(value) {
  return list(value)
    .map((each) => record(each))
    .filter(({ session }) => text(session))
    .map((each) => ({
      session: text(each.session),
      role: each.role === 'callee' ? 'callee' : 'caller',
      state: text(each.state),
      remote: readParty(each.remote),
      here: each.here === true,
      away: each.away === true,
      answered: typeof each.answered === 'number' ? each.answered : null,
      holding: each.holding === true,
      held: each.held === true,
    }));
}

/**
 * @param {unknown} value `missed` of a message
 * @returns {MissedCall[]} the oldest first
 */
export function readMissed(value) {
  return list(value)
    .map((each) => record(each))
    .map(({ session, from, at, reason }) => ({
      session: text(session),
      from: readParty(from),
      at: new Date((Number(at) || 0) * 1000),
      reason: text(reason),
    }));
}

/**
 * @param {unknown} value `participants` of a message
 * @returns {Participant[]}
 */
export function readParticipants(value) {
  return list(value)
    .map((each) => record(each))
    .map(({ party, part, video }) => ({ ...readParty(party), part: text(part), video: video === true }));
}

/**
 * @param {unknown} value
 * @returns {Party}
 */
export function readParty(value) {
  const { uri, name } = record(value);
  return { uri: text(uri), name: text(name) };
}

/**
 * Whether nobody may know who it is (RFC 3323 §4.1.1.3).
 *
 * @param {Party} party
 * @returns {boolean}
 */
export function isAnonymous({ uri }) {
  return uri === '' || /^sips?:(anonymous@|.*@anonymous\.invalid\b)/i.test(uri);
}

/**
 * Whether it can be called: a caller who hides cannot, nor a conference that only exists here (`.invalid`, RFC 2606).
 *
 * @param {Party} party
 */
export function canDial(party) {
  return !isAnonymous(party) && !/^sips?:[^;?]*\.invalid\b/i.test(party.uri);
}

/**
 * @param {unknown} value
 * @returns {string}
 */
export function text(value) {
  return typeof value === 'string' ? value : '';
}

/**
 * @param {unknown} value
 * @returns {any[]}
 */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {Record<string, any>}
 */
export function record(value) {
  return value && typeof value === 'object' ? value : {};
}
