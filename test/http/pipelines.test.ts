import { setImmediate as nextTurn } from 'node:timers/promises';
import { t, type Test } from 'tap';
import { RULES } from '../../src/http/admission/admission.ts';
import type { Rule } from '../../src/http/admission/rule.ts';
import { readHead } from '../../src/http/fast-path/plain-request.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import { openSpine, type Spine } from './fast-path/spine.ts';
import { connectTo, sendApart, serve, turns, type Pair, type Served } from './fast-path/ways.ts';

/** Requests that follow each other, stop in the middle, or meet the end of the service: on both edges. */

const EDGES = [{ edge: 'with the fast path', fastPath: true }, { edge: 'on the ordinary way', fastPath: false }] as const;

const PUBLISH = requestBytes('POST', '/topics/a', {}, 'Hello');
const STREAM = requestBytes('GET', '/topics/a/events', {});
/** These take the ordinary way on both edges. */
const ORDINARY_STREAM = requestBytes('GET', '/topics/a/events', { 'Content-Length': '0' });
const RESOLVED_STREAM = requestBytes('GET', '/topics/a/events?since=1h', { 'Content-Length': '0' });
const LARGE = requestBytes('POST', '/topics/a', {}, 'x'.repeat(200_000));

async function open(t: Test, fastPath: boolean, rules: readonly Rule[] = RULES, environment: Readonly<Record<string, string>> = {}): Promise<{ spine: Spine; served: Served }> {
  const spine = await openSpine(t, environment);
  return { spine, served: await serve(t, spine.service, { fastPath, rules }) };
}

/** Asks only when the test says so. */
function waitingRule(): { rule: Rule; admit: () => void } {
  const waiting: (() => void)[] = [];
  return { rule: () => new Promise((resolve) => void waiting.push(() => resolve(undefined))), admit: () => {
    for (const go of waiting.splice(0)) go();
  } };
}

