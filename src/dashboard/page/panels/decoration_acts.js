/**
 * What is told of a decoration below its form, and what can be done with it besides editing: send it to edges again,
 * delete it.
 */

import { fill, h } from '../dom.js';
import { time } from '../words.js';
import { ask } from './dialog.js';
import { explain } from './field.js';
import { remove, resend } from './save.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./decoration_fields.js').Decoration} Decoration */

/**
 * @param {Context} context
 * @param {Decoration} decoration
 * @param {() => void} deleted
 * @returns {HTMLElement}
 */
export function acts(context, decoration, deleted) {
    const outcome = h('div', { role: 'status' });
    const again = h('button', { type: 'button', onclick: () => void sendAgain(context, decoration, again, outcome) }, 'Send to edges again');
    const gone = h('button', { type: 'button', class: 'danger', onclick: () => void drop(context, decoration, deleted) }, 'Delete…');
    const probe = h('a', { href: `#/probe?lat=${decoration.lat}&lng=${decoration.lng}` }, 'What a phone gets here');
    return h('section', { 'aria-label': 'More' }, h('div', { class: 'row' }, again, gone, probe), outcome, details(decoration));
}

/** @param {Decoration} decoration */
function details({ id, version, created_at, created_by, updated_at, h3 }) {
    const entries = [
        ['Version', version],
        ['Changed', time(updated_at)],
        ['Created', time(created_at)],
        ['By', created_by ?? 'an import or the command line'],
        ['Id', id],
        ['H3 cells', `${h3.r5}, ${h3.r7}, ${h3.r9}`],
    ];
    return h(
        'details',
        {},
        h('summary', {}, 'Details'),
        h('dl', {}, entries.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    );
}

/**
 * @param {Context} context
 * @param {Decoration} decoration
 * @param {HTMLElement} button
 * @param {HTMLElement} outcome
 */
async function sendAgain(context, { id }, button, outcome) {
    button.setAttribute('disabled', '');
    try {
        const edges = (await resend(context, id)).map((edge_id) => ({ edge_id, edge: context.live.edges.get(edge_id) }));
        const there = edges.filter(({ edge }) => edge?.connected).length;
        const later = edges.length - there;
        const told = [
            edges.length === 0 ? 'No edge is to hold it: it lies in no service area, or is not shown.' : '',
            there > 0 ? `On its way to ${there === 1 ? 'one edge' : `${there} edges`}.` : '',
            later > 0 ? `${later === 1 ? 'One edge is' : `${later} edges are`} not connected and will get it then.` : '',
        ];
        const row = (/** @type {(typeof edges)[number]} */ { edge_id, edge }) =>
            h('li', {}, h('a', { href: `#/edge/${edge_id}` }, edge?.name ?? edge_id), edge?.connected ? '' : ' (not connected)');
        fill(outcome, h('p', {}, told.filter(Boolean).join(' ')), h('ul', { class: 'plain' }, edges.map(row)));
    } catch (error) {
        fill(outcome, h('p', { class: 'field-error' }, explain(error)));
    } finally {
        button.removeAttribute('disabled');
    }
}

/** @param {Context} context @param {Decoration} decoration @param {() => void} deleted */
async function drop(context, { id, name, version }, deleted) {
    const is_done = await ask({
        title: `Delete ${name}?`,
        text: 'Edges are told to remove it, and phones see it no longer. It can be restored.',
        yes: 'Delete',
        is_dangerous: true,
        act: () => remove(context, id, version),
    });
    if (is_done) {
        deleted();
    }
}
