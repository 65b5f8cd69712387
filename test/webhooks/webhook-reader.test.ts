import t from 'tap';
import { Audience } from '../../src/delivery/audience.ts';
import { Message, type Draft } from '../../src/model/message.ts';
import type { Gap } from '../../src/model/gap.ts';
import type { Position } from '../../src/model/position.ts';
import { Budget } from '../../src/runtime/sharing/budget.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { DeliveryNote, WebhookRecord } from '../../src/store/contracts/webhook-store.ts';
import type { DeadLetter } from '../../src/webhooks/dead-letters.ts';
import { settingsText } from '../../src/webhooks/settings.ts';
import { makeSecret } from '../../src/webhooks/signature.ts';
import { Turns } from '../../src/webhooks/turns.ts';
import { WebhookReader } from '../../src/webhooks/webhook-reader.ts';
import { settle, TestClock } from '../support/clock.ts';

const RETRY_MS = 60_000;
const DAY_MS = 86_400_000;
const settings = settingsText({ url: 'https://example.com/', topics: ['a'], format: 'json', secrets: [{ secret: makeSecret() }] });
const RECORD: WebhookRecord = { id: 'hook', version: 1, settings, status: 'active', reason: undefined, created: 0, cursor: 'abcdefgh-0', failures: 0, failingSince: undefined, nextAt: 0, owner: 'me', fence: 1 };

/** One reader on a log of some messages, and a receiver that answers as the test says. */
class Bench {
  readonly clock = new TestClock();
  readonly sent: string[] = [];
  readonly notes: DeliveryNote[] = [];
  readonly dead: DeadLetter[] = [];
  owns = true;
  readonly tail = { last: 0, log: undefined, clean: (messages: readonly Message[]) => this.#clean(messages), erasures: 0 };
  /** Messages that were erased, and how often the instance does not know which these are. */
  readonly erased: number[] = [];
  unknown = 0;
  /** What the store's clock has more than the other one. */
  aheadMs = 0;
  /** How many messages each read asked for. */
  readonly limits: number[] = [];
  status: (id: string) => number = () => 200;
  /** Called while the log is read. */
  reading: () => void = () => undefined;
  /** Called when there is a connection. */
  connected: () => void = () => undefined;
  readonly budget = new Budget(1_000_000);
  readonly reader: WebhookReader;

  #clean(messages: readonly Message[]): boolean {
    for (const message of messages) if (this.erased.includes(message.seq)) message.erase();
    return this.unknown-- <= 0;
  }

  constructor(messages: number, { record = {}, startGap, parts = () => ({}) }: { readonly record?: Partial<WebhookRecord>; readonly startGap?: Gap; readonly parts?: (index: number) => Partial<Draft> } = {}) {
    const log = Array.from({ length: messages }, (_, index) => new Message('abcdefgh', index + 1, 0, 0, { topic: 'a', event: undefined, json: false, data: Buffer.from('x'), ...parts(index) }));
    const end: Position = { epoch: 'abcdefgh', seq: messages };
    this.reader = new WebhookReader({ ...RECORD, ...record }, {
      history: { findInTail: async ({ at, gap }, { limit, maxBytes = Infinity, hold }) => {
        this.reading();
        this.limits.push(limit);
        hold.release();
        const found: Message[] = [];
        for (const message of log.slice(at.seq, at.seq + limit)) if (hold.bytes < maxBytes && hold.grow(message.data.length)) found.push(message);
        return { messages: found, at: found.at(-1) ?? end, more: at.seq + found.length < messages, gap };
      } },
      starts: { resolve: async (request) => ({ at: request.kind === 'after' ? request.position : end, gap: startGap }) },
      tail: Object.assign(this.tail, { last: messages }),
      audience: new Audience({ maxFilterBytes: 1_000_000, counters: new Counters() }), turns: new Turns({ clock: this.clock }), budget: this.budget, suspectBudget: new Budget(1_000_000),
      notes: { note: async (note) => this.notes.push(note) > 0 },
      sender: { send: async ({ delivery: { id }, mayStillSend }) => {
        this.connected();
        if (!mayStillSend()) return { status: undefined, error: 'the lease ended', excerpt: '', retryAfter: undefined, milliseconds: 0 };
        this.sent.push(id);
        return { status: this.status(id), error: undefined, excerpt: '', retryAfter: undefined, milliseconds: 1 };
      } },
      deadLetters: { publish: async (letter) => void this.dead.push(letter) },
      clock: this.clock, now: () => this.clock.monotonic() + this.aheadMs, random: () => 1, counters: { webhookDeliveries: 0, webhookFailures: 0, webhookDeadLetters: 0 }, ownsNow: () => this.owns, firstPauseMs: 1_000, retryMs: RETRY_MS,
    });
  }
}

