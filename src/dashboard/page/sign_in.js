/**
 * The sign-in view. What is refused is said in the service's own words.
 */

import { fill, h } from './dom.js';
import { Problem, signIn, signOut, user } from './session.js';
import { fault } from './words.js';

/** @param {HTMLElement} host @param {string | null} reason why one is here again @param {() => void} enter */
export function showSignIn(host, reason, enter) {
    document.title = 'Sign in · ar-supervisor';
    const said = h('p', { class: 'sign-in-said', role: 'alert' }, reason);
    const email = field('E-mail', { type: 'email', name: 'email', autocomplete: 'username', required: true });
    const password = field('Password', { type: 'password', name: 'password', autocomplete: 'current-password', required: true });
    const button = /** @type {HTMLButtonElement} */ (h('button', { class: 'primary', type: 'submit' }, 'Sign in'));
    const form = h('form', { class: 'sign-in-form', novalidate: true, onsubmit: submit }, email.row, password.row, said, button);

    /** @param {SubmitEvent} event */
    async function submit(event) {
        event.preventDefault();
        button.disabled = true;
        said.textContent = 'Signing in…';
        try {
            await signIn(email.input.value.trim(), password.input.value);
            if (user()?.role !== 'admin') {
                await signOut().catch(() => {});
                throw new Error('You are known here, but this page is for admins.');
            }
            enter();
        } catch (error) {
            const faults = error instanceof Problem ? error.errors.map(({ field, detail }) => `${field} ${detail}`) : [];
            said.textContent = faults.length > 0 ? faults.join('; ') : fault(error);
            password.input.select();
        } finally {
            button.disabled = false;
        }
    }

    fill(
        host,
        h(
            'main',
            { class: 'sign-in' },
            h('div', { class: 'sign-in-card' }, h('h1', {}, h('span', { class: 'mark', 'aria-hidden': 'true' }), 'ar-supervisor'), h('p', { class: 'muted' }, 'Edge servers, decorations and devices, live.'), form),
        ),
    );
    email.input.focus();
}

/** @param {string} label @param {Record<string, unknown>} attributes */
function field(label, attributes) {
    const input = /** @type {HTMLInputElement} */ (h('input', attributes));
    return { input, row: h('label', { class: 'field' }, h('span', { class: 'field-label' }, label), input) };
}
