/**
 * Decorations: how many there are in a cell while one looks from afar, and each of them from zoom 12 on.
 */

import { FONT } from './colours.js';
import { tiles } from './ground.js';

/** Least time between two fetches because something changed, in ms. */
const RELOAD_MS = 3_000;
/** Counts seen from afar are some seconds behind: so long after the last change they are fetched once more. */
const SETTLED_MS = 15_000;

/** From here on they have names: looked at from farther off, placing thousands of names is most of the work of a frame. */
const NAMED_ZOOM = 14;

export const SOURCES = { decorations: { type: 'vector', tiles: [tiles('decorations')], minzoom: 0, maxzoom: 14 } };

const of = { source: 'decorations', 'source-layer': 'decorations' };
const is_cluster = ['has', 'count'];
const abbreviated = ['case', ['>=', ['get', 'count'], 10_000], ['concat', ['to-string', ['round', ['/', ['get', 'count'], 1_000]]], 'k'], ['to-string', ['get', 'count']]];

/** @param {import('./colours.js').Colours} colours */
export function layers(colours) {
    const size = ['interpolate', ['linear'], ['log10', ['get', 'count']], 0, 4, 1, 7, 2, 10, 4, 16, 6, 24];
    return [
        { id: 'decoration-clusters', type: 'circle', ...of, filter: is_cluster, paint: { 'circle-radius': size, 'circle-color': colours.cluster, 'circle-opacity': 0.85, 'circle-stroke-color': colours.decoration, 'circle-stroke-width': 0.8, 'circle-stroke-opacity': 0.6 } },
        {
            id: 'decoration-counts',
            type: 'symbol',
            ...of,
            filter: ['all', is_cluster, ['>', ['get', 'count'], 1]],
            layout: { 'text-field': abbreviated, 'text-font': FONT, 'text-size': 10 },
            paint: { 'text-color': colours.cluster_text },
        },
        { id: 'decorations', type: 'circle', ...of, filter: ['!', is_cluster], paint: { 'circle-radius': 5.5, 'circle-color': colours.decoration, 'circle-stroke-color': colours.edge_line, 'circle-stroke-width': 1.5 } },
        {
            id: 'decoration-names',
            type: 'symbol',
            ...of,
            minzoom: NAMED_ZOOM,
            filter: ['!', is_cluster],
            layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11, 'text-offset': [0, 0.8], 'text-anchor': 'top', 'text-max-width': 9 },
            paint: { 'text-color': colours.place, 'text-halo-color': colours.halo, 'text-halo-width': 1.4 },
        },
    ];
}

/**
 * Fetches decorations anew when the feed says that some changed.
 *
 * @param {import('../live.js').Live} live
 * @param {() => void} reload
 * @returns {() => void} ends it
 */
export function follow(live, reload) {
    let timer = 0;
    let settling = 0;
    let last_ms = 0;
    const now = () => {
        [timer, last_ms] = [0, Date.now()];
        reload();
    };
    const changed = () => {
        timer ||= setTimeout(now, Math.max(0, last_ms + RELOAD_MS - Date.now()));
        clearTimeout(settling);
        settling = setTimeout(now, SETTLED_MS);
    };
    live.addEventListener('decoration', changed);
    return () => {
        clearTimeout(timer);
        clearTimeout(settling);
        live.removeEventListener('decoration', changed);
    };
}
