/**
 * One decoration: made, changed, deleted, restored, sent to edges again. Other admins work on it at the same time: what
 * they do shows at once, and never overwrites what is typed here, nor the other way round.
 */

import { fill, h } from '../dom.js';
import { Problem } from '../session.js';
import { time } from '../words.js';
import { conflict } from './conflict.js';
import { acts } from './decoration_acts.js';
import { differing, writable } from './decoration_fields.js';
import { draftOf, dropDraft, keepDraft } from './drafts.js';
import { explain, isAborted, showProblem } from './field.js';
import { DecorationForm, blank } from './form.js';
import { Notice } from './notice.js';
import { Picker } from './picker.js';
import { isFar, placeOf } from './place.js';
import { Creation, replace, restore } from './save.js';
import { Watch } from './watch.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/** @typedef {import('./decoration_fields.js').Decoration} Decoration */
/** @typedef {import('./decoration_fields.js').Values} Values */

const NEW = 'new';
const CLOSE_ZOOM = 16;

/**
 * @param {Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters `id`, and `fly` when the map is to go there; or `new` as id with `lat` and `lng`
 * @returns {Panel}
 */
export function open(context, host, parameters) {
    const panel = new DecorationPanel(context, host, parameters);
    void panel.start(parameters);
    return { title: parameters.id === NEW ? 'New decoration' : 'Decoration', close: () => panel.close() };
}

class DecorationPanel {
    #context;
    /** @type {string} */
    #id;
    #user_id;
    /** What is typed starts from this. Null: it is a new one. @type {Decoration | null} */
    #base = null;
    #creation;
    #form;
    /** Null for a new one. @type {Watch | null} */
    #watch = null;
    #is_busy = false;
    #is_closed = false;
    /** Loaded: what is in the form is what somebody typed. */
    #is_ready = false;
    /** Deleted, and nothing is typed that could be lost. */
    #is_gone = false;
    #shown_place = '';
    #picker;

    #notice = new Notice();
    #head = h('div', { class: 'head' });
    #body = h('div', {});
    #foot = h('div', { class: 'foot' });
    #save_button = h('button', { type: 'submit', class: 'primary' }, 'Save');
    #undo = h('button', { type: 'button', onclick: () => this.#reset() }, 'Undo changes');

