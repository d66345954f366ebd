/**
 * A line that says what happened meanwhile, with buttons for what can be done about it. Screen readers say it too.
 */

import { fill, h } from '../dom.js';

export class Notice {
    element = h('div', { class: 'notice', role: 'status', hidden: true });

    /** @param {string} text @param {...[string, () => void]} offers */
    say(text, ...offers) {
        const buttons = offers.map(([label, act]) => h('button', { type: 'button', onclick: act }, label));
        fill(this.element, h('p', {}, text), h('div', { class: 'row' }, buttons));
        this.element.hidden = false;
    }

    /** Goes to the first offer. */
    focus() {
        this.element.querySelector('button')?.focus();
    }

    hush() {
        fill(this.element);
        this.element.hidden = true;
    }
}
