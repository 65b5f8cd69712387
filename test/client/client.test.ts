import t from 'tap';
import { connect, type TidingsError, type Connection, type ConnectOptions, type Message, type Status } from '../../src/client/client.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { Link } from '../support/link.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** The client library in Node.js, on a real service. */

/** Clients come back soon, so the tests are short. */
const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20', DRAIN_SECONDS: '1', HEARTBEAT_SECONDS: '1' });
const http = new Http(t, instance.url);

function open(t: Scope, url = instance.url, options: ConnectOptions = {}): Connection {
  const tidings = connect(url, options);
  t.teardown(() => tidings.close());
  return tidings;
}

const live = (tidings: Connection): Promise<void> => until('it is live', () => tidings.status === 'live');
const dataOf = (messages: readonly Message[]): unknown[] => messages.map(({ data }) => data);
const numbers = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);

void t.test('a subscription gets messages published from then on, by event name too', async (t) => {
  const tidings = open(t);
  t.equal(tidings.status, 'connecting');
  const statuses: Status[] = [];
  tidings.on('status', (status) => statuses.push(status));
  await tidings.publish('first.a', 'before');
  const subscription = tidings.subscribe<{ n: number }>('first.*');
  const [plain, shipped, any]: [Message[], Message[], Message[]] = [[], [], []];
  const gaps: unknown[] = [];
  subscription.on('message', (message) => plain.push(message));
  subscription.on('shipped', (message: Message) => shipped.push(message));
  subscription.on('gap', (gap) => gaps.push(gap));
  const stop = subscription.on('any', (message) => any.push(message));
  await live(tidings);
  const first = await tidings.publish('first.a', { n: 1 });
  await tidings.publish('first.b', 'text', { event: 'shipped', ttl: 60 });
  await tidings.publish('first.a', 'gap', { event: 'gap' });
  await until('all are there', () => any.length === 3);
  t.match(plain, [{ id: first.id, topic: 'first.a', event: 'message', data: { n: 1 } }]);
  t.match(shipped, [{ topic: 'first.b', data: 'text' }]);
  t.strictSame(dataOf(any), [{ n: 1 }, 'text', 'gap'], 'a message whose event has the name of one of ours is among all');
  t.strictSame(gaps, [], 'and is not taken for one');
  stop();
  subscription.unsubscribe();
  await until('nothing is wanted any more', () => tidings.status === 'connecting');
  await until('its stream is closed', async () => await http.metric('streams') === 0);
  t.strictSame(statuses, ['live', 'connecting']);
});

void t.test('each start begins where it says, and the stream joins without a hole', async (t) => {
  const ids: string[] = [];
  for (const first of [0, 600]) ids.push(...await http.batch(numbers(600, first).map((data) => ({ topic: `start.${data % 2}`, data }))));
  const tidings = open(t);
  const heard: Record<string, unknown[]> = {};
  const listen = (name: string, topic: string, options: Parameters<Connection['subscribe']>[1]): void => {
    const list: unknown[] = heard[name] = [];
    tidings.subscribe(topic, options).on('message', ({ data }) => list.push(data));
  };
  listen('last', 'start.0', { last: 3 });
  listen('after', 'start.>', { after: ids[1_190]! });
  listen('start', 'start.1', { after: 'start' });
  listen('since', 'start.*', { since: '1h' });
  listen('now', 'start.0', {});
  await live(tidings);
  // These come while the stream is open.
  listen('later', 'start.1', { last: 2 });
  listen('same', 'start.0', { last: 1 });
  await live(tidings);
  await http.batch(numbers(4, 1_200).map((data) => ({ topic: `start.${data % 2}`, data })));
  const odd = numbers(602).map((index) => 2 * index + 1);
  const expected = {
    last: [1194, 1196, 1198, 1200, 1202], after: numbers(13, 1_191), start: odd, since: numbers(1_204), now: [1200, 1202],
    later: [1197, 1199, 1201, 1203], same: [1198, 1200, 1202],
  };
  await until('all are there', () => Object.entries(expected).every(([name, list]) => heard[name]!.length >= list.length));
  t.strictSame(heard, expected);
  await until('all of them share one stream', async () => await http.metric('streams') === 1);
});