for (const { edge, fastPath } of EDGES) {
  t.test(`nothing that follows the request for a stream means anything ${edge}`, async (t) => {
    const { spine, served } = await open(t, fastPath);
    const followers: readonly (readonly [string, Buffer])[] = [
      ['a path that is not encoded', requestBytes('GET', '/%zz')],
      ['a path that is not encoded, and its head is asked for', requestBytes('HEAD', '/%zz')],
      ['a body that waits to be asked for', requestBytes('POST', '/topics/a', { Expect: '100-continue', 'Content-Length': '3' }, '')],
      ['a body and another expectation', requestBytes('POST', '/topics/a', { Expect: 'something' }, 'x')],
      ['half a publish', LARGE.subarray(0, 100)],
      ['a large publish', LARGE],
      ['two publishes', Buffer.concat([PUBLISH, PUBLISH])],
      ['another stream', STREAM],
      ['no HTTP', Buffer.from('this is none\r\n\r\n')],
    ];
    for (const front of [Buffer.alloc(0), requestBytes('HEAD', '/healthz'), requestBytes('GET', '/messages?topic=a&wait=1')]) {
      for (const stream of [STREAM, ORDINARY_STREAM, RESOLVED_STREAM]) {
        const before: number = spine.store.messages.length;
        const pairs: (Pair & { readonly what: string })[] = [];
        for (const [what, follower] of followers) {
          const pair = await connectTo(t, served);
          pair.client.send(Buffer.concat([front, stream, follower]));
          pairs.push({ ...pair, what });
        }
        for (const { what, client } of pairs) {
          await client.until(`the stream before ${what}`, () => client.text.includes('$open'));
          const heads = client.text.split('HTTP/1.1 ').slice(1).map((text) => text.slice(0, 3));
          t.same(heads, front.length === 0 ? ['200'] : ['200', '200'], `${front.length} bytes, ${stream.length} bytes, ${what}`);
        }
        t.equal(spine.store.messages.length, before, 'nothing is carried out');
        for (const { client } of pairs) client.end();
        await turns('their ends are seen', () => pairs.every(({ server }) => server.destroyed) && spine.streams.size === 0);
      }
    }
  });

  t.test(`a client that closes its side behind several requests gets an answer to each ${edge}`, async (t) => {
    const { spine, served } = await open(t, fastPath);
    const publishes = Array.from({ length: 5 }, (_, index) => requestBytes('POST', '/topics/a', {}, String(index)));
    const health = requestBytes('GET', '/healthz');
    for (const [what, requests, isApart] of [
      ['in one piece', publishes, false], ['in pieces', publishes, true], ['with another in the middle', [publishes[0]!, health, publishes[1]!], false],
      ['with another at the end', [publishes[0]!, publishes[1]!, health], true],
    ] as const) {
      const before: number = spine.store.messages.length;
      const pair = await connectTo(t, served);
      if (isApart) await sendApart(pair, ...requests);
      else pair.client.send(Buffer.concat(requests));
      pair.client.end();
      await pair.client.untilClosed();
      const methods = requests.map((request) => (request === health ? 'GET' : 'POST'));
      t.same(pair.client.answers(...methods).map(({ status, complete }) => [status, complete]), methods.map((method) => [method === 'GET' ? 200 : 201, true]), what);
      t.equal(spine.store.messages.length - before, methods.filter((method) => method === 'POST').length, what);
    }
    // One that is refused for what it says is answered once, and so are those behind it.
    {
      const before: number = spine.store.messages.length;
      const pair = await connectTo(t, served);
      pair.client.send(Buffer.concat([PUBLISH, requestBytes('POST', '/topics/a?event=$x', {}, 'refused'), PUBLISH, PUBLISH]));
      pair.client.end();
      await pair.client.untilClosed();
      t.same(pair.client.answers('POST', 'POST', 'POST', 'POST', 'POST').map(({ status }) => status), [201, 400, 201, 201]);
      t.equal(spine.store.messages.length - before, 3);
    }
    // What stops in the middle is refused, and not carried out.
    const before: number = spine.store.messages.length;
    const pair = await connectTo(t, served);
    pair.client.send(Buffer.concat([PUBLISH, PUBLISH, PUBLISH.subarray(0, -2)]));
    pair.client.end();
    await pair.client.untilClosed();
    t.same(pair.client.answers('POST', 'POST', 'POST').map(({ status }) => status), [201, 201, 400]);
    t.equal(spine.store.messages.length - before, 2);
  });

  t.test(`a client that closes its side while its first request is admitted gets an answer to each ${edge}`, async (t) => {
    for (const [what, first, status] of [['that is stored', PUBLISH, 201], ['that is refused for what it says', requestBytes('POST', '/topics/a?event=$x', {}, 'x'), 400], ['that is refused at the door', requestBytes('POST', '/topics/a', { 'Content-Type': 'x' }, 'x'), 415]] as const) {
      for (const followers of [[], [PUBLISH, PUBLISH]]) {
        const { rule, admit } = waitingRule();
        const { spine, served } = await open(t, fastPath, [rule, ...RULES]);
        const pair = await connectTo(t, served);
        pair.client.send(Buffer.concat([first, ...followers]));
        pair.client.end();
        for (let turn = 0; turn < 50; turn++) await nextTurn();
        await turns('all are answered', () => {
          admit();
          return pair.client.closed;
        });
        t.same(pair.client.answers('POST', 'POST', 'POST', 'POST').map((answer) => answer.status), [status, ...followers.map(() => 201)], `${what}, ${followers.length} after it`);
        t.equal(spine.store.messages.length, followers.length + (status === 201 ? 1 : 0), what);
      }
    }
  });

  t.test(`bytes that come while a stream is admitted are thrown away, and its client's end is seen ${edge}`, async (t) => {
    for (const leaves of ['end', 'destroy'] as const) {
      for (const stream of [STREAM, ORDINARY_STREAM]) {
        const { rule, admit } = waitingRule();
        const { spine, served } = await open(t, fastPath, [rule, ...RULES]);
        const pair = await connectTo(t, served);
        pair.client.send(stream);
        pair.client.send(LARGE);
        for (let turn = 0; turn < 50; turn++) await nextTurn();
        await turns('the stream is open', () => {
          admit();
          return pair.client.text.includes('$open');
        });
        pair.client[leaves]();
        await turns('its end is seen', () => pair.server.destroyed && spine.streams.size === 0);
        t.equal(spine.store.messages.length, 0);
      }
    }
  });

  t.test(`a body that comes while its head is admitted is taken, and so is the next request ${edge}`, async (t) => {
    const { rule, admit } = waitingRule();
    const { spine, served } = await open(t, fastPath, [rule, ...RULES]);
    const pair = await connectTo(t, served);
    await sendApart(pair, PUBLISH.subarray(0, -5), PUBLISH.subarray(-5));
    for (let count = 1; count <= 3; count++) {
      await turns('it is stored', () => {
        admit();
        return spine.store.messages.length === count;
      });
      await pair.client.answered(count, ...Array<string>(count).fill('POST'));
      pair.client.send(PUBLISH);
    }
    pair.client.end();
    await turns('the end is seen', () => {
      admit();
      return pair.server.destroyed;
    });
  });

  t.test(`a request that has begun to come is answered when the service ends, and its connection closed ${edge}`, async (t) => {
    for (const at of [20, PUBLISH.length - 5, PUBLISH.length - 1]) {
      const { served, spine } = await open(t, fastPath);
      const pair = await connectTo(t, served);
      await sendApart(pair, PUBLISH.subarray(0, at));
      served.app.server.closeIdleConnections();
      pair.client.send(PUBLISH.subarray(at));
      const [answer] = await pair.client.answered(1, 'POST');
      t.equal(answer!.status, 201, `at byte ${at}`);
      t.equal(spine.store.messages.length, 1);
    }
    const { rule, admit } = waitingRule();
    const { served } = await open(t, fastPath, [rule, ...RULES]);
    const pair = await connectTo(t, served);
    await sendApart(pair, PUBLISH.subarray(0, -5));
    served.app.server.closeIdleConnections();
    await sendApart(pair, PUBLISH.subarray(-5));
    await turns('it is answered', () => {
      admit();
      return pair.client.answers('POST')[0]?.complete === true;
    });
    t.equal(pair.client.answers('POST')[0]!.status, 201, 'while its head is admitted');
  });

  t.test(`a stream that is refused waits for no body ${edge}`, async (t) => {
    const { served } = await open(t, fastPath);
    for (const ends of [false, true]) {
      const pair = await connectTo(t, served);
      await sendApart(pair, requestBytes('GET', '/topics/a/events', { Accept: 'text/html', 'Content-Length': '500' }, 'he'));
      if (ends) pair.client.end();
      await pair.client.untilClosed();
      if (!ends) t.match(pair.client.answers('GET'), [{ status: 406, headers: { connection: 'close' } }]);
      await turns('nothing is left', () => pair.server.destroyed);
    }
  });

  t.test(`a client is told to go on with its body before its answer, never within another one ${edge}`, async (t) => {
    const { served } = await open(t, fastPath, RULES, { MESSAGE_BYTES: '2000' });
    const late = requestBytes('POST', '/topics/a', { Expect: '100-continue' }, 'x'.repeat(2500));
    for (const front of [requestBytes('PUT', '/x', { 'Content-Length': '2' }, 'ab'), requestBytes('GET', '/messages?topic=a&wait=1'), PUBLISH]) {
      const connection = await RawConnection.open(t, served);
      connection.send(Buffer.concat([front, late]));
      await connection.until('both are answered', () => connection.text.includes('"code":"too-large"'));
      t.notMatch(connection.text.slice(connection.text.indexOf('HTTP/1.1 413')), /100 Continue/);
    }
    const connection = await RawConnection.open(t, served);
    connection.send(Buffer.concat([PUBLISH, requestBytes('POST', '/topics/a', { Expect: '100-continue', 'Content-Length': '3' }, '')]));
    await connection.until('it is told', () => connection.text.includes('100 Continue'));
    connection.send('abc');
    t.same((await connection.answered(3, 'POST', 'POST', 'POST')).map(({ status }) => status), [201, 100, 201]);
  });

  t.test(`a refused stream whose client takes nothing is not kept for ever ${edge}`, async (t) => {
    const { served, spine } = await open(t, fastPath, RULES, { MAX_STREAMS: '0' });
    const pair = await connectTo(t, served);
    pair.client.send(STREAM);
    await pair.client.until('it is refused', () => pair.client.text.includes('$busy'));
    t.ok(pair.server.timeout! > 0, 'there is a limit');
    pair.server.emit('timeout');
    t.ok(pair.server.destroyed);
    t.equal(spine.streams.size, 0);
  });

  t.test(`a stream that is asked for after the end of all streams ends at once ${edge}`, async (t) => {
    const { served, spine } = await open(t, fastPath);
    void spine.streams.drain(0);
    spine.streams.stop();
    for (const stream of [STREAM, ORDINARY_STREAM]) {
      const pair = await connectTo(t, served);
      pair.client.send(stream);
      await pair.client.untilClosed();
      pair.client.destroy();
    }
    await served.app.close();
  });
}

