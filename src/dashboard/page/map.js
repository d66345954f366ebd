/**
 * The map. What it shows lives in `map/`; this module puts it together and is what panels talk to. Where the browser
 * cannot draw it (no WebGL) everything else works, and the map says why it is not there.
 */

import { Map as MapLibre, NavigationControl, Popup, ScaleControl, setWorkerUrl } from './lib/maplibre-gl.mjs';
import { h } from './dom.js';
import { appearance } from './settings.js';
import { colours } from './map/colours.js';
import * as decorations from './map/decorations.js';
import * as devices from './map/devices.js';
import * as edges from './map/edges.js';
import * as ground from './map/ground.js';
import * as marks from './map/marks.js';
import { switches } from './map/switches.js';
import { compact, HEALTH_WORDS } from './words.js';

setWorkerUrl(new URL('lib/maplibre-gl-worker.mjs', import.meta.url).href);

/** @typedef {{lat: number, lng: number}} Place */

/** What opens when it is clicked, first what lies on top. */
const CLICKED = ['edges', 'edge-groups', 'decorations', 'decoration-clusters'];
/** Sources that come in tiles. */
const TILED = ['regions', 'coverage', 'decorations'];
/** How often a map that has drawn, and is not finished, is asked whether all its tiles have come, in ms. */
const UNTOLD_MS = 250;
/** Zoom of a place that is flown to. */
const CLOSE_ZOOM = 13;

/** All layers from the ground up. */
function layers() {
    const now = colours();
    return [...ground.below(now), ...edges.areas(now), ...devices.layers(now), ...ground.names(now), ...decorations.layers(now), ...edges.edges(now), ...marks.layers(now)];
}

/**
 * @param {HTMLElement} host
 * @param {import('./live.js').Live} live
 * @param {(hash: string) => void} go
 */
