import t, { type Test } from 'tap';
import { openStream } from '../support/client.ts';
import { emptyDatabase, isPostgres } from '../support/database.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

interface Page {
  readonly messages: readonly { data: string }[];
  readonly cursor: string;
  readonly more: boolean;
}

const SHORT = { ttl: '1' };
/** As many messages may be heard of in time, one after the other. */
const ATTEMPTS = 20;

async function isGone(http: Http, id: string): Promise<boolean> {
  return (await http.get(`/messages/${id}`)).status === 404;
}

async function gone(http: Http, id: string): Promise<void> {
  await until('the message has expired', () => isGone(http, id));
}

/** Opens a stream, waits for a message that says so, and answers with everything that came. */
async function everythingUpTo(t: Test, url: string, text: string): Promise<string[]> {
  const stream = await openStream(t, url);
  await stream.next(({ event, data }) => event === undefined && (data === text || data.includes(`"data":"${text}"`)));
  stream.destroy();
  return stream.events.filter(({ event }) => event === undefined).map(({ data }) => (data.startsWith('{') ? (JSON.parse(data) as { data: string }).data : data));
}

const DATABASE_URL = await emptyDatabase(t);
const [large, small] = await Promise.all([startInstance(t, { DATABASE_URL, TAIL_BYTES: '64MiB' }), startInstance(t, { TAIL_BYTES: '1KiB' })]);

// Once from memory, which is the same whatever the store is, and once from the log.
for (const [tail, instance] of isPostgres ? [['1KiB', small]] as const : [['64MiB', large], ['1KiB', small]] as const) {
  void t.test(`messages whose TTL has passed are nowhere, and hold nothing up: a tail of ${tail}`, async (t) => {
    const http = new Http(t, instance.url);
    let [topic, kept, short, last] = ['', '', '', ''];
    let came: string[] = [];
    // Where the machine stands still for a second messages are over before they are delivered: then some that last longer are tried.
    for (let seconds = 1; seconds < 100 && came.length < 5; seconds *= 3) {
      topic = `a.${seconds}`;
      const ttl = String(seconds);
      const live = await openStream(t, `${instance.url}/topics/${topic}/events`);
      await live.next();
      kept = await http.publish(topic, 'kept 1');
      short = await http.publish(topic, 'short 1', { ttl });
      await http.publish(topic, 'short 2', { ttl });
      await http.publish(topic, 'kept 2', { ttl: '1000' });
      last = await http.publish(topic, 'short 3', { ttl });
      await until('the last has come, or is over', async () => live.events.at(-1)!.data === 'short 3' || await isGone(http, last));
      came = live.events.slice(1).map(({ data }) => data);
    }
    t.same(came, ['kept 1', 'short 1', 'short 2', 'kept 2', 'short 3'], 'while they last they are like any other');
    await gone(http, last);

    t.equal((await http.get(`/messages/${short}`)).status, 404);
    t.equal((await http.get(`/messages/${kept}`)).status, 200);
    t.same(await everythingUpTo(t, `${instance.url}/topics/${topic}/events?after=start`, 'kept 2'), ['kept 1', 'kept 2']);
    t.same(await everythingUpTo(t, `${instance.url}/events?topic=${topic}&topic=b&since=1h`, 'kept 2'), ['kept 1', 'kept 2']);
    // From the id of one that is gone, and from one at the end of the log.
    const streams = await Promise.all([short, last, kept].map((id) => openStream(t, `${instance.url}/topics/${topic}/events?after=${id}`)));
    const next = await http.publish(topic, 'next');
    await Promise.all(streams.map((stream) => stream.next(({ id, event }) => event === undefined && id === next)));
    t.same(streams.map(({ events }) => events.map(({ event, data }) => event ?? data)), [['$open', 'kept 2', 'next'], ['$open', 'next'], ['$open', 'kept 2', 'next']]);

    const page = await http.json<Page>(`/topics/${topic}/messages`);
    t.same(page.messages.map(({ data }) => data), ['kept 1', 'kept 2', 'next']);
    const pages: string[] = [];
    let query = 'limit=1';
    for (let more = true; more;) {
      const one = await http.json<Page>(`/topics/${topic}/messages?${query}`);
      pages.push(...one.messages.map(({ data }) => data));
      ({ more } = one);
      query = `limit=1&after=${one.cursor}`;
    }
    t.same(pages, ['kept 1', 'kept 2', 'next'], 'page by page too');
    await until('all are live', async () => await http.metric('readers_behind') === 0);
  });
}

void t.test('an instance that learns of messages after they expired goes on to the next one, and a long poll waits for that', async (t) => {
  // It looks at the log less often than the messages last, and nothing else tells it.
  const other = await startInstance(t, { DATABASE_URL, POLL_MS: '3000' });
  const [http, late] = [new Http(t, large.url), new Http(t, other.url)];
  const stream = await openStream(t, `${other.url}/topics/heard/events`);
  await stream.next(({ event }) => event === '$open');
  // A message may be heard of in time all the same, when a look comes within its second: then another one is tried.
  const came = (): string[] => stream.events.slice(1).map(({ data }) => data);
  const published: string[] = [];
  let after = 'start';
  for (let round = 1; ; round++) {
    if (round > ATTEMPTS) throw new Error('every message was heard of before it expired');
    const [short, long] = [`short ${round}`, `long ${round}`];
    const poll = late.json<Page>(`/topics/heard/messages?wait=50&after=${after}`);
    await until('the poll waits', async () => await late.metric('long_polls') === 1);
    const id = await http.publish('heard', short, SHORT);
    await gone(http, id);
    await until('it has heard of it', async () => await late.metric('tail_last') === seqOf(id));
    after = await http.publish('heard', long);
    await stream.next(({ data }) => data === long);
    const polled = (await poll).messages.map(({ data }) => data);
    const wasHeard = came().includes(short) || polled.includes(short);
    published.push(...came().includes(short) ? [short] : [], long);
    t.same(came(), published);
    if (wasHeard) continue;
    t.same(polled, [long]);
    break;
  }
  t.equal((await late.get('/readyz')).status, 200);
});
