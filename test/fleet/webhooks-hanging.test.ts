import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { accessFile, ROOT } from '../support/access-state.ts';
import { Child } from '../support/child.ts';
import { openStream } from '../support/client.ts';
import type { HangingCounts } from '../support/hanging-receiver.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

/** One instance with a thousand webhooks. The receivers of 900 are a process that answers nothing; each is a host of its own. */
const HANGING = 900;
const GOOD = 100;
const MESSAGES = 6;
const MESSAGE_BYTES = 63 * 1024;
/** The most attempts of webhooks that failed last time (`webhooks/turns.ts`). */
const SUSPECT_CONNECTIONS = 128;
/** Far below a copy of each message for each webhook, which would be 330 MiB. */
const GROWTH_MAX_BYTES = 200 * 1024 * 1024;
/** No attempt is given up while the test runs, so each delivery comes before the first timeout. */
const TIMEOUT_SECONDS = '300';
/** A machine may be busy with much else. Milliseconds. */
const LIMIT = 280_000;

/** Copies of the one webhook in the file, for other receivers. Each has failed so many times. */
function copyWebhook(file: string, urls: readonly string[], failures: number): void {
  const db = new Database(file, { timeout: 60_000, fileMustExist: true });
  const { settings, ...row } = db.prepare('SELECT * FROM webhooks').get() as { readonly settings: string };
  const names = ['settings', ...Object.keys(row)];
  const insert = db.prepare(`INSERT INTO webhooks (${names.join(', ')}) VALUES (${names.map((name) => `@${name}`).join(', ')})`);
  const { url } = JSON.parse(settings) as { readonly url: string };
  db.transaction(() => {
    for (const [index, other] of urls.entries()) insert.run({ ...row, id: `copy${failures}x${index}`, settings: settings.replace(url, other), failures, owner: '' });
  })();
  db.close();
}

t.test('900 of a thousand receivers hang: the others get everything before the first timeout, once and in order, and connections and memory are bounded', async (t) => {
  const hanging = new Child(t, process.execPath, [join(import.meta.dirname, '../support/hanging-receiver.ts'), String(HANGING)]);
  await hanging.says('\n');
  const [control, ...ports] = JSON.parse(hanging.output) as [number, ...number[]];
  const receivers = new Http(t, `http://127.0.0.1:${control}`);
  const good = await Promise.all(Array.from({ length: GOOD }, () => WebhookReceiver.start(t)));
  const file = join(tempFolder(t), 'log.db');
  // Everybody may publish and listen.
  const instance = await startInstance(t, { AUTH: 'off', ACCESS_FILE: accessFile(t, ['>']), DATABASE_URL: `file:${file}`, WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIMEOUT_SECONDS: TIMEOUT_SECONDS, LOG_LEVEL: 'warn' });
  const http = new Http(t, instance.url);
  const { status, body } = await http.send('POST', '/webhooks', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify({ url: `${good[0]!.url}/`, topics: ['a'] }));
  if (status !== 201) throw new Error(body);
  copyWebhook(file, ports.map((port) => `http://127.0.0.1:${port}/`), 1);
  copyWebhook(file, good.slice(1).map(({ url }) => `${url}/`), 0);
  await until('the instance has them', async () => await http.metric('webhooks') === HANGING + GOOD && await http.metric('webhooks_failing') === HANGING, LIMIT);

  const ids = [await http.publish('a', 'first')];
  const counts = (): Promise<HangingCounts> => receivers.json<HangingCounts>('/');
  await until('as many hang as may, and the others have the first', async () => (await counts()).open >= SUSPECT_CONNECTIONS && good.every(({ received }) => received.length === 1), LIMIT);
  const stream = await openStream(t, `${instance.url}/topics/a/events`);
  const resident = async (): Promise<number> => (await http.metrics()).get('process_resident_memory_bytes')!;
  const before = await resident();
  for (let index = 0; index < MESSAGES; index++) ids.push(await http.publish('a', String(index).padEnd(MESSAGE_BYTES, '.')));
  await until('the others have everything', () => good.every(({ received }) => received.length >= ids.length), LIMIT);
  t.ok(good.every(({ received }) => received.map(({ id }) => id).join() === ids.join()), 'once, in order');
  t.same(await counts(), { came: SUSPECT_CONNECTIONS, open: SUSPECT_CONNECTIONS, most: SUSPECT_CONNECTIONS }, 'no attempt was given up meanwhile, and no more were under way');
  await stream.until(() => stream.events.filter(({ event }) => event === undefined).length === MESSAGES);
  const growth = await resident() - before;
  t.comment(`the memory grew by ${(growth / 1024 / 1024).toFixed(1)} MiB`);
  t.ok(growth < GROWTH_MAX_BYTES, `the memory grew by ${growth} bytes`);
});
