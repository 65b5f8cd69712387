import { t, type Test } from 'tap';
import type { Service } from '../../src/http/service.ts';
import { RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import { serve, turns, type Served } from './fast-path/ways.ts';

/** What is rarely asked, on both edges: methods, expectations, upgrades and old versions are answered alike, whichever edge the request and the one before it took. */

function service(): Service {
  return fakeService({ streams: {
    hasRoomFor: () => false, makeRoom: () => false, end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined, open: (): never => {
      throw new Error('No stream is begun.');
    }, refuse: (options, outlet) => {
      outlet.write(Buffer.from(JSON.stringify(options)));
      outlet.destroySoon();
    },
  } }, { CORS_ORIGINS: 'https://app.example' });
}

const PATHS = ['/topics/a', '/topics/a/events', '/topics/a/messages', '/events?topic=a', '/messages?topic=a', '/messages/a', '/healthz', '/nothing'];

const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'TRACE'] as const;

const KINDS: readonly { readonly kind: string; readonly headers: Readonly<Record<string, string>> }[] = [
  { kind: 'plain', headers: {} },
  { kind: 'the last of its connection', headers: { Connection: 'close' } },
  { kind: 'from an allowed page', headers: { Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' } },
  { kind: 'from another page', headers: { Origin: 'https://other.example', 'Sec-Fetch-Site': 'cross-site' } },
  { kind: 'a preflight', headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'traceparent' } },
  { kind: 'that waits to be told to go on', headers: { Expect: '100-continue' } },
  { kind: 'with an expectation', headers: { Expect: 'something' } },
  { kind: 'an upgrade to WebSocket', headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } },
  { kind: 'an upgrade to WebSocket by a page', headers: { Origin: 'https://other.example', Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } },
  { kind: 'an upgrade to HTTP/2', headers: { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQCAAAAAAIAAAAA' } },
  { kind: 'for another host', headers: { Host: 'evil.example' } },
];

const OF_THE_MOMENT = ['date', 'keep-alive', 'retry-after'];

/** What comes for a request, with its headers in order, without what differs from one moment to the next; after a publish on the same connection, if `isSecond`. */
async function answered(t: Test, served: Served, method: string, bytes: Buffer, isSecond: boolean): Promise<Omit<Answer, 'version'>[]> {
  const connection = await RawConnection.open(t, served);
  const before = isSecond ? ['POST'] : [];
  if (isSecond) {
    connection.send(requestBytes('POST', '/topics/first', {}, 'x'));
    await connection.answered(1, 'POST');
  }
  connection.send(bytes);
  const final = (): Answer[] => connection.answers(...before, method).slice(before.length).filter(({ status }) => status >= 200);
  await turns('the answer', () => connection.closed || final().some(({ complete }) => complete));
  const answers = connection.answers(...before, method).slice(before.length);
  connection.destroy();
  return answers.map(({ version: _version, headers, ...rest }) => ({ ...rest, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_THE_MOMENT.includes(name)).sort()) }));
}

t.test('methods, expectations, upgrades, pages and hosts are answered alike on both edges', async (t) => {
  const [fast, ordinary] = [await serve(t, service()), await serve(t, service(), { fastPath: false })];
  for (const method of METHODS) {
    for (const path of PATHS) {
      const differing: string[] = [];
      for (const [index, { kind, headers }] of KINDS.entries()) {
        const bytes = requestBytes(method, path, { ...headers, ...(method === 'POST' ? { 'Content-Type': 'application/json', 'Content-Length': '24' } : {}) }, method === 'POST' ? '[{"topic":"a","data":12}]' : '');
        const isSecond = (index + PATHS.indexOf(path)) % 2 === 0;
        const [one, other] = [await answered(t, fast, method, bytes, isSecond), await answered(t, ordinary, method, bytes, isSecond)];
        if (one.length === 0 || JSON.stringify(one) !== JSON.stringify(other)) differing.push(`${kind}${isSecond ? ', second' : ''}: ${JSON.stringify(one)} and ${JSON.stringify(other)}`);
      }
      t.same(differing, [], `${method} ${path}`);
    }
  }
  t.ok(fast.ordinary() < ordinary.ordinary(), 'some of them took the fast path');
});
