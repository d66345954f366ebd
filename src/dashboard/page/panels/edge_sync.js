/**
 * How far an edge server is with its decorations, and what it said of those that it refused.
 */

import { fill, h } from '../dom.js';
import { ago, count, fault } from '../words.js';

/** Least time between two looks: for the service it is a count. In ms. */
const LOOK_MS = 10_000;
const MAX_FAULTS = 5;

/** @param {import('../shell.js').Context} context @param {string} id */
export function edgeSync({ api, live }, id) {
    const path = `/api/v1/sync/status/${encodeURIComponent(id)}`;
    const body = h('div', {}, h('p', { class: 'muted' }, 'Loading…'));
    const element = h('section', { 'aria-labelledby': 'edge-sync' }, h('h3', { id: 'edge-sync' }, 'Decorations it holds'), body);
    const request = new AbortController();
    let timer = 0;
    let looked_ms = 0;

    async function look() {
        [timer, looked_ms] = [0, Date.now()];
        try {
            const [all, failed] = await Promise.all([ask(undefined, 1), ask('failed', MAX_FAULTS)]);
            show(all, failed.items);
        } catch (error) {
            if (!request.signal.aborted) {
                fill(body, h('p', { role: 'alert' }, fault(error)));
            }
        }
        if (!request.signal.aborted) {
            timer = setTimeout(look, LOOK_MS);
        }
    }

    /** @param {string | undefined} status @param {number} limit */
    async function ask(status, limit) {
        return (await api('GET', path, { query: { status, limit }, signal: request.signal })).body;
    }

    /** @param {any} status @param {any[]} faults */
    function show({ counts, held, wanted, last_sync_at, resending }, faults) {
        const is_whole = held.count === wanted.count && held.digest === wanted.digest;
        const total = counts.synced + counts.pending + counts.outdated + counts.failed;
        const bar = h('div', { class: 'sync-bar', role: 'img', 'aria-label': `${count(counts.synced)} of ${count(total)} delivered` });
        for (const part of /** @type {const} */ (['synced', 'outdated', 'pending', 'failed']).filter((part) => counts[part] > 0)) {
            const piece = h('span', { class: `sync-${part}` });
            piece.style.flexGrow = String(counts[part]);
            bar.append(piece);
        }
        const figure = (/** @type {string} */ label, /** @type {number} */ value, /** @type {string} */ part) => h('div', {}, h('dt', {}, h('span', { class: `sign sync-${part}`, 'aria-hidden': 'true' }), label), h('dd', {}, count(value)));
        fill(
            body,
            h('p', {}, resending ? 'Everything is being sent again.' : is_whole ? `It holds all ${count(wanted.count)} decorations that it should.` : `It holds ${count(held.count)} decorations and should hold ${count(wanted.count)}; what differs is on its way.`),
            bar,
            h('dl', { class: 'facts' }, figure('Delivered', counts.synced, 'synced'), figure('Older state held', counts.outdated, 'outdated'), figure('Not delivered yet', counts.pending, 'pending'), figure('Refused too often', counts.failed, 'failed'), h('div', {}, h('dt', {}, 'Last acknowledgement'), h('dd', {}, ago(last_sync_at)))),
            faults.length > 0 && h('h4', {}, 'What it refused'),
            faults.length > 0 && h('ul', { class: 'faults-list' }, faults.map((item) => h('li', {}, h('a', { href: `#/decoration/${item.decoration_id}` }, item.decoration_id), `: ${item.error_message ?? 'no reason given'} (${item.attempts} tries)`))),
            counts.failed > faults.length && h('p', { class: 'muted' }, `and ${count(counts.failed - faults.length)} more`),
        );
    }

    /** The feed says that something was delivered: sooner than by the clock, but not more often than is borne. */
    function hurry() {
        if (timer !== 0 && Date.now() - looked_ms > LOOK_MS / 2) {
            clearTimeout(timer);
            look();
        }
    }

    live.addEventListener('sync', hurry);
    look();
    return {
        element,
        close() {
            request.abort();
            clearTimeout(timer);
            live.removeEventListener('sync', hurry);
        },
    };
}
