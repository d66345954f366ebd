/**
 * The probe: what a phone at a place would get. Which decorations are around it, nearest first, at which level of
 * detail; and which edge server it would talk to, and why that one.
 */

import { fill, h } from '../dom.js';
import { clearProblem, control, faultsBox, field, isAborted, showProblem } from './field.js';
import { counted } from './pages.js';
import { clicked, pair, query, zoomFor } from './place.js';
import { edges, phone } from './probe_answer.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/** @typedef {import('./panel.js').Place} Place */

/** As far as a phone looks unless it asks for another radius, in metres. */
const RADIUS_M = 500;
const RADII = [100, 500, 1000, 5000, 20_000, 50_000];
/** Most decorations and edges to show; the service gives no more edges. */
const [MOST_DECORATIONS, MOST_EDGES] = [100, 20];

/**
 * @param {Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters
 * @returns {Panel}
 */
export function open(context, host, parameters) {
    const probe = new Probe(context, host, parameters);
    return { title: 'Probe', close: () => probe.close() };
}

class Probe {
    #context;
    #request = new AbortController();
    #stop_clicks;
    #form;
    #answer = h('div', { class: 'answer' });
    /** The answer in a line, for screen readers. */
    #said = h('p', { class: 'unseen', role: 'status' });

    /** @param {Context} context @param {HTMLElement} host @param {Record<string, string>} parameters */
    constructor(context, host, { lat, lng, radius }) {
        this.#context = context;
        const here = clicked(context.map.center());
        const options = RADII.map((radius_m) => /** @type {[string, string]} */ ([String(radius_m), `${radius_m.toLocaleString('en')} m`]));
        this.#form = h(
            'form',
            { class: 'probe-form', novalidate: true },
            faultsBox(),
            h(
                'div',
                { class: 'grid columns-3' },
                field({ name: 'lat', label: 'Latitude (°)', attributes: { type: 'text', value: lat ?? here.lat } }),
                field({ name: 'lng', label: 'Longitude (°)', attributes: { type: 'text', value: lng ?? here.lng } }),
                field({ name: 'radius', label: 'Looks as far as', tag: 'select', options }),
            ),
            h('div', { class: 'row' }, h('button', { type: 'submit', class: 'primary' }, 'Probe here')),
        );
        this.#set('radius', RADII.includes(Number(radius)) ? radius : String(RADIUS_M));
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            void this.#ask(true);
        });
        this.#form.addEventListener('paste', (event) => this.#paste(event));
        control(this.#form, 'radius')?.addEventListener('change', () => void this.#ask(true));
        this.#stop_clicks = context.map.onClick((place) => {
            const { lat: lat_deg, lng: lng_deg } = clicked(place);
            this.#set('lat', String(lat_deg));
            this.#set('lng', String(lng_deg));
            void this.#ask(false);
            return true;
        });
        fill(host, h('p', { class: 'muted' }, 'Click anywhere on the map, or type a place, and see what a phone there would get.'), this.#form, this.#said, this.#answer);
        if (lat && lng) {
            void this.#ask(true);
        }
    }

    close() {
        this.#request.abort();
        this.#stop_clicks();
        this.#context.map.showProbe(null);
    }

    /** @param {string} name @param {string} value */
    #set(name, value) {
        const target = control(this.#form, name);
        if (target !== null) {
            target.value = value;
        }
    }

    /** @param {string} name */
    #typed(name) {
        return (control(this.#form, name)?.value ?? '').trim().replace('−', '-');
    }

    /** @param {boolean} fly whether the map is to show the place and how far the phone looks */
    async #ask(fly) {
        this.#request.abort();
        this.#request = new AbortController();
        const { signal } = this.#request;
        const [lat, lng, radius] = ['lat', 'lng', 'radius'].map((name) => this.#typed(name));
        clearProblem(this.#form);
        this.#answer.setAttribute('aria-busy', 'true');
        try {
            const [nearby, best] = await Promise.all([
                this.#context.api('GET', '/api/v1/decorations/nearby', { query: { lat, lng, radius, limit: MOST_DECORATIONS }, signal }),
                this.#context.api('GET', '/api/v1/edge-servers/best', { query: { lat, lng, limit: MOST_EDGES }, signal }),
            ]);
            if (!signal.aborted) {
                const place = { lat: Number(lat), lng: Number(lng) };
                this.#show(place, Number(radius), nearby.body, best.body);
                if (fly) {
                    this.#context.map.flyTo(place, zoomFor(place, Number(radius)));
                }
            }
        } catch (error) {
            if (!isAborted(error) && !signal.aborted) {
                this.#context.map.showProbe(null);
                fill(this.#answer);
                showProblem(this.#form, error, '');
            }
        } finally {
            if (!signal.aborted) {
                this.#answer.removeAttribute('aria-busy');
            }
        }
    }

    /**
     * @param {Place} place
     * @param {number} radius_m
     * @param {import('./probe_answer.js').Nearby} nearby
     * @param {import('./probe_answer.js').Best} best
     */
    #show(place, radius_m, nearby, best) {
        fill(this.#answer, phone(nearby, radius_m), edges(best));
        const first = best.items[0]?.edge_server ?? null;
        this.#context.map.showProbe({ ...place, radius_m, decorations: nearby.items, edge: first });
        // So that the address can be given to somebody; it is not a step to go back to.
        history.replaceState(null, '', `#/probe?${query(place)}&radius=${radius_m}`);
        const in_range = nearby.items.filter((item) => item.in_range).length;
        this.#said.textContent = `${counted(nearby.items.length, ['decoration', 'decorations'])}, ${in_range} in range; ${first ? `edge ${first.name}` : 'no edge'}.`;
    }

    /** A pair of coordinates that is pasted into one field fills both. @param {ClipboardEvent} event */
    #paste(event) {
        const found = pair(event.clipboardData?.getData('text') ?? '');
        if (found !== null) {
            event.preventDefault();
            this.#set('lat', found[0]);
            this.#set('lng', found[1]);
        }
    }
}
