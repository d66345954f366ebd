/**
 * What was typed and not saved when a panel was left: by another click, or because the session ended. It is kept in
 * memory for the one who typed it, until it is saved, discarded, or the page is closed.
 */

/** @typedef {import('./decoration_fields.js').Decoration} Decoration */
/** @typedef {import('./decoration_fields.js').Values} Values */
/** @typedef {import('./save.js').Attempt} Attempt */

/**
 * @typedef {object} Draft
 * @property {string} id of the decoration, or `new`
 * @property {Values} values
 * @property {Decoration | null} base what it started from
 * @property {Attempt | null} attempt a creation whose outcome is not known
 */

/** By user, then by decoration. @type {Map<string, Map<string, Draft>>} */
const drafts = new Map();

/** @param {string} user_id @param {Draft} draft */
export function keepDraft(user_id, draft) {
    const own = drafts.get(user_id) ?? new Map();
    own.set(draft.id, draft);
    drafts.set(user_id, own);
}

/** @param {string} user_id @param {string} id @returns {Draft | null} */
export function draftOf(user_id, id) {
    return drafts.get(user_id)?.get(id) ?? null;
}

/** @param {string} user_id @param {string} id */
export function dropDraft(user_id, id) {
    drafts.get(user_id)?.delete(id);
}

/** @param {string} user_id @returns {Draft[]} */
export function draftsOf(user_id) {
    return [...(drafts.get(user_id)?.values() ?? [])];
}

/** @param {BeforeUnloadEvent} event */
function warn(event) {
    if ([...drafts.values()].some((own) => own.size > 0)) {
        event.preventDefault();
    }
}

addEventListener('beforeunload', warn);
