/** The panel of one call: whom it is with, how it stands, and the buttons that there are in it. */

import { at, field, initial, makeButton, on, show } from './elements.js';
import { flashKey, makeKeypad } from './keypad.js';
import { showStage } from './stage.js';

/**
 * @typedef {object} CallActions
 * @property {(video: boolean) => void} answer
 * @property {() => void} hangup also rejects
 * @property {() => void} back away from a call that has ended
 * @property {() => void} again calls whom the ended call was with
 * @property {() => void} mute toggles
 * @property {() => void} video toggles our camera
 * @property {() => void} hold toggles
 * @property {() => void} add dials another call
 * @property {() => void} merge makes a conference of all calls
 * @property {(address: string) => void} transfer to an address
 * @property {(key: string) => void} key of the keypad
 */

/**
 * @typedef {object} CallPicture
 * @property {string} state of Fig. 7
 * @property {string} detail
 * @property {string} note who is on hold, or away; '' for nobody
 * @property {string} name
 * @property {string} address
 * @property {string} about how the call came here; '' where there is nothing to say
 * @property {number} since when it was answered, ms since the epoch; 0 before
 * @property {boolean} incoming waits for our answer
 * @property {boolean} alerting somebody's phone rings
 * @property {boolean} muted
 * @property {boolean} holding
 * @property {boolean} mergeable whether there are calls to make a conference of
 * @property {{name: string, act: () => void}[]} partners to whom it can be transferred at a click
 * @property {boolean} offersVideo the caller has a picture to show
 * @property {MediaStream | null} theirs the other side's picture
 * @property {MediaStream | null} ours our own
 */

/** What can be done in an answered call only. */
const TALKING = ['mute', 'keypad', 'video', 'hold', 'transfer', 'add'];

export class CallView {
  #actions;
  #timer = 0;
  #since = 0;
  #partners = '';

  /** @param {CallActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#listen();
    makeKeypad(at('call-pad'), (key) => actions.key(key));
  }

  /** @param {CallPicture} call */
  show(call) {
    const name = call.name || call.address;
    const ended = call.state === 'Hangup';
    const talking = call.state === 'InCall' || call.state === 'Reloading';
    const appearing = at('panel-call').hidden;
    if (appearing || !talking) this.#fold();
    show('panel-idle', false);
    show('panel-call', true);
    this.#say(call, name);
    this.#time(talking || ended ? call.since : 0, ended);
    show('incoming-actions', call.incoming);
    show('answer-video-action', call.incoming && call.offersVideo);
    show('call-actions', !call.incoming && !ended);
    show('more-actions', !call.incoming && !ended);
    show('ended-actions', ended);
    at('lists').inert = !ended && !this.asking;
    button('again').disabled = !call.address;
    for (const id of TALKING) button(id).disabled = !talking;
    button('merge').disabled = !talking || !call.mergeable;
    // Its place is kept from the first second: a button that moves under a finger is pressed in vain.
    show('quality', talking);
    if (!talking) at('quality').classList.remove('known');
    showStage(call.theirs, call.ours);
    this.#face();
    show('video-prompt', talking && call.theirs !== null && call.ours === null);
    press('video', call.ours !== null, '#i-video', '#i-video-off');
    press('mute', call.muted, '#i-mic-off', '#i-mic');
    press('hold', call.holding, '#i-play', '#i-pause');
    this.#offer(call.partners);
    document.title = call.incoming ? `☎ ${name} calls` : `${call.state} – Softphone`;
    // Whoever uses the keyboard finds the next thing to do under it.
    if (appearing || document.activeElement === document.body) {
      at(call.incoming ? 'answer' : ended ? 'back' : 'hangup').focus();
    }
  }

  /** Another call is shown now, or none: what was open for the one before is closed. */
  leave() {
    this.#fold();
    this.#time(0, true);
  }

  /** @param {string} key that was sent as a tone */
  showSent(key) {
    at('sent').textContent += key;
    flashKey(at('call-pad'), key);
  }

  /** Whether the user is asked to whom the call goes. */
  get asking() {
    return !at('transfer-form').hidden;
  }

  /** @param {string} address chosen from a list for a transfer; the button that does it comes next */
  transferTo(address) {
    field('transfer-to').value = address;
    at('transfer-now').focus();
  }

  /** Close the form for a transfer: it is under way. */
  closeTransfer() {
    this.#transfer(false);
  }

