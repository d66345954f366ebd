/**
 * What the map shows, and what its signs mean: layers to switch, the legend beside each, flat map or globe.
 */

import { h } from '../dom.js';
import { keepSetting, setting } from '../settings.js';
import { STEPS } from './devices.js';

/** The layers of the map that each switch is for. */
const SWITCHES = [
    { name: 'edges', label: 'Edge servers', layers: ['edge-rings', 'edges', 'edge-groups', 'edge-group-counts', 'edge-signs', 'edge-names', 'selected-edge'] },
    { name: 'coverage', label: 'Service areas', layers: ['coverage', 'coverage-lines'] },
    { name: 'devices', label: 'Devices', layers: ['devices', 'device-lines'] },
    { name: 'decorations', label: 'Decorations', layers: ['decoration-clusters', 'decoration-counts', 'decorations', 'decoration-names', 'selected-decoration'] },
];

/** @param {string} sign @param {string} text @param {string} [inside] */
const entry = (sign, text, inside = '') => h('li', {}, h('span', { class: `sign sign-${sign}`, 'aria-hidden': 'true' }, inside), text);

/** @type {Record<string, () => HTMLElement>} */
const LEGENDS = {
    edges: () =>
        h('ul', { class: 'legend' }, entry('healthy', 'healthy'), entry('degraded', 'degraded', '!'), entry('offline', 'offline', '×'), entry('unknown', 'never heard', '?'), entry('draining', 'draining'), h('li', { class: 'muted' }, 'larger: more of its places taken'), h('li', { class: 'muted' }, 'in groups if many; !: not healthy')),
    coverage: () => h('ul', { class: 'legend' }, h('li', { class: 'muted' }, 'in the colour of the edge’s health')),
    devices: () => h('ul', { class: 'legend legend-row' }, STEPS.map((least, index) => h('li', {}, h('span', { class: `sign sign-devices-${index}`, 'aria-hidden': 'true' }), index === STEPS.length - 1 ? `${least}+` : String(least)))),
    decorations: () => h('ul', { class: 'legend' }, entry('decoration', 'one'), entry('cluster', 'a number of them', '7')),
};

/**
 * @param {(layers: string[], shown: boolean) => void} show
 * @param {(globe: boolean) => void} turn
 */
export function switches(show, turn) {
    const chosen = { edges: true, coverage: true, devices: true, decorations: true, ...setting('layers', {}) };
    let is_globe = setting('globe', false);

    const rows = SWITCHES.map(({ name, label, layers }) => {
        const input = /** @type {HTMLInputElement} */ (h('input', { type: 'checkbox', role: 'switch', checked: chosen[/** @type {keyof typeof chosen} */ (name)], onchange: changed }));
        function changed() {
            Object.assign(chosen, { [name]: input.checked });
            keepSetting('layers', chosen);
            show(layers, input.checked);
        }
        return h('div', { class: 'switch-row' }, h('label', {}, input, label), LEGENDS[name]());
    });

    /** @param {string} value @param {string} label */
    const projection = (value, label) => h('label', {}, h('input', { type: 'radio', name: 'projection', value, checked: is_globe === (value === 'globe'), onchange: turned }), label);
    /** @param {Event} event */
    function turned(event) {
        is_globe = /** @type {HTMLInputElement} */ (event.target).value === 'globe';
        keepSetting('globe', is_globe);
        turn(is_globe);
    }

    const element = h(
        'details',
        { class: 'switches', open: matchMedia('(min-width: 1200px)').matches },
        h('summary', {}, 'Layers'),
        h('div', { class: 'switches-body' }, rows, h('fieldset', { class: 'projection' }, h('legend', {}, 'Projection'), projection('mercator', 'Flat map'), projection('globe', 'Globe'))),
    );
    return {
        element,
        /** Puts what was chosen on a new map. */
        apply() {
            SWITCHES.forEach(({ name, layers }) => show(layers, chosen[/** @type {keyof typeof chosen} */ (name)]));
            turn(is_globe);
        },
    };
}