void t.test('nothing is lost or doubled over cuts, a drain and a kill, while subscriptions come and go', async (t) => {
  const cuts = numbers(rounds(12, 60)).map((index) => ({ part: index % 5 === 0 ? 'head' : 'body', bytes: 37 + index * 151 } as const));
  const proxy = await CuttingProxy.start(t, instance.port, cuts);
  let changes = 0;
  const send: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    if (init?.method === 'PATCH' && answer.ok) changes++;
    return answer;
  };
  const tidings = open(t, proxy.url, { fetch: send });
  const all: number[] = [];
  tidings.subscribe<number>('torn.>', { after: 'start' }).on('message', ({ data }) => all.push(data));
  const PARTS = 20;
  const joined: { readonly part: number; readonly list: number[]; readonly end: () => void; isOver: boolean }[] = [];
  const COUNT = 400;
  for (let data = 0; data < COUNT; data++) {
    await open(t).publish(`torn.${data % PARTS}`, data);
    if (data % PARTS === 0) {
      const list: number[] = [];
      const part = joined.length;
      const subscription = tidings.subscribe<number>(`torn.${part}`, { after: 'start' });
      subscription.on('message', (message) => list.push(message.data));
      joined.push({ part, list, end: () => subscription.unsubscribe(), isOver: false });
      const oldest = joined[part - 5];
      if (part % 2 === 0 && oldest !== undefined) {
        oldest.end();
        oldest.isOver = true;
      }
    }
    if (data === 150) await instance.restart('SIGTERM');
    if (data === 300) await instance.restart('SIGKILL');
  }
  const expected = (part: number): number[] => numbers(COUNT).filter((data) => data % PARTS === part);
  await until('all are there', () => all.length >= COUNT && joined.every(({ isOver, part, list }) => isOver || list.length >= expected(part).length));
  t.strictSame(all, numbers(COUNT));
  for (const { part, list, isOver } of joined) t.strictSame(list, isOver ? expected(part).slice(0, list.length) : expected(part), `torn.${part}`);
  t.ok(changes > 0);
});

void t.test('a state and the messages after it leave no hole between them', async (t) => {
  const topic = 'state.orders';
  let published = 0;
  let isOver = false;
  const publisher = open(t);
  const publishing = (async () => {
    while (!isOver) await publisher.publish(topic, ++published);
  })();
  for (let round = 0; round < rounds(50, 1_000); round++) {
    const tidings = open(t);
    const seen = new Set<number>();
    let state = 0;
    const subscription = tidings.subscribe<number>(topic, {
      getState: async () => {
        const { cursor } = await http.json<{ cursor: string }>(`/cursor?topic=${topic}`);
        // What the page was rendered from: read after the cursor was taken.
        state = published;
        return cursor;
      },
    });
    subscription.on('message', ({ data }) => seen.add(data));
    await until('messages follow the state', () => seen.has(state + 3));
    for (let number = state + 1; number <= state + 3; number++) t.ok(seen.has(number), `round ${round}: ${number}`);
    tidings.close();
  }
  isOver = true;
  await publishing;
});

void t.test('a slow loop gets every message, and holds few', async (t) => {
  const tidings = open(t);
  const COUNT = 3_000;
  const controller = new AbortController();
  const messages = tidings.stream<number>('slow', { signal: controller.signal });
  await live(tidings);
  for (let first = 0; first < COUNT; first += 1_000) await http.batch(numbers(1_000, first).map((data) => ({ topic: 'slow', data })));
  const heard: number[] = [];
  for await (const { data } of messages) {
    heard.push(data);
    if (heard.length === 10) await until('it is behind', () => tidings.status === 'catching-up');
    if (data === COUNT - 1) controller.abort();
  }
  t.strictSame(heard, numbers(COUNT));
  for await (const { data } of tidings.stream<number>('slow', { last: 2 })) {
    t.equal(data, COUNT - 2);
    break;
  }
  await until('a loop that is left ends its subscription', async () => await http.metric('streams') === 0);
});

void t.test('a publish is tried until its outcome is known, and stored once', async (t) => {
  const link = await Link.start(t, instance.port);
  const tidings = open(t, link.url);
  const head = await http.metric('log_head');
  link.cut();
  const published = tidings.publish('tried', { ok: true }, { idempotencyKey: 'tried' });
  const stopped = new AbortController();
  const given = tidings.publish('tried', 'given up', { signal: stopped.signal });
  stopped.abort(new Error('enough'));
  await t.rejects(given, { message: 'enough' });
  link.heal();
  t.match(await published, { topic: 'tried', event: 'message' });
  t.strictSame(await tidings.publish('tried', { ok: true }, { idempotencyKey: 'tried' }), await published);
  t.equal(await http.metric('log_head'), head + 1);
  await t.rejects(tidings.publish('bad..topic', 1), { name: 'TidingsError', code: 'invalid-topic', status: 400, field: 'topic' });
  await t.rejects(tidings.publish('tried', undefined), { code: 'invalid-data' });
});

