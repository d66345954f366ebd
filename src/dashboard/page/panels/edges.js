/**
 * All edge servers: searched, filtered, sorted, and live. The table shows a page of them, so that it stays quick with
 * ten thousand; while somebody works in it, rows do not change places.
 */

import { fill, h } from '../dom.js';
import { HEALTHS, HEALTH_WORDS, ago, count, perCent } from '../words.js';
import { healthBadge, loadBar } from './health_badge.js';

/** @typedef {import('../live_state.js').EdgeSummary} EdgeSummary */

const PAGE_ROWS = 50;
const UPDATE_MS = 1_000;

/** @param {EdgeSummary} edge */
const share = (edge) => Math.max(edge.current_connections, edge.reported_connections) / Math.max(1, edge.max_connections);

/** @type {{name: string, label: string, value: (edge: EdgeSummary) => string | number, down?: boolean, cell: (edge: EdgeSummary) => import('../dom.js').Child | import('../dom.js').Child[]}[]} */
const COLUMNS = [
    { name: 'health', label: 'Health', value: (edge) => HEALTHS.indexOf(edge.health_status), cell: (edge) => [healthBadge(edge.health_status), edge.draining && h('span', { class: 'badge' }, 'draining'), !edge.is_active && h('span', { class: 'badge' }, 'inactive')] },
    { name: 'name', label: 'Name', value: (edge) => edge.name.toLowerCase(), cell: (edge) => h('a', { href: `#/edge/${edge.id}` }, edge.name) },
    { name: 'region', label: 'Region', value: (edge) => edge.region.toLowerCase(), cell: (edge) => edge.region },
    { name: 'load', label: 'Devices', value: share, down: true, cell: loadBar },
    { name: 'cpu', label: 'CPU', value: (edge) => edge.cpu_usage ?? -1, down: true, cell: (edge) => perCent(edge.cpu_usage) },
    { name: 'memory', label: 'Memory', value: (edge) => edge.memory_usage ?? -1, down: true, cell: (edge) => perCent(edge.memory_usage) },
    { name: 'beat', label: 'Last beat', value: (edge) => edge.last_ping ?? '', cell: (edge) => ago(edge.last_ping) },
];

/**
 * @param {import('../shell.js').Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters
 * @returns {import('../shell.js').Panel}
 */
