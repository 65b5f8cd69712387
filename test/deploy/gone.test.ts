import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { chromiumKinds } from '../clients/support/chromium.ts';
import { startBalanced } from '../support/balancers.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/**
 * All instances are gone. A balancer's own 502, 503 or 504 would be the end of every EventSource, until somebody loads the page again:
 * the shipped configurations say 200, and when to come back.
 */

/** So long there is no instance at all: longer than anybody is told to wait. Milliseconds. */
const GONE = 6_000;
const RETRY_MIN = 1_000;
const RETRY_MAX = 5_000;
/** Streams that ask meanwhile, to see that not all are told the same time. */
const ASKED = 20;
const ORIGIN = 'https://app.example';

t.test('all instances are gone for longer than anybody is told to wait: a page comes back by itself and misses nothing', async (t) => {
  const { instances, balancers, env } = await startBalanced(t, { CORS_ORIGINS: '*' });
  const [outside, page] = await Promise.all([startInstance(t, env), chromiumKinds(t)]);
  const http = new Http(t, outside.url);
  const eventSource = page.kinds.find(({ name }) => name === "Chromium's EventSource")!;
  const all = [...balancers].flatMap(([name, { url }]) => ['/topics/news.today/events', '/events?topic=news.*&topic=other'].map((path) => (
    { name: `${name}, ${path}`, client: eventSource.open(t, url + path) })));
  const opened = ({ client }: (typeof all)[number]): number => client.received.filter(({ event }) => event === '$open').length;
  const messages = ({ client }: (typeof all)[number]): string[] => client.received.filter(({ event }) => event === 'message').map(({ id }) => id);
  await until('all are open', () => all.every((one) => opened(one) > 0));
  const ids = [await http.publish('news.today', 'before')];
  await until('all are live', () => all.every((one) => messages(one).length > 0));

  const before = all.map(opened);
  for (const instance of instances) instance.kill('SIGKILL');
  await Promise.all(instances.map(({ exited }) => exited));
  const gone = performance.now();
  for (const [name, { url }] of balancers) await t.test(`${name}: its answer while it has no instance`, async (t) => {
    const retries: number[] = [];
    for (let index = 0; index < ASKED; index++) {
      const stream = await openStream(t, `${url}/${index % 2 === 0 ? 'topics/a%2Fb/events?after=start' : 'events?topic=a'}`, { headers: { origin: ORIGIN } });
      t.equal(stream.status, 200);
      t.equal(stream.headers['content-type'], 'text/event-stream');
      t.match(stream.headers['cache-control'], 'no-cache');
      t.equal(stream.headers['access-control-allow-origin'], ORIGIN, 'a page of another origin may read it');
      await stream.ended;
      t.same([stream.events, stream.faults], [[], []]);
      retries.push(stream.retry!);
    }
    t.ok(retries.every((retry) => retry >= RETRY_MIN && retry <= RETRY_MAX), retries.join(' '));
    t.ok(new Set(retries).size > ASKED / 2, 'spread out');
    const balanced = new Http(t, url);
    // Publishing to a topic whose name looks like a stream's path is publishing all the same: no 200 for what was not stored.
    for (const answer of [
      await balanced.post('news/events', 'lost'), await balanced.send('POST', '/events'), await balanced.get('/messages?topic=a'), await balanced.get('/topics/a%2Fevents'), await balanced.get('/topics/a/eventsful'),
    ]) {
      t.equal(answer.status, 503);
      t.equal(answer.headers['content-type'], 'application/problem+json');
      t.ok(Number(answer.headers['retry-after']) > 0);
      t.match(JSON.parse(answer.body), { status: 503, code: 'unavailable', type: 'urn:tidings:problem:unavailable' }, 'it was certainly not stored');
    }
  });
  ids.push(await http.publish('news.today', 'while all are gone'));
  await sleep(gone + GONE - performance.now());
  ids.push(await http.publish('news.today', 'still gone'));

  await Promise.all(instances.map((instance) => instance.restart()));
  await until('all are back', () => all.every((one, index) => opened(one) > before[index]!)).catch((error: unknown) => t.fail(String(error)));
  ids.push(await http.publish('news.today', 'afterwards'));
  await until('all have the last message', () => all.every((one) => messages(one).at(-1) === ids.at(-1))).catch((error: unknown) => t.fail(String(error)));
  for (const one of all) {
    t.same(messages(one), ids, `${one.name}: everything once, in order`);
    t.equal(one.client.gaveUp, undefined, `${one.name}: it did not give up`);
  }
  t.same(page.faults, []);
});
