import t from 'tap';
import { connect, type Connection, type ConnectOptions } from '../../src/client/client.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Connections that share one stream, in Node.js, which has Web Locks and `BroadcastChannel`. What only tabs do is in `tabs.test.ts`. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20', DRAIN_SECONDS: '1' });
const http = new Http(t, instance.url);

function open(t: Scope, url = instance.url, options: ConnectOptions = {}): Connection {
  const tidings = connect(url, { share: true, ...options });
  t.teardown(() => tidings.close());
  return tidings;
}

function listen(tidings: Connection, topic: string, options: Parameters<Connection['subscribe']>[1] = {}): number[] {
  const heard: number[] = [];
  tidings.subscribe<number>(topic, options).on('any', ({ data }) => heard.push(data));
  return heard;
}

const live = (...all: readonly Connection[]): Promise<void> => until('all are live', () => all.every(({ status }) => status === 'live'));
const streams = (): Promise<number> => http.metric('streams');
const publish = (topic: string, data: number): Promise<string[]> => http.batch([{ topic, data }]);
const numbers = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);

void t.test('they share one stream, each with its own topics and beginnings', async (t) => {
  for (const data of numbers(5)) await publish('own.a', data);
  const [first, second, third] = [open(t), open(t), open(t, `${instance.url}/`)];
  const a = listen(first, 'own.a');
  const last = listen(second, 'own.*', { last: 2 });
  await live(first, second);
  const later = listen(third, 'own.b', { after: 'start' });
  await live(first, second, third);
  t.equal(await streams(), 1);
  const other = open(t, instance.url, { share: 'another user' });
  const alone = open(t, instance.url, { share: false });
  const apart = [listen(other, 'own.a'), listen(alone, 'own.a')];
  await live(other, alone);
  t.equal(await streams(), 3, 'others have streams of their own');
  await publish('own.a', 5);
  await publish('own.b', 6);
  await until('all are there', () => last.length === 4 && later.length === 1 && a.length === 1 && apart.every(({ length }) => length === 1));
  t.strictSame({ a, last, later, apart }, { a: [5], last: [3, 4, 5, 6], later: [6], apart: [[5], [5]] });
});

void t.test('nothing is lost or doubled while leaders and others come and go, over cuts and a kill', async (t) => {
  const proxy = await CuttingProxy.start(t, instance.port, numbers(rounds(8, 40)).map((index) => ({ part: 'body', bytes: 211 + index * 307 } as const)));
  const COUNT = 300;
  const members: { readonly from: number; readonly tidings: Connection; readonly heard: number[]; readonly kind: string }[] = [];
  const join = (from: number): void => {
    const tidings = open(t, proxy.url);
    const kind = ['even', 'odd', '*'][members.length % 3]!;
    members.push({ from, tidings, kind, heard: listen(tidings, `torn.${kind}`, { after: 'start' }) });
  };
  for (let count = 0; count < 3; count++) join(0);
  const left = new Set<Connection>();
  for (let data = 0; data < COUNT; data++) {
    await publish(`torn.${data % 2 === 0 ? 'even' : 'odd'}`, data);
    if (data % 20 !== 10) continue;
    join(data);
    // The oldest one leads, mostly.
    const { tidings } = members[left.size]!;
    left.add(tidings);
    tidings.close();
    if (data === 150) await instance.restart('SIGKILL');
  }
  const expected = (kind: string): number[] => numbers(COUNT).filter((data) => kind === '*' || (data % 2 === 0) === (kind === 'even'));
  const staying = members.filter(({ tidings }) => !left.has(tidings));
  await until('all are there', () => staying.every(({ heard, kind }) => heard.length >= expected(kind).length), 60_000);
  for (const { heard, kind, from } of members) {
    const all = expected(kind);
    t.strictSame(heard, all.slice(0, heard.length), `${kind}, there since ${from}`);
  }
  t.ok(staying.length > 1);
  await live(...staying.map(({ tidings }) => tidings));
  t.equal(await streams(), 1);
});
