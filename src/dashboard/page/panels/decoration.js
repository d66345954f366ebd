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
import { explain, showProblem } from './field.js';
import { DecorationForm, blank } from './form.js';
import { Notice } from './notice.js';
import { OnMap } from './on_map.js';
import { placeOf } from './place.js';
import { Creation, replace, restore } from './save.js';
import { Watch } from './watch.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/** @typedef {import('./decoration_fields.js').Decoration} Decoration */
/** @typedef {import('./decoration_fields.js').Values} Values */

const NEW = 'new';

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
    /** `new` until it is created. @type {string} */
    #id;
    #user_id;
    /** What is typed starts from this. Null: it is a new one. @type {Decoration | null} */
    #base = null;
    #creation;
    #form;
    #on_map;
    /** Null for a new one. @type {Watch | null} */
    #watch = null;
    #is_busy = false;
    #is_closed = false;
    /** It was deleted, as far as is known here. */
    #is_gone = false;
    /** Loaded: what is in the form is what somebody typed. */
    #is_ready = false;

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
        this.#on_map = new OnMap(context.map, (place) => this.#form.type(place));
        this.#form = new DecorationForm({
            save: () => void this.#save(),
            change: () => this.#changed(),
            picker: h('p', { class: 'row' }, this.#on_map.button),
            buttons: [this.#save_button, this.#undo],
        });
        this.#form.fill(blank());
        fill(host, h('div', { class: 'decoration' }, this.#notice.element, this.#head, this.#body, this.#foot));
        if (id !== NEW) {
            this.#watch = new Watch(context, id, {
                current: (current) => this.#receive(current),
                gone: () => this.#gone('Somebody else deleted it just now.'),
                is_busy: () => this.#is_busy,
                is_gone: () => this.#is_gone,
            });
        }
        addEventListener('beforeunload', this.#guard);
    }

    /** @param {Record<string, string>} parameters */
    async start({ lat, lng, fly }) {
        const draft = draftOf(this.#user_id, this.#id);
        const place = lat && lng ? placeOf(Number(lat), Number(lng)) : null;
        const current = this.#watch && (await this.#load(this.#watch));
        if (this.#watch !== null && current === null) {
            return;
        }
        this.#is_ready = true;
        fill(this.#body, this.#form.element);
        if (draft !== null) {
            this.#notice.say('What you had typed and not saved is here again.', ['Discard it', () => this.#reset()]);
        }
        if (current === null) {
            this.#form.fill({ ...blank(), ...(place ?? {}) });
            this.#form.type({ ...(draft?.values ?? {}), ...(place ?? {}) });
            this.#on_map.pick(true);
        } else {
            this.#show(draft?.base ?? current);
            this.#form.type(draft?.values ?? {});
            this.#receive(current);
            this.#on_map.mark(current, Boolean(fly));
        }
    }

    close() {
        this.#is_closed = true;
        this.#watch?.close();
        this.#on_map.close();
        removeEventListener('beforeunload', this.#guard);
        if (this.#form.is_changed && this.#is_ready) {
            keepDraft(this.#user_id, { id: this.#id, values: this.#form.values(), base: this.#base, attempt: this.#creation.attempt });
            const name = this.#base?.name ?? 'the new decoration';
            this.#context.announce(`Not saved: your changes of ${name} are kept. Open it again to go on.`);
        } else if (this.#is_ready) {
            dropDraft(this.#user_id, this.#id);
        }
    }

    #guard = (/** @type {Event} */ event) => this.#form.is_changed && event.preventDefault();

    /** @param {Watch} watch @returns {Promise<Decoration | null>} null: the panel says why */
    #load(watch) {
        const missing = () => this.#gone('There is no such decoration, or it was deleted.');
        return watch.find(missing, (why) => this.#notice.say(why, ['Try again', () => void this.start({})]));
    }

    /** Shows it as it is now. @param {Decoration} decoration @param {Values} [sent] what was typed since then stays */
    #show(decoration, sent) {
        this.#base = decoration;
        this.#form.fill(writable(decoration), sent);
        const hidden = decoration.is_active ? null : h('span', { class: 'badge' }, 'hidden');
        fill(this.#head, h('h3', {}, decoration.name, hidden));
        fill(this.#foot, acts(this.#context, decoration, () => this.#deleted()));
    }

    /** Takes in what is there now: at once when nothing is typed, else only when that is no loss. @param {Decoration} current */
    #receive(current) {
        if (this.#base !== null && current.version <= this.#base.version) {
            return;
        }
        if (!this.#form.is_changed) {
            this.#show(current);
        } else if (this.#base !== null && differing(writable(this.#base), writable(current)).size === 0) {
            this.#base = current;
        } else {
            this.#notice.say('Changed by somebody else just now.', ['Compare', () => this.#compare(current)]);
        }
    }

    async #save() {
        if (this.#is_busy) {
            return;
        }
        const sent = this.#form.values();
        this.#busy(true);
        try {
            const base = this.#base;
            this.#saved(await (base === null ? this.#creation.send(sent) : replace(this.#context, base.id, base.version, sent)), sent);
        } catch (error) {
            this.#failed(error, sent);
        } finally {
            this.#busy(false);
        }
    }

    /** @param {Decoration} saved @param {Values} sent */
    #saved(saved, sent) {
        const was_new = this.#id === NEW;
        dropDraft(this.#user_id, this.#id);
        this.#id = saved.id;
        this.#notice.hush();
        this.#show(saved, sent);
        this.#context.announce(was_new ? `${saved.name} is created.` : 'Saved.');
        this.#context.map.reload('decorations');
        if (this.#watch === null && !this.#is_closed) {
            this.#context.go(`#/decoration/${saved.id}`);
        }
    }

    /** @param {unknown} error @param {Values} sent */
    #failed(error, sent) {
        const { created } = this.#creation;
        if (this.#base === null && created !== null) {
            // The first try was done after all: from here on it is a replacement.
            [this.#base, this.#id] = [created, created.id];
        }
        const current = error instanceof Problem && error.status === 412 ? error.current : null;
        if (current !== null && differing(sent, writable(current)).size === 0) {
            // What we sent: the answer to an earlier try was lost.
            this.#saved(current, sent);
        } else if (current !== null) {
            this.#compare(current);
        } else if (error instanceof Problem && error.status === 404) {
            this.#gone('Somebody else deleted it. Restore it to save your changes.');
        } else {
            showProblem(this.#form.element, error);
        }
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
    #deleted() {
        this.#form.fill(this.#form.values());
        this.#gone('It is deleted.');
    }

    /** @param {string} text */
    #gone(text) {
        this.#is_gone = true;
        this.#notice.say(text, ['Restore it', () => void this.#restore()], ['All decorations', () => this.#context.go('#/decorations')]);
        fill(this.#foot);
        if (!this.#form.is_changed) {
            fill(this.#body);
            this.#on_map.draw(null);
            this.#notice.focus();
        }
        this.#context.map.reload('decorations');
    }

    async #restore() {
        try {
            const restored = await restore(this.#context, this.#id);
            this.#context.announce(`${restored.name} is restored.`);
        } catch (error) {
            if (!(error instanceof Problem && error.code === 'not_deleted')) {
                return this.#context.announce(explain(error), 'alert');
            }
        }
        this.#is_gone = false;
        this.#notice.hush();
        this.#context.map.reload('decorations');
        const current = this.#watch && (await this.#load(this.#watch));
        if (current !== null) {
            fill(this.#body, this.#form.element);
            fill(this.#foot, acts(this.#context, current, () => this.#deleted()));
            this.#is_ready = true;
            this.#receive(current);
            this.#on_map.mark(current, false);
            this.#changed();
        }
    }

    /** Back to what is there. */
    #reset() {
        this.#notice.hush();
        this.#form.fill(this.#base === null ? blank() : writable(this.#base));
        this.#watch?.soon();
        dropDraft(this.#user_id, this.#id);
    }

    #changed() {
        this.#undo.toggleAttribute('disabled', !this.#form.is_changed);
        if (!this.#is_closed) {
            this.#on_map.draw(this.#form.preview());
        }
    }

    /** @param {boolean} on */
    #busy(on) {
        this.#is_busy = on;
        this.#save_button.setAttribute('aria-disabled', String(on));
        this.#save_button.textContent = on ? 'Saving…' : 'Save';
    }
}
