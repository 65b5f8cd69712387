import { join } from 'node:path';
import t from 'tap';
import { Load } from '../support/fleet-load.ts';
import { seeded } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { allSay } from '../support/readiness.ts';
import { tempFolder, type Scope } from '../support/temp.ts';

/** A time after which no look at the log comes to the rescue within a test: what arrives, arrived by the bus. Milliseconds. */
const NO_POLL = '60000';
const POLL = '1000';
const THINK = 15;

/** The server of a bus, started. */
export interface BusServer {
  readonly url: string;
  readonly pid: number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Two instances and the server of their bus. @param start A server that a test may stop. */
export function busFleet(start: (t: Scope) => Promise<BusServer>, options: { readonly skip?: string | false } = {}): void {
  t.test('under load, the server of the bus is away at the start, comes, is stopped and started, and freezes: every stream gets every message once, in order', options, async (t) => {
    const server = await start(t);
    await server.stop();
    const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, BUS_URL: server.url, LOG_LEVEL: 'warn', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', POLL_MS: POLL };
    const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
    await allSay(t, 'degraded', instances);
    const load = new Load(t, { urls: instances.map(({ url }) => url), random: seeded(t), publishers: 6, streams: 30, cutEvery: 10, think: THINK });
    await load.open();
    load.start();
    await load.more(60);
    await server.start();
    await allSay(t, 'ready', instances);
    await load.more(60);
    await server.stop();
    await load.more(60);
    await server.start();
    await allSay(t, 'ready', instances);
    process.kill(server.pid, 'SIGSTOP');
    await load.more(60);
    process.kill(server.pid, 'SIGCONT');
    await allSay(t, 'ready', instances);
    await load.more(60);
    await load.finish();
    t.same(load.gaveUp, []);
    t.same(await load.faults(instances[0].url), []);
  });

  t.test('what one instance stores, the other delivers at once, and what is told to one instance arrives', options, async (t) => {
    const server = await start(t);
    const env = { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, BUS_URL: server.url, LOG_LEVEL: 'warn', POLL_MS: NO_POLL };
    const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
    await allSay(t, 'ready', [one, two]);
    const there = new Http(t, two.url);
    const page = there.json<{ messages: { data: string }[] }>('/topics/a/messages?after=start&wait=50');
    await new Http(t, one.url).publish('a', 'across');
    t.match(await page, { messages: [{ data: 'across' }] });
    const { instances } = await there.json<{ instances: { id: string; bus: string }[] }>('/instances');
    t.same(instances.map(({ bus }) => bus), ['up', 'up'], 'each answers what the other asks');
  });
}
