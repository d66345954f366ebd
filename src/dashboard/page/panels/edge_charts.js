/**
 * How an edge server went over time. The history is asked for again and again, so that the charts go on live.
 */

import { fill, h } from '../dom.js';
import { count, fault, perCent, span } from '../words.js';
import { chart } from './chart.js';

const RANGES = [
    { label: '1 h', words: 'the last hour', hours: 1, every_ms: 10_000 },
    { label: '6 h', words: 'the last six hours', hours: 6, every_ms: 30_000 },
    { label: '24 h', words: 'the last day', hours: 24, every_ms: 60_000 },
];

/** @type {{metric: string, title: string, format: (value: number | null | undefined) => string, most?: number}[]} */
const CHARTS = [
    { metric: 'cpu', title: 'CPU', format: perCent, most: 100 },
    { metric: 'memory', title: 'Memory', format: perCent, most: 100 },
    { metric: 'connections', title: 'Connections it reports', format: count },
    { metric: 'devices', title: 'Devices assigned, since you are here', format: count },
    { metric: 'sync_due', title: 'Decorations due', format: count },
    { metric: 'sync_lag', title: 'Sync lag', format: span },
];

/** Of what the feed tells, as much is kept. */
const MAX_POINTS = 2_000;

/** @param {import('../shell.js').Context} context @param {string} id */
export function charts({ api, live }, id) {
    let range = RANGES[0];
    let timer = 0;
    let request = new AbortController();
    /** The feed alone knows the assigned devices. @type {[number, number][]} */
    const devices = [];

    const drawn = CHARTS.map((each) => ({ ...each, chart: chart(each) }));
    const said = h('p', { class: 'muted', role: 'status' });
    const choices = RANGES.map((each) => h('label', {}, h('input', { type: 'radio', name: 'range', checked: each === range, onchange: () => choose(each) }), each.label));
    const element = h(
        'section',
        { class: 'edge-charts', 'aria-labelledby': 'edge-charts' },
        h('div', { class: 'section-head' }, h('h3', { id: 'edge-charts' }, 'Over time'), h('fieldset', { class: 'segments' }, h('legend', { class: 'unseen' }, 'Time shown'), choices)),
        said,
        h('div', { class: 'charts' }, drawn.map(({ chart }) => chart.element)),
    );

    /** @param {typeof RANGES[number]} chosen */
    function choose(chosen) {
        range = chosen;
        look();
    }

    async function look() {
        clearTimeout(timer);
        request.abort();
        request = new AbortController();
        const { signal } = request;
        const [asked, now_s] = [range, Date.now() / 1000];
        try {
            const from = new Date((now_s - asked.hours * 3600) * 1000).toISOString();
            const { body } = await api('GET', `/api/v1/metrics/edge/${encodeURIComponent(id)}`, { query: { from }, signal });
            const times = { from_s: new Date(body.from).getTime() / 1000, to_s: new Date(body.to).getTime() / 1000, step_s: body.bucket_seconds };
            for (const { metric, chart } of drawn) {
                const series = body.series.find((/** @type {any} */ { metric_type }) => metric_type === metric);
                const points = metric === 'devices' ? toNow(now_s) : (series?.points ?? []).map((/** @type {any} */ point) => [new Date(point.at).getTime() / 1000, point.avg]);
                chart.show(points, metric === 'devices' ? { ...times, step_s: Infinity } : times, asked.words);
            }
            fill(said);
        } catch (error) {
            if (!signal.aborted) {
                said.textContent = fault(error);
            }
        }
        if (!signal.aborted) {
            timer = setTimeout(look, asked.every_ms);
        }
    }

    /** What the feed told last is so still. @param {number} now_s @returns {[number, number][]} */
    function toNow(now_s) {
        const last = devices.at(-1);
        return last === undefined ? [] : [...devices, [now_s, last[1]]];
    }

    /** @param {any} [event] */
    function note(event) {
        const edge = live.edges.get(id);
        if (edge !== undefined && (!event?.detail || event.detail.has(id))) {
            devices.push([Date.now() / 1000, edge.current_connections]);
            devices.splice(0, devices.length - MAX_POINTS);
        }
    }

    live.addEventListener('edges', note);
    note();
    look();
    return {
        element,
        close() {
            request.abort();
            clearTimeout(timer);
            live.removeEventListener('edges', note);
            drawn.forEach(({ chart }) => chart.close());
        },
    };
}