    /** @param {Context} context @param {HTMLElement} host @param {Record<string, string>} parameters */
    constructor(context, host, { id }) {
        this.#context = context;
        this.#id = id;
        this.#user_id = context.user()?.id ?? '';
        this.#creation = new Creation(context, draftOf(this.#user_id, id)?.attempt ?? null);
        this.#picker = new Picker(context.map, (place) => this.#form.type(place));
        this.#form = new DecorationForm({
            save: () => void this.#save(),
            change: () => this.#changed(),
            picker: h('p', { class: 'row' }, this.#picker.element),
            buttons: [this.#save_button, this.#undo],
        });
        this.#form.fill(blank());
        fill(host, h('div', { class: 'decoration' }, this.#notice.element, this.#head, this.#body, this.#foot));
        if (id !== NEW) {
            const gone = () => this.#is_gone || this.#gone('Somebody else deleted it just now.');
            this.#watch = new Watch(context, id, { current: (current) => this.#receive(current), gone, is_busy: () => this.#is_busy });
        }
        addEventListener('beforeunload', this.#guard);
    }

    /** @param {Record<string, string>} parameters */
    async start({ lat, lng, fly }) {
        const draft = draftOf(this.#user_id, this.#id);
        if (this.#id === NEW) {
            const place = lat && lng ? placeOf(Number(lat), Number(lng)) : null;
            this.#form.fill({ ...blank(), ...(place ?? {}) });
            this.#form.type({ ...(draft?.values ?? {}), ...(place ?? {}) });
            this.#picker.turn(true);
        }
        const current = this.#watch && (await this.#load(this.#watch));
        if (this.#watch !== null && current === null) {
            return;
        }
        this.#is_ready = true;
        fill(this.#body, this.#form.element);
        if (draft !== null) {
            this.#notice.say('What you had typed and not saved is here again.', ['Discard it', () => this.#reset()]);
        }
        if (current !== null) {
            this.#show(draft?.base ?? current);
            this.#form.type(draft?.values ?? {});
            this.#receive(current);
            this.#context.map.select({ decoration: current.id });
            if (fly || isFar(current, this.#context.map.center())) {
                this.#context.map.flyTo(current, CLOSE_ZOOM);
            }
        }
    }

    close() {
        this.#is_closed = true;
        this.#watch?.close();
        this.#picker.close();
        removeEventListener('beforeunload', this.#guard);
        this.#context.map.showPlace(null);
        this.#context.map.select(null);
        if (this.#form.is_changed && !this.#is_gone) {
            keepDraft(this.#user_id, { id: this.#id, values: this.#form.values(), base: this.#base, attempt: this.#creation.attempt });
            const name = this.#base?.name ?? 'the new decoration';
            this.#context.announce(`Not saved: your changes of ${name} are kept. Open it again to go on.`);
        } else if (this.#is_ready) {
            dropDraft(this.#user_id, this.#id);
        }
    }

    #guard = (/** @type {BeforeUnloadEvent} */ event) => {
        if (this.#form.is_changed && !this.#is_gone) {
            event.preventDefault();
        }
    };

    /** @param {Watch} watch @returns {Promise<Decoration | null>} null: the panel says why */
    async #load(watch) {
        try {
            return await watch.load();
        } catch (error) {
            if (error instanceof Problem && error.status === 404) {
                this.#gone('There is no such decoration, or it was deleted.');
            } else if (!isAborted(error)) {
                this.#notice.say(explain(error), ['Try again', () => void this.start({})]);
            }
            return null;
        }
    }

    /** Shows it as it is now. @param {Decoration} decoration */
    #show(decoration) {
        this.#base = decoration;
        if (this.#is_gone) {
            this.#is_gone = false;
            this.#notice.hush();
            fill(this.#body, this.#form.element);
        }
        this.#form.fill(writable(decoration));
        this.#rename();
        fill(this.#foot, acts(this.#context, decoration, this.#deleted));
    }

    #rename() {
        const name = this.#base?.name;
        fill(this.#head, name && h('h3', {}, name, this.#base?.is_active ? null : h('span', { class: 'badge' }, 'hidden')));
    }

    /** Takes in what is there now: at once when nothing is typed, else only when that is no loss. @param {Decoration} current */
    #receive(current) {
        if (this.#base !== null && current.version <= this.#base.version) {
            return;
        }
        const is_other = this.#base === null || differing(writable(this.#base), writable(current)).size > 0;
        if (!this.#form.is_changed) {
            this.#show(current);
        } else if (is_other) {
            this.#notice.say('Changed by somebody else just now.', ['Compare', () => this.#compare(current)]);
        } else {
            this.#base = current;
        }
    }

    async #save() {
        if (this.#is_busy) {
            return;
        }
        const values = this.#form.values();
        this.#busy(true);
        try {
            const saved = this.#base === null ? await this.#creation.send(values) : await replace(this.#context, this.#base.id, this.#base.version, values);
            this.#saved(saved);
        } catch (error) {
            this.#failed(error, values);
        } finally {
            this.#busy(false);
        }
    }

    /** @param {Decoration} saved */
    #saved(saved) {
        this.#notice.hush();
        this.#show(saved);
        dropDraft(this.#user_id, this.#id);
        this.#context.announce(this.#id === NEW ? `${saved.name} is created.` : 'Saved.');
        this.#context.map.reload('decorations');
        if (this.#id === NEW && !this.#is_closed) {
            this.#context.go(`#/decoration/${saved.id}`);
        }
    }

    /** @param {unknown} error @param {Values} values */
    #failed(error, values) {
        // A creation whose first try was done after all is a replacement from here on.
        this.#base ??= this.#creation.created;
        if (!(error instanceof Problem)) {
            throw error;
        }
        if (error.status === 412 && error.current !== null) {
            // The answer to an earlier try may have been lost: then this is what we sent.
            const is_same = differing(values, writable(error.current)).size === 0;
            return is_same ? this.#saved(error.current) : this.#compare(error.current);
        }
        if (error.status === 404) {
            return this.#gone('Somebody else deleted it. Restore it to save your changes.');
        }
        showProblem(this.#form.element, error);
    }

    /** Lets choose between what is typed and what somebody else made of it. @param {Decoration} theirs */
    #compare(theirs) {
        this.#notice.hush();
        const mine = this.#form.values();
        const back = () => {
            fill(this.#body, this.#form.element);
            this.#save_button.focus();
        };
        const save = (/** @type {Values} */ merged) => {
            this.#show(theirs);
            this.#form.type(merged);
            back();
            if (this.#form.is_changed) {
                void this.#save();
            } else {
                this.#context.announce('It is as they left it.');
            }
        };
        const base = writable(this.#base ?? theirs);
        const view = conflict({ base, mine, theirs: writable(theirs), when: `at ${time(theirs.updated_at)}`, save, back });
        fill(this.#body, view);
        view.querySelector('h3')?.focus();
    }

    /** It was deleted here, knowingly, and with what was typed. */
    #deleted = () => {
        this.#form.fill(this.#form.values());
        this.#gone('It is deleted.');
    };

    /** @param {string} text */
    #gone(text) {
        this.#is_gone = !this.#form.is_changed;
        if (this.#is_gone) {
            fill(this.#body);
            this.#context.map.showPlace(null);
            this.#shown_place = '';
        }
        fill(this.#foot);
        this.#context.map.reload('decorations');
        this.#notice.say(text, ['Restore it', () => void this.#restore()], ['All decorations', () => this.#context.go('#/decorations')]);
        this.#notice.element.querySelector('button')?.focus();
    }

    async #restore() {
        try {
            const restored = await restore(this.#context, this.#id);
            this.#notice.hush();
            fill(this.#body, this.#form.element);
            if (this.#base === null || this.#is_gone) {
                this.#show(restored);
            } else {
                this.#receive(restored);
                fill(this.#foot, acts(this.#context, restored, this.#deleted));
            }
            this.#context.announce(`${restored.name} is restored.`);
            this.#context.map.reload('decorations');
        } catch (error) {
            const is_unknown = error instanceof Problem && error.status === 404;
            this.#context.announce(is_unknown ? 'There was never a decoration with this id.' : explain(error), 'alert');
        }
    }

    /** Back to what is there. */
    #reset() {
        this.#notice.hush();
        if (this.#base === null) {
            this.#form.fill(blank());
        } else {
            this.#show(this.#base);
            this.#watch?.soon();
        }
        dropDraft(this.#user_id, this.#id);
    }

    #changed() {
        this.#undo.toggleAttribute('disabled', !this.#form.is_changed);
        const place = this.#form.preview();
        const shown = JSON.stringify(place);
        if (shown !== this.#shown_place && !this.#is_closed) {
            this.#shown_place = shown;
            this.#context.map.showPlace(place);
        }
    }

    /** @param {boolean} on */
    #busy(on) {
        this.#is_busy = on;
        this.#save_button.toggleAttribute('disabled', on);
        this.#save_button.textContent = on ? 'Saving…' : 'Save';
    }
}
