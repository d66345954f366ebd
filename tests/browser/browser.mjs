/** Debian's Chromium, and pages that are watched: what leaves the machine, what the console says, what breaks. */

import { mkdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PICTURES = process.env.PICTURES ? path.join(HERE, '../../src/dashboard/pictures') : path.join(HERE, '../../target/tmp/pictures');
const PROGRAM = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** A browser that draws maps without a graphics card. */
export function launch() {
    if (PROGRAM === undefined) {
        throw new Error('there is no Chromium: sudo apt-get install chromium, or name one in CHROMIUM');
    }
    return chromium.launch({
        executablePath: PROGRAM,
        args: ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--no-sandbox'],
    });
}

/**
 * A page of a browser of its own, watched from the start.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {string} url of the service
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', ...options });
    const page = await context.newPage();
    const origin = new URL(url).origin;
    /** @type {string[]} */
    const faults = [];
    page.on('request', (request) => {
        const target = new URL(request.url());
        if (!['data:', 'blob:'].includes(target.protocol) && target.origin !== origin) {
            faults.push(`a request left for ${target.origin}`);
        }
    });
    page.on('websocket', (socket) => {
        if (new URL(socket.url()).host !== new URL(origin).host) {
            faults.push(`a socket was opened to ${socket.url()}`);
        }
    });
    page.on('console', (message) => {
        if (message.type() === 'error' || /Content Security Policy/i.test(message.text())) {
            faults.push(`the console says: ${message.text()} (${message.location().url})`);
        }
    });
    page.on('pageerror', (error) => faults.push(`a script broke: ${error.stack ?? error}`));
    return { page, context, faults };
}

/** Takes a picture of a page, for people to look at. @param {import('playwright-core').Page} page @param {string} name */
export async function picture(page, name) {
    await mkdir(PICTURES, { recursive: true });
    await page.screenshot({ path: path.join(PICTURES, `${name}.png`) });
}
