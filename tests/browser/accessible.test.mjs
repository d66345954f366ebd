/** Everybody can use the page: axe-core finds nothing, with a keyboard alone, in light and dark, and on a phone. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { Service } from './service.mjs';
import { drawn, signIn, signedIn } from './signing_in.mjs';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** @type {Service} */
let service;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {string[]} */
let addresses;

before(async () => {
    [service, browser] = await Promise.all([Service.start(), launch()]);
    const edge = await service.edge('Berlin', 52.5163, 13.3777);
    edge.die();
    const place = { name: 'Quadriga', category: 'history', lat: 52.5163, lng: 13.3777, radius_meters: 40, asset_type: '3d_model' };
    const { body } = await service.ask('POST', '/decorations', place);
    addresses = [
        '#/map',
        '#/edges',
        `#/edge/${edge.id}`,
        '#/alerts',
        '#/decorations',
        `#/decoration/${body.id}`,
        '#/decoration/new?lat=1&lng=2',
        '#/probe?lat=52.5163&lng=13.3777',
        '#/users',
        '#/sessions',
        '#/audit',
    ];
});
after(async () => {
    await browser?.close();
    await service?.remove();
});

/** What axe-core finds. @param {import('playwright-core').Page} page @param {string} where @returns {Promise<string[]>} */
async function violations(page, where) {
    // Evaluated by the debugger, past the page's own policy, which lets in no script.
    await page.evaluate(AXE);
    const found = await page.evaluate(() =>
        // @ts-ignore: put there by the line before
        globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
    );
    assert.ok(found.passes.length > 5, 'axe looked at something');
    return found.violations.map(({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ target }) => target).join(', ')}`);
}

for (const [name, options] of Object.entries({
    'in the light': { colorScheme: 'light' },
    'in the dark': { colorScheme: 'dark' },
    'on a phone': { viewport: { width: 375, height: 740 }, isMobile: true, hasTouch: true },
})) {
    test(`axe-core finds nothing on any panel ${name}, and nothing is cut off`, async () => {
        const { page, faults, context } = await open(browser, service.url, options);
        await page.goto(`${service.url}/dashboard/`);
        await page.getByRole('button', { name: 'Sign in' }).waitFor();
        const found = await violations(page, 'sign-in');
        await signIn(page, service.email, service.password);
        await page.getByText('Live', { exact: true }).waitFor();
        await drawn(page);
        for (const address of addresses) {
            await page.evaluate((hash) => location.assign(hash), address);
            await page.waitForLoadState('networkidle');
            found.push(...(await violations(page, address)));
            const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(wider <= 0, `${address} is ${wider} px too wide`);
        }
        assert.deepEqual(found, []);
        assert.deepEqual(faults, []);
        await context.close();
    });
}

test('a keyboard is enough to sign in, go to an edge server and drain it', async () => {
    const { page, faults, context } = await open(browser, service.url);
    await page.goto(`${service.url}/dashboard/`);
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.keyboard.type(service.email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(service.password);
    await page.keyboard.press('Enter');
    await page.getByText('Live', { exact: true }).waitFor();
    /** Presses Tab until that has the focus, which must be seen. @param {RegExp} text */
    const tabTo = async (text) => {
        for (let presses = 0; presses < 80; presses += 1) {
            await page.keyboard.press('Tab');
            const focused = await page.evaluate(() => {
                const element = /** @type {HTMLElement} */ (document.activeElement);
                const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
                const seen = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none';
                return { text: element.innerText || element.getAttribute('aria-label') || '', seen };
            });
            if (text.test(focused.text.trim())) {
                assert.ok(focused.seen, `the focus on ${focused.text} is seen`);
                return;
            }
        }
        assert.fail(`nothing like ${text} is reached by Tab`);
    };
    await tabTo(/^Edges$/);
    await page.keyboard.press('Enter');
    await page.getByRole('searchbox').first().fill('Berlin');
    await tabTo(/^Berlin$/);
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/edge\//);
    await page.getByRole('heading', { name: 'Berlin', level: 2 }).waitFor();
    await tabTo(/^Drain$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    assert.match(await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).innerText), /Drain/, 'the focus is back where it was');
    assert.deepEqual(faults, []);
    await context.close();
});
