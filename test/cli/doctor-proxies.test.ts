import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { diagnose, type Check, type Finding } from '../../src/cli/doctor/diagnosis.ts';
import type { Target } from '../../src/cli/doctor/exchange.ts';
import { MENDS, type Mend, type MendName } from '../../src/cli/doctor/mends.ts';
import { observe } from '../../src/cli/doctor/observe.ts';
import type { Balancer } from '../support/balancer.ts';
import { startCaddySite } from '../support/caddy.ts';
import { startHaproxy, startPlainHaproxy } from '../support/haproxy.ts';
import { each } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { createKey } from '../support/keys-command.ts';
import { startNginx, startNginxSite } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** What doctor says of real proxies: of mistakes, one for each; of the same with the lines that doctor names; and nothing of the configurations that operators are given. */

const ORIGIN = 'https://app.example';
/** As many proxies at one time. */
const AT_ONCE = 12;
const TIMEOUT_MS = 3_000;
/** How often a proxy is examined at most. */
const ATTEMPTS = 3;
/** Longer than two heartbeats. */
const IDLE_MS = 4_500;

const database = `file:${join(tempFolder(t), 'tidings.db')}`;
const instance = await startInstance(t, { DATABASE_URL: database, AUTH: 'on', HEARTBEAT_SECONDS: '2', POLL_MS: '100', CORS_ORIGINS: ORIGIN, DRAIN_SECONDS: '0' });
const { key } = await createKey(t, { DATABASE_URL: database }, '--name', 'doctor', '--publish', 'doctor.>', '--subscribe', 'doctor.>');
const { port } = instance;
const away = await freePort();

/** Lines that have a plant, or a test, of their own. */
const TRIED_ALONE: readonly string[] = ['buffering', 'noDelay'];

/** Lines of a configuration, each by what it sets: a later one takes the place of an earlier one. */
type Lines = Readonly<Record<string, string>>;

interface Plant {
  readonly proxy: 'nginx' | 'HAProxy' | 'Caddy';
  readonly mistake: string;
  readonly lines: Lines;
  /** Every check that is not good, and no other. */
  readonly wrong: readonly Check[];
  /** The line of doctor that is put in the place of the one that it mends; without it, the mistake's lines are removed. */
  readonly mend?: readonly [place: string, name: MendName];
  readonly idle?: true;
  /** Lines of Caddy that stand beside the proxy. */
  readonly site?: Lines;
}

const NGINX: Lines = {
  pass: `proxy_pass http://127.0.0.1:${port};`, version: 'proxy_http_version 1.1;', connection: MENDS.webSocket.nginx, host: 'proxy_set_header Host $http_host;',
  read: 'proxy_read_timeout 75s;', body: 'client_max_body_size 32m;',
};
const HAPROXY: Lines = { delay: 'option http-no-delay' };

