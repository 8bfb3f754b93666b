/**
 * One call: its state, and what is said about it to the gateway.
 *
 * States are those of the gateway's own user agent (the patent's Fig. 7). Whether a call was
 * placed or received is its `role`; both begin in `Calling`. What the gateway says is handled in
 * order, one message after the other (`#inOrder`), because applying a description takes time and
 * the next message must not overtake it. Its media are in `sound.js`, and below that the peer
 * connection in `peering.js`, changes of an answered call in `changes.js`, getting lost sound back in
 * `recovery.js`.
 */

import { showsVideo } from './changes.js';
import { asError, sentence } from './errors.js';
import { Sound } from './sound.js';
import { Turns } from './waiting.js';

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

/**
 * @typedef {object} CallPort what a call may use of its connection
 * @property {HTMLMediaElement | null} audio
 * @property {MediaTrackConstraints | boolean} microphone
 * @property {MediaTrackConstraints | boolean} camera
 * @property {boolean} warm whether an incoming call's media are set up while it rings
 * @property {boolean} answerVideo whether our camera goes on when the other side shows video
 * @property {() => RTCConfiguration} configuration as it is now
 * @property {import('./relays.js').Relays} relays
 * @property {(name: string) => boolean} can what the gateway is capable of
 * @property {boolean} acknowledges whether the gateway waits for PRANSWER to each RINGING (ladder `patent`)
 * @property {number} grace seconds that a call outlives its connection
 * @property {() => boolean} open whether the gateway can be asked
 * @property {() => Promise<boolean>} check whether the gateway is there; the connection is given up if not
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
 * - `ringback` {sound}: who makes what the caller hears now: `local` (the page), `network`, `none`
 * - `progress`: the network plays something itself
 * - `connected`: answered
 * - `media` {state}: the peer connection's `connected`, `disconnected`, `failed`; or `relay-refused`,
 *   `relay-unreachable` with {text, code, url}
 * - `muted` {muted}
 * - `video` {sending, receiving}
 * - `trouble` {code, text}: something failed that does not end the call
 * - `tones` {tones}: the other side pressed keys
 * - `quality` {@link import('./quality.js').Quality}, every two seconds
 * - `ended` {@link Ended}
 */
export class Call extends EventTarget {
  /** @type {CallPort} */ #port;
  #sound;
  #turns = new Turns();
  #offer;
  #withVideo;
  #state = State.CALLING;
  #earlySound = false;
  #given = false;
  /** @type {Ended | null} */ #ended = null;

  /**
   * Made by `Rtcgw`, not by pages.
   *
   * @param {CallPort} port
   * @param {{role: 'caller' | 'callee', remote: {uri: string, name: string}, session?: string, offer?: string, video?: boolean}} init
   */
  constructor(port, { role, remote, session = '', offer = '', video = false }) {
    super();
    this.#port = port;
    this.#offer = offer;
    this.#withVideo = video;
    this.#sound = new Sound(port, this.#line());
    /** @type {'caller' | 'callee'} */
    this.role = role;
    /** @type {{uri: string, name: string}} the other side */
    this.remote = remote;
    /** @type {string} the gateway's name for the call; '' until it has given one */
    this.session = session;
    /** @type {MediaStream} what the other side says and shows */
    this.remoteStream = this.#sound.remote;
    /** @type {boolean} the caller has a picture to show */
    this.offersVideo = showsVideo(offer);
    /** @type {boolean} the other side rings */
    this.ringing = false;
    /** @type {'local' | 'network' | 'none'} who makes what the caller hears before the answer */
    this.ringback = 'none';
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
    return this.#sound.devices.muted;
  }

  /** Whose picture is shown to whom. @returns {{sending: boolean, receiving: boolean}} */
  get video() {
    return this.#sound.changes.video;
  }

  /** Our own picture, for a preview; null while the camera is off. @returns {MediaStream | null} */
  get localVideo() {
    return this.#sound.devices.camera;
  }

  /** The peer connection, for statistics; null before there is one. @returns {RTCPeerConnection | null} */
  get peer() {
    return this.#sound.peer;
  }

