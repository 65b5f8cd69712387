import t from 'tap';
import { connect, type Connection, type ConnectOptions, type TidingsError } from '../../src/client/client.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** The library changes the topics of its open stream. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20', TOPICS_PER_STREAM: '25' });
const http = new Http(t, instance.url);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const live = (tidings: Connection): Promise<void> => until('it is live', () => tidings.status === 'live');

interface Counted {
  readonly tidings: Connection;
  /** How often a stream was opened, and how often one was changed. */
  streams: number;
  changes: number;
}

/** @param answer What a change is answered with; by default what the service answers. */
function open(t: Scope, options: ConnectOptions = {}, answer?: (change: () => Promise<Response>) => Promise<Response>): Counted {
  const send: typeof fetch = (input, init) => {
    if (typeof input === 'string' && input.includes('/events?')) counted.streams++;
    if (init?.method !== 'PATCH') return fetch(input, init);
    counted.changes++;
    const change = (): Promise<Response> => fetch(input, init);
    return answer === undefined ? change() : answer(change);
  };
  const counted: Counted = { tidings: connect(instance.url, { ...options, fetch: send }), streams: 0, changes: 0 };
  t.teardown(() => counted.tidings.close());
  return counted;
}

function listen(tidings: Connection, topic: string, options: Parameters<Connection['subscribe']>[1] = { after: 'start' }): { heard: number[]; end: () => void } {
  const heard: number[] = [];
  const subscription = tidings.subscribe<number>(topic, options);
  subscription.on('message', ({ data }) => heard.push(data));
  return { heard, end: () => subscription.unsubscribe() };
}

/** Twenty topics come and most go again while messages are published to all. @returns What each has heard, up to where it was ended. */
async function comeAndGo(tidings: Connection, name: string): Promise<{ readonly topic: number; readonly heard: number[]; readonly isOver: boolean }[]> {
  const all: { topic: number; heard: number[]; isOver: boolean; end: () => void }[] = [];
  for (const topic of numbers(20)) {
    all.push({ topic, isOver: false, ...listen(tidings, `${name}.${topic}`) });
    await http.batch(numbers(40).map((data) => ({ topic: `${name}.${data % 20}`, data: topic * 40 + data })));
    const oldest = all.find(({ isOver }) => !isOver)!;
    if (topic % 3 !== 0) continue;
    oldest.end();
    oldest.isOver = true;
    // One that comes back while it goes.
    if (topic % 2 === 0) all.push({ topic: oldest.topic, isOver: false, ...listen(tidings, `${name}.${oldest.topic}`) });
  }
  return all;
}

const expected = (topic: number): number[] => numbers(800).filter((data) => data % 20 === topic);

for (const share of [false, 'changes']) void t.test(`twenty subscriptions come and go, and the stream is not opened anew: share ${share}`, async (t) => {
  const counted = open(t, { share });
  const { tidings } = counted;
  const name = `gone-${share}`;
  const stays = listen(tidings, `${name}.*`);
  await live(tidings);
  const all = await comeAndGo(tidings, name);
  await until('all are there', () => stays.heard.length >= 800 && all.every(({ isOver, topic, heard }) => isOver || heard.length >= expected(topic).length));
  t.strictSame(stays.heard, numbers(800));
  for (const { topic, heard, isOver } of all) t.strictSame(heard, isOver ? expected(topic).slice(0, heard.length) : expected(topic), `topic ${topic}`);
  await live(tidings);
  t.equal(counted.streams, 1);
  t.ok(counted.changes > 0);
  const wanted = all.filter(({ isOver }) => !isOver).map(({ topic }) => `${name}.${topic}`);
  await until('what nobody wants is given up', async () => (await http.json<{ streams: { topics: string[] }[] }>('/streams')).streams.some(({ topics }) => topics.toSorted().join() === [...new Set([`${name}.*`, ...wanted])].toSorted().join()));
});

