/**
 * The state that the feed tells of, and how each of its messages changes it. What changed is told a few times a second
 * at most, however fast messages come.
 */

/**
 * @typedef {{id: string, name: string, region: string, lat: number, lng: number, service_radius_km: number,
 *   max_connections: number, version: number, draining: boolean, is_active: boolean, connected: boolean,
 *   health_status: import('./words.js').Health, health_reason: string | null, current_connections: number,
 *   reported_connections: number, cpu_usage: number | null, memory_usage: number | null, last_ping: string | null}} EdgeSummary
 * @typedef {{total: number, by_edge: Map<string | null, number>, by_cell: Map<string, number>}} Devices
 * @typedef {{pending: number, outdated: number, failed: number, synced: number, synced_is_estimate: boolean}} Sync
 * @typedef {{id: string, kind: string, subject: string, message: string, at: string}} Alert
 * @typedef {Alert & {over_at: Date}} PastAlert
 */

/** Time between two tellings, in ms. */
const TELL_MS = 200;
/** More decorations than these are told of as many. */
const MAX_DECORATIONS = 20;
const MAX_PAST = 200;

export class State {
    /** @type {Map<string, EdgeSummary>} */
    edges = new Map();
    /** @type {Devices} */
    devices = { total: 0, by_edge: new Map(), by_cell: new Map() };
    /** @type {Sync} */
    sync = { pending: 0, outdated: 0, failed: 0, synced: 0, synced_is_estimate: false };
    /** @type {Map<string, Alert>} */
    alerts = new Map();
    /** @type {PastAlert[]} */
    past_alerts = [];

    #seq = 0;
    #tell;
    #timer = 0;
    /** @type {Map<string, Set<string> | null>} */
    #changed = new Map();

    /** @param {(name: string, detail: any) => void} tell */
    constructor(tell) {
        this.#tell = tell;
    }

    /** Whether that could be applied: false when one before it is missing. @param {any} message */
    apply({ type, seq, data }) {
        if (type === 'snapshot') {
            this.#replace(data);
            this.#seq = data.seq;
            return true;
        }
        if (seq <= this.#seq) {
            return true;
        }
        if (seq !== this.#seq + 1) {
            return false;
        }
        this.#seq = seq;
        CHANGES[type]?.(this, data);
        return true;
    }

    clear() {
        this.#replace({ edge_servers: [], devices: { total: 0, by_edge: [], by_cell: [] }, sync: this.sync, alerts: [] });
        this.past_alerts = [];
    }

    /** Notes a change, to be told soon. @param {string} name @param {string | null} [id] null: all */
    changed(name, id = null) {
        const ids = this.#changed.get(name);
        if (id === null) {
            this.#changed.set(name, null);
        } else if (ids === undefined) {
            this.#changed.set(name, new Set([id]));
        } else {
            ids?.add(id);
        }
        this.#timer ||= setTimeout(() => this.#flush(), TELL_MS);
    }

    /** @param {Alert} alert @param {Date} over_at */
    over(alert, over_at) {
        this.alerts.delete(alert.id);
        this.past_alerts = [{ ...alert, over_at }, ...this.past_alerts].slice(0, MAX_PAST);
    }

    #flush() {
        this.#timer = 0;
        const changed = [...this.#changed];
        this.#changed.clear();
        for (const [name, ids] of changed) {
            if (name !== 'decoration') {
                this.#tell(name, ids);
            } else if (ids === null || ids.size > MAX_DECORATIONS) {
                this.#tell(name, null);
            } else {
                ids.forEach((id) => this.#tell(name, id));
            }
        }
    }

    /** @param {any} whole */
    #replace({ edge_servers, devices, sync, alerts }) {
        this.edges = new Map(edge_servers.map((/** @type {EdgeSummary} */ edge) => [edge.id, edge]));
        this.devices = { total: devices.total, by_edge: new Map(), by_cell: new Map() };
        count(this.devices, devices);
        this.sync = sync;
        const standing = new Map(alerts.map((/** @type {Alert} */ alert) => [alert.id, alert]));
        [...this.alerts.values()].filter(({ id }) => !standing.has(id)).forEach((alert) => this.over(alert, new Date()));
        this.alerts = standing;
        // What happened to decorations meanwhile is not known.
        ['edges', 'devices', 'sync', 'alerts', 'decoration'].forEach((name) => this.changed(name));
    }
}

/** @param {Devices} devices @param {any} counts */
function count(devices, { total, by_edge, by_cell }) {
    const note = (/** @type {Map<any, number>} */ counts, /** @type {any} */ key, /** @type {number} */ value) =>
        value === 0 ? counts.delete(key) : counts.set(key, value);
    devices.total = total;
    by_edge.forEach((/** @type {any} */ edge) => note(devices.by_edge, edge.edge_server_id, edge.count));
    by_cell.forEach((/** @type {any} */ cell) => note(devices.by_cell, cell.cell, cell.count));
}

/** @param {State} state @param {string} id @param {Partial<EdgeSummary>} news */
function change(state, id, news) {
    const edge = state.edges.get(id);
    if (edge !== undefined) {
        state.edges.set(id, { ...edge, ...news });
        state.changed('edges', id);
    }
}

/** What each kind of message does. @type {Record<string, (state: State, data: any) => void>} */
const CHANGES = {
    edge_health: (state, { edge_servers }) => edge_servers.forEach((/** @type {any} */ edge) => change(state, edge.id, edge)),
    edge_connected: (state, { id }) => change(state, id, { connected: true }),
    edge_disconnected: (state, { id }) => change(state, id, { connected: false }),
    edge_changed: (state, { id, edge_server }) => {
        if (edge_server === null) {
            state.edges.delete(id);
        } else {
            state.edges.set(id, edge_server);
        }
        state.changed('edges', id);
    },
    devices: (state, counts) => {
        count(state.devices, counts);
        state.changed('devices');
    },
    sync_progress: (state, sync) => {
        state.sync = sync;
        state.changed('sync');
    },
    decoration_changed: (state, { decoration_id }) => state.changed('decoration', decoration_id),
    alert: (state, { state: now, ...alert }) => {
        if (now === 'raised') {
            state.alerts.set(alert.id, alert);
        } else {
            state.over(alert, new Date());
        }
        state.changed('alerts');
    },
};
