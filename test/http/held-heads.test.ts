import { t } from 'tap';
import { requestBytes } from '../support/raw.ts';
import { openSpine } from './fast-path/spine.ts';
import { connectTo, sendApart, serve, turns, type Pair } from './fast-path/ways.ts';

/** Heads that arrive slowly have a bound together. Seen to fail where `HeldHeads.follow` does nothing. All connections have one address. */

const MIB = 1024 * 1024;
const SETTINGS = { MESSAGE_BYTES: '1000', BATCH_BYTES: String(MIB), REQUEST_BYTES: String(MIB) };
const BEGINNING = 'GET /topics/a/messages HTTP/1.1\r\nHost: localhost\r\n';
/** As they are when the last byte is missing. */
const HEADS = {
  'one long header': `${BEGINNING}X-Long: ${'x'.repeat(50_000)}`,
  'many short headers': `${BEGINNING}${Array.from({ length: 900 }, (_, index) => `x${index}: y${index}\r\n`).join('')}`,
};
/** How many fit into a MiB. The HTTP server takes more for them than their bytes. */
const MOST = 10;
const POLL = requestBytes('GET', '/messages?topic=a&wait=50');

for (const mode of ['on', 'off']) {
  for (const [kind, head] of Object.entries(HEADS)) {
    t.test(`heads of ${kind} that do not end have a bound together; fast path ${mode}`, async (t) => {
      const spine = await openSpine(t, { ...SETTINGS, HTTP_FAST_PATH: mode });
      const served = await serve(t, spine.service);
      const pairs: Pair[] = [];
      for (let count = 0; count < 2 * MOST; count++) {
        const pair = await connectTo(t, served);
        await sendApart(pair, Buffer.from(head.slice(0, 9_000)), Buffer.from(head.slice(9_000)));
        pairs.push(pair);
      }
      const refused = (): Pair[] => pairs.filter(({ client }) => client.closed);
      await turns('some are refused', () => refused().length >= MOST);
      // A connection that is closed before all of it was read is reset, and may lose what it was told.
      const told = refused().map(({ client }) => client.text).filter((text) => text !== '');
      t.ok(told.every((text) => /^HTTP\/1\.1 503 [^]*"code":"overloaded"/.test(text)), 'they are told why');
      t.ok(refused().length < 2 * MOST, 'and some are not');

      const ordinary = await connectTo(t, served);
      ordinary.client.send(requestBytes('GET', '/healthz'));
      t.equal((await ordinary.client.answered(1, 'GET'))[0]?.status, 200, 'a head that comes at once is no part of it');

      for (const { client } of pairs) client.destroy();
      await turns('they are gone', () => pairs.every(({ server }) => server.destroyed));
      const next = await connectTo(t, served);
      await sendApart(next, Buffer.from(head.slice(0, 9_000)), Buffer.from(`${head.slice(9_000)}\r\n\r\n`));
      t.equal((await next.client.answered(1, 'GET'))[0]?.status, 200, 'there is room again');
    });
  }

  t.test(`heads behind a request that waits have the same bound; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { ...SETTINGS, HTTP_FAST_PATH: mode });
    const served = await serve(t, spine.service);
    const behind = Buffer.from(HEADS['one long header']);
    const pairs: Pair[] = [];
    for (let count = 0; count < 2 * MOST; count++) {
      const pair = await connectTo(t, served);
      // Some together with the request before them.
      if (count % 2 === 0) pair.client.send(Buffer.concat([POLL, behind]));
      else await sendApart(pair, POLL, behind);
      await turns('it is read', () => pair.server.destroyed || pair.server.bytesRead === POLL.length + behind.length);
      pairs.push(pair);
    }
    await turns('connections are closed', () => pairs.filter(({ server }) => server.destroyed).length >= MOST);
    t.ok(pairs.some(({ server }) => !server.destroyed), 'and not all');
  });

  t.test(`a long URL with long cookies that comes in pieces is served, again and again; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { ...SETTINGS, HTTP_FAST_PATH: mode });
    const served = await serve(t, spine.service);
    const topics = Array.from({ length: 100 }, (_, index) => `topic=${String(index).padEnd(255, 'x')}`).join('&');
    const request = requestBytes('GET', `/messages?${topics}`, { Cookie: `session=${'c'.repeat(8_000)}` });
    const statuses: (number | undefined)[] = [];
    const pair = await connectTo(t, served);
    for (let count = 1; count <= 2 * MOST; count++) {
      await sendApart(pair, request.subarray(0, 12_000), request.subarray(12_000, 24_000), request.subarray(24_000));
      statuses.push((await pair.client.answered(count, ...Array<string>(count).fill('GET'))).at(-1)?.status);
    }
    t.same(statuses, Array(2 * MOST).fill(200));
    t.equal(spine.service.counters.evicted.bodies, 0);
  });
}

