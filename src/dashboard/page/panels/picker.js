/**
 * Picking a place on the map: while the button is pressed, clicks on the map are ours.
 */

import { h } from '../dom.js';
import { clicked } from './place.js';

/** @typedef {import('./panel.js').Place} Place */

export class Picker {
    #is_on = false;
    #stop;
    element = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.turn(!this.#is_on) });

    /** @param {import('./panel.js').PanelMap} map @param {(place: Place) => void} picked */
    constructor(map, picked) {
        this.#stop = map.onClick((place) => {
            const is_ours = this.#is_on && this.element.isConnected;
            if (is_ours) {
                picked(clicked(place));
            }
            return is_ours;
        });
        this.turn(false);
    }

    /** @param {boolean} on */
    turn(on) {
        this.#is_on = on;
        this.element.setAttribute('aria-pressed', String(on));
        this.element.textContent = on ? 'Click the map to place it' : 'Pick on the map';
    }

    close() {
        this.#stop();
    }
}
