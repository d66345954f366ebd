/**
 * How smooth the map stays with 10,000 edge servers of which 1,000 change each second, and 100,000 devices in 6,000
 * cells: frames while it is dragged, beside the same with nothing on it. The service is the real one; the feed is made
 * up here, because no machine holds so many edge servers. Run by `make smooth`.
 */

import { createRequire } from 'node:module';
import { launch, open } from './browser.mjs';
import { Service } from './service.mjs';
import { drawn, signIn } from './signing_in.mjs';

const { latLngToCell } = createRequire(import.meta.url)('../../src/dashboard/node_modules/h3-js');
const [MOVES, MOVE_MS] = [40, 40];
const HEALTHS = ['healthy', 'healthy', 'healthy', 'degraded', 'offline'];

const between = (/** @type {number} */ least, /** @type {number} */ most) => least + Math.random() * (most - least);
const one_of = (/** @type {any[]} */ all) => all[Math.floor(Math.random() * all.length)];

/** What an edge server says of itself at a moment. @param {string} health_status */
function state(health_status) {
    const [current_connections, cpu_usage, memory_usage] = [Math.floor(between(0, 100)), between(0, 100), between(0, 100)];
    return { health_status, health_reason: null, current_connections, reported_connections: 0, cpu_usage, memory_usage, last_ping: new Date().toISOString() };
}

/** Stands in for the feed. @param {import('playwright-core').Page} page @param {number} edge_count @param {number} cell_count */
async function feed(page, edge_count, cell_count) {
    const edges = Array.from({ length: edge_count }, (_, number) => ({
        id: `01890000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`,
        ...{ name: `Edge ${number}`, region: `region ${number % 40}`, lat: between(-60, 70), lng: between(-180, 180), service_radius_km: 5 },
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
        socket.onClose(() => [changes, moves].forEach(clearInterval));
    });
}

/** Drags the map about: frames, and the longest task, in ms. @param {import('playwright-core').Browser} browser @param {Service} service @param {number} edges @param {number} cells */
async function drag(browser, service, edges, cells) {
    const { page, context } = await open(browser, service.url);
    await feed(page, edges, cells);
    await page.goto(`${service.url}/dashboard/`);
    await signIn(page, service.email, service.password);
    await page.getByText('Live', { exact: true }).waitFor();
    await page.locator('.map[data-drawn]').waitFor();
    if (edges === 0) {
        await drawn(page);
    } else {
        // It is drawn anew each second; the first time takes longest.
        await page.waitForTimeout(6_000);
    }
    const box = await page.locator('.map canvas').boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.evaluate(() => {
        const seen = { frames: 0, longest_ms: 0 };
        Object.assign(globalThis, { seen });
        new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (seen.longest_ms = Math.max(seen.longest_ms, Math.round(duration))))).observe({ type: 'longtask' });
        const frame = () => {
            seen.frames += 1;
            requestAnimationFrame(frame);
        };
        frame();
    });
    const started_ms = Date.now();
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (let move = 0; move < MOVES; move += 1) {
        await page.mouse.move(x + 4 * move, y + (move % 10));
        await page.waitForTimeout(MOVE_MS);
    }
    await page.mouse.up();
    // @ts-ignore: put there above
    const { frames, longest_ms } = await page.evaluate(() => globalThis.seen);
    const per_s = (1000 * frames) / (Date.now() - started_ms);
    await context.close();
    return { per_s, longest_ms };
}

const [service, browser] = await Promise.all([Service.start(), launch()]);
try {
    const ratios = [];
    for (let round = 1; round <= 3; round += 1) {
        const empty = await drag(browser, service, 0, 0);
        const full = await drag(browser, service, 10_000, 6_000);
        ratios.push(full.per_s / empty.per_s);
        console.log(`round ${round}: ${full.per_s.toFixed(1)} frames/s with all of it, longest task ${full.longest_ms} ms; ${empty.per_s.toFixed(1)} with nothing, ${empty.longest_ms} ms; ratio ${ratios.at(-1).toFixed(2)}`);
    }
    console.log(`median ratio ${ratios.sort((one, other) => one - other)[1].toFixed(2)}`);
} finally {
    await browser.close();
    await service.remove();
}
