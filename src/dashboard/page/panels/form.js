/**
 * The form of a decoration: a control for each writable field, in groups. It knows what was there before and what is
 * typed now, and nothing of the service.
 */

import { h } from '../dom.js';
import { FIELDS, GROUPS, differing, isDoubtful, textOf, valueOf } from './decoration_fields.js';
import { control, faultsBox, field } from './field.js';
import { pair, placeOf } from './place.js';

/** @typedef {import('./decoration_fields.js').Values} Values */
/** @typedef {import('./decoration_fields.js').Field} Field */

/** Values of a new decoration before anything is typed. @returns {Values} */
export function blank() {
    return Object.fromEntries(FIELDS.map((each) => [each.name, each.initial ?? (each.is_required && each.kind === 'text' ? '' : null)]));
}

export class DecorationForm {
    /** What the controls were filled with last. @type {Values} */
    #filled = blank();
    #changed;
    element;

    /**
     * @param {object} on
     * @param {() => void} on.save
     * @param {() => void} on.change at each change of a value, typed or not
     * @param {HTMLElement} on.picker what picks a place on the map; goes to the place's fields
     * @param {(HTMLElement | null)[]} on.buttons
     */
    constructor({ save, change, picker, buttons }) {
        this.#changed = change;
        const groups = GROUPS.map(({ title, fields, columns, hint }) =>
            h(
                'fieldset',
                {},
                h('legend', {}, title),
                hint ? h('p', { class: 'hint muted' }, hint) : null,
                h('div', { class: columns ? `grid columns-${columns}` : 'grid' }, fields.map(made)),
                title === 'Place' ? picker : null,
            ),
        );
        this.element = h('form', { class: 'decoration-form', novalidate: true }, faultsBox(), groups, h('div', { class: 'row sticky' }, buttons));
        this.element.addEventListener('submit', (event) => {
            event.preventDefault();
            save();
        });
        this.element.addEventListener('input', () => this.#judge());
        this.element.addEventListener('paste', (event) => this.#paste(event));
    }

    /**
     * Puts these in, as what is there now; but for what was typed since an earlier state was sent.
     *
     * @param {Values} values
     * @param {Values} [sent]
     */
    fill(values, sent) {
        const typed = this.values();
        const since = [...differing(sent ?? typed, typed)].map((name) => [name, typed[name]]);
        this.#write(values);
        this.#filled = this.values();
        this.#write(Object.fromEntries(since));
        this.#judge();
    }

    /** Puts these in, as if they had been typed. @param {Values} values */
    type(values) {
        this.#write(values);
        this.#judge();
    }

    /** What is in the controls. @returns {Values} */
    values() {
        return Object.fromEntries(FIELDS.map((each) => [each.name, this.#value(each)]));
    }

    get is_changed() {
        return differing(this.#filled, this.values()).size > 0;
    }

    /** The place and radius, once they make sense. @returns {{lat: number, lng: number, radius_m: number} | null} */
    preview() {
        const { lat, lng, radius_meters } = this.values();
        const place = placeOf(lat, lng);
        const radius_m = typeof radius_meters === 'number' && radius_meters > 0 ? Math.min(radius_meters, 10_000) : 0;
        return place && { ...place, radius_m };
    }

    /** @param {Values} values */
    #write(values) {
        for (const { name, kind } of FIELDS) {
            const target = control(this.element, name);
            if (target === null || !(name in values)) {
                continue;
            }
            if (kind === 'switch') {
                target.checked = Boolean(values[name]);
            } else {
                target.value = textOf(values[name]);
            }
        }
    }

    /** @param {Field} each @returns {unknown} */
    #value(each) {
        const source = control(this.element, each.name);
        if (source === null) {
            return null;
        }
        return each.kind === 'switch' ? source.checked : valueOf(each, source.value);
    }

    /** Marks the hints of values that will hardly do, and tells of the change. */
    #judge() {
        for (const each of FIELDS) {
            const hint = control(this.element, each.name)?.closest('.field')?.querySelector('.hint');
            hint?.classList.toggle('doubt', isDoubtful(each, this.#value(each)));
        }
        this.#changed();
    }

    /** A pair of coordinates that is pasted into one field fills both. @param {ClipboardEvent} event */
    #paste(event) {
        const name = event.target instanceof HTMLInputElement ? event.target.name : '';
        const found = name === 'lat' || name === 'lng' ? pair(event.clipboardData?.getData('text') ?? '') : null;
        if (found !== null) {
            event.preventDefault();
            this.type({ lat: found[0], lng: found[1] });
        }
    }
}

/** @param {Field} each */
function made({ name, label, kind, hint, is_required, choices }) {
    const required = is_required ? { required: true } : {};
    switch (kind) {
        case 'long':
            return field({ name, label, hint, tag: 'textarea', attributes: { rows: 3 } });
        case 'choice':
            return field({ name, label, hint, tag: 'select', options: choices, attributes: required });
        case 'switch':
            return field({ name, label, hint, attributes: { type: 'checkbox' } });
        case 'number':
        case 'integer':
            // Not type="number": that hides what was typed when it is not a number.
            return field({ name, label, hint, attributes: { type: 'text', inputmode: kind === 'integer' ? 'numeric' : 'text', ...required } });
        default:
            return field({ name, label, hint, attributes: { type: 'text', inputmode: kind === 'url' ? 'url' : 'text', ...required } });
    }
}
