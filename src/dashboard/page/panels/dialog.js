/**
 * Asking before something is done, and showing what is shown once. Escape answers no; the focus goes back to where it
 * was.
 */

import { fill, h } from '../dom.js';
import { explain } from './field.js';

/** @typedef {import('../dom.js').Child} Child */

let dialogs = 0;

/**
 * Opens a modal dialog that is gone once it is closed.
 *
 * @param {string} title
 * @param {(dialog: HTMLDialogElement) => (Child | Child[])[]} content
 * @param {() => void} [closed]
 */
function open(title, content, closed) {
    const came_from = document.activeElement;
    const id = `dialog-${(dialogs += 1)}`;
    const dialog = /** @type {HTMLDialogElement} */ (h('dialog', { class: 'ask', 'aria-labelledby': id }));
    fill(dialog, h('h2', { id }, title), ...content(dialog));
    dialog.addEventListener('close', () => {
        dialog.remove();
        if (came_from instanceof HTMLElement && came_from.isConnected) {
            came_from.focus();
        }
        closed?.();
    });
    document.body.append(dialog);
    dialog.showModal();
}

/**
 * Asks, and does it on yes. While it is being done the dialog stays; when that fails it says why, and one can try again.
 *
 * @param {object} question
 * @param {string} question.title
 * @param {string} question.text what will happen
 * @param {string} question.yes the verb
 * @param {boolean} [question.is_dangerous]
 * @param {() => Promise<void>} question.act
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, text, yes, is_dangerous = false, act }) {
    return new Promise((resolve) => {
        let done = false;
        const content = (/** @type {HTMLDialogElement} */ dialog) => {
            const fault = h('p', { class: 'field-error', role: 'alert', hidden: true });
            const go = h('button', { type: 'button', class: is_dangerous ? 'danger' : 'primary' }, yes);
            const no = h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Cancel');
            go.addEventListener('click', async () => {
                go.setAttribute('disabled', '');
                fault.hidden = true;
                try {
                    await act();
                    done = true;
                    dialog.close();
                } catch (error) {
                    fault.textContent = explain(error);
                    fault.hidden = false;
                    go.removeAttribute('disabled');
                    go.focus();
                }
            });
            return [h('p', {}, text), fault, h('div', { class: 'row' }, go, no)];
        };
        open(title, content, () => resolve(done));
    });
}

/**
 * Shows a secret that cannot be shown again, with a button that copies it.
 *
 * @param {{title: string, text: string, label: string, secret: string}} shown
 */
export function showSecret({ title, text, label, secret }) {
    open(title, (dialog) => {
        const value = /** @type {HTMLInputElement} */ (h('input', { readonly: true, value: secret, 'aria-label': label, class: 'secret' }));
        const said = h('p', { class: 'muted', role: 'status' });
        const copy = async () => {
            said.textContent = (await copied(value)) ? 'Copied.' : 'The browser does not let the page copy: the text is selected, copy it yourself.';
        };
        value.addEventListener('focus', () => value.select());
        const buttons = [
            h('button', { type: 'button', class: 'primary', autofocus: true, onclick: copy }, 'Copy'),
            h('button', { type: 'button', onclick: () => dialog.close() }, 'Close'),
        ];
        return [h('p', {}, text), value, said, h('div', { class: 'row' }, buttons)];
    });
}

/** @param {HTMLInputElement} value @returns {Promise<boolean>} */
async function copied(value) {
    value.focus();
    value.select();
    try {
        await navigator.clipboard.writeText(value.value);
        return true;
    } catch {
        // Over plain HTTP there is no clipboard; the old way may still be there.
        return document.execCommand('copy');
    }
}
