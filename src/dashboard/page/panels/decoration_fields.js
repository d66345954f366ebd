/**
 * What an admin can write of a decoration: names, labels and bounds of the fields, and how the text of a control
 * becomes a value. The bounds are for hints; the service judges.
 */

/** @typedef {import('./panel.js').User} User */
/** As the service gives it. @typedef {Record<string, any> & {lat: number, lng: number}} Decoration */
/** @typedef {Record<string, any>} Values the writable fields of one, by name */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {'text' | 'long' | 'number' | 'integer' | 'url' | 'choice' | 'switch'} kind
 * @property {string} [hint]
 * @property {boolean} [is_required]
 * @property {[number, number]} [range]
 * @property {number} [decimals] most of them
 * @property {number} [max_chars]
 * @property {[string, string][]} [choices]
 * @property {unknown} [initial] value in a new one
 */

/** @type {[string, string][]} */
export const ASSET_TYPES = [
    ['3d_model', '3D model'],
    ['image', 'Image'],
    ['animation', 'Animation'],
];

const URL_HINT = 'An https address of at most 500 characters, on the CDN when one is set.';

/** @type {(axis: string) => Field} */
const scale = (axis) => ({ name: `scale_${axis}`, label: `Scale ${axis}`, kind: 'number', range: [0.01, 999.99], decimals: 2, initial: 1 });
/** @type {(axis: string) => Field} */
const rotation = (axis) => ({ name: `rotation_${axis}`, label: `Rotation ${axis} (°)`, kind: 'number', range: [-360, 360], decimals: 2, initial: 0 });

/** @type {{title: string, fields: Field[], columns?: number, hint?: string}[]} */
export const GROUPS = [
    {
        title: 'What it is',
        fields: [
            { name: 'name', label: 'Name', kind: 'text', is_required: true, max_chars: 255, hint: '1 to 255 characters.' },
            { name: 'category', label: 'Category', kind: 'text', is_required: true, max_chars: 100, hint: 'What clients filter by: 1 to 100 characters, such as art.' },
            { name: 'description', label: 'Description', kind: 'long', max_chars: 4000, hint: 'At most 4,000 characters.' },
            { name: 'is_active', label: 'Shown to phones', kind: 'switch', initial: true },
        ],
    },
    {
        title: 'Place',
        columns: 2,
        fields: [
            { name: 'lat', label: 'Latitude (°)', kind: 'number', is_required: true, range: [-90, 90], hint: '−90 to 90; a pasted pair fills both.' },
            { name: 'lng', label: 'Longitude (°)', kind: 'number', is_required: true, range: [-180, 180], hint: '−180 to 180.' },
            { name: 'radius_meters', label: 'Detection radius (m)', kind: 'integer', is_required: true, range: [1, 10_000], initial: 50, hint: 'A whole number, 1 to 10,000.' },
            { name: 'height_offset', label: 'Height above ground (m)', kind: 'number', range: [-999.99, 999.99], decimals: 2, initial: 0, hint: '−999.99 to 999.99.' },
        ],
    },
    {
        title: 'Content',
        fields: [
            { name: 'asset_type', label: 'Kind of asset', kind: 'choice', is_required: true, choices: ASSET_TYPES, initial: '3d_model' },
            { name: 'high_res_url', label: 'Asset for under 20 m', kind: 'url', max_chars: 500, hint: URL_HINT },
            { name: 'medium_res_url', label: 'Asset for 20 to 50 m', kind: 'url', max_chars: 500, hint: URL_HINT },
            { name: 'low_res_url', label: 'Asset for beyond 50 m', kind: 'url', max_chars: 500, hint: URL_HINT },
            { name: 'file_size_bytes', label: 'Size of the largest asset (bytes)', kind: 'integer', range: [0, Number.MAX_SAFE_INTEGER], hint: 'A whole number, or nothing.' },
        ],
    },
    {
        title: 'Transform',
        columns: 3,
        hint: 'Two decimals at most. Scales 0.01 to 999.99, rotations −360 to 360 degrees.',
        fields: [scale('x'), scale('y'), scale('z'), rotation('x'), rotation('y'), rotation('z')],
    },
    {
        title: 'The rest',
        fields: [{ name: 'external_id', label: 'Id in another system', kind: 'text', max_chars: 255, hint: 'At most 255 characters; no two decorations have the same. Phones do not see it.' }],
    },
];

export const FIELDS = GROUPS.flatMap((group) => group.fields);

/** A number as JSON writes it, with a typographic minus allowed. */
const NUMBER = /^[-−+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i;

/**
 * What a control's text means. What is not a number stays a text, so that the service can say so.
 *
 * @param {Field} field
 * @param {string} text
 * @returns {unknown}
 */
export function valueOf({ kind, is_required }, text) {
    if (kind === 'text' || kind === 'long' || kind === 'choice') {
        return text === '' && !is_required ? null : text;
    }
    const trimmed = text.trim();
    if (trimmed === '') {
        return null;
    }
    if (kind === 'url') {
        return trimmed;
    }
    const number = NUMBER.test(trimmed) ? Number(trimmed.replace('−', '-')) : Number.NaN;
    return Number.isFinite(number) ? number : trimmed;
}

/** The text of a value, for a control. @param {unknown} value */
export function textOf(value) {
    return value === null || value === undefined ? '' : String(value);
}

/** A value for people. @param {Field} field @param {unknown} value */
export function shown({ kind, choices }, value) {
    if (kind === 'switch') {
        return value ? 'yes' : 'no';
    }
    return value === null || value === '' ? '(nothing)' : (choices?.find(([word]) => word === value)?.[1] ?? String(value));
}

/** The writable fields of a decoration. @param {Decoration} decoration @returns {Values} */
export function writable(decoration) {
    return Object.fromEntries(FIELDS.map(({ name }) => [name, unified(decoration[name] ?? null)]));
}

/** Names of the fields that differ. @param {Values} one @param {Values} other @returns {Set<string>} */
export function differing(one, other) {
    return new Set(FIELDS.map(({ name }) => name).filter((name) => unified(one[name]) !== unified(other[name])));
}

/** Lines end in a browser's text area as they do on Unix. @param {unknown} value */
function unified(value) {
    return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : value;
}

/**
 * Whether the service will hardly like a value; a guess, to be shown and not to be enforced.
 *
 * @param {Field} field
 * @param {unknown} value
 */
export function isDoubtful({ kind, range, decimals, max_chars }, value) {
    if (value === null || value === '' || kind === 'switch') {
        return false;
    }
    if (kind === 'number' || kind === 'integer') {
        const is_number = typeof value === 'number' && (kind === 'number' || Number.isInteger(value));
        const is_fine = decimals === undefined || (is_number && Number(value.toFixed(decimals)) === value);
        return !is_number || !is_fine || (range !== undefined && (value < range[0] || value > range[1]));
    }
    const text = String(value);
    return (max_chars !== undefined && [...text].length > max_chars) || (kind === 'url' && !/^https:\/\/[^/]/i.test(text));
}
