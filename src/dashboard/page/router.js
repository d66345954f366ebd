/**
 * Addresses within the page: `#/edge/<id>`, `#/probe?lat=52.5&lng=13.4`.
 */

/** @typedef {{name: string, parameters: Record<string, string>}} Route */

/** @param {string} hash @returns {Route} */
export function parse(hash) {
    const [path, query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
    const [name, id] = path.split('/', 2);
    const parameters = Object.fromEntries(new URLSearchParams(query));
    if (id) {
        parameters.id = decoded(id);
    }
    return { name: name || 'map', parameters };
}

/** @param {string} text */
function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/** @param {string} hash */
export function go(hash) {
    location.hash = hash;
}

/**
 * Calls with the route now and at each change of it, until what this gives is called.
 *
 * @param {(route: Route) => void} show
 */
export function follow(show) {
    const changed = () => show(parse(location.hash));
    addEventListener('hashchange', changed);
    changed();
    return () => removeEventListener('hashchange', changed);
}
