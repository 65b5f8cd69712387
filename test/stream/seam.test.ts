import t from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { isPostgres } from '../support/database.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

const TOPICS = ['a.b.c', 'a.x.c', 'a.b', 'd', 'd.e.f', 'quiet'];

/** Wishes, as a URL says them, and what they mean, said another way. */
const WISHES: readonly (readonly [path: string, wanted: RegExp])[] = [
  ['/topics/a.b.c/events?', /^a\.b\.c$/],
  ['/topics/a.*.c/events?', /^a\.[^.]+\.c$/],
  ['/topics/a.%3E/events?', /^a\../],
  ['/topics/*/events?', /^[^.]+$/],
  ['/topics/%3E/events?', /./],
  ['/events?topic=d&topic=a.b&topic=d.%3E&topic=a.b&', /^(d|a\.b|d\..+)$/],
  ['/events?topic=quiet&topic=*.*.c&', /^(quiet|[^.]+\.[^.]+\.c)$/],
];

/** The last message of each topic: whoever has it has everything. */
const LAST = 'last';

function pick<T>(values: readonly T[]): T {
  return values[Math.floor(Math.random() * values.length)]!;
}

interface Stored {
  readonly id: string;
  readonly topic: string;
  readonly data: string;
}

/** What was stored so far, and who waits until it is so much. */
class Log {
  readonly messages = new Map<number, Stored>();
  #waiting: { readonly count: number; readonly go: () => void }[] = [];

  keep(message: Stored): void {
    this.messages.set(seqOf(message.id), message);
    this.#release(this.messages.size);
  }

  /** Nothing more is stored: whoever waits goes on. */
  close(): void {
    this.#release(Infinity);
  }

  reached(count: number): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ count, go });
      this.#release(this.messages.size);
    });
  }

  #release(size: number): void {
    for (const { go } of this.#waiting.filter(({ count }) => count <= size)) go();
    this.#waiting = this.#waiting.filter(({ count }) => count > size);
  }
}

interface Opened {
  readonly stream: SseStream;
  readonly wanted: RegExp;
  readonly path: string;
}

/** Publishes so many messages in bursts of all sizes; `stored` is filled as the answers come in. */
async function publishBursts(http: Http, count: number, stored: Log): Promise<void> {
  let next = 0;
  const keep = (id: string, topic: string, data: string): void => stored.keep({ id, topic, data });
  await each(4, 4, async () => {
    while (next < count) {
      if (Math.random() < 0.7) {
        const [topic, data] = [pick(TOPICS), `${next++}`];
        keep(await http.publish(topic, data), topic, data);
      } else {
        const entries = Array.from({ length: Math.ceil(Math.random() * 60) }, () => ({ topic: pick(TOPICS), data: next++ }));
        const ids = await http.batch(entries);
        ids.forEach((id, index) => keep(id, entries[index]!.topic, String(entries[index]!.data)));
      }
    }
  });
  for (const topic of TOPICS) keep(await http.publish(topic, LAST), topic, LAST);
}

const MESSAGES = rounds(2_000, 4_000);
const STREAMS = rounds(30, 100);

/** Most of what is asked of it is read from the log. */
const small = await startInstance(t, { TAIL_BYTES: '16KiB' });

// With a small tail nearly every cursor is behind it and replayed from the log; with a large one from memory, which is the same whatever the store is.
for (const tail of isPostgres ? ['16KiB'] : ['16KiB', '64MiB']) {
  void t.test(`streams that open at any place while thousands of messages go by get each once, in order: a tail of ${tail}`, async (t) => {
    const instance = tail === '16KiB' ? small : await startInstance(t, { TAIL_BYTES: tail });
    const http = new Http(t, instance.url);
    const stored = new Log();
    const load = publishBursts(http, MESSAGES, stored).finally(() => stored.close());
    const opened: Opened[] = [];
    await each(STREAMS, 6, async (index) => {
      // Spread over the load, rather than all at its beginning.
      await stored.reached(MESSAGES * index / STREAMS);
      const [path, wanted] = WISHES[index % WISHES.length]!;
      const known = [...stored.messages.values()];
      const cursor = known.length === 0 || Math.random() < 0.1 ? '' : `after=${Math.random() < 0.1 ? 'start' : pick(known).id}`;
      opened.push({ stream: await openStream(t, `${instance.url}${path}${cursor}`), wanted, path: path + cursor });
    });
    await load;

    const log = [...stored.messages].sort(([a], [b]) => a - b).map(([, message]) => message);
    t.equal(seqOf(log.at(-1)!.id), log.length, 'the log has no holes');
    for (const { stream, wanted, path } of opened) {
      const start = seqOf((await stream.next(({ event }) => event === '$open')).id);
      const expected = log.filter(({ id, topic }) => seqOf(id) > start && wanted.test(topic));
      const end = expected.at(-1);
      if (end !== undefined) await stream.until(() => seqOf(stream.events.at(-1)!.id) >= seqOf(end.id));
      const got = stream.events.filter(({ event }) => event === undefined);
      const text = (data: string): string => (path.startsWith('/events') ? String((JSON.parse(data) as { data: unknown }).data) : data);
      const same = got.length === expected.length && got.every(({ id, data }, index) => id === expected[index]!.id && text(data) === expected[index]!.data);
      t.ok(same, `${path} from ${start}: ${got.length} of ${expected.length}`);
    }
    await until('all are live', async () => await http.metric('readers_behind') === 0);
    const served = await http.metric('catchup_streams_served_total');
    if (tail === '16KiB') t.ok(served > STREAMS / 2, `${served} steps were read from the log`);
    else t.equal(served, 0, 'nothing was read from the log');
  });
}

void t.test('two hundred streams that come back at the same old place share their reads of the log', async (t) => {
  const http = new Http(t, small.url);
  const ids: string[] = [];
  for (let batch = 0; batch < 2; batch++) {
    ids.push(...await http.batch(Array.from({ length: 1000 }, (_, index) => ({ topic: index % 2 === 0 ? 'busy' : 'other', data: 'x'.repeat(500) }))));
  }
  const before = await http.metrics();
  const streams = await Promise.all(Array.from({ length: 200 }, () => openStream(t, `${small.url}/topics/busy/events?after=${ids[0]}`)));
  await Promise.all(streams.map((stream) => stream.next(({ id }) => id === ids.at(-2))));
  const after = await http.metrics();
  const grown = (name: string): number => after.get(`tidings_${name}`)! - before.get(`tidings_${name}`)!;
  const expected = ids.filter((_, index) => index % 2 === 0).slice(1);
  t.ok(streams.every(({ events }) => {
    const got = events.filter(({ event }) => event === undefined);
    return got.length === expected.length && got.every(({ id }, index) => id === expected[index]);
  }), 'everything, once, in order');
  const [reads, served, examined] = [grown('catchup_reads_total'), grown('catchup_streams_served_total'), grown('catchup_rows_examined_total')];
  t.comment(`${reads} reads served ${served} steps of 200 streams, and looked at ${examined} rows`);
  t.ok(served >= 200, `${served} steps were served`);
  t.ok(served / reads > 10, `one read served ${Math.round(served / reads)} streams`);
});
