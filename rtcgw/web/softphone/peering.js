/**
 * The peer connection of one call: descriptions, candidates and tracks, in and out.
 *
 * It knows neither messages nor the states of a call. What it evens out are the browsers: one that
 * has no provisional answers gets them as final ones, and says by `pending` that another exchange
 * is needed.
 */

import { RtcgwError } from './errors.js';
import { pairInUse } from './media.js';

/** Milliseconds of a DTMF tone and of the pause after it; RFC 4733 receivers want 40 and more. */
const TONE_MS = 160;
const PAUSE_MS = 80;

/**
 * @typedef {object} Hooks
 * @property {(track: MediaStreamTrack) => void} heard the other side's sound or picture is there
 * @property {(state: RTCPeerConnectionState) => void} changed
 * @property {(fields: Record<string, unknown>) => void} candidate one of ours, as CANDIDATE has it; after `release`
 * @property {(error: {code: number, text: string, url: string}) => void} refused a STUN or TURN server did not help
 */

/**
 * @typedef {object} Sample
 * @property {boolean} connected
 * @property {number} packets that have arrived
 * @property {number} responses to our connectivity checks on the pair in use
 * @property {string} pair in use
 */

export class Peering {
  /** @type {RTCIceCandidateInit[]} theirs, until there is a description */ #waiting = [];
  /** @type {(RTCIceCandidate | null)[] | null} ours, until there is somebody to tell */ #held = [];
  #hooks;
  #early = '';
  #given = '';
  #stale = false;