t.test('a head takes no longer to read than in proportion to its length', (t) => {
  const took = (text: string): number => {
    const bytes = Buffer.from(text, 'latin1');
    let least = Infinity;
    for (let round = 0; round < 20; round++) {
      const began = performance.now();
      readHead(bytes);
      least = Math.min(least, performance.now() - began);
    }
    return least;
  };
  const head = (line: string): string => `GET /topics/a/events HTTP/1.1\r\nHost: localhost\r\n${line}\r\n\r\n`;
  const lines: readonly ((length: number) => string)[] = [
    (length) => `X:${' '.repeat(length)}\x01`, (length) => `X: a${' '.repeat(length)}\x01`, (length) => `X: a${' '.repeat(length)}b `, (length) => `X: a${' \t'.repeat(length / 2)}`,
    (length) => `Connection: ${'a, '.repeat(length / 3)}!`, (length) => `Connection: ${'a-'.repeat(length / 2)}!`, (length) => 'a'.repeat(length),
  ];
  // Sixteen times as long: a square would take 256 times as long.
  for (const [index, line] of lines.entries()) {
    const [short, long] = [took(head(line(500))), took(head(line(8_000)))];
    t.ok(long < 100 * Math.max(short, 0.002), `${index}: ${short} ms became ${long} ms`);
  }
  t.equal(readHead(Buffer.from(head('A: b\r\n'.repeat(1_000) + 'C: d'))).kind, 'other', 'more headers than Node takes');
  t.end();
});
