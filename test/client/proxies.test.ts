import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { connect, type Connection } from '../../src/client/client.ts';
import type { Balancer } from '../support/balancer.ts';
import { startBalanced } from '../support/balancers.ts';
import { startCaddySite } from '../support/caddy.ts';
import { startPlainHaproxy } from '../support/haproxy.ts';
import { Http } from '../support/http.ts';
import { startNginxServer } from '../support/nginx.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** The client library in Node.js through real proxies: those that operators are given, and those that hold streams back. */

const { instances, balancers } = await startBalanced(t);
const http = new Http(t, instances[0]!.url);
const { port } = instances[0]!;
/** The site of docs/balancers.md. */
const site = /```\nexample\.com \{\n([\s\S]*?)\n\}\n```/.exec(readFileSync(join(import.meta.dirname, '../../docs/balancers.md'), 'utf8'))![1]!;
const caddy = await startCaddySite(t, instances.reduce((lines, { port }, index) => lines.replaceAll(`10.0.0.${index + 1}:8080`, `127.0.0.1:${port}`), site));

const numbers = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);

interface Asked {
  readonly tidings: Connection;
  /** Paths of requests. */
  readonly paths: string[];
}

function open(t: Scope, url: string): Asked {
  const paths: string[] = [];
  const tidings = connect(url, { fetch: (input, init) => {
    if (typeof input === 'string') paths.push(input.slice(url.length));
    return fetch(input, init);
  } });
  t.teardown(() => tidings.close());
  return { tidings, paths };
}

void t.test('through the proxies that operators are given subscriptions come and go, every instance is killed, and each message comes once, in order', async (t) => {
  const ways = [...balancers, ['Caddy', caddy] as const].map(([name, { url }]) => {
    const topic = `through.${name}`;
    const { tidings, paths } = open(t, url);
    const [all, odd]: [number[], number[]] = [[], []];
    tidings.subscribe<number>(`${topic}.*`, { after: 'start' }).on('message', ({ data }) => all.push(data));
    return { name, topic, tidings, paths, all, odd };
  });
  let published = 0;
  const publish = async (count: number): Promise<void> => {
    for (const data of numbers(count, published)) await Promise.all(ways.map(({ topic, tidings }) => tidings.publish(`${topic}.${data % 2}`, data)));
    published += count;
  };
  await publish(20);
  for (const { name, topic, tidings, all, odd } of ways) {
    await until(`${name}: they come`, () => all.length > 0);
    tidings.subscribe<number>(`${topic}.1`, { after: 'start' }).on('message', ({ data }) => odd.push(data));
  }
  for (const instance of instances) {
    await Promise.all([instance.restart('SIGKILL'), publish(2)]);
    for (const { name, tidings } of ways) await until(`${name}: it is live`, () => tidings.status === 'live');
    await publish(2);
  }
  for (const { name, topic, paths, all, odd } of ways) {
    const expected = (await http.json<{ messages: { data: number }[] }>(`/messages?topic=${topic}.*&limit=1000`)).messages.map(({ data }) => data);
    t.strictSame(expected, numbers(published), `${name}: each was stored once`);
    await until(`${name}: all are there`, () => all.length >= published && odd.length >= published / 2);
    t.strictSame(all, expected, name);
    t.strictSame(odd, expected.filter((data) => data % 2 === 1), name);
    t.ok(paths.some((path) => /^\/events\?.*lastEventId=/.test(path)), `${name}: a stream came through, and another went on where it was`);
  }
});

/** Each gathers an answer before it passes any of it on. */
const HOLDING: Readonly<Record<string, (t: Scope) => Promise<Balancer>>> = {
  'nginx that gathers': (t) => startNginxServer(t, `location / { proxy_pass http://127.0.0.1:${port}; proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering; }`),
  'nginx that compresses': (t) => startNginxServer(t, `location / { proxy_pass http://127.0.0.1:${port}; proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0; }`),
  HAProxy: (t) => startPlainHaproxy(t, port, ['http-response wait-for-body time 600s']),
  Caddy: (t) => startCaddySite(t, `reverse_proxy 127.0.0.1:${port} {\nbuffer_responses\n}`),
};

void t.test('through proxies that hold streams back it goes on by long poll, and each message comes once, in order', async (t) => {
  await Promise.all(Object.entries(HOLDING).map(async ([name, start], index) => {
    const { tidings, paths } = open(t, (await start(t)).url);
    const topic = `held.${index}`;
    const heard: number[] = [];
    tidings.subscribe<number>(topic, { last: 1 }).on('message', ({ data }) => heard.push(data));
    await http.batch([{ topic, data: 0 }]);
    await until(`${name}: it is live`, () => tidings.status === 'live');
    for (const data of numbers(20, 1)) await http.batch([{ topic, data }]);
    await until(`${name}: all are there`, () => heard.length >= 21);
    t.strictSame(heard, numbers(21), name);
    t.match(paths[0], /^\/events\?/, `${name}: a stream was tried first`);
    t.ok(paths.some((path) => /^\/messages\?.*wait=/.test(path)), `${name}: it polls`);
    t.notOk(paths.some((path) => /^\/events\?.*lastEventId=/.test(path)), `${name}: no stream came through`);
  }));
});
