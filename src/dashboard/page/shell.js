/**
 * What surrounds the map: the header with its figures, the panel of the address, the banner of old figures, and what
 * is announced.
 */

import { announcer } from './announce.js';
import { fill, h } from './dom.js';
import { figures } from './figures.js';
import { createMap } from './map.js';
import { follow, go } from './router.js';
import { api, signOut, user } from './session.js';
import { setTheme, theme } from './settings.js';
import { staleness } from './staleness.js';
import { fault } from './words.js';

/** @typedef {{title: string, close(): void}} Panel */
/** @typedef {ReturnType<typeof openShell>['context']} Context */

/** What each address opens, and how it is called in the navigation. */
const PANELS = [
    { name: 'edges', label: 'Edges', load: () => import('./panels/edges.js') },
    { name: 'edge', within: 'edges', load: () => import('./panels/edge.js') },
    { name: 'alerts', label: 'Alerts', load: () => import('./panels/alerts.js') },
    { name: 'decorations', label: 'Decorations', load: () => import('./panels/decorations.js') },
    { name: 'decoration', within: 'decorations', load: () => import('./panels/decoration.js') },
    { name: 'probe', label: 'Probe', load: () => import('./panels/probe.js') },
    { name: 'users', label: 'Users', load: () => import('./panels/users.js') },
    { name: 'sessions', label: 'My account', load: () => import('./panels/sessions.js') },
    { name: 'audit', label: 'Audit', load: () => import('./panels/audit.js') },
];

/** @param {import('./live.js').Live} live */
export function openShell(live) {
    const said = announcer();
    const map_host = h('div', { class: 'map' });
    const body = h('div', { class: 'panel-body' });
    const heading = h('h2', { tabindex: '-1' });
    const panel_host = h(
        'section',
        { class: 'panel', 'aria-label': 'Panel', hidden: true },
        h('header', { class: 'panel-head' }, heading, h('button', { class: 'quiet', type: 'button', onclick: () => go('#/map') }, 'Close')),
        body,
    );
    const links = PANELS.filter(({ label }) => label).map(({ name, label }) => h('a', { href: `#/${name}`, 'data-route': name }, label));
    const nav = h('nav', { 'aria-label': 'Main' }, h('a', { href: '#/map', 'data-route': 'map' }, 'Map'), links);
    const overview = figures(live, links.find((link) => link.dataset.route === 'alerts'));
    const old = staleness(live, said.announce);
    const header = h(
        'header',
        { class: 'top' },
        h('a', { class: 'skip', href: '#/edges' }, 'Skip to the list of edge servers'),
        h('h1', {}, h('span', { class: 'mark', 'aria-hidden': 'true' }), 'ar-supervisor'),
        nav,
        h('div', { class: 'account' }, old.state, themeSwitch(), h('span', { class: 'who' }, user()?.email), h('button', { class: 'quiet', type: 'button', onclick: leave }, 'Sign out')),
    );
    fill(document.body, header, old.banner, overview.element, h('main', { class: 'stage' }, map_host, panel_host), said.element);

    const map = createMap(map_host, live, go);
    const context = { live, map, go, announce: said.announce, api, user };
    /** @type {Panel | null} */
    let panel = null;
    let opening = 0;
    let is_first = true;

    const unfollow = follow(show);

    /** @param {import('./router.js').Route} route */
    async function show({ name, parameters }) {
        const mine = ++opening;
        const asked = PANELS.find((panel) => panel.name === name);
        closePanel();
        for (const link of nav.querySelectorAll('a')) {
            const is_here = link.dataset.route === (asked?.within ?? asked?.name ?? 'map');
            if (is_here) {
                link.setAttribute('aria-current', 'page');
            } else {
                link.removeAttribute('aria-current');
            }
        }
        panel_host.hidden = asked === undefined;
        panel_host.dataset.panel = name;
        document.body.dataset.panel = asked === undefined ? 'none' : name;
        if (asked === undefined) {
            document.title = 'ar-supervisor';
            is_first = false;
            return;
        }
        const host = h('div', { class: `panel-content ${name}-panel` });
        // Until it says its own.
        heading.textContent = asked.label ?? 'Opening…';
        fill(body, host);
        body.scrollTop = 0;
        try {
            const opened = await asked.load();
            if (mine !== opening) {
                return;
            }
            // A panel whose title changes says so by an event of its host.
            host.addEventListener('title', titled);
            panel = opened.open(context, host, parameters);
            titled();
        } catch (error) {
            if (mine !== opening) {
                return;
            }
            heading.textContent = 'This did not open';
            document.title = 'ar-supervisor';
            fill(host, h('p', { role: 'alert' }, fault(error)));
        }
        if (!is_first && !panel_host.contains(document.activeElement)) {
            heading.focus({ preventScroll: true });
        }
        is_first = false;
    }

    function titled() {
        if (panel !== null) {
            heading.textContent = panel.title;
            document.title = `${panel.title} · ar-supervisor`;
        }
    }

    function closePanel() {
        const was = panel;
        panel = null;
        was?.close();
        fill(body);
    }

    function leave() {
        signOut().catch((error) => said.announce(fault(error), 'alert'));
    }

    function close() {
        opening += 1;
        unfollow();
        closePanel();
        overview.close();
        old.close();
        map.remove();
        document.body.removeAttribute('data-panel');
        document.body.removeAttribute('data-live');
        fill(document.body);
    }

    return { context, close };
}

function themeSwitch() {
    const words = /** @type {const} */ ({ auto: 'Auto', light: 'Light', dark: 'Dark' });
    const options = Object.entries(words).map(([value, word]) => h('option', { value, selected: theme() === value }, word));
    const chosen = (/** @type {Event} */ event) => setTheme(/** @type {any} */ (event.target).value);
    return h('label', { class: 'theme' }, h('span', { class: 'unseen' }, 'Theme'), h('select', { onchange: chosen }, options));
}
