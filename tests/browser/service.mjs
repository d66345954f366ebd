/** The real service, started as a user starts it: `ar-supervisor dev` on a database of its own, for the tests. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PROGRAM = process.env.AR_SUPERVISOR ?? path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../../target/debug/ar-supervisor');
/** As in production, but for the sign-ins: tests sign in all the time. */
const LIMITS = 'public=50/s,auth=off,user=20/s,admin=50/s,edge=100/s,tiles=300/s';
/** A cold machine loads the demo data slowly. */
const START_MS = 180_000;

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.once(signal, () => process.exit(1));
}

/** Waits for a state. @template T @param {() => Promise<T | undefined | false> | T | undefined | false} ask @param {string} what */
export async function until(ask, what, within_ms = 30_000) {
    for (const end = Date.now() + within_ms; ; ) {
        const found = await ask();
        if (found) {
            return found;
        }
        if (Date.now() > end) {
            throw new Error(`waited ${within_ms / 1000} s for ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

export class Service {
    /** @type {import('node:child_process').ChildProcess} */
    #process;

    /** @param {string} folder @param {number} port */
    constructor(folder, port) {
        this.folder = folder;
        this.port = port;
    }

    /** Starts one with the small demo data. @param {Record<string, string>} [environment] @param {string[]} [options] of `dev` */
    static async start(environment = {}, options = []) {
        const service = new Service(await mkdtemp(path.join(tmpdir(), 'ar-browser-')), 0);
        service.environment = environment;
        service.options = options;
        await service.begin();
        service.email = 'admin@example.org';
        service.password = (await readFile(path.join(service.data, 'admin-password'), 'utf8')).trim();
        const login = await fetch(`${service.url}/api/v1/auth/login`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ email: service.email, password: service.password }),
        });
        service.token = (await login.json()).access_token;
        return service;
    }

    /** Begins, or begins again on the same port and data. */
    async begin() {
        const environment = { ...process.env, RATE_LIMIT: LIMITS, ...this.environment, SERVER_PORT: String(this.port) };
        delete environment.DATABASE_URL;
        const child = spawn(PROGRAM, ['dev', '--demo', 'small', '--data-dir', path.join(this.folder, 'data'), ...(this.options ?? [])], {
            env: environment,
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        this.#process = child;
        // Whoever ends the tests ends what they started.
        process.once('exit', () => child.kill());
        let printed = '';
        child.stdout?.on('data', (text) => (printed += text));
        child.stderr?.on('data', (text) => (printed += text));
        const ended = () => child.exitCode !== null || child.signalCode !== null;
        await until(() => ended() || printed.includes('Ctrl-C stops it'), 'the service to start', START_MS);
        if (ended()) {
            throw new Error(`the service does not start:\n${printed}`);
        }
        this.url = /ready at (\S+)/.exec(printed)?.[1] ?? '';
        this.port = Number(new URL(this.url).port);
        // As user postgres when we are root, in a folder that this user can reach.
        this.data = /; using (.+)\.$/m.exec(printed)?.[1] ?? path.join(this.folder, 'data');
        this.database = /DATABASE_URL='([^']+)'/.exec(printed)?.[1];
    }

    /** Runs another command of the program on its database, in sight. @param {...string} command */
    async run(...command) {
        const [status] = await once(spawn(PROGRAM, command, { env: { ...process.env, DATABASE_URL: this.database }, stdio: 'inherit' }), 'exit');
        if (status !== 0) {
            throw new Error(`${command.join(' ')}: exit status ${status}`);
        }
    }

    /** Ends it, in order or at once. @param {'SIGINT' | 'SIGKILL'} signal */
    async end(signal = 'SIGINT') {
        const child = this.#process;
        if (child.exitCode === null && child.signalCode === null) {
            const gone = new Promise((resolve) => child.once('exit', resolve));
            child.kill(signal);
            await gone;
        }
    }

    /** Ends it and takes its data away. */
    async remove() {
        await this.end();
        await rm(this.folder, { recursive: true, force: true });
        await rm(this.data, { recursive: true, force: true });
    }

    /** Asks it as its admin. @param {string} method @param {string} target @param {unknown} [body] @param {Record<string, string>} [headers] */
    async ask(method, target, body, headers = {}) {
        const response = await fetch(`${this.url}/api/v1${target}`, {
            method,
            headers: { Authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
        const text = await response.text();
        if (!response.ok) {
            throw new Error(`${method} ${target}: ${response.status} ${text}`);
        }
        return { body: text === '' ? null : JSON.parse(text), headers: response.headers };
    }

    /** Registers an edge server that beats until it is stopped. @param {string} name @param {number} lat @param {number} lng */
    async edge(name, lat, lng) {
        const address = `https://${name.toLowerCase().replaceAll(/\W+/g, '-')}.example.org`;
        const { body } = await this.ask('POST', '/edge-servers', {
            name,
            region: 'tests',
            api_url: address,
            websocket_url: `${address.replace('https', 'wss')}/ws`,
            lat,
            lng,
            service_radius_km: 30,
        });
        const edge = body.edge_server ?? body;
        const beat = () =>
            fetch(`${this.url}/api/v1/edge-servers/${edge.id}/ping`, {
                method: 'POST',
                headers: { Authorization: `Bearer ${body.edge_key}`, 'Content-Type': 'application/json' },
                body: JSON.stringify({ cpu_usage: 25, memory_usage: 40, active_connections: 3 }),
            }).catch(() => {});
        await beat();
        const timer = setInterval(beat, 300);
        // A test that fails must not keep the run alive.
        timer.unref();
        return { id: edge.id, name, beat, die: () => clearInterval(timer) };
    }
}
