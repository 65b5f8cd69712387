import t from 'tap';
import type { Credential, Identity } from '../../src/access/credentials/identity.ts';
import { Lease, type CutReason, type LeaseUser, type Lessee } from '../../src/access/leases/lease.ts';
import { OwnedStreams } from '../../src/access/leases/owned-streams.ts';
import { Renewals, type Renewable } from '../../src/access/leases/renewals.ts';
import { StreamHandles } from '../../src/access/leases/stream-handles.ts';
import { TicketHold } from '../../src/access/leases/ticket-hold.ts';
import type { NoteHandler } from '../../src/bus/control-channel.ts';
import { ScopedGrant } from '../../src/model/grant.ts';
import type { Problem } from '../../src/model/problem.ts';
import { Filter } from '../../src/model/topic.ts';
import type { SessionOrigin } from '../../src/store/contracts/session-store.ts';
import type { TicketRenewal } from '../../src/store/contracts/ticket-store.ts';

class TestStream implements Renewable {
  readonly filter: Filter;
  lease: Lease | undefined;
  readonly ticket: TicketHold | undefined;

  constructor(topics: readonly string[], credential: Credential, ticket?: TicketHold) {
    this.ticket = ticket;
    this.filter = new Filter([...topics]);
    this.lease = new Lease({ credential, grant: new ScopedGrant({ publish: [], subscribe: [] }), name: 'x' });
    this.lease.add(this);
  }

  warn(_secondsLeft: number): void {
    // Nothing here ends by itself.
  }

  cut(_reason: CutReason): void {
    throw new Error('Nothing is cut here.');
  }
}

/** How many streams began: their numbers. */
let opened = 0;

/** Instances whose questions reach the others as JSON, as over the bus. */
function fleet(count: number, unanswered: () => unknown = () => undefined) {
  const renewed: TicketRenewal[] = [];
  const handlers: NoteHandler[] = [];
  const sent: string[] = [];
  const revoked = new Set<Credential['expires']>();
  const database = { hasTicket: true };
  const instances = Array.from({ length: count }, (_, self) => {
    const handles = new StreamHandles();
    const owned = new OwnedStreams<Renewable>(handles);
    const renewals = new Renewals({
    leases: {
      mayHold: ({ credential }: Lessee) => !revoked.has(credential?.expires),
      hold: (lessee: Lessee, holder: LeaseUser) => {
        const lease = new Lease(lessee);
        lease.add(holder);
        return lease;
      },
      release: (lease: Lease, holder: LeaseUser) => lease.delete(holder),
    },
    control: {
      answer: (_kind, handler) => void (handlers[self] = handler),
      ask: async (_kind, body) => {
        const text = JSON.stringify(body);
        sent.push(text);
        return handlers.filter((_handler, index) => index !== self).map((handler) => handler(JSON.parse(text))).find((answer) => answer !== undefined) ?? unanswered();
      },
    },
    tickets: {
      renewTicket: async (renewal) => {
        renewed.push(renewal);
        return database.hasTicket;
      },
    },
    handles,
    owned,
  });
    return Object.assign(renewals, { add: (number: number, stream: Renewable) => owned.add(number, stream), delete: (number: number) => owned.delete(number) });
  });
  return { instances, handlers, sent, revoked, renewed, database };
}

/** What the credentials were made of: it is stored with a ticket, and goes to no other instance. */
const ORIGIN: SessionOrigin = { kind: 'key', id: 'k', proof: new Uint8Array(32).fill(7) };
const subject = (name: string, expires: number): Credential => ({ owner: { kind: 'subject', subject: name, tokenId: 'id', issuedAt: 1 }, expires });
const apiKey = (id: string, secret: string): Credential => ({ owner: { kind: 'key', id, secret }, expires: undefined });
const identity = (credential: Credential, subscribe: readonly string[]): Identity => ({ grant: new ScopedGrant({ publish: [], subscribe }), mayAdminister: false, mayOperate: false, scope: '', name: 'x', credential, origin: ORIGIN });

