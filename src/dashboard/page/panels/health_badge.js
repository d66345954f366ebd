/**
 * How an edge is, as a badge: a colour, a sign and a word.
 */

import { h } from '../dom.js';
import { HEALTH_SIGNS, HEALTH_WORDS } from '../words.js';

/** @param {import('../words.js').Health} health */
export function healthBadge(health) {
    return h('span', { class: `health health-${health}` }, h('span', { class: 'health-sign', 'aria-hidden': 'true' }, HEALTH_SIGNS[health] || '✓'), HEALTH_WORDS[health]);
}

/** Places taken, as a bar with its figures. @param {import('../live_state.js').EdgeSummary} edge */
export function loadBar(edge) {
    const taken = Math.max(edge.current_connections, edge.reported_connections);
    const share = Math.min(1, taken / Math.max(1, edge.max_connections));
    const bar = h('span', { class: `load-bar${share >= 0.9 ? ' load-high' : ''}`, 'aria-hidden': 'true' });
    const filled = h('span', { class: 'load-filled' });
    filled.style.width = `${share * 100}%`;
    bar.append(filled);
    return h('span', { class: 'load' }, bar, h('span', { class: 'load-figures' }, `${taken} / ${edge.max_connections}`));
}
