/** Elements of the page by their ids. */

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
