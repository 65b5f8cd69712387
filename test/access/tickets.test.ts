import t from 'tap';
import { Tickets, type Opening } from '../../src/access/tickets/tickets.ts';
import type { CutReason } from '../../src/access/leases/lease.ts';
import type { NoteHandler } from '../../src/bus/control-channel.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { StoreError } from '../../src/store/store.ts';
import type { KeptTicket, TicketRecord, TicketStore, TicketUse, UsedTicket } from '../../src/store/contracts/ticket-store.ts';
import { TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';

/** The tickets of instances on one log, whose clock the test moves. */

const POLL_MS = 1_000;
/** From then on a stream counts as open for longer. */
const OPEN_MS = 30_000;
const SHOWN = { id: 'a', digest: new Uint8Array(32) };
const FIRST: Opening = { hasPosition: false, showsPosition: true };

function never(): never {
  throw new Error('Nothing here asks for it.');
}

/** A log with one ticket. */
class TestStore implements TicketStore {
  isAway = false;
  generation = 0;
  readonly calls: string[] = [];
  readonly batches: number[] = [];
  readonly kept: KeptTicket[] = [];
  /** From where on it was last asked for uses. */
  after = -1;
  /** Holds the answers of finds and uses back. */
  gate: Promise<void> = Promise.resolve();
  isGone = false;
  readonly createTicket = never;
  readonly renewTicket = never;
  readonly #uses: { id: string; generation: number }[] = [];

  async findTickets(): Promise<never[]> {
    this.#ask('find');
    await this.gate;
    return [];
  }

  async useTickets(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]> {
    this.#ask('use');
    this.batches.push(uses.length);
    const answers = this.isGone ? uses.map(() => undefined) : uses.map(({ id }) => {
      const before = this.#uses.findLast((one) => one.id === id)?.generation ?? 0;
      this.#uses.push({ id, generation: ++this.generation });
      return { generation: this.generation, before };
    });
    await this.gate;
    return answers;
  }

  async keepTickets(kept: readonly KeptTicket[]): Promise<void> {
    this.#ask('keep');
    this.kept.push(...kept);
  }

  async ticketUses(after: number): Promise<{ newest: number; uses: { id: string; generation: number }[] }> {
    this.#ask('uses');
    this.after = after;
    return { newest: this.generation, uses: this.#uses.filter(({ generation }) => generation > after) };
  }

  #ask(call: string): void {
    this.calls.push(call);
    if (this.isAway) throw new StoreError('unavailable', 'away');
  }
}

/** Two instances. Notes reach the other one while the bus is up. */
function fleet(pollMs = POLL_MS) {
  const clock = new TestClock();
  const store = new TestStore();
  const handlers: NoteHandler[] = [];
  const bus = { isUp: true, notes: 0 };
  const instances = [0, 1].map((self) => new Tickets({
    store, clock, counters: new Counters(), logger: quietLogger, pollMs,
    control: {
      answer: (_kind, handler) => void (handlers[self] = handler),
      tell: (_kind, body) => {
        bus.notes++;
        if (bus.isUp) handlers[1 - self]!(JSON.parse(JSON.stringify(body)));
      },
    },
  }));
  return { clock, store, bus, handlers, one: instances[0]!, two: instances[1]! };
}

/** A stream that says why it ended. */
class TestStream {
  readonly cuts: CutReason[] = [];

  cut(reason: CutReason): void {
    this.cuts.push(reason);
  }
}

/** Uses the ticket, and begins its stream. */
async function open(clock: TestClock, tickets: Tickets, opening = FIRST) {
  const using = tickets.use(SHOWN, opening);
  await clock.advance(10);
  const hold = await using;
  const stream = new TestStream();
  if (!hold.isLost) hold.begin(stream);
  return { hold, stream };
}

t.test('a later use ends the stream of the use before, here, there by a note, and without the bus at the next poll', async (t) => {
  const { clock, bus, one, two } = fleet();
  const first = await open(clock, one);
  const second = await open(clock, one);
  t.same([first.stream.cuts, second.stream.cuts], [['taken-over'], []]);
  const third = await open(clock, two);
  t.same([second.stream.cuts, third.stream.cuts], [['taken-over'], []], 'at once');
  bus.isUp = false;
  const fourth = await open(clock, one);
  t.same([third.stream.cuts, fourth.stream.cuts], [[], []]);
  await clock.advance(POLL_MS);
  t.same([third.stream.cuts, fourth.stream.cuts], [['taken-over'], []]);
});

t.test('of two uses at once the later one has the ticket, in any order of their answers and the note', async (t) => {
  const { clock, store, one, two } = fleet();
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const early = one.use(SHOWN, FIRST);
  await clock.advance(1);
  store.gate = Promise.resolve();
  const late = await open(clock, two);
  resolve();
  const hold = await early;
  t.ok(hold.generation < late.hold.generation);
  t.equal(hold.isLost, true, 'it heard of the other while it waited');
  t.same(late.stream.cuts, []);
  await clock.advance(5 * POLL_MS);
  t.same(late.stream.cuts, []);
});

t.test('uses that come together share one call, those of one ticket come one after the other, and a use that comes alone waits for nothing', async (t) => {
  const { clock, store, one } = fleet();
  void one.use(SHOWN, FIRST);
  await clock.advance(0);
  t.same(store.batches, [1]);
  const many = [...Array.from({ length: 50 }, (_, index) => one.use({ ...SHOWN, id: `b${index}` }, FIRST)), one.use(SHOWN, FIRST), one.use(SHOWN, FIRST)];
  await clock.advance(20);
  t.same(store.batches, [1, 51, 1]);
  const holds = await Promise.all(many);
  t.same(holds.map(({ isLost }) => isLost), [...Array.from({ length: 50 }, () => false), true, false]);
});

t.test('a poll does not bring the uses of this instance, unless others came between', async (t) => {
  const { clock, store, one } = fleet();
  const use = (id: string): Promise<unknown> => one.use({ ...SHOWN, id }, FIRST);
  for (const ids of [['a'], ['b', 'c']]) {
    const uses = ids.map(use);
    await clock.advance(10);
    await Promise.all(uses);
  }
  await clock.advance(POLL_MS);
  t.equal(store.after, 3);
  store.generation++;
  const later = use('d');
  await clock.advance(10);
  await later;
  await clock.advance(POLL_MS);
  t.equal(store.after, 3);
  await clock.advance(POLL_MS);
  t.equal(store.after, 5);
});

t.test('streams that are open are told to the database, which guards their tickets only where their clients have a position', async (t) => {
  const { clock, store, one } = fleet();
  const { hold } = await open(clock, one);
  const other = one.use({ ...SHOWN, id: 'b' }, { hasPosition: false, showsPosition: false });
  await clock.advance(OPEN_MS - POLL_MS);
  t.same(store.kept, []);
  await clock.advance(2 * POLL_MS);
  t.same(store.kept.splice(0), [{ id: 'a', generation: 1, isGuarded: true }, { id: 'b', generation: 2, isGuarded: false }]);
  store.isAway = true;
  await clock.advance(2 * OPEN_MS);
  store.isAway = false;
  await clock.advance(POLL_MS);
  t.equal(store.kept.splice(0).length, 2, 'as soon as it answers again');
  for (const held of [hold, await other]) one.release(held);
  await clock.advance(POLL_MS);
  store.calls.length = 0;
  await clock.advance(2 * OPEN_MS);
  t.same(store.calls, [], 'an instance without tickets asks for nothing');
});

t.test('polls that are rare keep no stream from being told in time, nor look more often', async (t) => {
  const { clock, store, one } = fleet(60_000);
  await open(clock, one);
  await clock.advance(OPEN_MS + 5_000);
  t.equal(store.kept.splice(0).length, 1);
  t.notOk(store.calls.includes('uses'));
  await clock.advance(25_000);
  t.equal(store.calls.filter((call) => call === 'uses').length, 1);
});

t.test('when the last stream has ended, nothing is asked any more', async (t) => {
  const { clock, store, one } = fleet();
  const { hold } = await open(clock, one);
  store.calls.length = 0;
  one.release(hold);
  await clock.advance(2 * OPEN_MS);
  t.same(store.calls, []);
  await open(clock, one);
  await clock.advance(POLL_MS);
  t.same(store.calls, ['use', 'uses'], 'and with the next one it begins anew');
});

t.test('who shows one ticket again and again keeps nobody else out: looks at it share an answer, and few of its uses wait', async (t) => {
  const { clock, one } = fleet();
  let found = 0;
  for (let count = 0; count < 5_000; count++) void one.find('a').then(() => found++);
  await clock.advance(20);
  t.equal(found, 5_000);
  const uses = Array.from({ length: 10_001 }, () => one.use(SHOWN, FIRST).then(() => 'used', ({ name }: Error) => name));
  const other = one.use({ ...SHOWN, id: 'b' }, FIRST);
  await clock.advance(20);
  t.equal((await other).isLost, false);
  await clock.advance(2_000);
  const outcomes = await Promise.all(uses);
  t.equal(outcomes[0], 'used');
  t.equal(outcomes.at(-1), 'CredentialsUnavailable');
});

function made(id: string, topics = ['a']): TicketRecord {
  return { ...SHOWN, id, origin: { kind: 'key', id: 'k', proof: new Uint8Array(32) }, session: undefined, until: undefined, topics, generation: 0, ends: 30_000, isGuarded: false };
}

async function find(clock: TestClock, tickets: Tickets, id: string): Promise<TicketRecord | undefined> {
  const finding = tickets.find(id);
  await clock.advance(10);
  return finding;
}

t.test('a ticket that this instance has just made is not looked up before its first use', async (t) => {
  const { clock, store, one } = fleet();
  one.made(made('a'));
  t.match(await find(clock, one, 'a'), { id: 'a', generation: 0 });
  await open(clock, one);
  t.same(store.calls, ['use']);
  await find(clock, one, 'a');
  t.same(store.calls, ['use', 'find'], 'from then on its row may say something else');

  one.made(made('b'));
  await clock.advance(30_000);
  t.equal(await find(clock, one, 'b'), undefined, 'nor is it believed for longer than it waits for its use');
  one.made(made('c', Array.from({ length: 100 }, (_, topic) => `topic-${topic}`)));
  t.equal(await find(clock, one, 'c'), undefined, 'one with many topics is not remembered');
  for (let count = 0; count <= 10_000; count++) one.made(made(`d${count}`));
  t.equal(await find(clock, one, 'd0'), undefined, 'nor are more than ten thousand');
  t.match(await find(clock, one, 'd10000'), { id: 'd10000' });
});

t.test('where another instance was faster, what this one remembers of a ticket lets nobody in: its row is looked at', async (t) => {
  const { clock, store, bus, one, two } = fleet();
  bus.isUp = false;
  one.made(made('a'));
  const { stream } = await open(clock, two);
  t.match(await find(clock, one, 'a'), { generation: 0 });
  const used = t.rejects(one.use(SHOWN, FIRST), { name: 'CredentialsUnavailable' });
  await clock.advance(10);
  await used;
  await clock.advance(POLL_MS);
  t.same(stream.cuts, ['taken-over'], 'that use was later');
  store.calls.length = 0;
  await find(clock, one, 'a');
  t.same(store.calls, ['find']);
  t.equal((await open(clock, one)).hold.isLost, false);

  one.made(made('a'));
  bus.isUp = true;
  await open(clock, two);
  t.equal(await find(clock, one, 'a'), undefined, 'a note of a use elsewhere is enough');
});

t.test('a database that hangs keeps nobody waiting who shows a ticket', async (t) => {
  const { clock, store, one } = fleet();
  store.gate = new Promise(() => undefined);
  const late = t.rejects(one.find('a'), { name: 'CredentialsUnavailable' });
  await clock.advance(3_000);
  await late;
});

t.test('a use that the database does not answer is neither good nor bad; a refused one is bad; a note of another version is ignored', async (t) => {
  const { clock, store, handlers, one } = fleet();
  const { stream } = await open(clock, one);
  store.isAway = true;
  for (const ask of [() => one.use(SHOWN, FIRST), () => one.find('a')]) {
    const failed = t.rejects<unknown>(ask(), { name: 'CredentialsUnavailable' });
    await clock.advance(10);
    await failed;
  }
  await clock.advance(3 * POLL_MS);
  t.same(stream.cuts, [], 'the stream stays open');
  store.isAway = false;
  store.isGone = true;
  const refused = t.rejects(one.use(SHOWN, FIRST), { name: 'Problem', code: 'invalid-credential', status: 401 });
  await clock.advance(10);
  await refused;
  for (const body of [undefined, null, 'x', {}, [1], [[]], [['a']], [['a', 'b']], [[5, 5]]]) t.equal(handlers[0]!(body), undefined);
  t.same(stream.cuts, []);
});
