/**
 * A small chart of one measure over time, with its newest value in its head and in words for those who do not see it.
 */

import uPlot from '../lib/uplot.mjs';
import { h } from '../dom.js';
import { appearance } from '../settings.js';

const HEIGHT_PX = 88;
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
/** Steps of an axis of whole numbers. */
const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 10 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);

/** A colour of the theme. @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {{title: string, format: (value: number | null | undefined) => string, most?: number}} options */
export function chart({ title, format, most }) {
    const value = h('span', { class: 'chart-value' }, '–');
    const picture = h('div', { class: 'chart-picture', role: 'img', 'aria-label': title });
    const element = h('figure', { class: 'chart' }, h('figcaption', {}, h('span', {}, title), value), picture);
    /** What is drawn: times, values. @type {[number[], (number | null)[]]} */
    let data = [[], []];
    let window_s = [0, 1];
    /** @type {any} */
    let plot = null;

    const axis = () => ({ stroke: () => colour('--muted'), grid: { stroke: () => colour('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' });

    function draw() {
        const width = picture.clientWidth;
        if (width === 0) {
            return;
        }
        plot = new uPlot(
            {
                width,
                height: HEIGHT_PX,
                legend: { show: false },
                padding: [6, 4, 0, 0],
                cursor: { sync: { key: 'edge' }, drag: { x: false, y: false }, points: { size: 6 } },
                scales: { x: { range: () => window_s }, y: { range: (/** @type {any} */ _plot, /** @type {number} */ _least, /** @type {number | null} */ greatest) => [0, most ?? Math.max(2, (greatest ?? 0) * 1.15)] } },
                axes: [
                    { ...axis(), size: 20, space: 60, values: (/** @type {any} */ _plot, /** @type {number[]} */ times) => times.map((at_s) => clock.format(at_s * 1000)) },
                    { ...axis(), size: 52, space: 26, incrs: WHOLE, values: (/** @type {any} */ _plot, /** @type {number[]} */ values) => values.map(format) },
                ],
                series: [{}, { stroke: () => colour('--chart'), width: 1.6, fill: () => colour('--chart-fill'), points: { show: () => data[0].length < 3 } }],
                hooks: { setCursor: [pointed] },
            },
            data,
            picture,
        );
    }

    /** The value under the pointer, or the newest. @param {any} plot */
    function pointed({ cursor }) {
        const index = cursor.idx;
        value.textContent = index === null || index === undefined || data[1][index] === undefined ? newest() : format(data[1][index]);
    }

    function newest() {
        return format(data[1].at(-1));
    }

    function redraw() {
        plot?.destroy();
        draw();
    }

    const size = new ResizeObserver(() => (plot === null ? draw() : plot.setSize({ width: picture.clientWidth, height: HEIGHT_PX })));
    size.observe(picture);
    appearance.addEventListener('theme', redraw);

    return {
        element,
        /**
         * @param {[number, number][]} points times in seconds, and values
         * @param {{from_s: number, to_s: number, step_s: number}} times
         * @param {string} words the time that is shown
         */
        show(points, { from_s, to_s, step_s }, words) {
            data = withGaps(points, step_s);
            window_s = [from_s, to_s];
            const values = points.map(([, value]) => value);
            const said = values.length === 0 ? 'nothing was measured' : `now ${newest()}, between ${format(Math.min(...values))} and ${format(Math.max(...values))}`;
            picture.setAttribute('aria-label', `${title} over ${words}: ${said}`);
            picture.classList.toggle('empty', values.length === 0);
            value.textContent = newest();
            if (plot === null) {
                draw();
            } else {
                plot.setData(data);
            }
        },
        close() {
            size.disconnect();
            appearance.removeEventListener('theme', redraw);
            plot?.destroy();
        },
    };
}

/** Times and values, with a hole where nothing was measured. @param {[number, number][]} points @param {number} step_s @returns {[number[], (number | null)[]]} */
function withGaps(points, step_s) {
    /** @type {[number[], (number | null)[]]} */
    const [times, values] = [[], []];
    points.forEach(([at, value], index) => {
        if (index > 0 && at - points[index - 1][0] > 2.5 * step_s) {
            times.push(points[index - 1][0] + step_s);
            values.push(null);
        }
        times.push(at);
        values.push(value);
    });
    return [times, values];
}
