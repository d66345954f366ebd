/**
 * Colours of the map, light and dark. What means health is the same as in the rest of the page (`css/theme.css`).
 */

import { isDark } from '../settings.js';

const LIGHT = {
    sea: '#dfe7ee',
    land: '#f7f7f4',
    border: '#b3bcc6',
    inner_border: '#d5dae0',
    drawn: '#7c5cc4',
    place: '#5b6672',
    halo: '#f7f7f4',
    healthy: '#1a7f4b',
    degraded: '#b35900',
    offline: '#c62828',
    unknown: '#66707c',
    on_health: '#ffffff',
    edge_line: '#ffffff',
    draining: '#1b2530',
    decoration: '#6f42c1',
    cluster: '#d8cbf2',
    cluster_text: '#3f2484',
    devices: ['#cfe3fb', '#9cc6f5', '#5ea1e8', '#2a78cf', '#124f98'],
    mark: '#0b57d0',
    out_of_range: '#8a94a0',
};

const DARK = {
    sea: '#11161d',
    land: '#1e252e',
    border: '#47525f',
    inner_border: '#303a45',
    drawn: '#b197f0',
    place: '#9aa7b4',
    halo: '#161c24',
    healthy: '#3fb974',
    degraded: '#f0a33c',
    offline: '#ff6b62',
    unknown: '#93a0ad',
    on_health: '#0d1117',
    edge_line: '#0d1117',
    draining: '#f0f4f8',
    decoration: '#b794f6',
    cluster: '#463a68',
    cluster_text: '#e6dcfb',
    devices: ['#173254', '#1d4b82', '#2a69b4', '#4b92e3', '#9cc8fb'],
    mark: '#7ab4ff',
    out_of_range: '#77828e',
};

/** @typedef {typeof LIGHT} Colours */

/** @returns {Colours} */
export function colours() {
    return isDark() ? DARK : LIGHT;
}

/** An expression: the colour of a health. @param {Colours} of @param {unknown} health an expression */
export function byHealth(of, health) {
    return ['match', health, 'healthy', of.healthy, 'degraded', of.degraded, 'offline', of.offline, of.unknown];
}

/** What is in a source before it is filled. */
export const NOTHING = Object.freeze({ type: 'FeatureCollection', features: [] });

/** The only font: the browser's own. */
export const FONT = ['sans-serif'];
