import t from 'tap';
import { readConnectors } from '../../src/connectors/connectors-file.ts';
import type { SourcePlan } from '../../src/connectors/plan.ts';
import { SourceRunner, STEP_MAX_RECORDS } from '../../src/connectors/source-runner.ts';
import { LOG_HEADER, type Reading, type SourceRecord, type Transport } from '../../src/connectors/transport.ts';
import { CONNECTOR_STATUS_MAX_BYTES } from '../../src/store/contracts/connector-store.ts';
import { systemClock as clock, type Clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { range } from '../contract/store-kit.ts';
import { recordingLogger } from '../support/logger.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { buildSpine } from '../support/spine.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** No pause of the runner takes time. */
const hurried: Clock = { ...clock, after: (_, task) => {
  const timer = setTimeout(task, 0);
  return { cancel: () => clearTimeout(timer) };
} };

/** A source that the test feeds, and a log in memory that fails as the test says. */
class Bench {
  readonly store = new MemoryStore();
  readonly counters = new Counters();
  readonly lines: string[];
  /** Each opening, in its order. */
  readonly readings: Reading[] = [];
  /** Ends the newest reading. */
  cut: (reason: Error) => void = () => undefined;
  readonly runner: SourceRunner;
  readonly #spine: ReturnType<typeof buildSpine>;

  constructor({ fence = 1, queueMessages = 1_000 }: { readonly fence?: number; readonly queueMessages?: number } = {}) {
    const { logger, lines } = recordingLogger();
    this.lines = lines;
    this.store.fences.set('it', 1);
    this.#spine = buildSpine({ store: this.store, clock, logger });
    const transport: Transport = {
      source: { members: [], fields: ['of'], topic: 'a', read: () => ({ place: 'test', load: () => Promise.resolve(), open: () => Promise.resolve({ close: () => Promise.resolve(), read: (reading) => {
        this.readings.push(reading);
        return new Promise((resolve, reject) => {
          this.cut = reject;
          reading.signal.addEventListener('abort', () => resolve());
        });
      } }) }) },
      sink: { members: [], target: { member: 'to', otherwise: 'x', whyNot: () => undefined }, read: () => { throw new Error('no sink'); } },
    };
    const [plan] = readConnectors(JSON.stringify({ connectors: { it: { kind: 'source', of: 'test' } } }), { env: {}, transports: { test: transport }, maxTopics: 1 });
    this.runner = new SourceRunner(plan as SourcePlan, fence, {
      store: {
        findConnectors: () => Promise.resolve([{ name: 'it', owner: 'me', fence: this.store.fences.get('it')!, cursor: '', status: '' }]),
        sourcePositions: () => Promise.resolve([...this.store.positions].map(([name, at]) => ({ part: name.slice('it '.length), ...at }))),
      },
      publisher: this.#spine.log.publisher, bounds: { messageBytes: 1_000, eventBytes: 100, queueMessages, queueBytes: 1_000_000 }, logId: () => 'mylog', clock: hurried, now: () => 0, random: () => 1, counters: this.counters, logger,
    });
  }

  static async open(t: Scope, options: ConstructorParameters<typeof Bench>[0] = {}): Promise<Bench> {
    const bench = new Bench(options);
    const { log, delivery } = bench.#spine;
    await log.open(await bench.store.open(), delivery.fanout);
    t.teardown(async () => {
      await bench.runner.stop();
      delivery.stop();
      log.stop();
    });
    bench.runner.start();
    await until('it is open', () => bench.readings.length === 1);
    return bench;
  }

  /** Hands records over, by their positions. */
  take(...records: readonly (number | Partial<SourceRecord>)[]): Promise<void> {
    return this.readings.at(-1)!.take(records.map((one): SourceRecord => ({
      part: '', at: typeof one === 'number' ? { identity: 'i', position: one } : undefined, fields: {}, headers: {}, data: Buffer.from(typeof one === 'number' ? String(one) : 'x'), ...(typeof one === 'number' ? {} : one),
    })));
  }

  get held(): string[] {
    return this.store.messages.map(({ topic, data }) => topic === 'a' ? Buffer.from(data).toString() : topic);
  }

  count(outcome: string): number {
    return this.counters.connectors.get(`it ${outcome}`) ?? 0;
  }
}

t.test('records that come twice are stored once; large hauls are stored in steps', async (t) => {
  const bench = await Bench.open(t);
  await bench.take(...range(1, 3));
  await bench.take(...range(2, 5));
  await bench.take(5, 4);
  t.same(bench.held, range(1, 5).map(String));
  t.equal(bench.count('known'), 4);
  const { appends } = bench.store;
  await bench.take(...range(6, 5 + 2 * STEP_MAX_RECORDS + 1));
  t.equal(bench.store.appends - appends, 3);
  t.equal(bench.held.length, 5 + 2 * STEP_MAX_RECORDS + 1);
  const small = await Bench.open(t, { queueMessages: 2 });
  await small.take(...range(1, 5));
  t.equal(small.store.appends, 3, 'no step is larger than the queue of publishers');
});

t.test('a log that is away is waited for; an unknown outcome is found out, and nothing is stored twice', async (t) => {
  const bench = await Bench.open(t);
  bench.store.appendFailures.push('unavailable', 'unavailable');
  await bench.take(1, 2);
  t.same(bench.held, ['1', '2']);
  t.match(bench.runner.status, { state: 'up', error: /not available/ });
  t.equal(bench.lines.filter((line) => line.includes('is waiting')).length, 1, 'one line for both');
  // The commit happens, and the answer is lost.
  const append = bench.store.append.bind(bench.store);
  bench.store.append = async (requests) => {
    bench.store.append = append;
    await append(requests);
    return bench.store.fails('outcome-unknown');
  };
  await bench.take(3, 4);
  bench.store.appendFailures.push('outcome-unknown');
  await bench.take(5);
  t.same(bench.held, range(1, 5).map(String));
});

t.test('where there are no positions, an unknown outcome is not tried again', async (t) => {
  const bench = await Bench.open(t);
  bench.store.appendFailures.push('outcome-unknown');
  await bench.take({}, {});
  await bench.take({});
  t.same([bench.held.length, bench.count('lost')], [1, 2]);
});

t.test('a record that the log refuses becomes a dead letter, and the others are stored in order', async (t) => {
  const bench = await Bench.open(t);
  bench.store.poison = '3';
  await bench.take(...range(1, 5));
  t.same(bench.held, ['1', '2', 'dead.connectors.it', '4', '5']);
  t.match(JSON.parse(Buffer.from(bench.store.messages[2]!.data).toString()), { connector: 'it', position: 3, reason: 'the log cannot store it' });
  t.same([bench.count('dead'), bench.count('stored')], [1, 4]);
  t.same(bench.store.positions.get('it '), { identity: 'i', position: 5 });
});

t.test('an owner that has lost the source stores nothing more, and opens nothing more', async (t) => {
  const bench = await Bench.open(t);
  await bench.take(1);
  bench.store.fences.set('it', 2);
  await t.rejects(bench.take(2), /another instance/);
  t.same(bench.held, ['1']);
  const late = new Bench({ fence: 7 });
  late.runner.start();
  await late.runner.stop();
  t.same(late.readings, []);
});

t.test('what this log has sent is passed over, and its position moves', async (t) => {
  const bench = await Bench.open(t);
  await bench.take(1, { at: { identity: 'i', position: 2 }, headers: { [LOG_HEADER]: 'mylog' } }, { at: { identity: 'i', position: 3 }, headers: { [LOG_HEADER]: 'other' } });
  t.same(bench.held, ['1', 'x']);
  t.equal(bench.count('own'), 1);
  await bench.readings[0]!.startAt(new Map([['', { identity: 'i', position: 1 }]]));
  t.equal(bench.count('renewed'), 1, 'a position that goes back is counted');
  await bench.take(2);
  t.same(bench.held, ['1', 'x', '2']);
});

t.test('what a reading still tries to store when it ends is given up: the next one brings it again', async (t) => {
  const bench = await Bench.open(t);
  await bench.take(1);
  const append = bench.store.append.bind(bench.store);
  let tries = 0;
  bench.store.append = () => {
    tries += 1;
    return Promise.resolve().then(() => bench.store.fails('unavailable'));
  };
  const late = t.rejects(bench.take(2, 3), 'it is not stored any more');
  await until('it is tried again', () => tries > 1);
  bench.cut(new Error('cut'));
  await late;
  bench.store.append = append;
  await until('it is open again', () => bench.readings.length === 2);
  await t.rejects(bench.readings[0]!.take([{ part: '', at: { identity: 'i', position: 9 }, fields: {}, headers: {}, data: Buffer.from('9') }]), 'an ended reading hands nothing over');
  await bench.take(2, 3);
  t.same(bench.held, range(1, 3).map(String));
});

t.test('a position that begins to have an identity is not one that was made anew', async (t) => {
  const bench = await Bench.open(t);
  await bench.readings[0]!.startAt(new Map([['a', { identity: '', position: 5 }], ['b', { identity: '', position: 7 }]]));
  t.equal(bench.store.appends, 1, 'both are one step');
  await bench.readings[0]!.startAt(new Map([['a', { identity: 'id', position: 5 }]]));
  t.equal(bench.count('renewed'), 0);
  await bench.readings[0]!.startAt(new Map([['a', { identity: 'other', position: 5 }]]));
  t.equal(bench.count('renewed'), 1);
});

t.test('a status is never longer than the database takes', async (t) => {
  const bench = await Bench.open(t);
  await bench.readings[0]!.startAt(new Map(range(1, 20).map((number) => [`${'t'.repeat(249)}/${number}`, { identity: 'x'.repeat(36), position: Number.MAX_SAFE_INTEGER }])));
  const { status } = bench.runner;
  t.ok(Object.keys(status.positions ?? {}).length > 0);
  t.ok(Buffer.byteLength(JSON.stringify(status)) <= CONNECTOR_STATUS_MAX_BYTES);
});
