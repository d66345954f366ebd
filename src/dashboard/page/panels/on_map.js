/**
 * A decoration's place on the map: drawn with its radius while it is typed, and picked by a click while the button for
 * that is pressed.
 */

import { h } from '../dom.js';
import { clicked, isFar, zoomFor } from './place.js';

/** @typedef {import('./panel.js').Place} Place */

/** Closer one sees nothing but the decoration. */
const LEAST_RADIUS_M = 60;

export class OnMap {
    #map;
    #stop;
    #is_picking = false;
    #drawn = '';
    button = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.pick(!this.#is_picking) });

    /** @param {import('./panel.js').PanelMap} map @param {(place: Place) => void} picked */
    constructor(map, picked) {
        this.#map = map;
        this.#stop = map.onClick((place) => {
            const is_ours = this.#is_picking && this.button.isConnected;
            if (is_ours) {
                picked(clicked(place));
            }
            return is_ours;
        });
        this.pick(false);
    }

    /** Whether clicks on the map pick a place. @param {boolean} on */
    pick(on) {
        this.#is_picking = on;
        this.button.setAttribute('aria-pressed', String(on));
        this.button.textContent = on ? 'Click the map to place it' : 'Pick on the map';
    }

    /** @param {(Place & {radius_m: number}) | null} place */
    draw(place) {
        const drawn = JSON.stringify(place);
        if (drawn !== this.#drawn) {
            this.#drawn = drawn;
            this.#map.showPlace(place);
        }
    }

    /** Shows which one it is, and goes there when that is wanted or it is out of sight. @param {import('./decoration_fields.js').Decoration} decoration @param {boolean} fly */
    mark(decoration, fly) {
        this.#map.select({ decoration: decoration.id });
        if (fly || isFar(decoration, this.#map.center())) {
            this.#map.flyTo(decoration, zoomFor(decoration, Math.max(decoration.radius_meters, LEAST_RADIUS_M)));
        }
    }

    close() {
        this.#stop();
        this.#map.showPlace(null);
        this.#map.select(null);
    }
}
