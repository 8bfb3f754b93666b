/**
 * One call: its state, its peer connection, its sound.
 *
 * States are those of the gateway's own user agent (the patent's Fig. 7). Whether a call was
 * placed or received is its `role`; both begin in `Calling`. What the gateway says is handled in
 * order, one message after the other (`#inOrder`), because applying a description takes time and
 * the next message must not overtake it.
 */

import { RtcgwError, sentence } from './errors.js';
import { nominatedPair, openMicrophone } from './media.js';

/** The states of Fig. 7. `Idle` is before the call; a Call never has it. */
export const State = Object.freeze({
  IDLE: 'Idle',
  CALLING: 'Calling',
  IN_CALL: 'InCall',
  RELOADING: 'Reloading',
  HANGUP: 'Hangup',
});

/** Seconds to wait for a reply that waits for the other side itself; SIP gives it 32. */
const FAR_REPLY = 40;

/** Milliseconds of a DTMF tone and of the pause after it; RFC 4733 receivers want 40 and more. */
const TONE_MS = 160;
const PAUSE_MS = 80;

/**
 * @typedef {object} CallPort what a call may use of its connection
 * @property {HTMLAudioElement | null} audio
 * @property {MediaTrackConstraints | boolean} microphone
 * @property {RTCConfiguration} rtc
 * @property {boolean} trickle whether the gateway wants our candidates
 * @property {(message: import('./rtcgw.js').Message, timeout?: number) => Promise<import('./rtcgw.js').Message>} request
 * @property {(call: Call, session: string) => void} adopt
 * @property {(call: Call) => void} forget
 */

/**
 * @typedef {object} Ended
 * @property {string} reason the word, e.g. `busy`
 * @property {string} text a sentence to show
 * @property {number} [status] the SIP status, where one was the cause
 */

/**
 * A call.
 *
 * Events, each a CustomEvent:
 * - `state` {state, before}
 * - `ringing`: the other side rings (caller only)
 * - `progress`: there is early sound; `ringing` needs no tone of ours now
 * - `connected`: answered
 * - `media` {state}: the peer connection's `connected`, `disconnected`, `failed`
 * - `muted` {muted}
 * - `ended` {@link Ended}
 */
export class Call extends EventTarget {
  /** @type {CallPort} */ #port;
  /** @type {RTCPeerConnection | null} */ #peer = null;
  /** @type {MediaStream | null} */ #microphone = null;
  #offer;
  #early = '';
  #state = State.CALLING;
  #muted = false;
  #restarted = false;
  #graceTimer = 0;
  /** @type {Ended | null} */ #ended = null;
  /** @type {Promise<void>} the tail of the work in order */ #tail = Promise.resolve();
  /** @type {(RTCIceCandidateInit | null)[]} ours, until the session has a name */ #ourCandidates = [];
  /** @type {RTCIceCandidateInit[]} theirs, until there is a description */ #theirCandidates = [];

  /**
   * Made by `Rtcgw`, not by pages.
   *
   * @param {CallPort} port
   * @param {{role: 'caller' | 'callee', remote: {uri: string, name: string}, session?: string, offer?: string}} init
   */
  constructor(port, { role, remote, session = '', offer = '' }) {
    super();
    this.#port = port;
    this.#offer = offer;
    /** @type {'caller' | 'callee'} */
    this.role = role;
    /** @type {{uri: string, name: string}} the other side */
    this.remote = remote;
    /** @type {string} the gateway's name for the call; '' until it has given one */
    this.session = session;
    /** @type {MediaStream} what the other side says */
    this.remoteStream = new MediaStream();
    /** @type {boolean} the other side rings */
    this.ringing = false;
    /** @type {boolean} we have answered, and wait until the other side knows */
    this.answering = false;
    /** @type {number} when it was answered, ms since the epoch; 0 before */
    this.connectedAt = 0;
  }

  /** One of `State`. @returns {string} */
  get state() {
    return this.#state;
  }

  /** Why it ended, or null. @returns {Ended | null} */
  get ended() {
    return this.#ended;
  }

  /** @returns {boolean} */
  get muted() {
    return this.#muted;
  }

  /** The peer connection, for statistics; null before there is one. @returns {RTCPeerConnection | null} */
  get peer() {
    return this.#peer;
  }

