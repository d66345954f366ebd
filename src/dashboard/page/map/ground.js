/**
 * The ground that everything stands on: land, borders and names out of the regions that the service has.
 */

import { FONT } from './colours.js';

export const SOURCES = {
    regions: { type: 'vector', tiles: [tiles('regions')], minzoom: 0, maxzoom: 8, attribution: 'Made with Natural Earth' },
};

/** The address of a layer's tiles. @param {string} layer */
export function tiles(layer) {
    return `${location.origin}/tiles/${layer}/{z}/{x}/{y}.mvt`;
}

const of = { source: 'regions', 'source-layer': 'regions' };
const is = (/** @type {string} */ kind) => ['==', ['get', 'kind'], kind];

/** @param {import('./colours.js').Colours} colours */
export function below(colours) {
    return [
        { id: 'sea', type: 'background', paint: { 'background-color': colours.sea } },
        { id: 'land', type: 'fill', ...of, filter: is('country'), paint: { 'fill-color': colours.land, 'fill-antialias': false } },
        { id: 'inner-borders', type: 'line', ...of, minzoom: 4, filter: is('admin1'), paint: { 'line-color': colours.inner_border, 'line-width': 0.7 } },
        { id: 'borders', type: 'line', ...of, filter: is('country'), paint: { 'line-color': colours.border, 'line-width': ['interpolate', ['linear'], ['zoom'], 1, 0.5, 6, 1.4] } },
        { id: 'drawn-areas', type: 'line', ...of, filter: is('custom'), paint: { 'line-color': colours.drawn, 'line-width': 1.4, 'line-dasharray': [4, 2] } },
    ];
}

/** @param {import('./colours.js').Colours} colours */
export function names(colours) {
    const paint = { 'text-color': colours.place, 'text-halo-color': colours.halo, 'text-halo-width': 1.2 };
    const layout = { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-padding': 24, 'text-max-width': 7 };
    return [
        { id: 'country-names', type: 'symbol', ...of, minzoom: 2, maxzoom: 8, filter: is('country'), layout: { ...layout, 'text-size': ['interpolate', ['linear'], ['zoom'], 2, 10, 6, 14] }, paint },
        { id: 'inner-names', type: 'symbol', ...of, minzoom: 6, filter: is('admin1'), layout: { ...layout, 'text-size': 11 }, paint },
        { id: 'drawn-names', type: 'symbol', ...of, minzoom: 3, filter: is('custom'), layout: { ...layout, 'text-size': 11 }, paint: { ...paint, 'text-color': colours.drawn } },
    ];
}
