/**
 * What is on the screen. The view knows elements and words, and nothing of calls or connections
 * beyond what it is given to show; what the user does it hands to `actions`.
 */

import { at, field, show } from './elements.js';
import { flashKey, makeKeypad } from './keypad.js';
import { showStage } from './stage.js';

/**
 * @typedef {object} Actions
 * @property {(credentials: {token: string} | {user: string, password: string}) => void} login
 * @property {() => void} logout
 * @property {(address: string, video?: boolean) => void} dial
 * @property {(video: boolean) => void} answer
 * @property {() => void} hangup also rejects
 * @property {() => void} back away from a call that has ended
 * @property {() => void} again calls whom the ended call was with
 * @property {() => void} mute toggles
 * @property {() => void} video toggles our camera
 * @property {(key: string) => void} key a key of the keypad, in a call or before one
 */

/**
 * @typedef {object} CallPicture
 * @property {string} state of Fig. 7
 * @property {string} detail
 * @property {string} name
 * @property {string} address
 * @property {boolean} incoming waits for our answer
 * @property {boolean} alerting somebody's phone rings
 * @property {boolean} muted
 * @property {boolean} offersVideo the caller has a picture to show
 * @property {MediaStream | null} theirs the other side's picture
 * @property {MediaStream | null} ours our own
 */

/** @typedef {{name: string, address: string, note: string, missed: boolean}} Entry a line of a list */

export class View {
  /** @type {Actions} */ #actions;
  #timer = 0;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#listen();
    makeKeypad(at('pad'), (key) => this.#dialKey(key), (sign) => this.#dialKey(sign));
    makeKeypad(at('call-pad'), (key) => actions.key(key));
  }

  /** The element that plays the other side. @returns {HTMLAudioElement} */
  get audio() {
    return /** @type {HTMLAudioElement} */ (at('remote-audio'));
  }

  // ---------------------------------------------------------------- the two screens

