import { readdirSync } from 'node:fs';
import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { emptyDatabase } from '../support/database.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { seeded } from '../support/fleet-random.ts';
import { RoamingStream } from '../support/fleet-stream.ts';
import { Http } from '../support/http.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { byWorker, startWorkers, workersOf } from '../support/workers.ts';

/** What clients see of workers that are killed, and of a supervisor that is. */

const WORKERS = 2;
const STREAMS = 30;
const PUBLISHERS = 4;
/** Messages that are acknowledged before and after each step. */
const SOME_MESSAGES = 40;

t.test('a worker killed under load: its streams come back, every stream gets each message once, and the others are not disturbed; then the supervisor is killed, and leaves nobody', async (t) => {
  const random = seeded(t);
  const database = { DATABASE_URL: await emptyDatabase(t) };
  // The workers talk over a socket in it.
  const folder = tempFolder(t);
  const instance = await startWorkers(t, WORKERS, { ...database, XDG_RUNTIME_DIR: folder, RETRY_MIN_MS: '50', RETRY_MAX_MS: '200' });
  const publishers = new Publishers(t, [instance.url], random.fork());
  const streams = Array.from({ length: STREAMS }, (_, index) => new RoamingStream(t, { name: `stream ${index}`, wants: ['kept.>'], urls: [instance.url] }));
  for (const stream of streams) await stream.when(() => stream.isOpen);
  let stopped = false;
  const running = Promise.all(Array.from({ length: PUBLISHERS }, async (_, index) => {
    for (let count = 0; !stopped; count++) await publishers.publish(`kept.${index}`, `text ${index} ${count}`);
  }));
  const more = (): Promise<void> => publishers.reached(publishers.acknowledged + SOME_MESSAGES);

  await more();
  const before = workersOf(instance);
  const theirs = (await byWorker(instance, 'tidings_streams')).get('2')!;
  process.kill(before.get(2)!, 'SIGKILL');
  await until('its streams are back', () => streams.filter(({ connections }) => connections > 1).length === theirs);
  await more();
  await until('another worker 2 listens', () => workersOf(instance).get(2) !== before.get(2));
  await more();
  t.equal(streams.filter(({ connections }) => connections === 1).length, STREAMS - theirs, 'streams of the other workers were open all the time');
  t.match(instance.output, /"number":2,[^\n]*"signal":"SIGKILL","reason":"killed","pauseMs":\d+/);
  t.same(await byWorker(instance, 'tidings_worker_up'), new Map([['1', 1], ['2', 1]]));

  // Its outputs close when the last process that has them is gone.
  instance.kill('SIGKILL');
  await instance.exited;
  t.match(instance.output, /the supervisor of the workers is gone, so this worker ends/);
  await instance.restart();
  t.equal(readdirSync(folder).length, 1, 'what the first supervisor left is gone');
  stopped = true;
  await running;

  const last = publishers.notes.at(-1)!.text;
  for (const stream of streams) await stream.when(() => stream.entries.some((entry) => entry.kind === 'message' && entry.text === last));
  const history = await readHistory(new Http(t, instance.url));
  t.same(summarise(check({ publications: publishers.notes, streams: streams.map(({ record }) => record), history })), []);
  instance.kill('SIGINT');
  t.same(await instance.exited, { code: 0, signal: null });
});
