/**
 * Who is signed in, and asking the service. The access token lives in this module and nowhere else; what outlives a
 * reload is a cookie that no script can read.
 */

/** @typedef {{id: string, email: string, full_name: string, role: 'admin' | 'user'}} User */
/** @typedef {{field: string, code: string, detail: string}} FieldFault */

const SESSION = '/dashboard/session';
/** Time before its end at which a token is renewed, in ms. */
const EARLY_MS = 60_000;

/** An answer that says what is wrong: `application/problem+json`, or no answer at all (status 0). */
export class Problem extends Error {
    /** @param {number} status @param {any} document */
    constructor(status, document) {
        super(document.detail ?? document.title ?? `the server answered ${status}`);
        this.status = status;
        /** @type {string} */
        this.code = document.code ?? 'unknown';
        /** @type {FieldFault[]} */
        this.errors = document.errors ?? [];
        /** What is there now, when something else was edited (412). */
        this.current = document.current ?? null;
    }
}

/** Tells `signed-out` when the session has ended, wherever that was done. */
export const events = new EventTarget();

/** @type {string | null} */
let token = null;
let good_until_ms = 0;
/** @type {User | null} */
let signed_in = null;
/** @type {Promise<boolean> | null} */
let renewing = null;

/** @returns {User | null} */
export function user() {
    return signed_in;
}

/** Signs in; a Problem when that is refused. @param {string} email @param {string} password */
export async function signIn(email, password) {
    keep(await answer(await send('POST', SESSION, null, { email, password })));
}

/** Goes on with the session that the browser has a cookie of. @returns {Promise<boolean>} whether there is one */
export function resume() {
    renewing ??= renew().finally(() => {
        renewing = null;
    });
    return renewing;
}

/** Ends the session, here and on the server. */
export async function signOut() {
    try {
        await send('DELETE', SESSION, token, undefined);
    } finally {
        forget();
    }
}

/**
 * Asks the service. Renews the token first where that is due.
 *
 * @param {string} method
 * @param {string} path from the root: `/api/v1/decorations`
 * @param {{body?: unknown, headers?: Record<string, string>, query?: Record<string, unknown>, signal?: AbortSignal}} [options]
 * @returns {Promise<{status: number, body: any, headers: Headers}>}
 * @throws {Problem}
 */
export async function api(method, path, { body, headers, query, signal } = {}) {
    const asked = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== '');
    const target = asked.length === 0 ? path : `${path}?${new URLSearchParams(asked.map(([name, value]) => [name, String(value)]))}`;
    if (Date.now() > good_until_ms - EARLY_MS) {
        await resume();
    }
    let response = await send(method, target, token, body, headers, signal);
    if (response.status === 401 && (await resume())) {
        response = await send(method, target, token, body, headers, signal);
    }
    if (response.status === 401) {
        forget();
    }
    return { status: response.status, body: await answer(response), headers: response.headers };
}

/** `Authorization` for requests that others make, such as the map's for tiles. @returns {Record<string, string>} */
export function authorization() {
    return token === null ? {} : { Authorization: `Bearer ${token}` };
}

async function renew() {
    const response = await send('PUT', SESSION, null, undefined);
    // Nobody is signed in.
    if (response.status === 204) {
        forget();
        return false;
    }
    keep(await answer(response));
    return true;
}

/** @param {any} tokens */
function keep(tokens) {
    token = tokens.access_token;
    good_until_ms = Date.now() + tokens.expires_in * 1000;
    signed_in = tokens.user;
}

function forget() {
    const was = signed_in;
    token = null;
    signed_in = null;
    good_until_ms = 0;
    if (was !== null) {
        events.dispatchEvent(new Event('signed-out'));
    }
}

/**
 * @param {string} method
 * @param {string} target
 * @param {string | null} bearer
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal]
 */
async function send(method, target, bearer, body, headers = {}, signal) {
    const authorized = bearer === null ? {} : { Authorization: `Bearer ${bearer}` };
    const typed = body === undefined ? {} : { 'Content-Type': 'application/json' };
    try {
        return await fetch(target, {
            method,
            headers: { Accept: 'application/json', ...authorized, ...typed, ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
            signal,
        });
    } catch (error) {
        if (signal?.aborted) {
            throw error;
        }
        throw new Problem(0, { code: 'unreachable', detail: 'The server does not answer. Is it running?' });
    }
}

/** @param {Response} response */
async function answer(response) {
    const is_json = /json/.test(response.headers.get('content-type') ?? '');
    const body = is_json ? await response.json() : null;
    if (!response.ok) {
        throw new Problem(response.status, body ?? { detail: `The server answered ${response.status}.` });
    }
    return body;
}
