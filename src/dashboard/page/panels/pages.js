/**
 * A list that comes page by page: the first one anew whenever the filters change, the next ones by a button. A request
 * that is overtaken by another is aborted, so an old answer never covers a newer one.
 */

import { fill, h } from '../dom.js';
import { count } from '../words.js';
import { explain, isAborted } from './field.js';

/** Pause in typing after which is asked, in ms. */
const TYPED_MS = 250;

/**
 * @template Item
 * @typedef {object} PagesOptions
 * @property {import('./panel.js').Context} context
 * @property {string} path
 * @property {[string, string]} things `['decoration', 'decorations']`: for what is said
 * @property {() => Record<string, unknown>} query the filters as they are now
 * @property {(items: Item[]) => HTMLElement} table an empty table; rows go to its `tbody`
 * @property {(item: Item) => HTMLElement} row
 * @property {string} nothing what to say when there is none
 */

/**
 * @template Item
 */
export class Pages {
    /** @type {PagesOptions<Item>} */
    #options;
    /** @type {Item[]} */
    items = [];
    /** @type {string | null} */
    #next = null;
    #request = new AbortController();
    #said = h('p', { class: 'muted', role: 'status' });
    #fault = h('div', { class: 'faults', role: 'alert', hidden: true });
    #table = h('div', { class: 'scroll' });
    #more = h('button', { type: 'button', hidden: true, onclick: () => this.more() }, 'Show more');
    element = h('div', { class: 'pages' }, this.#fault, this.#said, this.#table, h('div', { class: 'row' }, this.#more));

    /** @param {PagesOptions<Item>} options */
    constructor(options) {
        this.#options = options;
    }

    /** Whether more than the first page is shown. */
    get is_long() {
        return this.items.length > 0 && this.#pages > 1;
    }
    #pages = 0;

    /** Whether somebody works in the list with the keyboard. */
    get has_focus() {
        return this.#table.contains(document.activeElement);
    }

    /** Loads the first page. @returns {Promise<void>} */
    async load() {
        const page = await this.#ask(null);
        if (page === null) {
            return;
        }
        this.#pages = 1;
        this.items = page.items;
        this.render();
    }

    /** Loads the next page. @returns {Promise<void>} */
    async more() {
        const page = await this.#ask(this.#next);
        if (page === null) {
            return;
        }
        this.#pages += 1;
        this.items.push(...page.items);
        this.#table.querySelector('tbody')?.append(...page.items.map(this.#options.row));
        this.#tell();
    }

    /** Draws the rows anew, after a change of `items`. */
    render() {
        const { table, row } = this.#options;
        const drawn = table(this.items);
        drawn.querySelector('tbody')?.append(...this.items.map(row));
        fill(this.#table, this.items.length > 0 && drawn);
        this.#tell();
    }

    close() {
        this.#request.abort();
    }

    #tell() {
        const { things, nothing } = this.#options;
        const more = this.#next !== null;
        const some = counted(this.items.length, things);
        this.#said.textContent = this.items.length === 0 ? nothing : `${some}${more ? ', and there are more' : ''}`;
        this.#more.hidden = !more;
    }

    /** @param {string | null} cursor @returns {Promise<{items: Item[], next_cursor: string | null} | null>} */
    async #ask(cursor) {
        const { context, path, query } = this.#options;
        this.#request.abort();
        this.#request = new AbortController();
        const { signal } = this.#request;
        this.element.setAttribute('aria-busy', 'true');
        try {
            const { body } = await context.api('GET', path, { query: { ...query(), cursor }, signal });
            if (signal.aborted) {
                return null;
            }
            this.#next = body.next_cursor;
            this.#fault.hidden = true;
            this.element.removeAttribute('aria-busy');
            return body;
        } catch (error) {
            if (!isAborted(error) && !signal.aborted) {
                this.element.removeAttribute('aria-busy');
                fill(this.#fault, h('p', {}, explain(error)), h('button', { type: 'button', onclick: () => (cursor ? this.more() : this.load()) }, 'Try again'));
                this.#fault.hidden = false;
            }
            return null;
        }
    }
}

/** `1 decoration`, `1,200 decorations`. @param {number} number @param {[string, string]} things one and many */
export function counted(number, [one, many]) {
    return `${count(number)} ${number === 1 ? one : many}`;
}

/**
 * Calls once it has been quiet for a while.
 *
 * @param {() => void} act
 * @param {number} quiet_ms
 * @returns {{soon: () => void, stop: () => void}}
 */
export function whenQuiet(act, quiet_ms) {
    let timer = 0;
    return {
        soon() {
            clearTimeout(timer);
            timer = window.setTimeout(act, quiet_ms);
        },
        stop: () => clearTimeout(timer),
    };
}

/**
 * Asks again as a form's fields are typed in, and at once when it is sent.
 *
 * @param {HTMLElement} form
 * @param {() => void} ask
 * @returns {() => void} ends it
 */
export function asTyped(form, ask) {
    const typed = whenQuiet(ask, TYPED_MS);
    form.addEventListener('input', () => typed.soon());
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        typed.stop();
        ask();
    });
    return () => typed.stop();
}