const PLANTS: readonly Plant[] = [
  // The slowest come first.
  { proxy: 'Caddy', mistake: 'gathers answers', lines: { buffer: 'buffer_responses' }, wrong: ['buffering'] },
  { proxy: 'nginx', mistake: 'asks by HTTP/1.0, and does not listen to X-Accel-Buffering', lines: { version: 'proxy_http_version 1.0;', ignored: 'proxy_ignore_headers X-Accel-Buffering;' }, wrong: ['buffering'] },
  { proxy: 'nginx', mistake: 'does so, with the line that mends the buffering alone', lines: { version: 'proxy_http_version 1.0;', ignored: 'proxy_ignore_headers X-Accel-Buffering;', buffering: MENDS.buffering.nginx }, wrong: ['ending', 'websocket'] },
  { proxy: 'nginx', mistake: 'compresses streams', lines: { gzip: 'gzip on;', types: 'gzip_types text/event-stream;', size: 'gzip_min_length 0;' }, wrong: ['compression'], mend: ['gzip', 'compression'] },
  { proxy: 'nginx', mistake: 'asks by HTTP/1.0', lines: { version: 'proxy_http_version 1.0;' }, wrong: ['ending', 'websocket'], mend: ['version', 'ending'] },
  { proxy: 'nginx', mistake: 'cuts what is silent for a second', lines: { read: 'proxy_read_timeout 1s;' }, wrong: ['idle'], mend: ['read', 'idle'], idle: true },
  { proxy: 'nginx', mistake: 'shows a page with 200', lines: { page: 'if ($uri ~ /events$) { return 200 "<h1>Sorry</h1>"; } default_type text/html;' }, wrong: ['stream'] },
  { proxy: 'nginx', mistake: 'shows a page with 503', lines: { page: 'if ($uri ~ /events$) { return 503; }' }, wrong: ['stream'] },
  { proxy: 'nginx', mistake: 'finds no instance', lines: { pass: `proxy_pass http://127.0.0.1:${away};` }, wrong: ['reach', 'stream', 'publishing', 'body'] },
  { proxy: 'nginx', mistake: 'drops Last-Event-ID', lines: { last: 'proxy_set_header Last-Event-ID "";' }, wrong: ['resuming'], mend: ['last', 'lastEventId'] },
  { proxy: 'nginx', mistake: 'drops Authorization', lines: { authorization: 'proxy_set_header Authorization "";' }, wrong: ['stream', 'authorization'], mend: ['authorization', 'authorization'] },
  { proxy: 'nginx', mistake: 'drops Idempotency-Key, TTL and Tidings-Event', lines: { key: 'proxy_set_header Idempotency-Key "";', ttl: 'proxy_set_header TTL "";', event: 'proxy_set_header Tidings-Event "";' }, wrong: ['publishing'] },
  { proxy: 'nginx', mistake: 'drops the query', lines: { rewrite: 'rewrite ^(.*)$ $1? break;' }, wrong: ['query', 'path'] },
  { proxy: 'nginx', mistake: 'takes bodies of 1 MiB', lines: { body: 'client_max_body_size 1m;' }, wrong: ['body'], mend: ['body', 'body'] },
  { proxy: 'nginx', mistake: 'keeps answers', lines: { cache: 'proxy_cache kept;', valid: 'proxy_cache_valid 200 1m;', fresh: 'proxy_ignore_headers Cache-Control Vary;', key: 'proxy_cache_key $request_uri$http_authorization;' }, wrong: ['cache'], mend: ['cache', 'cache'] },
  { proxy: 'nginx', mistake: 'redirects', lines: { redirect: 'return 301 https://example.com$request_uri;' }, wrong: ['reach'] },
  { proxy: 'nginx', mistake: 'lets caches keep everything', lines: { expires: 'expires 1h;' }, wrong: ['stream headers'], mend: ['expires', 'cacheControl'] },
  { proxy: 'nginx', mistake: 'passes on a host of its own', lines: { host: 'proxy_set_header Host $proxy_host;' }, wrong: ['host'], mend: ['host', 'host'] },
  { proxy: 'nginx', mistake: 'does not pass on handshakes of WebSockets', lines: { connection: 'proxy_set_header Connection "";' }, wrong: ['websocket'], mend: ['connection', 'webSocket'] },
  { proxy: 'nginx', mistake: 'closes connections', lines: { keep: 'keepalive_timeout 0;' }, wrong: ['http'], mend: ['keep', 'keepAlive'] },
  { proxy: 'nginx', mistake: 'decodes paths', lines: { pass: `proxy_pass http://127.0.0.1:${port}/;` }, wrong: ['path'] },
  { proxy: 'nginx', mistake: 'answers for CORS as well', lines: { cors: 'add_header Access-Control-Allow-Origin * always;' }, wrong: ['cors'] },
  { proxy: 'HAProxy', mistake: 'cuts what is silent for a second', lines: { server: 'timeout server 1s' }, wrong: ['idle'], mend: ['server', 'idle'], idle: true },
  { proxy: 'HAProxy', mistake: 'waits for a second for all of a body', lines: { buffer: 'option http-buffer-request', request: 'timeout http-request 1s' }, wrong: ['body'] },
  { proxy: 'HAProxy', mistake: 'drops Last-Event-ID', lines: { last: 'http-request del-header Last-Event-ID' }, wrong: ['resuming'] },
  { proxy: 'HAProxy', mistake: 'drops Authorization', lines: { authorization: 'http-request del-header Authorization' }, wrong: ['stream', 'authorization'] },
  { proxy: 'HAProxy', mistake: 'drops the query', lines: { query: 'http-request set-uri %[path]' }, wrong: ['query'] },
  { proxy: 'HAProxy', mistake: 'refuses large bodies', lines: { body: 'http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1000000 }' }, wrong: ['body'] },
  { proxy: 'HAProxy', mistake: 'closes connections', lines: { close: 'option httpclose' }, wrong: ['http'] },
  { proxy: 'HAProxy', mistake: 'drops Cache-Control', lines: { control: 'http-response del-header Cache-Control' }, wrong: ['stream headers'], mend: ['mended control', 'cacheControl'] },
  { proxy: 'HAProxy', mistake: 'drops Idempotency-Key', lines: { key: 'http-request del-header Idempotency-Key' }, wrong: ['publishing'] },
  { proxy: 'HAProxy', mistake: 'passes on a host of its own', lines: { host: 'http-request set-header Host inside.localhost' }, wrong: ['host'] },
  { proxy: 'HAProxy', mistake: 'redirects', lines: { redirect: 'http-request redirect prefix https://example.com' }, wrong: ['reach'] },
  { proxy: 'HAProxy', mistake: 'answers for CORS as well', lines: { cors: 'http-response add-header Access-Control-Allow-Origin *' }, wrong: ['cors'] },
  { proxy: 'HAProxy', mistake: 'changes Content-Type', lines: { type: 'http-response set-header Content-Type text/plain' }, wrong: ['stream'] },
  { proxy: 'HAProxy', mistake: 'does not pass on handshakes of WebSockets', lines: { upgrade: 'http-request del-header Upgrade' }, wrong: ['websocket'] },
  { proxy: 'Caddy', mistake: 'does not pass on handshakes of WebSockets', lines: { upgrade: 'header_up -Upgrade' }, wrong: ['websocket'] },
  { proxy: 'Caddy', mistake: 'cuts what is silent for a second', lines: { transport: 'transport http {\nread_timeout 1s\n}' }, wrong: ['idle'], mend: ['transport', 'idle'], idle: true },
  { proxy: 'Caddy', mistake: 'drops Last-Event-ID', lines: { last: 'header_up -Last-Event-ID' }, wrong: ['resuming'], mend: ['last', 'lastEventId'] },
  { proxy: 'Caddy', mistake: 'passes on a host of its own', lines: { host: 'header_up Host {upstream_hostport}' }, wrong: ['host'], mend: ['host', 'host'] },
  { proxy: 'Caddy', mistake: 'drops Authorization', lines: { authorization: 'header_up -Authorization' }, wrong: ['stream', 'authorization'], mend: ['authorization', 'authorization'] },
  { proxy: 'Caddy', mistake: 'drops Idempotency-Key', lines: { key: 'header_up -Idempotency-Key' }, wrong: ['publishing'] },
  { proxy: 'Caddy', mistake: 'redirects', lines: {}, site: { redirect: 'redir https://example.com{uri}' }, wrong: ['reach'] },
  { proxy: 'Caddy', mistake: 'answers for CORS as well', lines: {}, site: { cors: 'header +Access-Control-Allow-Origin *' }, wrong: ['cors'] },
  { proxy: 'Caddy', mistake: 'drops Cache-Control', lines: { control: 'header_down -Cache-Control' }, wrong: ['stream headers'] },
  { proxy: 'Caddy', mistake: 'compresses streams', lines: { control: 'header_down Cache-Control no-cache' }, site: { encode: 'encode {\ngzip\nminimum_length 1\nmatch {\nheader Content-Type text/event-stream*\n}\n}' }, wrong: ['buffering', 'compression'] },
  { proxy: 'Caddy', mistake: 'takes bodies of 1 MB', lines: {}, site: { body: 'request_body {\nmax_size 1MB\n}' }, wrong: ['body'], mend: ['body', 'body'] },
  { proxy: 'Caddy', mistake: 'drops the query', lines: {}, site: { rewrite: 'rewrite * {path}?' }, wrong: ['query'] },
  { proxy: 'Caddy', mistake: 'changes Content-Type', lines: { type: 'header_down Content-Type text/plain' }, wrong: ['stream'] },
];

