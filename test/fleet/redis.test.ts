import { join } from 'node:path';
import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { Load } from '../support/fleet-load.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { Random, seeded } from '../support/fleet-random.ts';
import { RoamingStream } from '../support/fleet-stream.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { allSay } from '../support/readiness.ts';
import { cutSubscribers, redisClient } from '../support/redis-client.ts';
import { startRedis } from '../support/redis.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** A time after which no look at the log comes to the rescue within a test: what arrives, arrived by the bus. Milliseconds. */
const NO_POLL = '60000';
/** Far above what the bus takes, so that the two cannot be mistaken for each other. Milliseconds. */
const POLL = 3_000;
/** What a busy machine may add to it: whoever does not look at the log gets it never. Milliseconds. */
const MACHINE = 30_000;

const BURST = 20;
/** The longest pause of a publisher, for each there is: most of what is sent is sent while Redis comes or goes. Milliseconds. */
const THINK = 15;

function environment(t: Scope, redisUrl: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, REDIS_URL: redisUrl, LOG_LEVEL: 'warn', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', ...more };
}

function startTwo(t: Scope, env: Readonly<Record<string, string>>): Promise<[Instance, Instance]> {
  return Promise.all([startInstance(t, env), startInstance(t, env)]);
}

/** One stream on one instance, live from now. */
async function streamOn(t: Scope, { url }: Instance, ...wants: string[]): Promise<RoamingStream> {
  const stream = new RoamingStream(t, { name: `stream of ${url}`, wants, urls: [url] });
  await stream.when(() => stream.isOpen);
  return stream;
}

async function burst(publishers: Publishers, topic: string): Promise<void> {
  for (let index = 0; index < BURST; index++) await publishers.publish(topic, `message ${publishers.notes.length}`);
}

/** On one log. Redis is not there when they start. */
const redis = await startRedis(t);
await redis.stop();
const [one, two] = await startTwo(t, environment(t, redis.url, { POLL_MS: String(POLL) }));

t.test('under load, with Redis away, killed, cut off and paused: every stream gets every message once, in order', async (t) => {
  const random = seeded(t);
  await allSay(t, 'degraded', [one, two]);
  const load = new Load(t, { urls: [one.url, two.url], random, publishers: 6, streams: 50, webSockets: 12, cutEvery: 10, think: THINK });
  await load.open();
  load.start();

  await load.more(100);
  await redis.start();
  await allSay(t, 'ready', [one, two]);
  const admin = redisClient(t, redis);
  await until('both listen, for messages, for notes to all, and each for notes of its own, without a restart', async () => {
    const channels = (await admin.pubsub('CHANNELS')) as string[];
    const listeners = await admin.pubsub('NUMSUB', ...channels) as (string | number)[];
    return listeners.filter((one) => typeof one === 'number').sort().join() === '1,1,2,2';
  });
  await load.more(100);
  await redis.stop();
  await load.more(150);
  await redis.start();
  await allSay(t, 'ready', [one, two]);
  await load.more(100);

  await cutSubscribers(admin, 2);
  await load.more(150);
  await allSay(t, 'ready', [one, two]);

  await admin.call('CLIENT', 'PAUSE', '1500', 'ALL');
  await load.more(150);
  await admin.call('CLIENT', 'UNPAUSE');
  await load.more(100);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, []);
  t.same(await load.faults(one.url), []);
});

t.test('without Redis, a message arrives on the other instance by its next look at the log, the last of a burst too', async (t) => {
  const stream = await streamOn(t, two, 'news.*');
  await redis.stop();
  await allSay(t, 'degraded', [one, two]);

  const publishers = new Publishers(t, [one.url], new Random(1));
  await burst(publishers, 'news.today');
  // Nothing else is published: whatever brings the last one is not another message.
  await stream.when(() => stream.messages >= BURST);

  t.same(summarise(check({ publications: publishers.notes, streams: [stream.record] })), []);
  const late = Math.max(...stream.entries.map(({ at }, index) => at - publishers.notes[index]!.answeredAt!));
  t.comment(`late by ${Math.round(late)} ms at most`);
  t.ok(late <= POLL + MACHINE, `late by ${late} ms, and the log is looked at every ${POLL} ms`);
});

