/**
 * One's own account: where it is signed in, ending that, and one's name, e-mail and password.
 */

import { fill, h } from '../dom.js';
import { ago, time } from '../words.js';
import { ask } from './dialog.js';
import { Pages } from './pages.js';
import { profile } from './profile.js';

/** @typedef {import('./panel.js').Context} Context */
/** @typedef {import('./panel.js').Panel} Panel */
/**
 * @typedef {{id: string, current: boolean, created_at: string, last_used: string, expires_at: string,
 *     device_info: string | null, ip_address: string | null}} Session
 */

const PATH = '/api/v1/auth/sessions';

/** @param {Context} context @param {HTMLElement} host @returns {Panel} */
export function open(context, host) {
    /** @type {Pages<Session>} */
    const pages = new Pages({
        context,
        path: PATH,
        things: ['live session of yours', 'live sessions of yours'],
        query: () => ({}),
        table,
        row: (session) => row(context, session, pages),
        nothing: 'There is none.',
    });
    const others = h('button', { type: 'button', onclick: () => void endOthers(context, pages) }, 'End all others…');
    fill(
        host,
        h('section', {}, h('h3', {}, 'Where you are signed in'), pages.element, h('div', { class: 'row' }, others)),
        h('section', {}, h('h3', {}, 'Your account'), profile(context, () => void pages.load())),
    );
    void pages.load();
    return { title: 'My account', close: () => pages.close() };
}

function table() {
    const heads = ['Where', 'Last used', 'End'].map((text) => h('th', { scope: 'col' }, text));
    return h('table', {}, h('thead', {}, h('tr', {}, heads)), h('tbody', {}));
}

/** What a browser says of itself, in two words where that is possible. @param {string} device_info */
function deviceOf(device_info) {
    const browser = /(Edg|OPR|Firefox|Chrome|Safari)\//.exec(device_info)?.[1];
    const system = /(Android|iPhone|iPad|Windows|Mac OS X|Linux)/.exec(device_info)?.[1];
    const names = { Edg: 'Edge', OPR: 'Opera' };
    return browser && system ? `${names[/** @type {keyof names} */ (browser)] ?? browser} on ${system}` : device_info;
}

/** @param {Context} context @param {Session} session @param {Pages<Session>} pages */
function row(context, session, pages) {
    const { current, created_at, last_used, expires_at, device_info, ip_address } = session;
    const name = device_info === null ? 'an unnamed device' : deviceOf(device_info);
    const end = h('button', { type: 'button', class: 'quiet', 'aria-label': `End the session on ${name}`, onclick: () => void endOne(context, session, pages) }, 'End…');
    return h(
        'tr',
        {},
        h(
            'th',
            { scope: 'row', title: device_info },
            name,
            current ? h('span', { class: 'badge good' }, 'this one') : null,
            h('div', { class: 'muted' }, `from ${ip_address ?? 'an unknown address'}, since ${time(created_at)}`),
        ),
        h('td', {}, h('time', { datetime: last_used, title: last_used }, ago(last_used)), h('div', { class: 'muted' }, `ends ${time(expires_at)}`)),
        h('td', {}, end),
    );
}

/** @param {Context} context @param {Session} session */
async function end(context, { id }) {
    await context.api('DELETE', `${PATH}/${id}`);
}

/** @param {Context} context @param {Session} session @param {Pages<Session>} pages */
async function endOne(context, session, pages) {
    const text = session.current ? 'This is the session you use now: you will have to sign in again.' : 'Whoever uses it has to sign in again.';
    if (await ask({ title: 'End the session?', text, yes: 'End it', is_dangerous: true, act: () => end(context, session) })) {
        context.announce('The session has ended.');
        // After the own one, the answer says that nobody is signed in, and the page asks for the password.
        await pages.load();
    }
}

/** @param {Context} context @param {Pages<Session>} pages */
async function endOthers(context, pages) {
    const others = pages.items.filter((session) => !session.current);
    if (others.length === 0) {
        context.announce('There are no others.');
        return;
    }
    const act = async () => {
        await Promise.all(others.map((session) => end(context, session)));
    };
    const text = `${others.length === 1 ? 'One session ends' : `${others.length} sessions end`}; this one stays.`;
    if (await ask({ title: 'End all other sessions?', text, yes: 'End them', is_dangerous: true, act })) {
        context.announce('The other sessions have ended.');
        await pages.load();
    }
}
