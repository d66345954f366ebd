/**
 * Places on the globe: as they come from the map, as they are typed, and directions in words.
 */

/** @typedef {import('./panel.js').Place} Place */

/** Decimals of a place that was clicked: 0.1 m. A finger is not better, and more digits only look so. */
const CLICKED_DECIMALS = 6;

/** About 50 km. */
const FAR_DEG = 0.5;

/** What was clicked on the map, which goes around the world more than once. @param {Place} place @returns {Place} */
export function clicked({ lat, lng }) {
    const once = ((((lng + 180) % 360) + 360) % 360) - 180;
    return { lat: Number(lat.toFixed(CLICKED_DECIMALS)), lng: Number(once.toFixed(CLICKED_DECIMALS)) };
}

/** A place on the globe, or null. @param {unknown} lat @param {unknown} lng @returns {Place | null} */
export function placeOf(lat, lng) {
    const is_place = typeof lat === 'number' && typeof lng === 'number' && Math.abs(lat) <= 90 && Math.abs(lng) <= 180;
    return is_place ? { lat, lng } : null;
}

/**
 * `52.5163, 13.3777` as it is copied from elsewhere; null when it is anything else.
 *
 * @param {string} text
 * @returns {[string, string] | null}
 */
export function pair(text) {
    const found = /^\s*(-?\d+(?:\.\d+)?)\s*[,;\s]\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
    return found === null ? null : [found[1], found[2]];
}

/** Whether one place is far from another, so that a map that shows the one hardly shows the other. @param {Place} one @param {Place} other */
export function isFar(one, other) {
    const lng_deg = Math.abs(one.lng - other.lng);
    const across_deg = Math.min(lng_deg, 360 - lng_deg) * Math.cos((one.lat * Math.PI) / 180);
    return Math.hypot(one.lat - other.lat, across_deg) > FAR_DEG;
}

/** Metres across a pixel at the equator at zoom 0, with tiles of 512 pixels. */
const PIXEL_M = 78_271.517;
/** A circle this wide is seen whole, and well, also on a phone. */
const CIRCLE_PX = 130;

/** The zoom at which a circle is seen whole. @param {Place} middle @param {number} radius_m */
export function zoomFor({ lat }, radius_m) {
    const zoom = Math.log2((PIXEL_M * Math.cos((lat * Math.PI) / 180) * CIRCLE_PX) / radius_m);
    return Math.min(17, Math.max(1, zoom));
}

const WINDS = ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'];

/** `north-east` for 40 degrees. @param {number} bearing_degrees */
export function wind(bearing_degrees) {
    return WINDS[Math.round(bearing_degrees / 45) % 8];
}

/** `87 m`, `1.24 km`, `312 km`. @param {number} distance_m */
export function distance(distance_m) {
    if (distance_m < 1000) {
        return `${distance_m < 10 ? Number(distance_m.toFixed(1)) : Math.round(distance_m)} m`;
    }
    const distance_km = distance_m / 1000;
    return `${distance_km < 100 ? distance_km.toPrecision(3) : Math.round(distance_km)} km`;
}

/** The `lat=…&lng=…` of an address within the page. @param {Place} place */
export function query({ lat, lng }) {
    return `lat=${lat}&lng=${lng}`;
}
