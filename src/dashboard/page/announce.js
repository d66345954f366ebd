/**
 * What is said in passing: shown for some seconds, and read out by screen readers.
 */

import { h } from './dom.js';

const SHOWN_MS = 7_000;

/** @typedef {(text: string, kind?: 'polite' | 'alert') => void} Announce */

export function announcer() {
    const polite = h('div', { role: 'status', 'aria-live': 'polite' });
    const alert = h('div', { role: 'alert', 'aria-live': 'assertive' });

    /** @type {Announce} */
    function announce(text, kind = 'polite') {
        const said = h('p', { class: `said said-${kind}` }, text);
        (kind === 'alert' ? alert : polite).append(said);
        setTimeout(() => said.remove(), SHOWN_MS);
    }

    return { element: h('div', { class: 'announcements' }, polite, alert), announce };
}
