/**
 * Accounts: who may sign in, and as what. Every change is asked about first, and those that would lock everybody out
 * are refused by the service.
 */

import { fill, h } from '../dom.js';
import { ago, time } from '../words.js';
import { ask, showSecret } from './dialog.js';
import { field } from './field.js';
import { Pages, asTyped } from './pages.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/**
 * @typedef {{id: string, email: string, full_name: string, role: 'admin' | 'user', is_active: boolean, created_at: string,
 *     last_login: string | null}} Account
 */

const PATH = '/api/v1/users';
const PAGE = 100;

/**
 * @param {Context} context
 * @param {HTMLElement} host
 * @param {Record<string, string>} parameters filters to begin with
 * @returns {Panel}
 */
export function open(context, host, { email = '' }) {
    const form = /** @type {HTMLFormElement} */ (
        h(
            'form',
            { role: 'search', class: 'filters', 'aria-label': 'Users' },
            field({ name: 'email', label: 'E-mail', hint: 'The whole address.', attributes: { type: 'search', value: email } }),
            field({ name: 'role', label: 'Role', tag: 'select', options: [['', 'Any'], ['admin', 'Admins'], ['user', 'Users']] }),
            field({ name: 'is_active', label: 'State', tag: 'select', options: [['', 'Any'], ['true', 'May sign in'], ['false', 'Disabled']] }),
        )
    );
    /** @type {Pages<Account>} */
    const pages = new Pages({
        context,
        path: PATH,
        things: ['account', 'accounts'],
        query: () => ({ ...Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()])), limit: PAGE }),
        table,
        row: (account) => row(context, account, pages),
        nothing: 'No account is like that. An e-mail has to be whole: ada@example.org.',
    });
    const stop = asTyped(form, () => void pages.load());
    fill(host, form, pages.element);
    void pages.load();
    return {
        title: 'Users',
        close() {
            stop();
            pages.close();
        },
    };
}

function table() {
    const heads = ['Account', 'Role', 'Last sign-in', 'Change'].map((text) => h('th', { scope: 'col' }, text));
    return h('table', { class: 'users' }, h('thead', {}, h('tr', {}, heads)), h('tbody', {}));
}

/** @param {Context} context @param {Account} account @param {Pages<Account>} pages */
function row(context, account, pages) {
    const { id, email, full_name, role, is_active, last_login, created_at } = account;
    const is_me = id === context.user()?.id;
    const acts = [
        changeRole(context, account, pages),
        changeState(context, account, pages),
        button('New password…', full_name, () => void offerPassword(context, account)),
    ];
    return h(
        'tr',
        { 'data-id': id },
        h('th', { scope: 'row' }, full_name, is_me ? h('span', { class: 'badge' }, 'you') : null, h('div', { class: 'muted' }, email)),
        h('td', {}, role, is_active ? null : h('span', { class: 'badge warn' }, 'disabled')),
        h('td', {}, last_login ? h('time', { datetime: last_login, title: last_login }, ago(last_login)) : 'never signed in', h('div', { class: 'muted' }, `made ${time(created_at)}`)),
        h('td', {}, h('div', { class: 'row' }, acts)),
    );
}

/** @param {string} text @param {string} whom @param {() => void} onclick */
function button(text, whom, onclick) {
    return h('button', { type: 'button', class: 'quiet', onclick }, text, h('span', { class: 'unseen' }, ` ${whom}`));
}

/** @param {Context} context @param {Account} account @param {Pages<Account>} pages */
function changeRole(context, account, pages) {
    const { full_name, role, id } = account;
    const to_admin = role === 'user';
    const is_me = id === context.user()?.id;
    const text = to_admin
        ? `${full_name} may then do everything that you may: change decorations, edges and accounts.`
        : `${is_me ? 'You lose' : `${full_name} loses`} this page and every right of an admin within seconds.`;
    const question = { title: to_admin ? `Make ${full_name} an admin?` : `Make ${full_name} a plain user?`, text, yes: to_admin ? 'Make admin' : 'Make user', is_dangerous: true };
    return button(to_admin ? 'Make admin…' : 'Make user…', full_name, () => void change(context, account, pages, { role: to_admin ? 'admin' : 'user' }, question));
}

/** @param {Context} context @param {Account} account @param {Pages<Account>} pages */
function changeState(context, account, pages) {
    const { full_name, is_active } = account;
    const question = is_active
        ? { title: `Disable ${full_name}?`, text: 'All sessions of the account end, and it cannot sign in until it is enabled again.', yes: 'Disable', is_dangerous: true }
        : { title: `Enable ${full_name}?`, text: 'The account can sign in again, with the password it had.', yes: 'Enable' };
    return button(is_active ? 'Disable…' : 'Enable…', full_name, () => void change(context, account, pages, { is_active: !is_active }, question));
}

/**
 * @param {Context} context
 * @param {Account} account
 * @param {Pages<Account>} pages
 * @param {Record<string, unknown>} body
 * @param {{title: string, text: string, yes: string, is_dangerous?: boolean}} question
 */
async function change(context, account, pages, body, question) {
    const act = async () => {
        const answer = await context.api('PATCH', `${PATH}/${account.id}`, { body });
        Object.assign(account, answer.body);
    };
    if (await ask({ ...question, act })) {
        context.announce(`${account.full_name} is changed.`);
        pages.render();
        const again = pages.element.querySelector(`tr[data-id="${CSS.escape(account.id)}"] button`);
        /** @type {HTMLElement | null} */ (again)?.focus();
    }
}

/** @param {Context} context @param {Account} account */
async function offerPassword(context, { id, email, full_name }) {
    /** @type {{reset_token: string, expires_in: number} | null} */
    let made = null;
    const act = async () => {
        made = (await context.api('POST', `${PATH}/${id}/password-reset`)).body;
    };
    const text = `You get a token for ${email}, to hand to its owner, who sets a new password with it. An earlier token is void. The password as it is stays good until then.`;
    await ask({ title: `New password for ${full_name}?`, text, yes: 'Make a token', act });
    if (made !== null) {
        const { reset_token, expires_in } = /** @type {{reset_token: string, expires_in: number}} */ (made);
        showSecret({
            title: `Token for ${full_name}`,
            text: `It is shown this once, and good once within ${Math.round(expires_in / 60)} minutes: POST /api/v1/auth/password-reset with reset_token and new_password. Hand it to nobody else.`,
            label: 'Token for a new password',
            secret: reset_token,
        });
    }
}
