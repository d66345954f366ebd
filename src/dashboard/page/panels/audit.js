/**
 * Who changed what, and when.
 */

import { fill, h } from '../dom.js';
import { time } from '../words.js';
import { field } from './field.js';
import { Pages, asTyped } from './pages.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/**
 * @typedef {{id: string, at: string, actor_id: string | null, action: string, object_kind: string, object_id: string | null,
 *     detail: Record<string, any> | null, ip_address: string | null, request_id: string | null}} Act
 */

const PAGE = 100;
/** Accounts whose names are looked up; of others the id is shown. */
const MOST_NAMES = 1000;

/** What can be asked for: all acts on a kind of thing, or one kind of act. */
const ACTIONS = [
    'decoration',
    'decoration.create',
    'decoration.replace',
    'decoration.delete',
    'decoration.restore',
    'decoration.sync',
    'decoration.import',
    'edge_server',
    'edge_server.create',
    'edge_server.replace',
    'edge_server.delete',
    'edge_server.drain',
    'edge_server.rotate_key',
    'edge_server.sync',
    'user',
    'user.change',
    'user.password_reset',
    'device',
    'region',
];

/** Where the page shows a kind of thing. @type {Record<string, (id: string) => string>} */
const PLACES = { decoration: (id) => `#/decoration/${id}?fly=1`, edge_server: (id) => `#/edge/${id}` };

/**
 * @param {Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters filters to begin with
 * @returns {Panel}
 */
export function open(context, host, { action = '' }) {
    const actors = field({ name: 'actor', label: 'Who', tag: 'select', options: [['', 'Anybody']] });
    const form = /** @type {HTMLFormElement} */ (
        h(
            'form',
            { role: 'search', class: 'filters two', 'aria-label': 'Audit' },
            actors,
            field({ name: 'action', label: 'What', hint: 'A kind of thing or an act.', attributes: { type: 'search', list: 'audit-actions', value: action } }),
            h('datalist', { id: 'audit-actions' }, ACTIONS.map((value) => h('option', { value }))),
            field({ name: 'from', label: 'Not before', attributes: { type: 'datetime-local' } }),
            field({ name: 'to', label: 'Before', attributes: { type: 'datetime-local' } }),
        )
    );
    /** @type {Map<string, string>} */
    const names = new Map();
    /** @type {Pages<Act>} */
    const pages = new Pages({
        context,
        path: '/api/v1/audit',
        things: ['act', 'acts'],
        query: () => asked(form),
        table,
        row: (act) => row(act, names),
        nothing: 'Nobody did anything like that.',
    });
    const stop = asTyped(form, () => void pages.load());
    fill(host, form, pages.element);
    const named = new AbortController();
    void pages.load();
    void nameThem(context, names, named.signal).then(() => {
        actors.querySelector('select')?.append(...[...names].map(([value, text]) => h('option', { value }, text)));
        pages.render();
    });
    return {
        title: 'Audit',
        close() {
            named.abort();
            stop();
            pages.close();
        },
    };
}

/** @param {Context} context @param {Map<string, string>} names @param {AbortSignal} signal */
async function nameThem(context, names, signal) {
    try {
        const { body } = await context.api('GET', '/api/v1/users', { query: { limit: MOST_NAMES }, signal });
        for (const { id, full_name, email } of body.items) {
            names.set(id, `${full_name} (${email})`);
        }
    } catch {
        // The ids stand in for the names; if the service is away, the list says so.
    }
}

/** @param {HTMLFormElement} form */
function asked(form) {
    const { from, to, ...others } = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
    const moment = (/** @type {string} */ local) => (local === '' ? '' : new Date(local).toISOString());
    return { ...others, from: moment(from), to: moment(to), limit: PAGE };
}

function table() {
    const heads = ['When', 'Who', 'What'].map((text) => h('th', { scope: 'col' }, text));
    return h('table', { class: 'audit' }, h('thead', {}, h('tr', {}, heads)), h('tbody', {}));
}

/** @param {Act} act @param {Map<string, string>} names */
function row({ at, actor_id, action, object_kind, object_id, detail, ip_address, request_id }, names) {
    const who = actor_id === null ? 'the command line, or an account that is gone' : (names.get(actor_id) ?? actor_id);
    const where = object_id === null ? undefined : PLACES[object_kind];
    const subject = object_id !== null && where ? h('a', { href: where(object_id) }, shortened(object_id)) : (names.get(object_id ?? '') ?? object_id);
    return h(
        'tr',
        {},
        h('td', {}, h('time', { datetime: at, title: at }, time(at))),
        h('th', { scope: 'row', title: request_id && `request ${request_id}` }, who, ip_address === null ? null : h('div', { class: 'muted' }, ip_address)),
        h('td', {}, action, ' ', subject, h('div', { class: 'muted' }, told(detail))),
    );
}

/** The end of an id tells more than its beginning, which is the time. @param {string} id */
function shortened(id) {
    return id.length === 36 ? `…${id.slice(-12)}` : id;
}

/** What changed, in a line: `role: user → admin`, `changed: name, lat`. @param {Record<string, any> | null} detail */
function told(detail) {
    const parts = Object.entries(detail ?? {}).map(([name, value]) => {
        const is_change = Array.isArray(value) && value.length === 2 && name !== 'changed';
        if (is_change) {
            return value[0] === value[1] ? '' : `${name}: ${value[0]} → ${value[1]}`;
        }
        const text = Array.isArray(value) ? value.join(', ') : typeof value === 'object' ? JSON.stringify(value) : String(value);
        return text === '' ? '' : `${name}: ${text}`;
    });
    return parts.filter(Boolean).join('; ');
}