  /** Begin: a caller's offer goes out, a callee says that it rings. Called by `Rtcgw`. */
  start() {
    if (this.role === 'caller') {
      this.#inOrder(() => this.#place());
    } else if (!this.#offer) {
      this.hangup('media-incompatible');
    } else {
      this.#tell('RINGING');
      if (this.#port.warm) this.#inOrder(() => this.#warmUp());
    }
  }

  /**
   * Take an incoming call. Resolves when it is connected, or has ended; `ended` tells why.
   *
   * @param {{video?: boolean}} [how] `video`: with our camera on, if they show video
   * @returns {Promise<void>}
   */
  answer({ video = false } = {}) {
    if (this.role !== 'callee' || this.#state !== State.CALLING || this.answering) return this.#turns.done;
    this.answering = true;
    return this.#inOrder(() => this.#answer(video));
  }

  /**
   * End it: cancels a call being placed, declines one that rings, hangs up one that is answered.
   *
   * @param {string} [reason] a reason word; the fitting one where left out
   */
  hangup(reason) {
    if (this.#over) return;
    const word = reason ?? this.#usualReason();
    if (this.session) this.#tell('HANGUP', { reason: word });
    this.#end({ reason: word, text: sentence(reason ? word : 'hangup') });
  }

  /** @param {boolean} muted whether the other side hears silence */
  mute(muted) {
    this.#sound.devices.mute(muted);
    this.#emit('muted', { muted });
  }

  /**
   * Send tones: as RFC 4733 has it where the other side takes that, else by way of the gateway.
   * Tones still waiting are sent first.
   *
   * @param {string} tones any of 0-9 A-D * # and `,` for a pause of two seconds
   * @returns {boolean} false when they cannot be sent, or not yet
   */
  sendDtmf(tones) {
    return this.#state === State.IN_CALL && this.#sound.sendTones(tones);
  }

  /**
   * Show our picture too.
   *
   * @returns {Promise<void>} rejected with RtcgwError `camera-...`, `video-refused` or the gateway's refusal; the
   *   call goes on without
   */
  addVideo() {
    return this.#sound.changes.addVideo();
  }

  /** Show our picture no longer; the other side's stays. @returns {Promise<void>} never rejected */
  removeVideo() {
    return this.#sound.changes.removeVideo();
  }

  /**
   * Find a new way for the sound (an ICE restart). It happens by itself when the sound is lost.
   *
   * @returns {Promise<void>} resolved when it is there, or the call has ended
   */
  async restart() {
    if (this.#talking) await this.#sound.recover();
  }

  // ---------------------------------------------------------------- what Rtcgw tells

  /** @param {import('./rtcgw.js').Message} message of the gateway for this call that replies to no request */
  receive(message) {
    const sdp = typeof message.sdp === 'string' ? message.sdp : '';
    const { type } = message;
    if (type === 'HANGUP') {
      const reason = String(message.reason ?? 'hangup');
      const status = Number(message.status) || undefined;
      this.#end({ reason, text: sentence(reason, String(message.text ?? '')), status });
    } else if (type === 'RINGING' || type === 'PROGRESS') {
      this.#inOrder(() => this.#progress(type === 'RINGING', sdp));
    } else if (type === 'RINGBACK') {
      this.#inOrder(async () => this.#soundFrom(message.sound));
    } else if (type === 'OK' && message.for === 'OFFER') {
      this.#inOrder(() => this.#answered(sdp));
    } else if (type === 'OFFER' && sdp) {
      this.#inOrder(() => this.#sound.changes.answer(sdp, this.#port.answerVideo));
    } else if (type === 'CANDIDATE') {
      this.#inOrder(() => this.#sound.peering.candidate(message));
    } else if (type === 'DTMF' && typeof message.tones === 'string') {
      this.#emit('tones', { tones: message.tones });
    }
    // Anything else is of a later version: it asks nothing of us.
  }

  /**
   * The connection is gone. A call that is answered goes on for the gateway's grace; others end.
   *
   * @param {number} grace seconds; 0 ends the call whatever its state
   */
  connectionLost(grace) {
    if (this.#talking && grace > 0) this.#sound.recover(grace);
    else this.#end({ reason: 'connection-lost', text: sentence('connection-lost') });
  }

  /** The connection is there again: the call is taken up. */
  connectionBack() {
    this.#sound.wake();
  }

  /** The machine's network may have changed. */
  networkChanged() {
    if (this.#talking) this.#sound.suspect();
  }

  /** @param {RTCIceServer[]} servers there are new ones */
  useServers(servers) {
    this.#sound.useServers(servers);
  }

  // ---------------------------------------------------------------- placing and answering

  async #place() {
    if (!(await this.#sound.open(this.#withVideo))) return;
    await this.#port.relays.fresh();
    if (this.#over) return;
    const { peering } = this.#sound;
    await this.#sound.carry();
    const sdp = await peering.offer();
    if (this.#over) return;
    const waiting = await this.#port.request({ type: 'OFFER', to: this.remote.uri, sdp });
    this.session = String(waiting.session ?? '');
    if (this.#over) {
      // Hung up before the gateway had given the call a name.
      this.#tell('HANGUP', { reason: 'cancelled' });
      return;
    }
    this.#port.adopt(this, this.session);
    peering.release();
  }

  /** Have everything ready while it rings, but for the microphone: that is for the user's answer to switch on. */
  async #warmUp() {
    if (this.answering) return;
    const { peering } = this.#sound;
    await peering.take('offer', this.#offer);
    await peering.carry('audio', null);
    const sdp = await peering.earlyAnswer();
    const given = () => {
      this.#given = true;
    };
    // Not waited for, since the user's answer must not be; refused, the answer carries the description.
    this.#ask('PRANSWER', { sdp }).then(given, () => undefined);
    peering.release();
  }

  /** @param {boolean} video */
  async #answer(video) {
    if (!(await this.#sound.open(video && this.offersVideo))) return;
    const { peering } = this.#sound;
    if (!peering.peer.remoteDescription) await peering.take('offer', this.#offer);
    await this.#sound.carry();
    this.#sound.listen();
    const { sdp, news } = await peering.answer();
    const answered = this.#ask('ANSWER', this.#given && !news ? {} : { sdp });
    peering.release();
    await answered;
    this.#connected();
  }

  /**
   * @param {boolean} ringing
   * @param {string} sdp '' for none
   */
  async #progress(ringing, sdp) {
    if (this.role !== 'caller' || this.#state !== State.CALLING) return;
    if (sdp) {
      this.#earlySound = true;
      await this.#sound.peering.take('pranswer', sdp);
    }
    // What the network's PRACK may wait for is that we have noted it, also where there was nothing to apply.
    if (sdp || this.#port.acknowledges) this.#tell('PRANSWER');
    if (ringing) {
      this.ringing = true;
      this.#emit('ringing', null);
    }
    // A gateway that does not say who makes the tone has early descriptions for early sound only.
    if (!this.#port.can('ringback')) this.#soundFrom(this.#earlySound ? 'network' : 'local');
  }

  /** @param {unknown} sound */
  #soundFrom(sound) {
    if (this.#state !== State.CALLING || (sound !== 'local' && sound !== 'network' && sound !== 'none')) return;
    if (sound === this.ringback) return;
    this.ringback = sound;
    if (sound === 'network') {
      this.#sound.listen();
      this.#emit('progress', null);
    }
    this.#emit('ringback', { sound });
  }

  /** @param {string} sdp the answer; '' when the early description was the last word */
  async #answered(sdp) {
    if (this.role !== 'caller' || this.#state !== State.CALLING) return;
    await this.#sound.peering.take('answer', sdp);
    this.#tell('ANSWER');
    this.#connected();
  }

  #connected() {
    if (this.#over) return;
    this.connectedAt = Date.now();
    this.ringing = false;
    this.ringback = 'none';
    this.#change(State.IN_CALL);
    this.#emit('connected', null);
    this.#sound.begin();
  }

  // ---------------------------------------------------------------- inside

  /** @returns {import('./sound.js').Line} */
  #line() {
    return {
      talking: () => this.#talking,
      over: () => this.#over,
      // Whose phone rings has not picked it up: nobody is heard yet.
      hears: () => this.role === 'caller' || this.answering,
      turn: (work) => this.#turns.take(work),
      ask: (type, fields) => this.#ask(type, fields),
      tell: (type, fields) => this.#tell(type, fields),
      emit: (type, detail) => this.#emit(type, detail),
      reloading: (lost) => this.#change(lost ? State.RELOADING : State.IN_CALL),
      fail: (error) => this.#fail(error),
    };
  }

  get #over() {
    return this.#state === State.HANGUP;
  }

  /** Whether it has been answered and is not over. */
  get #talking() {
    return this.#state === State.IN_CALL || this.#state === State.RELOADING;
  }

  #usualReason() {
    if (this.#state !== State.CALLING) return 'hangup';
    return this.role === 'caller' ? 'cancelled' : 'declined';
  }

  /** @param {Ended} ended */
  #end(ended) {
    if (this.#over) return;
    this.#ended = ended;
    this.#sound.close();
    this.#port.forget(this);
    this.#change(State.HANGUP);
    this.#emit('ended', ended);
  }

  /** @param {RtcgwError} error */
  #fail(error) {
    if (this.#over) return;
    const word = error.code.startsWith('media-') ? error.code : this.#usualReason();
    if (this.session) this.#tell('HANGUP', { reason: error.code.startsWith('relay-') ? 'media-failed' : word });
    this.#end({ reason: error.code, text: error.message });
  }

  // ---------------------------------------------------------------- small parts

  /**
   * Run in turn what the call hangs on: what it throws ends the call, and the gateway is told.
   *
   * @param {() => Promise<unknown>} work
   * @returns {Promise<void>}
   */
  #inOrder(work) {
    return this.#turns.take(async () => {
      if (this.#over) return;
      try {
        await work();
      } catch (error) {
        this.#fail(asError(error));
      }
    });
  }

  /**
   * Send what the call does not hang on. A refusal changes nothing here: where it matters, the
   * gateway ends the call itself and says so.
   *
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   */
  #tell(type, fields) {
    this.#port.request({ type, session: this.session, ...fields }).catch(() => undefined);
  }

  /**
   * Ask what the other side may have to decide.
   *
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   * @returns {Promise<import('./rtcgw.js').Message>}
   */
  #ask(type, fields) {
    return this.#port.request({ type, session: this.session, ...fields }, FAR_REPLY);
  }

  /** @param {string} state */
  #change(state) {
    const before = this.#state;
    if (state === before) return;
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
