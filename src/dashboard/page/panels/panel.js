/**
 * What a panel is given and what it gives back. Types only: each panel is a module with a function
 * `open(context, host, parameters)` that fills `host`.
 */

/** @typedef {{lat: number, lng: number}} Place */
/** @typedef {import('../session.js').User} User */
/** @typedef {(Place & {id: string, name: string, connected: boolean, is_active: boolean, health_status: string})} EdgeSummary */

/**
 * @typedef {object} PanelMap
 * @property {(place: Place, zoom?: number) => void} flyTo
 * @property {(handler: (place: Place) => boolean) => (() => void)} onClick gives what takes the handler away
 * @property {(place: (Place & {radius_m?: number}) | null) => void} showPlace
 * @property {(probe: Probe | null) => void} showProbe
 * @property {(layer: string) => void} reload fetches its tiles anew
 * @property {(what: {edge?: string, decoration?: string} | null) => void} select
 * @property {() => Place} center
 */

/**
 * @typedef {object} Probe what `showProbe` draws
 * @property {number} lat
 * @property {number} lng
 * @property {number} radius_m
 * @property {(Place & {in_range: boolean})[]} decorations
 * @property {Place | null} edge the one that a phone there would get
 */

/**
 * @typedef {object} Context
 * @property {EventTarget & {edges: Map<string, EdgeSummary>}} live
 * @property {PanelMap} map
 * @property {(hash: string) => void} go
 * @property {(text: string, kind?: 'polite' | 'alert') => void} announce
 * @property {typeof import('../session.js').api} api
 * @property {() => User | null} user
 */

/** @typedef {{title: string, close: () => void}} Panel */

export {};
