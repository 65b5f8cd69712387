import t, { type Test } from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { redisClient } from '../support/redis-client.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** A time after which no look at the log comes to the rescue within a test: what arrives, arrived by the bus. Milliseconds. */
const NO_POLL = '60000';
const TTL = { ttl: '1' };
const EXPIRED = 10;

/** How what one instance tells is lost on its way to the other, and how that ends. */
interface Loss {
  begin(): Promise<unknown>;
  end(bothUp: () => Promise<void>): Promise<unknown>;
}

/** What a stream got, without its control events. */
function texts(stream: SseStream): string[] {
  return stream.events.filter(({ event }) => event === undefined).map(({ data }) => data);
}

function isText(text: string): (event: { readonly data: string }) => boolean {
  return ({ data }) => data === text;
}

const redis = await startRedis(t);
const admin = redisClient(t, redis);
/** The user of one of the instances. What one instance may not publish the other does not hear; its own connections are not touched. */
const MUTED = ['ACL', 'SETUSER', 'muted', 'on', '>secret', '~*', '&*', '+@all'] as const;
await admin.call(...MUTED);
const shared = { DATABASE_URL: await emptyDatabase(t), LOG_LEVEL: 'warn', HEARTBEAT_SECONDS: '1', POLL_MS: NO_POLL };
const [one, two] = await Promise.all([redis.url.replace('://', '://muted:secret@'), redis.url].map((url) => startInstance(t, { ...shared, REDIS_URL: url }))) as [Instance, Instance];
const [here, there] = [new Http(t, one.url), new Http(t, two.url)];

/** Messages whose TTL runs out before the other instance hears of them, then one that it does hear of. */
async function loseThenGoOn(t: Test, loss: Loss): Promise<void> {
  const bothUp = (): Promise<void> => until('both listen', async () => (await Promise.all([here.metric('bus_up'), there.metric('bus_up')])).every((up) => up === 1));
  await bothUp();
  const streams = await Promise.all([one, two].flatMap(({ url }) => ['orders', '>'].map((topic) => openStream(t, `${url}/topics/${topic}/events`))));
  const quiet = await openStream(t, `${two.url}/topics/quiet/events`);
  const all = (text: string): Promise<unknown> => Promise.all(streams.map((stream) => stream.next(isText(text))));
  await Promise.all([...streams, quiet].map((stream) => stream.next(({ event }) => event === '$open')));

  const first = await here.publish('orders', 'first');
  await all('first');

  await loss.begin();
  let last = '';
  for (let index = 0; index < EXPIRED; index++) last = await here.publish(index % 2 === 0 ? 'orders' : 'others', `expired ${index}`, TTL);
  const [, kept] = await here.batch([{ topic: 'orders', data: 'expired in a batch', ttl: 1 }, { topic: 'orders', data: 'kept' }, { topic: 'orders', data: 'expired after it', ttl: 1 }]);
  await until('their TTL has passed', async () => (await here.get(`/messages/${last}`)).status === 404 && (await here.get(`/messages/${kept!.replace(/[0-9]+$/, String(seqOf(kept) + 1))}`)).status === 404);
  await loss.end(bothUp);
  const next = await here.publish('orders', 'next');
  t.equal(seqOf(next), seqOf(last) + 4);
  await all('next');

  const [ownExact, ownAll, exact, pattern] = streams;
  t.same(texts(exact!), ['first', '"kept"', 'next']);
  t.same(texts(pattern!), ['first', '"kept"', 'next']);
  // Where they were published they may have been delivered at once.
  for (const own of [ownExact!, ownAll!]) t.same(texts(own).filter((text) => !text.includes('expired')), ['first', '"kept"', 'next']);
  t.equal(await there.metric('tail_last'), seqOf(next), 'the tail has every number');
  await quiet.next(({ event, id }) => event === '$cursor' && seqOf(id) === seqOf(next));

  for (const { url } of [one, two]) {
    const back = await openStream(t, `${url}/topics/orders/events`, { headers: { 'last-event-id': first } });
    await back.next(isText('next'));
    t.same(texts(back), ['"kept"', 'next'], 'who comes back from before them gets what is left');
    t.notOk(back.events.some(({ event }) => event === '$gap'));
  }

  // Now the last numbers of the log are such, and a client brings one that this instance has not heard of.
  await loss.begin();
  const unheard = await here.publish('orders', 'unheard', TTL);
  await until('its TTL has passed', async () => (await here.get(`/messages/${unheard}`)).status === 404);
  const ahead = await openStream(t, `${two.url}/topics/orders/events`, { headers: { 'last-event-id': unheard } });
  await ahead.next(({ event }) => event === '$open');
  await loss.end(bothUp);
  await here.publish('orders', 'the end');
  await all('the end');
  await ahead.next(isText('the end'));
  t.same(texts(ahead), ['the end']);
  t.same(texts(exact!), ['first', '"kept"', 'next', 'the end']);
  t.notOk([...streams, quiet, ahead].some(({ events }) => events.some(({ event }) => event === '$gap')));
}

t.test('numbers whose TTL ran out, lost on the bus: the next message arrives, and no stream waits for them', async (t) => {
  // Nothing but the next message tells the other one.
  await loseThenGoOn(t, {
    begin: () => admin.call('ACL', 'SETUSER', 'muted', '-publish'),
    end: () => admin.call('ACL', 'SETUSER', 'muted', '+publish'),
  });
});

t.test('numbers whose TTL ran out while Redis was stopped: the same', async (t) => {
  await loseThenGoOn(t, {
    begin: () => redis.stop(),
    end: async (bothUp) => {
      await redis.start();
      // It keeps no users.
      await admin.call(...MUTED);
      await bothUp();
    },
  });
});
