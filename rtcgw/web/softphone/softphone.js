/**
 * The softphone: joins the protocol (`rtcgw.js`), the screen (`view.js`) and the tones.
 *
 * One call at a time; whoever calls meanwhile hears busy and stands in the list of recent calls.
 * Credentials are kept in memory only, to log in again when the connection was lost.
 */

import { Rtcgw, State, sentence } from './rtcgw.js';
import { Tones } from './tones.js';
import { View } from './view.js';

/** Seconds to wait before connecting again; the last one from then on. */
const BACK_OFF = [0.5, 1, 2, 4, 8, 15];
/** Seconds for which the end of a call stays on the screen. */
const FAREWELL = 4;
/** Recent calls shown. */
const RECENT = 8;

/** @typedef {{websocket: string, login: string[], hint: string}} Config */

class Softphone {
  /** @type {Config} */ #config;
  /** @type {View} */ #view;
  #tones = new Tones();
  /** @type {Rtcgw | null} null while logged out */ #gateway = null;
  /** @type {Parameters<Rtcgw['login']>[0] | null} */ #credentials = null;
  /** @type {import('./rtcgw.js').Call | null} */ #call = null;
  /** @type {import('./view.js').Entry[]} */ #recent = [];
  /** @type {Map<string, string>} address -> name */ #names = new Map();
  #comingBack = false;
  #detail = '';
  #farewell = 0;

  /** @param {Config} config */
  constructor(config) {
    this.#config = config;
    this.#view = new View({
      login: (credentials) => this.#login(credentials),
      logout: () => this.#logout(''),
      dial: (address) => this.#dial(address),
      answer: () => this.#answer(),
      hangup: () => this.#call?.hangup(),
      back: () => this.#settle(),
      again: () => this.#dial(this.#call?.remote.uri ?? ''),
      mute: () => this.#call?.mute(!this.#call.muted),
      key: (key) => this.#key(key),
    });
    // Closing the page ends the call at once; only a page that is killed leaves it to the grace time.
    globalThis.addEventListener('pagehide', () => this.#call?.hangup());
  }

  /** @param {string} token found in the address of the page, or '' */
  start(token) {
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
    const gateway = new Rtcgw(url, { audio: this.#view.audio });
    gateway.addEventListener('incoming', (event) => this.#incoming(event.detail.call));
    gateway.addEventListener('error', ({ detail }) => this.#view.notice(sentence(detail.code, detail.text)));
    gateway.addEventListener('closed', (event) => this.#closed(event.detail));
    try {
      await gateway.connect();
      const welcome = await gateway.login(credentials);
      this.#gateway = gateway;
      this.#credentials = credentials;
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
    this.#credentials = null;
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
    else if (!this.#comingBack) this.#comeBack(this.#gateway);
  }

  /** Connect again until it works or the user has had enough. @param {Rtcgw} gateway */
  async #comeBack(gateway) {
    this.#comingBack = true;
    this.#view.online(false);
    this.#refresh();
    for (let attempt = 0; this.#gateway === gateway; attempt++) {
      await pause(BACK_OFF[Math.min(attempt, BACK_OFF.length - 1)]);
      if (this.#gateway !== gateway || !this.#credentials) break;
      try {
        await gateway.connect();
        await gateway.login(this.#credentials);
        break;
      } catch (error) {
        if (gateway.open) {
          this.#logout(error.message); // it is there, and will not have us
        }
      }
    }
    this.#comingBack = false;
    this.#view.online(true);
    this.#refresh();
  }

  // ---------------------------------------------------------------- calls

  /** @param {string} text what was typed */
  #dial(text) {
    const address = tidy(text);
    this.#tones.unlock();
    if (!address || !this.#gateway || this.#busy) return;
    this.#view.notice('');
    this.#take(this.#gateway.call(address));
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

  #answer() {
    this.#tones.unlock();
    this.#tones.play('');
    this.#call?.answer();
    this.#say('Connecting…');
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
    call.addEventListener('ringing', () => this.#ringing(call));
    call.addEventListener('progress', () => this.#tones.play(''));
    call.addEventListener('connected', () => this.#connected(call));
    call.addEventListener('media', (event) => this.#media(call, event.detail.state));
    call.addEventListener('muted', () => this.#refresh());
    call.addEventListener('state', () => this.#refresh());
    call.addEventListener('ended', (event) => this.#ended(call, event.detail));
    this.#refresh();
  }

  /** @param {import('./rtcgw.js').Call} call */
  #ringing(call) {
    this.#say('Ringing…');
    // With an early description the network plays what is to be heard.
    if (!call.peer?.remoteDescription) this.#tones.play('ringback');
  }

  /** @param {import('./rtcgw.js').Call} call */
  #connected(call) {
    this.#tones.play('');
    this.#say(call.peer?.connectionState === 'connected' ? 'Connected' : 'Connecting the sound…');
    this.#view.startTimer(call.connectedAt);
  }

  /**
   * @param {import('./rtcgw.js').Call} call
   * @param {string} state of the peer connection
   */
  #media(call, state) {
    if (call.state !== State.IN_CALL) return;
    if (state === 'connected') this.#say('Connected');
    else if (state === 'disconnected' || state === 'failed') this.#say('The sound is interrupted…');
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
    if (/^(microphone-|insecure-)/.test(ended.reason)) this.#view.notice(ended.text);
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
      detail: call.state === State.RELOADING ? 'Connection lost. Getting it back…' : this.#detail,
      name: this.#name(call),
      address: call.remote.uri,
      incoming: calling && call.role === 'callee' && !call.answering,
      alerting: calling && (call.ringing || (call.role === 'callee' && !call.answering)),
      muted: call.muted,
    });
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
 * @param {number} seconds
 * @returns {Promise<void>}
 */
function pause(seconds) {
  return new Promise((resolve) => {
    globalThis.setTimeout(resolve, seconds * 1000);
  });
}

/**
 * A token may come in the page's address, as `#token=...`, which browsers send to no server. It is
 * filled in, not used: a link must not log anybody in as somebody else without a click.
 *
 * @returns {string}
 */
function tokenInAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return token;
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

new Softphone(await loadConfig()).start(tokenInAddress());