t.test('a reader tells how far it is behind while its receiver fails, and that its circuit is open; once it waits for the next message it is not behind', async (t) => {
  const bench = new Bench(3);
  const told = (): unknown => [bench.reader.behind, bench.reader.isFailing, bench.reader.isCircuitOpen];
  bench.status = () => 500;
  bench.reader.start();
  await settle();
  t.same([told(), bench.sent.length], [[3, true, false], 1]);
  // Pauses of 1, 2, 4 and 8 seconds.
  await bench.clock.advance(15_000);
  t.same([told(), bench.sent.length], [[3, true, true], 5]);
  bench.status = () => 200;
  await bench.clock.advance(16_000);
  t.same(told(), [0, false, false]);
  bench.tail.last = 9;
  t.same(told(), [0, false, false], 'what comes of other topics does not wait for it');
  await bench.reader.stop();
});

t.test('messages that wait for a receiver hold a small part of the memory of all, and a large one is the last of its read', async (t) => {
  const sizes = [...Array.from({ length: 20 }, () => 1_000), ...Array.from({ length: 20 }, () => 20_000), 500_000, 1];
  const bench = new Bench(sizes.length, { parts: (index) => ({ data: Buffer.alloc(sizes[index]!, 'x') }) });
  const held: number[] = [];
  bench.connected = () => void held.push(bench.budget.heldBytes);
  bench.reader.start();
  await bench.clock.advance(1_000);
  t.equal(bench.sent.length, sizes.length);
  t.equal(Math.max(...held.slice(0, 16)), 16_000, 'small messages are read many at a time');
  t.ok(Math.max(...held.slice(0, 39)) < 1_000_000 / 16, `${Math.max(...held.slice(0, 39))} bytes`);
  t.ok(Math.max(...held) <= 500_000 + 32 * 1024, 'nothing is read after the large one');
  await bench.reader.stop();
});

t.test('an instance whose lease has ended sends nothing, and goes on where it stood when it owns the webhook again', async (t) => {
  const bench = new Bench(3);
  // It stands still while it reads the log.
  bench.reading = () => void (bench.owns = false);
  bench.reader.start();
  await settle();
  t.same(bench.sent, []);
  await bench.clock.advance(10_000);
  t.same([bench.sent, bench.notes.length], [[], 0], 'no failure of the receiver is noted either');
  bench.reading = () => undefined;
  bench.owns = true;
  await bench.clock.advance(1_000);
  t.same(bench.sent, ['abcdefgh-1', 'abcdefgh-2', 'abcdefgh-3']);
  t.match(bench.notes.at(-1), { cursor: 'abcdefgh-3', failures: 0 });
  await bench.reader.stop();
});

t.test('a message that fails for too long is given up, the next one follows, and failures count on', async (t) => {
  const bench = new Bench(2);
  bench.status = (id) => (id === 'abcdefgh-1' ? 500 : 200);
  bench.reader.start();
  await bench.clock.advance(1_000 * (1 + 2 + 4 + 8 + 16) + 1);
  t.same(bench.sent, Array.from({ length: 6 }, () => 'abcdefgh-1'), 'the pause doubles');
  t.match(bench.notes.at(-1), { cursor: 'abcdefgh-0', failures: 6, failingSince: 0, nextAt: 63_000 });
  await bench.clock.advance(32_000);
  t.match(bench.dead, [{ id: 'hook', topic: 'dead.webhooks.hook', delivery: { id: 'abcdefgh-1' }, failures: 7, since: 0 }]);
  t.equal(bench.sent.filter((id) => id === 'abcdefgh-1').length, 7, 'the last attempt comes after that time');
  t.equal(bench.sent.at(-1), 'abcdefgh-2');
  t.match(bench.notes.at(-1), { cursor: 'abcdefgh-2', failures: 0 });
  await bench.reader.stop();
});

t.test('a message that was erased during its last attempt becomes no dead letter, and the next one follows', async (t) => {
  const bench = new Bench(2, { record: { failures: 1, failingSince: 0, nextAt: 0 } });
  bench.aheadMs = 2 * RETRY_MS;
  bench.status = (id) => (id === 'abcdefgh-1' ? 500 : 200);
  bench.connected = () => void (bench.unknown = 1);
  bench.reader.start();
  await settle();
  t.same([bench.sent, bench.dead], [['abcdefgh-1'], []], 'not before it is known which messages were erased');
  bench.connected = () => void bench.erased.push(1);
  await bench.clock.advance(10_000);
  t.same([bench.sent, bench.dead], [['abcdefgh-1', 'abcdefgh-1', 'abcdefgh-2'], []]);
  t.match(bench.notes.at(-1), { cursor: 'abcdefgh-2', failures: 0 });
  await bench.reader.stop();
});

