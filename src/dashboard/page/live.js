/**
 * What happens, as `/ws/admin` tells it: the whole state first, then every change with its number. This module holds
 * the state, keeps the socket open, and knows whether what it holds may be old.
 *
 * An idle system sends nothing, and a page does not see a socket's pings. So after some silence the service is asked
 * over HTTP whether it is ready; when that is not answered either, or the socket closes, the state is stale.
 */

import { api, resume, user } from './session.js';
import { State } from './live_state.js';

const PATH = '/ws/admin';
/** Silence after which the service is asked, and after which the state is stale without an answer, in ms. */
const ASK_AFTER_MS = 5_000;
const STALE_AFTER_MS = 10_000;
/** A socket that has been silent for so long is opened anew: it may be broken although HTTP works. */
const RENEW_AFTER_MS = 60_000;
/** How long opening a socket, with its ticket and the first message, may take. */
const OPEN_MS = 12_000;
const ANSWER_MS = 4_000;
const LOOK_MS = 1_000;
/** Least and most time between two tries, in ms. */
const [LEAST_MS, MOST_MS] = [1_000, 15_000];

/**
 * Events: `edges` (detail: a Set of ids, or null for all), `devices`, `sync`, `alerts`, `decoration` (detail: an id,
 * or null for many), `state`.
 */
export class Live extends EventTarget {
    #state = new State((name, detail) => this.dispatchEvent(new CustomEvent(name, { detail })));
    /** @type {'connecting' | 'live' | 'stale'} */
    state = 'connecting';
    /** The last sign of life. @type {Date | null} */
    since = null;
    /** When the next try is due, while there is no connection. @type {Date | null} */
    next_try = null;

    /** @type {WebSocket | null} */
    #socket = null;
    #heard_ms = 0;
    #alive_ms = 0;
    #looked_ms = 0;
    #tries = 0;
    #asking = false;
    #is_open = false;
    /** Rises with each try, so that what an earlier one still brings is told apart. */
    #attempt = 0;
    #retry = 0;
    #clock = 0;

    get edges() {
        return this.#state.edges;
    }
    get devices() {
        return this.#state.devices;
    }
    get sync() {
        return this.#state.sync;
    }
    get alerts() {
        return this.#state.alerts;
    }
    /** Alerts of this sitting that are over, newest first. */
    get past_alerts() {
        return this.#state.past_alerts;
    }

    start() {
        this.stop();
        this.#clock = setInterval(() => this.#look(), LOOK_MS);
        addEventListener('online', this.#now);
        document.addEventListener('visibilitychange', this.#now);
        this.#connect();
    }

    stop() {
        clearInterval(this.#clock);
        removeEventListener('online', this.#now);
        document.removeEventListener('visibilitychange', this.#now);
        this.#drop();
        clearTimeout(this.#retry);
        this.#state.clear();
        this.since = null;
        this.#tries = 0;
        this.#set('connecting');
    }

    /** Tries at once, when a try is due later. */
    #now = () => {
        if (this.next_try !== null && document.visibilityState === 'visible') {
            this.#connect();
        }
    };

    async #connect() {
        this.#drop();
        clearTimeout(this.#retry);
        this.next_try = null;
        const attempt = ++this.#attempt;
        const is_old = () => attempt !== this.#attempt;
        this.#retry = setTimeout(() => !is_old() && this.#lost(null), OPEN_MS);
        try {
            const { body } = await api('POST', '/api/v1/auth/ws-ticket', { body: { path: PATH } });
            if (is_old()) {
                return;
            }
            const url = new URL(PATH, location.href.replace(/^http/, 'ws'));
            const socket = new WebSocket(url, ['arsup.v1', `ticket.${body.ticket}`]);
            this.#socket = socket;
            socket.onmessage = (message) => !is_old() && this.#take(JSON.parse(message.data));
            socket.onclose = (closing) => !is_old() && this.#lost(closing);
        } catch {
            if (!is_old()) {
                this.#lost(null);
            }
        }
    }

    /** @param {any} message */
    #take(message) {
        this.#heard_ms = this.#alive_ms = Date.now();
        if (message.type === 'snapshot') {
            clearTimeout(this.#retry);
            this.#is_open = true;
            this.#tries = 0;
        }
        if (!this.#state.apply(message)) {
            // Something was missed: all of it anew.
            this.#connect();
            return;
        }
        this.#alive();
    }

    #alive() {
        this.since = new Date(this.#alive_ms);
        if (this.#is_open) {
            this.#set('live');
        }
    }

    /** @param {CloseEvent | null} closing */
    async #lost(closing) {
        this.#drop();
        clearTimeout(this.#retry);
        this.#set('stale');
        const attempt = ++this.#attempt;
        // Whoever is no admin any more hears it from the session; that ends this.
        if (closing?.code === 1008 && (!(await resume().catch(() => true)) || user()?.role !== 'admin')) {
            this.dispatchEvent(new Event('refused'));
            return;
        }
        if (user() === null || attempt !== this.#attempt) {
            return;
        }
        const after_ms = retryAfter(closing) ?? Math.min(MOST_MS, LEAST_MS * 2 ** this.#tries) * (0.5 + Math.random() / 2);
        this.#tries += 1;
        const wait_ms = Math.max(LEAST_MS, after_ms);
        this.next_try = new Date(Date.now() + wait_ms);
        this.#retry = setTimeout(() => this.#connect(), wait_ms);
        this.dispatchEvent(new Event('state'));
    }

    #drop() {
        this.#attempt += 1;
        this.#is_open = false;
        this.#socket?.close();
        this.#socket = null;
    }

    #look() {
        const now_ms = Date.now();
        const slept = now_ms - this.#looked_ms > 3 * LOOK_MS;
        this.#looked_ms = now_ms;
        if (!this.#is_open || slept) {
            // After a sleep of the browser, what came meanwhile is heard first.
            return;
        }
        const silent_ms = now_ms - this.#alive_ms;
        if (silent_ms > STALE_AFTER_MS || now_ms - this.#heard_ms > RENEW_AFTER_MS) {
            if (silent_ms > STALE_AFTER_MS) {
                this.#set('stale');
            }
            this.#connect();
        } else if (silent_ms > ASK_AFTER_MS) {
            this.#ask();
        }
    }

    async #ask() {
        if (this.#asking) {
            return;
        }
        this.#asking = true;
        try {
            const answer = await fetch('/health/ready', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
            if (answer.ok) {
                this.#alive_ms = Date.now();
                this.#alive();
            }
        } catch {
            // No sign of life.
        } finally {
            this.#asking = false;
        }
    }

    /** @param {'connecting' | 'live' | 'stale'} state */
    #set(state) {
        if (this.state !== state) {
            this.state = state;
            this.dispatchEvent(new Event('state'));
        }
    }
}

/** What a stopping service asks for, in ms. @param {CloseEvent | null} closing */
function retryAfter(closing) {
    if (closing?.code !== 1012) {
        return null;
    }
    try {
        const { retry_after_ms } = JSON.parse(closing.reason);
        return typeof retry_after_ms === 'number' ? retry_after_ms : null;
    } catch {
        return null;
    }
}
