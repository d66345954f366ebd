/**
 * What panels put on the map: a place with its radius, what a probe found, and a ring around what is selected.
 */

import { NOTHING } from './colours.js';
import { circle, near } from './circle.js';

export const SOURCES = { place: { type: 'geojson', data: NOTHING }, probe: { type: 'geojson', data: NOTHING } };

/** @typedef {{lat: number, lng: number}} Place */
/** @typedef {Place & {radius_m?: number}} Shown */
/** @typedef {Place & {radius_m: number, decorations: (Place & {in_range: boolean})[], edge: Place | null}} Probe */

/** @param {import('./colours.js').Colours} colours */
export function layers(colours) {
    const is = (/** @type {string} */ role) => ['==', ['get', 'role'], role];
    const around = (/** @type {string} */ source) => [
        { id: `${source}-area`, type: 'fill', source, filter: is('area'), paint: { 'fill-color': colours.mark, 'fill-opacity': 0.12 } },
        { id: `${source}-edge`, type: 'line', source, filter: is('area'), paint: { 'line-color': colours.mark, 'line-width': 1.6 } },
    ];
    const middle = (/** @type {string} */ source) => ({ id: `${source}-middle`, type: 'circle', source, filter: is('middle'), paint: { 'circle-radius': 6, 'circle-color': colours.mark, 'circle-stroke-color': colours.edge_line, 'circle-stroke-width': 2.5 } });
    return [
        ...around('probe'),
        { id: 'probe-way', type: 'line', source: 'probe', filter: is('way'), paint: { 'line-color': colours.mark, 'line-width': 2, 'line-dasharray': [2, 2] } },
        { id: 'probe-far', type: 'circle', source: 'probe', filter: is('far'), paint: { 'circle-radius': 6, 'circle-opacity': 0, 'circle-stroke-color': colours.out_of_range, 'circle-stroke-width': 2 } },
        { id: 'probe-found', type: 'circle', source: 'probe', filter: is('found'), paint: { 'circle-radius': 6, 'circle-color': colours.mark, 'circle-stroke-color': colours.edge_line, 'circle-stroke-width': 2 } },
        middle('probe'),
        ...around('place'),
        middle('place'),
        { id: 'selected-edge', type: 'circle', source: 'edges', filter: ['==', ['get', 'id'], ''], paint: { 'circle-radius': 20, 'circle-opacity': 0, 'circle-stroke-color': colours.mark, 'circle-stroke-width': 3 } },
        { id: 'selected-decoration', type: 'circle', source: 'decorations', 'source-layer': 'decorations', filter: ['==', ['get', 'id'], ''], paint: { 'circle-radius': 11, 'circle-opacity': 0, 'circle-stroke-color': colours.mark, 'circle-stroke-width': 3 } },
    ];
}

/** @param {string} role @param {any} geometry */
const feature = (role, geometry) => ({ type: 'Feature', properties: { role }, geometry });
/** @param {string} role @param {number[]} coordinates */
const point = (role, coordinates) => feature(role, { type: 'Point', coordinates });
/** @param {Place} place */
const at = ({ lat, lng }) => [lng, lat];

/** @param {Shown} place */
function surroundings(place) {
    const area = place.radius_m ? [feature('area', { type: 'Polygon', coordinates: [circle(place, place.radius_m)] })] : [];
    return [...area, point('middle', at(place))];
}

/** @param {any} map @param {Shown | null} place */
export function showPlace(map, place) {
    map.getSource('place').setData({ type: 'FeatureCollection', features: place === null ? [] : surroundings(place) });
}

/** @param {any} map @param {Probe | null} probe */
export function showProbe(map, probe) {
    if (probe === null) {
        map.getSource('probe').setData(NOTHING);
        return;
    }
    const way = probe.edge === null ? [] : [feature('way', { type: 'LineString', coordinates: [at(probe), near(at(probe.edge), probe.lng)] })];
    const found = probe.decorations.map((place) => point(place.in_range ? 'found' : 'far', near(at(place), probe.lng)));
    map.getSource('probe').setData({ type: 'FeatureCollection', features: [...way, ...found, ...surroundings(probe)] });
}

/** @param {any} map @param {{edge?: string, decoration?: string} | null} what */
export function select(map, what) {
    map.setFilter('selected-edge', ['==', ['get', 'id'], what?.edge ?? '']);
    map.setFilter('selected-decoration', ['==', ['get', 'id'], what?.decoration ?? '']);
}
