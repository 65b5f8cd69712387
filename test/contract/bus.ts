import { createHash } from 'node:crypto';
import t from 'tap';
import type { Bus, BusListener } from '../../src/bus/bus.ts';
import type { ReceivedMessages } from '../../src/bus/received-messages.ts';
import { Message } from '../../src/model/message.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

export const EPOCH = 'abcdefgh1234';

/** A message for the bus; what does not matter to a test has a value. */
export function message(seq: number, data: string | Uint8Array = `data ${seq}`, parts: { topic?: string; event?: string; json?: boolean; epoch?: string; expires?: number } = {}): Message {
  return new Message(parts.epoch ?? EPOCH, seq, 1_700_000_000_000 + (seq % 1_000_000), parts.expires ?? 0, {
    topic: parts.topic ?? 'orders.new', event: parts.event, json: parts.json ?? false, data: typeof data === 'string' ? Buffer.from(data) : data,
  });
}

/** The secret of an epoch, as every instance of a test has it. */
export function secretOf(epoch: string): string {
  return createHash('sha256').update(epoch).digest('hex');
}

let ears = 0;

/** A listener that remembers what it heard. */
export class Ear implements BusListener {
  readonly instance = `instance${++ears}`;
  readonly notes: string[] = [];
  unproved = 0;
  /** The clock of its log. */
  now = Date.now();
  readonly commits: (readonly Message[])[] = [];
  wakes = 0;
  /** Called at every commit that was heard. */
  heard: () => void = () => undefined;

  get messages(): readonly Message[] {
    return this.commits.flat();
  }

  get seqs(): readonly number[] {
    return this.messages.map(({ seq }) => seq);
  }

  receive(messages: ReceivedMessages): void {
    this.commits.push([...messages]);
    this.heard();
  }

  wake(): void {
    this.wakes += 1;
  }

  told(note: string): void {
    this.notes.push(note);
  }

  toldUnproved(): void {
    this.unproved += 1;
  }

  sealing(): { readonly epoch: string; readonly now: number } {
    return { epoch: EPOCH, now: this.now };
  }

  secretOf(epoch: string): string | undefined {
    return secretOf(epoch);
  }

  async hears(seq: number): Promise<void> {
    await until(`number ${seq} was heard`, () => this.messages.some((one) => one.seq === seq));
  }
}

/** What must arrive of a message. */
export function content(messages: readonly Message[]): object[] {
  return messages.map(({ epoch, seq, time, expires, topic, event, json, data }) => ({ epoch, seq, time, expires, topic, event, json, data: Buffer.from(data).toString('hex') }));
}

export interface BusKind {
  readonly name: string;
  /** A bus of another instance at every call, all with the same channel; the test closes it. */
  readonly make: () => Bus;
  /** Why it does not know who listens, where it does not. */
  readonly uncounted?: string;
  /** Why its instances do not hear each other, where they do not. */
  readonly alone?: string;
}

/** Joins, and waits until the bus carries messages. */
export async function joined(t: Scope, bus: Bus, logId: string): Promise<{ bus: Bus; ear: Ear }> {
  const ear = new Ear();
  t.teardown(() => bus.close());
  bus.join(logId, ear);
  await until('the bus is up', () => bus.state !== 'degraded');
  return { bus, ear };
}

