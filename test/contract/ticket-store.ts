import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { NEVER_MS } from '../../src/store/rows/key-rows.ts';
import { LevelTooLow, UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import type { SessionOrigin } from '../../src/store/contracts/session-store.ts';
import type { Store } from '../../src/store/store.ts';
import {
  CALL_MAX_TICKETS, DELETE_MAX_TICKETS, FIRST_USE_MS, KEPT_ENDED_TICKETS_MS, MAX_TICKETS, OWNER_MAX_TICKETS, RETURN_MS, TICKETS_LEVEL, type NewTicket, type TicketRecord, type TicketStore, type TicketUse,
} from '../../src/store/contracts/ticket-store.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { whileItLives } from '../support/while-it-lives.ts';
import { hex, sha256 } from './key-store-kit.ts';
import { failure, range, type TestDatabase } from './store-kit.ts';

/** What the contract of tickets needs of an implementation: databases to run it on. */
export type TicketDatabaseFactory = (t: Scope) => Promise<TicketDatabase>;

/** An empty database that goes away with the test. */
export interface TicketDatabase extends TestDatabase {
  store(): Store & { readonly tickets: TicketStore };
  /** Adds tickets past the store, which were used, and can be for an hour. */
  fillTickets(count: number, owner: string): Promise<void>;
  /** Makes every ticket so many milliseconds older. */
  ageTickets(milliseconds: number): Promise<void>;
  /** How many there are, counted and as the database keeps count. */
  countTickets(): Promise<number>;
  /** Makes the database believe that there are so many. */
  countTicketsAs(held: number): Promise<void>;
  setLevel(level: number): Promise<void>;
}

/** Two instances race for one ticket in so many rounds. */
const ROUNDS = rounds(20, 1000, 5);

const KEY: SessionOrigin = { kind: 'key', id: 'k3f9x2ab7cde', proof: sha256('the key') };

export function newTicket(id: string, parts: Partial<NewTicket> = {}): NewTicket {
  return { id, digest: sha256(randomUUID()), origin: KEY, session: undefined, until: undefined, topics: ['a', 'b.>'], ...parts };
}

function use({ id, digest }: NewTicket, hasPosition = true): TicketUse {
  return { id, digest, hasPosition };
}

function comparable({ digest, origin, ...rest }: TicketRecord): object {
  return { ...rest, digest: hex(digest), origin: { ...origin, proof: hex(origin.proof) } };
}

async function open(t: Scope, database: TicketDatabase): Promise<ReturnType<TicketDatabase['store']>> {
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  return store;
}

/** What every store of tickets must do: see the comments of `TicketStore`. */
export function ticketStoreContract(t: Test, name: string, factory: TicketDatabaseFactory): void {
  t.test(`${name}: tickets`, async (t) => {
    const database = await factory(t);
    const { tickets } = await open(t, database);
    const { tickets: other } = await open(t, database);
    const find = async (id: string): Promise<TicketRecord | undefined> => (await tickets.findTickets([id]))[0];

    await t.test('an empty database has no ticket, and no use', async (t) => {
      t.same(await tickets.findTickets(['none']), []);
      t.same(await tickets.findTickets([]), []);
      t.same(await tickets.useTickets([]), []);
      t.same(await tickets.useTickets([use(newTicket('none'))]), [undefined]);
      await tickets.keepTickets([{ id: 'none', generation: 1, isGuarded: true }]);
      t.equal(await tickets.renewTicket({ id: 'none', generation: 1, origin: KEY, session: undefined, until: undefined }), false);
      t.same(await tickets.ticketUses(0), { newest: 0, uses: [] });
    });

    await t.test('every part of a ticket comes back unchanged on every instance; it waits for its first use, until its credential ends', async (t) => {
      const odd = `'; DROP TABLE tickets; -- "\\ 日本.* > 100%`;
      const subject: SessionOrigin = { kind: 'subject', subject: odd, tokenId: odd, issuedAt: 5, permissions: { publish: [], subscribe: [odd], admin: false, operate: false }, proof: Uint8Array.from({ length: 32 }, (_, index) => 255 - index) };
      const before = Date.now();
      for (const [index, parts] of [{}, { origin: subject, session: 'the session', topics: range(1, 100).map((topic) => `${'日'.repeat(80)}.${topic}`), until: 8_000_000_000_000 }, { until: Date.now() + 10_000 }].entries()) {
        const made = newTicket(`whole${index}`, { digest: Buffer.alloc(64, 'x\xff\0').subarray(3, 35), ...parts });
        const ticket = await tickets.createTicket(made);
        t.same(comparable((await other.findTickets([made.id]))[0]!), comparable(ticket!));
        t.same(comparable(ticket!), comparable({ ...made, generation: 0, ends: ticket!.ends, isGuarded: false }));
        if ((made.until ?? NEVER_MS) > before + FIRST_USE_MS) t.ok(ticket!.ends >= before + FIRST_USE_MS && ticket!.ends <= Date.now() + FIRST_USE_MS);
        else t.equal(ticket!.ends, made.until);
      }
    });

    await t.test('creating it again with the same secret creates it once; with another secret it is refused', async (t) => {
      const made = newTicket('again');
      const ticket = await tickets.createTicket(made);
      t.same(comparable((await other.createTicket(made))!), comparable(ticket!));
      t.equal(await failure(other.createTicket({ ...made, digest: sha256('another') })), 'refused');
      await t.rejects(other.createTicket({ ...made, digest: sha256('another') }), { message: 'another ticket has this id' });
    });

    await t.test('each use takes the next generation of all, in order, and says which it took the ticket from; a guessed secret takes none', async (t) => {
      const [a, b] = [newTicket('used a'), newTicket('used b')];
      for (const ticket of [a, b]) await tickets.createTicket(ticket);
      const { newest } = await tickets.ticketUses(0);
      t.same(await tickets.useTickets([use(b), { ...use(a), digest: sha256('guessed') }]), [{ generation: newest + 1, before: 0 }, undefined]);
      t.same(await other.useTickets([use(a), use(b)]), [{ generation: newest + 2, before: 0 }, { generation: newest + 3, before: newest + 1 }]);
      t.same(await tickets.ticketUses(newest), { newest: newest + 3, uses: [{ id: 'used a', generation: newest + 2 }, { id: 'used b', generation: newest + 3 }] });
      t.same(await tickets.ticketUses(newest + 2), { newest: newest + 3, uses: [{ id: 'used b', generation: newest + 3 }] });
    });

    await t.test('a ticket that was not used in time, or whose stream was not open for long, cannot be used', async (t) => {
      const [unused, used, kept] = [newTicket('unused'), newTicket('used'), newTicket('kept')];
      for (const ticket of [unused, used, kept]) await tickets.createTicket(ticket);
      const [, taken] = await tickets.useTickets([use(used), use(kept)]);
      await database.ageTickets(FIRST_USE_MS);
      t.match(await tickets.useTickets([use(unused), use(used)]), [undefined, { generation: Number }]);
      await database.ageTickets(RETURN_MS - FIRST_USE_MS);
      await tickets.keepTickets([{ ...kept, generation: taken!.generation, isGuarded: false }]);
      await database.ageTickets(FIRST_USE_MS);
      t.match(await tickets.useTickets([use(unused), use(used), use(kept)]), [undefined, undefined, { generation: Number, before: taken!.generation }]);
    });

    await t.test('a ticket ends with its credential in every state', async (t) => {
      const made = newTicket('short', { until: Date.now() + 60_000 });
      await tickets.createTicket(made);
      const [used] = await tickets.useTickets([use(made)]);
      t.equal((await find('short'))!.ends, made.until);
      await tickets.keepTickets([{ id: 'short', generation: used!.generation, isGuarded: true }]);
      t.equal((await find('short'))!.ends, made.until);
    });

    await t.test('only the latest use keeps, guards and renews a ticket', async (t) => {
      await whileItLives(1, async (seconds) => {
        const made = newTicket(`latest for ${seconds} s`, { until: Date.now() + seconds * 1_000 });
        await tickets.createTicket(made);
        const [first] = await tickets.useTickets([use(made, false)]);
        const [second] = await other.useTickets([use(made, false)]);
        if (first === undefined || second === undefined) return undefined;
        const renewal = { id: made.id, origin: { ...KEY, proof: sha256('new') }, session: 'new', until: Date.now() + 3_600_000 };
        const before = await find(made.id);
        await tickets.keepTickets([{ id: made.id, generation: first.generation, isGuarded: true }]);
        t.equal(await tickets.renewTicket({ ...renewal, generation: first.generation }), false);
        t.same(comparable((await find(made.id))!), comparable(before!));
        if (!await other.renewTicket({ ...renewal, generation: second.generation })) return undefined;
        const after = (await find(made.id))!;
        t.ok(after.ends > made.until! + 60_000);
        t.same(comparable(after), comparable({ ...before!, origin: renewal.origin, session: 'new', until: renewal.until, ends: after.ends }));
        return made;
      });
    });

    await t.test('a guarded ticket takes a position, and stays guarded', async (t) => {
      const made = newTicket('guarded');
      await tickets.createTicket(made);
      const [used] = await tickets.useTickets([use(made, false)]);
      await tickets.keepTickets([{ id: 'guarded', generation: used!.generation, isGuarded: true }]);
      await tickets.keepTickets([{ id: 'guarded', generation: used!.generation, isGuarded: false }]);
      t.same(await other.useTickets([use(made, false)]), [undefined]);
      t.match(await other.useTickets([use(made)]), [{ before: used!.generation }]);
      t.same(await tickets.useTickets([use(made, false)]), [undefined]);
    });

    await t.test('of uses at once on two instances, each has a generation of its own, and all say which they took it from', async (t) => {
      const made = newTicket('raced');
      await tickets.createTicket(made);
      const seen: number[] = [0];
      for (let round = 0; round < ROUNDS; round++) {
        const both = (await Promise.all([tickets.useTickets([use(made)]), other.useTickets([use(made)])])).map(([used]) => used!);
        both.sort((one, another) => one.generation - another.generation);
        t.same(both.map(({ before }) => before), [seen.at(-1), both[0]!.generation]);
        seen.push(...both.map(({ generation }) => generation));
      }
      t.same(seen, [...new Set(seen)].sort((one, another) => one - another));
      t.equal((await find('raced'))!.generation, seen.at(-1));
    });

    await t.test('arguments beyond their bounds are refused', async (t) => {
      const many = range(1, CALL_MAX_TICKETS + 1).map((index) => newTicket(`many${index}`));
      const calls = [
        () => tickets.findTickets(many.map(({ id }) => id)), () => tickets.useTickets(many.map((ticket) => use(ticket))), () => tickets.useTickets([use(many[0]!), use(many[0]!)]),
        () => tickets.useTickets([{ ...use(many[0]!), digest: new Uint8Array(31) }]), () => tickets.keepTickets(many.map(({ id }) => ({ id, generation: 1, isGuarded: true }))),
        () => tickets.keepTickets([{ id: 'a', generation: NaN, isGuarded: true }]), () => tickets.createTicket(newTicket('a', { digest: new Uint8Array(33) })), () => tickets.createTicket(newTicket('a', { until: NaN })),
        () => tickets.ticketUses(-1), () => tickets.renewTicket({ id: 'a', generation: 0.5, origin: KEY, session: undefined, until: undefined }),
      ];
      for (const call of calls) t.equal(await failure(call()), 'refused', String(call));
    });
  });

  t.test(`${name}: the tickets of one owner, and all of them, have a bound; ended ones are deleted, some time later`, async (t) => {
    const database = await factory(t);
    const { tickets } = await open(t, database);
    const key = `key:${KEY.kind === 'key' ? KEY.id : ''}`;
    await database.fillTickets(OWNER_MAX_TICKETS - 1, key);
    t.ok(await tickets.createTicket(newTicket('last')));
    t.equal(await tickets.createTicket(newTicket('surplus')), undefined);
    t.ok(await tickets.createTicket(newTicket('of another', { origin: { ...KEY, id: 'another' } as SessionOrigin })));
    await database.ageTickets(3_600_000);
    t.ok(await tickets.createTicket(newTicket('after')), 'those that have ended do not count');
    t.equal(await database.countTickets(), OWNER_MAX_TICKETS, 'and those that ended just now are still there');
    await database.ageTickets(KEPT_ENDED_TICKETS_MS);
    t.ok(await tickets.createTicket(newTicket('later')));
    t.equal(await database.countTickets(), OWNER_MAX_TICKETS - DELETE_MAX_TICKETS, 'the one before was not used');
    await database.countTicketsAs(MAX_TICKETS + DELETE_MAX_TICKETS);
    t.equal(await tickets.createTicket(newTicket('surplus')), undefined, 'there are too many in all');
  });

  t.test(`${name}: a ticket that ended unused is deleted by the next creation: who makes many keeps few`, async (t) => {
    const database = await factory(t);
    const { tickets } = await open(t, database);
    for (const index of range(1, 3)) await tickets.createTicket(newTicket(`unused${index}`));
    const used = newTicket('used');
    await tickets.createTicket(used);
    await tickets.useTickets([use(used)]);
    await database.ageTickets(RETURN_MS);
    t.ok(await tickets.createTicket(newTicket('next')));
    t.same((await tickets.findTickets(['unused1', 'unused2', 'unused3', 'used', 'next'])).map(({ id }) => id).sort(), ['next', 'used']);
    t.equal(await database.countTickets(), 2);
  });

  t.test(`${name}: in a full table ended tickets make room at once`, async (t) => {
    const database = await factory(t);
    const { tickets } = await open(t, database);
    await database.fillTickets(1, 'key:a');
    await database.countTicketsAs(MAX_TICKETS);
    t.equal(await tickets.createTicket(newTicket('surplus')), undefined, 'none has ended');
    await database.ageTickets(3_600_000);
    t.ok(await tickets.createTicket(newTicket('in its place')));
  });

  t.test(`${name}: below their level there are no tickets`, async (t) => {
    const database = await factory(t);
    const { tickets } = await open(t, database);
    await database.setLevel(TICKETS_LEVEL - 1);
    await t.rejects(tickets.createTicket(newTicket('early')), LevelTooLow);
    t.equal(await database.countTickets(), 0);
    await database.setLevel(UNDERSTOOD_LEVEL);
    t.ok(await tickets.createTicket(newTicket('early')));
  });
}