void t.test('a topic that is refused costs the others nothing', async (t) => {
  const tidings = open(t);
  const heard: unknown[] = [];
  tidings.subscribe('good').on('message', ({ data }) => heard.push(data));
  const errors: Error[] = [];
  tidings.subscribe('bad..topic').on('error', (error) => errors.push(error));
  const unheard: Error[] = [];
  tidings.on('error', (error) => unheard.push(error));
  tidings.subscribe('also..bad', { last: 3 });
  tidings.subscribe('good', { since: 'yesterday' });
  await until('both are told', () => unheard.length === 2 && errors.length === 1);
  t.match(errors, [{ code: 'invalid-topic', field: 'topic' }]);
  t.match(new Set(unheard.map((error) => (error as TidingsError).field)), new Set(['topic', 'since']));
  await live(tidings);
  await http.publish('good', 'still here');
  await until('it is there', () => heard.length === 1);
});

void t.test('a connection that has become silent is given up', async (t) => {
  const link = await Link.start(t, instance.port);
  // Two heartbeats of the service and more.
  const tidings = open(t, link.url, { staleAfter: 4_000 });
  const heard: unknown[] = [];
  tidings.subscribe('silent').on('message', ({ data }) => heard.push(data));
  await live(tidings);
  link.silence(true);
  await http.publish('silent', 'while nothing came through');
  await until('it has noticed', () => tidings.status !== 'live');
  link.heal();
  await until('it is there', () => heard.length === 1);
});

void t.test('a stored cursor outlives the connection', async (t) => {
  const values = new Map<string, string>();
  const store = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => void values.set(key, value), removeItem: (key: string) => void values.delete(key) };
  const heard: unknown[] = [];
  const before = open(t, instance.url, { store });
  before.subscribe('kept').on('message', ({ data }) => heard.push(data));
  await live(before);
  await before.publish('kept', 1);
  await until('the first is there', () => heard.length === 1);
  before.close();
  await open(t).publish('kept', 2);
  await http.publish('other', 'nobody asked for');
  const after = open(t, instance.url, { store });
  after.subscribe('kept', { last: 10 }).on('message', ({ data }) => heard.push(data));
  after.subscribe('other').on('message', ({ data }) => heard.push(data));
  await live(after);
  await after.publish('kept', 3);
  await until('all are there', () => heard.length === 3);
  t.strictSame(heard, [1, 2, 3], 'it goes on where it was, and not where it would begin');
  after.logout();
  t.equal(values.size, 0, 'a logout forgets');
  t.equal(after.status, 'closed');
  await before.publish('kept', 4);
  after.login();
  await live(after);
  await after.publish('kept', 5);
  await until('it is there', () => heard.includes(5));
  const forbidden = { getItem: () => { throw new Error('forbidden'); }, setItem: () => { throw new Error('forbidden'); }, removeItem: () => { throw new Error('forbidden'); } };
  const private_ = open(t, instance.url, { store: forbidden });
  private_.subscribe('kept');
  await live(private_);
});

void t.test('a topic that a page does not subscribe to keeps its place for the next page', async (t) => {
  const values = new Map<string, string>();
  const store = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => void values.set(key, value), removeItem: (key: string) => void values.delete(key) };
  /** A page that subscribes to these topics, is live, hears of something and is left. */
  const visit = async (...topics: string[]): Promise<unknown[]> => {
    const heard: unknown[] = [];
    const tidings = open(t, instance.url, { store });
    for (const topic of topics) tidings.subscribe(topic).on('message', ({ data }) => heard.push(data));
    await live(tidings);
    tidings.close();
    return heard;
  };
  await visit('visited.a', 'visited.b', '__proto__');
  await http.batch([{ topic: 'visited.a', data: 1 }, { topic: 'visited.b', data: 2 }, { topic: '__proto__', data: 3 }]);
  t.strictSame(await visit('visited.a'), [1]);
  t.strictSame(await visit('visited.a'), []);
  t.strictSame((await visit('visited.b', '__proto__')).toSorted(), [2, 3]);
  for (let page = 0; page < 3; page++) await visit(...numbers(60).map((topic) => `page${page}.${topic}`));
  t.equal(Object.keys((JSON.parse([...values.values()][0]!) as { behind: object }).behind).length, 100, 'of ever new topics the newest');
});

