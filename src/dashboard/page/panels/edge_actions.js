/**
 * What can be done with an edge server: drain it, send it everything again, give it a new key. Each is asked about
 * first, and its outcome is announced.
 */

import { fill, h } from '../dom.js';
import { count } from '../words.js';
import { ask, showSecret } from './dialog.js';
import { editEdge } from './edge_form.js';

/**
 * @param {import('../shell.js').Context} context
 * @param {string} id
 * @param {() => any} details the whole edge server as it was last read; null before
 */
export function actions(context, id, details) {
    const { api, announce, map } = context;
    const path = `/api/v1/edge-servers/${encodeURIComponent(id)}`;
    /** @type {import('../live_state.js').EdgeSummary | null} */
    let edge = null;
    const button = (/** @type {string} */ text, /** @type {() => void} */ act) => h('button', { type: 'button', onclick: act }, text);
    const drain_button = button('Drain', drain);
    const form = h('div', { class: 'edge-edit', hidden: true });
    const row = h('div', { class: 'row' }, drain_button, button('Send everything again', resend), button('New key', rotate), button('Edit', edit), button('Show on map', () => edge && map.flyTo(edge, 11)));
    const element = h('section', { class: 'edge-actions', 'aria-label': 'Actions' }, row, form);

    function drain() {
        if (edge === null) {
            return;
        }
        const { name, draining } = edge;
        ask({
            title: draining ? `Let ${name} take devices again?` : `Drain ${name}?`,
            text: draining ? 'It will be chosen for devices again.' : 'It gets no new devices, and those it has are handed over to others that have room.',
            yes: draining ? 'End the drain' : 'Drain',
            act: async () => {
                await api(draining ? 'DELETE' : 'POST', `${path}/drain`);
                announce(draining ? `${name} takes devices again.` : `${name} drains.`);
            },
        });
    }

    function resend() {
        const name = edge?.name ?? 'the edge server';
        ask({
            title: `Send everything to ${name} again?`,
            text: 'Every decoration it should hold is sent anew, also those it refused. What it holds stays in use meanwhile.',
            yes: 'Send everything',
            act: async () => {
                const { body } = await api('POST', `/api/v1/sync/decorations/edge/${encodeURIComponent(id)}`);
                announce(`${body.is_estimate ? 'About ' : ''}${count(body.decorations)} decorations are on their way to ${name}.`);
            },
        });
    }

    async function rotate() {
        const name = edge?.name ?? 'the edge server';
        let edge_key = '';
        const done = await ask({
            title: `Give ${name} a new key?`,
            text: 'The key it has works for another 24 hours; those before that one stop at once. Put the new key into its configuration within that time.',
            yes: 'Make a key',
            act: async () => {
                edge_key = (await api('POST', `${path}/keys`, { body: { revoke_previous: false } })).body.edge_key;
            },
        });
        if (done) {
            announce(`${name} has a new key.`);
            showSecret({ title: `The new key of ${name}`, text: 'It is shown this once: copy it now, and keep it where only the edge server reads it.', label: 'Edge key', secret: edge_key });
            edge_key = '';
        }
    }

    function edit() {
        const now = details();
        if (now === null || !form.hidden) {
            return;
        }
        row.hidden = true;
        form.hidden = false;
        editEdge(context, form, now, () => {
            fill(form);
            form.hidden = true;
            row.hidden = false;
        });
    }

    return {
        element,
        /** @param {import('../live_state.js').EdgeSummary | null} now */
        show(now) {
            edge = now;
            row.querySelectorAll('button').forEach((each) => each.toggleAttribute('disabled', now === null));
            drain_button.textContent = now?.draining ? 'End the drain' : 'Drain';
        },
    };
}
