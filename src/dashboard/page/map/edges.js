/**
 * Edge servers and their service areas. Edges come from the live feed; their areas from tiles, coloured by what the
 * feed says. A sign says what is not healthy, and a ring that an edge drains, so that nothing hangs on colour alone.
 * When there are very many, those that lie close together are drawn as one group while one looks from afar: it says how
 * many they are, and how many of them are not healthy.
 */

import { FONT, NOTHING, byHealth } from './colours.js';
import { tiles } from './ground.js';
import { HEALTH_SIGNS } from '../words.js';

/** Time between two updates of the map, and until the next look whether it still moves, in ms. */
const UPDATE_MS = 1_000;
const MOVING_MS = 250;

/** So many edges are drawn one by one; more of them in groups, up to this zoom, of those within so many pixels. */
const MOST_SINGLES = 500;
const GROUPED_ZOOM = 6;
const GROUP_PIXELS = 44;

const is_group = ['has', 'point_count'];
/** How bad a health is, 0 to 3. */
const badness = ['match', ['get', 'health'], 'offline', 3, 'degraded', 2, 'unknown', 1, 0];

export const SOURCES = {
    coverage: { type: 'vector', tiles: [tiles('coverage')], minzoom: 0, maxzoom: 12, promoteId: { coverage: 'id' } },
    edges: {
        ...{ type: 'geojson', data: NOTHING, promoteId: 'id', maxzoom: 10 },
        ...{ cluster: false, clusterMaxZoom: GROUPED_ZOOM, clusterRadius: GROUP_PIXELS },
        clusterProperties: { worst: ['max', badness], ill: ['+', ['case', ['==', ['get', 'health'], 'healthy'], 0, 1]] },
    },
};

const radius = (/** @type {number} */ more) => ['interpolate', ['linear'], ['zoom'], 1, ['+', 4.5 + more, ['*', 0.8, ['get', 'load']]], 10, ['+', 10 + more, ['*', 1.8, ['get', 'load']]]];

/** @param {import('./colours.js').Colours} colours */
export function areas(colours) {
    const of = { source: 'coverage', 'source-layer': 'coverage' };
    const colour = byHealth(colours, ['coalesce', ['feature-state', 'health'], ['get', 'health_status']]);
    const opacity = (/** @type {number} */ shown) => ['case', ['==', ['feature-state', 'gone'], true], 0, shown];
    return [
        { id: 'coverage', type: 'fill', ...of, paint: { 'fill-color': colour, 'fill-opacity': opacity(0.1) } },
        { id: 'coverage-lines', type: 'line', ...of, minzoom: 4, paint: { 'line-color': colour, 'line-opacity': opacity(0.55), 'line-width': 1 } },
    ];
}

/** @param {import('./colours.js').Colours} colours */
export function edges(colours) {
    const layout = { 'circle-sort-key': badness };
    const is_single = ['!', is_group];
    const worst = ['match', ['get', 'worst'], 3, colours.offline, 2, colours.degraded, 1, colours.unknown, colours.healthy];
    const group_text = ['case', ['>', ['get', 'ill'], 0], ['concat', ['get', 'point_count_abbreviated'], '\n! ', ['get', 'ill']], ['to-string', ['get', 'point_count_abbreviated']]];
    const shown = ['case', ['get', 'active'], 1, 0.45];
    return [
        { id: 'edge-rings', type: 'circle', source: 'edges', filter: ['all', is_single, ['get', 'draining']], layout, paint: { 'circle-radius': radius(4), 'circle-opacity': 0, 'circle-stroke-color': colours.draining, 'circle-stroke-width': 1.8 } },
        { id: 'edges', type: 'circle', source: 'edges', filter: is_single, layout, paint: { 'circle-radius': radius(0), 'circle-color': byHealth(colours, ['get', 'health']), 'circle-opacity': shown, 'circle-stroke-color': colours.edge_line, 'circle-stroke-width': 1.3, 'circle-stroke-opacity': shown } },
        {
            id: 'edge-groups',
            type: 'circle',
            source: 'edges',
            filter: is_group,
            paint: { 'circle-radius': ['interpolate', ['linear'], ['log10', ['get', 'point_count']], 0, 13, 4, 24], 'circle-color': colours.halo, 'circle-stroke-color': worst, 'circle-stroke-width': 3 },
        },
        {
            id: 'edge-group-counts',
            type: 'symbol',
            source: 'edges',
            filter: is_group,
            layout: { 'text-field': group_text, 'text-font': FONT, 'text-size': 10, 'text-allow-overlap': true, 'text-ignore-placement': true },
            paint: { 'text-color': colours.place },
        },
        {
            id: 'edge-signs',
            type: 'symbol',
            source: 'edges',
            filter: ['all', is_single, ['!=', ['get', 'sign'], '']],
            layout: { 'text-field': ['get', 'sign'], 'text-font': FONT, 'text-size': ['interpolate', ['linear'], ['zoom'], 1, 9, 10, 14], 'text-allow-overlap': true, 'text-ignore-placement': true },
            paint: { 'text-color': colours.on_health },
        },
        {
            id: 'edge-names',
            type: 'symbol',
            source: 'edges',
            minzoom: 5,
            filter: is_single,
            layout: { 'text-field': ['get', 'name'], 'text-font': FONT, 'text-size': 11, 'text-offset': [0, 1.3], 'text-anchor': 'top', 'text-optional': true },
            paint: { 'text-color': colours.place, 'text-halo-color': colours.halo, 'text-halo-width': 1.4 },
        },
    ];
}

