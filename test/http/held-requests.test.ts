import { t } from 'tap';
import type { Receipt } from '../../src/log/publisher/receipt.ts';
import { requestBytes } from '../support/raw.ts';
import { openSpine } from './fast-path/spine.ts';
import { connectTo, sendApart, serve, turns, type Pair } from './fast-path/ways.ts';

/** What requests hold besides their bodies: long heads, and requests behind one that waits. Seen to fail where `HeldRequests.admit` lets everybody in. All connections have one address. */

const MIB = 1024 * 1024;
const SETTINGS = { MESSAGE_BYTES: '1000', BATCH_BYTES: String(MIB), REQUEST_BYTES: String(MIB) };
const POLL = '/messages?topic=a&wait=50';
const LONG = { 'X-Long': 'x'.repeat(50_000) };
/** Their bytes are few: what they take is the texts that are made of them. */
const MANY = Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`x${index}`, 'y']));

for (const [kind, headers, least] of [['a long header', LONG, 10], ['many short headers', MANY, 4]] as const) {
  t.test(`long polls with ${kind} have a bound together, and short heads are let in in spite of it`, async (t) => {
    const spine = await openSpine(t, SETTINGS);
    const served = await serve(t, spine.service);
    const waiting: Pair[] = [];
    for (let count = 0; ; count++) {
      const pair = await connectTo(t, served);
      pair.client.send(requestBytes('GET', POLL, headers));
      await turns('it waits, or is refused', () => spine.service.gauges().longPolls > waiting.length || pair.client.text.includes('HTTP/1.1'));
      if (pair.client.text.includes('HTTP/1.1')) {
        t.match(pair.client.text, /^HTTP\/1\.1 503 [^]*"code":"overloaded"/);
        break;
      }
      waiting.push(pair);
      if (count === 100) throw new Error('A hundred wait');
    }
    t.ok(waiting.length > least, `${waiting.length} wait`);
    const ordinary = await connectTo(t, served);
    ordinary.client.send(requestBytes('GET', POLL));
    await turns('an ordinary one waits, too', () => spine.service.gauges().longPolls === waiting.length + 1);

    for (const { client } of waiting) client.destroy();
    await turns('they are gone', () => spine.service.gauges().longPolls === 1);
    const next = await connectTo(t, served);
    next.client.send(requestBytes('GET', POLL, headers));
    await turns('there is room again', () => spine.service.gauges().longPolls === 2);
  });
}

t.test('requests behind a long poll have a bound: the connection of one that sends more is closed', async (t) => {
  const spine = await openSpine(t, SETTINGS);
  const served = await serve(t, spine.service);
  const patient = await connectTo(t, served);
  const health = requestBytes('GET', '/healthz');
  patient.client.send(Buffer.concat([requestBytes('GET', POLL), ...Array.from({ length: 50 }, () => health)]));
  await turns('it waits', () => spine.service.gauges().longPolls === 1);
  const greedy = await connectTo(t, served);
  greedy.client.send(Buffer.concat([requestBytes('GET', POLL), ...Array.from({ length: 1000 }, () => health)]));
  await turns('its connection is closed', () => greedy.server.destroyed);
  t.notOk(patient.server.destroyed, 'and nobody else\'s');
  const other = await connectTo(t, served);
  other.client.send(requestBytes('GET', '/healthz', { Connection: 'close' }));
  await other.client.untilClosed();
  t.match(other.client.text, /^HTTP\/1\.1 200/, 'there is room again');
});

t.test('parts of requests have a bound, on whichever edge they wait', async (t) => {
  const spine = await openSpine(t, { ...SETTINGS, MESSAGE_BYTES: '100000' });
  const served = await serve(t, spine.service);
  const publish = requestBytes('POST', '/topics/a', {}, 'x'.repeat(60_000));
  const pairs: Pair[] = [];
  for (let count = 0; count < 40; count++) {
    const pair = await connectTo(t, served);
    await sendApart(pair, publish.subarray(0, -10));
    pairs.push(pair);
  }
  for (const { client } of pairs) client.send(publish.subarray(-10));
  await turns('all are answered', () => pairs.every(({ client }) => client.text.includes('HTTP/1.1')));
  const statuses = pairs.map(({ client }) => client.text.slice(9, 12));
  const stored = statuses.filter((status) => status === '201').length;
  t.ok(stored >= 8 && stored <= 17, `${stored} fit into a MiB`);
  t.equal(statuses.filter((status) => status === '503').length, 40 - stored);
  const next = await connectTo(t, served);
  next.client.send(publish);
  await turns('there is room again', () => next.client.text.includes('HTTP/1.1 201'));
});

