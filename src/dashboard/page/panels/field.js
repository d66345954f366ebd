/**
 * Labelled controls, and what is wrong with them: a hint below each, and the service's own words about a value beside
 * the value. Nothing here judges; the service does.
 */

import { fill, h } from '../dom.js';
import { Problem } from '../session.js';

/**
 * @typedef {object} FieldOptions
 * @property {string} name as the service calls it
 * @property {string} label
 * @property {string} [hint]
 * @property {'input' | 'textarea' | 'select'} [tag]
 * @property {Record<string, unknown>} [attributes] of the control
 * @property {(string | [string, string])[]} [options] of a select: words, or pairs of word and text
 */

let fields = 0;

/** A control with its label, its hint, and room for what is wrong. @param {FieldOptions} options @returns {HTMLElement} */
export function field({ name, label, hint, tag = 'input', attributes = {}, options = [] }) {
    const id = `field-${(fields += 1)}`;
    const described = [`${id}-fault`, hint ? `${id}-hint` : ''].join(' ').trim();
    const choices = options.map((option) => (typeof option === 'string' ? [option, option] : option));
    const control = h(
        tag,
        { id, name, autocomplete: 'off', 'aria-describedby': described, ...attributes },
        choices.map(([value, text]) => h('option', { value }, text)),
    );
    return h(
        'div',
        { class: attributes.type === 'checkbox' ? 'field check' : 'field', 'data-field': name },
        h('label', { for: id }, label),
        control,
        hint ? h('p', { id: `${id}-hint`, class: 'hint muted' }, hint) : null,
        h('p', { id: `${id}-fault`, class: 'field-error', hidden: true }),
    );
}

/** The room for what is wrong with no field in particular. @returns {HTMLElement} */
export function faultsBox() {
    return h('div', { class: 'faults', role: 'alert', hidden: true });
}

/**
 * The control of a field.
 *
 * @param {Element} form
 * @param {string} name
 * @returns {(HTMLInputElement & HTMLSelectElement & HTMLTextAreaElement) | null}
 */
export function control(form, name) {
    return form.querySelector(`[data-field="${CSS.escape(name)}"] [name]`);
}

/**
 * Shows a problem: each fault beside its field, the others in the box, and the focus on the first field at fault.
 *
 * @param {HTMLElement} form
 * @param {unknown} error
 * @param {string} [kept] what is to be said of the input when the service was not reached
 */
export function showProblem(form, error, kept = 'What you typed is still here.') {
    clearProblem(form);
    /** @type {import('../session.js').FieldFault[]} */
    const faults = error instanceof Problem ? error.errors : [];
    const elsewhere = faults.filter((fault) => control(form, fault.field) === null);
    for (const fault of faults) {
        showFault(form, fault.field, fault.detail);
    }
    const said = elsewhere.map((fault) => `${fault.field}: ${fault.detail}`);
    if (faults.length === 0) {
        said.push(`${explain(error)} ${kept}`);
    }
    const box = form.querySelector('.faults');
    if (box instanceof HTMLElement && said.length > 0) {
        fill(box, said.map((text) => h('p', {}, text)));
        box.hidden = false;
        box.scrollIntoView({ block: 'nearest' });
    }
    const first = form.querySelector('[aria-invalid="true"]');
    if (first instanceof HTMLElement) {
        first.closest('details')?.setAttribute('open', '');
        first.focus();
    }
}

/** @param {HTMLElement} form @param {string} name @param {string} detail */
function showFault(form, name, detail) {
    const at_fault = control(form, name);
    const room = at_fault?.closest('.field')?.querySelector('.field-error');
    if (!at_fault || !(room instanceof HTMLElement)) {
        return;
    }
    at_fault.setAttribute('aria-invalid', 'true');
    room.textContent = room.hidden ? sentence(detail) : `${room.textContent} ${sentence(detail)}`;
    room.hidden = false;
    at_fault.addEventListener('input', () => clearFault(at_fault), { once: true });
}

/** @param {Element} at_fault */
function clearFault(at_fault) {
    at_fault.removeAttribute('aria-invalid');
    const room = at_fault.closest('.field')?.querySelector('.field-error');
    if (room instanceof HTMLElement) {
        fill(room);
        room.hidden = true;
    }
}

/** @param {HTMLElement} form */
export function clearProblem(form) {
    form.querySelectorAll('[aria-invalid]').forEach(clearFault);
    const box = form.querySelector('.faults');
    if (box instanceof HTMLElement) {
        fill(box);
        box.hidden = true;
    }
}

/** @param {string} detail */
function sentence(detail) {
    return `${detail.charAt(0).toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? '' : '.'}`;
}

/** @type {Record<number, string>} */
const CURES = {
    0: 'The server does not answer. See whether it runs and whether you are online, then try again.',
    401: 'Your session has ended. Sign in again, then try again.',
    403: 'Your account may not do this: it takes an admin.',
    429: 'Too many requests. Wait a few seconds, then try again.',
    503: 'The server is busy or restarting. Wait a few seconds, then try again.',
};

/** What went wrong and what to do. @param {unknown} error @returns {string} */
export function explain(error) {
    if (!(error instanceof Problem)) {
        return 'The page failed: reload it, and if that does not help, tell whoever runs it.';
    }
    return CURES[error.status] ?? sentence(error.message);
}

/** Whether it was given up by ourselves, which is nothing to tell. @param {unknown} error */
export function isAborted(error) {
    return error instanceof DOMException && error.name === 'AbortError';
}
