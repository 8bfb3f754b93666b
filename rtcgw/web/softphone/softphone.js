/**
 * The softphone: joins the protocol (`rtcgw.js`), the screen (`view.js`) and the tones.
 *
 * One call at a time; whoever calls meanwhile hears busy and stands in the list of recent calls.
 */

import { Rtcgw, State, sentence } from './rtcgw.js';
import { showQuality } from './stage.js';
import { Tones } from './tones.js';
import { View } from './view.js';

/** Seconds for which the end of a call stays on the screen. */
const FAREWELL = 4;
/** Recent calls shown. */
const RECENT = 8;
/** Seconds that sound may take to connect without the relay server before the user hears of its trouble. */
const RELAY_PATIENCE = 2;

/** @typedef {{websocket: string, login: string[], hint: string}} Config */

class Softphone {
  /** @type {Config} */ #config;
  /** @type {View} */ #view;
  #tones = new Tones();
  /** @type {Rtcgw | null} null while logged out */ #gateway = null;
  /** @type {import('./rtcgw.js').Call | null} */ #call = null;
  /** @type {import('./view.js').Entry[]} */ #recent = [];
  /** @type {Map<string, string>} address -> name */ #names = new Map();
  #relayOnly = false;
  #detail = '';
  #farewell = 0;

