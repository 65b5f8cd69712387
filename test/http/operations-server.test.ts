import type { AddressInfo } from 'node:net';
import { t } from 'tap';
import { anonymous } from '../../src/access/credentials/identity.ts';
import { buildApp } from '../../src/http/app.ts';
import { ENDPOINTS, type Endpoint } from '../../src/http/admission/endpoints.ts';
import { buildOperationsServer } from '../../src/http/sockets/operations-server.ts';
import { OPERATIONS_MAX_CONNECTIONS } from '../../src/http/admission/server-limits.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { operationsStatus } from '../support/access-cases.ts';
import { exchange, RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import type { Scope } from '../support/temp.ts';

/** The listener for operations. How it begins and ends with an instance is in test/wire/operations.test.ts. */

const NOBODY = anonymous({ publicTopics: [], publicPublish: [] });

/** Both listeners of an instance that lets nobody in. */
async function serve(t: Scope, environment: Record<string, string> = {}): Promise<{ main: { port: number }; operations: { port: number } }> {
  const app = buildApp(fakeService({ access: { ignoresCredentials: () => false, identify: () => NOBODY } }, environment));
  const operations = buildOperationsServer(app, new Counters());
  t.teardown(() => {
    operations.close();
    operations.closeAllConnections();
    app.server.closeAllConnections();
    return app.close();
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  await new Promise<void>((listens) => void operations.listen({ host: '127.0.0.1', port: 0 }, listens));
  return { main: app.server.address() as AddressInfo, operations: operations.address() as AddressInfo };
}

function codeOf({ body }: Answer): string {
  return body === '' ? '' : (JSON.parse(body) as { code: string }).code;
}

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'OPTIONS'] as const;

t.test('it has metrics, health and OpenAPI for everybody, with any credential, and nothing else', async (t) => {
  for (const HTTP_FAST_PATH of ['on', 'off']) {
    const { main, operations } = await serve(t, { HTTP_FAST_PATH, CORS_ORIGINS: '*' });
    for (const [name, endpoint] of Object.entries<Endpoint>(ENDPOINTS)) {
      const path = endpoint.url.replaceAll(/:\w+/g, 'abcdefghij');
      for (const method of METHODS) {
        const { status } = await exchange(t, operations, requestBytes(method, path));
        t.equal(status, operationsStatus(endpoint, method), `${method} ${name}`);
      }
    }
    for (const Authorization of ['Bearer tdg_x', 'nonsense', 'Basic eA==']) t.equal((await exchange(t, operations, requestBytes('GET', '/metrics', { Authorization }))).status, 200);
    t.equal((await exchange(t, operations, requestBytes('GET', '/%6detrics'))).status, 200);
    t.equal((await exchange(t, operations, requestBytes('GET', '/%6beys'))).status, 404);
    t.match((await exchange(t, operations, requestBytes('GET', '/readyz'))).body, /"status":"ready"/);
    t.equal((await exchange(t, main, requestBytes('GET', '/metrics'))).status, 401, 'the other listener lets nobody in');
  }
});

const HOSTS: readonly (readonly [environment: Record<string, string>, host: string, status: number])[] = [
  [{}, 'localhost', 200],
  [{}, '127.0.0.1:9090', 200],
  [{}, 'tidings.example.com', 421],
  [{}, '10.1.2.3:9090', 421],
  [{ HOST: '0.0.0.0' }, 'tidings.example.com', 421],
  [{ ALLOWED_HOSTS: 'tidings.example.com' }, 'tidings.example.com', 200],
  [{ ALLOWED_HOSTS: 'tidings.example.com' }, 'evil.example', 421],
  [{ ALLOWED_HOSTS: '*' }, 'evil.example', 200],
  [{ OPS_HOST: '0.0.0.0' }, '10.1.2.3:9090', 200],
  [{ OPS_HOST: '0.0.0.0' }, '[fd00::1]:9090', 200],
  [{ OPS_HOST: '0.0.0.0' }, 'localhost', 200],
  [{ OPS_HOST: '0.0.0.0' }, 'evil.example', 421],
  [{ OPS_HOST: '0.0.0.0' }, '10.1.2.3.evil.example', 421],
];

t.test('it answers to loopback names and to ALLOWED_HOSTS, and on a network to addresses: to no name that a page can have', async (t) => {
  for (const [environment, host, status] of HOSTS) {
    const { operations } = await serve(t, { OPS_PORT: '0', ...environment });
    t.equal((await exchange(t, operations, requestBytes('GET', '/metrics', { Host: host }))).status, status, `${JSON.stringify(environment)} ${host}`);
  }
});

t.test('no page reads it, with any CORS_ORIGINS', async (t) => {
  for (const CORS_ORIGINS of ['*', 'https://app.example']) {
    const { operations } = await serve(t, { CORS_ORIGINS });
    const { headers } = await exchange(t, operations, requestBytes('GET', '/metrics', { Origin: 'https://app.example' }));
    t.same(Object.keys(headers).filter((name) => name.startsWith('access-control')), []);
  }
});

t.test('bytes that are no HTTP get a problem there too', async (t) => {
  const { operations } = await serve(t);
  const connection = await RawConnection.open(t, operations);
  connection.send('GET /metrics HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n');
  await connection.untilClosed();
  t.match(connection.answers('GET'), [{ status: 400, headers: { 'content-type': 'application/problem+json', connection: 'close' } }]);
  t.equal(codeOf(connection.answers('GET')[0]!), 'invalid-request');
});

t.test('its connections are few, and idle ones give way', async (t) => {
  const { main, operations } = await serve(t);
  const idle = await Promise.all(Array.from({ length: OPERATIONS_MAX_CONNECTIONS }, async () => {
    const connection = await RawConnection.open(t, operations);
    connection.send(requestBytes('GET', '/healthz'));
    return connection;
  }));
  await Promise.all(idle.map((connection) => connection.until('an answer, or its end', () => connection.closed || connection.answers('GET').length === 1).catch(() => undefined)));
  t.equal((await exchange(t, operations, requestBytes('GET', '/metrics'))).status, 200);
  t.ok(idle.some(({ closed }) => closed));
  t.equal((await exchange(t, main, requestBytes('GET', '/healthz'))).status, 200);
});