t.test('a connection with many requests after a waiting one makes room for others', async (t) => {
  const spine = await openSpine(t, SETTINGS);
  const served = await serve(t, spine.service);
  const greedy = await connectTo(t, served);
  greedy.client.send(Buffer.concat([requestBytes('GET', POLL), ...Array.from({ length: 110 }, () => requestBytes('GET', '/healthz'))]));
  await turns('it waits', () => spine.service.gauges().longPolls === 1);
  const others: Pair[] = [];
  while (!greedy.server.destroyed && others.length < 10) {
    const pair = await connectTo(t, served);
    pair.client.send(requestBytes('GET', POLL, LONG));
    await turns('it waits', () => spine.service.gauges().longPolls === others.length + (greedy.server.destroyed ? 1 : 2) || pair.client.text !== '');
    t.equal(pair.client.text, '');
    others.push(pair);
  }
  t.equal(spine.service.counters.evicted.bodies, 1);
  t.ok(others.every(({ server }) => !server.destroyed), 'and they wait on');
});

t.test('a part of a request makes room for a smaller one: the HTTP server refuses it when it is whole', async (t) => {
  const spine = await openSpine(t, { ...SETTINGS, MESSAGE_BYTES: '100000' });
  const served = await serve(t, spine.service);
  const publish = requestBytes('POST', '/topics/a', {}, 'x'.repeat(60_000));
  const pairs: Pair[] = [];
  for (let count = 0; count < 17; count++) {
    const pair = await connectTo(t, served);
    await sendApart(pair, publish.subarray(0, -10));
    pairs.push(pair);
  }
  const small = await connectTo(t, served);
  const smaller = requestBytes('POST', '/topics/a', {}, 'x'.repeat(30_000));
  await sendApart(small, smaller.subarray(0, -10));
  t.equal(spine.service.counters.evicted.bodies, 1);
  for (const { client } of pairs) client.send(publish.subarray(-10));
  await turns('they are answered', () => pairs.every(({ client }) => client.text.includes('HTTP/1.1')));
  t.same(pairs.map(({ client }) => client.text.slice(9, 12)).filter((status) => status !== '201'), ['503']);
  small.client.send(smaller.subarray(-10));
  await turns('it is stored', () => small.client.text.includes('HTTP/1.1 201'));
});

/** What a browser with long cookies sends. */
const COOKIES = { Cookie: `session=${'c'.repeat(7_000)}` };
const SMALL = { MESSAGE_BYTES: '1000', BATCH_BYTES: '65536', REQUEST_BYTES: '65536' };

for (const mode of ['on', 'off']) {
  for (const kind of ['publishes', 'long polls']) {
    t.test(`${kind} under way with heads of 7 KiB have a bound together, and those with short heads are let in all the same; fast path ${mode}`, async (t) => {
      const spine = await openSpine(t, { ...SMALL, HTTP_FAST_PATH: mode });
      const { promise, resolve } = Promise.withResolvers<Receipt>();
      let publishing = 0;
      const served = await serve(t, { ...spine.service, publisher: { publish: () => {
        publishing++;
        return promise;
      } } });
      const underWay = (): number => publishing + spine.service.gauges().longPolls;
      const ask = async (headers: Readonly<Record<string, string>>): Promise<Pair> => {
        const pair = await connectTo(t, served);
        const before = underWay();
        pair.client.send(kind === 'publishes' ? requestBytes('POST', '/topics/a', headers, 'x') : requestBytes('GET', POLL, headers));
        await turns('it waits, or is refused', () => underWay() > before || pair.client.text.includes('HTTP/1.1'));
        return pair;
      };
      const waiting: Pair[] = [];
      let refused: Pair | undefined;
      while (refused === undefined && waiting.length < 50) {
        const pair = await ask(COOKIES);
        if (pair.client.text === '') waiting.push(pair);
        else refused = pair;
      }
      t.match(refused?.client.text ?? 'none', /^HTTP\/1\.1 503 [^]*"code":"overloaded"/);
      t.ok(waiting.length >= 4, `${waiting.length} wait`);
      t.equal((await ask({})).client.text, '', 'one with a short head waits, too');

      if (kind === 'publishes') {
        resolve({ epoch: 'abcdefgh', first: 1, time: 0, replayed: false });
        await turns('they are answered', () => waiting.every(({ client }) => client.text.includes('HTTP/1.1 201')));
      } else {
        for (const { client } of waiting) client.destroy();
        await turns('they are gone', () => spine.service.gauges().longPolls === 1);
      }
      t.notMatch((await ask(COOKIES)).client.text, /^HTTP\/1\.1 503/, 'there is room again');
    });
  }
}
