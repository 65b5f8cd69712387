import { setImmediate as nextTurn } from 'node:timers/promises';
import { t, type Test } from 'tap';
import { RULES } from '../../src/http/admission/admission.ts';
import { recordingLogger } from '../support/logger.ts';
import { RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import { serve, turns, type Served } from './fast-path/ways.ts';

/** The host names that an instance answers to, on both edges, and what its log says of those whom it keeps out. */

const EDGES = [{ edge: 'with the fast path', fastPath: true }, { edge: 'on the ordinary way', fastPath: false }] as const;

const LOOPBACK = [
  'localhost', 'LocalHost', 'localhost:8080', 'localhost.', 'localhost.:8080', 'app.localhost', 'a.b.localhost:1', '127.0.0.1', '127.0.0.1:8080', '127.0.0.1.', '127.255.0.9', '[::1]', '[::1]:8080',
  // As people type them. curl and browsers send the usual form, Python's and Go's clients what was typed.
  '127.1', '127.1:8080', '127.0.1', '127.0.0', '0177.0.0.1', '0x7f.1', '0x7F000001:80', '2130706433', '[::ffff:127.0.0.1]', '[::FFFF:7f00:1]:8080', '[0:0:0:0:0:0:0:1]', '[::0001]',
];

const FOREIGN = [
  'evil.example', 'evil.example:8080', '127.0.0.1.evil.example', '127.0.0.1.evil.example:8080', 'localhost.evil.example', 'evillocalhost', 'xlocalhost:80', 'localhost..', '.localhost.evil', '127.evil.example', '127.0.0.1.nip.io',
  '127.0.0.256', '127.0.0.1..', '127.0.0.0.1', '126.255.255.255', '2130706432.evil.example', '0x7f.evil', '0x80.1', '2147483648', '177.0.0.1', '10.0.0.1', '10.1', '0', '0.0.0.0', '[::]', '[::2]', '[fe80::1]:80', '[::127.0.0.1]', '[::ffff:10.0.0.1]', '[::ffff:127.0.0.1].evil', '[64:ff9b::127.0.0.1]', '', ':80', 'localhost:x', 'localhost:8080:80', 'evil.example@localhost', 'localhost/x', 'localhost,evil.example', 'localhost evil', '[::1', '::1',
];

const REQUESTS = [
  { what: 'publishing', request: (host: string) => requestBytes('POST', '/topics/a', { Host: host }, 'x') },
  { what: 'a stream', request: (host: string) => requestBytes('GET', '/topics/a/events', { Host: host }) },
  { what: 'history', request: (host: string) => requestBytes('GET', '/topics/a/messages', { Host: host }) },
  { what: 'a preflight', request: (host: string) => requestBytes('OPTIONS', '/topics/a', { Host: host, Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' }) },
  { what: 'nothing that there is', request: (host: string) => requestBytes('GET', '/nothing', { Host: host }) },
  { what: 'readiness', request: (host: string) => requestBytes('GET', '/readyz', { Host: host }) },
] as const;

async function ask(t: Test, served: Served, request: Buffer | string): Promise<Answer> {
  const connection = await RawConnection.open(t, served);
  connection.send(request);
  await turns('the answer', () => connection.closed || connection.answers('GET').length > 0);
  const [answer] = connection.answers('GET');
  connection.destroy();
  return answer!;
}

const streams = { hasRoomFor: () => false, makeRoom: () => false, open: (): never => {
  throw new Error('No stream is begun.');
}, end: () => undefined, positionOf: () => ({ epoch: 'abcdefgh', seq: 0 }), changeFilter: () => ({ epoch: 'abcdefgh', seq: 0 }), drained: () => undefined, closed: () => undefined, refuse: (_options: object, outlet: { destroySoon(): void }) => outlet.destroySoon() };

for (const { edge, fastPath } of EDGES) {
  const open = (t: Test, environment: Record<string, string> = {}, logger = recordingLogger().logger): Promise<Served> =>
    serve(t, fakeService({ streams, logger }, { CORS_ORIGINS: 'https://app.example', ...environment }), { fastPath });
  const refused = async (t: Test, served: Served, host: string): Promise<string[]> => {
    const statuses: string[] = [];
    for (const { what, request } of REQUESTS) if ((await ask(t, served, request(host))).status === 421) statuses.push(what);
    return statuses;
  };
  const EVERYTHING = REQUESTS.map(({ what }) => what);

  t.test(`an instance on a loopback address answers to loopback names and to no other ${edge}`, async (t) => {
    const served = await open(t);
    for (const host of LOOPBACK) t.same(await refused(t, served, host), [], host);
    for (const host of FOREIGN) t.same(await refused(t, served, host), EVERYTHING, host);
    const { body } = await ask(t, served, requestBytes('GET', '/healthz', { Host: 'tidings.example:80' }));
    t.match(JSON.parse(body), { code: 'unknown-host', status: 421, field: 'Host', detail: /"tidings\.example:80".*ALLOWED_HOSTS/ });
    t.equal((await ask(t, served, 'GET /healthz HTTP/1.0\r\n\r\n')).status, 200, 'no browser sends no name');
    t.equal((await ask(t, served, 'GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')).status, 421, 'the name in the URL counts');
  });

  t.test(`ALLOWED_HOSTS names further hosts ${edge}`, async (t) => {
    const environment = { ALLOWED_HOSTS: 'tidings.example, *.apps.example, 10.0.0.1, [2001:db8::1]' };
    for (const more of [{}, { HOST: '0.0.0.0', AUTH: 'off' }] as readonly Record<string, string>[]) {
      const served = await open(t, { ...environment, ...more });
      for (const host of ['tidings.example', 'TIDINGS.example:443', 'tidings.example.', 'a.apps.example', 'a.b.apps.example:80', '10.0.0.1:8080', '[2001:db8::1]:8080', 'localhost']) t.same(await refused(t, served, host), [], host);
      for (const host of ['evil.example', 'x.tidings.example', 'tidings.example.evil.example', 'apps.example', 'xapps.example', '10.0.0.2']) t.same(await refused(t, served, host), EVERYTHING, host);
    }
  });

  t.test(`where other machines may ask, and with *, every name is served ${edge}`, async (t) => {
    for (const environment of [{ HOST: '0.0.0.0', AUTH: 'off' }, { ALLOWED_HOSTS: '*' }] as readonly Record<string, string>[]) {
      const served = await open(t, environment);
      for (const host of ['tidings.example', '10.0.0.1', 'odd_name:80', '']) t.same(await refused(t, served, host), [], host);
    }
  });

  t.test(`whom it keeps out is in the log, and no flood of them ${edge}`, async (t) => {
    const { logger, lines } = recordingLogger();
    const served = await open(t, {}, logger);
    const said = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ level, method }) => level === 'info' && method !== undefined);
    const page = (origin: string, method: string, path: string): Buffer => requestBytes(method, path, { Host: 'localhost:80', Origin: origin }, method === 'POST' ? 'x' : '');
    await ask(t, served, page('https://app.example', 'POST', '/topics/a'));
    await ask(t, served, page('http://localhost', 'POST', '/topics/a'));
    await ask(t, served, requestBytes('POST', '/topics/a', {}, 'x'));
    t.same(said(), [], 'nothing of pages that are allowed, and of programs');
    await ask(t, served, page('https://other.example', 'POST', '/topics/a'));
    await ask(t, served, page('https://reader.example', 'GET', '/topics/a/events'));
    await ask(t, served, page('https://asks.example', 'OPTIONS', '/topics/a'));
    await ask(t, served, requestBytes('GET', '/topics/a/events', { Host: 'evil.example' }));
    const KEPT_OUT = 'a page of an origin that CORS_ORIGINS does not name was kept out';
    t.match(said(), [
      { msg: KEPT_OUT, method: 'POST', origin: 'https://other.example', host: 'localhost:80', client: '127.0.0.1' },
      { msg: KEPT_OUT, method: 'GET', origin: 'https://reader.example' },
      { msg: KEPT_OUT, method: 'OPTIONS', origin: 'https://asks.example' },
      { msg: 'a request for a host that ALLOWED_HOSTS does not name was refused', method: 'GET', host: 'evil.example' },
    ]);
    for (let count = 0; count < 30; count++) {
      await ask(t, served, page('https://other.example', 'POST', '/topics/a'));
      await ask(t, served, page(`https://other${count}.example`, 'GET', '/topics/a/events'));
    }
    await nextTurn();
    t.equal(said().length, 11, 'ten pages, and one host: each has a window of its own');
    t.ok(said().every(({ origin }) => String(origin).length < 300));
  });
}

t.test('the host is looked at before anything is told of paths and methods', (t) => {
  const names = RULES.map(({ name }) => name);
  t.ok(names.indexOf('unknownHost') < names.indexOf('pathOrMethod'));
  t.end();
});
