import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { LevelTooLow, UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import {
  CREDENTIAL_MAX_SESSIONS, DELETE_MAX_SESSIONS, ENDED_MAX_SESSIONS, FIND_MAX_SESSIONS, MAX_SESSIONS, SESSIONS_LEVEL, type NewSession, type SessionKey, type SessionOrigin, type SessionRecord, type SessionStore,
} from '../../src/store/contracts/session-store.ts';
import type { Store } from '../../src/store/store.ts';
import { rounds } from '../support/rounds.ts';
import type { Scope } from '../support/temp.ts';
import { hex, sha256 } from './key-store-kit.ts';
import { draft, failure, range, request, type TestDatabase } from './store-kit.ts';

/** What the contract of sessions needs of an implementation: databases to run it on. */
export type SessionDatabaseFactory = (t: Scope) => Promise<SessionDatabase>;

/** An empty database that goes away with the test. */
export interface SessionDatabase extends TestDatabase {
  store(): Store & { readonly sessions: SessionStore };
  /** Adds sessions past the store, each of a subject of its own. They are called `filled` and a number of six digits; they expire in that order, a millisecond apart, the last after an hour. */
  fillSessions(count: number): Promise<void>;
  /** Makes every session so many milliseconds older. */
  ageSessions(milliseconds: number): Promise<void>;
  /** How many there are, counted and as the database keeps count. */
  countSessions(): Promise<number>;
  /** Adds ends past the store, each with the next version. */
  fillEnds(count: number): Promise<void>;
  countEnds(): Promise<number>;
  setLevel(level: number): Promise<void>;
}

/** The origin of a session that is filled in. */
export const FILLED_ORIGIN = JSON.stringify({ kind: 'key', id: 'filled', proof: '00'.repeat(32) });

const HOUR = 3_600_000;
const ROUNDS = rounds(5, 100, 2);

const KEY: SessionOrigin = { kind: 'key', id: 'k3f9x2ab7cde', proof: sha256('the key') };

function token(subject: string): SessionOrigin {
  return { kind: 'subject', subject, tokenId: undefined, issuedAt: 5, permissions: { publish: [], subscribe: ['a'], admin: false, operate: false }, proof: sha256('what checks tokens') };
}

export function newSession(id: string, parts: Partial<NewSession> = {}): NewSession {
  return { id, digest: sha256(randomUUID()), origin: KEY, lifetimeMs: HOUR, until: undefined, replaces: undefined, ...parts };
}

/** Each method, as a call that can be made again. */
function everySessionCall(sessions: SessionStore): (() => Promise<unknown>)[] {
  return [() => sessions.sessionChanges(0), () => sessions.findSessions(['a']), () => sessions.createSession(newSession('b')), () => sessions.endSession(newSession('a'))];
}

async function open(t: Scope, database: SessionDatabase): Promise<ReturnType<SessionDatabase['store']>> {
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  return store;
}

function comparable({ digest, origin, ...rest }: SessionRecord): object {
  return { ...rest, digest: hex(digest), origin: { ...origin, proof: hex(origin.proof) } };
}

async function idsOf(sessions: SessionStore, ...ids: readonly string[]): Promise<string[]> {
  return (await sessions.findSessions(ids)).map(({ id }) => id).sort();
}

/** What every store of sessions must do: see the comments of `SessionStore`. */
export function sessionStoreContract(t: Test, name: string, factory: SessionDatabaseFactory): void {
  t.test(`${name}: sessions`, async (t) => {
    const database = await factory(t);
    const { sessions } = await open(t, database);
    const { sessions: other } = await open(t, database);

    await t.test('an empty database has no session, and no version', async (t) => {
      t.match(await sessions.sessionChanges(0), { version: 0, changed: [], now: Number });
      t.same(await sessions.findSessions(['none']), []);
      t.same(await sessions.findSessions([]), []);
      t.equal(await sessions.endSession(newSession('none')), undefined);
      t.equal((await sessions.sessionChanges(0)).version, 0);
    });

    await t.test('every part of a session comes back as it was, from every instance, and making it takes no version', async (t) => {
      const odd = `'; DROP TABLE sessions; -- "\\ 日本.* > 100%`;
      const origins: readonly SessionOrigin[] = [
        KEY, token('alice'),
        { kind: 'subject', subject: 'alice', tokenId: undefined, issuedAt: 5, proof: KEY.proof, permissions: { publish: [], subscribe: ['a'], presence: ['room.>'], admin: false, operate: false }, meta: '{"n":12345678901234567890,"日":"\'\\\\"}' },
        { kind: 'subject', subject: odd, tokenId: odd, issuedAt: 1_800_000_000_000, permissions: { publish: [odd], subscribe: range(1, 100).map((index) => `${'x'.repeat(100)}.${index}`), admin: true, operate: false }, proof: Uint8Array.from({ length: 32 }, (_, index) => index * 8) },
      ];
      for (const [index, origin] of origins.entries()) {
        const made = newSession(`whole${index}`, { origin, digest: Buffer.alloc(64, 'x\xff\0').subarray(3, 35) });
        const { session, ended } = await sessions.createSession(made);
        t.same(ended, []);
        t.equal(session.expires, session.created + HOUR);
        t.same(comparable(session), comparable({ ...session, id: made.id, digest: made.digest, origin }));
        const [found] = await other.findSessions([made.id]);
        t.same(comparable(found!), comparable(session));
      }
      t.match(await other.sessionChanges(0), { version: 0, changed: [] });
    });

    await t.test('a session ends with its credential, if that is sooner', async (t) => {
      const { now } = await sessions.sessionChanges(0);
      t.equal((await sessions.createSession(newSession('sooner', { until: now + 5_000 }))).session.expires, now + 5_000);
      const { created, expires } = (await sessions.createSession(newSession('later', { until: now + 2 * HOUR, lifetimeMs: 5_000 }))).session;
      t.equal(expires, created + 5_000);
    });

    await t.test('only who knows the secret ends a session; each end takes the next version, and is told once, in order', async (t) => {
      const made = ['c', 'a', 'b'].map((id) => newSession(id));
      for (const session of made) await sessions.createSession(session);
      t.equal(await other.endSession({ id: 'a', digest: sha256('guessed') }), undefined);
      t.match(await sessions.sessionChanges(0), { version: 0 });
      t.match(await other.endSession(made[0]!), { id: 'c', origin: { kind: 'key', id: KEY.kind === 'key' ? KEY.id : '' } });
      t.match(await sessions.endSession(made[1]!), { id: 'a' });
      t.equal(await other.endSession(made[1]!), undefined, 'again, there is nothing to end');
      t.same(await idsOf(other, 'a', 'b', 'c'), ['b']);
      t.match(await sessions.sessionChanges(0), { version: 2, changed: ['c', 'a'] });
      t.match(await other.sessionChanges(1), { version: 2, changed: ['a'] });
      t.match(await sessions.sessionChanges(2), { version: 2, changed: [] });
      t.match(await sessions.sessionChanges(3), { version: 2, changed: undefined }, 'a version that is not there yet');
    });

    await t.test('a session replaces the one before it, for who knows its secret', async (t) => {
      const [first, second, third] = ['first', 'second', 'third'].map((id) => newSession(id)) as [NewSession, NewSession, NewSession];
      await sessions.createSession(first);
      t.same((await sessions.createSession({ ...second, replaces: first })).ended, ['first']);
      t.same((await other.createSession({ ...third, replaces: { id: 'second', digest: sha256('guessed') } })).ended, []);
      t.same(await idsOf(sessions, 'first', 'second', 'third'), ['second', 'third']);
      t.match((await sessions.sessionChanges(2)).changed, ['first']);
    });

    await t.test('a creation that is asked for again happens once; another with its id is refused', async (t) => {
      const session = newSession('taken');
      const { session: made } = await sessions.createSession(session);
      const count = await database.countSessions();
      t.same(comparable((await other.createSession(session)).session), comparable(made));
      t.equal(await failure(other.createSession(newSession('taken'))), 'refused');
      t.equal(await database.countSessions(), count);
    });

    await t.test('sessions begin no epoch, and take no number', async (t) => {
      const store = await open(t, database);
      const before = await store.append([request(draft('a'))]);
      const session = newSession('beside');
      await sessions.createSession(session);
      await sessions.endSession(session);
      const after = await store.append([request(draft('a'))]);
      t.equal(after.log.head, before.log.head + 1);
      t.same(after.log.lineage.epochs, before.log.lineage.epochs);
    });

    await t.test('values beyond a bound, or no numbers, are refused', async (t) => {
      const [count, { version }] = [await database.countSessions(), await sessions.sessionChanges(0)];
      const wrong: readonly (() => Promise<unknown>)[] = [
        () => sessions.findSessions(range(0, FIND_MAX_SESSIONS).map(String)),
        ...[-1, 0.5, NaN, Infinity].map((after) => () => sessions.sessionChanges(after)),
        ...[0, -1, 0.5, NaN, Infinity].map((lifetimeMs) => () => sessions.createSession(newSession('odd', { lifetimeMs }))),
        ...[-1, 0.5, NaN, Infinity].map((until) => () => sessions.createSession(newSession('odd', { until }))),
        ...[0, 31, 33].flatMap((bytes) => {
          const digest = new Uint8Array(bytes);
          return [
            () => sessions.createSession(newSession('odd', { digest })), () => sessions.createSession(newSession('odd', { origin: { ...KEY, proof: digest } })),
            () => sessions.createSession(newSession('odd', { replaces: { id: 'a', digest } })), () => sessions.endSession({ id: 'b', digest }),
          ];
        }),
      ];
      for (const call of wrong) t.equal(await failure(call()), 'refused', String(call));
      t.same([await database.countSessions(), (await sessions.sessionChanges(0)).version], [count, version]);
    });

    await t.test('below their level there are no sessions, and nothing is stored', async (t) => {
      const count = await database.countSessions();
      await database.setLevel(SESSIONS_LEVEL - 1);
      await t.rejects(sessions.createSession(newSession('early')), LevelTooLow);
      await t.rejects(other.createSession(newSession('early')), { message: /the log is at level 1, and this needs level 2.*--raise-level/ });
      await database.setLevel(UNDERSTOOD_LEVEL + 1);
      for (const call of everySessionCall(sessions)) t.equal(await failure(call()), 'unavailable', 'nor above what this program understands');
      await database.setLevel(UNDERSTOOD_LEVEL);
      t.equal(await database.countSessions(), count);
      t.match(await sessions.createSession(newSession('early')), { session: { id: 'early' } });
    });

    await t.test('of two changes at once, on two instances, both happen, and a follower of the versions sees each', async (t) => {
      for (const round of range(1, ROUNDS)) {
        const { version } = await sessions.sessionChanges(0);
        const old = newSession(`old${round}`);
        await sessions.createSession(old);
        const [one, two] = await Promise.all([sessions.createSession(newSession(`one${round}`, { replaces: old })), other.createSession(newSession(`two${round}`, { replaces: old }))]);
        t.same([...one.ended, ...two.ended], [old.id], 'it is ended once');
        const ends = await Promise.all([sessions.endSession(one.session), other.endSession(one.session), other.endSession(two.session)]);
        t.equal(ends.filter((ended) => ended !== undefined).length, 2);
        const { changed } = await other.sessionChanges(version);
        t.equal(changed?.[0], old.id);
        t.same([...changed ?? []].sort(), [`old${round}`, `one${round}`, `two${round}`]);
      }
    });
  });

  t.test(`${name}: bounds of sessions`, async (t) => {
    const database = await factory(t);
    const store = await open(t, database);
    const { sessions } = store;

    await t.test('a credential keeps a limited number, and the oldest ends', async (t) => {
      const made: SessionKey[] = [];
      for (const index of range(1, CREDENTIAL_MAX_SESSIONS + 2)) {
        const session = newSession(`many${String(index).padStart(3, '0')}`, { origin: token('alice') });
        // Those of one millisecond have no order.
        await database.ageSessions(1);
        const { ended } = await sessions.createSession(session);
        t.same(ended, index <= CREDENTIAL_MAX_SESSIONS ? [] : [made[index - CREDENTIAL_MAX_SESSIONS - 1]!.id]);
        made.push(session);
      }
      t.match(await sessions.createSession(newSession('bob', { origin: token('bob') })), { ended: [] }, 'another\'s are others');
      t.match(await sessions.createSession(newSession('key', { origin: KEY })), { ended: [] });
      t.equal(await database.countSessions(), CREDENTIAL_MAX_SESSIONS + 2);
    });

    await t.test('expired sessions are deleted in small batches, by a clock that is believed', async (t) => {
      await store.append([request(draft('a'))]);
      await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 });
      const count = await database.countSessions();
      await database.clockJumped(48 * HOUR);
      await database.ageSessions(48 * HOUR);
      await sessions.createSession(newSession('while it is not believed'));
      t.equal(await database.countSessions(), count + 1);
      await database.clockJumped(-48 * HOUR);
      await sessions.createSession(newSession('believed', { lifetimeMs: 100 * HOUR }));
      t.equal(await database.countSessions(), count + 2 - DELETE_MAX_SESSIONS);
      await sessions.createSession(newSession('again', { lifetimeMs: 100 * HOUR }));
      t.equal(await database.countSessions(), 3, 'only those that have not');
      t.match(await sessions.sessionChanges(2), { version: 2, changed: [] }, 'that takes no version');
    });

    await t.test('a full table ends the sessions that expire next', async (t) => {
      await database.fillSessions(MAX_SESSIONS - await database.countSessions());
      const { ended } = await sessions.createSession(newSession('last', { lifetimeMs: 100 * HOUR }));
      t.same(ended, ['filled000001']);
      t.same((await sessions.createSession(newSession('short', { origin: token('short'), lifetimeMs: 60_000 }))).ended, ['filled000002'], 'never the new one');
      t.equal(await database.countSessions(), MAX_SESSIONS);
      t.same(await idsOf(sessions, 'last', 'short', 'filled000001', 'filled000003'), ['filled000003', 'last', 'short']);
    });

    await t.test('who is too far behind is told that any may have ended', async (t) => {
      const { version } = await sessions.sessionChanges(0);
      await database.fillEnds(ENDED_MAX_SESSIONS);
      const session = newSession('one more');
      await sessions.createSession(session);
      await sessions.endSession(session);
      const { version: newest, changed } = await sessions.sessionChanges(version);
      t.same([newest - version, changed], [ENDED_MAX_SESSIONS + 2, undefined], 'one made room, and one was ended');
      t.equal((await sessions.sessionChanges(newest - ENDED_MAX_SESSIONS - 1)).changed, undefined);
      const last = (await sessions.sessionChanges(newest - ENDED_MAX_SESSIONS)).changed;
      t.equal(last?.length, ENDED_MAX_SESSIONS);
      t.equal(last?.at(-1), 'one more');
      t.ok(await database.countEnds() <= ENDED_MAX_SESSIONS + 1, 'older ones are forgotten');
    });
  });

  t.test(`${name}: sessions of a restored copy, and of a store that is not open`, async (t) => {
    const database = await factory(t);
    const run = async <Result>(work: (sessions: SessionStore) => Promise<Result>): Promise<Result> => {
      const store = database.store();
      for (const call of everySessionCall(store.sessions)) t.equal(await failure(call()), 'unavailable');
      await store.open();
      try {
        return await work(store.sessions);
      } finally {
        await store.close();
        for (const call of everySessionCall(store.sessions)) t.equal(await failure(call()), 'unavailable');
      }
    };
    const kept = newSession('kept');
    await run((sessions) => sessions.createSession(kept));
    const restore = await database.backup();
    const seen = await run(async (sessions) => {
      await sessions.endSession(kept);
      return (await sessions.sessionChanges(0)).version;
    });
    await restore();
    t.match(await run((sessions) => sessions.sessionChanges(seen)), { version: 0, changed: undefined }, 'any may have changed');
    t.same(await run((sessions) => idsOf(sessions, 'kept')), ['kept']);
  });
}
