import type { AddressInfo } from 'node:net';
import { t, type Test } from 'tap';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';
import { buildOperationsServer } from '../../src/http/sockets/operations-server.ts';
import type { Service } from '../../src/http/service.ts';
import { Problem, PROBLEMS, type ProblemCode } from '../../src/model/problem.ts';
import { RULES } from '../../src/http/admission/admission.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import { serve, turns } from './fast-path/ways.ts';

/** What every answer carries for browsers: of every endpoint and method, every kind of error, both edges and both listeners. */

const REQUIRED = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
};

/** What tells what the service is made of. */
const TELLING = ['x-powered-by', 'server', 'via'];

/** A service that sends every stream away, without a frame. */
function service(environment: Record<string, string> = {}): Service {
  const fake = fakeService({}, environment);
  return { ...fake, streams: { ...fake.streams, refuse: (_options, outlet) => outlet.destroySoon() } };
}

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'OPTIONS', 'TRACE'] as const;

function faults({ status, headers }: Answer, resourcePolicy: string): string[] {
  const wrong = Object.entries({ ...REQUIRED, 'cross-origin-resource-policy': resourcePolicy }).filter(([name, value]) => headers[name] !== value).map(([name]) => `${name}: ${headers[name]}`);
  const telling = TELLING.filter((name) => headers[name] !== undefined);
  // A browser keeps neither errors nor messages. What it is told to keep is the answer to a preflight.
  const isKept = status !== 201 && status !== 204 && !/no-store|no-cache/.test(headers['cache-control'] ?? '');
  return [...wrong, ...telling, ...(isKept ? ['cache-control'] : [])];
}

async function ask(t: Test, at: { readonly port: number }, bytes: Buffer | string, method: string): Promise<Answer> {
  const connection = await RawConnection.open(t, at);
  connection.send(bytes);
  await turns('the answer', () => connection.closed || connection.answers(method)[0] !== undefined);
  const [answer] = connection.answers(method);
  connection.destroy();
  if (answer === undefined) throw new Error(`no answer to ${bytes.toString().slice(0, 60)}`);
  return answer;
}

/** Requests that never become one, and so pass no hook. */
const NO_REQUESTS: readonly (readonly [bytes: string, status: number])[] = [
  ['garbage\r\n\r\n', 400],
  ['GET /healthz HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n', 400],
  ['POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n', 400],
  [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 431],
  ['GET /healthz HTTP/1.1\r\n\r\n', 400],
  ['GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  [`GET /topics/${'a'.repeat(33_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414],
];

/** By CORS_ORIGINS: who asks, and what it may load. */
const PAGES: readonly (readonly [environment: Record<string, string>, origin: string | undefined, policy: string])[] = [
  [{}, undefined, 'same-origin'],
  [{}, 'https://app.example', 'same-origin'],
  [{ CORS_ORIGINS: 'https://app.example' }, 'https://app.example', 'cross-origin'],
  [{ CORS_ORIGINS: 'https://app.example' }, 'https://other.example', 'same-origin'],
  [{ CORS_ORIGINS: 'https://app.example' }, undefined, 'same-origin'],
  [{ CORS_ORIGINS: '*' }, 'https://other.example', 'cross-origin'],
];

for (const fastPath of [true, false]) {
  t.test(`every answer carries them, ${fastPath ? 'with the fast path' : 'on the ordinary way'}`, async (t) => {
    const wrong: string[] = [];
    for (const [environment, origin, policy] of PAGES) {
      const served = await serve(t, service(environment), { fastPath });
      for (const endpoint of Object.values<Endpoint>(ENDPOINTS)) {
        const path = `${endpoint.url.replaceAll(/:\w+/g, 'abcdefghijkl')}${endpoint.many === undefined ? '' : '?topic=a'}`;
        for (const method of origin === undefined ? METHODS : ['GET', 'POST', 'OPTIONS']) {
          const answer = await ask(t, served, requestBytes(method, path, { ...(origin === undefined ? {} : { Origin: origin }), ...(method === 'POST' ? { 'Content-Length': '1' } : {}) }, method === 'POST' ? 'x' : ''), method);
          wrong.push(...faults(answer, policy).map((fault) => `${method} ${path} ${answer.status} ${JSON.stringify(environment)} ${origin}: ${fault}`));
        }
      }
    }
    t.same(wrong, []);
  });

  t.test(`every kind of error carries them, ${fastPath ? 'with the fast path' : 'on the ordinary way'}`, async (t) => {
    const wrong: string[] = [];
    let code: ProblemCode = 'internal';
    const served = await serve(t, service(), { fastPath, rules: [() => new Problem(code, 'It is so.'), ...RULES] });
    for (code of Object.keys(PROBLEMS) as ProblemCode[]) {
      for (const [method, path] of [['POST', '/topics/a'], ['GET', '/topics/a/events'], ['GET', '/nothing'], ['GET', '/%zz']] as const) {
        const answer = await ask(t, served, requestBytes(method, path), method);
        // A stream that can only wait is told so by 200.
        t.ok(answer.status === PROBLEMS[code][0] || (PROBLEMS[code][0] === 503 && path.endsWith('/events')), `${code} ${path}`);
        wrong.push(...faults(answer, 'same-origin').map((fault) => `${code} ${path}: ${fault}`));
      }
    }
    t.same(wrong, []);
  });

  t.test(`what never became a request carries them, ${fastPath ? 'with the fast path' : 'on the ordinary way'}`, async (t) => {
    const served = await serve(t, service(), { fastPath });
    for (const [bytes, status] of NO_REQUESTS) {
      const answer = await ask(t, served, bytes, 'GET');
      t.equal(answer.status, status, bytes.slice(0, 60));
      t.same(faults(answer, 'same-origin'), [], bytes.slice(0, 60));
    }
  });
}

t.test('so does every answer of the listener for operations', async (t) => {
  const { app } = await serve(t, service({ CORS_ORIGINS: '*' }));
  const operations = buildOperationsServer(app, new Counters());
  t.teardown(() => {
    operations.close();
    operations.closeAllConnections();
  });
  await new Promise<void>((listens) => void operations.listen({ host: '127.0.0.1', port: 0 }, listens));
  const at = operations.address() as AddressInfo;
  for (const { url } of Object.values<Endpoint>(ENDPOINTS)) {
    for (const method of METHODS) t.same(faults(await ask(t, at, requestBytes(method, url.replaceAll(/:\w+/g, 'a'), { Origin: 'https://app.example' }), method), 'same-origin'), [], `${method} ${url}`);
  }
  for (const [bytes] of NO_REQUESTS) t.same(faults(await ask(t, at, bytes, 'GET'), 'same-origin'), [], bytes.slice(0, 60));
});
