import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { openStream, type SseStream } from '../support/client.ts';
import { each, Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { Link } from '../support/link.ts';
import { startPostgres } from '../support/postgres.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

/** Instances on PostgreSQL, and what becomes of their streams and publishers when it fails. */

/** How often an instance is stopped in the middle of what it does. */
const ROUNDS = rounds(4, 10);

const QUICK = { LOG_LEVEL: 'warn', POLL_MS: '50', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200' };

/** For tests that leave it as it is in the end. */
const server = await startPostgres(t, { password: 'hunter2-hunter2' });

interface Gap {
  readonly requested: string | null;
  readonly reason: string;
}

function data(stream: SseStream): string[] {
  return stream.events.filter(({ event }) => event === undefined).map((event) => event.data);
}

function gaps(stream: SseStream): Gap[] {
  return stream.events.filter(({ event }) => event === '$gap').map((event) => JSON.parse(event.data) as Gap);
}

async function publishes(t: Test, instance: Instance): Promise<boolean> {
  return (await new Http(t, instance.url).post('probe', '')).status === 201;
}

t.test('a database that vanishes: publishes get 503, streams stay open, and all goes on by itself', async (t) => {
  const link = await Link.start(t, server.port);
  const instance = await startInstance(t, { ...QUICK, LOG_LEVEL: 'trace', HEARTBEAT_SECONDS: '1', DATABASE_URL: server.url(await server.database(), link) });
  const http = new Http(t, instance.url);
  const stream = await openStream(t, `${instance.url}/topics/a/events`);
  await http.publish('a', 'before');
  await stream.next((event) => event.data === 'before');
  const { pid } = instance;

  for (const [index, break_] of [async () => link.cut(), () => server.stop('immediate')].entries()) {
    await break_();
    const first = await http.post('a', 'unknown');
    t.match([first.status, (JSON.parse(first.body) as { code: string }).code], [503, /^(outcome-unknown|unavailable)$/]);
    const refused = await http.post('a', 'refused');
    t.match([refused.status, JSON.parse(refused.body)], [503, { code: 'unavailable' }]);
    t.ok(Number(refused.headers['retry-after']) > 0);
    t.notMatch(refused.body, /postgres|127\.0\.0\.1|connect/i, 'nothing of the inside');
    await until('it is not ready', async () => (await http.get('/readyz')).status === 503);
    const comments = stream.comments.length;
    await stream.until(() => stream.comments.length > comments + 1);
    const late = await openStream(t, `${instance.url}/topics/a/events`, { headers: { 'last-event-id': 'zzzzzzzzzz-1' } });
    t.equal((await late.next()).event, '$busy', 'a stream that needs the database is sent away for a while');

    link.heal();
    if (index === 1) await server.start();
    await until('it is ready', async () => (await http.get('/readyz')).status === 200);
    await http.publish('a', `after ${index}`);
    await stream.next((event) => event.data === `after ${index}`);
  }
  t.same(data(stream).filter((text) => text !== 'unknown'), ['before', 'after 0', 'after 1']);
  t.same(gaps(stream), []);
  t.equal(instance.pid, pid);
  t.notMatch(instance.output, /hunter2/, 'the password is in no line of the log');
});

for (const what of ['messages', 'epoch']) t.test(`a primary that is lost with its newest ${what}: every client is told, and no id means two messages`, async (t) => {
  const primary = await startPostgres(t);
  const name = await primary.database();
  const network = await Link.start(t, primary.port);
  const instances = await Promise.all([0, 1].map(() => startInstance(t, { ...QUICK, DATABASE_URL: primary.url(name, network) })));
  const link = await Link.start(t, primary.port);
  const standby = await primary.standby(link);
  const [one, two] = instances.map(({ url }) => new Http(t, url));
  const streams = await Promise.all(instances.map(({ url }) => openStream(t, `${url}/topics/a/events`)));
  const kept: string[] = [];
  const lost: string[] = [];
  for (let index = 0; index < 5; index++) kept.push(await one!.publish('a', `kept ${index}`));
  await until('the standby has them', async () => Number((await standby.ask(name, 'SELECT seq FROM tidings.head'))[0]![0]) === seqOf(kept.at(-1)));
  link.cut();
  if (what === 'epoch') {
    // An epoch begins, of which the standby never hears.
    network.reset();
    for (const instance of instances) await until('it publishes', () => publishes(t, instance));
  }
  for (let index = 0; index < 5; index++) lost.push(await two!.publish('a', `lost ${index}`));
  if (what === 'epoch') t.not(lost[0]!.split('-')[0], kept[0]!.split('-')[0]);
  // Both tails hold what is about to be lost.
  for (const stream of streams) await stream.next((event) => event.data === 'lost 4');

  await primary.stop();
  await standby.replace(primary);
  for (const instance of instances) await until('it publishes', () => publishes(t, instance));
  const later: string[] = [];
  for (let index = 0; index < 10; index++) later.push(await one!.publish('a', `new ${index}`));
  t.ok(seqOf(later.at(-1)) > seqOf(lost.at(-1)), 'the new primary has counted past what was lost');

  for (const stream of streams) {
    await stream.next((event) => event.data === 'new 9');
    t.same(data(stream).map((text) => text.split(' ')[0]), [...kept.map(() => 'kept'), ...lost.map(() => 'lost'), ...later.map(() => 'new')], 'a stream that was open gets everything once');
    t.equal(gaps(stream).length, 1, 'and is told once');
    t.match(gaps(stream), [{ reason: /^(ahead|forked)$/ }]);
  }
  t.equal(new Set([...kept, ...lost, ...later]).size, 20);
  for (const { url } of instances) {
    for (const id of lost) {
      const stream = await openStream(t, `${url}/topics/a/events`, { headers: { 'last-event-id': id } });
      await stream.next((event) => event.data === 'new 9');
      t.match(gaps(stream), [{ requested: id, reason: 'forked' }], id);
      t.same(data(stream), later.map((_, index) => `new ${index}`));
      stream.destroy();
    }
    const good = await openStream(t, `${url}/topics/a/events`, { headers: { 'last-event-id': kept[3]! } });
    await good.next((event) => event.data === 'new 9');
    t.same(gaps(good), []);
    t.same(data(good)[0], 'kept 4');
  }
});

t.test('an instance that ends while its database is silent answers every publisher before', async (t) => {
  const link = await Link.start(t, server.port);
  const instance = await startInstance(t, { ...QUICK, DRAIN_SECONDS: '0', DATABASE_URL: server.url(await server.database(), link) });
  const http = new Http(t, instance.url);
  await http.publish('a', 'before');
  link.silence(true);
  const publishes = ['1', '2', '3'].map((text) => http.post('a', text));
  await until('all of them wait', async () => await http.metric('appends_waiting') === publishes.length);
  instance.kill('SIGTERM');
  for (const { status, body } of await Promise.all(publishes)) {
    t.match([status, (JSON.parse(body) as { code: string }).code], [503, /^(outcome-unknown|unavailable)$/]);
  }
});

t.test('an instance that was stopped leaves the others publishing, and goes on where it stood', async (t) => {
  const env = { ...QUICK, DATABASE_URL: server.url(await server.database()) };
  const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  const [first, second] = [new Http(t, one.url), new Http(t, two.url)];
  const stream = await openStream(t, `${two.url}/topics/a/events`);
  const ids: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Stopped while it is at it, wherever that is.
    const busy = each(40, 40, async (index) => void ids.push(await first.publish('a', `${round}.${index}`)));
    await sleep(round);
    one.kill('SIGSTOP');
    ids.push(await second.publish('a', `beside ${round}`));
    one.kill('SIGCONT');
    await busy;
  }
  await stream.until(() => data(stream).length === ids.length);
  t.equal(new Set(ids).size, 41 * ROUNDS);
  t.same(stream.events.filter(({ event }) => event === undefined).map(({ id }) => seqOf(id)), ids.map((_, index) => index + 1), 'every message once, in order');
});

t.test('without traffic, an instance asks its database at most twice a second', async (t) => {
  const name = await server.database();
  await server.ask('postgres', `ALTER DATABASE ${name} SET log_statement = 'all'`);
  const env = { LOG_LEVEL: 'warn', DATABASE_URL: server.url(name) };
  const instances = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  for (const { url } of instances) await openStream(t, `${url}/topics/a/events`);
  const asked = (): number => server.output.split('LOG:  statement: ').length;
  // At first an instance looks at more: whether anything is to be deleted, and what was said meanwhile may be heard late.
  for (let attempt = 1; ; attempt++) {
    const [before, began] = [asked(), performance.now()];
    await sleep(4_000);
    const count = asked() - before;
    const seconds = (performance.now() - began) / 1000;
    t.comment(`${count} queries of ${instances.length} instances in ${seconds.toFixed(1)} s`);
    t.ok(count > 0);
    // Each of the two questions of an instance may fall on both ends of what is counted.
    const most = 2 * instances.length * (seconds + 1);
    if (count > most && attempt < 3) continue;
    t.ok(count <= most, `${count} queries`);
    return;
  }
});
