/**
 * Making elements. Text goes in as text, never as HTML, so nothing that comes from a server can become markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Makes an element: `h('button', {class: 'primary', onclick: save, disabled: busy}, 'Save')`.
 * `on…` are listeners; true sets an attribute without a value; false, null and undefined leave it out.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on')) {
            element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
        } else if (value === true) {
            element.setAttribute(name, '');
        } else if (value !== false && value !== null && value !== undefined) {
            element.setAttribute(name, String(value));
        }
    }
    element.append(...nodes(children));
    return element;
}

/**
 * Puts these in the place of all that is inside.
 *
 * @param {Element} host
 * @param {...(Child | Child[])} children
 */
export function fill(host, ...children) {
    host.replaceChildren(...nodes(children));
}

/** @param {(Child | Child[])[]} children */
function nodes(children) {
    const shown = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
    return shown.map((child) => (child instanceof Node ? child : String(child)));
}
