/**
 * One call: its state, and what is said about it to the gateway.
 *
 * States are those of the gateway's own user agent (the patent's Fig. 7, `figure.js`). Whether a call was
 * placed or received is its `role`; both begin in `Calling`. What the gateway says is handled in
 * order, one message after the other (`#inOrder`), because applying a description takes time and
 * the next message must not overtake it. Each subject has its own part:
 *
 *     setup.js     until it is answered             hold.js      who has put whom on hold
 *     rejoin.js    after a reload, or a pull        transfer.js  to somebody else
 *     sound.js     its media as a whole             roster.js    who takes part
 */

import { showsVideo } from './changes.js';
import { asError, sentence } from './errors.js';
import { Figure, State } from './figure.js';
import { Hold } from './hold.js';
import { Rejoin } from './rejoin.js';
import { Roster } from './roster.js';
import { Setup } from './setup.js';
import { Sound } from './sound.js';
import { Transfer } from './transfer.js';
import { Turns } from './waiting.js';
import { isAnonymous, readParty, text } from './wire.js';

export { State };

/** Seconds to wait for a reply that waits for the other side itself; SIP gives it 32. */
const FAR_REPLY = 40;

/** @typedef {import('./wire.js').Party} Party */

/** @typedef {import('./calls.js').CallPort} CallPort */
/** @typedef {import('./calls.js').Init} Init */
/** @typedef {import('./figure.js').Ended} Ended */

/**
 * A call.
 *
 * Events, each a CustomEvent:
 * - `state` {state, before}
 * - `ringing`: the other side rings (caller only)
 * - `stage` {stage}: `forwarded`, or `queued` (caller only)
 * - `ringback` {sound}: who makes what the caller hears now: `local` (the page), `network`, `none`
 * - `progress`: the network plays something itself
 * - `connected`: answered, or taken up again by this page
 * - `media` {state}: the peer connection's `connected`, `disconnected`, `failed`; or `relay-refused`,
 *   `relay-unreachable` with {text, code, url}
 * - `muted` {muted}
 * - `holding` {holding}: we have put the other side on hold, or taken it back
 * - `held` {held}: the other side has done so with us
 * - `video` {sending, receiving}
 * - `party` {remote}: the other side is somebody else now
 * - `participants` {version, participants}
 * - `transfer` {stage, reason, text, status}: `trying`, `ringing`, `done`, `failed`
 * - `trouble` {code, text}: something failed that does not end the call
 * - `tones` {tones}: the other side pressed keys
 * - `quality` {@link import('./quality.js').Quality}, every two seconds
 * - `ended` {@link Ended}
 */
export class Call extends EventTarget {
  /** @type {CallPort} */ #port;
  #turns = new Turns();
  #figure;
  #sound;
  #setup;
  #rejoin;
  #hold;
  #transfer;
  #roster;
  /** whether it is over where it is over here */ #ours = true;
  /** @type {Ended | null} */ #ended = null;

