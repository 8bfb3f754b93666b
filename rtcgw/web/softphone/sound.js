/**
 * The media of one call as a whole: devices, peer connection, what is heard, and keeping it alive.
 *
 * It knows when sound is there, gone or refused, and tells the call; it does not know how far the
 * call is, except for what `Line` answers.
 */

import { Changes } from './changes.js';
import { Devices } from './devices.js';
import { RtcgwError, asError, sentence } from './errors.js';
import { nominatedPair } from './media.js';
import { Peering } from './peering.js';
import { QualityMeter } from './quality.js';
import { Recovery } from './recovery.js';
import { pause } from './waiting.js';

/** Seconds to get lost sound back where the gateway has no grace time. */
const PATIENCE = 15;
/** Milliseconds of `,` among tones, and how many of them a message may carry. */
const TONE_PAUSE = 2000;
const TONES = /[^,]{1,32}|,/g;
/** Refusals after which an ICE restart may be tried again. */
const PASSING = new Set(['conflict', 'illegal-state', 'connection-lost', 'closed', 'no-reply']);
/** Milliseconds for which an old peer connection speaks on that a new one replaces. */
const OVERLAP = 5000;
/** What a TURN server says to those it does not serve (RFC 8656 §19): not authorised, stale, over quota. */
const REFUSED = new Set([401, 403, 438, 441, 486]);

/**
 * @typedef {object} Line what a call lends to its media
 * @property {() => boolean} talking whether it has been answered and is not over
 * @property {() => boolean} over
 * @property {() => boolean} hears whether the other side may be heard yet
 * @property {<T>(work: () => Promise<T>) => Promise<T>} turn
 * @property {(type: string, fields?: Record<string, unknown>) => Promise<import('./rtcgw.js').Message>} ask
 * @property {(type: string, fields?: Record<string, unknown>) => void} tell
 * @property {(work: () => Promise<unknown>) => Promise<void>} inOrder a turn whose failure ends the call
 * @property {(type: string, detail: unknown) => void} emit
 * @property {() => boolean} calling whether it has not been answered yet, and is not over
 * @property {() => number} since when it was answered, ms since the epoch; 0 for now
 * @property {(since: number) => void} answered both sides know it; `since` as before
 * @property {() => void} waits the gateway has us again, and nobody has answered yet
 * @property {(lost: boolean) => void} reloading whether the sound is being got back
 * @property {(error: RtcgwError) => void} fail it cannot go on
 */

export class Sound {
  #port;
  #line;
  /** @type {Peering | null} */ #peering = null;
  /** @type {QualityMeter | null} */ #meter = null;
  #recovery;
  #everConnected = false;
  #begun = false;
  #silent = false;
  /** @type {RtcgwError | null} */ #relayError = null;
  /** @type {Map<Peering, MediaStreamTrack[]>} what each of them brings */ #brought = new Map();
  /** @type {(() => void) | null} lets the one go that has been replaced */ #letGo = null;

