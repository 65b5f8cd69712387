import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Balancer } from '../support/balancer.ts';
import { startCaddySite } from '../support/caddy.ts';
import { openStream } from '../support/client.ts';
import { PATIENT_CHECKS, startHaproxy, startPlainHaproxy } from '../support/haproxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { startNginxServer, startNginxSite } from '../support/nginx.ts';
import { until } from '../support/until.ts';

/** What docs/balancers.md says of proxies, by its own lines: below a path, topics with slashes, compression, health checks. */

const document = readFileSync(join(import.meta.dirname, '../../docs/balancers.md'), 'utf8');
const below = /\n## Below a path\n([\s\S]*?)\n## /.exec(document)![1]!;
const [nginxLines, haproxyLines, caddyLines] = ['nginx', 'haproxy', 'caddy'].map((name) => new RegExp(`\`\`\`${name}\\n([\\s\\S]*?)\`\`\``).exec(below)![1]!) as [string, string, string];
const caddySite = /```\nexample\.com \{\n([\s\S]*?)\n\}\n```/.exec(document)![1]!;
/** What a proxy that decodes, or makes one slash of two, does not pass on. */
const SLASHES = ['a/b', 'x//y', '/z'];

const instance = await startInstance(t, { DRAIN_SECONDS: '0' });
const { port } = instance;

function here(lines: string): string {
  return lines.replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`);
}

/** Publishes, listens and asks for history through a proxy that serves the instance below a path. */
async function passes(t: Test, proxy: Balancer, prefix: string, topics: readonly string[], encoding?: string): Promise<void> {
  const http = new Http(t, proxy.url);
  for (const topic of topics) {
    const path = `${prefix}/topics/${encodeURIComponent(topic)}`;
    const stream = await openStream(t, `${proxy.url}${path}/events`, encoding === undefined ? {} : { headers: { 'accept-encoding': encoding } });
    t.equal(stream.status, 200, topic);
    t.equal(stream.headers['content-encoding'], undefined);
    await stream.next(({ event }) => event === '$open');
    const stored = await http.send('POST', path, { 'content-type': 'text/plain' }, topic);
    t.equal(stored.status, 201, stored.body);
    const { id, topic: got } = JSON.parse(stored.body) as { id: string; topic: string };
    t.equal(got, topic);
    t.match(await stream.next(({ event }) => event === undefined), { id, data: topic });
    stream.destroy();
    t.equal(stored.headers.location, `${prefix}/messages/${id}`);
    t.match(await http.json(stored.headers.location!), { id, topic, data: topic });
    t.match(await http.json(`${prefix}/messages?topic=${encodeURIComponent(topic)}&limit=1000`), { messages: [{ id }] });
  }
  t.equal((await http.get(`${prefix}/topics/deploys.%3E/messages`)).status, 200, 'a pattern');
  for (const path of ['/metrics', '/%6detrics', '//metrics', '/openapi.json?a', '/keys', '/%6beys', '/keys/abcdefghijkl', '/streams', '/%73treams', '/streams/abcdefghij-1', '/instances', '/instances/abcdefghij/drain']) t.equal((await http.get(prefix + path)).status, 404, path);
  t.equal((await http.get(`${prefix}/healthz`)).status, 200);
}

void t.test('below a path: nginx', async (t) => passes(t, await startNginxSite(t, here(nginxLines)), '/tidings', SLASHES.map((topic) => `nginx${topic}`)));

void t.test('below a path: HAProxy', async (t) => {
  const mark = '    acl private ';
  await passes(t, await startHaproxy(t, [port, port, port], { replace: { ...PATIENT_CHECKS, [mark]: `${haproxyLines}${mark}` } }), '/tidings', SLASHES.map((topic) => `haproxy${topic}`));
});

void t.test('below a path: Caddy', async (t) => passes(t, await startCaddySite(t, here(caddyLines)), '/tidings', SLASHES.map((topic) => `caddy${topic}`)));

void t.test('nginx decodes the path if anything follows the port: topics with slashes are not found there, and a hint says why', async (t) => {
  const [bare, slash] = await Promise.all(['', '/'].map((end) => startNginxServer(t, here(`location / { proxy_pass http://127.0.0.1:8080${end}; }`)))) as [Balancer, Balancer];
  t.equal((await new Http(t, bare.url).post('plain/topic', 'x')).status, 201);
  const { status, body } = await new Http(t, slash.url).post('plain/topic', 'x');
  t.equal(status, 404);
  t.match(body, '/topics/plain%2Ftopic may be meant');
  t.equal((await new Http(t, slash.url).post('plain.topic', 'x')).status, 201);
});

void t.test('option httpchk: alone it takes every instance for dead; with GET /readyz it does not', async (t) => {
  const check = 'default-server check inter 100ms fall 1 rise 1';
  const [alone, asked] = await Promise.all([['option httpchk', check], ['option httpchk GET /readyz', check]].map((lines) => startPlainHaproxy(t, port, lines))) as [Balancer, Balancer];
  const status = async ({ url }: Balancer): Promise<number> => (await new Http(t, url).get('/healthz')).status;
  await until('it is taken for dead', async () => await status(alone) === 503);
  // A check that is not answered within its interval has failed, too, which a slow machine does now and then.
  await until('the other is not', async () => await status(asked) === 200);
});

void t.test('the Caddy of the documents: streams pass at once, compressed answers or not; /metrics is shut; streams come back when the instance is gone', async (t) => {
  const own = await startInstance(t, { DRAIN_SECONDS: '0' });
  const site = caddySite.replaceAll(/10\.0\.0\.\d:8080/g, `127.0.0.1:${own.port}`);
  const [plain, encoding] = await Promise.all([startCaddySite(t, site), startCaddySite(t, `encode zstd gzip\n${site}`)]);
  await passes(t, plain, '', ['site']);
  await passes(t, encoding, '', ['encoded'], 'gzip, zstd');
  own.kill('SIGTERM');
  await own.exited;
  const http = new Http(t, plain.url);
  const { status, headers, body } = await http.get('/topics/site/events');
  t.match({ status, headers, body }, { status: 200, headers: { 'content-type': 'text/event-stream' }, body: /^retry: \d{4}\n\n$/ });
  t.equal((await http.post('site', 'lost')).status, 503);
});

// The instance keeps it from ending by itself.
t.end();
