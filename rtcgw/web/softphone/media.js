/**
 * What a call needs of the browser's devices, microphone and camera, and which way the sound goes.
 */

import { RtcgwError } from './errors.js';

/**
 * The microphone, or an error that says what to do.
 *
 * @param {MediaTrackConstraints | boolean} constraints
 * @returns {Promise<MediaStream>} rejected with RtcgwError `insecure-origin` or `microphone-...`
 */
export function openMicrophone(constraints) {
  return open({ audio: constraints }, 'microphone');
}

/**
 * The camera, or an error that says what to do.
 *
 * @param {MediaTrackConstraints | boolean} constraints
 * @returns {Promise<MediaStream>} rejected with RtcgwError `insecure-origin` or `camera-...`
 */
export function openCamera(constraints) {
  return open({ video: constraints }, 'camera');
}

/**
 * Both, with one question to the user. Without the camera a call is still a call: what is wrong
 * with it comes back beside the microphone.
 *
 * @param {MediaTrackConstraints | boolean} audio
 * @param {MediaTrackConstraints | boolean} video
 * @returns {Promise<{microphone: MediaStream, camera: MediaStream | null, trouble: RtcgwError | null}>}
 */
export async function openBoth(audio, video) {
  let trouble = null;
  try {
    const stream = await open({ audio, video }, 'camera');
    const [microphone, camera] = [stream.getAudioTracks(), stream.getVideoTracks()];
    return { microphone: new MediaStream(microphone), camera: new MediaStream(camera), trouble };
  } catch (error) {
    trouble = /** @type {RtcgwError} */ (error);
  }
  // If it is the microphone that is wrong, this is refused as well, and says so.
  return { microphone: await openMicrophone(audio), camera: null, trouble };
}

/**
 * @param {MediaStreamConstraints} wanted
 * @param {'microphone' | 'camera'} device named in errors
 * @returns {Promise<MediaStream>}
 */
async function open(wanted, device) {
  // Browsers hide the whole interface from pages that were not loaded securely.
  const devices = globalThis.navigator?.mediaDevices;
  if (!devices?.getUserMedia) throw new RtcgwError('insecure-origin');
  try {
    return await devices.getUserMedia(wanted);
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'NotAllowedError' || name === 'SecurityError') throw new RtcgwError(`${device}-denied`);
    if (name === 'NotFoundError' || name === 'OverconstrainedError') throw new RtcgwError(`${device}-missing`);
    throw new RtcgwError(`${device}-busy`);
  }
}

/**
 * The entry of the candidate pair in use; null while there is none.
 *
 * @param {RTCStatsReport | Map<string, any>} stats
 * @returns {Record<string, any> | null}
 */
export function pairInUse(stats) {
  const entries = [...stats.values()];
  const transport = entries.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId);
  // Firefox marks the pair itself instead of naming it in the transport.
  const pair = transport ? stats.get(transport.selectedCandidatePairId) : entries.find((entry) => entry.selected);
  return pair ?? null;
}

/**
 * The candidate pair in use, as the gateway's ICE report wants it; null while there is none.
 *
 * @param {RTCPeerConnection} peer
 * @returns {Promise<Record<string, string | number | null> | null>} flat, as ICE carries it
 */
export async function nominatedPair(peer) {
  const stats = await peer.getStats();
  const pair = pairInUse(stats);
  if (!pair) return null;
  const local = stats.get(pair.localCandidateId) ?? {};
  const remote = stats.get(pair.remoteCandidateId) ?? {};
  return {
    localType: local.candidateType ?? null,
    localAddress: local.address ?? null,
    localPort: local.port ?? null,
    protocol: local.protocol ?? null,
    relayProtocol: local.relayProtocol ?? null,
    remoteType: remote.candidateType ?? null,
    remoteAddress: remote.address ?? null,
    remotePort: remote.port ?? null,
    currentRoundTripTime: pair.currentRoundTripTime ?? null,
  };
}
