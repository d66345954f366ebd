/**
 * The way in: who is not signed in sees the sign-in view, an admin the shell with its map and panels. The address
 * stays what it was through both.
 */

import { Live } from './live.js';
import { events, resume, signOut, user } from './session.js';
import { applyTheme } from './settings.js';
import { openShell } from './shell.js';
import { showSignIn } from './sign_in.js';

const live = new Live();
/** @type {{close(): void} | null} */
let shell = null;

applyTheme();
events.addEventListener('signed-out', () => leave('You are signed out.'));
live.addEventListener('refused', () => user() !== null && signOut().finally(() => leave('This account may not look here any more.')));
begin();

async function begin() {
    try {
        await resume();
    } catch {
        // The sign-in view says what is wrong, once somebody tries.
    }
    if (user()?.role === 'admin') {
        enter();
    } else {
        leave(null);
    }
}

function enter() {
    live.start();
    shell = openShell(live);
}

/** Back to the sign-in view. @param {string | null} reason */
function leave(reason) {
    // `signed-out` may come while the shell is being closed.
    const was = shell;
    shell = null;
    if (was !== null || reason === null) {
        live.stop();
        was?.close();
        showSignIn(document.body, was === null ? null : reason, enter);
    }
}