void t.test('messages not handed out before a page is left come after a reload', async (t) => {
  const values = new Map<string, string>();
  const store = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => void values.set(key, value), removeItem: (key: string) => void values.delete(key) };
  const COUNT = 1_500;
  const first = open(t, instance.url, { store });
  const heard: number[] = [];
  const loop = first.stream<number>('long');
  first.subscribe('other');
  await live(first);
  first.close();

  for (let from = 0; from < COUNT; from += 500) await http.batch(numbers(500, from).map((data) => ({ topic: 'long', data })));
  const second = open(t, instance.url, { store });
  /** Comes to one that begins anew, too. */
  const end = async (tidings: Connection): Promise<void> => {
    await until('it has begun', () => tidings.status !== 'connecting');
    await http.batch([{ topic: 'long', data: COUNT }]);
  };
  // Left in the middle of what it reads first.
  await Promise.all([end(second), new Promise<void>((resolve) => second.subscribe<number>('long').on('any', ({ data }) => {
    heard.push(data);
    if (data !== 700 && data !== COUNT) return;
    second.close();
    resolve();
  }))]);
  await loop.return!(undefined);

  const third = open(t, instance.url, { store });
  const messages = third.stream<number>('long');
  const ended = end(third);
  // It has got more than the loop has taken.
  for await (const { data } of messages) {
    heard.push(data);
    if (data !== 1_200 && data !== COUNT) continue;
    third.close();
    break;
  }
  const fourth = open(t, instance.url, { store });
  fourth.subscribe<number>('long').on('any', ({ data }) => heard.push(data));
  await ended;
  await end(fourth);
  await until('the last is there', () => heard.at(-1) === COUNT);
  t.strictSame([...new Set(heard)], numbers(COUNT + 1), 'nothing is lost');
});

void t.test('an option that is wrong is refused by its name', async (t) => {
  const tidings = open(t);
  const wrong: readonly (readonly [name: string, call: (value: never) => unknown, values: readonly unknown[]])[] = [
    ['url', (value) => connect(value), [5, null, new URL(instance.url)]],
    ['options', (value) => connect(instance.url, value), [null, 'x', 5]],
    ...([['getToken', ['x', null]], ['credentials', ['yes', true, '']], ['store', ['disk', 5, null]], ['staleAfter', [0, -1, NaN, Infinity, 1.5, '5']], ['share', [5, null, {}]], ['fallback', [false, 'poll']], ['as', [5, null]], ['meta', ['x', 5, null]], ['fetch', [{}]], ['retries', [1]], ['__proto__x', [1]], ['constructor', [1]]] as const)
      .map(([name, values]) => [name, (value: never) => connect(instance.url, { [name]: value }), values] as const),
    ...([['since', [10, new Date()]], ['after', [5]], ['last', [-1, 1_001, 0.5, '5', NaN]], ['getState', ['x']], ['signal', [new AbortController().signal]], ['lastEventId', ['x']]] as const)
      .map(([name, values]) => [name, (value: never) => tidings.subscribe('x', { [name]: value }), values] as const),
    ...([['getState', [() => '']], ['signal', [5]], ['last', ['2']]] as const).map(([name, values]) => [name, (value: never) => tidings.stream('x', { [name]: value }), values] as const),
    ['topic', (value) => tidings.subscribe(value), [5, {}, null]],
    ['topic', (value) => tidings.presence(value), [5]],
  ];
  for (const [name, call, values] of wrong) {
    for (const value of values) t.throws(() => call(value as never), { name: 'TypeError', message: new RegExp(`^${name} must be |^There is no option "${name}", only `) }, `${name}: ${JSON.stringify(value)}`);
  }
  for (const [name, values] of [['event', [5]], ['ttl', [0, '60', 0.5]], ['idempotencyKey', [5]], ['signal', [true]], ['key', ['x']]] as const) {
    for (const value of values) await t.rejects(tidings.publish('x', 1, { [name]: value }), { name: 'TypeError', message: new RegExp(`^${name} must be |^There is no option "${name}", only event, ttl, idempotencyKey, signal`) });
  }
  t.doesNotThrow(() => connect(instance.url, { getToken: undefined, store: 'session', staleAfter: 1, share: '', fallback: 'none' }).close());
});
