/**
 * Sending a decoration so that a lost answer does no harm: a creation is repeated under the key of its first try, and a
 * replacement names the version that its author saw.
 */

import { Problem } from '../session.js';

/** @typedef {import('./decoration_fields.js').Decoration} Decoration */
/** @typedef {import('./decoration_fields.js').Values} Values */
/** @typedef {import('./panel.js').Context} Context */

/** A creation that was sent. @typedef {{key: string, values: Values}} Attempt */

const PATH = '/api/v1/decorations';

/** 128 random bits. Not `randomUUID`, which is missing over plain HTTP. */
function freshKey() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Answers that say that nothing was created, now or at an earlier try. */
const REFUSALS = [400, 409, 422];

/** Creates a decoration once, however many tries it takes. */
export class Creation {
    #context;
    /** The last one sent, as long as its outcome is not known. @type {Attempt | null} */
    attempt;
    /** What an earlier try created after all. @type {Decoration | null} */
    created = null;

    /** @param {Context} context @param {Attempt | null} attempt one that was left open earlier */
    constructor(context, attempt) {
        this.#context = context;
        this.attempt = attempt;
    }

    /**
     * @param {Values} values
     * @returns {Promise<Decoration>}
     */
    async send(values) {
        const earlier = this.attempt;
        if (earlier !== null && JSON.stringify(earlier.values) !== JSON.stringify(values)) {
            // It may have been done, and now it is to be another: so that one is finished first, then replaced.
            this.created = await this.#post(earlier).catch((error) => {
                if (this.attempt !== null) {
                    throw error;
                }
                return null;
            });
        }
        if (this.created !== null) {
            return replace(this.#context, this.created.id, this.created.version, values);
        }
        return this.#post(this.attempt ?? { key: freshKey(), values });
    }

    /** @param {Attempt} attempt @returns {Promise<Decoration>} */
    async #post(attempt) {
        this.attempt = attempt;
        try {
            const { body } = await this.#context.api('POST', PATH, { body: attempt.values, headers: { 'Idempotency-Key': attempt.key } });
            this.attempt = null;
            return body;
        } catch (error) {
            if (error instanceof Problem && REFUSALS.includes(error.status)) {
                this.attempt = null;
            }
            throw error;
        }
    }
}

/**
 * @param {Context} context
 * @param {string} id
 * @param {number} version that its author saw
 * @param {Values} values
 * @returns {Promise<Decoration>}
 */
export async function replace(context, id, version, values) {
    const answer = await context.api('PUT', `${PATH}/${id}`, { body: values, headers: { 'If-Match': `"${version}"` } });
    return answer.body;
}

/** @param {Context} context @param {string} id @param {AbortSignal} signal @returns {Promise<Decoration>} */
export async function load(context, id, signal) {
    return (await context.api('GET', `${PATH}/${id}`, { signal })).body;
}

/** @param {Context} context @param {string} id @returns {Promise<Decoration>} */
export async function restore(context, id) {
    return (await context.api('POST', `${PATH}/${id}/restore`)).body;
}

/** @param {Context} context @param {string} id @param {number} version */
export async function remove(context, id, version) {
    await context.api('DELETE', `${PATH}/${id}`, { headers: { 'If-Match': `"${version}"` } });
}

/** Sends it to edges anew. @param {Context} context @param {string} id @returns {Promise<string[]>} their ids */
export async function resend(context, id) {
    return (await context.api('POST', `${PATH}/${id}/sync`)).body.edge_server_ids;
}
