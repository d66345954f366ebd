/**
 * One edge server: how it is and why, how full, what it holds, how that went over time, and what can be done.
 */

import { fill, h } from '../dom.js';
import { ago, because, count, perCent, place } from '../words.js';
import { charts } from './edge_charts.js';
import { actions } from './edge_actions.js';
import { edgeSync } from './edge_sync.js';
import { healthBadge, loadBar } from './health_badge.js';

const UPDATE_MS = 1_000;

/**
 * @param {import('../shell.js').Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters
 * @returns {import('../shell.js').Panel}
 */
export function open(context, host, { id }) {
    const { live, map, api } = context;
    /** What only its own address tells. @type {any} */
    let details = null;
    let asked_version = -1;
    let title = '';
    let is_open = true;

    const state = h('div', { class: 'edge-state' });
    const facts = h('dl', { class: 'facts' });
    const acts = actions(context, id, () => details);
    const sync = edgeSync(context, id);
    const history = charts(context, id);
    fill(host, state, acts.element, facts, sync.element, history.element);

    /** @param {string} name @param {...import('../dom.js').Child} value */
    const fact = (name, ...value) => h('div', {}, h('dt', {}, name), h('dd', {}, ...value));
    const wide = (/** @type {string} */ name, /** @type {import('../dom.js').Child} */ value) => h('div', { class: 'wide' }, h('dt', {}, name), h('dd', {}, value));

    function show() {
        const edge = live.edges.get(id);
        if (edge === undefined) {
            fill(state, h('p', { role: 'alert' }, live.state === 'connecting' ? 'Waiting for the first news…' : 'There is no such edge server, or no longer.'));
            fill(facts);
            acts.show(null);
            return;
        }
        fill(
            state,
            h('p', { class: 'edge-badges' }, healthBadge(edge.health_status), edge.draining && h('span', { class: 'badge' }, 'draining'), !edge.is_active && h('span', { class: 'badge' }, 'inactive'), h('span', { class: 'muted' }, edge.connected ? 'connected' : 'no connection')),
            h('p', {}, because(edge.health_reason)),
            edge.draining && h('p', {}, 'It gets no new devices, and hands over those it has.'),
        );
        fill(
            facts,
            fact('Places taken', loadBar(edge)),
            fact('Assigned devices', count(edge.current_connections)),
            fact('Connections it reports', count(edge.reported_connections)),
            fact('CPU', perCent(edge.cpu_usage)),
            fact('Memory', perCent(edge.memory_usage)),
            fact('Last beat', ago(edge.last_ping)),
            fact('Region', edge.region),
            fact('Place', place(edge)),
            fact('Service radius', `${edge.service_radius_km} km`),
            fact('Last probe', details === null ? '–' : details.health_check_url === null ? 'none asked for' : ago(details.last_health_check)),
            fact('Version', count(edge.version)),
            wide('HTTP', details?.api_url ?? '–'),
            wide('WebSocket', details?.websocket_url ?? '–'),
            wide('Id', h('code', {}, id)),
        );
        acts.show(edge);
        if (title === '') {
            map.flyTo(edge, 6);
        }
        if (title !== edge.name) {
            title = edge.name;
            host.dispatchEvent(new Event('title'));
        }
        if (edge.version !== asked_version) {
            asked_version = edge.version;
            api('GET', `/api/v1/edge-servers/${encodeURIComponent(id)}`).then(
                ({ body }) => {
                    details = body;
                    if (is_open) {
                        show();
                    }
                },
                () => {
                    asked_version = -1;
                },
            );
        }
    }

    /** @param {any} event */
    const changed = ({ detail }) => (detail === null || detail.has(id)) && show();
    live.addEventListener('edges', changed);
    const clock = setInterval(() => document.getSelection()?.isCollapsed !== false && show(), UPDATE_MS);
    show();
    map.select({ edge: id });
    return {
        get title() {
            return title || 'Edge server';
        },
        close() {
            is_open = false;
            clearInterval(clock);
            live.removeEventListener('edges', changed);
           
            sync.close();
            history.close();
            map.select(null);
        },
    };
}
