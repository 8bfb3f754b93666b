/**
 * What a call needs of the browser's media: the microphone, and which way the sound goes.
 */

import { RtcgwError } from './errors.js';

/**
 * The microphone, or an error that says what to do.
 *
 * @param {MediaTrackConstraints | boolean} constraints
 * @returns {Promise<MediaStream>} rejected with RtcgwError `insecure-origin` or `microphone-...`
 */
export async function openMicrophone(constraints) {
  // Browsers hide the whole interface from pages that were not loaded securely.
  const devices = globalThis.navigator?.mediaDevices;
  if (!devices?.getUserMedia) throw new RtcgwError('insecure-origin');
  try {
    return await devices.getUserMedia({ audio: constraints });
  } catch (error) {
    throw microphoneError(error);
  }
}

/**
 * The error for a failed `getUserMedia`.
 *
 * @param {unknown} error
 * @returns {RtcgwError}
 */
function microphoneError(error) {
  const name = error instanceof Error ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return new RtcgwError('microphone-denied');
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return new RtcgwError('microphone-missing');
  return new RtcgwError('microphone-busy');
}

/**
 * The candidate pair in use, as the gateway's ICE report wants it; null while there is none.
 *
 * @param {RTCPeerConnection} peer
 * @returns {Promise<Record<string, string | number | null> | null>} flat, as ICE carries it
 */
export async function nominatedPair(peer) {
  const stats = await peer.getStats();
  const entries = [...stats.values()];
  const transport = entries.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  // Firefox marks the pair itself instead of naming it in the transport.
  const pair = transport ? stats.get(transport.selectedCandidatePairId) : entries.find((entry) => entry.selected);
  if (!pair) return null;
  const local = stats.get(pair.localCandidateId) ?? {};
  const remote = stats.get(pair.remoteCandidateId) ?? {};
  return {
    localType: local.candidateType ?? null,
    localAddress: local.address ?? null,
    localPort: local.port ?? null,
    protocol: local.protocol ?? null,
    remoteType: remote.candidateType ?? null,
    remoteAddress: remote.address ?? null,
    remotePort: remote.port ?? null,
    currentRoundTripTime: pair.currentRoundTripTime ?? null,
  };
}
