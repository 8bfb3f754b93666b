/** Lists beside the call that is shown: other calls of this page, calls on other pages, who takes part. */

import { at, make, makeButton, makeLine, show } from './elements.js';

/**
 * @typedef {object} Line
 * @property {string} key the same for the same call in the same state, with the same things to do
 * @property {string} name
 * @property {string} note how it stands
 * @property {{text: string, spoken: string, act: () => void, kind: '' | 'call' | 'hangup'}[]} acts
 */

/** @param {Line[]} lines the other calls of this page */
export function showLines(lines) {
  fill('lines', lines);
  show('lines-card', lines.length > 0);
}

/** @param {Line[]} lines the user's calls on other pages */
export function showOthers(lines) {
  fill('others', lines);
  show('others-card', lines.length > 0);
}

/**
 * @param {{name: string, note: string}[]} people who take part
 * @param {boolean} crowd whether they are shown though they are but two: those left in a conference
 */
export function showParticipants(people, crowd) {
  const shown = crowd || people.length > 2 ? people : [];
  fill('participants', shown.map(({ name, note }, nth) => ({ key: `${nth} ${name} ${note}`, name, note, acts: [] })));
  show('participants-card', shown.length > 0);
}

/**
 * Lines that are the same as before stay as they are: a button must not vanish under a finger, nor a screen
 * reader begin again.
 *
 * @param {string} id of the list
 * @param {Line[]} lines
 */
function fill(id, lines) {
  const items = /** @type {HTMLElement[]} */ ([...at(id).children]);
  if (items.map((item) => item.dataset.key).join('\n\n') === lines.map(({ key }) => key).join('\n\n')) return;
  const before = new Map(items.map((item) => [item.dataset.key, item]));
  at(id).replaceChildren(...lines.map((line) => before.get(line.key) ?? makeItem(line)));
}

/** @param {Line} line @returns {HTMLElement} */
function makeItem({ key, name, note, acts }) {
  const item = make('li', 'line', '');
  item.dataset.key = key;
  const buttons = acts.map(({ text, spoken, act, kind }) => makeButton(text, spoken, act, kind));
  item.append(...makeLine(name, note), ...buttons);
  return item;
}
