/**
 * Somebody else was faster: what they made of a decoration, field by field beside one's own, to choose from. What only
 * one of the two changed is chosen already, so that mostly one look is enough; nothing is thrown away unseen.
 */

import { h } from '../dom.js';
import { FIELDS, differing, shown } from './decoration_fields.js';

/** @typedef {import('./decoration_fields.js').Values} Values */

/**
 * @param {object} versions
 * @param {Values} versions.base what both started from
 * @param {Values} versions.mine
 * @param {Values} versions.theirs
 * @param {string} versions.when it was changed, in words
 * @param {(merged: Values) => void} versions.save
 * @param {() => void} versions.back
 * @returns {HTMLElement}
 */
export function conflict({ base, mine, theirs, when, save, back }) {
    const by_me = differing(base, mine);
    const by_them = differing(base, theirs);
    const differ = differing(mine, theirs);
    const rows = FIELDS.filter(({ name }) => differ.has(name)).map((each) => {
        const { name, label } = each;
        const is_mine = by_me.has(name);
        const choice = (/** @type {'theirs' | 'mine'} */ whose, /** @type {Values} */ values) =>
            h(
                'td',
                {},
                h(
                    'label',
                    { class: 'choice' },
                    h('input', { type: 'radio', name: `choose-${name}`, value: whose, checked: (whose === 'mine') === is_mine }),
                    h('span', { class: 'unseen' }, `${label}, ${whose}: `),
                    h('span', { class: 'value' }, shown(each, values[name])),
                ),
            );
        const note = is_mine && by_them.has(name) ? 'both changed' : is_mine ? 'changed by you' : 'changed by them';
        return h(
            'tr',
            {},
            h('th', { scope: 'row' }, label, h('span', { class: `badge${note === 'both changed' ? ' warn' : ''}` }, note)),
            choice('theirs', theirs),
            choice('mine', mine),
        );
    });
    const same = FIELDS.length - rows.length;
    const table = h(
        'table',
        { class: 'conflict' },
        h('caption', {}, 'Choose for each field'),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Field'), h('th', { scope: 'col' }, 'Theirs'), h('th', { scope: 'col' }, 'Mine'))),
        h('tbody', {}, rows),
    );
    const all = (/** @type {string} */ whose) => () => {
        for (const input of table.querySelectorAll(`input[value="${whose}"]`)) {
            /** @type {HTMLInputElement} */ (input).checked = true;
        }
    };
    const merged = () => {
        const choices = FIELDS.map(({ name }) => {
            const input = table.querySelector(`input[name="choose-${name}"][value="mine"]`);
            return [name, input instanceof HTMLInputElement && input.checked ? mine[name] : theirs[name]];
        });
        return Object.fromEntries(choices);
    };
    return h(
        'section',
        { class: 'conflict-view', 'aria-labelledby': 'conflict-title' },
        h('h3', { id: 'conflict-title', tabindex: '-1' }, 'Somebody else changed it'),
        h('p', {}, `This decoration was changed ${when}, after you opened it. Nothing of yours is lost: choose what is to be.`),
        table,
        h('p', { class: 'muted' }, `${same} other fields are the same.`),
        h(
            'div',
            { class: 'row' },
            h('button', { type: 'button', class: 'quiet', onclick: all('theirs') }, 'All theirs'),
            h('button', { type: 'button', class: 'quiet', onclick: all('mine') }, 'All mine'),
        ),
        h(
            'div',
            { class: 'row sticky' },
            h('button', { type: 'button', class: 'primary', onclick: () => save(merged()) }, 'Save this choice'),
            h('button', { type: 'button', onclick: back }, 'Back to the form'),
        ),
    );
}