export function createMap(host, live, go) {
    const sources = { ...ground.SOURCES, ...edges.SOURCES, ...devices.SOURCES, ...decorations.SOURCES, ...marks.SOURCES };
    const canvas = h('div', { class: 'map-canvas' });
    host.append(canvas);
    /** @type {any} */
    let map = null;
    /** What waits for the map. @type {(() => void)[]} */
    let waiting = [];
    let is_ready = false;
    /** Tiles that did not come, by source. @type {Map<string, {x: number, y: number, z: number}[]>} */
    const failed = new Map();
    /** Sources that are to be fetched anew once the server is back, or what is on its way has come. @type {Set<string>} */
    const old = new Set();
    /** @type {(() => void)[]} */
    const ends = [];
    /** The latest is asked first. @type {((place: Place) => boolean | void)[]} */
    const handlers = [];

    try {
        map = new MapLibre({
            container: canvas,
            style: /** @type {any} */ ({ version: 8, sources, layers: layers() }),
            center: [12, 25],
            zoom: 1.4,
            maxZoom: 19,
            attributionControl: { compact: true },
            pitchWithRotate: false,
        });
    } catch (error) {
        canvas.append(h('p', { class: 'map-missing' }, `The map cannot be drawn: ${error instanceof Error ? error.message : error}. Lists and panels work all the same.`));
    }

    /** @param {() => void} work */
    function ready(work) {
        if (is_ready) {
            work();
        } else if (map !== null) {
            waiting.push(work);
        }
    }

    const layer_switches = switches(
        (names, shown) => ready(() => names.forEach((name) => map.setLayoutProperty(name, 'visibility', shown ? 'visible' : 'none'))),
        (globe) => ready(() => map.setProjection({ type: globe ? 'globe' : 'mercator' })),
    );

    /** Fetches a source's tiles anew: at once, or when the server is back. @param {string} source */
    const reload = (source) => ready(() => (live.state === 'live' ? refresh(source) : old.add(source)));

    /** @param {string} source */
    function refresh(source) {
        if (!map.areTilesLoaded()) {
            // Tiles on their way would be waited for twice, and sometimes for ever; they may be old ones, too.
            old.add(source);
            return;
        }
        const missing = failed.get(source);
        if (missing !== undefined) {
            // By name first: a refresh of all takes tiles that have failed for ones that are on their way.
            failed.delete(source);
            map.refreshTiles(source, missing);
        }
        map.refreshTiles(source);
    }

    function dress() {
        for (const layer of /** @type {any[]} */ (layers())) {
            Object.entries(layer.paint ?? {}).forEach(([name, value]) => map.setPaintProperty(layer.id, name, value));
        }
    }

    /** The server is back: what is missing may be more than what is known to be. */
    function mend() {
        if (live.state === 'live') {
            TILED.forEach((source) => failed.size > 0 && old.add(source));
            catchUp();
        }
    }

    function catchUp() {
        const sources = live.state === 'live' ? [...old] : [];
        sources.forEach((source) => old.delete(source));
        sources.forEach(refresh);
    }

    if (map !== null) {
        map.addControl(new NavigationControl({ showCompass: true }), 'bottom-right');
        map.addControl(new ScaleControl({ unit: 'metric' }), 'bottom-left');
        host.append(layer_switches.element);
        // A tile that does not come is fetched again once the connection is back.
        map.on('error', (/** @type {any} */ { tile, sourceId }) => {
            if (tile && sourceId) {
                failed.set(sourceId, [...(failed.get(sourceId) ?? []), tile.tileID.canonical]);
            }
        });
        let untold = 0;
        // What waits for a finished picture can see that it is; one that is about to move is none, before its next frame.
        for (const beginning of ['movestart', 'render']) {
            map.on(beginning, () => {
                host.dataset.drawn = 'false';
                // MapLibre tells nobody of a tile that came back as it was: when it is the last, no frame would be idle.
                untold ||= setInterval(() => map.areTilesLoaded() && map.triggerRepaint(), UNTOLD_MS);
            });
        }
        map.on('idle', () => {
            clearInterval(untold);
            untold = 0;
            host.dataset.drawn = 'true';
            catchUp();
        });
        ends.push(() => clearInterval(untold));
        map.on('style.load', () => {
            is_ready = true;
            waiting.forEach((work) => work());
            waiting = [];
        });
        ready(() => {
            layer_switches.apply();
            ends.push(edges.follow(map, live, () => reload('coverage')), devices.follow(map, live), decorations.follow(live, () => reload('decorations')));
            appearance.addEventListener('theme', dress);
            live.addEventListener('state', mend);
            ends.push(() => {
                appearance.removeEventListener('theme', dress);
                live.removeEventListener('state', mend);
            });
            listen();
        });
    }

    function listen() {
        const popup = new Popup({ closeButton: false, closeOnClick: false, offset: 12, className: 'map-hint' });
        const under = (/** @type {any} */ at) => map.queryRenderedFeatures([[at.x - 3, at.y - 3], [at.x + 3, at.y + 3]], { layers: CLICKED })[0];
        map.on('click', (/** @type {any} */ event) => {
            const place = event.lngLat.wrap();
            if (![...handlers].reverse().some((handler) => handler({ lat: place.lat, lng: place.lng }) === true)) {
                open(under(event.point));
            }
        });
        // Once a frame at most, and not while the map moves: it is a search.
        let looking = 0;
        map.on('mousemove', (/** @type {any} */ event) => {
            looking ||= requestAnimationFrame(() => {
                looking = 0;
                if (!map.isMoving()) {
                    point(event.point);
                }
            });
        });
        map.on('mouseout', () => popup.remove());
        map.on('movestart', () => popup.remove());

        /** @param {any} at */
        function point(at) {
            const found = under(at);
            map.getCanvas().style.cursor = found ? 'pointer' : '';
            if (found) {
                popup.setLngLat(found.geometry.coordinates).setText(hint(found)).addTo(map);
            } else {
                popup.remove();
            }
        }
    }

    /** @param {any} found */
    function open(found) {
        if (found?.layer.id === 'edges') {
            go(`#/edge/${found.properties.id}`);
        } else if (found?.layer.id === 'decorations') {
            go(`#/decoration/${found.properties.id}`);
        } else if (found) {
            map.easeTo({ center: found.geometry.coordinates, zoom: Math.min(map.getZoom() + 2.5, CLOSE_ZOOM) });
        }
    }

    return {
        /** @param {Place} place @param {number} [zoom] */
        flyTo(place, zoom = CLOSE_ZOOM) {
            ready(() => {
                // A panel that has just opened made the map narrower, and its middle another.
                map.resize();
                map.flyTo({ center: [place.lng, place.lat], zoom, duration: 1_200 });
            });
        },
        /** Asked at a click before the map does what it does; true: it is dealt with. @param {(place: Place) => boolean | void} handler */
        onClick(handler) {
            handlers.push(handler);
            return () => handlers.splice(handlers.indexOf(handler), 1);
        },
        /** @param {marks.Shown | null} place */
        showPlace: (place) => ready(() => marks.showPlace(map, place)),
        /** @param {marks.Probe | null} probe */
        showProbe: (probe) => ready(() => marks.showProbe(map, probe)),
        reload,
        /** @param {{edge?: string, decoration?: string} | null} what */
        select: (what) => ready(() => marks.select(map, what)),
        /** @returns {Place} */
        center() {
            const middle = map?.getCenter().wrap();
            return middle ? { lat: middle.lat, lng: middle.lng } : { lat: 0, lng: 0 };
        },
        remove() {
            ends.forEach((end) => end());
            map?.remove();
        },
    };
}

/** A line about what is under the pointer. @param {any} found */
function hint({ layer, properties }) {
    if (layer.id === 'edges') {
        const health = HEALTH_WORDS[/** @type {import('./words.js').Health} */ (properties.health)].toLowerCase();
        return `${properties.name}: ${health}${properties.draining ? ', draining' : ''}`;
    }
    if (layer.id === 'edge-groups') {
        return `${compact(properties.point_count)} edge servers here, ${compact(properties.ill)} of them not healthy; click to come closer`;
    }
    return layer.id === 'decorations' ? properties.name : `${compact(properties.count)} decorations here; click to come closer`;
}
