/** What comes over the WebSocket, read so that nothing that is missing or strange surprises anybody. */

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
 * @property {{name: string, address: string}[]} contacts
 * @property {number} expires seconds until the token expires and `login` must be called again; 0 for never
 * @property {string[]} calls sessions that wait for their page
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
    calls: list(fields.calls).map((call) => text(call.session)),
  };
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
function list(value) {
  return Array.isArray(value) ? value : [];
}
