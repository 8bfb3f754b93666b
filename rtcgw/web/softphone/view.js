/**
 * The frame of the screen: logging in, dialling, lists. The call itself is in `callview.js`, the lines of
 * other calls in `lines.js`. A view knows elements and words, and nothing of calls or connections beyond what
 * it is given to show; what the user does it hands to `actions`.
 */

import { at, field, icon, makeLine, on, show } from './elements.js';
import { makeKeypad } from './keypad.js';

/**
 * @typedef {object} Actions
 * @property {(credentials: {token: string} | {user: string, password: string}) => void} login
 * @property {() => void} logout
 * @property {(address: string, video?: boolean) => void} dial
 * @property {(key: string) => void} key a key of the keypad, in a call or before one
 * @property {() => void} toCall back from dialling to the call that is there
 * @property {() => void} seen the list of missed calls was opened
 * @property {() => void} touch anything was clicked, tapped or typed
 */

/** @typedef {{name: string, address: string, note: string, missed: boolean}} Entry a line of a list */

export class View {
  /** @type {Actions} */ #actions;
  /** how many calls were missed and not seen */ #missed = 0;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#listen();
    makeKeypad(at('pad'), (key) => this.#dialKey(key), (sign) => this.#dialKey(sign));
  }

  /** The element that plays the other side. @returns {HTMLAudioElement} */
  get audio() {
    return /** @type {HTMLAudioElement} */ (at('remote-audio'));
  }

  // ---------------------------------------------------------------- the screens

  /** @param {boolean} returning whether the page is on its way back to what it was before it was loaded again */
  showReturn(returning) {
    show('return', returning);
    if (returning) show('login', false);
  }

  /**
   * @param {{methods: string[], hint: string, token: string}} options
   */
  showLogin({ methods, hint, token }) {
    show('return', false);
    show('login', true);
    show('phone', false);
    show('who', false);
    show('login-methods', methods.includes('password'));
    const chosen = token || !methods.includes('password') ? 'token' : 'password';
    for (const radio of radios()) radio.checked = radio.value === chosen;
    if (token) field('token').value = token;
    at('login-hint').textContent = hint;
    show('login-hint', hint !== '');
    this.busy(false);
    this.#chooseMethod();
    document.title = 'Softphone';
  }

  /**
   * @param {string} user
   * @param {{name: string, address: string, note?: string}[]} contacts
   */
  showPhone(user, contacts) {
    show('return', false);
    show('login', false);
    show('phone', true);
    show('who', true);
    field('password').value = '';
    field('token').value = '';
    at('who-name').textContent = user;
    this.#fill('contacts', contacts.map(({ note, ...contact }) => ({ ...contact, note: note || contact.address, missed: false })));
    show('contacts-card', contacts.length > 0);
  }

  /** @param {boolean} busy whether a log-in is under way */
  busy(busy) {
    const button = /** @type {HTMLButtonElement} */ (at('login-button'));
    button.disabled = busy;
    button.textContent = busy ? 'Logging in…' : 'Log in';
  }

  /** @param {boolean} online whether there is a connection */
  online(online) {
    at('online').classList.toggle('away', !online);
  }

  /** @param {string} text a sentence that stays until it is dismissed; '' for none */
  notice(text) {
    at('notice-text').textContent = text;
    show('notice', text !== '');
  }

  /**
   * The panel for dialling.
   *
   * @param {string} detail a sentence beside the state
   * @param {boolean} inCall whether there is a call to go back to
   */
  showIdle(detail, inCall) {
    at('state').textContent = 'Idle';
    at('state').dataset.state = 'Idle';
    at('detail').textContent = detail;
    const appearing = at('panel-idle').hidden;
    show('panel-call', false);
    show('panel-idle', true);
    show('to-call', inCall);
    at('lists').inert = false;
    document.title = 'Softphone';
    // On a phone the focus would open the keyboard over the keypad.
    if (appearing && matchMedia('(pointer: fine)').matches) field('address').focus();
  }

  // ---------------------------------------------------------------- lists

  /** @param {Entry[]} entries newest first */
  showRecent(entries) {
    this.#fill('recent', entries);
    show('recent-card', entries.length > 0);
  }

  /** @param {Entry[]} entries newest first: the calls that nobody took, on whatever page */
  showMissed(entries) {
    // Whoever has the list open goes on reading it; what has been seen is gone the next time.
    const reading = /** @type {HTMLDetailsElement} */ (at('missed-more')).open;
    this.#missed = entries.length;
    if (!entries.length && reading) return;
    this.#fill('missed', entries);
    at('missed-count').textContent = String(entries.length);
    show('missed-card', entries.length > 0);
  }

  // ---------------------------------------------------------------- inside

  #listen() {
    const { login, logout, dial, toCall, seen, touch } = this.#actions;
    on('login-form', 'submit', () => login(this.#credentials()));
    for (const radio of radios()) radio.addEventListener('change', () => this.#chooseMethod());
    on('logout', 'click', logout);
    on('notice-close', 'click', () => this.notice(''));
    on('dial-form', 'submit', () => dial(field('address').value));
    on('address', 'input', () => this.#eraseWhenUseful());
    on('erase', 'click', () => this.#erase());
    on('video-call', 'click', () => dial(field('address').value, true));
    on('to-call', 'click', toCall);
    const missed = /** @type {HTMLDetailsElement} */ (at('missed-more'));
    missed.addEventListener('toggle', () => {
      if (missed.open) seen();
      else show('missed-card', this.#missed > 0);
    });
    // What browsers take for a touch that permits sound, on every kind of screen.
    for (const type of ['pointerup', 'keydown']) document.addEventListener(type, touch, true);
  }

  /** @returns {{token: string} | {user: string, password: string}} */
  #credentials() {
    if (method() === 'token') return { token: field('token').value.trim() };
    return { user: field('user').value.trim(), password: field('password').value };
  }

  #chooseMethod() {
    const token = method() === 'token';
    show('by-token', token);
    show('by-password', !token);
    field('token').required = token;
    field('user').required = !token;
    field('password').required = !token;
    if (!at('login').hidden) field(token ? 'token' : 'user').focus();
  }

  /** @param {string} sign */
  #dialKey(sign) {
    const address = field('address');
    address.value += sign;
    this.#actions.key(sign);
    this.#eraseWhenUseful();
  }

  #erase() {
    field('address').value = field('address').value.slice(0, -1);
    this.#eraseWhenUseful();
  }

  #eraseWhenUseful() {
    show('erase', field('address').value !== '');
  }

  /**
   * @param {string} id of the list
   * @param {Entry[]} entries
   */
  #fill(id, entries) {
    at(id).replaceChildren(...entries.map((entry) => makeEntry(entry, () => this.#actions.dial(entry.address))));
  }
}

/**
 * @param {Entry} entry
 * @param {() => void} call
 * @returns {HTMLLIElement}
 */
function makeEntry(entry, call) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = entry.missed ? 'entry missed' : 'entry';
  button.dataset.address = entry.address;
  button.setAttribute('aria-label', `Call ${entry.name}, ${entry.note}`);
  button.append(...makeLine(entry.name, entry.note), icon('i-phone'));
  button.addEventListener('click', call);
  // Whoever hides a number cannot be called back.
  button.disabled = entry.address === '';
  const item = document.createElement('li');
  item.append(button);
  return item;
}

/** @returns {HTMLInputElement[]} the choices of how to log in */
function radios() {
  return [.../** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name=method]'))];
}

/** @returns {string} `password` or `token` */
function method() {
  return radios().find((radio) => radio.checked)?.value ?? 'token';
}