function start(t: Test, { proxy, lines, site = {} }: Pick<Plant, 'proxy' | 'lines' | 'site'>): Promise<Balancer> {
  if (proxy === 'nginx') return startNginxSite(t, `proxy_cache_path kept keys_zone=kept:1m;\nserver {\nlocation / {\n${Object.values({ ...NGINX, ...lines }).join('\n')}\n}\n}`);
  if (proxy === 'HAProxy') return startPlainHaproxy(t, port, Object.values({ ...HAPROXY, ...lines }));
  return startCaddySite(t, `${Object.values(site).join('\n')}\nreverse_proxy 127.0.0.1:${port} {\n${Object.values(lines).join('\n')}\n}`);
}

async function examined(url: string, options: Partial<Target> = {}): Promise<readonly Finding[]> {
  const topic = `doctor.${Math.random().toString(36).slice(2)}`;
  return diagnose(await observe({ url: new URL(url), token: key, origin: ORIGIN, topic, idleMs: 0, timeoutMs: TIMEOUT_MS, ...options })).findings;
}

/** What is found where it is right; on a machine that stands still for a while the third time at the latest. What is wrong is so each time. */
async function settled(examine: () => Promise<readonly Finding[]>, isRight: (findings: readonly Finding[]) => boolean): Promise<readonly Finding[]> {
  for (let attempt = 1; ; attempt++) {
    const findings = await examine();
    if (attempt === ATTEMPTS || isRight(findings)) return findings;
  }
}

/** Without how long opening takes: on a busy machine that is not the proxy's fault. */
function bad(findings: readonly Finding[]): string[] {
  return findings.filter(({ check, level }) => check !== 'opening' && (level === 'wrong' || level === 'warning')).map(({ check }) => check);
}

