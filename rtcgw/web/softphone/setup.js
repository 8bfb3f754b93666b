/**
 * A call until it is answered: placed, rung for, warmed up, taken.
 *
 * What it finds out it writes into the call's own fields, since that is where pages look.
 */

import { asError } from './errors.js';
import { text } from './wire.js';

/** Words of PROGRESS that say more than that it goes on. */
const STAGES = new Set(['forwarded', 'queued']);

export class Setup {
  #call;
  #line;
  #port;
  #sound;
  #wanted;
  #offer;
  #warm;
  #earlySound = false;
  #given = false;

  /**
   * @param {import('./call.js').Call} call
   * @param {import('./sound.js').Line} line
   * @param {import('./calls.js').CallPort} port
   * @param {import('./sound.js').Sound} sound
   * @param {{offer: string, warm: boolean, video: boolean, anonymous: boolean, headers: Record<string, string> | null}} init
   */
  constructor(call, line, port, sound, { offer, warm, ...wanted }) {
    this.#call = call;
    this.#line = line;
    this.#port = port;
    this.#sound = sound;
    this.#offer = offer;
    this.#warm = warm;
    this.#wanted = wanted;
  }

  /** Whether an incoming call offers anything. @returns {boolean} */
  get offered() {
    return this.#offer !== '';
  }

  /** Begin: a caller's offer goes out, a callee says that it rings. */
  start() {
    if (this.#call.role === 'caller') {
      this.#port.only(this.#call);
      this.#line.inOrder(() => this.#place());
    } else {
      this.#line.tell('RINGING');
      if (this.#warm && this.#port.warm) this.#line.inOrder(() => this.#warmUp());
    }
  }

  /** It rings anew, on another connection of ours: what was warm is of no use. @param {string} offer @param {boolean} warm */
  ringAgain(offer, warm) {
    if (this.#call.answering || !offer) return;
    this.#offer = offer;
    this.#warm = warm;
    this.#given = false;
    this.#line.inOrder(async () => this.#sound.discard());
    this.start();
  }

  /** @param {boolean} video @returns {Promise<void>} */
  answer(video) {
    this.#call.answering = true;
    this.#port.only(this.#call);
    return this.#line.inOrder(() => this.#answer(video && this.#call.offersVideo));
  }

  /** @param {import('./rtcgw.js').Message} message RINGING, PROGRESS, RINGBACK or the OK of our OFFER */
  hear(message) {
    const [type, sdp] = [message.type, text(message.sdp)];
    if (type === 'OK') this.#line.inOrder(() => this.#answered(sdp));
    else if (type === 'RINGBACK') this.#line.inOrder(async () => this.#soundFrom(message.sound));
    else this.#line.inOrder(() => this.#progress(type === 'RINGING', sdp, text(message.stage)));
  }

  async #place() {
    const { video, anonymous, headers } = this.#wanted;
    if (!(await this.#sound.open(video))) return;
    await this.#port.relays.fresh();
    if (this.#line.over()) return;
    const { peering } = this.#sound;
    await this.#sound.carry();
    const sdp = await peering.offer();
    if (this.#line.over()) return;
    const more = { ...(anonymous ? { anonymous } : {}), ...(headers ? { headers } : {}) };
    const waiting = await this.#port.request({ type: 'OFFER', to: this.#call.remote.uri, sdp, ...more });
    this.#call.session = text(waiting.session);
    if (this.#line.over()) {
      // Hung up before the gateway had given the call a name.
      this.#line.tell('HANGUP', { reason: 'cancelled' });
      return;
    }
    this.#port.adopt(this.#call, this.#call.session);
    peering.release();
  }

  /** Have everything ready while it rings, but for the microphone: that is for the user's answer to switch on. */
  async #warmUp() {
    const { peering } = this.#sound;
    await peering.take('offer', this.#offer);
    await peering.carry('audio', null);
    const sdp = await peering.earlyAnswer();
    const given = () => {
      this.#given = true;
    };
    // Not waited for, since the user's answer must not be; refused, the answer carries the description.
    this.#line.ask('PRANSWER', { sdp }).then(given, () => undefined);
    peering.release();
  }

  /** @param {boolean} video */
  async #answer(video) {
    if (!(await this.#sound.open(video))) return;
    const { peering } = this.#sound;
    if (!peering.peer.remoteDescription) await peering.take('offer', this.#offer);
    await this.#sound.carry();
    this.#sound.listen();
    const { sdp, news } = await peering.answer();
    const answered = this.#line.ask('ANSWER', this.#given && !news ? {} : { sdp });
    peering.release();
    try {
      await answered;
    } catch (error) {
      // The reply went under with the connection: whether we have the call is found out when that is back.
      if (asError(error).code === 'connection-lost' && !this.#line.calling()) return;
      throw error;
    }
    this.#line.answered(0);
  }

  /**
   * @param {boolean} ringing
   * @param {string} sdp '' for none
   * @param {string} stage '' for none
   */
  async #progress(ringing, sdp, stage) {
    const call = this.#call;
    if (call.role !== 'caller' || !this.#line.calling()) return;
    if (sdp) {
      this.#earlySound = true;
      await this.#sound.peering.take('pranswer', sdp);
    }
    // What the network's PRACK may wait for is that we have noted it, also where there was nothing to apply.
    if (sdp || this.#port.acknowledges) this.#line.tell('PRANSWER');
    if (STAGES.has(stage)) {
      call.stage = stage;
      this.#line.emit('stage', { stage });
    }
    if (ringing) {
      call.ringing = true;
      this.#line.emit('ringing', null);
    }
    // A gateway that does not say who makes the tone has early descriptions for early sound only.
    if (!this.#port.can('ringback') && (ringing || sdp)) this.#soundFrom(this.#earlySound ? 'network' : 'local');
  }

  /** @param {unknown} sound */
  #soundFrom(sound) {
    if (!this.#line.calling() || (sound !== 'local' && sound !== 'network' && sound !== 'none')) return;
    if (sound === this.#call.ringback) return;
    this.#call.ringback = sound;
    if (sound === 'network') {
      this.#sound.listen();
      this.#line.emit('progress', null);
    }
    this.#line.emit('ringback', { sound });
  }

  /** @param {string} sdp the answer; '' when the early description was the last word */
  async #answered(sdp) {
    if (this.#call.role !== 'caller' || !this.#line.calling()) return;
    await this.#sound.peering.take('answer', sdp);
    this.#line.tell('ANSWER');
    this.#line.answered(0);
  }
}