t.test('a stream goes on by a new credential of its owner, here and on another instance, and is left by the one before', async (t) => {
  const { instances: [here, there], sent } = fleet(2);
  for (const [asked, first, second, expires] of [
    [here, subject('alice', 10), subject('alice', 20), 20], [there, subject('alice', 10), subject('alice', 30), 30], [there, apiKey('k', 'old'), apiKey('k', 'new'), undefined],
    [there, { ...apiKey('k', 'old'), session: 'one' }, { ...apiKey('k', 'old'), session: 'two' }, undefined],
  ] as const) {
    const stream = new TestStream(['a', 'b.*'], first);
    const before = stream.lease!;
    const { id, secret } = here!.add(++opened, stream);
    t.equal(await asked!.renew(id, secret, identity(second, ['a', 'b.>'])), expires);
    t.match(stream.lease!.credential, { owner: second.owner, session: second.session });
    t.equal(stream.lease!.has(stream), true);
    t.equal(before.has(stream), false);
    t.equal(sent.some((note) => note.includes(secret)), false, 'the secret does not travel');
  }
});

t.test('the ticket of a stream is renewed with it, wherever the stream is, and only where it was renewed', async (t) => {
  const { instances: [here, there], sent, renewed } = fleet(2);
  for (const [asked, generation] of [[here!, 5], [there!, 6]] as const) {
    const stream = new TestStream(['a'], subject('alice', 10), new TicketHold({ id: 'ticket', generation, showsPosition: true, kept: 0 }));
    const { id, secret } = here!.add(++opened, stream);
    t.equal(await asked.renew(id, secret, identity({ ...subject('alice', 20), session: 'one' }, ['a'])), 20);
    t.same(renewed.splice(0), [{ id: 'ticket', generation, origin: ORIGIN, session: 'one', until: 20 }]);
    await t.rejects(asked.renew(id, secret, identity(subject('bob', 20), ['a'])), { code: 'forbidden' });
    await t.rejects(asked.renew(id, secret, identity(subject('alice', 30), ['b'])), { code: 'forbidden' });
    t.same(renewed, []);
  }
  t.notOk(sent.some((text) => text.includes('proof') && text.includes('7,7')), 'what can be shown again goes to no other instance');
});

t.test('where its ticket was used again, or is gone, nobody is told that it was renewed', async (t) => {
  const { instances: [here, there], renewed, database } = fleet(2);
  const hold = new TicketHold({ id: 'ticket', generation: 5, showsPosition: true, kept: 0 });
  const stream = new TestStream(['a'], subject('alice', 10), hold);
  const { id, secret } = here!.add(++opened, stream);
  const renew = (asked: Renewals): Promise<unknown> => asked.renew(id, secret, identity(subject('alice', 20), ['a']));
  database.hasTicket = false;
  for (const asked of [here!, there!]) await t.rejects(renew(asked), { code: 'not-found', message: /ticket/ }, 'the database says so');
  renewed.length = 0;
  const before = stream.lease;
  hold.lose();
  for (const asked of [here!, there!]) await t.rejects(renew(asked), { code: 'not-found', message: /ticket/ }, 'its stream is about to end');
  t.equal(stream.lease, before);
  t.same(renewed, []);
});

