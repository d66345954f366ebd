/**
 * How smooth the map stays with 1,000,000 decorations, 10,000 edge servers of which 1,000 change each second, and 100,000
 * devices in 6,000 cells: while it is dragged, seen from afar and close by, beside the same with nothing on it. Frames a
 * second say how it is on this machine, most of them the drawing of it; what the page itself does for a frame says how
 * it is where a graphics card draws. The service and its decorations are real; the feed is made up here, because no
 * machine holds so many edge servers. Run by `make smooth`.
 */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { launch, open } from './browser.mjs';
import { feed } from './crowd.mjs';
import { Service } from './service.mjs';
import { drawn, signIn } from './signing_in.mjs';

const [MOVES, MOVE_MS] = [40, 40];
const DECORATIONS = 1_000_000;
/** Half of them lie all over the world, the others around a place: some 400 in a square kilometre there. */
const PLACE = { lat: 52.5, lng: 13.4 };
const VIEWS = { 'from afar': '#/map', 'close by': `#/probe?lat=${PLACE.lat}&lng=${PLACE.lng}` };
const ROUNDS = 3;

/** A file of them. @param {string} file */
async function decorations(file) {
    const lines = ['name,category,lat,lng,radius_meters,asset_type'];
    for (let number = 0; number < DECORATIONS; number += 1) {
        const [lat, lng] =
            number % 2 === 0
                ? [130 * Math.random() - 60, 360 * Math.random() - 180]
                : [PLACE.lat + 0.3 * (Math.random() - Math.random()), PLACE.lng + 0.5 * (Math.random() - Math.random())];
        lines.push(`Statue ${number},tests,${lat.toFixed(6)},${lng.toFixed(6)},30,image`);
    }
    await writeFile(file, lines.join('\n'));
}

/** Drags the map about. @param {import('playwright-core').Browser} browser @param {Service} service @param {string} hash @param {boolean} is_full */
async function drag(browser, service, hash, is_full) {
    const { page, context } = await open(browser, service.url);
    await feed(page, is_full ? 10_000 : 0, is_full ? 6_000 : 0);
    if (!is_full) {
        await page.route('**/tiles/decorations/**', (route) => route.fulfill({ status: 204 }));
    }
    await page.goto(`${service.url}/dashboard/${hash}`);
    await signIn(page, service.email, service.password);
    await page.getByText('Live', { exact: true }).waitFor();
    await page.locator('.map[data-drawn]').waitFor();
    if (is_full) {
        // It is drawn anew each second; the first time takes longest.
        await page.waitForTimeout(6_000);
    } else {
        await drawn(page);
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
    const browser_says = await context.newCDPSession(page);
    await browser_says.send('Performance.enable');
    const busy_s = async () => (await browser_says.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;
    const [started_ms, busy_before_s] = [Date.now(), await busy_s()];
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (let move = 0; move < MOVES; move += 1) {
        await page.mouse.move(x + 4 * move, y + (move % 10));
        await page.waitForTimeout(MOVE_MS);
    }
    await page.mouse.up();
    // @ts-ignore: put there above
    const { frames, longest_ms } = await page.evaluate(() => globalThis.seen);
    const [took_s, page_ms] = [(Date.now() - started_ms) / 1000, (1000 * ((await busy_s()) - busy_before_s)) / frames];
    await context.close();
    return { per_s: frames / took_s, page_ms, longest_ms };
}

/** @param {number[]} all */
const median = (all) => [...all].sort((one, other) => one - other)[Math.floor(all.length / 2)];
/** @param {{per_s: number, page_ms: number, longest_ms: number}} seen */
const words = ({ per_s, page_ms, longest_ms }) => `${per_s.toFixed(1)} frames/s, the page busy ${page_ms.toFixed(1)} ms for each, longest task ${longest_ms < 50 ? 'under 50' : longest_ms} ms`;

const [service, browser] = await Promise.all([Service.start(), launch()]);
try {
    const file = path.join(service.folder, 'decorations.csv');
    await decorations(file);
    await service.run('import', file);
    for (const [view, hash] of Object.entries(VIEWS)) {
        const all = [];
        for (let round = 1; round <= ROUNDS; round += 1) {
            const [empty, full] = [await drag(browser, service, hash, false), await drag(browser, service, hash, true)];
            all.push({ ...full, ratio: full.per_s / empty.per_s });
            console.log(`${view}, round ${round}: ${words(full)}; with nothing: ${words(empty)}`);
        }
        const [ratio, page_ms] = [median(all.map((each) => each.ratio)), median(all.map((each) => each.page_ms))];
        console.log(`${view}: median ${ratio.toFixed(2)} of the frames of an empty map; the page busy ${page_ms.toFixed(1)} ms for a frame`);
    }
} finally {
    await browser.close();
    await service.remove();
}
