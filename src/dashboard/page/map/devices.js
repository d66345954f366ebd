/**
 * How many devices are where: hexagons of H3, coarser the further away one looks. The feed counts cells of resolution
 * 7, and only those with at least ten users.
 */

import { cellToBoundary, cellToParent } from '../lib/h3.mjs';
import { NOTHING } from './colours.js';

/** Time between two updates of the map, and until the next look whether it still moves, in ms. */
const UPDATE_MS = 1_000;
const MOVING_MS = 250;
/** Least count of each colour. */
export const STEPS = [1, 25, 100, 400, 1_600];

export const SOURCES = { devices: { type: 'geojson', data: NOTHING, promoteId: 'cell', maxzoom: 12, tolerance: 0.1 } };

/** @param {import('./colours.js').Colours} colours */
export function layers(colours) {
    const colour = ['step', ['get', 'count'], colours.devices[0], ...STEPS.slice(1).flatMap((least, index) => [least, colours.devices[index + 1]])];
    return [
        { id: 'devices', type: 'fill', source: 'devices', paint: { 'fill-color': colour, 'fill-opacity': 0.7 } },
        { id: 'device-lines', type: 'line', source: 'devices', minzoom: 3, paint: { 'line-color': colours.devices[4], 'line-opacity': 0.6, 'line-width': 0.8 } },
    ];
}

/** The resolution whose hexagons are well seen at a zoom. @param {number} zoom */
function resolution(zoom) {
    return [2, 3, 4, 5, 6, 7][[2.2, 3.5, 5, 6.5, 8].filter((from) => zoom >= from).length];
}

/**
 * A cell's ring. One over the antimeridian goes on beyond 180°, which the map wraps; one around a pole has no ring in
 * degrees.
 *
 * @param {string} cell
 * @returns {number[][] | null}
 */
function ring(cell) {
    const corners = cellToBoundary(cell, true);
    const turns = corners.slice(1).filter(([lng], index) => Math.abs(lng - corners[index][0]) > 180).length;
    if (turns % 2 === 1) {
        return null;
    }
    return turns === 0 ? corners : corners.map(([lng, lat]) => [lng < 0 ? lng + 360 : lng, lat]);
}

/**
 * Keeps the hexagons as the feed's counts, with what differs only.
 *
 * @param {any} map
 * @param {import('../live.js').Live} live
 * @returns {() => void} ends it
 */
export function follow(map, live) {
    /** @type {Map<string, number>} */
    let known = new Map();
    /** Rings are worked out once. @type {Map<string, number[][] | null>} */
    const rings = new Map();
    let timer = 0;
    let last_ms = 0;
    let shown_resolution = 0;

    function note() {
        timer ||= setTimeout(update, Math.max(0, last_ms + UPDATE_MS - Date.now()));
    }

    function zoomed() {
        if (resolution(map.getZoom()) !== shown_resolution) {
            note();
        }
    }

    function update() {
        // A map that is being moved is not held up by new data.
        if (map.isMoving()) {
            timer = setTimeout(update, MOVING_MS);
            return;
        }
        [timer, last_ms, shown_resolution] = [0, Date.now(), resolution(map.getZoom())];
        /** @type {Map<string, number>} */
        const counts = new Map();
        for (const [cell, count] of live.devices.by_cell) {
            const shown = shown_resolution === 7 ? cell : cellToParent(cell, shown_resolution);
            counts.set(shown, (counts.get(shown) ?? 0) + count);
        }
        const difference = { add: /** @type {any[]} */ ([]), update: /** @type {any[]} */ ([]), remove: [...known.keys()].filter((cell) => !counts.has(cell)) };
        for (const [cell, count] of counts) {
            const before = known.get(cell);
            if (before === undefined) {
                const border = ringOf(cell);
                if (border === null) {
                    counts.delete(cell);
                } else {
                    difference.add.push({ type: 'Feature', geometry: { type: 'Polygon', coordinates: [border] }, properties: { cell, count } });
                }
            } else if (before !== count) {
                difference.update.push({ id: cell, addOrUpdateProperties: [{ key: 'count', value: count }] });
            }
        }
        known = counts;
        if (difference.add.length + difference.update.length + difference.remove.length > 0) {
            map.getSource('devices').updateData(difference);
        }
    }

    /** @param {string} cell */
    function ringOf(cell) {
        let border = rings.get(cell);
        if (border === undefined) {
            border = ring(cell);
            rings.set(cell, border);
        }
        return border;
    }

    live.addEventListener('devices', note);
    map.on('zoomend', zoomed);
    update();
    return () => {
        clearTimeout(timer);
        live.removeEventListener('devices', note);
        map.off('zoomend', zoomed);
    };
}
