/**
 * Changes of an answered call: our offers within it, the answers to theirs, and the camera.
 *
 * One exchange at a time, since all of it takes its turn. Where both sides offer at once the gateway
 * refuses ours with `conflict`: it is rolled back, theirs is answered, and then ours is made anew.
 */

import { RtcgwError, asError } from './errors.js';
import { pause } from './waiting.js';

/** Milliseconds before a change is tried again that met one of the other side (RFC 3261 §14.1). */
const AFTER_CONFLICT = [200, 500, 1000, 2000];
/** Refusals that say no more than that something else is under way. */
const CROSSED = new Set(['conflict', 'illegal-state']);

export class Changes {
  #line;
  #devices;
  #peering;
  #agreed = { sending: false, receiving: false };

  /**
   * @param {import('./sound.js').Line} line
   * @param {import('./devices.js').Devices} devices
   * @param {() => import('./peering.js').Peering | null} peering null where the call cannot be changed now
   */
  constructor(line, devices, peering) {
    this.#line = line;
    this.#devices = devices;
    this.#peering = peering;
  }

  /** Whose picture is shown to whom. @returns {{sending: boolean, receiving: boolean}} */
  get video() {
    return { ...this.#agreed };
  }

  /**
   * Offer what has changed on our side, again if it met a change of the other side.
   *
   * @param {{restart?: boolean, video?: boolean, tries?: number}} [change] `restart` of ICE; `video`: the camera is on
   * @returns {Promise<void>} rejected with the gateway's refusal; nothing has changed then
   */
  offer({ restart = false, video = false, tries = AFTER_CONFLICT.length + 1 } = {}) {
    // The other side's own change is next in turn; then ours.
    return again(() => this.#line.turn(() => this.#exchange(restart, video)), tries);
  }

  /**
   * Answer an offer of the other side, or of the gateway. In turn already.
   *
   * @param {string} sdp
   * @param {boolean} showOurs whether our camera goes on if they show video
   */
  async answer(sdp, showOurs) {
    const peering = this.#peering();
    if (!peering) {
      this.#line.tell('DECLINE', { reason: 'conflict' });
      return;
    }
    try {
      await peering.take('offer', sdp);
      peering.welcome();
      if (showOurs && showsVideo(sdp)) await this.#openCamera(peering);
      this.#taken((await peering.answer()).sdp);
    } catch {
      await peering.rollback();
      this.#line.tell('DECLINE', { reason: 'media-incompatible' });
    }
    this.report();
  }

  /**
   * Answer an offer behind which there are other media than so far: by a peer connection of its own. The
   * present one speaks on until that is connected, or for good where it is not wanted. In turn already.
   *
   * @param {string} sdp
   * @param {import('./sound.js').Sound} sound
   * @returns {Promise<boolean>} whether the gateway has our answer
   */
  async answerFresh(sdp, sound) {
    if (!this.#peering()) {
      this.#line.tell('DECLINE', { reason: 'conflict' });
      return false;
    }
    const next = sound.another();
    try {
      await next.take('offer', sdp);
      await sound.carry(next);
      next.welcome();
      const { sdp: ours } = await next.answer();
      const taken = this.#line.ask('ANSWER', { sdp: ours });
      next.release();
      await taken;
    } catch (error) {
      next.close();
      // Refused by the gateway, it stands as before; what the browser did not take, the gateway must hear of.
      if (asError(error).code === 'media-failed') this.#line.tell('DECLINE', { reason: 'media-incompatible' });
      return false;
    }
    sound.goOnWith(next);
    this.report();
    return true;
  }

  /** @param {string} sdp our answer, which may come too late */
  async #taken(sdp) {
    try {
      await this.#line.ask('ANSWER', { sdp });
    } catch (error) {
      // The gateway has gone back to before its offer, and we cannot: an offer of ours brings both together.
      if (asError(error).code === 'withdrawn') this.offer({ restart: true }).catch(() => undefined);
    }
  }

  /** @returns {Promise<void>} rejected when our picture cannot be shown; the call goes on without */
  async addVideo() {
    if (this.#devices.camera || !this.#peering()) return;
    await this.#devices.openCamera();
    try {
      await this.offer({ video: true });
      if (!this.#agreed.sending) throw new RtcgwError('video-refused');
    } catch (error) {
      await this.#cameraOff();
      throw asError(error);
    }
  }

  /** @returns {Promise<void>} never rejected */
  async removeVideo() {
    if (!this.#devices.camera) return;
    await this.#cameraOff();
    // Refused, the other side keeps an empty frame: nothing that the user could do about it.
    await this.offer().catch(() => undefined);
  }

  /** Tell the page what has been agreed, if that is new. */
  report() {
    const now = this.#peering()?.agreed('video');
    if (!now || (now.sending === this.#agreed.sending && now.receiving === this.#agreed.receiving)) return;
    this.#agreed = now;
    this.#line.emit('video', { ...now });
  }

  /**
   * @param {boolean} restart
   * @param {boolean} video
   */
  async #exchange(restart, video) {
    const peering = this.#peering();
    if (!peering) throw new RtcgwError('gone');
    try {
      if (video) await peering.carry('video', this.#devices.track('video'));
      const sdp = await peering.offer(restart);
      const reply = await this.#line.ask('OFFER', { sdp });
      await peering.take('answer', String(reply.sdp ?? ''));
    } catch (error) {
      await peering.rollback();
      throw error;
    }
    this.report();
  }

  /** @param {import('./peering.js').Peering} peering */
  async #openCamera(peering) {
    try {
      await this.#devices.openCamera();
      await peering.carry('video', this.#devices.track('video'));
    } catch (error) {
      const { code, message } = asError(error);
      this.#line.emit('trouble', { code, text: message });
    }
  }

  async #cameraOff() {
    this.#devices.closeCamera();
    await this.#peering()?.withdraw('video');
  }
}

/**
 * Ask for a change, again if it met one of the other side.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @param {number} [tries]
 * @returns {Promise<T>} rejected with the refusal
 */
export async function again(work, tries = AFTER_CONFLICT.length + 1) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!CROSSED.has(asError(error).code) || attempt >= tries) throw error;
    }
    await pause(AFTER_CONFLICT[attempt - 1] * (0.5 + Math.random()));
  }
}

/**
 * @param {string} sdp an offer
 * @returns {boolean} whether it has video to show
 */
export function showsVideo(sdp) {
  const [, video = ''] = sdp.split(/^m=video [1-9]/m);
  return video !== '' && !/^a=(recvonly|inactive)/m.test(video.split(/^m=/m)[0]);
}
