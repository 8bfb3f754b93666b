/**
 * The softphone: joins the protocol (`rtcgw.js`), the screen (`view.js`, `desk.js`) and the tones.
 *
 * Here is who is logged in, and the connection; calls are the desk's.
 */

import { Desk } from './desk.js';
import { Rtcgw, sentence } from './rtcgw.js';
import { Tones } from './tones.js';
import { View } from './view.js';

/** @typedef {{websocket: string, login: string[], hint: string}} Config */

class Softphone {
  /** @type {Config} */ #config;
  /** @type {View} */ #view;
  #tones = new Tones();
  #desk;
  /** @type {Rtcgw | null} null while logged out */ #gateway = null;
  #relayOnly = false;

  /** @param {Config} config */
  constructor(config) {
    this.#config = config;
    this.#view = new View({
      login: (credentials) => this.#login(credentials),
      logout: () => this.#logout(''),
      dial: (address, video) => this.#desk.dial(address, video),
      key: (key) => this.#desk.key(key),
      toCall: () => this.#desk.toCall(),
      // Refused or lost, the list comes again with the next log-in: nothing to bother anybody with.
      seen: () => this.#gateway?.seen().catch(() => undefined),
      touch: () => this.#desk.touched(),
    });
    this.#desk = new Desk(this.#view, this.#tones, () => this.#gateway);
  }

  /** @param {{token: string, relayOnly: boolean}} wanted by the address of the page */
  async start({ token, relayOnly }) {
    this.#relayOnly = relayOnly;
    if (!globalThis.isSecureContext) this.#view.notice(sentence('insecure-origin'));
    // Whoever brings a token along wants to be somebody else, perhaps.
    if (token || !(await this.#resume())) this.#showLogin(token);
  }

  // ---------------------------------------------------------------- the connection

  /** @returns {Rtcgw} not connected */
  #makeGateway() {
    const url = new URL(this.#config.websocket, location.href);
    url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const gateway = new Rtcgw(url, { audio: this.#view.audio, relayOnly: this.#relayOnly, storage: 'browser' });
    /** @param {string} type @param {(detail: any) => void} act */
    const hear = (type, act) =>
      gateway.addEventListener(type, (event) => act(/** @type {CustomEvent} */ (event).detail));
    hear('incoming', ({ call }) => this.#desk.incoming(call));
    hear('restored', ({ call }) => this.#desk.restored(call));
    hear('others', () => this.#desk.refresh());
    hear('missed', ({ missed }) => this.#desk.missed(missed));
    hear('error', ({ code, text }) => this.#view.notice(sentence(code, text)));
    hear('closed', (closed) => this.#closed(closed));
    hear('back', () => this.#online(gateway, true));
    hear('refused', ({ text }) => this.#logout(text));
    return gateway;
  }

  /** Go on where the page was before it was loaded again. @returns {Promise<boolean>} whether there was anything */
  async #resume() {
    const gateway = this.#makeGateway();
    this.#view.showReturn(true);
    // Browsers let a page sound that captures sound; where this one may not yet, its first click does it.
    this.#tones.unlock();
    this.#gateway = gateway;
    const welcome = await gateway.resume().catch((error) => {
      this.#view.notice(error.message);
      return null;
    });
    if (welcome) this.#entered(gateway, welcome);
    else this.#gateway = null;
    return welcome !== null;
  }

  /** @param {Parameters<Rtcgw['login']>[0]} credentials */
  async #login(credentials) {
    this.#tones.unlock();
    this.#view.notice('');
    this.#view.busy(true);
    const gateway = this.#makeGateway();
    try {
      await gateway.connect();
      this.#entered(gateway, await gateway.login(credentials));
    } catch (error) {
      gateway.close();
      this.#view.busy(false);
      this.#view.notice(error.message);
    }
  }

  /**
   * @param {Rtcgw} gateway
   * @param {import('./wire.js').Welcome} welcome
   */
  #entered(gateway, welcome) {
    this.#gateway = gateway;
    this.#view.showPhone(welcome.user, welcome.contacts);
    this.#view.online(true);
    this.#desk.open(welcome.contacts);
  }

  /** @param {string} why shown with the login form */
  #logout(why) {
    const gateway = this.#gateway;
    gateway?.close();
    this.#gateway = null;
    this.#desk.clear();
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
    this.#desk.refresh();
  }
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

await new Softphone(await loadConfig()).start(wantedByAddress());