export function open({ live }, host, parameters) {
    let sorted_by = COLUMNS[0];
    let is_down = false;
    let page = 0;
    /** Ids in the order that is shown. @type {string[]} */
    let order = [];
    /** @type {Map<string, {row: HTMLElement, shown: EdgeSummary | null}>} */
    const rows = new Map();

    const search = /** @type {HTMLInputElement} */ (h('input', { type: 'search', placeholder: 'Name, region or id', oninput: anew }));
    const health = /** @type {HTMLSelectElement} */ (h('select', { onchange: anew }, h('option', { value: '' }, 'Any'), HEALTHS.map((value) => h('option', { value, selected: parameters.health === value }, HEALTH_WORDS[value])), h('option', { value: 'draining' }, 'Draining')));
    const region = /** @type {HTMLSelectElement} */ (h('select', { onchange: anew }));
    const heads = COLUMNS.map((column) => h('th', { scope: 'col', class: `column-${column.name}` }, h('button', { type: 'button', class: 'sort', onclick: () => sort(column) }, column.label)));
    const body = h('tbody');
    const table = h('table', { class: 'edges' }, h('caption', { class: 'unseen' }, 'Edge servers'), h('thead', {}, h('tr', {}, heads)), body);
    const said = h('p', { class: 'muted', role: 'status' });
    const before = h('button', { type: 'button', onclick: () => turn(-1) }, 'Previous');
    const after = h('button', { type: 'button', onclick: () => turn(1) }, 'Next');
    const where = h('span', { class: 'muted' });
    const pager = h('div', { class: 'row pager' }, before, where, after);
    const label = (/** @type {string} */ text, /** @type {HTMLElement} */ control) => h('label', { class: 'field' }, h('span', { class: 'field-label' }, text), control);
    fill(host, h('div', { class: 'filters' }, label('Search', search), label('Health', health), label('Region', region)), said, h('div', { class: 'scroll' }, table), pager);

    /** The regions to choose from, as they are now. */
    function offerRegions() {
        const chosen = region.value || parameters.region || '';
        const known = [...new Set([...live.edges.values()].map((edge) => edge.region))].sort();
        if (region.options.length !== known.length + 1) {
            fill(region, h('option', { value: '' }, 'Any'), known.map((value) => h('option', { value, selected: value === chosen }, value)));
        }
    }

    /** @param {EdgeSummary} edge */
    function isWanted(edge) {
        const text = search.value.trim().toLowerCase();
        const is_healthy_as = health.value === '' || (health.value === 'draining' ? edge.draining : edge.health_status === health.value);
        return is_healthy_as && (region.value === '' || edge.region === region.value) && (text === '' || `${edge.name} ${edge.region} ${edge.id}`.toLowerCase().includes(text));
    }

    /** Works out which edges are shown, and in which order. */
    function arrange() {
        const by = (/** @type {EdgeSummary} */ a, /** @type {EdgeSummary} */ b) => {
            const [left, right] = [sorted_by.value(a), sorted_by.value(b)];
            return (left < right ? -1 : left > right ? 1 : 0) * (is_down ? -1 : 1) || a.name.localeCompare(b.name);
        };
        order = [...live.edges.values()].filter(isWanted).sort(by).map(({ id }) => id);
        page = Math.max(0, Math.min(page, Math.ceil(order.length / PAGE_ROWS) - 1));
    }

    function anew() {
        page = 0;
        arrange();
        draw();
    }

    /** @param {number} pages */
    function turn(pages) {
        page += pages;
        draw();
        table.scrollIntoView({ block: 'nearest' });
    }

    /** @param {typeof COLUMNS[number]} column */
    function sort(column) {
        is_down = column === sorted_by ? !is_down : column.down === true;
        sorted_by = column;
        anew();
    }

    function draw() {
        const shown = order.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).flatMap((id) => live.edges.get(id) ?? []);
        const drawn = shown.map(drawRow);
        if (drawn.length !== body.children.length || drawn.some((row, index) => row !== body.children[index])) {
            const focused = document.activeElement;
            fill(body, drawn);
            if (focused instanceof HTMLElement && body.contains(focused)) {
                focused.focus({ preventScroll: true });
            }
        }
        COLUMNS.forEach((column, index) => (column === sorted_by ? heads[index].setAttribute('aria-sort', is_down ? 'descending' : 'ascending') : heads[index].removeAttribute('aria-sort')));
        const text = live.edges.size === order.length ? `${count(order.length)} edge servers` : `${count(order.length)} of ${count(live.edges.size)} edge servers`;
        if (said.textContent !== text) {
            said.textContent = text;
        }
        pager.hidden = order.length <= PAGE_ROWS;
        where.textContent = `${count(page * PAGE_ROWS + 1)} to ${count(Math.min(order.length, (page + 1) * PAGE_ROWS))}`;
        before.toggleAttribute('disabled', page === 0);
        after.toggleAttribute('disabled', (page + 1) * PAGE_ROWS >= order.length);
    }

    /** @param {EdgeSummary} edge */
    function drawRow(edge) {
        let known = rows.get(edge.id);
        if (known === undefined) {
            const cells = COLUMNS.map((column) => h(column.name === 'name' ? 'th' : 'td', { class: `column-${column.name}`, scope: column.name === 'name' ? 'row' : undefined }));
            known = { row: h('tr', {}, cells), shown: null };
            rows.set(edge.id, known);
        }
        const { row, shown } = known;
        COLUMNS.forEach(({ name, cell }, index) => {
            // A link that has the focus keeps it: names change seldom. The age of a beat changes by itself.
            const is_same = shown !== null && (shown === edge ? name !== 'beat' : name === 'name' && shown.name === edge.name);
            if (!is_same) {
                fill(row.children[index], ...[cell(edge)].flat());
            }
        });
        known.shown = edge;
        return row;
    }

    function update() {
        offerRegions();
        // What is gone leaves at once; for the rest, rows stay where they are while somebody points at them.
        if (!table.matches(':hover, :focus-within') || order.some((id) => !live.edges.has(id)) || order.length === 0) {
            arrange();
        }
        draw();
    }

    const clock = setInterval(update, UPDATE_MS);
    offerRegions();
    anew();
    return { title: 'Edge servers', close: () => clearInterval(clock) };
}
