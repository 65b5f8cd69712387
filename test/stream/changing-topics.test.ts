import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ChangingStream } from '../support/changing-stream.ts';
import { check, missing, summarise } from '../support/checker.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { seeded, type Random } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { rounds } from '../support/rounds.ts';

/** Streams whose topics change while messages are published to them: each gets what its topics at each place ask for, once and in order. */

const STREAMS = 200;
const PUBLISHERS = 20;
const MESSAGES = rounds(400, 20_000, 200);
/** Each client changes its topics so often at least. */
const CHANGES = 4;
/** One stream in so many is cut now and then, and one does not read now and then. */
const CUT_EVERY = 4;
const PAUSED_EVERY = 7;
/** How long a publisher and a client rest between two requests, at most. Milliseconds. */
const REST = 30;
/** How long a client keeps its topics, at most. Milliseconds. */
const CHANGE_REST = 600;
/** How long the last messages may take to arrive. Milliseconds. */
const ARRIVAL = 120_000;

const ROOMS = Array.from({ length: 12 }, (_, index) => `room.${index}`);
const NAMES = [...ROOMS, 'room.*', 'room.1.>', 'other', '>'];
const TOPICS = [...ROOMS, 'room.1.a', 'other'];

/** Some names, and patterns among them. */
function some(random: Random): string[] {
  const names = Array.from({ length: 1 + random.below(4) }, () => random.one(random.below(8) === 0 ? NAMES : ROOMS));
  return [...new Set(names)];
}

/** Who does not read is not sent away for it, and some read the log. */
const QUIET = { LOG_LEVEL: 'warn', STALL_SECONDS: '600', TAIL_BYTES: '1MiB' };

async function run(t: Test, instances: readonly Instance[]): Promise<void> {
  const random = seeded(t);
  const urls = instances.map(({ url }) => url);
  const kept = new Map<string, string>();
  const keep = (text: string): string => {
    const known = kept.get(text) ?? text;
    kept.set(known, known);
    return known;
  };
  const streams = Array.from({ length: STREAMS }, (_, index) => {
    const wants = some(random);
    return new ChangingStream(t, { name: `stream ${index} (${wants.join(' ')})`, wants, urls: [...urls.slice(index % urls.length), ...urls.slice(0, index % urls.length)], keep });
  });
  await Promise.all(streams.map((stream) => stream.when(() => stream.isOpen, ARRIVAL)));

  const publishers = new Publishers(t, urls, random.fork());
  let isOver = false;
  const publishing = Promise.all(Array.from({ length: PUBLISHERS }, async (_, publisher) => {
    const own = random.fork();
    for (let count = 0; count < MESSAGES / PUBLISHERS; count++) {
      const text = (): string => `${publisher}.${count}.${own.next()}${own.below(25) === 0 ? ` ${'x'.repeat(20_000)}` : ''}`;
      if (own.below(5) === 0) await publishers.publishBatch(Array.from({ length: 1 + own.below(6) }, () => ({ topic: own.one(TOPICS), text: text() })));
      else await publishers.publish(own.one(TOPICS), text());
      await sleep(own.below(REST));
    }
  })).finally(() => {
    isOver = true;
  });
  const https = urls.map((url) => new Http(t, url, 64));
  const changing = Promise.all(streams.map(async (stream, index) => {
    const own = random.fork();
    for (let count = 0; !isOver || count < CHANGES; count++) {
      await sleep(own.below(CHANGE_REST));
      const remove = stream.wants.filter(() => own.below(2) === 0);
      // Something is left in any case.
      await stream.change(own.one(https), [...new Set([...some(own), 'other'])].filter((name) => !remove.includes(name)), remove.filter((name) => name !== 'other'));
      if (index % PAUSED_EVERY === 0) {
        if (own.below(2) === 0) stream.pause();
        else stream.resume();
      }
      if (index % CUT_EVERY === 1 && own.below(3) === 0) stream.cut();
    }
    stream.resume();
  }));
  await Promise.all([publishing, changing]);
  // The last changes are told, and the last messages have somebody to come to.
  await Promise.all(streams.map((stream) => stream.when(() => stream.isOpen, ARRIVAL)));
  for (const topic of TOPICS) await publishers.publish(topic, `the last of ${topic}`);
  await Promise.all(streams.map((stream) => stream.when(() => stream.isTold, ARRIVAL)));
  const awaited = missing({ publications: publishers.notes, streams: streams.map(({ record }) => record) });
  await Promise.all(streams.map((stream, index) => {
    const ids = awaited[index]!;
    let seen = 0;
    return stream.when(() => {
      for (; seen < stream.entries.length; seen++) ids.delete(stream.entries[seen]!.id);
      return ids.size === 0;
    }, ARRIVAL);
  }));

  const records = streams.map(({ record }) => record);
  t.same(summarise(check({ publications: publishers.notes, streams: records, history: await readHistory(https[0]!) })), []);
  t.same(streams.flatMap(({ untrue }) => untrue), [], 'the streams told what the answers said');
  const sum = (count: (stream: ChangingStream) => number): number => streams.reduce((total, stream) => total + count(stream), 0);
  const [changes, deliveries, connections] = [sum((stream) => stream.changes), sum(({ entries }) => entries.length), sum((stream) => stream.connections)];
  t.comment(`${publishers.acknowledged} messages, ${changes} changes, ${deliveries} deliveries, ${connections} connections`);
  t.ok(changes > 2 * STREAMS && connections > STREAMS, 'streams were changed, and cut');
}

t.test('on SQLite, one instance', async (t) => {
  await run(t, [await startInstance(t, { DATABASE_URL: 'file:tidings.db', ...QUIET })]);
});

t.test('on PostgreSQL, two instances with Redis, each asked for the streams of both', async (t) => {
  const [server, redis] = [await startPostgres(t), await startRedis(t)];
  const env = { DATABASE_URL: server.url(await server.database()), REDIS_URL: redis.url, ...QUIET };
  await run(t, await Promise.all([startInstance(t, env), startInstance(t, env)]));
});