/** What the map shows of an edge. @param {import('../live_state.js').EdgeSummary} edge */
function properties(edge) {
    const { id, name, health_status, draining, is_active, max_connections } = edge;
    const taken = Math.max(edge.current_connections, edge.reported_connections) / Math.max(1, max_connections);
    // The load in steps: a map that is drawn anew for each device would not be calm.
    return { id, name, health: health_status, sign: HEALTH_SIGNS[health_status], draining, active: is_active, load: Math.min(5, Math.round(taken * 5)) };
}

/**
 * Keeps the map's edges as the feed's, with what differs only.
 *
 * @param {any} map
 * @param {import('../live.js').Live} live
 * @param {() => void} reloadAreas
 * @returns {() => void} ends it
 */
export function follow(map, live, reloadAreas) {
    /** What the map shows, by id. @type {Map<string, {lng: number, lat: number, version: number, shown: ReturnType<typeof properties>}>} */
    const known = new Map();
    /** @type {Set<string> | null} */
    let changed = null;
    let timer = 0;
    let last_ms = 0;
    let are_grouped = false;

    /** @param {any} event */
    function note({ detail }) {
        if (detail === null) {
            changed = null;
        } else {
            detail.forEach((/** @type {string} */ id) => changed?.add(id));
        }
        timer ||= setTimeout(update, Math.max(0, last_ms + UPDATE_MS - Date.now()));
    }

    function update() {
        // A map that is being moved is not held up by new data.
        if (map.isMoving()) {
            timer = setTimeout(update, MOVING_MS);
            return;
        }
        const ids = changed ?? new Set([...live.edges.keys(), ...known.keys()]);
        [timer, last_ms, changed] = [0, Date.now(), new Set()];
        const difference = { add: /** @type {any[]} */ ([]), update: /** @type {any[]} */ ([]), remove: /** @type {string[]} */ ([]) };
        const known_before = known.size;
        let are_areas_old = false;
        for (const id of ids) {
            const edge = live.edges.get(id);
            const before = known.get(id);
            if (edge === undefined) {
                difference.remove.push(...(before ? [id] : []));
                known.delete(id);
                area(id, { gone: true });
                continue;
            }
            const now = { lng: edge.lng, lat: edge.lat, version: edge.version, shown: properties(edge) };
            are_areas_old ||= known_before > 0 && before?.version !== edge.version;
            known.set(id, now);
            if (before?.shown.health !== now.shown.health) {
                area(id, { gone: false, health: now.shown.health });
            }
            if (before === undefined) {
                difference.add.push({ type: 'Feature', geometry: point(now), properties: now.shown });
            } else {
                const news = difference_of(id, before, now);
                difference.update.push(...(news ? [news] : []));
            }
        }
        if (are_grouped !== known.size > MOST_SINGLES) {
            are_grouped = !are_grouped;
            map.getSource('edges').setClusterOptions({ cluster: are_grouped });
        }
        if (difference.add.length + difference.update.length + difference.remove.length > 0) {
            map.getSource('edges').updateData(difference);
        }
        if (are_areas_old) {
            reloadAreas();
        }
    }

    /** @param {string} id @param {Record<string, unknown>} state */
    const area = (id, state) => map.setFeatureState({ source: 'coverage', sourceLayer: 'coverage', id }, state);

    live.addEventListener('edges', note);
    update();
    return () => {
        clearTimeout(timer);
        live.removeEventListener('edges', note);
    };
}

const point = (/** @type {{lng: number, lat: number}} */ { lng, lat }) => ({ type: 'Point', coordinates: [lng, lat] });

/** What is different, as a source takes it; null when nothing is. @param {string} id @param {any} before @param {any} now */
function difference_of(id, before, now) {
    const properties = Object.entries(now.shown).filter(([key, value]) => before.shown[key] !== value);
    const moved = before.lng !== now.lng || before.lat !== now.lat;
    if (properties.length === 0 && !moved) {
        return null;
    }
    return { id, ...(moved ? { newGeometry: point(now) } : {}), addOrUpdateProperties: properties.map(([key, value]) => ({ key, value })) };
}
