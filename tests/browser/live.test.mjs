/** The live side of the admin page: signing in, edges that die, drains, a server that is started again. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { feed } from './crowd.mjs';
import { Service, until } from './service.mjs';
import { apart, colour, drawn, forgive, signIn, signedIn } from './signing_in.mjs';

/** @type {Service} */
let service;
/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
    [service, browser] = await Promise.all([Service.start({ EDGE_HEALTH_CHECK_INTERVAL: '2s' }), launch()]);
});
after(async () => {
    await browser?.close();
    await service?.remove();
});

test('a wrong password is refused in words, a user is told that this is for admins, an admin gets in', async () => {
    const { page, faults, context } = await open(browser, service.url);
    await page.goto(`${service.url}/dashboard/`);
    await signIn(page, service.email, 'not this one at all');
    await page.getByRole('alert').filter({ hasText: 'not with this e-mail and password' }).waitFor();
    forgive(faults, /status of 401/);
    const email = 'grace@example.org';
    const password = 'brass engine 1843 Notes';
    await fetch(`${service.url}/api/v1/auth/register`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ email, password, full_name: 'Grace Hopper' }),
    });
    await signIn(page, email, password);
    await page.getByRole('alert').filter({ hasText: 'for admins' }).waitFor();
    await signIn(page, service.email, service.password);
    await page.getByText('Live', { exact: true }).waitFor();
    await drawn(page);
    assert.deepEqual(faults, []);
    await context.close();
});

test('a reload stays signed in, and nothing that a script can read is a secret', async () => {
    const { page, faults, context } = await signedIn(browser, service, '#/edges');
    await page.reload();
    await page.getByText('Live', { exact: true }).waitFor();
    assert.equal(new URL(page.url()).hash, '#/edges');
    const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
    assert.doesNotMatch(kept, /eyJ|rt_|ticket|password/i);
    const cookies = (await context.cookies(`${service.url}/dashboard/session`)).filter(({ name }) => name === 'ar_dashboard');
    assert.deepEqual(
        cookies.map(({ httpOnly, sameSite, path }) => ({ httpOnly, sameSite, path })),
        [{ httpOnly: true, sameSite: 'Strict', path: '/dashboard/session' }],
    );
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.deepEqual(faults, []);
    await context.close();
});

test('an edge server that dies changes its colour on the map and says why, and so when it is back', async () => {
    const edge = await service.edge('Mid Atlantic', 30, -40);
    const { page, faults, context } = await signedIn(browser, service, `#/edge/${edge.id}`);
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByText(/Healthy$/).waitFor();
    await panel.getByRole('button', { name: 'Show on map' }).click();
    await drawn(page);
    const box = await page.locator('.map canvas').boundingBox();
    // Beside the sign in its middle.
    const at = { x: box.x + box.width / 2 + 6, y: box.y + box.height / 2 };
    const healthy = await colour(page, at);
    edge.die();
    await panel.getByText(/Offline$/).waitFor({ timeout: 20_000 });
    await panel.getByText(/Nothing has been heard/).waitFor();
    await until(async () => apart(healthy, await colour(page, at)) > 60, 'another colour of the edge on the map');
    await page.getByRole('link', { name: /Alerts/ }).click();
    await panel.getByText('Mid Atlantic').first().waitFor();
    await page.goBack();
    const back = setInterval(edge.beat, 300);
    back.unref();
    await panel.getByText(/Healthy$/).waitFor({ timeout: 20_000 });
    await until(async () => apart(healthy, await colour(page, at)) < 30, 'the colour of a healthy edge');
    clearInterval(back);
    assert.deepEqual(faults, []);
    await context.close();
});

test('very many edge servers are one group from afar, which says how many they are', async () => {
    const { page, faults, context } = await open(browser, service.url);
    await feed(page, 600, 0, { lat: [24, 26], lng: [11, 13] });
    await page.goto(`${service.url}/dashboard/`);
    await signIn(page, service.email, service.password);
    await page.getByText('Live', { exact: true }).waitFor();
    const box = await page.locator('.map canvas').boundingBox();
    const hint = page.locator('.map-hint');
    // The pointer moves each time, because it is the move that is answered.
    await until(async () => {
        await page.mouse.move(box.x + box.width / 2 + 2 * Math.random(), box.y + box.height / 2);
        return /^600 edge servers here, \d+ of them not healthy/.test((await hint.allTextContents()).join());
    }, 'a hint about 600 edge servers');
    assert.deepEqual(faults, []);
    await context.close();
});

test('a drain is asked about first, happens, and is seen', async () => {
    const edge = await service.edge('North Sea', 56, 3);
    const { page, faults, context } = await signedIn(browser, service, `#/edge/${edge.id}`);
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    assert.equal((await service.ask('GET', `/edge-servers/${edge.id}`)).body.draining, false);
    await panel.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain', exact: true }).click();
    await panel.getByText('draining', { exact: true }).waitFor();
    assert.equal((await service.ask('GET', `/edge-servers/${edge.id}`)).body.draining, true);
    await panel.getByRole('button', { name: 'End the drain' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'End the drain' }).click();
    await panel.getByRole('button', { name: 'Drain', exact: true }).waitFor();
    edge.die();
    assert.deepEqual(faults, []);
    await context.close();
});

test('a new key is shown once, and works', async () => {
    const edge = await service.edge('Key West', 24.5, -81.8);
    const { page, faults, context } = await signedIn(browser, service, `#/edge/${edge.id}`);
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Make a key' }).click();
    const key = await page.getByLabel('Edge key').inputValue();
    const beat = await fetch(`${service.url}/api/v1/edge-servers/${edge.id}/ping`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ cpu_usage: 5 }),
    });
    assert.equal(beat.status, 200);
    await page.getByRole('dialog').getByRole('button', { name: /Done|Close/ }).click();
    assert.equal(await page.getByText(key).count(), 0);
    edge.die();
    assert.deepEqual(faults, []);
    await context.close();
});

test('the page says that it is not live while the server is away, and goes on once it is back', async () => {
    const { page, faults, context } = await signedIn(browser, service);
    const banner = page.getByText('what is shown may be old', { exact: false });
    assert.equal(await banner.isVisible(), false);
    // The map is about to fetch tiles anew, from a server that is not there.
    await service.ask('POST', '/decorations', { name: 'Buoy', category: 'tests', lat: 1, lng: -20, radius_meters: 5, asset_type: 'image' });
    await service.end();
    await banner.waitFor({ timeout: 20_000 });
    assert.equal(await page.evaluate(() => document.body.dataset.live), 'stale');
    // It is back only after somebody asked for it.
    await until(() => faults.length > 0, 'a request that nobody answers');
    await service.begin();
    await page.getByText('Live', { exact: true }).waitFor({ timeout: 40_000 });
    await banner.waitFor({ state: 'hidden' });
    await drawn(page);
    forgive(faults, /ERR_CONNECTION_REFUSED|WebSocket connection|status of 503/);
    assert.deepEqual(faults, []);
    await context.close();
});