  // ---------------------------------------------------------------- inside

  /** @param {CallPicture} call @param {string} name */
  #say(call, name) {
    at('state').textContent = call.state;
    at('state').dataset.state = call.state;
    at('detail').textContent = call.detail;
    at('peer-name').textContent = name;
    at('peer-address').textContent = call.name && call.name !== call.address ? call.address : '';
    at('peer-about').textContent = call.about;
    show('peer-about', call.about !== '');
    at('avatar').textContent = initial(name);
    at('avatar').classList.toggle('ringing', call.alerting);
    at('note').textContent = call.note;
  }

  #listen() {
    const { answer, hangup, back, again, mute, video, hold, add, merge, transfer, key } = this.#actions;
    on('answer', 'click', () => answer(false));
    on('answer-video', 'click', () => answer(true));
    on('reject', 'click', hangup);
    on('hangup', 'click', hangup);
    on('back', 'click', back);
    on('again', 'click', again);
    on('mute', 'click', mute);
    on('video', 'click', video);
    on('camera-on', 'click', video);
    on('hold', 'click', hold);
    on('add', 'click', add);
    on('merge', 'click', merge);
    on('keypad', 'click', () => this.#keypad(at('call-pad').hidden));
    on('transfer', 'click', () => this.#transfer(at('transfer-form').hidden));
    on('transfer-cancel', 'click', () => this.#transfer(false));
    on('transfer-form', 'submit', () => transfer(field('transfer-to').value));
    document.addEventListener('keydown', (event) => {
      const typing = event.target instanceof HTMLElement && event.target.closest('input, textarea');
      if (event.key === 'Escape' && !at('transfer-form').hidden) this.#transfer(false);
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !/^[0-9*#]$/.test(event.key)) return;
      if (!at('panel-call').hidden) key(event.key);
    });
  }

  /** @param {number} since ms since the epoch; 0 for no timer @param {boolean} stopped what it shows is its last word */
  #time(since, stopped) {
    if (!stopped && since === this.#since) return;
    globalThis.clearInterval(this.#timer);
    this.#since = stopped ? 0 : since;
    if (!since) show('timer', false);
    if (stopped || !since) return;
    const tick = () => {
      at('timer').textContent = duration(Date.now() - since);
    };
    tick();
    show('timer', true);
    this.#timer = globalThis.setInterval(tick, 500);
  }

  #fold() {
    this.#keypad(false);
    this.#transfer(false);
  }

  /** @param {boolean} open whether the keypad of the call is shown */
  #keypad(open) {
    if (open) this.#transfer(false);
    show('call-pad', open);
    show('sent', open);
    this.#face();
    at('sent').textContent = '';
    at('keypad').setAttribute('aria-pressed', String(open));
  }

  /** @param {boolean} open whether it is asked to whom */
  #transfer(open) {
    const was = !at('transfer-form').hidden;
    if (open) this.#keypad(false);
    show('transfer-form', open);
    at('transfer').setAttribute('aria-expanded', String(open));
    // Whoever is asked to whom may choose from the lists.
    if (was !== open) at('lists').inert = !open;
    this.#face();
    field('transfer-to').value = '';
    if (open) field('transfer-to').focus();
    else if (was) at('transfer').focus();
  }

  /** The round picture is there where nothing else takes its place. */
  #face() {
    show('avatar', at('stage').hidden && at('call-pad').hidden && at('transfer-form').hidden);
  }

  /** @param {CallPicture['partners']} partners */
  #offer(partners) {
    const names = partners.map(({ name }) => name).join('\n');
    // Made anew only when they are others: a button must not vanish under a finger.
    if (names === this.#partners) return;
    this.#partners = names;
    const made = partners.map(({ name, act }) => makeButton(`To ${name}`, `Connect both calls: to ${name}`, act));
    at('transfer-partners').replaceChildren(...made);
  }
}

/** @param {string} id @returns {HTMLButtonElement} */
function button(id) {
  return /** @type {HTMLButtonElement} */ (at(id));
}

/**
 * @param {string} id of a button that stays down
 * @param {boolean} down
 * @param {string} pressed its picture then
 * @param {string} released and else
 */
function press(id, down, pressed, released) {
  at(id).setAttribute('aria-pressed', String(down));
  at(id).querySelector('use')?.setAttribute('href', down ? pressed : released);
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
