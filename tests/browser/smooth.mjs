/**
 * How smooth the map stays with 10,000 edge servers of which 1,000 change each second, and 100,000 devices in 6,000
 * cells: frames while it is dragged, beside the same with nothing on it. The service is the real one; the feed is made
 * up here, because no machine holds so many edge servers. Run by `make smooth`.
 */

import { launch, open } from './browser.mjs';
import { feed } from './crowd.mjs';
import { Service } from './service.mjs';
import { drawn, signIn } from './signing_in.mjs';

const [MOVES, MOVE_MS] = [40, 40];

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
