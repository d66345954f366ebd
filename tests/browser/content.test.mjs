/** Content on the map: making decorations by clicking, what is wrong beside the fields, conflicts, the probe. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { Service, until } from './service.mjs';
import { apart, colour, drawn, forgive, signedIn } from './signing_in.mjs';

/** @type {Service} */
let service;
/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
    [service, browser] = await Promise.all([Service.start(), launch()]);
});
after(async () => {
    await browser?.close();
    await service?.remove();
});

/** A decoration in open water, where nothing else is drawn. @param {string} name @param {number} lat @param {number} lng @param {number} [radius_meters] */
async function decoration(name, lat, lng, radius_meters = 40) {
    const made = await service.ask('POST', '/decorations', { name, category: 'tests', lat, lng, radius_meters, asset_type: 'image' });
    return made.body;
}

test('a decoration is made by clicking on the map, and is seen there by others', async () => {
    const onlooker = await signedIn(browser, service, '#/probe?lat=-40&lng=-120');
    await drawn(onlooker.page);
    const { page, faults, context } = await signedIn(browser, service, '#/decoration/new?lat=-40&lng=-120');
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByLabel('Name').fill('Buoy');
    await panel.getByLabel('Category').fill('tests');
    await panel.getByLabel('Detection radius').fill('75');
    const map = await page.locator('.map canvas').boundingBox();
    await page.mouse.click(map.x + map.width / 2 + 30, map.y + map.height / 2 - 20);
    const lat = Number(await panel.getByLabel('Latitude').inputValue());
    const lng = Number(await panel.getByLabel('Longitude').inputValue());
    assert.ok(Number.isFinite(lat) && Number.isFinite(lng) && (lat !== -40 || lng !== -120), `placed at ${lat} ${lng}`);
    await panel.getByRole('button', { name: 'Save' }).click();
    await page.waitForURL(/#\/decoration\/[0-9a-f-]{36}/);
    const id = /decoration\/([0-9a-f-]{36})/.exec(page.url())[1];
    const { body } = await service.ask('GET', `/decorations/${id}`);
    assert.deepEqual([body.name, body.lat, body.lng, body.radius_meters, body.version], ['Buoy', lat, lng, 75, 1]);
    // The other admin's map fetches the tile anew by itself.
    await onlooker.page.goto(`${service.url}/dashboard/#/decoration/${id}`);
    await onlooker.page.getByRole('heading', { name: 'Buoy' }).waitFor();
    await drawn(onlooker.page);
    const box = await onlooker.page.locator('.map canvas').boundingBox();
    const water = await colour(onlooker.page, { x: box.x + box.width - 120, y: box.y + 40 });
    const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    await until(async () => apart(water, await colour(onlooker.page, middle)) > 40, 'the decoration on the map');
    assert.deepEqual([...faults, ...onlooker.faults], []);
    await context.close();
    await onlooker.context.close();
});

test('a map is finished, and fetches what changes, when the last tile that comes is one that has not changed', async () => {
    // So large that neighbouring tiles are seen.
    const made = await decoration('Beacon', -35.003, 90.011, 900);
    const { page, faults, context } = await signedIn(browser, service, `#/decoration/${made.id}`);
    await drawn(page);
    let unchanged = 0;
    /** @type {() => void} */
    let changed;
    const arrived = new Promise((/** @type {(nothing: void) => void} */ resolve) => (changed = resolve));
    await context.route('**/tiles/decorations/**', async (route) => {
        const response = await route.fetch();
        if ((await response.body()).includes('Bell')) {
            await route.fulfill({ response });
            changed();
        } else {
            await arrived;
            // The map has drawn the changed one by then, names faded in, and would draw nothing more by itself.
            await page.waitForTimeout(1_000);
            await route.fulfill({ response });
            unchanged += 1;
        }
    });
    await service.ask('PUT', `/decorations/${made.id}`, { ...made, name: 'Bell' }, { 'If-Match': '"1"' });
    await arrived;
    await until(() => unchanged > 0, 'a tile that comes late');
    await drawn(page);
    assert.deepEqual(faults, []);
    await context.close();
});

test('what is wrong stands beside its field, in the words of the service, and nothing typed is lost', async () => {
    const { page, faults, context } = await signedIn(browser, service, '#/decoration/new?lat=95&lng=10');
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByLabel('Latitude').fill('95');
    await panel.getByLabel('Longitude').fill('10');
    await panel.getByLabel('Category').fill('tests');
    await panel.getByLabel('Asset for under 20 m').fill('http://cdn.example.org/a.glb');
    await panel.getByLabel('Scale x').fill('1.234');
    await panel.getByRole('button', { name: 'Save' }).click();
    await panel.locator('[data-field="lat"] .field-error').waitFor();
    for (const name of ['name', 'lat', 'high_res_url', 'scale_x']) {
        assert.notEqual(await panel.locator(`[data-field="${name}"] .field-error`).innerText(), '', name);
        assert.equal(await panel.locator(`[name="${name}"]`).getAttribute('aria-invalid'), 'true', name);
    }
    assert.equal(await panel.getByLabel('Category').inputValue(), 'tests');
    forgive(faults, /status of 422/);
    assert.deepEqual(faults, []);
    await context.close();
});

test('when somebody else was faster, both versions are shown and the choice is saved', async () => {
    const made = await decoration('Lighthouse', 10, -30);
    const { page, faults, context } = await signedIn(browser, service, `#/decoration/${made.id}`);
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByLabel('Name').fill('Lighthouse, lit');
    const theirs = { ...made, category: 'landmarks', name: 'Light House' };
    await service.ask('PUT', `/decorations/${made.id}`, theirs, { 'If-Match': '"1"' });
    await panel.getByText('Changed by somebody else just now').waitFor();
    await panel.getByRole('button', { name: 'Save' }).click();
    await panel.getByRole('heading', { name: 'Somebody else changed it' }).waitFor();
    forgive(faults, /status of 412/);
    assert.equal((await service.ask('GET', `/decorations/${made.id}`)).body.version, 2, 'nothing was overwritten');
    await panel.getByText('both changed').waitFor();
    await panel.getByRole('radio', { name: 'Name, mine' }).check();
    assert.equal(await panel.getByRole('radio', { name: 'Category, theirs' }).isChecked(), true);
    await panel.getByRole('button', { name: 'Save this choice' }).click();
    const saved = await until(async () => {
        const { body } = await service.ask('GET', `/decorations/${made.id}`);
        return body.version === 3 && body;
    }, 'the choice to be saved');
    assert.deepEqual([saved.name, saved.category], ['Lighthouse, lit', 'landmarks']);
    assert.deepEqual(faults, []);
    await context.close();
});

test('a deleted decoration is gone from the map and comes back when it is restored', async () => {
    const made = await decoration('Wreck', -30, 80);
    const { page, faults, context } = await signedIn(browser, service, `#/decoration/${made.id}`);
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await panel.getByRole('button', { name: 'Restore' }).waitFor();
    const nearby = async () => (await service.ask('GET', '/decorations/nearby?lat=-30&lng=80&radius=10')).body.items.length;
    assert.equal(await nearby(), 0);
    await panel.getByRole('button', { name: 'Restore' }).click();
    await until(async () => (await nearby()) === 1, 'the decoration to be back');
    assert.deepEqual(faults, []);
    await context.close();
});

test('the probe says what a phone would get at a place, from which edge, and why', async () => {
    await decoration('Anchor', 20, -50);
    const edge = await service.edge('Sargasso', 20, -50);
    const { page, faults, context } = await signedIn(browser, service, '#/probe?lat=20&lng=-50.0001');
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByRole('link', { name: 'Anchor' }).waitFor();
    await panel.getByText('in range', { exact: true }).waitFor();
    await panel.getByText(/Sargasso covers this place/).waitFor();
    // Another place by a click.
    await drawn(page);
    const map = await page.locator('.map canvas').boundingBox();
    await page.mouse.click(map.x + map.width / 2 + 60, map.y + map.height / 2 + 60);
    await until(async () => (await panel.getByLabel('Latitude').inputValue()) !== '20', 'another place');
    // And where nobody is, by typing.
    await panel.getByLabel('Latitude').fill('-60');
    await panel.getByLabel('Longitude').fill('-150');
    await panel.getByRole('button', { name: 'Probe here' }).click();
    await panel.getByText('No edge covers this place, and none is near enough to help out.').waitFor();
    edge.die();
    assert.deepEqual(faults, []);
    await context.close();
});

test('the map is moved and zoomed, shows countries, and asks for nothing that is refused', async () => {
    const { page, faults, context } = await signedIn(browser, service);
    /** @type {number[]} */
    const statuses = [];
    page.on('response', (response) => response.url().includes('/tiles/') && statuses.push(response.status()));
    await drawn(page);
    const map = await page.locator('.map canvas').boundingBox();
    const middle = { x: map.x + map.width / 2, y: map.y + map.height / 2 };
    const before = await page.screenshot({ clip: map });
    await page.mouse.move(middle.x, middle.y);
    await page.mouse.down();
    await page.mouse.move(middle.x - 200, middle.y - 60, { steps: 8 });
    await page.mouse.up();
    for (let turn = 0; turn < 4; turn += 1) {
        await page.mouse.wheel(0, -400);
    }
    await until(async () => statuses.length > 0, 'tiles of another place');
    await drawn(page);
    assert.notDeepEqual(await page.screenshot({ clip: map }), before);
    assert.deepEqual(statuses.filter((status) => ![200, 204, 304].includes(status)), []);
    await page.getByLabel('Globe').check();
    await drawn(page);
    assert.deepEqual(faults, []);
    await context.close();
});
