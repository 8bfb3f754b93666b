/**
 * What the user hears that nobody sends: the ring of an incoming call, ring-back, busy, key clicks.
 *
 * Each tone is one period rendered once into a buffer and looped by WebAudio, so that no timer of the
 * page keeps the cadence: browsers slow timers down in tabs that are not looked at, which is just
 * when a call comes in.
 */

/**
 * @typedef {object} Tone one period of a cadence
 * @property {[number, number[]][]} parts seconds and the frequencies (Hz) sounding in them; none is silence
 * @property {number} level 0..1
 */

/** @type {Readonly<Record<string, Tone>>} Cadences after ITU-T E.180 supplement 2, as in most of Europe. */
const TONES = Object.freeze({
  ringback: { parts: [[1, [425]], [4, []]], level: 0.12 },
  busy: { parts: [[0.5, [425]], [0.5, []]], level: 0.12 },
  // A second call while one speaks (E.180 supplement 2: call waiting), quiet enough to be talked over.
  waiting: { parts: [[0.15, [425]], [0.15, []], [0.15, [425]], [7.55, []]], level: 0.05 },
  ring: {
    parts: [[0.2, [660, 1320]], [0.2, [880, 1760]], [0.2, [660, 1320]], [0.2, [880, 1760]], [2.2, []]],
    level: 0.22,
  },
});

/** @type {Readonly<Record<string, number[]>>} The two frequencies of each key (ITU-T Q.23). */
const KEYS = Object.freeze(
  Object.fromEntries(
    ['123', '456', '789', '*0#'].flatMap((row, low) =>
      [...row].map((key, high) => [key, [[697, 770, 852, 941][low], [1209, 1336, 1477][high]]]),
    ),
  ),
);

/** Seconds over which a tone swells and fades, so that it does not click. */
const EDGE = 0.008;

/** Plays one cadence at a time, and key clicks beside it. */
export class Tones {
  /** @type {AudioContext | null} */ #context = null;
  /** @type {AudioBufferSourceNode | null} */ #playing = null;
  #name = '';

  /** Make sound possible: to be called when the user clicks or types, which browsers insist on. */
  unlock() {
    this.#context ??= new AudioContext();
    if (this.#context.state === 'suspended') this.#context.resume().catch(() => undefined);
  }

  /** The cadence that sounds, or ''. @returns {string} */
  get playing() {
    return this.#name;
  }

  /**
   * Play a cadence until another is asked for, or none.
   *
   * @param {'' | 'ring' | 'waiting' | 'ringback' | 'busy'} name
   * @param {number} [periods] how often; for ever where left out
   */
  play(name, periods = Infinity) {
    if (name === this.#name) return;
    this.#playing?.stop();
    this.#playing = null;
    this.#name = name;
    if (!name || !this.#context) return;
    const tone = TONES[name];
    const source = this.#source(tone);
    source.loop = periods > 1;
    source.start();
    if (Number.isFinite(periods)) source.stop(this.#context.currentTime + periods * length(tone));
    source.onended = () => {
      if (this.#playing === source) this.play('');
    };
    this.#playing = source;
  }

  /** @param {string} key one of 0-9 * # */
  key(key) {
    if (this.#context && Object.hasOwn(KEYS, key)) this.#source({ parts: [[0.12, KEYS[key]]], level: 0.08 }).start();
  }

  /**
   * @param {Tone} tone
   * @returns {AudioBufferSourceNode} connected, not started
   */
  #source(tone) {
    const context = /** @type {AudioContext} */ (this.#context);
    const buffer = context.createBuffer(1, Math.ceil(length(tone) * context.sampleRate), context.sampleRate);
    render(tone, buffer.getChannelData(0), context.sampleRate);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    return source;
  }
}

/**
 * @param {Tone} tone
 * @returns {number} seconds of one period
 */
function length(tone) {
  return tone.parts.reduce((sum, [seconds]) => sum + seconds, 0);
}

/**
 * @param {Tone} tone
 * @param {Float32Array} samples filled in
 * @param {number} rate samples per second
 */
function render(tone, samples, rate) {
  let at = 0;
  for (const [seconds, frequencies] of tone.parts) {
    const count = Math.floor(seconds * rate);
    for (let i = 0; i < count && frequencies.length; i++) {
      const edge = Math.min(1, i / (EDGE * rate), (count - i) / (EDGE * rate));
      const sum = frequencies.reduce((value, hertz) => value + Math.sin((2 * Math.PI * hertz * i) / rate), 0);
      samples[at + i] = (tone.level * edge * sum) / frequencies.length;
    }
    at += count;
  }
}
