/**
 * Harmless settings that outlive a reload: the theme, and what the map shows. Nothing about who is signed in.
 */

const PREFIX = 'ar-supervisor.';

/**
 * What was chosen, or the default.
 *
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function setting(name, otherwise) {
    try {
        const kept = localStorage.getItem(PREFIX + name);
        return kept === null ? otherwise : JSON.parse(kept);
    } catch {
        return otherwise;
    }
}

/** Keeps a choice, where the browser lets us. @param {string} name @param {unknown} value */
export function keepSetting(name, value) {
    try {
        localStorage.setItem(PREFIX + name, JSON.stringify(value));
    } catch {
        // Without storage, it is chosen anew next time.
    }
}

/** Tells `theme` when light became dark or the other way round. */
export const appearance = new EventTarget();

const dark = matchMedia('(prefers-color-scheme: dark)');

/** @returns {'auto' | 'light' | 'dark'} */
export function theme() {
    return setting('theme', 'auto');
}

/** Whether the page is dark now. */
export function isDark() {
    return theme() === 'dark' || (theme() === 'auto' && dark.matches);
}

/** @param {'auto' | 'light' | 'dark'} chosen */
export function setTheme(chosen) {
    keepSetting('theme', chosen);
    applyTheme();
}

/** Puts the theme on the page. */
export function applyTheme() {
    document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
    appearance.dispatchEvent(new Event('theme'));
}

dark.addEventListener('change', applyTheme);