  /**
   * @param {{methods: string[], hint: string, token: string}} options
   */
  showLogin({ methods, hint, token }) {
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
   * @param {{name: string, address: string}[]} contacts
   */
  showPhone(user, contacts) {
    show('login', false);
    show('phone', true);
    show('who', true);
    field('password').value = '';
    field('token').value = '';
    at('who-name').textContent = user;
    this.#fill('contacts', contacts.map((contact) => ({ ...contact, note: contact.address, missed: false })));
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

  // ---------------------------------------------------------------- calls

  /** @param {string} detail a sentence beside the state */
  showIdle(detail) {
    this.#status('Idle', detail);
    const appearing = at('panel-idle').hidden;
    show('panel-call', false);
    show('panel-idle', true);
    at('lists').inert = false;
    this.#stopTimer();
    document.title = 'Softphone';
    // On a phone the focus would open the keyboard over the keypad.
    if (appearing && matchMedia('(pointer: fine)').matches) field('address').focus();
  }

  /** @param {CallPicture} call */
  showCall(call) {
    this.#status(call.state, call.detail);
    const appearing = at('panel-call').hidden;
    if (appearing) this.#keypad(false);
    show('panel-idle', false);
    show('panel-call', true);
    at('peer-name').textContent = call.name || call.address;
    at('peer-address').textContent = call.name && call.name !== call.address ? call.address : '';
    at('avatar').textContent = initial(call.name || call.address);
    at('avatar').classList.toggle('ringing', call.alerting);
    show('incoming-actions', call.incoming);
    const ended = call.state === 'Hangup';
    show('call-actions', !call.incoming && !ended);
    show('ended-actions', ended);
    show('answer-video-action', call.incoming && call.offersVideo);
    const picture = showStage(call.theirs, call.ours);
    at('lists').inert = !ended;
    const talking = call.state === 'InCall' || call.state === 'Reloading';
    for (const id of ['mute', 'keypad', 'video']) /** @type {HTMLButtonElement} */ (at(id)).disabled = !talking;
    if (!talking) this.#keypad(false);
    // Its place is kept from the first second: a button that moves under a finger is pressed in vain.
    show('quality', talking);
    if (!talking) at('quality').classList.remove('known');
    show('avatar', !picture && at('call-pad').hidden);
    show('video-prompt', talking && call.theirs !== null && call.ours === null);
    at('video').setAttribute('aria-pressed', String(call.ours !== null));
    at('video').querySelector('use')?.setAttribute('href', call.ours ? '#i-video' : '#i-video-off');
    at('mute').setAttribute('aria-pressed', String(call.muted));
    at('mute').querySelector('use')?.setAttribute('href', call.muted ? '#i-mic-off' : '#i-mic');
    document.title = call.incoming ? `☎ ${call.name || call.address} calls` : `${call.state} – Softphone`;
    // Whoever uses the keyboard finds the next thing to do under it.
    if (appearing || document.activeElement === document.body) {
      at(call.incoming ? 'answer' : ended ? 'back' : 'hangup').focus();
    }
  }

  /** @param {number} since ms since the epoch */
  startTimer(since) {
    this.#stopTimer();
    const tick = () => {
      at('timer').textContent = duration(Date.now() - since);
    };
    tick();
    show('timer', true);
    this.#timer = globalThis.setInterval(tick, 500);
  }

  /** @param {string} key that was sent as a tone */
  showSent(key) {
    at('sent').textContent += key;
    flashKey(at('call-pad'), key);
  }

  /** @param {Entry[]} entries newest first */
  showRecent(entries) {
    this.#fill('recent', entries);
    show('recent-card', entries.length > 0);
  }

  // ---------------------------------------------------------------- inside

  #listen() {
    const { login, logout, dial, answer, hangup, back, again, mute, video, key } = this.#actions;
    on('login-form', 'submit', () => login(this.#credentials()));
    for (const radio of radios()) radio.addEventListener('change', () => this.#chooseMethod());
    on('logout', 'click', logout);
    on('notice-close', 'click', () => this.notice(''));
    on('dial-form', 'submit', () => dial(field('address').value));
    on('address', 'input', () => this.#eraseWhenUseful());
    on('erase', 'click', () => this.#erase());
    on('video-call', 'click', () => dial(field('address').value, true));
    on('answer', 'click', () => answer(false));
    on('answer-video', 'click', () => answer(true));
    on('reject', 'click', hangup);
    on('hangup', 'click', hangup);
    on('back', 'click', back);
    on('again', 'click', again);
    on('mute', 'click', mute);
    on('video', 'click', video);
    on('camera-on', 'click', video);
    on('keypad', 'click', () => this.#keypad(at('call-pad').hidden));
    document.addEventListener('keydown', (event) => {
      const typing = event.target instanceof HTMLElement && event.target.closest('input, textarea');
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !/^[0-9*#]$/.test(event.key)) return;
      if (!at('panel-call').hidden) key(event.key);
    });
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

  /** @param {boolean} open whether the keypad of the call is shown */
  #keypad(open) {
    show('call-pad', open);
    show('sent', open);
    show('avatar', !open && at('stage').hidden);
    at('sent').textContent = '';
    at('keypad').setAttribute('aria-pressed', String(open));
  }

  /**
   * @param {string} state
   * @param {string} detail
   */
  #status(state, detail) {
    at('state').textContent = state;
    at('state').dataset.state = state;
    at('detail').textContent = detail;
  }

  #stopTimer() {
    globalThis.clearInterval(this.#timer);
    show('timer', false);
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
  const lines = make('span', 'lines', '');
  lines.append(make('span', 'name', entry.name), make('span', 'sub', entry.note));
  button.append(make('span', 'initial', initial(entry.name)), lines, icon('i-phone'));
  button.addEventListener('click', call);
  const item = document.createElement('li');
  item.append(button);
  return item;
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 * @returns {HTMLElement}
 */
function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * @param {string} id of a symbol in the page
 * @returns {SVGElement}
 */
function icon(id) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#${id}`);
  svg.append(use);
  return svg;
}

/** @returns {HTMLInputElement[]} the choices of how to log in */
function radios() {
  return [.../** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('input[name=method]'))];
}

/** @returns {string} `password` or `token` */
function method() {
  return radios().find((radio) => radio.checked)?.value ?? 'token';
}

/**
 * @param {string} id
 * @param {string} type
 * @param {() => void} act the browser's own act on a form is not wanted
 */
function on(id, type, act) {
  at(id).addEventListener(type, (event) => {
    if (type === 'submit') event.preventDefault();
    act();
  });
}

/**
 * @param {string} name
 * @returns {string} one letter or digit for a round picture
 */
function initial(name) {
  const [first = '?'] = name.replace(/^(sips?|tel):/, '').match(/[\p{L}\p{N}]/u) ?? [];
  return first.toUpperCase();
}

/**
 * @param {number} ms
 * @returns {string} `m:ss`, or `h:mm:ss`
 */
function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60) % 60;
  const hours = Math.floor(seconds / 3600);
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