function told(findings: readonly Finding[]): string {
  return findings.map(({ check, level, finding }) => `${level} ${check}: ${finding}`).join('\n');
}

t.jobs = 3;

void t.test('each mistake is named by its check, and by no other', async (t) => {
  await each(PLANTS.length, AT_ONCE, async (index) => {
    const plant = PLANTS[index]!;
    const { proxy, mistake, wrong, idle } = plant;
    const { url } = await start(t, plant);
    // Such a proxy also cuts what a slow machine takes a second for.
    const named = (findings: readonly Finding[]): string[] => idle === true ? bad(findings).filter((check) => check === 'idle') : bad(findings);
    const findings = await settled(() => examined(url, idle === true ? { idleMs: IDLE_MS } : {}), (found) => named(found).join() === wrong.join());
    t.same(named(findings), wrong, `${proxy} ${mistake}`, { found: told(findings) });
  });
});

void t.test('with the lines that doctor names in their places, every check is good', async (t) => {
  for (const proxy of ['nginx', 'HAProxy', 'Caddy'] as const) {
    void t.test(proxy, async (t) => {
      const mended = PLANTS.filter((plant) => plant.proxy === proxy && plant.mend !== undefined);
      const [lines, site]: [Record<string, string>, Record<string, string>] = [{}, {}];
      for (const plant of mended) {
        const [place, name] = plant.mend!;
        Object.assign(lines, plant.lines);
        (plant.site?.[place] === undefined ? lines : site)[place] = asLines(MENDS[name], proxy);
      }
      const { url } = await start(t, { proxy, lines, site });
      const findings = await settled(() => examined(url, { idleMs: IDLE_MS }), (found) => bad(found).length === 0);
      // Those beside it are whole configurations, which other tests run.
      const untried = Object.entries<Mend>(MENDS).filter(([name, mend]) => !['status', 'location'].includes(name) && mend[proxy] !== undefined && !/^remove: |\(not tried\)$/.test(mend[proxy]) && !mended.some((plant) => plant.mend![1] === name) && !TRIED_ALONE.includes(name));
      t.same(untried, [], 'every line is tried, or says that it is not');
      t.same(bad(findings), [], told(findings));
      t.equal(findings.find(({ check }) => check === 'idle')?.level, 'good');
    });
  }
});

/** Caddy has no blocks of one line. */
function asLines(mend: Mend, proxy: Plant['proxy']): string {
  return proxy === 'Caddy' ? mend.Caddy!.replace(/ \{ (.*) \}$/, ' {\n$1\n}') : mend[proxy]!;
}

void t.test('HAProxy holds small frames, unless it has the line for it', async (t) => {
  const opening = async (lines: Lines): Promise<Finding | undefined> => {
    const { url } = await start(t, { proxy: 'HAProxy', lines });
    const wanted = lines['delay'] === '' ? 'noDelay' : undefined;
    let found: Finding | undefined;
    // A busy machine hides it, or looks slow itself.
    await until('opening is judged by the proxy', async () => {
      found = (await examined(url)).find(({ check }) => check === 'opening');
      return found?.mend === (wanted === undefined ? undefined : MENDS[wanted]);
    });
    return found;
  };
  const [held, passed] = await Promise.all([opening({ delay: '' }), opening({ delay: MENDS.noDelay.HAProxy })]);
  t.match(held, { level: 'warning', finding: /holds small frames/ });
  t.equal(passed?.mend, undefined);
});

void t.test('nothing is wrong with the configurations that operators are given', async (t) => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/balancers.md'), 'utf8');
  const belowPath = /\n## Below a path\n[\s\S]*?```nginx\n([\s\S]*?)```/.exec(document)![1]!.replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`);
  const caddy = /```\nexample\.com \{\n([\s\S]*?)\n\}\n```/.exec(document)![1]!.replaceAll(/10\.0\.0\.\d:8080/g, `127.0.0.1:${port}`);
  const shipped = { nginx: () => startNginx(t, [port, port, port]), HAProxy: () => startHaproxy(t, [port, port, port]), Caddy: () => startCaddySite(t, caddy), 'nginx below a path': () => startNginxSite(t, belowPath) };
  await Promise.all(Object.entries(shipped).map(async ([name, startShipped]) => {
    const { url } = await startShipped();
    const findings = await settled(() => examined(name === 'nginx below a path' ? `${url}/tidings` : url, { idleMs: IDLE_MS }), (found) => bad(found).length === 0);
    t.same(bad(findings), [], `${name}\n${told(findings)}`);
    // How Caddy ends streams cannot be mended.
    t.same(findings.filter(({ level }) => level === 'unseen').map(({ check }) => check), name === 'Caddy' ? ['ending'] : [], name);
  }));
});

// The instance keeps it from ending by itself.
t.end();
