/** The microphone and the camera of one call. */

import { RtcgwError } from './errors.js';
import { openBoth, openCamera, openMicrophone } from './media.js';

export class Devices {
  #wanted;
  /** @type {MediaStream | null} */ #microphone = null;
  /** @type {MediaStream | null} */ #camera = null;
  #muted = false;
  #silenced = false;

  /** @param {{microphone: MediaTrackConstraints | boolean, camera: MediaTrackConstraints | boolean}} wanted */
  constructor(wanted) {
    this.#wanted = wanted;
  }

  /** @returns {boolean} */
  get muted() {
    return this.#muted;
  }

  /** Our own picture; null while the camera is off. @returns {MediaStream | null} */
  get camera() {
    return this.#camera;
  }

  /**
   * Open the microphone, and the camera if it can be.
   *
   * @param {boolean} video
   * @returns {Promise<RtcgwError | null>} what is wrong with the camera; rejected for the microphone
   */
  async open(video) {
    const { microphone, camera } = this.#wanted;
    const opened = video
      ? await openBoth(microphone, camera)
      : { microphone: await openMicrophone(microphone), camera: null, trouble: null };
    this.#microphone = opened.microphone;
    this.#camera = opened.camera;
    this.#apply();
    return opened.trouble;
  }

  /** @returns {Promise<void>} rejected with RtcgwError `camera-...` */
  async openCamera() {
    this.#camera ??= await openCamera(this.#wanted.camera);
    this.#apply();
  }

  closeCamera() {
    stop(this.#camera);
    this.#camera = null;
  }

  close() {
    stop(this.#microphone);
    this.closeCamera();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#muted = muted;
    this.#apply();
  }

  /** @param {boolean} silenced whether nothing at all goes out, whatever is muted: the other side is on hold */
  silence(silenced) {
    this.#silenced = silenced;
    this.#apply();
  }

  #apply() {
    for (const track of this.#microphone?.getTracks() ?? []) track.enabled = !this.#muted && !this.#silenced;
    for (const track of this.#camera?.getTracks() ?? []) track.enabled = !this.#silenced;
  }

  /**
   * @param {'audio' | 'video'} kind
   * @returns {MediaStreamTrack | null}
   */
  track(kind) {
    const stream = kind === 'audio' ? this.#microphone : this.#camera;
    return stream?.getTracks().find((track) => track.kind === kind) ?? null;
  }
}

/** @param {MediaStream | null} stream */
function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
