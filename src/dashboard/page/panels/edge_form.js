/**
 * Editing what an admin decides of an edge server. The service judges; what it says stands beside the fields. When
 * somebody else was faster, their values are put in the place of what was not touched here.
 */

import { fill, h } from '../dom.js';
import { Problem } from '../session.js';
import { clearProblem, control, faultsBox, field, showProblem } from './field.js';

/** @type {{name: string, label: string, kind: 'text' | 'number' | 'switch', hint?: string}[]} */
const FIELDS = [
    { name: 'name', label: 'Name', kind: 'text' },
    { name: 'region', label: 'Region', kind: 'text', hint: 'Your own label, such as eu-central.' },
    { name: 'api_url', label: 'HTTP address', kind: 'text', hint: 'Where phones reach it: https.' },
    { name: 'websocket_url', label: 'WebSocket address', kind: 'text', hint: 'Where phones reach it: wss.' },
    { name: 'health_check_url', label: 'Health check address', kind: 'text', hint: 'What is probed; empty: nothing.' },
    { name: 'lat', label: 'Latitude (°)', kind: 'number' },
    { name: 'lng', label: 'Longitude (°)', kind: 'number' },
    { name: 'service_radius_km', label: 'Service radius (km)', kind: 'number', hint: 'Of no effect where an area is drawn.' },
    { name: 'max_connections', label: 'Most devices', kind: 'number' },
    { name: 'is_active', label: 'Active', kind: 'switch', hint: 'When not, it is kept but chosen by nobody.' },
];

/**
 * @param {import('../shell.js').Context} context
 * @param {HTMLElement} host
 * @param {any} edge as it was read
 * @param {() => void} done
 */
export function editEdge({ api, announce, map }, host, edge, done) {
    let base = edge;
    const controls = FIELDS.map(({ name, label, kind, hint }) => {
        const attributes = kind === 'switch' ? { type: 'checkbox' } : { type: 'text', inputmode: kind === 'number' ? 'decimal' : undefined };
        return field({ name, label, hint, attributes });
    });
    const save = /** @type {HTMLButtonElement} */ (h('button', { class: 'primary', type: 'submit' }, 'Save'));
    const buttons = h('div', { class: 'row sticky' }, save, h('button', { type: 'button', onclick: close }, 'Cancel'));
    const form = h('form', { class: 'edge-form', novalidate: true, onsubmit: submit, oninput: preview }, faultsBox(), h('div', { class: 'grid' }, controls), buttons);
    write(() => true);
    fill(host, form);
    controls[0].querySelector('input')?.focus();

    /** What a control holds, as the service takes it. @param {typeof FIELDS[number]} field */
    function value({ name, kind }) {
        const input = control(form, name);
        if (kind === 'switch') {
            return input?.checked ?? false;
        }
        const text = input?.value.trim() ?? '';
        // What is no number is sent as it is, so that the service can say so.
        return text === '' ? null : kind === 'number' && Number.isFinite(Number(text)) ? Number(text) : text;
    }

    /** Puts in what was read last, for the fields that are wanted. @param {(field: typeof FIELDS[number]) => boolean} isWanted */
    function write(isWanted) {
        for (const each of FIELDS.filter(isWanted)) {
            const input = control(form, each.name);
            if (input !== null && each.kind === 'switch') {
                input.checked = base[each.name];
            } else if (input !== null) {
                input.value = base[each.name] ?? '';
            }
        }
    }

    function preview() {
        const [lat, lng, radius_km] = ['lat', 'lng', 'service_radius_km'].map((name) => Number(control(form, name)?.value || NaN));
        const is_place = Math.abs(lat) <= 90 && Math.abs(lng) <= 180;
        map.showPlace(is_place ? { lat, lng, radius_m: radius_km > 0 && radius_km < 1_000 ? radius_km * 1_000 : undefined } : null);
    }

    /** @param {SubmitEvent} event */
    async function submit(event) {
        event.preventDefault();
        clearProblem(form);
        save.disabled = true;
        const values = Object.fromEntries(FIELDS.map((each) => [each.name, value(each)]));
        try {
            // A circle that is answered as an area is known by the service, and stays a circle.
            const body = { ...values, service_area: base.service_area };
            await api('PUT', `/api/v1/edge-servers/${base.id}`, { body, headers: { 'If-Match': `"${base.version}"` } });
            announce(`${values.name} is saved.`);
            close();
        } catch (error) {
            if (error instanceof Problem && error.status === 412 && error.current !== null) {
                const before = base;
                base = error.current;
                write((each) => value(each) === (before[each.name] ?? null));
                announce('Somebody else changed it meanwhile: their changes are in the form now, beside yours. Look again, and save.', 'alert');
            } else {
                showProblem(form, error);
            }
        } finally {
            save.disabled = false;
        }
    }

    function close() {
        map.showPlace(null);
        done();
    }
}
