/**
 * Figures, times and states in words for people.
 */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

/** `12,345`; a dash for nothing. @param {number | null | undefined} value */
export function count(value) {
    return value === null || value === undefined ? '–' : whole.format(value);
}

/** `12.3K` from 10,000 on. @param {number | null | undefined} value */
export function compact(value) {
    return value !== null && value !== undefined && value >= 10_000 ? short.format(value) : count(value);
}

/** `42.5 %`. @param {number | null | undefined} value */
export function perCent(value) {
    return value === null || value === undefined ? '–' : `${value >= 10 ? whole.format(value) : tenths.format(value)} %`;
}

/** `12 s`, `3 min`, `2 h`, `5 d`. @param {number | null | undefined} seconds */
export function span(seconds) {
    if (seconds === null || seconds === undefined) {
        return '–';
    }
    const size = Math.abs(seconds);
    if (size < 90) {
        return `${Math.round(seconds)} s`;
    }
    if (size < 90 * 60) {
        return `${Math.round(seconds / 60)} min`;
    }
    return size < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** `12 s ago`. @param {string | Date | null | undefined} at */
export function ago(at) {
    return at ? `${span(Math.max(0, (Date.now() - new Date(at).getTime()) / 1000))} ago` : 'never';
}

/** `14:03:12`, with the day when it is not today's. @param {string | Date | null | undefined} at */
export function time(at) {
    if (!at) {
        return '–';
    }
    const date = new Date(at);
    return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

/** `52.51630, 13.37770`. @param {{lat: number, lng: number}} place */
export function place({ lat, lng }) {
    return `${lat.toFixed(5)}, ${lng.toFixed(5)}`;
}

/** @typedef {'healthy' | 'degraded' | 'offline' | 'unknown'} Health */

/** In the order of what needs looking at. @type {Health[]} */
export const HEALTHS = ['offline', 'degraded', 'unknown', 'healthy'];

/** @type {Record<Health, string>} */
export const HEALTH_WORDS = { healthy: 'Healthy', degraded: 'Degraded', offline: 'Offline', unknown: 'Unknown' };

/** The sign that stands on the map and in badges, for those who do not tell colours. @type {Record<Health, string>} */
export const HEALTH_SIGNS = { healthy: '', degraded: '!', offline: '×', unknown: '?' };

/** @type {Record<string, string>} */
const REASONS = {
    never_heard: 'It has not connected since it was registered, so nothing is known of it.',
    silent: 'Nothing has been heard for more than three and a half health intervals.',
    late_beat: 'Its last beat is overdue: more than one and a half health intervals have passed.',
    socket_lost: 'Its connection broke off, and it has not come back.',
    cpu_high: 'Its CPU is at 90 % or more.',
    memory_high: 'Its memory is at 90 % or more.',
    probe_failed: 'It does not answer probes of its health check address.',
    recovering: 'It is well again, and has to prove it with another good beat.',
};

/** Why an edge is how it is. @param {string | null} reason */
export function because(reason) {
    return reason === null ? 'It beats in time and has resources to spare.' : (REASONS[reason] ?? reason);
}

/** @type {Record<string, string>} */
export const ALERT_WORDS = {
    edge_offline: 'Edge offline',
    sync_lag: 'Sync behind',
    capacity: 'Region nearly full',
    clock_skew: 'Clock differs',
    instance_lost: 'Instance gone',
};

/** What is wrong, for people. @param {unknown} error */
export function fault(error) {
    return error instanceof Error ? error.message : String(error);
}