void t.test('what changes in one turn is one change', async (t) => {
  const counted = open(t);
  const { tidings } = counted;
  const first = listen(tidings, 'turn');
  await live(tidings);
  for (const topic of numbers(10)) listen(tidings, `turn.${topic}`);
  const twice = [listen(tidings, 'turn.3', {}), listen(tidings, 'turn.3', {})];
  first.end();
  t.equal(tidings.status, 'catching-up', 'they are not there yet');
  await live(tidings);
  await http.batch([{ topic: 'turn.3', data: 3 }]);
  await until('both are told', () => twice.every(({ heard }) => heard.length === 1));
  t.match(counted, { streams: 1, changes: 1 });
});

void t.test('a topic that is asked for again while it is given up begins where it is there again', async (t) => {
  let heard: number[] | undefined;
  const counted = open(t, {}, async (change) => {
    heard ??= listen(tidings, 'again').heard;
    // While the stream does not have it.
    if (counted.changes === 2) await http.batch([{ topic: 'again', data: 1 }]);
    return change();
  });
  const { tidings } = counted;
  listen(tidings, 'stays');
  const first = listen(tidings, 'again');
  await live(tidings);
  first.end();
  await until('it is there again', () => counted.changes === 2 && tidings.status === 'live');
  await http.batch([{ topic: 'again', data: 2 }]);
  await until('it goes on', () => heard!.includes(2));
  t.strictSame([heard, counted.streams], [[1, 2], 1]);
});

const refusal = (status: number, code: string): Response => Response.json({ code, detail: 'Not now.' }, { status });
const REFUSALS: Record<string, (change: () => Promise<Response>) => Promise<Response>> = {
  'has no such route: 404': () => Promise.resolve(refusal(404, 'not-found')),
  'has no such method: 405': () => Promise.resolve(refusal(405, 'method-not-allowed')),
  'cannot do it: 501': () => Promise.resolve(new Response('', { status: 501 })),
  'cannot do it: 409': () => Promise.resolve(refusal(409, 'stream-elsewhere')),
  'belongs to somebody else: 403': () => Promise.resolve(Response.json({ code: 'forbidden', field: 'secret' }, { status: 403 })),
  'does not know, and has not done it: 503': () => Promise.resolve(refusal(503, 'outcome-unknown')),
  'does not know, and has done it: 503': async (change) => {
    await change();
    return refusal(503, 'outcome-unknown');
  },
  'lets no page change it': () => Promise.reject(new TypeError('Failed to fetch')),
};
for (const [what, answer] of Object.entries(REFUSALS)) void t.test(`an instance that ${what}: the next stream has the topics`, async (t) => {
  const counted = open(t, {}, answer);
  const { tidings } = counted;
  const name = `refused.${Object.keys(REFUSALS).indexOf(what)}`;
  const all = [listen(tidings, `${name}.0`)];
  await live(tidings);
  for (const data of numbers(12)) {
    if (data % 4 === 3) all.push(listen(tidings, `${name}.${all.length}`));
    await http.batch(numbers(4).map((topic) => ({ topic: `${name}.${topic}`, data })));
  }
  await until('all are there', () => all.every(({ heard }) => heard.length >= 12));
  for (const { heard } of all) t.strictSame(heard, numbers(12));
  await live(tidings);
  t.ok(counted.streams > 1 && counted.changes > 0);
  all[3]!.end();
  await http.batch([{ topic: `${name}.2`, data: 12 }]);
  await until('the others go on', () => all[2]!.heard.length === 13);
});