for (const mode of ['on', 'off']) {
  t.test(`a body is no head: connections that sent one are idle, and hold nothing; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { ...SETTINGS, HTTP_FAST_PATH: mode });
    const served = await serve(t, spine.service);
    const line = `${JSON.stringify({ topic: 'a', data: 'x'.repeat(100) })}\n`;
    const publish = requestBytes('POST', '/messages', { 'Content-Type': 'application/x-ndjson' }, line.repeat(300));
    const pairs: Pair[] = [];
    for (let count = 0; count < 2 * MOST; count++) {
      const pair = await connectTo(t, served);
      // Some come in one piece; of others the body is cut, or the empty line before it.
      const cut = [publish.length, 1_000, publish.indexOf('\r\n\r\n') + 1][count % 3]!;
      await sendApart(pair, publish.subarray(0, cut), publish.subarray(cut));
      t.equal((await pair.client.answered(1, 'POST'))[0]?.status, 201);
      pairs.push(pair);
    }
    t.ok(pairs.every(({ client, server }) => !client.closed && !server.destroyed), 'all are still open');
    t.equal(spine.service.counters.evicted.bodies, 0);
  });

  t.test(`bodies of several requests that come in one piece are no heads; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { ...SETTINGS, BATCH_BYTES: '65536', REQUEST_BYTES: '131072', HTTP_FAST_PATH: mode });
    const served = await serve(t, spine.service);
    const batch = requestBytes('POST', '/messages', { 'Content-Type': 'application/x-ndjson' }, `${JSON.stringify({ topic: 'a', data: 'x'.repeat(100) })}\n`.repeat(100));
    const health = requestBytes('GET', '/healthz');
    const pipelines: readonly (readonly [methods: readonly string[], all: Buffer, cut: number])[] = [
      [['POST', 'POST'], Buffer.concat([batch, batch]), 2 * batch.length],
      [['GET', 'POST'], Buffer.concat([health, batch]), health.length + batch.length],
      // The body is cut, with a head before it; then the head, with a body before it.
      [['POST', 'POST'], Buffer.concat([batch, batch]), 2 * batch.length - 10],
      [['POST', 'POST'], Buffer.concat([batch, batch]), batch.length + batch.indexOf('\r\n\r\n') + 2],
      // An empty line before a request line means nothing.
      [['POST', 'POST'], Buffer.concat([batch, Buffer.from('\r\n\r\n'), batch]), 2 * batch.length + 4],
    ];
    for (let count = 0; count < 4 * pipelines.length; count++) {
      const pair = await connectTo(t, served);
      const [methods, all, cut] = pipelines[count % pipelines.length]!;
      await sendApart(pair, all.subarray(0, cut), all.subarray(cut));
      t.same((await pair.client.answered(2, ...methods)).map(({ status }) => status), methods.map((method) => method === 'POST' ? 201 : 200), `${count}`);
    }
    t.equal(spine.service.counters.evicted.bodies, 0);
  });

  t.test(`heads behind the body of a request that waits have the same bound; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { ...SETTINGS, HTTP_FAST_PATH: mode });
    const served = await serve(t, spine.service);
    const waiting = requestBytes('GET', '/messages?topic=a&wait=50', { 'Content-Length': '8' }, '\r\n\r\nbody');
    const behind = Buffer.from(HEADS['one long header']);
    const pairs: Pair[] = [];
    for (let count = 0; count < 2 * MOST; count++) {
      const pair = await connectTo(t, served);
      const all = Buffer.concat([waiting, behind]);
      const cut = [all.length, waiting.length - 3, waiting.length + 7][count % 3]!;
      await sendApart(pair, all.subarray(0, cut), all.subarray(cut));
      pairs.push(pair);
    }
    await turns('connections are closed', () => pairs.filter(({ server }) => server.destroyed).length >= MOST);
    t.ok(pairs.some(({ server }) => !server.destroyed), 'and not all');
  });
}
