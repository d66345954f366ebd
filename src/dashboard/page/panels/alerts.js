/**
 * What to look at: the alerts that stand, and those of this sitting that are over.
 */

import { fill, h } from '../dom.js';
import { ALERT_WORDS, span, time } from '../words.js';

/** @typedef {import('../live_state.js').Alert} Alert */

/**
 * @param {import('../shell.js').Context} context
 * @param {HTMLElement} host
 * @returns {import('../shell.js').Panel}
 */
export function open({ live }, host) {
    const standing = h('div');
    const past = h('div');
    fill(host, h('h3', {}, 'Standing'), standing, h('h3', {}, 'Over, since you are here'), past);

    /** Where it leads. @param {Alert} alert */
    function link({ kind, subject }) {
        if (kind === 'capacity') {
            return h('a', { href: `#/edges?region=${encodeURIComponent(subject)}` }, 'Edge servers of the region');
        }
        const edge = live.edges.get(subject);
        return edge ? h('a', { href: `#/edge/${subject}` }, edge.name) : null;
    }

    /** @param {Alert} alert @param {string} when */
    const row = (alert, when) =>
        h('li', { class: `alert alert-${alert.kind}` }, h('div', { class: 'alert-head' }, h('strong', {}, ALERT_WORDS[alert.kind] ?? alert.kind), h('span', { class: 'muted' }, when)), h('p', {}, alert.message), link(alert));

    function show() {
        const now = [...live.alerts.values()].sort((a, b) => b.at.localeCompare(a.at));
        const lasted = (/** @type {Alert & {over_at: Date}} */ { at, over_at }) => `${time(at)} to ${time(over_at)}, ${span((over_at.getTime() - new Date(at).getTime()) / 1000)}`;
        fill(standing, now.length > 0 ? h('ul', { class: 'alerts' }, now.map((alert) => row(alert, `since ${time(alert.at)}`))) : h('p', { class: 'muted' }, 'Nothing needs looking at.'));
        fill(past, live.past_alerts.length > 0 ? h('ul', { class: 'alerts alerts-past' }, live.past_alerts.map((alert) => row(alert, lasted(alert)))) : h('p', { class: 'muted' }, 'None yet.'));
    }

    live.addEventListener('alerts', show);
    show();
    return { title: 'Alerts', close: () => live.removeEventListener('alerts', show) };
}
