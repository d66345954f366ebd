/** What tests of the admin page begin with. */

import assert from 'node:assert/strict';
import { open } from './browser.mjs';

/**
 * A page at an address of the admin page, signed in as the service's admin, with a map that is drawn.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {import('./service.mjs').Service} service
 * @param {string} [hash]
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function signedIn(browser, service, hash = '#/map', options = {}) {
    const opened = await open(browser, service.url, options);
    await opened.page.goto(`${service.url}/dashboard/${hash}`);
    await signIn(opened.page, service.email, service.password);
    await opened.page.getByText('Live', { exact: true }).waitFor();
    return opened;
}

/** @param {import('playwright-core').Page} page @param {string} email @param {string} password */
export async function signIn(page, email, password) {
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Waits until the map has drawn all it has. @param {import('playwright-core').Page} page */
export function drawn(page) {
    return page.locator('.map[data-drawn="true"]').waitFor();
}

/** The colour of a place on the page: red, green, blue. @param {import('playwright-core').Page} page @param {{x: number, y: number}} at */
export async function colour(page, { x, y }) {
    const png = await page.screenshot({ clip: { x, y, width: 1, height: 1 } });
    return page.evaluate(async (source) => {
        const image = new Image();
        image.src = source;
        await image.decode();
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        canvas.drawImage(image, 0, 0);
        return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    }, `data:image/png;base64,${png.toString('base64')}`);
}

/** How different two colours are, 0 to 441. @param {number[]} one @param {number[]} other */
export function apart(one, other) {
    return Math.hypot(...one.map((part, index) => part - other[index]));
}

/**
 * Takes faults off the list that a test brought about itself; there must be some.
 *
 * @param {string[]} faults
 * @param {RegExp} expected
 */
export function forgive(faults, expected) {
    const others = faults.filter((fault) => !expected.test(fault));
    assert.ok(others.length < faults.length, `nothing like ${expected} in ${JSON.stringify(faults)}`);
    faults.splice(0, faults.length, ...others);
}