t.test('without a look by the clock', async (t) => {
  const redis = await startRedis(t);
  const services = await Promise.all([redis.url, `${redis.url}/3`].map(async (url) => {
    const [one, two] = await startTwo(t, environment(t, url, { POLL_MS: NO_POLL }));
    return { one, two, publishers: new Publishers(t, [one.url], new Random(4)) };
  }));

  await t.test('two services that share one Redis never see messages of each other, whichever database their URLs name', async (t) => {
    const streams = await Promise.all(services.map(async ({ one, two }) => {
      await allSay(t, 'ready', [one, two]);
      return [await streamOn(t, one, '>'), await streamOn(t, two, '>')];
    }));
    // Both logs give the same numbers, to the same topics, at the same time.
    await Promise.all(services.map(({ publishers }, index) => Promise.all(Array.from({ length: BURST }, (_, at) => publishers.publish('news.today', `message ${at} of service ${index}`)))));

    for (const [index, { two, publishers }] of services.entries()) {
      await Promise.all(streams[index]!.map((stream) => stream.when(() => stream.messages >= BURST)));
      t.same(summarise(check({ publications: publishers.notes, streams: streams[index]!.map(({ record }) => record), history: await readHistory(new Http(t, two.url)) })), []);
    }
    const admin = redisClient(t, redis);
    await until('each log has channels of its own', async () => ((await admin.pubsub('CHANNELS')) as string[]).length === 8);
  });

  const [{ one, two, publishers: before }, other] = services as [(typeof services)[number], (typeof services)[number]];
  for (const instance of [other.one, other.two]) instance.kill('SIGKILL');
  await t.test('what went past while Redis was away, or had cut its listeners off, comes when it is back, once, without a look by the clock', async (t) => {
    await allSay(t, 'ready', [one, two]);
    const streams = [await streamOn(t, one, '>'), await streamOn(t, two, '>'), await streamOn(t, two, 'news.today', 'news.*')];
    const publishers = new Publishers(t, [one.url], new Random(2));
    const arrived = (): Promise<unknown> => Promise.all(streams.map((stream) => stream.when(() => stream.messages >= publishers.notes.length)));

    await burst(publishers, 'news.today');
    await arrived();
    t.same(streams.map(({ messages }) => messages), [BURST, BURST, BURST], 'with Redis, it comes by the bus');

    await redis.stop();
    await allSay(t, 'degraded', [one, two]);
    await burst(publishers, 'news.today');
    await redis.start();
    await arrived();
    t.same(streams.map(({ messages }) => messages), [2 * BURST, 2 * BURST, 2 * BURST], 'it comes when Redis is back, though nothing else is published');

    await allSay(t, 'ready', [one, two]);
    const admin = redisClient(t, redis);
    await cutSubscribers(admin, 2);
    await burst(publishers, 'news.today');
    await arrived();
    t.same(streams.map(({ messages }) => messages), [3 * BURST, 3 * BURST, 3 * BURST], 'listeners that were cut off listen again, and look');

    await allSay(t, 'ready', [one, two]);
    await admin.call('CLIENT', 'PAUSE', '1000', 'ALL');
    await burst(publishers, 'news.today');
    await arrived();
    t.same(streams.map(({ messages }) => messages), [4 * BURST, 4 * BURST, 4 * BURST], 'a pause makes it late');

    // Whatever came twice would have come before this one.
    await allSay(t, 'ready', [one, two]);
    await publishers.publish('news.today', 'the last');
    await arrived();
    t.same(summarise(check({ publications: [...before.notes, ...publishers.notes], streams: streams.map(({ record }) => record), history: await readHistory(new Http(t, two.url)) })), []);
  });
});
