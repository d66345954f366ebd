/** A feed made up of very many edge servers and devices: no machine holds so many. */

import { createRequire } from 'node:module';

const { latLngToCell } = createRequire(import.meta.url)('../../src/dashboard/node_modules/h3-js');

const HEALTHS = ['healthy', 'healthy', 'healthy', 'degraded', 'offline'];

const between = (/** @type {number} */ least, /** @type {number} */ most) => least + Math.random() * (most - least);
const one_of = (/** @type {any[]} */ all) => all[Math.floor(Math.random() * all.length)];

/** What an edge server says of itself at a moment. @param {string} health_status */
function state(health_status) {
    const [current_connections, cpu_usage, memory_usage] = [Math.floor(between(0, 100)), between(0, 100), between(0, 100)];
    return { health_status, health_reason: null, current_connections, reported_connections: 0, cpu_usage, memory_usage, last_ping: new Date().toISOString() };
}

/**
 * Stands in for the feed: edge servers between two latitudes and two longitudes, of which many change each second.
 *
 * @param {import('playwright-core').Page} page
 * @param {number} edge_count
 * @param {number} cell_count
 * @param {{lat: [number, number], lng: [number, number]}} [place]
 */
export async function feed(page, edge_count, cell_count, { lat, lng } = { lat: [-60, 70], lng: [-180, 180] }) {
    const edges = Array.from({ length: edge_count }, (_, number) => ({
        id: `01890000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`,
        ...{ name: `Edge ${number}`, region: `region ${number % 40}`, lat: between(...lat), lng: between(...lng), service_radius_km: 5 },
        ...{ max_connections: 100, version: 1, draining: number % 50 === 0, is_active: true, connected: true, ...state(one_of(HEALTHS)) },
    }));
    const cells = Array.from({ length: cell_count }, () => latLngToCell(between(-50, 60), between(-180, 180), 7));
    const counts = (/** @type {string[]} */ some) => some.map((cell) => ({ cell, count: Math.floor(between(10, 30)) }));
    const devices = (/** @type {string[]} */ some) => ({ total: 100_000, by_edge: [], by_cell: counts(some) });
    const some = (/** @type {any[]} */ all, /** @type {number} */ most) => Array.from({ length: Math.min(all.length, most) }, () => one_of(all));
    await page.routeWebSocket('**/ws/admin', (socket) => {
        let seq = 0;
        const send = (/** @type {string} */ type, /** @type {unknown} */ data) => socket.send(JSON.stringify({ type, seq: seq++, data }));
        const sync = { pending: 0, outdated: 0, failed: 0, synced: 1_000_000, synced_is_estimate: true };
        send('snapshot', { edge_servers: edges, devices: devices(cells), sync, alerts: [], seq: 0 });
        const changes = setInterval(() => {
            send('edge_health', { edge_servers: some(edges, 500).map(({ id, health_status }) => ({ id, ...state(Math.random() < 0.95 ? health_status : one_of(HEALTHS)) })) });
        }, 500);
        const moves = setInterval(() => send('devices', devices(some(cells, 2_000))), 1_000);
        // The socket of a page that is closed says nothing; timers would keep the run alive.
        page.once('close', () => [changes, moves].forEach(clearInterval));
        socket.onClose(() => [changes, moves].forEach(clearInterval));
    });
}
