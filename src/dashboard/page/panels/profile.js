/**
 * One's own name, e-mail and password.
 */

import { h } from '../dom.js';
import { clearProblem, control, faultsBox, field, showProblem } from './field.js';

/** @typedef {import('./panel.js').Context} Context */

const PATH = '/api/v1/auth/profile';

/**
 * @param {Context} context
 * @param {() => void} changed
 * @returns {HTMLElement}
 */
export function profile(context, changed) {
    const user = context.user();
    const before = { full_name: user?.full_name ?? '', email: user?.email ?? '' };
    const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
    const form = h(
        'form',
        { class: 'profile', novalidate: true },
        faultsBox(),
        field({ name: 'full_name', label: 'Name', attributes: { value: before.full_name, autocomplete: 'name' } }),
        field({ name: 'email', label: 'E-mail', hint: 'You sign in with it. A change needs the password.', attributes: { type: 'email', value: before.email, autocomplete: 'username' } }),
        field({ name: 'new_password', label: 'New password', hint: '12 to 128 characters, not easy to guess; nothing to keep the old one. It ends your other sessions.', attributes: { type: 'password', autocomplete: 'new-password' } }),
        field({ name: 'current_password', label: 'Password as it is', hint: 'For a change of e-mail or password.', attributes: { type: 'password', autocomplete: 'current-password' } }),
        h('div', { class: 'row' }, save),
    );
    const typed = (/** @type {string} */ name) => control(form, name)?.value ?? '';
    const send = async () => {
        const full_name = typed('full_name');
        const email = typed('email').trim();
        const body = {
            ...(full_name === before.full_name ? {} : { full_name }),
            ...(email === before.email ? {} : { email }),
            ...(typed('new_password') === '' ? {} : { new_password: typed('new_password') }),
            ...(typed('current_password') === '' ? {} : { current_password: typed('current_password') }),
        };
        clearProblem(form);
        save.setAttribute('disabled', '');
        try {
            const answer = await context.api('PUT', PATH, { body });
            before.full_name = answer.body.full_name;
            before.email = answer.body.email;
            for (const name of ['new_password', 'current_password']) {
                const target = control(form, name);
                if (target !== null) {
                    target.value = '';
                }
            }
            context.announce('Your account is changed.');
            changed();
        } catch (error) {
            showProblem(form, error);
        } finally {
            save.removeAttribute('disabled');
        }
    };
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        void send();
    });
    return form;
}
