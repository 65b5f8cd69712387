import { join } from 'node:path';
import t from 'tap';
import { accessFile, ROOT } from '../support/access-state.ts';
import { Child } from '../support/child.ts';
import { openStream } from '../support/client.ts';
import type { HangingCounts } from '../support/hanging-receiver.ts';
import { each, Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { until } from '../support/until.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

/** One instance with a thousand webhooks. The receivers of 900 are a process that answers nothing; each is a host of its own. */
const HANGING = 900;
const GOOD = 100;
const MESSAGES = 12;
const MESSAGE_BYTES = 32 * 1024;
/** The most attempts of webhooks that failed last time (`webhooks/turns.ts`). */
const SUSPECT_CONNECTIONS = 128;
/** Far below a copy of each message for each webhook, which would be 340 MiB. */
const GROWTH_MAX_BYTES = 200 * 1024 * 1024;
/** No attempt is given up while the test runs: whoever gets something gets it before the first timeout. */
const TIMEOUT_SECONDS = '300';

t.test('900 of a thousand receivers hang: the others get everything before the first timeout, once and in order, and connections and memory are bounded', async (t) => {
  const hanging = new Child(t, process.execPath, [join(import.meta.dirname, '../support/hanging-receiver.ts'), String(HANGING)]);
  await hanging.says('\n');
  const [control, ...ports] = JSON.parse(hanging.output) as [number, ...number[]];
  const receivers = new Http(t, `http://127.0.0.1:${control}`);
  const good = await Promise.all(Array.from({ length: GOOD }, () => WebhookReceiver.start(t)));
  // Everybody may publish and listen.
  const instance = await startInstance(t, { AUTH: 'off', ACCESS_FILE: accessFile(t, ['>']), WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIMEOUT_SECONDS: TIMEOUT_SECONDS, WEBHOOK_RETRY_MIN_MS: '500', LOG_LEVEL: 'warn' });
  const http = new Http(t, instance.url);
  const urls = [...ports.map((port) => `http://127.0.0.1:${port}/`), ...good.map(({ url }) => `${url}/`)];
  await each(urls.length, 32, async (index) => {
    const { status, body } = await http.send('POST', '/webhooks', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify({ url: urls[index], topics: ['a'] }));
    if (status !== 201) throw new Error(body);
  });
  const ids = [await http.publish('a', 'first')];
  await until('900 have failed, and the others have it', async () => good.every(({ received }) => received.length === 1) && await http.metric('webhooks_failing') === HANGING);

  await receivers.send('POST', '/hang');
  const counts = (): Promise<HangingCounts> => receivers.json<HangingCounts>('/');
  await until('as many hang as may', async () => (await counts()).open >= SUSPECT_CONNECTIONS);
  const stream = await openStream(t, `${instance.url}/topics/a/events`);
  const resident = async (): Promise<number> => (await http.metrics()).get('process_resident_memory_bytes')!;
  const before = await resident();
  for (let index = 0; index < MESSAGES; index++) ids.push(await http.publish('a', String(index).padEnd(MESSAGE_BYTES, '.')));
  await until('the others have everything', () => good.every(({ received }) => received.length >= ids.length));
  t.ok(good.every(({ received }) => received.map(({ id }) => id).join() === ids.join()), 'once, in order');
  t.same(await counts(), { came: SUSPECT_CONNECTIONS, open: SUSPECT_CONNECTIONS, most: SUSPECT_CONNECTIONS }, 'no attempt was given up meanwhile, and no more were under way');
  await stream.until(() => stream.events.filter(({ event }) => event === undefined).length === MESSAGES);
  const growth = await resident() - before;
  t.comment(`the memory grew by ${(growth / 1024 / 1024).toFixed(1)} MiB`);
  t.ok(growth < GROWTH_MAX_BYTES, `the memory grew by ${growth} bytes`);
});