  /**
   * @param {import('./calls.js').CallPort} port
   * @param {Line} line
   */
  constructor(port, line) {
    this.#port = port;
    this.#line = line;
    this.devices = new Devices(port);
    this.changes = new Changes(line, this.devices, () => (line.talking() ? this.#peering : null));
    this.#recovery = new Recovery(this.#work());
    /** @type {MediaStream} what the other side says and shows */
    this.remote = new MediaStream();
  }

  /** Whether both sides have spoken, or could have. @returns {boolean} */
  get begun() {
    return this.#begun;
  }

  /** @returns {RTCPeerConnection | null} */
  get peer() {
    return this.#peering?.peer ?? null;
  }

  /** Made when it is first wanted. @returns {Peering} */
  get peering() {
    if (!this.#peering) {
      this.#peering = this.#prepare();
      this.#meter = this.#measure(this.#peering);
    }
    return this.#peering;
  }

  /**
   * Open the microphone, and the camera where it is wanted and can be.
   *
   * @param {boolean} video
   * @returns {Promise<boolean>} false when the call ended meanwhile; rejected for the microphone
   */
  async open(video) {
    const trouble = await this.devices.open(video);
    if (this.#line.over()) {
      this.devices.close();
      return false;
    }
    if (trouble) this.#line.emit('trouble', { code: trouble.code, text: trouble.message });
    return true;
  }

  /** Open the microphone where it is not open yet. @returns {Promise<boolean>} as `open` */
  async ready() {
    return this.devices.track('audio') ? !this.#line.over() : this.open(this.devices.camera !== null);
  }

  /** Put what the devices give on its way. @param {Peering} [peering] the one in use where left out */
  async carry(peering = this.peering) {
    await peering.carry('audio', this.devices.track('audio'));
    if (this.devices.camera) await peering.carry('video', this.devices.track('video'));
  }

  /** Let the other side be heard, unless the call is on hold. @returns {Promise<boolean>} whether the browser plays it */
  async listen() {
    const { audio } = this.#port;
    if (!audio || this.#silent || this.#line.over()) return true;
    if (audio.srcObject !== this.remote) audio.srcObject = this.remote;
    try {
      await audio.play();
    } catch (error) {
      // Refused where the user has not touched the page since it was loaded. Cut short by another stream, it is no matter.
      const blocked = error instanceof Error && error.name === 'NotAllowedError';
      if (blocked) this.#line.emit('trouble', { code: 'playback-blocked', text: sentence('playback-blocked') });
      return !blocked;
    }
    return true;
  }

  /** Nothing goes out and nothing is heard, or both again. @param {boolean} silent */
  silence(silent) {
    const { audio } = this.#port;
    this.#silent = silent;
    this.devices.silence(silent);
    for (const track of this.remote.getTracks()) track.enabled = !silent;
    if (!silent) this.listen();
    else if (audio?.srcObject === this.remote) audio.srcObject = null;
  }

  /** The call has been answered: from now on sound is missed when it does not come. */
  begin() {
    this.#begun = true;
    this.listen();
    this.changes.report();
    this.#recovery.watch(this.#port.grace || PATIENCE);
    this.#meter?.start();
    if (this.#peering?.pending) this.changes.offer().catch(() => undefined);
  }

  // ---------------------------------------------------------------- another peer connection

  /** One that is not yet in use. @returns {Peering} */
  another() {
    return this.#prepare();
  }

  /**
   * Use another one from now on. The old one speaks on until the new one is connected, so that no word is lost.
   *
   * @param {Peering} next of `another`
   */
  goOnWith(next) {
    const old = this.#peering;
    this.#letGo?.();
    this.#peering = next;
    this.#meter?.stop();
    this.#meter = this.#measure(next);
    if (this.#begun) this.#meter.start();
    const timer = globalThis.setTimeout(() => this.#letGo?.(), OVERLAP);
    this.#letGo = () => {
      globalThis.clearTimeout(timer);
      this.#letGo = null;
      if (old) this.#brought.delete(old);
      old?.close();
      this.#show(next);
    };
    if (!old || next.connected) this.#letGo();
  }

  /** What was begun is of no use: the call begins anew with another one. */
  discard() {
    const old = this.#peering;
    this.#peering = null;
    this.#meter?.stop();
    if (old) this.#brought.delete(old);
    old?.close();
    for (const track of this.remote.getTracks()) this.remote.removeTrack(track);
  }

  /**
   * See `Call.sendDtmf`.
   *
   * @param {string} tones
   * @returns {boolean}
   */
  sendTones(tones) {
    const sent = this.#peering?.tones(tones) ?? null;
    if (sent !== null || !this.#peering || !this.#port.can('dtmf')) return sent ?? false;
    this.#tellTones(tones);
    return true;
  }

  /** Get the sound back. @param {number} [patience] seconds @returns {Promise<void>} */
  recover(patience) {
    return this.#recovery.begin(patience);
  }

  /** There is a way to the gateway again. */
  wake() {
    this.#recovery.wake();
  }

  /** There may be another network now. */
  suspect() {
    this.#recovery.suspect();
  }

  /** @param {RTCIceServer[]} servers there are new ones */
  useServers(servers) {
    this.#peering?.useServers(servers);
  }

  close() {
    this.#letGo?.();
    this.#recovery.stop();
    this.#meter?.stop();
    this.devices.close();
    this.#peering?.close();
    const { audio } = this.#port;
    if (audio?.srcObject === this.remote) audio.srcObject = null;
  }

  // ---------------------------------------------------------------- inside

  /** @returns {Peering} */
  #prepare() {
    const peering = new Peering(this.#port.configuration(), {
      heard: (track) => this.#heard(peering, track),
      changed: (state) => this.#changed(peering, state),
      candidate: (fields) => {
        if (this.#port.can('trickle')) this.#line.tell('CANDIDATE', fields);
      },
      refused: (error) => this.#relayRefused(error),
    });
    this.#brought.set(peering, []);
    return peering;
  }

  /** @param {Peering} peering */
  #measure(peering) {
    return new QualityMeter(peering.peer, (quality) => this.#line.emit('quality', quality));
  }

  /**
   * @param {Peering} peering
   * @param {MediaStreamTrack} track
   */
  #heard(peering, track) {
    this.#brought.get(peering)?.push(track);
    if (peering !== this.#peering || this.#letGo) return; // it is shown when the other one is let go
    track.enabled = !this.#silent;
    this.remote.addTrack(track);
    if (this.#line.hears()) this.listen();
  }

  /** @param {Peering} peering whose tracks are the other side's, and nobody else's */
  #show(peering) {
    const tracks = this.#brought.get(peering) ?? [];
    for (const track of tracks) {
      track.enabled = !this.#silent;
      this.remote.addTrack(track);
    }
    // In this order a player is at no moment without a track.
    for (const track of this.remote.getTracks()) if (!tracks.includes(track)) this.remote.removeTrack(track);
    if (this.#line.hears()) this.listen();
  }

  /**
   * @param {Peering} peering
   * @param {RTCPeerConnectionState} state
   */
  #changed(peering, state) {
    // One that is being replaced has no say any more.
    if (this.#line.over() || peering !== this.#peering) return;
    this.#line.emit('media', { state });
    if (state === 'connected') {
      this.#everConnected = true;
      this.#letGo?.();
      this.#reportPair();
    }
    if (state !== 'failed' && state !== 'disconnected') return;
    if (this.#line.talking()) this.#recovery.begin();
    else if (state === 'failed') this.#lost();
  }

  /** @param {{code: number, text: string, url: string}} error of a STUN or TURN server */
  #relayRefused({ code, text, url }) {
    if (this.#line.over()) return;
    const refused = REFUSED.has(code);
    const error = new RtcgwError(refused ? 'relay-refused' : 'relay-unreachable');
    // Told for each server and each address of ours; one renewal is enough.
    if (refused && this.#relayError?.code !== error.code) this.#port.relays.renew();
    if (refused || !this.#relayError) this.#relayError = error;
    this.#line.emit('media', { state: error.code, text: error.message, code, url, said: text });
  }

  /** Tell the gateway which way the sound goes (its ICE handler keeps it for whoever looks for faults). */
  async #reportPair() {
    const { peer } = this;
    const pair = peer && (await nominatedPair(peer));
    if (pair && !this.#line.over()) this.#line.tell('ICE', { pair });
  }

  /** @param {string} tones for a peer that takes none of RFC 4733 */
  async #tellTones(tones) {
    for (const part of tones.match(TONES) ?? []) {
      if (part === ',') await pause(TONE_PAUSE);
      else if (this.#line.talking()) await this.#line.ask('DTMF', { tones: part }).catch(() => undefined);
    }
  }

  /** @returns {import('./recovery.js').Work} */
  #work() {
    return {
      sample: async () => this.#peering?.sample() ?? { connected: false, packets: 0, responses: 0, pair: '' },
      expects: () => this.#peering?.agreed('audio').receiving ?? false,
      open: () => this.#port.open(),
      check: () => this.#port.check(),
      restart: () => this.#restart(),
      lost: () => this.#line.reloading(true),
      restored: () => {
        this.#line.reloading(false);
        this.#reportPair();
      },
      gaveUp: () => this.#lost(),
    };
  }

  /** @returns {Promise<boolean>} false when it is to be tried again */
  async #restart() {
    // In parallel: a connection to the gateway that went with the old network is given up at once.
    this.#port.check();
    await this.#port.relays.fresh();
    try {
      await this.changes.offer({ restart: true, tries: 2 });
      return true;
    } catch (error) {
      const failure = asError(error);
      if (!PASSING.has(failure.code)) this.#line.fail(failure);
      return false;
    }
  }

  /** The sound is not to be had. */
  #lost() {
    if (!this.#port.open()) this.#line.fail(new RtcgwError('connection-lost'));
    else if (this.#everConnected) this.#line.fail(new RtcgwError('media-lost'));
    else this.#line.fail(this.#relayError ?? new RtcgwError('media-failed'));
  }
}
