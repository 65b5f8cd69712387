import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { accessFile, ROOT } from '../support/access-state.ts';
import { Child } from '../support/child.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { startPostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver, wrongDeliveries } from '../support/webhook-receiver.ts';

/** The database goes away while webhooks are in the middle of a delivery, and comes back seconds later. */
const NAMES = ['a', 'b', 'c', 'd'];
const MESSAGES = 30;
/** Each delivery of this message waits until the database is away. */
const HELD_AT = 5;

interface Outage {
  /** What has got the webhooks. */
  readonly instances: readonly Instance[];
  /** Takes the database away. */
  readonly begin: () => Promise<unknown>;
  readonly end: () => Promise<unknown>;
}

/** What webhooks need beside a database. Everybody may publish. */
function settings(t: Test): Record<string, string> {
  return { AUTH: 'off', ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIMEOUT_SECONDS: '120', LOG_LEVEL: 'warn', POLL_MS: '100' };
}

async function outlast(t: Test, { instances, begin, end }: Outage): Promise<void> {
  const receiver = await WebhookReceiver.start(t);
  const https = instances.map(({ url }) => new Http(t, url));
  const [http] = https as [Http];
  const held = new Map<string, ServerResponse>();
  let isAway = false;
  for (const name of NAMES) {
    receiver.answers.set(`/${name}`, ({ body }, response) => {
      if (isAway || !body.includes(`"data":"${HELD_AT}"`)) response.end();
      else held.set(name, response);
    });
  }
  const hooks = new Map<string, string>();
  for (const name of NAMES) {
    const { status, body } = await http.send('POST', '/webhooks', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify({ url: `${receiver.url}/${name}`, topics: [name] }));
    if (status !== 201) throw new Error(body);
    hooks.set(name, (JSON.parse(body) as { id: string }).id);
  }
  const ids = new Map<string, string[]>(NAMES.map((name) => [name, []]));
  for (let index = 0; index < MESSAGES; index++) for (const name of NAMES) ids.get(name)!.push(await http.publish(name, String(index)));
  await until('each is in a delivery', () => held.size === NAMES.length);

  await begin();
  isAway = true;
  for (const one of https) await until('it has noticed', async () => (await one.get('/readyz')).status === 503);
  for (const response of held.values()) response.end();
  const had = (name: string): number => new Set(receiver.at(`/${name}`).map(({ id }) => id)).size;
  await end();
  for (const one of https) await until('it is well', async () => (await one.get('/readyz')).status === 200);
  for (const name of NAMES) ids.get(name)!.push(await https.at(-1)!.publish(name, 'the last'));
  await until('everything is delivered', () => NAMES.every((name) => had(name) === ids.get(name)!.length));
  await until('and noted', async () => {
    for (const name of NAMES) {
      const { cursor } = JSON.parse((await http.get(`/webhooks/${hooks.get(name)}`, bearer(ROOT.text))).body) as { cursor: string };
      if (seqOf(cursor) < seqOf(ids.get(name)!.at(-1))) return false;
    }
    return true;
  });
  for (const name of NAMES) {
    const got = receiver.at(`/${name}`);
    t.same(wrongDeliveries(got, ids.get(name)!), [], `${name}: nothing is lost, the order is kept, and what is doubled has the same id`);
    t.comment(`${got.length - ids.get(name)!.length} deliveries of ${name} came again`);
  }
}

t.test('PostgreSQL crashes and comes back while two instances deliver', async (t) => {
  const server = await startPostgres(t);
  const env = { ...settings(t), DATABASE_URL: server.url(await server.database()) };
  const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  await outlast(t, { instances, begin: () => server.stop('immediate'), end: () => server.start() });
});

t.test('SQLite is locked by another process for longer than the instance waits', async (t) => {
  const file = join(tempFolder(t), 'log.db');
  const instance = await startInstance(t, { ...settings(t), DATABASE_URL: `file:${file}` });
  const http = new Http(t, instance.url);
  let locker: Child | undefined;
  await outlast(t, {
    instances: [instance],
    begin: async () => {
      locker = new Child(t, process.execPath, [join(import.meta.dirname, '../support/locker.ts'), file]);
      await locker.says('stopped inside a commit');
      // Reads go on: only a commit shows that it is locked.
      await until('a publish was refused', async () => (await http.post('probe', '')).status === 503);
    },
    end: async () => {
      // It says so before it stops itself: told to go on in between, it would stop after.
      await until('the lock is free', async () => {
        locker!.kill('SIGCONT');
        return !locker!.running;
      });
    },
  });
});
