/** Elements of the page by their ids, and the making of new ones. */

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function at(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {string} id
 * @returns {HTMLInputElement} or a textarea, which is the same to us
 */
export function field(id) {
  return /** @type {HTMLInputElement} */ (at(id));
}

/**
 * @param {string} id
 * @param {boolean} shown
 */
export function show(id, shown) {
  at(id).hidden = !shown;
}

/**
 * @param {string} id
 * @param {string} type
 * @param {() => void} act the browser's own act on a form is not wanted
 */
export function on(id, type, act) {
  at(id).addEventListener(type, (event) => {
    if (type === 'submit') event.preventDefault();
    act();
  });
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 * @returns {HTMLElement}
 */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * @param {string} text
 * @param {string} spoken what a screen reader says instead, since it does not see the line that the button is in
 * @param {() => void} act
 * @param {string} [className]
 * @returns {HTMLButtonElement}
 */
export function makeButton(text, spoken, act, className = '') {
  const button = /** @type {HTMLButtonElement} */ (make('button', className, text));
  button.type = 'button';
  button.setAttribute('aria-label', spoken);
  button.addEventListener('click', act);
  return button;
}

/**
 * A line of a list: a round picture, a name, and what there is to say of it.
 *
 * @param {string} name
 * @param {string} note
 * @returns {HTMLElement[]}
 */
export function makeLine(name, note) {
  const lines = make('span', 'lines', '');
  lines.append(make('span', 'name', name), make('span', 'sub', note));
  return [make('span', 'initial', initial(name)), lines];
}

/**
 * @param {string} id of a symbol in the page
 * @returns {SVGElement}
 */
export function icon(id) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#${id}`);
  svg.append(use);
  return svg;
}

/**
 * @param {string} name
 * @returns {string} one letter or digit for a round picture
 */
export function initial(name) {
  const [first = '?'] = name.replace(/^(sips?|tel):/, '').match(/[\p{L}\p{N}]/u) ?? [];
  return first.toUpperCase();
}
