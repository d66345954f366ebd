/**
 * The answers to a probe, for people: the decorations around a place, and the edges with what speaks for each.
 */

import { h } from '../dom.js';
import { HEALTH_WORDS, perCent } from '../words.js';
import { distance, wind } from './place.js';

/** @typedef {import('./panel.js').Place} Place */
/** @typedef {'distance' | 'load' | 'health'} Part */

/**
 * @typedef {Place & {id: string, name: string, radius_meters: number, distance_meters: number, bearing_degrees: number,
 *     in_range: boolean, lod: string, asset_url: string | null}} NearbyItem
 */
/** @typedef {{items: NearbyItem[], next_cursor: string | null}} Nearby */
/**
 * @typedef {{edge_server: Place & {id: string, name: string, region: string}, distance_meters: number, load: number,
 *     health_status: import('../words.js').Health, in_service_area: boolean, score: number, scores: Record<Part, number>}} Ranked
 */
/** @typedef {{items: Ranked[], reason: string | null}} Best */

/** Why there is none, or only a second choice. @type {Record<string, [string, string]>} by whether there is one */
const REASONS = {
    all_full: ['Every edge that covers this place is full, and no other is near enough.', 'An edge that covers this place better is full; this is the next best.'],
    none_healthy: ['Every edge that covers this place is offline, and no other is near enough.', 'An edge that covers this place is offline; this is the next best.'],
    outside_service_areas: ['No edge covers this place.', 'No edge covers this place; this is the best near by.'],
    no_edges: ['No edge covers this place, and none is near enough to help out.', 'No edge covers this place.'],
};

/** @type {Record<Part, string>} */
const BETTER = { distance: 'it is nearer', load: 'it has more room', health: 'it is in better health' };

/** What a full bar means. @type {Record<Part, string>} */
const BARS = { distance: 'nearness', load: 'room', health: 'health' };

/** @type {Part[]} */
const PARTS = ['distance', 'load', 'health'];

/** What a phone finds. @param {Nearby} nearby @param {number} radius_m */
export function phone({ items, next_cursor }, radius_m) {
    const in_range = items.filter((item) => item.in_range).length;
    const count = next_cursor === null ? items.length : `the nearest ${items.length}`;
    const told = items.length === 0 ? `Nothing within ${distance(radius_m)}.` : `Within ${distance(radius_m)}: ${count}, of which ${in_range} can be seen from here.`;
    const heads = ['Decoration', 'Where', 'Gets'].map((text) => h('th', { scope: 'col' }, text));
    const table = h('table', {}, h('thead', {}, h('tr', {}, heads)), h('tbody', {}, items.map(found)));
    return h('section', {}, h('h3', {}, 'What a phone finds'), h('p', {}, told), items.length > 0 && h('div', { class: 'scroll' }, table));
}

/** @param {NearbyItem} item */
function found({ id, name, distance_meters, bearing_degrees, in_range, lod, asset_url, radius_meters }) {
    const arrow = h('span', { class: 'bearing', 'aria-hidden': 'true' }, '↑');
    arrow.style.transform = `rotate(${bearing_degrees}deg)`;
    const asset = asset_url === null ? h('span', { class: 'muted' }, 'no asset') : h('a', { href: asset_url, target: '_blank', rel: 'noopener noreferrer' }, fileOf(asset_url));
    return h(
        'tr',
        {},
        h('th', { scope: 'row' }, h('a', { href: `#/decoration/${id}` }, name)),
        h('td', {}, arrow, ` ${distance(distance_meters)}`, h('div', { class: 'muted' }, `${Math.round(bearing_degrees) % 360}° ${wind(bearing_degrees)}`)),
        h(
            'td',
            {},
            h('span', { class: in_range ? 'badge good' : 'badge' }, in_range ? 'in range' : `from ${distance(radius_meters)}`),
            h('div', {}, `${lod}: `, asset),
        ),
    );
}

/** @param {string} url */
function fileOf(url) {
    return url.split(/[?#]/)[0].split('/').pop() || url;
}

/** Which edge it talks to, and what speaks for each. @param {Best} best */
export function edges({ items, reason }) {
    return h(
        'section',
        {},
        h('h3', {}, 'Which edge it talks to'),
        h('p', {}, why(items, reason)),
        h('ol', { class: 'ranked' }, items.map(candidate)),
    );
}

/** @param {Ranked[]} items @param {string | null} reason */
function why([first, second], reason) {
    const said = reason === null ? '' : (REASONS[reason]?.[first ? 1 : 0] ?? reason);
    if (first === undefined) {
        return said;
    }
    const chosen = `${first.edge_server.name}${first.in_service_area ? ' covers this place' : ''}`;
    if (second === undefined) {
        return `${said} ${chosen}${first.in_service_area ? ', and' : ':'} no other has room here.`.trim();
    }
    const ahead = PARTS.filter((part) => first.scores[part] - second.scores[part] > 0.005).map((part) => BETTER[part]);
    const because = first.in_service_area && !second.in_service_area ? `${second.edge_server.name} does not cover it` : ahead.join(' and ') || 'they are even, and the order of their ids decides';
    return `${said} ${chosen}; before ${second.edge_server.name} because ${because}.`.trim();
}

/** @param {Ranked} ranked */
function candidate({ edge_server, distance_meters, load, health_status, in_service_area, score, scores }) {
    const bars = PARTS.map((part) => bar(BARS[part], scores[part]));
    return h(
        'li',
        {},
        h('a', { href: `#/edge/${edge_server.id}` }, edge_server.name),
        h('span', { class: 'badge' }, in_service_area ? 'covers it' : 'near by'),
        h('div', { class: 'muted' }, `${distance(distance_meters)} away, ${perCent(load * 100)} full, health ${HEALTH_WORDS[health_status].toLowerCase()}`),
        h('div', { class: 'bars' }, bars, h('span', { class: 'total' }, `score ${score.toFixed(3)}`)),
    );
}

/** @param {string} name @param {number} value */
function bar(name, value) {
    const meter = h('meter', { min: 0, max: 1, value: value.toFixed(3) }, value.toFixed(2));
    return h('label', { class: 'bar' }, h('span', {}, `${name} ${value.toFixed(2)}`), meter);
}
