/** The twelve keys, as buttons in a given element. */

/** @type {readonly [string, string][]} Key and the letters under it (ITU-T E.161). */
const KEYS = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'],
  ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'],
  ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'],
  ['*', ''], ['0', '+'], ['#', ''],
];

/** How a screen reader says the keys that it would otherwise skip or misname. */
const SPOKEN = { '*': 'star', '#': 'hash' };

/** Milliseconds after which holding a key means the sign under it: `+` on 0. */
const HOLD = 500;

/**
 * Fill `element` with keys.
 *
 * @param {HTMLElement} element
 * @param {(key: string) => void} press called with `0`-`9`, `*`, `#`
 * @param {(sign: string) => void} [held] called instead when 0 is held; without it, holding is pressing
 */
export function makeKeypad(element, press, held) {
  element.replaceChildren(...KEYS.map(([key, letters]) => makeKey(key, letters, press, key === '0' ? held : undefined)));
}

/**
 * Let a key look pressed for a moment, when it was typed rather than clicked.
 *
 * @param {HTMLElement} element the keypad
 * @param {string} key
 */
export function flashKey(element, key) {
  const button = [...element.children].find((child) => /** @type {HTMLElement} */ (child).dataset.key === key);
  button?.classList.add('down');
  globalThis.setTimeout(() => button?.classList.remove('down'), 150);
}

/**
 * @param {string} key
 * @param {string} letters
 * @param {(key: string) => void} press
 * @param {((sign: string) => void) | undefined} held
 * @returns {HTMLButtonElement}
 */
function makeKey(key, letters, press, held) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'key';
  button.dataset.key = key;
  button.setAttribute('aria-label', SPOKEN[key] ?? key);
  const small = document.createElement('small');
  small.textContent = letters;
  button.append(key, small);
  let timer = 0;
  let wasHeld = false;
  if (held) {
    button.addEventListener('pointerdown', () => {
      wasHeld = false;
      timer = globalThis.setTimeout(() => {
        wasHeld = true;
        held(letters);
      }, HOLD);
    });
    for (const end of ['pointerup', 'pointerleave', 'pointercancel']) {
      button.addEventListener(end, () => globalThis.clearTimeout(timer));
    }
  }
  button.addEventListener('click', () => {
    if (!wasHeld) press(key);
    wasHeld = false;
  });
  return button;
}
