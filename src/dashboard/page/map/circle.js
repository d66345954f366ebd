/**
 * Circles in true metres, as rings in degrees.
 */

/** WGS 84: half the greater axis in metres, and the square of the first eccentricity. */
const MAJOR_M = 6_378_137;
const ECCENTRICITY_2 = 0.00669437999014;
const CORNERS = 96;
const RADIANS = Math.PI / 180;

/**
 * A closed ring around a place. In each direction the earth is taken as a sphere that is as round as it is there:
 * 0.1 % off at 100 km, and less the smaller it is.
 *
 * @param {{lat: number, lng: number}} centre
 * @param {number} radius_m
 * @returns {number[][]} longitude and latitude; beyond ±180° where it goes over the antimeridian
 */
export function circle({ lat, lng }, radius_m) {
    const [sine, cosine] = [Math.sin(lat * RADIANS), Math.cos(lat * RADIANS)];
    const flat = 1 - ECCENTRICITY_2 * sine * sine;
    const along_meridian_m = (MAJOR_M * (1 - ECCENTRICITY_2)) / flat ** 1.5;
    const across_m = MAJOR_M / Math.sqrt(flat);
    const corner = (/** @type {number} */ index) => {
        const azimuth = (2 * Math.PI * index) / CORNERS;
        const curvature = Math.cos(azimuth) ** 2 / along_meridian_m + Math.sin(azimuth) ** 2 / across_m;
        const angle = radius_m * curvature;
        const to_sine = sine * Math.cos(angle) + cosine * Math.sin(angle) * Math.cos(azimuth);
        const turn = Math.atan2(Math.sin(azimuth) * Math.sin(angle) * cosine, Math.cos(angle) - sine * to_sine);
        return [lng + turn / RADIANS, Math.asin(Math.max(-1, Math.min(1, to_sine))) / RADIANS];
    };
    return Array.from({ length: CORNERS + 1 }, (_, index) => corner(index % CORNERS));
}

/** The same place, with a longitude within half a turn of another. @param {number[]} place @param {number} other */
export function near([lng, lat], other) {
    return [lng - 360 * Math.round((lng - other) / 360), lat];
}
