import t from 'tap';
import { connect, type Connection, type ConnectOptions, type Message } from '../../src/client/client.ts';
import { PROTOCOL, type LeaderContent, type Note } from '../../src/client/shared-notes.ts';
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
/** A stream that its client has left is counted for a moment more. */
const streams = (what: string, count: number): Promise<void> => until(what, async () => await http.metric('streams') === count);
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
  await streams('all share one stream', 1);
  const other = open(t, instance.url, { share: 'another user' });
  const alone = open(t, instance.url, { share: false });
  const apart = [listen(other, 'own.a'), listen(alone, 'own.a')];
  await live(other, alone);
  await streams('others have streams of their own', 3);
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
  await until('all are there', () => staying.every(({ heard, kind }) => heard.length >= expected(kind).length));
  for (const { heard, kind, from } of members) {
    const all = expected(kind);
    t.strictSame(heard, all.slice(0, heard.length), `${kind}, there since ${from}`);
  }
  t.ok(staying.length > 1);
  await live(...staying.map(({ tidings }) => tidings));
  await streams('those that stay share one stream', 1);
});

void t.test('a tab takes new frames, reads missed ones, and follows another log', async (t) => {
  const name = JSON.stringify([PROTOCOL, instance.url, 'told']);
  const ids = await http.batch(numbers(6).map((data) => ({ topic: 'told', data })));
  const told = await http.json<{ messages: Message<number>[] }>('/messages?topic=told');
  const channel = new BroadcastChannel(name);
  t.teardown(() => channel.close());
  // This test leads.
  const end = new AbortController();
  t.teardown(() => end.abort());
  await new Promise<void>((held) => {
    void navigator.locks.request(name, () => {
      held();
      return new Promise<void>((release) => {
        end.signal.addEventListener('abort', () => release());
      });
    });
  });
  let frames = 0;
  const tell = (content: LeaderContent): void => channel.postMessage({ ...content, leader: 'the test', frames });
  const frame = (event: string, content: unknown, id: string): void => {
    frames++;
    tell({ kind: 'frame', event, content, id });
  };
  const message = (index: number): void => frame('message', told.messages[index]!, ids[index]!);
  const wants: (readonly string[])[] = [];
  channel.onmessage = ({ data }: { data: Note }) => {
    if (data.kind === 'want') wants.push(data.topics);
    if (data.kind === 'ask') tell({ kind: 'here' });
  };
  const tidings = open(t, instance.url, { share: 'told' });
  const heard = listen(tidings, 'told');
  const gaps: string[] = [];
  tidings.subscribe('told').on('gap', ({ reason }) => gaps.push(reason));
  const asked = (count: number): Promise<void> => until('it says what it wants', () => wants.length >= count);
  await asked(1);
  tell({ kind: 'began', topics: ['told', 'other'], cursor: ids[0]! });
  await live(tidings);
  message(1);
  message(1);
  message(0);
  message(2);
  // One is missing: it says anew what it wants, and reads what lies between.
  frames++;
  message(4);
  await asked(2);
  tell({ kind: 'began', topics: ['told'], cursor: ids[4]! });
  message(5);
  await until('all are there', () => heard.length >= 5);
  t.strictSame(heard, [1, 2, 3, 4, 5]);
  // A gap of a leader that was behind is none of this tab; one that says that the log is another is.
  const gap = { requested: null, oldest: ids[0], resumed: ids[1] };
  frame('$gap', { ...gap, reason: 'expired' }, ids[1]!);
  frame('$gap', { ...gap, reason: 'forked' }, ids[1]!);
  message(2);
  await until('the log is another', () => heard.length >= 6);
  t.strictSame([heard.at(-1), gaps, wants], [2, ['forked'], [['told'], ['told']]]);
});
