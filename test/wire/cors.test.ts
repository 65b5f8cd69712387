import t, { type Test } from 'tap';
import { openSpine } from '../http/fast-path/spine.ts';
import { serve } from '../http/fast-path/ways.ts';
import { openStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';

/** Pages of other origins: what their browsers are told, on every answer. */

const PAGE = 'https://page.example';
const OTHER = 'https://other.example';
const APP = 'capacitor://localhost';

const instance = await startInstance(t, { LOG_LEVEL: 'warn', CORS_ORIGINS: `${PAGE}, ${OTHER}, ${APP}`, MAX_STREAMS: '1' });
const http = new Http(t, instance.url);

const ANSWERS: readonly (readonly [method: string, path: string, status: number, body?: string])[] = [
  ['POST', '/topics/a', 201, 'x'],
  ['POST', '/topics/a..b', 400, 'x'],
  ['POST', '/topics/%FF', 400, 'x'],
  ['POST', '/topics/a', 413, 'x'.repeat(1024 * 1024 + 1)],
  ['POST', '/messages', 415, 'x'],
  ['POST', `/topics/${'a'.repeat(33 * 1024)}`, 414, 'x'],
  ['GET', '/topics/a/messages', 200],
  ['HEAD', '/topics/a/messages', 200],
  ['GET', '/messages?topic=a&limit=0', 400],
  ['GET', '/messages/abcdefgh-1', 404],
  ['GET', '/nothing', 404],
  ['GET', '/topics/a', 405],
  ['GET', '/topics/a/events?after=x', 400],
  ['HEAD', '/topics/a/events', 200],
  ['GET', '/healthz', 200],
  ['GET', '/readyz', 200],
  ['GET', '/metrics', 200],
  ['GET', '/openapi.json', 200],
];

await t.test('every answer to a page that is allowed says so', async (t) => {
  for (const origin of [PAGE, OTHER, APP]) {
    for (const [method, path, status, body] of ANSWERS) {
      const answer = await http.send(method, path, { origin }, body);
      const name = `${method} ${path.slice(0, 40)} ${status}`;
      t.equal(answer.status, status, name);
      t.equal(answer.headers['access-control-allow-origin'], origin, name);
      t.equal(answer.headers['access-control-allow-credentials'], 'true', name);
      t.equal(answer.headers['x-content-type-options'], 'nosniff', name);
      t.match(answer.headers.vary, /origin/i, `${name}: no cache may give it to another origin`);
      t.match(answer.headers['access-control-expose-headers'], /Location.*Idempotency-Replayed.*Retry-After/, name);
    }
    const refused = await http.send('GET', '/events?topic=a', { origin, accept: 'application/json' });
    t.strictSame([refused.status, refused.headers['access-control-allow-origin']], [406, origin]);
  }
});

await t.test('a stream says so, and one that is refused with $busy too', async (t) => {
  for (const path of ['/topics/a/events', '/events?topic=a']) {
    const stream = await openStream(t, instance.url + path, { headers: { origin: PAGE } });
    t.match(stream.headers, { 'access-control-allow-origin': PAGE, 'access-control-allow-credentials': 'true', 'x-content-type-options': 'nosniff' });
    await stream.next(({ event }) => event === '$open');
    const busy = await openStream(t, instance.url + path, { headers: { origin: PAGE } });
    t.equal((await busy.next()).event, '$busy');
    t.strictSame([busy.status, busy.headers['content-type'], busy.headers['access-control-allow-origin']], [200, 'text/event-stream; charset=utf-8', PAGE]);
    t.match(busy.headers['cache-control'], 'no-cache, no-transform');
    stream.destroy();
    await until('it has left', async () => await http.metric('streams') === 0);
  }
});

await t.test('a browser\'s preflight is answered with the allowed methods and headers', async (t) => {
  for (const path of ['/topics/a', '/messages', '/topics/a/events', '/events', '/messages/x', '/streams/x']) {
    const answer = await http.send('OPTIONS', path, {
      origin: PAGE, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,idempotency-key,ttl,tidings-event,last-event-id,traceparent,x-requested-with',
    });
    t.equal(answer.status, 204, path);
    t.match(answer.headers, {
      'access-control-allow-origin': PAGE,
      'access-control-allow-methods': /GET.*HEAD.*POST.*PATCH.*DELETE/,
      'access-control-allow-headers': /Content-Type.*Last-Event-ID.*Idempotency-Key.*TTL.*Tidings-Event.*traceparent, x-requested-with/,
      'access-control-allow-credentials': 'true',
      'access-control-max-age': /^[0-9]+$/,
    }, path);
  }
});

await t.test('a page that is not allowed is not told that it is, and cannot publish', async (t) => {
  for (const origin of ['https://evil.example', 'null', `${PAGE}.evil.example`, PAGE.replace('https', 'http'), `${PAGE}:444`, 'capacitor://elsewhere', 'tauri://localhost']) {
    const read = await http.get('/topics/a/messages', { origin });
    t.not(read.headers['access-control-allow-origin'], origin, origin);
    t.not(read.headers['access-control-allow-origin'], '*', origin);
    t.equal(read.headers['access-control-allow-credentials'], undefined, origin);
    const written = await http.send('POST', '/topics/a', { origin }, 'x');
    t.strictSame([written.status, (JSON.parse(written.body) as { code: string }).code], [403, 'cross-origin'], origin);
  }
});

/** The service with another configuration, in this process: whatever is said of origins is said by its HTTP side. */
async function serveWith(t: Test, environment: Readonly<Record<string, string>>): Promise<{ url: string; client: Http }> {
  const { port } = await serve(t, (await openSpine(t, environment)).service);
  const url = `http://127.0.0.1:${port}`;
  return { url, client: new Http(t, url) };
}

await t.test('with *, every page may read and publish', async (t) => {
  const { url, client } = await serveWith(t, { CORS_ORIGINS: '*' });
  for (const [method, path, status, body] of ANSWERS) {
    const answer = await client.send(method, path, { origin: 'https://any.example' }, body);
    t.strictSame([answer.status, answer.headers['access-control-allow-origin'], answer.headers['access-control-allow-credentials']], [status, '*', undefined], `${method} ${path.slice(0, 40)}`);
  }
  const stream = await openStream(t, `${url}/topics/a/events`, { headers: { origin: 'https://any.example' } });
  t.equal(stream.headers['access-control-allow-origin'], '*');
});

await t.test('without CORS_ORIGINS nothing is said of origins', async (t) => {
  const { url, client } = await serveWith(t, {});
  for (const [method, path, , body] of ANSWERS) {
    const { headers } = await client.send(method, path, { origin: PAGE }, body);
    t.equal(headers['x-content-type-options'], 'nosniff', `${method} ${path.slice(0, 40)}`);
    t.strictSame(Object.keys(headers).filter((name) => name.startsWith('access-control')), [], `${method} ${path.slice(0, 40)}`);
  }
  t.equal((await client.send('POST', '/topics/a', { origin: PAGE }, 'x')).status, 403);
  t.equal((await client.send('POST', '/topics/a', { origin: url }, 'x')).status, 201, 'its own origin may');
  t.equal((await client.send('OPTIONS', '/topics/a', { origin: PAGE, 'access-control-request-method': 'POST' })).status, 405);
});