  /** @param {Config} config */
  constructor(config) {
    this.#config = config;
    this.#view = new View({
      login: (credentials) => this.#login(credentials),
      logout: () => this.#logout(''),
      dial: (address, video) => this.#dial(address, video),
      answer: (video) => this.#answer(video),
      hangup: () => this.#call?.hangup(),
      back: () => this.#settle(),
      again: () => this.#dial(this.#call?.remote.uri ?? ''),
      mute: () => this.#call?.mute(!this.#call.muted),
      video: () => this.#toggleVideo(),
      key: (key) => this.#key(key),
    });
    // Closing the page ends the call at once; only a page that is killed leaves it to the grace time.
    globalThis.addEventListener('pagehide', () => this.#call?.hangup());
  }

  /** @param {{token: string, relayOnly: boolean}} wanted by the address of the page */
  start({ token, relayOnly }) {
    this.#relayOnly = relayOnly;
    this.#showLogin(token);
    if (!globalThis.isSecureContext) this.#view.notice(sentence('insecure-origin'));
  }

  // ---------------------------------------------------------------- the connection

  /** @param {Parameters<Rtcgw['login']>[0]} credentials */
  async #login(credentials) {
    this.#tones.unlock();
    this.#view.notice('');
    this.#view.busy(true);
    const url = new URL(this.#config.websocket, location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const gateway = new Rtcgw(url, { audio: this.#view.audio, relayOnly: this.#relayOnly });
    gateway.addEventListener('incoming', (event) => this.#incoming(event.detail.call));
    gateway.addEventListener('error', ({ detail }) => this.#view.notice(sentence(detail.code, detail.text)));
    gateway.addEventListener('closed', (event) => this.#closed(event.detail));
    gateway.addEventListener('back', () => this.#online(gateway, true));
    gateway.addEventListener('refused', (event) => this.#logout(event.detail.text));
    try {
      await gateway.connect();
      const welcome = await gateway.login(credentials);
      this.#gateway = gateway;
      this.#names = new Map(welcome.contacts.map(({ name, address }) => [address, name]));
      this.#view.showPhone(welcome.user, welcome.contacts);
      this.#view.online(true);
      this.#view.showIdle('Ready');
    } catch (error) {
      gateway.close();
      this.#view.busy(false);
      this.#view.notice(error.message);
    }
  }

  /** @param {string} why shown with the login form */
  #logout(why) {
    const gateway = this.#gateway;
    this.#gateway = null;
    gateway?.close();
    this.#settle();
    this.#recent = [];
    this.#view.showRecent([]);
    this.#view.notice(why);
    this.#showLogin('');
  }

  /** @param {string} token */
  #showLogin(token) {
    this.#view.showLogin({ methods: this.#config.login, hint: this.#config.hint, token });
  }

  /** @param {{code: number, text: string}} closed */
  #closed({ code, text }) {
    if (!this.#gateway) return; // while logging in, or logged out: told elsewhere
    if (code === 4401) this.#logout(text);
    else this.#online(this.#gateway, false);
  }

  /**
   * @param {Rtcgw} gateway
   * @param {boolean} online
   */
  #online(gateway, online) {
    if (this.#gateway !== gateway) return;
    this.#view.online(online);
    this.#refresh();
  }

  // ---------------------------------------------------------------- calls

  /**
   * @param {string} text what was typed
   * @param {boolean} [video]
   */
  #dial(text, video = false) {
    const address = tidy(text);
    this.#tones.unlock();
    if (!address || !this.#gateway || this.#busy) return;
    this.#view.notice('');
    this.#take(this.#gateway.call(address, { video }));
  }

  /** @param {import('./rtcgw.js').Call} call */
  #incoming(call) {
    if (this.#busy) {
      this.#remember(call, true);
      call.hangup('busy');
      return;
    }
    this.#take(call);
    this.#tones.play('ring');
  }

  /** @param {boolean} video */
  #answer(video) {
    this.#tones.unlock();
    this.#tones.play('');
    this.#call?.answer({ video });
    this.#say('Connecting…');
  }

  async #toggleVideo() {
    const call = this.#call;
    if (!call) return;
    this.#view.notice('');
    try {
      await (call.localVideo ? call.removeVideo() : call.addVideo());
    } catch (error) {
      if (this.#call === call && call.state !== State.HANGUP) this.#view.notice(error.message);
    }
    this.#refresh();
  }

  /** Whether there is a call that has not ended. @returns {boolean} */
  get #busy() {
    return this.#call !== null && this.#call.state !== State.HANGUP;
  }

  /** @param {import('./rtcgw.js').Call} call the one on the screen from now on */
  #take(call) {
    this.#settle();
    this.#call = call;
    this.#detail = call.role === 'caller' ? 'Calling…' : 'Incoming call';
    call.addEventListener('ringing', () => this.#say('Ringing…'));
    call.addEventListener('ringback', (event) => this.#tones.play(event.detail.sound === 'local' ? 'ringback' : ''));
    call.addEventListener('connected', () => this.#connected(call));
    call.addEventListener('media', (event) => this.#media(call, event.detail));
    call.addEventListener('video', () => this.#refresh());
    call.addEventListener('trouble', (event) => this.#view.notice(event.detail.text));
    call.addEventListener('tones', (event) => this.#say(`The other side pressed ${event.detail.tones}`));
    call.addEventListener('quality', (event) => this.#quality(call, event.detail));
    call.addEventListener('muted', () => this.#refresh());
    call.addEventListener('state', () => this.#refresh());
    call.addEventListener('ended', (event) => this.#ended(call, event.detail));
    this.#refresh();
  }

  /** @param {import('./rtcgw.js').Call} call */
  #connected(call) {
    this.#tones.play('');
    this.#say(call.peer?.connectionState === 'connected' ? 'Connected' : 'Connecting the sound…');
    this.#view.startTimer(call.connectedAt);
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @param {{state: string, text?: string}} media
   */
  #media(call, { state, text = '' }) {
    if (state.startsWith('relay-')) {
      // Only where nothing else connects the sound does the user have to know.
      globalThis.setTimeout(() => {
        const missed = this.#call === call && call.state !== State.HANGUP && call.peer?.connectionState !== 'connected';
        if (missed) this.#view.notice(text);
      }, RELAY_PATIENCE * 1000);
      return;
    }
    if (call.state !== State.IN_CALL && call.state !== State.RELOADING) return;
    if (state === 'connected') this.#say('Connected');
    else if (state === 'disconnected' || state === 'failed') this.#say('The sound is interrupted…');
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @param {import('./quality.js').Quality} quality
   */
  #quality(call, quality) {
    if (this.#call === call && call.state === State.IN_CALL) showQuality(quality);
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @param {import('./call.js').Ended} ended
   */
  #ended(call, ended) {
    const missed = call.role === 'callee' && !call.connectedAt && !['declined', 'answered-elsewhere'].includes(ended.reason);
    this.#remember(call, missed);
    this.#tones.play('');
    if (call.role === 'caller' && ended.reason === 'busy') this.#tones.play('busy', 3);
    // Where the user must do something about it, it stays until read.
    if (/^(microphone-|insecure-|relay-)/.test(ended.reason)) this.#view.notice(ended.text);
    this.#say(ended.text);
    this.#farewell = globalThis.setTimeout(() => this.#settle(), FAREWELL * 1000);
  }

  /** Back to Idle. */
  #settle() {
    globalThis.clearTimeout(this.#farewell);
    if (this.#busy) return;
    this.#call = null;
    this.#refresh();
  }

  /** @param {string} key */
  #key(key) {
    this.#tones.unlock();
    if (!this.#busy) {
      this.#tones.key(key);
    } else if (this.#call?.sendDtmf(key)) {
      this.#tones.key(key);
      this.#view.showSent(key);
    } else if (this.#call?.state === State.IN_CALL) {
      const connected = this.#call.peer?.connectionState === 'connected';
      this.#say(connected ? 'The other side takes no tones.' : 'The sound is not connected yet.');
    }
  }

  /** @param {string} detail */
  #say(detail) {
    this.#detail = detail;
    this.#refresh();
  }

  #refresh() {
    const call = this.#call;
    if (!call) {
      this.#view.showIdle(this.#gateway?.open === false ? 'Connection lost. Trying again…' : 'Ready');
      return;
    }
    const calling = call.state === State.CALLING;
    this.#view.showCall({
      state: call.state,
      detail: call.state === State.RELOADING ? this.#reloading() : this.#detail,
      name: this.#name(call),
      address: call.remote.uri,
      incoming: calling && call.role === 'callee' && !call.answering,
      alerting: calling && (call.ringing || (call.role === 'callee' && !call.answering)),
      muted: call.muted,
      offersVideo: call.offersVideo,
      theirs: call.video.receiving && call.state !== State.HANGUP ? call.remoteStream : null,
      ours: call.localVideo,
    });
  }

  /** What is lost decides what the user may do about it: nothing, or look after the network. @returns {string} */
  #reloading() {
    return this.#gateway?.open ? 'The sound is interrupted. Getting it back…' : 'Connection lost. Getting it back…';
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @returns {string}
   */
  #name(call) {
    return call.remote.name || this.#names.get(call.remote.uri) || '';
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @param {boolean} missed
   */
  #remember(call, missed) {
    const time = new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const kind = missed ? 'Missed' : call.role === 'caller' ? 'Outgoing' : 'Incoming';
    const address = call.remote.uri;
    this.#recent.unshift({ name: this.#name(call) || address, address, note: `${kind}, ${time}`, missed });
    this.#recent.length = Math.min(this.#recent.length, RECENT);
    this.#view.showRecent(this.#recent);
  }
}

/**
 * An address as it is dialled: a number loses the signs that only help to read it (RFC 3966 §5.1.1).
 *
 * @param {string} text
 * @returns {string}
 */
function tidy(text) {
  const address = text.trim();
  return /^\+?[\d\s().\-/*#]+$/.test(address) ? address.replace(/[\s().\-/]/g, '') : address;
}

/**
 * A token may come in the page's address, as `#token=...`, which browsers send to no server. It is
 * filled in, not used: a link must not log anybody in as somebody else without a click. `#relay` lets
 * sound go through relay servers only, to find out whether they work.
 *
 * @returns {{token: string, relayOnly: boolean}}
 */
function wantedByAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const [token, relayOnly] = [wanted.get('token') ?? '', wanted.has('relay')];
  if (token) history.replaceState(null, '', location.pathname + location.search + (relayOnly ? '#relay' : ''));
  return { token, relayOnly };
}

/** @returns {Promise<Config>} what the gateway tells before anybody has logged in */
async function loadConfig() {
  const plain = { websocket: '/ws', login: ['token'], hint: '' };
  try {
    const response = await fetch('config.json');
    return response.ok ? { ...plain, ...(await response.json()) } : plain;
  } catch {
    return plain;
  }
}

new Softphone(await loadConfig()).start(wantedByAddress());