  /**
   * Made by `Rtcgw`, not by pages.
   *
   * @param {CallPort} port
   * @param {Init} init
   */
  constructor(port, init) {
    super();
    const { role, remote, session = '', offer = '', video = false, away = false } = init;
    const { anonymous = false, headers = null, history = [], referredBy = '', warm = true } = init;
    const line = this.#line();
    this.#port = port;
    this.#figure = new Figure(away ? State.RELOADING : State.CALLING, (state, before) =>
      this.#emit('state', { state, before }),
    );
    this.#sound = new Sound(port, line);
    this.#setup = new Setup(this, line, port, this.#sound, { offer, warm, video, anonymous, headers });
    this.#rejoin = new Rejoin(line, port, this.#sound);
    this.#hold = new Hold(line, this.#sound);
    this.#transfer = new Transfer(line);
    this.#roster = new Roster(line);
    /** @type {'caller' | 'callee'} */
    this.role = role;
    /** @type {Party} the other side */
    this.remote = remote;
    /** @type {string} the gateway's name for the call; '' until it has given one */
    this.session = session;
    /** @type {Party[]} whom an incoming call was meant for before it came to us, the first one first */
    this.history = history;
    /** @type {string} who asked for an incoming call by a transfer, as a URI; '' for nobody */
    this.referredBy = referredBy;
    /** @type {Readonly<Record<string, string>>} those of an incoming call that the gateway lets pass */
    this.headers = role === 'callee' ? { ...headers } : {};
    /** @type {MediaStream} what the other side says and shows */
    this.remoteStream = this.#sound.remote;
    /** @type {boolean} the caller has a picture to show */
    this.offersVideo = showsVideo(offer);
    /** @type {boolean} the other side rings */
    this.ringing = false;
    /** @type {'' | 'forwarded' | 'queued'} how far it is, beyond ringing */
    this.stage = '';
    /** @type {'local' | 'network' | 'none'} who makes what the caller hears before the answer */
    this.ringback = 'none';
    /** @type {boolean} we have answered, and wait until the other side knows */
    this.answering = false;
    /** @type {number} when it was answered, ms since the epoch; 0 before */
    this.connectedAt = 0;
    /** @type {boolean} it is our way into a conference that we have made */
    this.conference = false;
  }

  /** One of `State`. @returns {string} */
  get state() {
    return this.#figure.state;
  }

  /** Why it ended, or null. @returns {Ended | null} */
  get ended() {
    return this.#ended;
  }

  /** Whether the other side does not want to be known. @returns {boolean} */
  get anonymous() {
    return isAnonymous(this.remote);
  }

  /** @returns {boolean} */
  get muted() {
    return this.#sound.devices.muted;
  }

  /** Whether we have put the other side on hold. @returns {boolean} */
  get holding() {
    return this.#hold.holding;
  }

  /** Whether the other side has put us on hold. @returns {boolean} */
  get held() {
    return this.#hold.held;
  }

  /** Who takes part, this user included; empty while nothing is known. @returns {import('./wire.js').Participant[]} */
  get participants() {
    return this.#roster.participants;
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

  /** Begin. Called by `Rtcgw`. */
  start() {
    if (this.role === 'callee' && !this.#setup.offered) this.hangup('media-incompatible');
    else this.#setup.start();
  }

  /**
   * Take an incoming call. Resolves when it is connected, or has ended; `ended` tells why.
   *
   * @param {{video?: boolean}} [how] `video`: with our camera on, if they show video
   * @returns {Promise<void>}
   */
  answer({ video = false } = {}) {
    if (this.role !== 'callee' || this.state !== State.CALLING || this.answering) return this.#turns.done;
    return this.#setup.answer(video);
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
    this.#port.changed();
    this.#emit('muted', { muted });
  }

  /**
   * Put the other side on hold: it hears music, or nothing, and we do not hear it.
   *
   * @returns {Promise<void>} rejected with the gateway's refusal; nothing has changed then
   */
  hold() {
    return this.#hold.set(true);
  }

  /**
   * Take the other side back. Other calls are put on hold first, where one speaks at a time.
   *
   * @returns {Promise<void>} rejected with the gateway's refusal; it is still on hold then
   */
  resume() {
    this.#port.only(this);
    return this.#hold.set(false);
  }

  /** Let another call speak instead of this one. Called by `Rtcgw`. */
  park() {
    if (this.#talking && !this.#hold.holding) this.#hold.park();
  }

  /**
   * Connect the other side to somebody else, and leave.
   *
   * @param {string | Call} to an address as for `Rtcgw.call`, or another call of this page's: its other side
   * @returns {Promise<void>} resolved when they are connected; this call ends by itself then. Rejected with the
   *   reason, and the call is as it was. How it goes meanwhile is told by `transfer`
   */
  transfer(to) {
    return this.#transfer.start(typeof to === 'string' ? { to } : { with: to.session });
  }

  /**
   * Send tones: as RFC 4733 has it where the other side takes that, else by way of the gateway.
   * Tones still waiting are sent first.
   *
   * @param {string} tones any of 0-9 A-D * # and `,` for a pause of two seconds
   * @returns {boolean} false when they cannot be sent, or not yet
   */
  sendDtmf(tones) {
    return this.state === State.IN_CALL && this.#sound.sendTones(tones);
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

  /** Play the other side again, after `trouble` with `playback-blocked`. @returns {Promise<boolean>} whether it plays */
  play() {
    return this.#sound.listen();
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
    const { type } = message;
    if (type === 'HANGUP') this.#ends(message);
    else if (type === 'ERROR' && message.code === 'moved') this.#ends({ type, reason: 'moved' });
    else if (type === 'OFFER') this.#offered(message);
    else if (type === 'CANDIDATE') this.#inOrder(() => this.#sound.peering.candidate(message));
    else if (type === 'HOLD') this.#hold.hear(message.on === true);
    else if (type === 'TRANSFER') this.#transfer.hear(message);
    else if (type === 'PARTICIPANTS') this.#roster.hear(message);
    else if (type === 'PARTY') this.#connectedTo(readParty(message.remote));
    else if (type === 'DTMF' && text(message.tones)) this.#emit('tones', { tones: text(message.tones) });
    else if (['RINGING', 'PROGRESS', 'RINGBACK'].includes(type) || (type === 'OK' && message.for === 'OFFER'))
      this.#setup.hear(message);
    // Anything else is of a later version: it asks nothing of us.
  }

  /**
   * The connection is gone. What the gateway keeps for us goes on for its grace; what rings here ends.
   *
   * @param {number} grace seconds; 0 ends the call whatever its state
   */
  connectionLost(grace) {
    this.#transfer.lost();
    if (grace > 0 && this.#rejoin.running) this.#rejoin.start(grace);
    else if (grace > 0 && this.#talking) this.#sound.recover(grace);
    else if (grace > 0 && this.#waited) this.#rejoinFor(grace);
    else this.#end({ reason: 'connection-lost', text: sentence('connection-lost') });
  }

  /** The connection is there again: the call is taken up. */
  connectionBack() {
    this.#rejoin.wake();
    this.#sound.wake();
  }

  /** Another connection has taken the place of the one before, with the gateway's will: the call follows it. */
  connectionMoved() {
    if (this.#over || this.#rejoin.running) return;
    const grace = this.#port.grace;
    if (this.#talking) this.#sound.changes.offer().catch(() => this.#talking && this.#sound.recover(grace));
    else if (this.#waited) this.#rejoinFor(grace);
  }

  /**
   * Take up a call that is there already, with a fresh access leg.
   *
   * @param {import('./wire.js').CallInfo} info
   * @param {{patience: number, ours: boolean, muted?: boolean}} how `ours`: no other page has it, where it would go on
   */
  takeUp(info, { patience, ours, muted = false }) {
    if (info.answered !== null) this.connectedAt = Date.now() - info.answered * 1000;
    this.#ours = ours;
    if (muted) this.mute(true);
    this.#hold.restore(info);
    if (!info.holding) this.#port.only(this);
    this.#rejoin.start(patience);
  }

  /** The machine's network may have changed. */
  networkChanged() {
    if (this.#talking) this.#sound.suspect();
  }

  /** @param {RTCIceServer[]} servers there are new ones */
  useServers(servers) {
    this.#sound.useServers(servers);
  }

  // ---------------------------------------------------------------- inside

  /** @param {import('./rtcgw.js').Message} message HANGUP */
  #ends(message) {
    const reason = text(message.reason) || 'hangup';
    const [status, said] = [Number(message.status) || undefined, text(message.said)];
    this.#end({ reason, text: sentence(reason, text(message.text)), status, said });
  }

  /** @param {import('./rtcgw.js').Message} message OFFER: a change of the call, or its ringing on another connection */
  #offered(message) {
    const sdp = text(message.sdp);
    const { changes } = this.#sound;
    if (message.from !== undefined) {
      if (this.role === 'callee' && this.state === State.CALLING) this.#setup.ringAgain(sdp, message.warm !== false);
    } else if (sdp) {
      this.#inOrder(async () => {
        // Other keys alone ask for nothing new: when an engine has died the next one takes over with keys of its own.
        if (message.fresh !== true) await changes.answer(sdp, this.#port.answerVideo);
        else if (await changes.answerFresh(sdp, this.#sound)) this.#roster.renew();
      });
    }
  }

  /** @param {Party} remote */
  #connectedTo(remote) {
    this.remote = remote;
    this.#port.changed();
    this.#emit('party', { remote });
  }

  /** @param {number} patience seconds */
  #rejoinFor(patience) {
    this.#figure.move('lost');
    this.#rejoin.start(patience);
  }

  /** @returns {import('./sound.js').Line} */
  #line() {
    return {
      talking: () => this.#talking,
      calling: () => this.state === State.CALLING,
      over: () => this.#over,
      // Whose phone rings has not picked it up: nobody is heard yet.
      hears: () => this.role === 'caller' || this.answering || this.#talking,
      turn: (work) => this.#turns.take(work),
      inOrder: (work) => this.#inOrder(work),
      ask: (type, fields) => this.#ask(type, fields),
      tell: (type, fields) => this.#tell(type, fields),
      emit: (type, detail) => this.#emit(type, detail),
      since: () => this.connectedAt,
      answered: (since) => this.#connected(since),
      waits: () => this.#figure.move('waits'),
      reloading: (lost) => this.#figure.move(lost ? 'lost' : 'back'),
      fail: (error) => this.#fail(error),
    };
  }

  get #over() {
    return this.state === State.HANGUP;
  }

  /** Whether it has been answered, here, and is not over. */
  get #talking() {
    return this.#sound.begun && !this.#over;
  }

  /** Whether the gateway keeps it for us before it is answered; what merely rings here it rings again. */
  get #waited() {
    return this.session !== '' && (this.role === 'caller' || this.answering) && this.#port.can('resume');
  }

  #usualReason() {
    if (this.state !== State.CALLING) return 'hangup';
    return this.role === 'caller' ? 'cancelled' : 'declined';
  }

  /** @param {number} since ms since the epoch; 0 for now */
  #connected(since) {
    if (!this.#figure.move('answered')) return;
    this.#ours = true;
    this.connectedAt = since || Date.now();
    this.answering = false;
    this.ringing = false;
    this.ringback = 'none';
    this.#port.changed();
    this.#sound.begin();
    this.#emit('connected', null);
  }

  /** @param {Ended} ended */
  #end(ended) {
    if (!this.#over) this.#ended = ended;
    if (!this.#figure.move('over')) return;
    this.#sound.close();
    this.#rejoin.wake();
    this.#port.forget(this, this.#ours);
    this.#transfer.end(ended);
    this.#emit('ended', ended);
  }

  /** @param {import('./errors.js').RtcgwError} error */
  #fail(error) {
    if (this.#over) return;
    const word = error.code.startsWith('media-') ? error.code : this.#usualReason();
    if (this.session && this.#ours) this.#tell('HANGUP', { reason: error.code.startsWith('relay-') ? 'media-failed' : word });
    this.#end({ reason: error.code, text: error.message });
  }

  /**
   * Run in turn what the call hangs on: what it throws ends the call, and the gateway is told.
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
   * gateway ends the call itself and says so. @param {string} type @param {Record<string, unknown>} [fields]
   */
  #tell(type, fields) {
    this.#port.request({ type, session: this.session, ...fields }).catch(() => undefined);
  }

  /** Ask what the other side may have to decide. @param {string} type @param {Record<string, unknown>} [fields] */
  #ask(type, fields) {
    return this.#port.request({ type, session: this.session, ...fields }, FAR_REPLY);
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
