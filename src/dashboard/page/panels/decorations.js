/**
 * The list of decorations: searched while one types, newest first, with what is deleted and what was typed and not
 * saved.
 */

import { fill, h } from '../dom.js';
import { ago, place } from '../words.js';
import { ASSET_TYPES } from './decoration_fields.js';
import { draftsOf, dropDraft } from './drafts.js';
import { explain, field } from './field.js';
import { Pages, asTyped, whenQuiet } from './pages.js';
import { clicked, query as query_of } from './place.js';
import { restore } from './save.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/** @typedef {import('./decoration_fields.js').Decoration} Decoration */

const PATH = '/api/v1/decorations';
const PAGE = 50;
/** An import tells of changes for minutes; the list follows once it pauses. */
const CHANGED_MS = 1000;

/** What `state` asks for. @type {Record<string, Record<string, boolean>>} */
const STATES = { all: {}, shown: { is_active: true }, hidden: { is_active: false }, deleted: { deleted: true } };

/**
 * @param {Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters filters to begin with
 * @returns {Panel}
 */
export function open(context, host, parameters) {
    const form = filters(parameters);
    /** @type {Pages<Decoration>} */
    const pages = new Pages({
        context,
        path: PATH,
        things: ['decoration', 'decorations'],
        query: () => asked(form),
        table,
        row: (decoration) => row(context, decoration, pages),
        nothing: 'No decoration is like that.',
    });
    const changed = whenQuiet(() => (pages.is_long || pages.has_focus ? offerNewer() : void pages.load()), CHANGED_MS);
    const newer = h('button', { type: 'button', hidden: true, onclick: () => refresh() }, 'There are changes: show them');
    const offerNewer = () => {
        newer.hidden = false;
    };
    const refresh = () => {
        newer.hidden = true;
        void pages.load();
    };
    const stop = asTyped(form, refresh);
    const create = () => context.go(`#/decoration/new?${query_of(clicked(context.map.center()))}`);
    fill(
        host,
        h('div', { class: 'row' }, h('button', { type: 'button', class: 'primary', onclick: create }, 'New in the middle of the map')),
        drafts(context),
        form,
        newer,
        pages.element,
    );
    const on_change = () => changed.soon();
    context.live.addEventListener('decoration', on_change);
    void pages.load();
    return {
        title: 'Decorations',
        close() {
            context.live.removeEventListener('decoration', on_change);
            stop();
            changed.stop();
            pages.close();
        },
    };
}

/** @param {Record<string, string>} parameters */
function filters({ q = '', category = '', asset_type = '', state = 'all' }) {
    const form = h(
        'form',
        { role: 'search', class: 'filters four', 'aria-label': 'Decorations' },
        field({ name: 'q', label: 'Text in name or description', attributes: { type: 'search', value: q } }),
        field({ name: 'category', label: 'Category', hint: 'The whole word.', attributes: { type: 'search', value: category } }),
        field({ name: 'asset_type', label: 'Kind of asset', tag: 'select', options: [['', 'Any'], ...ASSET_TYPES] }),
        field({ name: 'state', label: 'State', tag: 'select', options: [['all', 'All there are'], ['shown', 'Shown'], ['hidden', 'Hidden'], ['deleted', 'Deleted']] }),
    );
    for (const [name, value] of [['asset_type', asset_type], ['state', state]]) {
        const select = form.querySelector(`select[name=${name}]`);
        if (select instanceof HTMLSelectElement) {
            select.value = [...select.options].some((option) => option.value === value) ? value : select.options[0].value;
        }
    }
    return /** @type {HTMLFormElement} */ (form);
}

/** @param {HTMLFormElement} form @returns {Record<string, unknown>} */
function asked(form) {
    const typed = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
    const { state, ...others } = typed;
    return { ...others, ...STATES[state], limit: PAGE };
}

function table() {
    return h(
        'table',
        {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Name'), h('th', { scope: 'col' }, 'Category'), h('th', { scope: 'col' }, 'Changed'))),
        h('tbody', {}),
    );
}

/** @param {Context} context @param {Decoration} decoration @param {Pages<Decoration>} pages */
function row(context, decoration, pages) {
    const { id, name, category, is_active, deleted_at, updated_at } = decoration;
    const again = h('button', { type: 'button', 'aria-label': `Restore ${name}`, onclick: () => void bringBack(context, decoration, pages) }, 'Restore');
    return h(
        'tr',
        {},
        h(
            'th',
            { scope: 'row' },
            deleted_at ? name : h('a', { href: `#/decoration/${id}?fly=1` }, name),
            is_active ? null : h('span', { class: 'badge' }, 'hidden'),
            h('div', { class: 'muted' }, place(decoration)),
        ),
        h('td', {}, category),
        h('td', {}, h('time', { datetime: updated_at, title: updated_at }, ago(updated_at)), deleted_at ? h('div', {}, again) : null),
    );
}

/** @param {Context} context @param {Decoration} decoration @param {Pages<Decoration>} pages */
async function bringBack(context, decoration, pages) {
    try {
        const restored = await restore(context, decoration.id);
        context.announce(`${restored.name} is restored.`);
        context.map.reload('decorations');
        context.go(`#/decoration/${restored.id}?fly=1`);
    } catch (error) {
        context.announce(explain(error), 'alert');
        void pages.load();
    }
}

/** What was typed and not saved. @param {Context} context */
function drafts(context) {
    const user_id = context.user()?.id ?? '';
    const list = draftsOf(user_id).map(({ id, values }) => {
        const name = values.name || 'without a name';
        const item = h('li', { class: 'row' }, h('a', { href: `#/decoration/${id}` }, name), id === 'new' ? ' (new)' : null, discard());
        function discard() {
            const drop = () => {
                dropDraft(user_id, id);
                item.remove();
            };
            return h('button', { type: 'button', class: 'quiet', 'aria-label': `Discard changes of ${name}`, onclick: drop }, 'Discard');
        }
        return item;
    });
    return list.length > 0 && h('section', { class: 'notice' }, h('h3', {}, 'Not saved'), h('ul', { class: 'plain' }, list));
}
