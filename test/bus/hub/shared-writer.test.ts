import { t, type Test } from 'tap';
import { packAppend } from '../../../src/bus/hub/append-frames.ts';
import { packFailure, unpackAppended } from '../../../src/bus/hub/appended-frames.ts';
import { FRAME, FRAME_HEAD_BYTES, frameOf, HUB_VERSION, nextCallId } from '../../../src/bus/hub/frames.ts';
import { SharedWriter } from '../../../src/bus/hub/shared-writer.ts';
import type { Draft } from '../../../src/model/message.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { StoreError, type Appended, type AppendRequest, type IdempotencyKey, type Store } from '../../../src/store/store.ts';
import { Ear } from '../../contract/bus.ts';
import { TestClock } from '../../support/clock.ts';
import { hubBus, hubStranger, openHub, type HubStranger } from '../../support/hub.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { until } from '../../support/until.ts';

/** A store whose appends a test can see and hold up. */
interface Watched {
  readonly store: Store;
  /** The topics of each append that this store was asked for. */
  readonly appends: string[][];
  /** What each append waits for. */
  gate: (() => Promise<void>) | undefined;
}

interface Worker extends Watched {
  readonly writer: SharedWriter;
  /** The topics of each commit that this worker tells others of. */
  readonly told: string[][];
  /** Ends its connection as a worker does that ends in order. */
  readonly end: () => Promise<void>;
}

