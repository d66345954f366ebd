/**
 * Whether what is shown is true now: a word in the header, and a banner over the page when it may be old.
 */

import { fill, h } from './dom.js';
import { span, time } from './words.js';

const WORDS = { connecting: 'Connecting', live: 'Live', stale: 'Not live' };

/** @param {import('./live.js').Live} live @param {import('./announce.js').Announce} announce */
export function staleness(live, announce) {
    const state = h('span', { class: 'live-state' });
    const banner = h('div', { class: 'banner', hidden: true });
    let was = live.state;

    function show() {
        const now = live.state;
        document.body.dataset.live = now;
        fill(state, h('span', { class: 'live-dot', 'aria-hidden': 'true' }), WORDS[now]);
        banner.hidden = now !== 'stale';
        if (now === 'stale') {
            const next = live.next_try === null ? 'Connecting…' : `Next try in ${span(Math.max(0, (live.next_try.getTime() - Date.now()) / 1000))}.`;
            const since = live.since === null ? 'There is no connection to the server.' : `No connection to the server since ${time(live.since)}: what is shown may be old.`;
            fill(banner, h('strong', {}, 'Not live'), ` ${since} `, h('span', { class: 'muted' }, next));
        }
        if (was !== now) {
            if (now === 'stale') {
                announce('The connection is lost: figures may be old.', 'alert');
            } else if (was === 'stale') {
                announce('Live again.');
            }
            was = now;
        }
    }

    const clock = setInterval(show, 1_000);
    live.addEventListener('state', show);
    show();
    return {
        state,
        banner,
        close() {
            clearInterval(clock);
            live.removeEventListener('state', show);
        },
    };
}