void t.test('a stream that breaks while it is changed comes back with all topics', async (t) => {
  const counted = open(t, {}, async (change) => {
    const answer = await change();
    await instance.restart('SIGKILL');
    return answer;
  });
  const { tidings } = counted;
  const before = listen(tidings, 'broken.0');
  await live(tidings);
  const added = listen(tidings, 'broken.1');
  await until('it is open again', () => counted.streams > 1);
  await live(tidings);
  await http.batch(numbers(10).map((data) => ({ topic: `broken.${data % 2}`, data })));
  await until('all are there', () => before.heard.length + added.heard.length >= 10);
  t.strictSame([before.heard, added.heard], [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]);
  t.equal(counted.changes, 1);
});

void t.test('a topic that is refused, and one too many, cost the open stream nothing', async (t) => {
  const counted = open(t);
  const { tidings } = counted;
  const { heard } = listen(tidings, 'held');
  await live(tidings);
  const errors: Error[] = [];
  tidings.on('error', (error) => errors.push(error));
  const good = listen(tidings, 'good');
  listen(tidings, 'bad..topic', {});
  await until('it is told', () => errors.length === 1);
  for (const topic of numbers(24)) listen(tidings, `many.${topic}`, {});
  await until('one is told', () => errors.length === 2);
  t.match(errors.map((error) => (error as TidingsError).field), ['topic', 'add']);
  await live(tidings);
  await http.batch(['held', 'good'].map((topic) => ({ topic, data: 1 })));
  await until('both are there', () => heard.length === 1 && good.heard.length === 1);
  t.equal(counted.streams, 1);
});

void t.test('topics beyond the bound of a stream are refused by the name of the bound, and the others go on', async (t) => {
  let asked = 0;
  const tidings = connect(instance.url, {
    fetch: (input, init) => {
      asked++;
      return fetch(input, init);
    },
  });
  t.teardown(() => tidings.close());
  const errors = new Map<string, Error>();
  const heard = new Set<unknown>();
  const begin = (first: number, count: number): void => {
    for (const topic of numbers(count).map((number) => `bound.${number + first}`)) {
      const subscription = tidings.subscribe(topic);
      subscription.on('any', ({ data }) => heard.add(data));
      subscription.on('error', (error) => errors.set(topic, error));
    }
  };
  begin(0, 40);
  await until('the newest are refused', () => errors.size === 15);
  await live(tidings);
  t.strictSame([...errors.keys()], numbers(15).map((number) => `bound.${number + 25}`));
  t.match([...errors.values()], numbers(15).map(() => ({ code: 'invalid-topic', message: 'There are 40 topics, and 25 are allowed (TOPICS_PER_STREAM).' })));
  t.ok(asked < 20, `${asked} requests`);

  // The stream is full: a change is refused, too.
  begin(40, 10);
  await until('they are refused', () => errors.size === 25);
  await live(tidings);
  t.match([...errors.values()].slice(15), numbers(10).map(() => ({ code: 'invalid-topic', message: /^The stream would have 35 topics, and 25 are allowed \(TOPICS_PER_STREAM\)\.$/ })));
  await http.batch(numbers(50).map((data) => ({ topic: `bound.${data}`, data })));
  await until('the first are there', () => heard.size === 25);
  t.strictSame([...heard], numbers(25));
});

void t.test('topics whose URL is too long for something on the way are refused, and the others go on', async (t) => {
  const tidings = connect(instance.url, { fetch: (input, init) => ((input as string).length > 2_000 ? Promise.resolve(new Response('too long', { status: 431 })) : fetch(input, init)) });
  t.teardown(() => tidings.close());
  const errors: Error[] = [];
  tidings.on('error', (error) => errors.push(error));
  const heard: unknown[] = [];
  for (const number of numbers(20)) tidings.subscribe(`long.${number}.${'x'.repeat(200)}`).on('any', ({ data }) => heard.push(data));
  await live(tidings);
  t.ok(errors.length > 5 && errors.length < 15, `${errors.length} are refused`);
  t.match(errors[0], { code: 'http-431', status: 431 });
  await http.batch([{ topic: `long.0.${'x'.repeat(200)}`, data: 1 }]);
  await until('it is there', () => heard.length === 1);
});
