/**
 * Looking what became of a decoration whenever the live feed tells that it changed.
 */

import { Problem } from '../session.js';
import { explain, isAborted } from './field.js';
import { whenQuiet } from './pages.js';
import { load } from './save.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./decoration_fields.js').Decoration} Decoration */

/** Import and bulk edits tell of many changes in a row: one look is enough. */
const QUIET_MS = 300;

export class Watch {
    #context;
    #id;
    #seen;
    #request = new AbortController();
    #quiet = whenQuiet(() => void this.#look(), QUIET_MS);

    /**
     * @param {Context} context
     * @param {string} id
     * @param {object} seen
     * @param {(current: Decoration) => void} seen.current
     * @param {() => void} seen.gone
     * @param {() => boolean} seen.is_busy whether a look now would meet what is just being sent
     * @param {() => boolean} seen.is_gone whether it is known to be deleted, so that there is nothing to look at
     */
    constructor(context, id, seen) {
        this.#context = context;
        this.#id = id;
        this.#seen = seen;
        context.live.addEventListener('decoration', this.#told);
    }

    /**
     * Gives it as it is now; null when that cannot be had, which is told.
     *
     * @param {() => void} missing
     * @param {(why: string) => void} failed
     * @returns {Promise<Decoration | null>}
     */
    async find(missing, failed) {
        try {
            return await this.#load();
        } catch (error) {
            if (error instanceof Problem && error.status === 404) {
                missing();
            } else if (!isAborted(error)) {
                failed(explain(error));
            }
            return null;
        }
    }

    #load() {
        return load(this.#context, this.#id, this.#request.signal);
    }

    soon() {
        this.#quiet.soon();
    }

    close() {
        this.#context.live.removeEventListener('decoration', this.#told);
        this.#quiet.stop();
        this.#request.abort();
    }

    #told = (/** @type {Event} */ event) => {
        const { detail } = /** @type {CustomEvent} */ (event);
        if (detail === null || detail === this.#id) {
            this.soon();
        }
    };

    async #look() {
        if (this.#seen.is_gone()) {
            return;
        }
        if (this.#seen.is_busy()) {
            this.soon();
            return;
        }
        try {
            const current = await this.#load();
            if (this.#seen.is_busy()) {
                this.soon();
            } else {
                this.#seen.current(current);
            }
        } catch (error) {
            if (error instanceof Problem && error.status === 404) {
                this.#seen.gone();
            }
            // Otherwise the next change or the next save will tell.
        }
    }
}