  /**
   * @param {RTCConfiguration} config
   * @param {Hooks} hooks
   */
  constructor(config, hooks) {
    const peer = new RTCPeerConnection(config);
    this.#hooks = hooks;
    /** @type {RTCPeerConnection} */
    this.peer = peer;
    peer.ontrack = (event) => hooks.heard(event.track);
    peer.onconnectionstatechange = () => hooks.changed(peer.connectionState);
    peer.onicecandidate = ({ candidate }) => {
      if (this.#held) this.#held.push(candidate);
      else this.#told(candidate);
    };
    peer.onicecandidateerror = ({ errorCode, errorText, url }) =>
      hooks.refused({ code: errorCode, text: errorText, url: url ?? '' });
  }

  /** @returns {boolean} */
  get connected() {
    return this.peer.connectionState === 'connected';
  }

  /** Whether what was said last could not be applied, and needs another exchange of descriptions. @returns {boolean} */
  get pending() {
    return this.#stale;
  }

  close() {
    this.peer.close();
  }

  /** Our candidates may be told from now on: those so far, and those to come. */
  release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const candidate of held) this.#told(candidate);
  }

  /** @param {RTCIceServer[]} iceServers used from the next gathering on */
  useServers(iceServers) {
    if (this.peer.signalingState !== 'closed') this.peer.setConfiguration({ ...this.peer.getConfiguration(), iceServers });
  }

  // ---------------------------------------------------------------- descriptions

  /**
   * Our offer, made and applied.
   *
   * @param {boolean} [restart] with fresh ICE credentials
   * @returns {Promise<string>}
   */
  async offer(restart = false) {
    if (restart) this.peer.restartIce();
    await this.peer.setLocalDescription();
    return this.#local();
  }

  /**
   * Our answer to their offer, made and applied.
   *
   * @returns {Promise<{sdp: string, news: boolean}>} `news`: whether it says more than the early one
   */
  async answer() {
    if (this.peer.signalingState === 'stable' && this.#given) {
      const mute = this.peer.getTransceivers().filter(({ currentDirection }) => !sends(currentDirection));
      this.#stale = mute.some(({ sender }) => sender.track);
      return { sdp: this.#given, news: false };
    }
    await this.peer.setLocalDescription();
    const sdp = this.#local();
    const news = outline(sdp) !== outline(this.#given);
    this.#given = '';
    return { sdp, news };
  }

  /** Our early answer, made and applied: ICE and DTLS begin. @returns {Promise<string>} */
  async earlyAnswer() {
    const { sdp } = await this.peer.createAnswer();
    await this.peer.setLocalDescription({ type: 'pranswer', sdp }).catch((error) => {
      if (error.name !== 'NotSupportedError') throw error;
      return this.peer.setLocalDescription({ type: 'answer', sdp });
    });
    this.#given = this.#local();
    return this.#given;
  }

  /**
   * Apply a description of theirs. An early answer that is there already is left alone.
   *
   * @param {'offer' | 'pranswer' | 'answer'} type
   * @param {string} sdp '' with an answer: the early one was the last word
   * @returns {Promise<void>} rejected with RtcgwError `media-failed`
   */
  async take(type, sdp) {
    if (type === 'pranswer' && sdp === this.#early) return;
    if (type !== 'offer' && this.#early && this.peer.signalingState === 'stable') {
      this.#stale ||= sdp !== '' && outline(sdp) !== outline(this.#early);
      return;
    }
    await this.#setRemote(type, sdp || this.#early);
    this.#early = type === 'pranswer' ? sdp : '';
    this.#stale = false;
    for (const candidate of this.#waiting.splice(0)) await this.#add(candidate);
  }

  /** Go back to before the offer that was not answered, ours or theirs. @returns {Promise<void>} */
  async rollback() {
    const { signalingState } = this.peer;
    if (signalingState === 'have-local-offer') await this.peer.setLocalDescription({ type: 'rollback' });
    if (signalingState === 'have-remote-offer') await this.peer.setRemoteDescription({ type: 'rollback' });
  }

  /** @param {Record<string, any>} message a CANDIDATE of theirs */
  async candidate({ candidate, mid, mLineIndex, ufrag }) {
    if (!candidate || (!mid && !Number.isInteger(mLineIndex))) return; // the end of candidates needs no act
    const init = { candidate, sdpMid: mid ?? null, sdpMLineIndex: mLineIndex ?? null, usernameFragment: ufrag ?? null };
    if (this.peer.remoteDescription) await this.#add(init);
    else this.#waiting.push(init);
  }

  // ---------------------------------------------------------------- tracks

  /**
   * Send this in the section of its kind, made where there is none. In the middle of a call that
   * takes effect with the next exchange of descriptions, unless the section sends already.
   *
   * @param {'audio' | 'video'} kind
   * @param {MediaStreamTrack | null} track null: nothing yet, but it may come without an exchange
   */
  async carry(kind, track) {
    const section = this.#section(kind);
    if (section) {
      await section.sender.replaceTrack(track);
      section.direction = 'sendrecv';
    } else {
      this.peer.addTransceiver(track ?? kind, { direction: 'sendrecv' });
    }
  }

  /** Send nothing more of a kind, and leave the section to the other side's. @param {'audio' | 'video'} kind */
  async withdraw(kind) {
    const section = this.#section(kind);
    if (!section) return;
    if (section.mid === null) {
      section.stop(); // the other side has not seen it, and need not
      return;
    }
    await section.sender.replaceTrack(null);
    section.direction = receives(section.currentDirection) ? 'recvonly' : 'inactive';
  }

  /** Before we answer an offer: what they have to show may come, even where we had closed the section. */
  welcome() {
    for (const section of this.peer.getTransceivers()) {
      if (section.direction === 'inactive') section.direction = 'recvonly';
    }
  }

  /**
   * @param {'audio' | 'video'} kind
   * @returns {{sending: boolean, receiving: boolean}} what was agreed
   */
  agreed(kind) {
    const direction = this.#section(kind)?.currentDirection ?? null;
    return { sending: sends(direction), receiving: receives(direction) };
  }

  /**
   * @param {string} tones
   * @returns {boolean | null} whether they are sent as RFC 4733 has it; null where the other side takes none
   */
  tones(tones) {
    if (!/^a=rtpmap:\d+ telephone-event\//m.test(this.peer.remoteDescription?.sdp ?? '')) return null;
    const dtmf = this.#section('audio')?.sender.dtmf;
    if (!dtmf?.canInsertDTMF) return false;
    dtmf.insertDTMF(dtmf.toneBuffer + tones, TONE_MS, PAUSE_MS);
    return true;
  }

  /** What has come so far. @returns {Promise<Sample>} */
  async sample() {
    // Some browsers refuse to tell of a connection that is closed.
    const stats = await this.peer.getStats().catch(() => new Map());
    const pair = pairInUse(stats);
    let packets = 0;
    for (const entry of stats.values()) if (entry.type === 'inbound-rtp') packets += entry.packetsReceived ?? 0;
    return { connected: this.connected, packets, responses: pair?.responsesReceived ?? 0, pair: pair?.id ?? '' };
  }

  // ---------------------------------------------------------------- inside

  /**
   * @param {'audio' | 'video'} kind
   * @returns {RTCRtpTransceiver | undefined} the first that is in use
   */
  #section(kind) {
    return this.peer
      .getTransceivers()
      .find(({ receiver, direction }) => receiver.track.kind === kind && direction !== 'stopped');
  }

  /**
   * @param {'offer' | 'pranswer' | 'answer'} type
   * @param {string} sdp
   */
  async #setRemote(type, sdp) {
    try {
      await this.peer.setRemoteDescription({ type, sdp });
    } catch (error) {
      const unknown = type === 'pranswer' && error instanceof Error && error.name === 'NotSupportedError';
      if (!unknown) throw new RtcgwError('media-failed');
      await this.#setRemote('answer', sdp);
    }
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #add(candidate) {
    // One of a description that has been replaced meanwhile is refused, and of no use to anybody.
    await this.peer.addIceCandidate(candidate).catch(() => undefined);
  }

  /** @param {RTCIceCandidate | null} candidate null after the last */
  #told(candidate) {
    this.#hooks.candidate({
      candidate: candidate?.candidate ?? null,
      mid: candidate?.sdpMid ?? null,
      mLineIndex: candidate?.sdpMLineIndex ?? null,
      ufrag: candidate?.usernameFragment ?? null,
    });
  }

  /** @returns {string} */
  #local() {
    return this.peer.localDescription?.sdp ?? '';
  }
}

/**
 * What a description agrees to: its sections, formats and directions, without what changes each time it is made.
 *
 * @param {string} sdp
 * @returns {string}
 */
function outline(sdp) {
  const telling = /^(m=|a=(rtpmap|fmtp|mid|ice-ufrag|fingerprint):|a=(sendrecv|sendonly|recvonly|inactive)$)/;
  const lines = sdp.split(/\r?\n/).filter((line) => telling.test(line));
  return lines.map((line) => line.replace(/^(m=\w+) [1-9]\d*/, '$1')).join('\n');
}

/**
 * @param {string | null} direction
 * @returns {boolean}
 */
function sends(direction) {
  return direction === 'sendrecv' || direction === 'sendonly';
}

/**
 * @param {string | null} direction
 * @returns {boolean}
 */
function receives(direction) {
  return direction === 'sendrecv' || direction === 'recvonly';
}