/** What every bus must do: see the comments of `Bus`. */
export function busContract(prepare: (t: Scope) => Promise<BusKind>, options: { readonly skip?: string | false } = {}): void {
  t.test('the contract of a bus', options, async (t) => {
    const { make, alone, uncounted } = await prepare(t);
    const between = { skip: alone ?? false };

    t.test('joining calls nothing on the listener before it returns', async (t) => {
      const bus = make();
      t.teardown(() => bus.close());
      const ear = new Ear();
      bus.join('log-turn', ear);
      t.same([ear.wakes, ear.commits.length], [0, 0]);
    });

    t.test('publishing never throws: before joining, of nothing, after closing', async (t) => {
      const bus = make();
      bus.publish([message(1)]);
      bus.join('log-throw', new Ear());
      bus.publish([message(2)]);
      bus.publish([]);
      await bus.close();
      bus.publish([message(3)]);
      t.pass('it did not');
    });

    t.test('it closes without ever having joined, and twice', async (t) => {
      const bus = make();
      await bus.close();
      await bus.close();
      const other = make();
      other.join('log-close', new Ear());
      await Promise.all([other.close(), other.close()]);
      t.pass('it did');
    });

    t.test('the sender hears nothing of itself', async (t) => {
      const { bus, ear } = await joined(t, make(), 'log-self');
      const other = await joined(t, make(), 'log-self');
      bus.publish([message(1)]);
      if (alone === undefined) {
        // The other one answers after it heard: by then the first would have heard itself too.
        await other.ear.hears(1);
        other.bus.publish([message(2)]);
        await ear.hears(2);
        t.same(ear.seqs, [2]);
      } else {
        await new Promise((resolve) => setImmediate(resolve));
        t.same(ear.seqs, []);
      }
    });

    t.test('others hear each commit once, whole, and in order', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-order');
      const ears = [(await joined(t, make(), 'log-order')).ear, (await joined(t, make(), 'log-order')).ear];
      for (let first = 1; first <= 900; first += 3) bus.publish([message(first), message(first + 1), message(first + 2)]);
      for (const ear of ears) {
        await ear.hears(900);
        t.same(ear.seqs, Array.from({ length: 900 }, (_, index) => index + 1));
        t.ok(ear.commits.every((commit) => commit.length === 3), 'a commit arrives in one piece');
      }
    });

    t.test('every part of a message arrives as it was', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-parts');
      const { ear } = await joined(t, make(), 'log-parts');
      const characters = Buffer.from(String.fromCodePoint(...Array.from({ length: 256 }, (_, index) => index), 0x2028, 0x1f680));
      const sent = [
        message(1, characters),
        message(2, '\0\0\r\n\0', { event: 'zero' }),
        message(3, '', { topic: 'größe.日本.🚀' }),
        message(4, '{"a":12345678901234567890}', { json: true, event: 'order created' }),
        message(5, Buffer.alloc(300_000, 'é\0'), { expires: 1_700_000_000_999 }),
        message(Number.MAX_SAFE_INTEGER, 'x', { topic: 'x'.repeat(255) }),
      ];
      bus.publish(sent);
      await ear.hears(Number.MAX_SAFE_INTEGER);
      t.same(content(ear.messages), content(sent));
    });

    t.test('two logs never hear each other', between, async (t) => {
      const here = await joined(t, make(), 'log-one');
      const alsoHere = await joined(t, make(), 'log-one');
      const there = await joined(t, make(), 'log-two');
      const alsoThere = await joined(t, make(), 'log-two');
      here.bus.publish([message(1)]);
      await alsoHere.ear.hears(1);
      there.bus.publish([message(2)]);
      await alsoThere.ear.hears(2);
      alsoThere.bus.publish([message(3)]);
      await there.ear.hears(3);
      t.same([here.ear.seqs, alsoHere.ear.seqs, there.ear.seqs, alsoThere.ear.seqs], [[], [1], [3], [2]]);
    });

    t.test('a commit too large for it wakes the others instead', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-large');
      const { ear } = await joined(t, make(), 'log-large');
      const wakes = ear.wakes;
      bus.publish([message(1, Buffer.alloc(4 * 1024 * 1024))]);
      await until('the listener was woken', () => ear.wakes > wakes);
      t.same(ear.seqs, []);
    });

    t.test('a commit of many messages arrives whole and in order, in parts if need be', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-divided');
      const { ear } = await joined(t, make(), 'log-divided');
      const { wakes } = ear;
      const sent = Array.from({ length: 2_000 }, (_, index) => message(index + 1, Buffer.alloc(1_500, 'x')));
      bus.publish(sent);
      await ear.hears(2_000);
      t.same(content(ear.messages), content(sent));
      t.equal(ear.wakes, wakes, 'nobody has to look at the log');
    });

    t.test('of a commit with a message that is too large, the others hear the rest, and are woken', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-too-large');
      const { ear } = await joined(t, make(), 'log-too-large');
      const { wakes } = ear;
      bus.publish([message(1), message(2, Buffer.alloc(2 * 1024 * 1024)), message(3)]);
      await ear.hears(3);
      await until('the listener was woken', () => ear.wakes > wakes);
      t.same(ear.seqs.filter((seq) => seq !== 2), [1, 3]);
    });

    t.test('a commit whose sender cannot prove it wakes the others instead', between, async (t) => {
      const { bus, ear: own } = await joined(t, make(), 'log-unproved');
      const { ear } = await joined(t, make(), 'log-unproved');
      own.secretOf = () => undefined;
      const { wakes } = ear;
      bus.publish([message(1)]);
      await until('the listener was woken', () => ear.wakes > wakes);
      t.same(ear.seqs, []);
    });

    t.test('what a listener cannot check wakes it instead', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-unchecked');
      const { ear } = await joined(t, make(), 'log-unchecked');
      for (const other of [undefined, secretOf('another')]) {
        ear.secretOf = () => other;
        const { wakes } = ear;
        bus.publish([message(1)]);
        await until('the listener was woken', () => ear.wakes > wakes);
      }
      t.same(ear.seqs, []);
    });

    t.test('a note reaches the others once, and not its sender; one that cannot be proved, or is beyond its bound, reaches nobody', between, async (t) => {
      const { bus, ear } = await joined(t, make(), 'log-notes');
      const others = [await joined(t, make(), 'log-notes'), await joined(t, make(), 'log-notes')];
      const elsewhere = await joined(t, make(), 'log-notes-of-another');
      const text = '{"größe":"\\u0000"}';
      bus.tell(text);
      bus.tell('x'.repeat(100_000));
      ear.secretOf = () => undefined;
      bus.tell('unproved');
      ear.secretOf = () => secretOf('another');
      bus.tell('forged');
      ear.secretOf = secretOf;
      bus.tell('last');
      for (const other of others) {
        await until('the last one came', () => other.ear.notes.includes('last'));
        t.same(other.ear.notes, [text, 'last']);
        t.same(other.ear.seqs, []);
      }
      others[0]!.ear.secretOf = () => undefined;
      bus.tell('of another epoch');
      await until('it is a reason to look', () => others[0]!.ear.unproved > 0);
      others[0]!.ear.secretOf = secretOf;
      others[0]!.bus.tell('back');
      await until('it came', () => ear.notes.length > 0);
      t.same([ear.notes, elsewhere.ear.notes], [['back'], []]);
    });

    t.test('a note to one instance reaches no other', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-to-one');
      const [one, two] = [await joined(t, make(), 'log-to-one'), await joined(t, make(), 'log-to-one')];
      bus.tell('for one', one.ear.instance);
      bus.tell('for nobody', 'nobody');
      bus.tell('for two', two.ear.instance);
      bus.tell('for all');
      for (const { ear } of [one, two]) await until('the last one came', () => ear.notes.includes('for all'));
      t.same([one.ear.notes, two.ear.notes], [['for one', 'for all'], ['for two', 'for all']]);
    });

    t.test('it says how many listen under the name of the one that a note is for', { skip: alone ?? uncounted ?? false }, async (t) => {
      const { bus } = await joined(t, make(), 'log-listening');
      const one = await joined(t, make(), 'log-listening');
      const said = new Map<string, number>();
      const says = (instance: string, listening: number): Promise<void> => until(`${listening} listen under ${instance}`, () => {
        bus.tell('who listens?', instance, (number) => void said.set(instance, number));
        return said.get(instance) === listening;
      });
      await says(one.ear.instance, 1);
      await says('nobody', 0);
      await one.bus.close();
      await says(one.ear.instance, 0);
    });

    t.test('telling never throws: before joining, and after closing', async (t) => {
      const bus = make();
      bus.tell('before');
      bus.join('log-tell', new Ear());
      bus.tell('while it connects');
      await bus.close();
      bus.tell('after');
      t.pass('it did not');
    });

    t.test('from the call of close on, it hears nothing more', between, async (t) => {
      const { bus } = await joined(t, make(), 'log-closed');
      const { ear } = await joined(t, make(), 'log-closed');
      const gone = await joined(t, make(), 'log-closed');
      // Closed in the middle of what arrives together.
      const closing = Promise.withResolvers<void>();
      gone.ear.heard = () => closing.resolve(gone.bus.close());
      for (let seq = 1; seq <= 100; seq++) bus.publish([message(seq)]);
      await closing.promise;
      await ear.hears(100);
      t.same(gone.ear.seqs, [1]);
    });
  });
}