  /** Begin: a caller's offer goes out, a callee says that it rings. Called by `Rtcgw`. */
  start() {
    if (this.role === 'caller') {
      this.#inOrder(() => this.#place());
    } else if (!this.#offer) {
      this.hangup('media-incompatible');
    } else {
      this.#tell({ type: 'RINGING', session: this.session });
    }
  }

  /** Take an incoming call. Resolves when it is connected, or has ended; `ended` tells why. @returns {Promise<void>} */
  answer() {
    if (this.role !== 'callee' || this.#state !== State.CALLING || this.answering) return this.#tail;
    this.answering = true;
    return this.#inOrder(async () => {
      const peer = await this.#open();
      if (!peer) return;
      await this.#setRemote('offer', this.#offer);
      await peer.setLocalDescription();
      await this.#ask({ type: 'ANSWER', session: this.session, sdp: peer.localDescription?.sdp });
      this.#connected();
    });
  }

  /**
   * End it: cancels a call being placed, declines one that rings, hangs up one that is answered.
   *
   * @param {string} [reason] a reason word; the fitting one where left out
   */
  hangup(reason) {
    if (this.#state === State.HANGUP) return;
    const word = reason ?? this.#usualReason();
    if (this.session) this.#tell({ type: 'HANGUP', session: this.session, reason: word });
    this.#end({ reason: word, text: sentence(reason ? word : 'hangup') });
  }

  /** @param {boolean} muted whether the other side hears silence */
  mute(muted) {
    this.#muted = muted;
    this.#applyMute();
    this.#emit('muted', { muted });
  }

  /**
   * Send tones (RFC 4733). Tones still waiting are sent first.
   *
   * @param {string} tones any of 0-9 A-D * # and `,` for a pause of two seconds
   * @returns {boolean} false when the other side takes none
   */
  sendDtmf(tones) {
    const dtmf = this.#peer?.getSenders().find((sender) => sender.dtmf)?.dtmf;
    if (this.#state !== State.IN_CALL || !dtmf?.canInsertDTMF) return false;
    dtmf.insertDTMF(dtmf.toneBuffer + tones, TONE_MS, PAUSE_MS);
    return true;
  }

  /**
   * Find a new way for the sound (an ICE restart). Also how a call is taken up again after its
   * connection was lost and made anew; `Rtcgw.login` does that.
   *
   * @returns {Promise<void>}
   */
  restart() {
    return this.#inOrder(async () => {
      const peer = this.#peer;
      if (!peer || (this.#state !== State.IN_CALL && this.#state !== State.RELOADING)) return;
      peer.restartIce();
      await peer.setLocalDescription();
      const reply = await this.#ask({ type: 'OFFER', session: this.session, sdp: peer.localDescription?.sdp });
      await this.#setRemote('answer', String(reply.sdp ?? ''));
      globalThis.clearTimeout(this.#graceTimer);
      if (this.#state === State.RELOADING) this.#change(State.IN_CALL);
    });
  }

  /**
   * A message of the gateway for this call that replies to no request. Called by `Rtcgw`.
   *
   * @param {import('./rtcgw.js').Message} message
   */
  receive(message) {
    const sdp = typeof message.sdp === 'string' ? message.sdp : '';
    if (message.type === 'HANGUP') {
      const reason = String(message.reason ?? 'hangup');
      const status = Number(message.status) || undefined;
      this.#end({ reason, text: sentence(reason, String(message.text ?? '')), status });
    } else if (message.type === 'RINGING' || message.type === 'PROGRESS') {
      this.#inOrder(() => this.#progress(message.type === 'RINGING', sdp));
    } else if (message.type === 'OK' && message.for === 'OFFER') {
      this.#inOrder(() => this.#answered(sdp));
    } else if (message.type === 'OFFER' && sdp) {
      this.#inOrder(() => this.#reoffered(sdp));
    } else if (message.type === 'CANDIDATE') {
      this.#inOrder(() => this.#candidate(message));
    }
    // Anything else is of a later version: it asks nothing of us.
  }

  /**
   * The connection is gone. A call that is answered goes on for the gateway's grace; others end.
   *
   * @param {number} grace seconds; 0 ends the call whatever its state
   */
  connectionLost(grace) {
    const waits = this.#state === State.RELOADING;
    if (this.#state === State.IN_CALL && grace > 0) {
      this.#change(State.RELOADING);
      this.#graceTimer = globalThis.setTimeout(() => this.#lost(), grace * 1000);
    } else if (!waits || grace === 0) {
      this.#lost();
    }
  }

  // ---------------------------------------------------------------- placing and answering

  async #place() {
    const peer = await this.#open();
    if (!peer) return;
    await peer.setLocalDescription();
    if (this.#over()) return;
    const sdp = peer.localDescription?.sdp;
    const waiting = await this.#port.request({ type: 'OFFER', to: this.remote.uri, sdp });
    this.session = String(waiting.session ?? '');
    if (this.#over()) {
      // Hung up before the gateway had given the call a name.
      this.#tell({ type: 'HANGUP', session: this.session, reason: 'cancelled' });
      return;
    }
    this.#port.adopt(this, this.session);
    this.#flushCandidates();
  }

  /**
   * @param {boolean} ringing
   * @param {string} sdp '' for none
   */
  async #progress(ringing, sdp) {
    if (this.role !== 'caller' || this.#state !== State.CALLING) return;
    if (sdp) {
      this.#early = sdp;
      await this.#setRemote('pranswer', sdp);
      this.#emit('progress', null);
      this.#tell({ type: 'PRANSWER', session: this.session });
    }
    if (ringing) {
      this.ringing = true;
      this.#emit('ringing', null);
    }
  }

  /** @param {string} sdp the answer; '' when the early description was the last word */
  async #answered(sdp) {
    if (this.role !== 'caller' || this.#state !== State.CALLING) return;
    await this.#setRemote('answer', sdp || this.#early);
    this.#tell({ type: 'ANSWER', session: this.session });
    this.#connected();
  }

  /** @param {string} sdp an offer within the call: the other side changed something */
  async #reoffered(sdp) {
    if (!this.#peer || this.#state !== State.IN_CALL) return;
    await this.#setRemote('offer', sdp);
    await this.#peer.setLocalDescription();
    await this.#ask({ type: 'ANSWER', session: this.session, sdp: this.#peer.localDescription?.sdp });
  }

  #connected() {
    if (this.#over()) return;
    this.connectedAt = Date.now();
    this.ringing = false;
    this.#change(State.IN_CALL);
    this.#emit('connected', null);
  }

  // ---------------------------------------------------------------- sound

  /** The microphone and a peer connection; null when the call ended meanwhile. @returns {Promise<RTCPeerConnection | null>} */
  async #open() {
    const microphone = await openMicrophone(this.#port.microphone);
    if (this.#over()) {
      for (const track of microphone.getTracks()) track.stop();
      return null;
    }
    this.#microphone = microphone;
    this.#applyMute();
    const peer = new RTCPeerConnection(this.#port.rtc);
    this.#peer = peer;
    for (const track of microphone.getAudioTracks()) peer.addTrack(track, microphone);
    peer.ontrack = (event) => this.#heard(event.track);
    peer.onconnectionstatechange = () => this.#mediaState(peer.connectionState);
    if (this.#port.trickle) peer.onicecandidate = (event) => this.#ourCandidate(event.candidate);
    return peer;
  }

  /** @param {MediaStreamTrack} track */
  #heard(track) {
    this.remoteStream.addTrack(track);
    const { audio } = this.#port;
    if (!audio) return;
    audio.srcObject = this.remoteStream;
    // Refused only where the user has not touched the page; then its own controls are the way.
    audio.play().catch(() => undefined);
  }

  #applyMute() {
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !this.#muted;
  }

  /** @param {RTCPeerConnectionState} state */
  #mediaState(state) {
    if (this.#over()) return;
    this.#emit('media', { state });
    if (state === 'connected') this.#reportPair();
    if (state !== 'failed') return;
    if (this.#state === State.IN_CALL && !this.#restarted) {
      this.#restarted = true;
      this.restart();
    } else if (this.#state !== State.RELOADING) {
      this.hangup('media-lost'); // without a connection, the way back is a new one: the grace time decides
    }
  }

  /** Tell the gateway which way the sound goes (its ICE handler keeps it for whoever looks for faults). */
  async #reportPair() {
    const peer = this.#peer;
    if (!peer) return;
    const pair = await nominatedPair(peer);
    if (pair && !this.#over()) this.#tell({ type: 'ICE', session: this.session, pair });
  }

  /**
   * @param {RTCSdpType} type
   * @param {string} sdp
   */
  async #setRemote(type, sdp) {
    if (!this.#peer) return;
    try {
      await this.#peer.setRemoteDescription({ type, sdp });
    } catch {
      throw new RtcgwError('media-failed');
    }
    for (const candidate of this.#theirCandidates.splice(0)) await this.#peer.addIceCandidate(candidate);
  }

  /** @param {RTCIceCandidate | null} candidate */
  #ourCandidate(candidate) {
    this.#ourCandidates.push(candidate?.toJSON() ?? null);
    if (this.session) this.#flushCandidates();
  }

  #flushCandidates() {
    for (const candidate of this.#ourCandidates.splice(0)) {
      this.#tell({
        type: 'CANDIDATE',
        session: this.session,
        candidate: candidate?.candidate ?? null,
        mid: candidate?.sdpMid ?? null,
        mLineIndex: candidate?.sdpMLineIndex ?? null,
        ufrag: candidate?.usernameFragment ?? null,
      });
    }
  }

  /** @param {Record<string, any>} message */
  async #candidate({ candidate, mid, mLineIndex, ufrag }) {
    if (!candidate || (!mid && !Number.isInteger(mLineIndex))) return; // the end of candidates needs no act
    const init = {
      candidate,
      sdpMid: mid ?? null,
      sdpMLineIndex: mLineIndex ?? null,
      usernameFragment: ufrag ?? null,
    };
    if (this.#peer?.remoteDescription) await this.#peer.addIceCandidate(init);
    else this.#theirCandidates.push(init);
  }

  // ---------------------------------------------------------------- ending

  #over() {
    return this.#state === State.HANGUP;
  }

  #lost() {
    this.#end({ reason: 'connection-lost', text: sentence('connection-lost') });
  }

  #usualReason() {
    if (this.#state !== State.CALLING) return 'hangup';
    return this.role === 'caller' ? 'cancelled' : 'declined';
  }

  /** @param {Ended} ended */
  #end(ended) {
    if (this.#over()) return;
    this.#ended = ended;
    globalThis.clearTimeout(this.#graceTimer);
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#peer?.close();
    const { audio } = this.#port;
    if (audio?.srcObject === this.remoteStream) audio.srcObject = null;
    this.#port.forget(this);
    this.#change(State.HANGUP);
    this.#emit('ended', ended);
  }

  // ---------------------------------------------------------------- small parts

  /**
   * Run after all that was asked before. What it throws ends the call, and the gateway is told.
   *
   * @param {() => Promise<void>} work
   * @returns {Promise<void>}
   */
  #inOrder(work) {
    this.#tail = this.#tail.then(async () => {
      if (this.#over()) return;
      try {
        await work();
      } catch (error) {
        // A request cut off by the loss of the connection is not yet the end: see `connectionLost`.
        if (this.#state === State.RELOADING && error instanceof RtcgwError && error.code === 'connection-lost') return;
        this.#fail(error instanceof RtcgwError ? error : new RtcgwError('media-failed'));
      }
    });
    return this.#tail;
  }

  /** @param {RtcgwError} error */
  #fail(error) {
    if (this.#over()) return;
    if (this.session) {
      const reason = error.code === 'media-failed' ? error.code : this.#usualReason();
      this.#tell({ type: 'HANGUP', session: this.session, reason });
    }
    this.#end({ reason: error.code, text: error.message });
  }

  /**
   * Send what the call does not hang on. A refusal changes nothing here: where it matters, the
   * gateway ends the call itself and says so.
   *
   * @param {import('./rtcgw.js').Message} message
   */
  #tell(message) {
    this.#port.request(message).catch(() => undefined);
  }

  /**
   * Ask what the other side decides.
   *
   * @param {import('./rtcgw.js').Message} message
   * @returns {Promise<import('./rtcgw.js').Message>}
   */
  #ask(message) {
    return this.#port.request(message, FAR_REPLY);
  }

  /** @param {string} state */
  #change(state) {
    const before = this.#state;
    this.#state = state;
    this.#emit('state', { state, before });
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