function watch(store: Store): Watched {
  const appends: string[][] = [];
  const watched: Watched = { appends, gate: undefined, store: new Proxy(store, {
    get(target, name) {
      if (name === 'append') return async (requests: readonly AppendRequest[]) => {
        appends.push(requests.flatMap(({ drafts }) => drafts.map(({ topic }) => topic)));
        await watched.gate?.();
        return target.append(requests);
      };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) };
  return watched;
}

async function openWorker(t: Test, path: string, log: MemoryStore, clock: Clock): Promise<Worker> {
  const { bus, connection } = hubBus(path);
  t.teardown(() => bus.close());
  bus.join(log.logId, new Ear());
  await until('the hub is there', () => bus.state === 'up');
  const watched = watch(log);
  const told: string[][] = [];
  return Object.assign(watched, { writer: new SharedWriter({ connection, store: watched.store, clock, onCommit: () => (messages) => void told.push(messages.map(({ topic }) => topic)) }), told, end: () => bus.close() });
}

const draft = (topic: string, data = topic): Draft => ({ topic, event: undefined, json: false, data: Buffer.from(data), ttl: 0 });
const request = (topic: string, key?: IdempotencyKey): AppendRequest => ({ drafts: [draft(topic)], key });
const keyed = (key: string): IdempotencyKey => ({ scope: 'somebody', key, fingerprint: Buffer.alloc(32, 7), window: 60_000 });

interface Together {
  readonly path: string;
  readonly log: MemoryStore;
  readonly one: Worker;
  readonly two: Worker;
  readonly three: Worker;
}

/** Workers on one log, whose time stands. The first of them writes, and each of the others hands on. */
async function together(t: Test): Promise<Together> {
  const { path } = await openHub(t);
  const log = new MemoryStore();
  await log.open();
  const open = async (): Promise<Worker> => {
    const worker = await openWorker(t, path, log, new TestClock());
    await worker.writer.append([request('warm')]);
    return worker;
  };
  const one = await open();
  const others = [await open(), await open()] as const;
  for (const { writer, appends } of others) {
    await until('it hands on', async () => {
      const { length } = appends;
      await writer.append([request('warm')]);
      return appends.length === length;
    });
  }
  for (const { appends, told } of [one, ...others]) appends.length = told.length = 0;
  return { path, log, one, two: others[0], three: others[1] };
}

function topicsIn({ messages }: MemoryStore): string[] {
  return messages.map(({ topic }) => topic).filter((topic) => topic !== 'warm');
}

t.test('one worker writes for all: what others append is in the log as they gave it, and they hear where', async (t) => {
  const { log: held, one, two } = await together(t);
  const drafts: readonly Draft[] = [
    { topic: 'größe.日本', event: 'created', json: true, data: Buffer.from('{"a":1}'), ttl: 60 }, { topic: 'b', event: undefined, json: false, data: Buffer.from([0xc3, 0xa9, 0, 10, 13]), ttl: 0 }, draft('c', ''),
  ];
  const { outcomes, log } = await two.writer.append([{ drafts, key: keyed('k') }, request('d')]);
  t.same([one.appends, two.appends], [[['größe.日本', 'b', 'c', 'd']], []]);
  t.match(outcomes, [{ kind: 'stored' }, { kind: 'stored' }]);
  const state = held.log();
  t.match(log, { head: state.head, oldest: state.oldest });
  t.same(log.lineage.epochs, state.lineage.epochs);
  const messages = held.messages.slice(-4);
  t.same(messages.map(({ topic, event, json, data, epoch }) => [topic, event, json, Buffer.from(data).toString('hex'), epoch]), [...drafts, draft('d')].map(({ topic, event, json, data }) => [topic, event, json, Buffer.from(data).toString('hex'), state.lineage.epochs.at(-1)!.epoch]));
  t.equal((outcomes[0] as { first: number }).first, state.head - 3);
  t.ok(messages[0]!.expires > 0);
});

t.test('a key counts on all workers: stored once, answered again, and refused for another request', async (t) => {
  const { log, one, two, three } = await together(t);
  const [first, second, third] = await Promise.all([two, three, one].map(({ writer }) => writer.append([request('a', keyed('k'))]))) as [Appended, Appended, Appended];
  t.same([first, second, third].map(({ outcomes }) => outcomes[0]!.kind).sort(), ['replayed', 'replayed', 'stored']);
  t.match((await two.writer.append([request('a', { ...keyed('k'), fingerprint: Buffer.alloc(32, 8) })])).outcomes, [{ kind: 'conflict' }]);
  t.same(topicsIn(log), ['a']);
});

t.test('a step of a source is handed on with its positions, and is a commit of its own', async (t) => {
  const { log, one, two, three } = await together(t);
  log.fences.set('källa', 3);
  const busy = Promise.withResolvers<void>();
  one.gate = () => busy.promise;
  const [begun, next] = [{ identity: 'stream "1"', position: 7 }, { identity: 'stream "1"', position: 9 }];
  const step = (fence: number, from: typeof begun | undefined, to: typeof begun) => ({ connector: 'källa', fence, origin: 'nats:x', moves: [{ part: 'p', from, to }] });
  const own = [one.writer.append([request('own')]), one.writer.append([request('own too')])];
  const steps = [two.writer.append([{ ...request('first'), step: step(3, undefined, begun) }]), three.writer.append([request('beside')]), two.writer.append([{ ...request('late'), step: step(2, begun, next) }])];
  busy.resolve();
  t.same((await Promise.all(steps)).map(({ outcomes }) => outcomes[0]!.kind).sort(), ['outdated', 'stored', 'stored']);
  await Promise.all(own);
  t.ok(one.appends.every((topics) => topics.length === 1 || !topics.some((topic) => topic === 'first' || topic === 'late')));
  t.same(two.appends, [], 'the other worker wrote them');
  t.same(log.positions.get('källa p'), begun);
  t.notOk(topicsIn(log).includes('late'));
});

t.test('appends of workers while the store is busy share one commit, and each worker gets its own part', async (t) => {
  const { log, one, two, three } = await together(t);
  const busy = Promise.withResolvers<void>();
  one.gate = () => busy.promise;
  const own = Array.from({ length: 10 }, (_, index) => one.writer.append([request(`own ${index}`)]));
  t.ok(one.appends.length <= 2);
  const waiting = [two.writer.append([request('a'), request('b')]), three.writer.append([request('c')])];
  busy.resolve();
  const answers = await Promise.all([...waiting, ...own]);
  t.ok(one.appends.length <= 5, `${one.appends.length} commits`);
  t.same([one.told, two.told, three.told], [one.appends, [], []], 'all hear of each commit once, from the worker that made it');
  t.same([...new Set(answers.map(({ isPublished }) => isPublished))], [true], 'so nobody else tells of it');
  const names = new Map(log.messages.map(({ seq, topic }) => [seq, topic]));
  t.same(answers.map(({ outcomes }) => outcomes.map((outcome) => outcome.kind === 'stored' ? names.get(outcome.first) : outcome.kind)), [['a', 'b'], ['c'], ...own.map((_, index) => [`own ${index}`])]);
});

t.test('a request that the store refuses fails alone, also when merged with others', async (t) => {
  const { log, one, two } = await together(t);
  const busy = Promise.withResolvers<void>();
  one.gate = async () => {
    await busy.promise;
    if (one.appends.at(-1)!.includes('bad')) throw new StoreError('refused', 'for the test');
  };
  const before = [one.writer.append([request('first')]), one.writer.append([request('second')])];
  const bad = one.writer.append([request('bad')]);
  const good = [one.writer.append([request('good')]), two.writer.append([request('other')])];
  const refused = t.rejects(bad, { name: 'StoreError', kind: 'refused' });
  busy.resolve();
  await Promise.all([...before, ...good, refused]);
  t.same(topicsIn(log).sort(), ['first', 'good', 'other', 'second']);
});

t.test('a writer that ends in order answers its requests; another one writes from then on', async (t) => {
  const { log, one, two, three } = await together(t);
  const busy = Promise.withResolvers<void>();
  one.gate = () => busy.promise;
  const handed = three.writer.append([request('handed')]);
  await until('it has reached the writer', () => one.appends.length === 1);
  const ended = one.end();
  const later: Promise<Appended>[] = [];
  await until('another one writes', () => {
    later.push(three.writer.append([request('later')]));
    return two.appends.length > 0;
  });
  busy.resolve();
  await Promise.all(later);
  t.match((await handed).outcomes, [{ kind: 'stored' }]);
  await ended;
  t.ok(topicsIn(log).includes('handed'));
  t.same(three.appends.flat().filter((topic) => topic !== 'later'), []);
});

interface BehindStranger {
  readonly log: MemoryStore;
  readonly worker: Worker;
  /** It stands ready to write, and answers nothing from now on. */
  readonly stranger: HubStranger;
  /** How often it was handed something. */
  readonly handed: () => number;
}

async function behindStranger(t: Test, clock: Clock = new TestClock()): Promise<BehindStranger> {
  const { path } = await openHub(t);
  const log = new MemoryStore();
  await log.open();
  const worker = await openWorker(t, path, log, clock);
  const stranger = hubStranger(t, path);
  await stranger.ask('hello', { version: HUB_VERSION });
  await stranger.ask('writer.join', { log: log.logId });
  const handed = (): number => stranger.kinds.filter((kind) => kind === FRAME.append).length;
  await until('the worker knows who writes', async () => {
    const before = handed();
    let isStored = false;
    const warm = worker.writer.append([request('warm')]).then(() => {
      isStored = true;
    });
    await until('it is stored, or handed on', () => isStored || handed() > before);
    if (handed() > before) stranger.socket.write(unavailable(stranger));
    await warm;
    return handed() > before;
  });
  worker.appends.length = 0;
  const first = handed();
  return { log, worker, stranger, handed: () => handed() - first };
}

function unavailable(stranger: HubStranger): Buffer {
  return packFailure(lastNumber(stranger), new StoreError('unavailable', 'it ends'));
}

/** Of what the stranger was handed last. */
function lastNumber({ bodies }: HubStranger): number {
  return bodies.findLast((body) => body.length > 0)!.readUInt32BE();
}

t.test('the writer dies with requests in flight: their outcome is unknown, a retry with its key finds out, and this worker writes itself', async (t) => {
  const { log, worker, stranger, handed } = await behindStranger(t);
  const lost = t.rejects(worker.writer.append([request('a', keyed('k'))]), { name: 'StoreError', kind: 'outcome-unknown' });
  await until('it was handed on', () => handed() === 1);
  stranger.socket.destroy();
  await lost;
  t.match((await worker.writer.append([request('a', keyed('k'))])).outcomes, [{ kind: 'stored' }]);
  t.match((await worker.writer.append([request('a', keyed('k'))])).outcomes, [{ kind: 'replayed' }]);
  t.same(topicsIn(log), ['a']);
});

t.test('an answer that cannot be read leaves one outcome unknown, and what else waits is answered', async (t) => {
  const { worker, stranger, handed } = await behindStranger(t);
  const lost = t.rejects(worker.writer.append([request('a')]), { name: 'StoreError', kind: 'outcome-unknown' });
  await until('it was handed on', () => handed() === 1);
  const garbled = unavailable(stranger);
  garbled[garbled.length - 'it ends'.length - 1] = 0;
  const other = worker.writer.append([request('b')]);
  await until('the other one was, too', () => handed() === 2);
  stranger.socket.write(Buffer.concat([garbled, unavailable(stranger)]));
  await lost;
  t.match((await other).outcomes, [{ kind: 'stored' }]);
  t.same(worker.appends, [['b']], 'the connection is the same: this worker knows who writes');
});

t.test('a late writer gets no more requests until it answers; its unanswered ones are unknown in the end', async (t) => {
  const clock = new TestClock();
  const { log, worker, stranger, handed } = await behindStranger(t, clock);
  const late: string[] = [];
  const lost = t.rejects(worker.writer.append([request('a')], () => late.push('a')), { name: 'StoreError', kind: 'outcome-unknown' });
  await until('it was handed on', () => handed() === 1);
  t.same(late, []);
  await clock.advance(1_000);
  t.same(late, ['a'], 'the publisher need not wait with others');
  t.match((await worker.writer.append([request('b')])).outcomes, [{ kind: 'stored' }], 'this worker writes itself');
  t.equal(handed(), 1);
  await clock.advance(11_000);
  await lost;
  t.same(topicsIn(log), ['b']);
  stranger.socket.write(unavailable(stranger));
  await until('it is handed something again', () => {
    worker.writer.append([request('c')]).catch(() => undefined);
    return handed() > 1;
  });
});

t.test('what the writer certainly did not store, this worker stores itself', async (t) => {
  const { log, worker, stranger, handed } = await behindStranger(t);
  const promise = worker.writer.append([request('a')]);
  await until('it was handed on', () => handed() === 1);
  stranger.socket.write(unavailable(stranger));
  t.match((await promise).outcomes, [{ kind: 'stored' }]);
  t.same([worker.appends, topicsIn(log)], [[['a']], ['a']]);
});

t.test('a worker writes large requests itself, and all of them once the hub is gone', async (t) => {
  const { one, two } = await together(t);
  t.match((await two.writer.append([{ drafts: [draft('large', 'x'.repeat(1024 * 1024))], key: undefined }])).outcomes, [{ kind: 'stored' }]);
  t.same([one.appends, two.appends], [[], [['large']]]);
  await two.end();
  t.match((await two.writer.append([request('a')])).outcomes, [{ kind: 'stored' }]);
  t.same([one.appends, two.appends], [[], [['large'], ['a']]]);
});

t.test('requests that the writer cannot read are stored by the worker that has them', async (t) => {
  const { log, one, two } = await together(t);
  const long = keyed('k'.repeat(10_000));
  t.match((await two.writer.append([request('a', long), request('b')])).outcomes, [{ kind: 'stored' }, { kind: 'stored' }]);
  t.same([one.appends, two.appends, topicsIn(log)], [[], [['a', 'b']], ['a', 'b']]);
});

t.test('requests that cannot be read change nothing, and the writer says so', async (t) => {
  const { path, log } = await together(t);
  const stranger = hubStranger(t, path);
  await stranger.ask('hello', { version: HUB_VERSION });
  await stranger.ask('writer.join', { log: log.logId });
  const good = packAppend(0, [request('a', keyed('k'))]).subarray(FRAME_HEAD_BYTES + 4);
  const bad = [Buffer.alloc(0), Buffer.from('{'), good.subarray(0, -1), Buffer.concat([good, Buffer.alloc(1)]), Buffer.concat([Buffer.alloc(4, 0xff), good.subarray(4)])];
  for (const [index, body] of bad.entries()) {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(index);
    stranger.socket.write(frameOf(FRAME.append, Buffer.concat([number, body])));
  }
  await until('all are answered', () => stranger.kinds.filter((kind) => kind === FRAME.appended).length === bad.length);
  t.same(stranger.bodies.slice(-bad.length).map((body) => unpackAppended(body).answer.failure?.kind), bad.map(() => 'unavailable'));
  t.same(topicsIn(log), []);
});

t.test('numbers of requests begin again after the largest that a frame holds, and skip those in use', async (t) => {
  const waiting = new Set([0, 1, 7]);
  const isWaiting = (number: number): boolean => waiting.has(number);
  t.equal(nextCallId(2 ** 32 - 1, isWaiting), 2);
  t.equal(nextCallId(6, isWaiting), 8);
  t.equal(nextCallId(8, isWaiting), 9);
});