t.test('nothing is sent, and no turn begins, once it was stopped', async (t) => {
  const bench = new Bench(2);
  bench.status = () => 500;
  bench.reader.start();
  await settle();
  await bench.reader.stop();
  await bench.clock.advance(RETRY_MS);
  t.equal(bench.sent.length, 1);
});

t.test('an instance that has lost the webhook meanwhile gives nothing up', async (t) => {
  const bench = new Bench(1);
  bench.status = () => 500;
  bench.reader.start();
  await settle();
  // It stands still for longer than a message is attempted. Another instance has delivered it.
  bench.owns = false;
  await bench.clock.advance(2 * RETRY_MS);
  t.same([bench.sent.length, bench.dead.length], [1, 0]);
  await bench.reader.stop();
});

t.test('a service that was away for longer than a message is attempted attempts it once more', async (t) => {
  const bench = new Bench(1, { record: { failures: 1, failingSince: 0, nextAt: 1_000 } });
  bench.aheadMs = 2 * RETRY_MS;
  bench.reader.start();
  await settle();
  t.same([bench.sent, bench.dead], [['abcdefgh-1'], []]);
  await bench.reader.stop();
});

t.test('a gap that was not taken is told again, before any message', async (t) => {
  const gap: Gap = { requested: 'abcdefgh-0', resumed: 'abcdefgh-1', oldest: 'abcdefgh-2', reason: 'expired' };
  const bench = new Bench(2, { startGap: gap });
  let failures = 2;
  bench.status = () => (failures-- > 0 ? 500 : 200);
  bench.reader.start();
  await bench.clock.advance(10_000);
  t.same(bench.sent, ['gap-abcdefgh-0', 'gap-abcdefgh-0', 'gap-abcdefgh-0', 'abcdefgh-2']);
  await bench.reader.stop();
});

t.test('a clock that was ahead, and one that is set back, put no attempt off for longer than failures do', async (t) => {
  const bench = new Bench(1, { record: { failures: 2, failingSince: 500 * DAY_MS, nextAt: 500 * DAY_MS } });
  bench.status = () => 500;
  bench.reader.start();
  await bench.clock.advance(1_999);
  t.equal(bench.sent.length, 0);
  await bench.clock.advance(1);
  t.equal(bench.sent.length, 1);
  bench.aheadMs = -DAY_MS;
  await bench.clock.advance(4_000);
  t.equal(bench.sent.length, 2, 'a pause ends by the clock that nobody sets');
  await bench.clock.advance(3 * RETRY_MS);
  t.equal(bench.dead.length, 1, 'and it is given up in time');
  await bench.reader.stop();
});

t.test('an attempt that ends because the instance closes is no failure of the receiver', async (t) => {
  const bench = new Bench(1);
  let finished: Promise<void> | undefined;
  bench.connected = () => void (finished = bench.reader.finish());
  bench.reader.start();
  await settle();
  await finished;
  t.same([bench.sent, bench.notes], [[], []]);
});

t.test('a webhook that failed last time reads one message, and no memory of the others', async (t) => {
  const bench = new Bench(20);
  let failures = 1;
  bench.status = () => (failures-- > 0 ? 500 : 200);
  bench.reader.start();
  await bench.clock.advance(2_000);
  t.equal(bench.sent.length, 21);
  t.same(bench.limits.slice(0, 18), [16, ...Array<number>(16).fill(1), 16]);
  await bench.reader.stop();
});

t.test('a message that is only called as dead letters are is delivered; dead letters are where they are named, and never its own', async (t) => {
  const letter = (id: string, topic: string): Partial<Draft> => ({ event: 'dead-letter', topic, json: true, data: Buffer.from(`{"webhook":"${id}","delivery":"x"}`) });
  const messages: readonly Partial<Draft>[] = [{ event: 'dead-letter', topic: 'b.c' }, { ...letter('', 'b.c'), data: Buffer.from('{"webhook"') }, letter('other', 'a'), letter('hook', 'a'), letter('other', 'b.c'), {}];
  const record = { settings: settingsText({ url: 'https://example.com/', topics: ['a', 'b.*'], format: 'json', deadTopic: 'moved', secrets: [{ secret: makeSecret() }] }) };
  const bench = new Bench(messages.length, { record, parts: (index) => messages[index]! });
  bench.reader.start();
  await settle();
  t.same(bench.sent, [1, 2, 3, 6].map((seq) => `abcdefgh-${seq}`));
  await bench.reader.stop();
});