t.test('it does not by one of another owner, or that does not allow all that it reads, or has ended; nor without its secret', async (t) => {
  const { instances: [here, there], revoked } = fleet(2);
  revoked.add(99);
  const stream = new TestStream(['a', 'b'], subject('alice', 10));
  const key = new TestStream(['a'], apiKey('k', 's'));
  const [handle, other] = [here!.add(++opened, stream), here!.add(++opened, key)];
  const all = ['a', 'b'];
  for (const asked of [here!, there!]) {
    const { id, secret } = handle;
    await t.rejects(asked.renew(id, secret, identity(subject('bob', 20), all)), { code: 'forbidden' });
    await t.rejects(asked.renew(id, secret, identity(apiKey('alice', 's'), all)), { code: 'forbidden' });
    await t.rejects(asked.renew(other.id, other.secret, identity(apiKey('l', 's'), all)), { code: 'forbidden' });
    await t.rejects(asked.renew(other.id, other.secret, identity(subject('k', 20), all)), { code: 'forbidden' });
    await t.rejects(asked.renew(id, secret, identity(subject('alice', 20), ['a'])), { code: 'forbidden', message: /may not read b/ });
    await t.rejects(asked.renew(id, secret, identity(subject('alice', 99), all)), { code: 'invalid-credential' });
    await t.rejects(asked.renew(id, other.secret, identity(subject('alice', 20), all)), { code: 'not-found' });
    await t.rejects(asked.renew('x', secret, identity(subject('alice', 20), all)), { code: 'not-found' });
    await t.rejects(asked.renew(`zzzzzzzzzz${id.slice(10)}`, secret, identity(subject('alice', 20), all)), { code: 'stream-elsewhere', status: 409 });
  }
  t.same([stream.lease!.credential, key.lease!.credential], [subject('alice', 10), apiKey('k', 's')], 'nothing has changed');
  stream.lease!.isOver = true;
  await t.rejects(here!.renew(handle.id, handle.secret, identity(subject('alice', 20), all)), { code: 'not-found' }, 'it is being cut');
  here!.delete(opened);
  await t.rejects(here!.renew(other.id, other.secret, identity(apiKey('k', 'new'), all)), { code: 'not-found' }, 'it has closed');
});

t.test('renewals of one sender that wait for other instances are bounded; those of others, and of streams here, are not', async (t) => {
  const answers: (() => void)[] = [];
  const { instances: [here] } = fleet(1, () => new Promise((resolve) => answers.push(() => resolve(undefined))));
  const asker = (name: string): Identity => ({ ...identity(subject(name, 20), ['a']), scope: `sub:${name}` });
  const elsewhere = (name: string): Promise<unknown> => here!.renew('zzzzzzzzzz-1', 'x', asker(name)).catch(({ code }: Problem) => code);
  const waiting = Array.from({ length: 100 }, () => elsewhere('mallory'));
  t.equal(await elsewhere('mallory'), 'overloaded');
  const other = elsewhere('alice');
  const stream = new TestStream(['a'], subject('mallory', 10));
  const { id, secret } = here!.add(++opened, stream);
  t.equal(await here!.renew(id, secret, asker('mallory')), 20);
  for (const answer of answers) answer();
  t.same(new Set(await Promise.all([...waiting, other])), new Set(['stream-elsewhere']));
  const next = elsewhere('mallory');
  answers.at(-1)!();
  t.equal(await next, 'stream-elsewhere');
});

t.test('a note that holds no claims is not answered', async (t) => {
  const { instances: [here], handlers: [handler] } = fleet(2);
  const stream = new TestStream(['a'], subject('alice', 10));
  const { id } = here!.add(++opened, stream);
  const good = { stream: id, proof: '00', credential: subject('alice', 20), subscribe: ['a'], name: 'x' };
  t.match(handler!(good), { code: 'not-found' });
  const wrong = [
    undefined, null, 7, [], {}, { ...good, stream: 7 }, { ...good, proof: null }, { ...good, credential: undefined }, { ...good, credential: { owner: null } }, { ...good, subscribe: 'a' }, { ...good, subscribe: [7] }, { ...good, name: 7 },
    { ...good, credential: { owner: { kind: 'session', id: 'x' } } }, { ...good, credential: { owner: { kind: 'key', id: 'x' } } }, { ...good, credential: { ...good.credential, expires: 'never' } }, { ...good, credential: { ...good.credential, session: 7 } },
  ];
  for (const body of wrong) t.equal(handler!(body), undefined, JSON.stringify(body));
});
