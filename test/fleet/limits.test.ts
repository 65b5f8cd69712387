import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { each, Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { allSay } from '../support/readiness.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Two instances with one log and one Redis: limits are those of both together. Nothing comes back while the test runs. */

const BURST = 200;
/** What an instance may grant before Redis has heard of it. */
const CREDIT = BURST / 10;
const STREAMS = 6;
const AT_ONCE = 8;

const root = makeApiKey();
const senders = Array.from({ length: 5 }, () => makeApiKey());
const accessFile = join(tempFolder(t), 'access.json');
writeFileSync(accessFile, JSON.stringify({ keys: [
  { id: root.id, sha256: root.digest.toString('hex'), name: 'root', admin: true },
  ...senders.map(({ id, digest }) => ({ id, sha256: digest.toString('hex'), name: id, publish: ['>'], subscribe: ['>'] })),
] }));

const redis = await startRedis(t);
const env = {
  DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, REDIS_URL: redis.url, ACCESS_FILE: accessFile, LOG_LEVEL: 'info', RETRY_MIN_MS: '20', RETRY_MAX_MS: '20', DRAIN_SECONDS: '0',
  PUBLISH_LIMIT: `1/d burst ${BURST}`, STREAMS_LIMIT: String(STREAMS), FAILED_LOGINS_LIMIT: '1/d burst 20',
};
const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
const [one, two] = instances;
const https = instances.map(({ url }) => new Http(t, url, 2 * AT_ONCE));
await Promise.all(instances.map((instance) => instance.says('limits count over all instances')));

const as = (index: number): Record<string, string> => bearer(senders[index]!.text);

/** What both have counted without Redis. */
async function countedAlone(): Promise<number> {
  const counts = await Promise.all(https.map((http) => http.get('/metrics', bearer(root.text)).then(({ body }) => Number(/^tidings_limits_counted_alone_total (\d+)$/m.exec(body)![1]))));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** How many of so many publishes on both, side by side, are let through. Any other answer than 201 and 429 is a failure. */
async function published(t: Test, sender: number, attempts: number): Promise<number> {
  let count = 0;
  await each(attempts, AT_ONCE, async (index) => {
    const { status, body } = await https[index % 2]!.post('a', 'x', as(sender));
    if (status === 201) count++;
    else if (status !== 429) t.fail(`${status} ${body}`);
  });
  return count;
}

/** The first event of a new stream: `$open` or `$busy`. It stays open until the end. */
async function opened(instance: Instance, sender: number): Promise<{ readonly event: string; readonly stream: SseStream }> {
  const stream = await openStream(t, `${instance.url}/topics/quiet/events`, { headers: as(sender) });
  const { event } = await stream.next();
  return { event: event!, stream };
}

/** How many of so many streams are let in on each, when all are opened at once, one here and one there. */
async function openMany(sender: number, attempts: number): Promise<[number, number]> {
  const counts: [number, number] = [0, 0];
  await Promise.all(Array.from({ length: attempts }, async (_, index) => {
    if ((await opened(instances[index % 2]!, sender)).event === '$open') counts[index % 2 as 0 | 1]++;
  }));
  return counts;
}

t.test('publishes: both together let the burst through, and a tenth of it for each at most', async (t) => {
  const before = await countedAlone();
  const sum = await published(t, 0, 2 * BURST + 100);
  const alone = await countedAlone() - before;
  t.comment(`${sum} of ${BURST}, ${alone} of them counted alone`);
  // What a busy machine made late was counted alone.
  t.ok(sum >= BURST && sum <= BURST + 2 * CREDIT + alone, `${sum}`);
});

t.test('failed logins count on both together, and shut no good key out', async (t) => {
  const before = await countedAlone();
  const statuses: number[] = [];
  await each(60, AT_ONCE, async (index) => void statuses.push((await https[index % 2]!.get('/messages?topic=a', bearer(makeApiKey().text))).status));
  const refused = statuses.filter((status) => status === 401).length;
  t.equal(statuses.filter((status) => status === 429).length, 60 - refused);
  t.ok(refused <= 20 + 2 * 2 + await countedAlone() - before, `${refused} were 401`);
  for (const http of https) t.equal((await http.get('/messages?topic=a', as(1))).status, 200);
});

t.test('streams: both instances share one limit; the places of a killed instance are free again', async (t) => {
  const before = await countedAlone();
  const counts = await openMany(1, 4 * STREAMS);
  const [alone, count] = [await countedAlone() - before, counts[0] + counts[1]];
  t.comment(`${counts.join(' and ')} of ${STREAMS}, ${alone} of them counted alone`);
  t.ok(count >= STREAMS && count <= STREAMS + alone, `${count}`);
  // The other has fewer than there may be: with what the killed one had, all.
  const [killed, other] = counts[0] >= counts[1] ? [one, two] : [two, one];
  await until('the next one is refused', async () => (await opened(killed, 1)).event === '$busy');
  t.equal((await opened(other, 2)).event, '$open', 'another key has its own');
  await killed.restart('SIGKILL');
  await killed.says('limits count over all instances');
  await until('the places of the killed instance are free', async () => (await opened(other, 1)).event === '$open');
});

t.test('without Redis each counts alone, with the same numbers, and nothing else is refused', async (t) => {
  await redis.stop();
  await allSay(t, 'degraded', instances);
  const sum = await published(t, 3, 2 * BURST + 100);
  t.equal(sum, 2 * BURST);
  t.same(await openMany(3, 4 * STREAMS), [STREAMS, STREAMS]);
});

t.test('when Redis is back they count together again; it learns the open streams, and nobody owes the time alone', async (t) => {
  const ups = instances.map(({ output }) => output.split('limits count over all instances').length);
  await redis.start();
  await until('both are there', () => instances.every(({ output }, index) => output.split('limits count over all instances').length > ups[index]!));
  t.equal((await opened(one, 3)).event, '$busy', 'what is open counts');
  const before = await countedAlone();
  const sum = await published(t, 4, 2 * BURST + 100);
  const alone = await countedAlone() - before;
  t.ok(sum >= BURST && sum <= BURST + 2 * CREDIT + alone, `${sum}, ${alone} of them counted alone`);
  t.ok(instances.every(({ output }) => !output.includes(senders[4]!.text)), 'no line holds a key');
});
