/**
 * The figures of the whole system, over everything: edges by health, devices, decorations at edges, alerts.
 */

import { fill, h } from './dom.js';
import { HEALTHS, HEALTH_WORDS, compact, count } from './words.js';

/** @param {import('./live.js').Live} live @param {HTMLElement} [alerts_link] where the number of alerts stands too */
export function figures(live, alerts_link) {
    const edges = group('Edge servers', [...HEALTHS].reverse().map((health) => ({ name: health, label: HEALTH_WORDS[health].toLowerCase(), href: `#/edges?health=${health}` })));
    const devices = group('Devices', [{ name: 'devices', label: 'connected' }]);
    const sync = group('Decorations at edges', [
        { name: 'synced', label: 'delivered' },
        { name: 'due', label: 'due' },
        { name: 'failed', label: 'failed' },
    ]);
    const alerts = group('Alerts', [{ name: 'alerts', label: 'standing', href: '#/alerts' }]);
    const badge = h('span', { class: 'badge-count', hidden: true });
    alerts_link?.append(badge);

    function showEdges() {
        const of = Object.fromEntries(HEALTHS.map((health) => [health, 0]));
        let draining = 0;
        for (const edge of live.edges.values()) {
            of[edge.health_status] += 1;
            draining += edge.draining ? 1 : 0;
        }
        HEALTHS.forEach((health) => edges.set(health, count(of[health]), of[health] > 0));
        edges.note(draining > 0 ? `${count(draining)} draining` : '');
    }

    const showDevices = () => devices.set('devices', compact(live.devices.total), live.devices.total > 0);

    function showSync() {
        const { synced, synced_is_estimate, pending, outdated, failed } = live.sync;
        sync.set('synced', `${synced_is_estimate ? '≈ ' : ''}${compact(synced)}`, synced > 0);
        sync.set('due', compact(pending + outdated), pending + outdated > 0);
        sync.set('failed', compact(failed), failed > 0);
    }

    function showAlerts() {
        const standing = live.alerts.size;
        alerts.set('alerts', count(standing), standing > 0);
        badge.hidden = standing === 0;
        fill(badge, count(standing), h('span', { class: 'unseen' }, ' standing'));
    }

    const shows = { edges: showEdges, devices: showDevices, sync: showSync, alerts: showAlerts };
    for (const [name, show] of Object.entries(shows)) {
        live.addEventListener(name, show);
        show();
    }
    const element = h('section', { class: 'figures', 'aria-label': 'Overview', tabindex: '0' }, edges.element, devices.element, sync.element, alerts.element);
    return {
        element,
        close() {
            Object.entries(shows).forEach(([name, show]) => live.removeEventListener(name, show));
        },
    };
}

/** @param {string} title @param {{name: string, label: string, href?: string}[]} shown */
function group(title, shown) {
    /** @type {Map<string, {box: HTMLElement, value: HTMLElement}>} */
    const figures = new Map();
    const boxes = shown.map(({ name, label, href }) => {
        const value = h('span', { class: 'figure-value' }, '–');
        const box = h(href ? 'a' : 'span', { class: 'figure', href, 'data-figure': name }, value, h('span', { class: 'figure-label' }, label));
        figures.set(name, { box, value });
        return box;
    });
    const note = h('span', { class: 'figure-note' });
    return {
        element: h('div', { class: 'figure-group' }, h('h2', {}, title), h('div', { class: 'figure-row' }, boxes, note)),
        /** @param {string} name @param {string} text @param {boolean} some */
        set(name, text, some) {
            const figure = figures.get(name);
            if (figure !== undefined) {
                figure.value.textContent = text;
                figure.box.classList.toggle('none', !some);
            }
        },
        /** @param {string} text */
        note(text) {
            note.textContent = text;
        },
    };
}
