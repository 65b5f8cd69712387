import { t } from 'tap';
import { Access, type AccessDependencies } from '../../src/access/access.ts';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { Identity } from '../../src/access/credentials/identity.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import { SessionAdministration } from '../../src/access/credentials/session-administration.ts';
import { makeSession, readSession } from '../../src/access/credentials/session-text.ts';
import { TokenIdentities } from '../../src/access/token-identities.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { KeyRecord } from '../../src/store/contracts/key-store.ts';
import type { NewSession, SessionOrigin, SessionRecord } from '../../src/store/contracts/session-store.ts';
import { hs256, NOW, SECRET, verifier } from '../support/tokens.ts';

/** Sessions as `Access` judges them. */

const KEY = makeApiKey();
const SESSION = makeSession();
const END = NOW + 10_000;

function never(): never {
  throw new Error('It is not opened here.');
}

const KEY_RECORD: KeyRecord = {
  id: KEY.id, name: 'x', permissions: { publish: [], subscribe: ['user.alice.>'], admin: true, operate: false }, secrets: [{ digest: KEY.digest, expires: undefined }], created: 0, expires: undefined, revoked: undefined, lastUsed: undefined,
};

interface World {
  readonly origin?: SessionOrigin;
  readonly key?: Partial<KeyRecord> | undefined;
  readonly tokens?: AccessDependencies['tokens'];
  readonly later?: 'answers' | 'fails';
  readonly now?: number;
  /** The subject whose tokens were revoked. */
  readonly revoked?: string;
}

function build({ origin = { kind: 'key', id: KEY.id, proof: KEY.digest }, key = {}, tokens, later, now = NOW, revoked }: World = {}): Access {
  const record: SessionRecord = { id: SESSION.id, digest: SESSION.digest, created: NOW, expires: END, origin };
  const answer = <Found>(found: Found): Found | Promise<Found> => later === undefined ? found : later === 'answers' ? Promise.resolve(found) : Promise.reject(new CredentialsUnavailable('away'));
  return new Access({
    settings: { mode: 'on', publicTopics: ['news'], publicPublish: [], needsKeys: false },
    keys: {
      open: never, stop: never, isFresh: later === undefined, refresh: () => answer(undefined) ?? Promise.resolve(), hasEverBeen: true, hasBeenHeardOf: true, now: () => now, noteUse: () => undefined, recall: never, askEverBeen: never,
      find: (id) => answer(id === KEY.id ? { ...KEY_RECORD, ...key } : undefined),
      findAgain: (id) => Promise.resolve(id === KEY.id ? { ...KEY_RECORD, ...key } : undefined),
    },
    declared: new Map(), tokens, revocations: { isRevoked: ({ subject }) => subject === revoked },
    sessions: { open: never, stop: never, find: (id) => answer(id === SESSION.id ? record : undefined) },
    tickets: { find: never },
  });
}

const tokens = new TokenIdentities(verifier({ JWT_SECRET: SECRET }), { publicTopics: ['news'], publicPublish: [] });
const ofToken = (await tokens.identify(hs256()) as Identity).origin!;

t.test('a session is whose its credential is, with its topics and its scope, and names the credential by which it can be revoked', async (t) => {
  for (const later of [undefined, 'answers'] as const) {
    const key = await build({ later }).identify(SESSION.text, 'messages') as Identity;
    t.same([key.scope, key.name, key.credential], [`key:${KEY.id}`, `key ${KEY.id}`, { owner: { kind: 'key', id: KEY.id, secret: KEY.digest.toString('hex').slice(0, 16) }, session: SESSION.id, expires: END }]);
    t.same(['user.alice.x', 'news', '>'].map((topic) => key.grant.mayRead(topic)), [true, true, false]);
    const direct = await tokens.identify(hs256()) as Identity;
    const session = await build({ origin: ofToken, tokens, later }).identify(SESSION.text, 'messages') as Identity;
    t.same([session.scope, session.name, session.credential], [direct.scope, direct.name, { ...direct.credential, session: SESSION.id, expires: END }]);
    t.same(['user.alice.x', 'news', '>'].map((topic) => session.grant.mayRead(topic)), [true, true, false]);
  }
});

t.test('it ends no later than its credential', async (t) => {
  const ends = async (world: World): Promise<number | undefined> => (await build(world).identify(SESSION.text, 'messages') as Identity).credential!.expires;
  t.equal(await ends({ key: { expires: END - 5 } }), END - 5);
  t.equal(await ends({ key: { expires: END + 5 } }), END);
  t.equal(await ends({ key: { secrets: [{ digest: makeApiKey().digest, expires: undefined }, { digest: KEY.digest, expires: END - 7 }] } }), END - 7, 'with the overlap of a rotation');
});

t.test('its streams share a lease, until its key is another', async (t) => {
  const access = build();
  const credential = async (one: Access): Promise<unknown> => (await one.identify(SESSION.text, 'messages') as Identity).credential;
  t.equal(await credential(access), await credential(access));
  const ofTokens = build({ origin: ofToken, tokens });
  t.equal(await credential(ofTokens), await credential(ofTokens));
});

t.test('what a key may do now is what its session may do', async (t) => {
  const { grant } = await build({ key: { permissions: { publish: ['b'], subscribe: [], admin: false, operate: false } } }).identify(SESSION.text, 'messages') as Identity;
  t.same([grant.mayPublish('b'), grant.mayRead('user.alice.x')], [true, false]);
});

const OTHER = makeSession();
const OTHER_SETTINGS: readonly Readonly<Record<string, string>>[] = [{ JWT_SECRET: `${SECRET}!` }, { JWT_SECRET: SECRET, JWT_ISSUER: 'x' }, { JWT_SECRET: SECRET, JWT_AUDIENCE: 'x' }];

const REFUSED: readonly (readonly [name: string, text: string, world: World, why: RegExp])[] = [
  ['another session', OTHER.text, {}, /no such session/],
  ['another secret', `tds_${SESSION.id}_${OTHER.text.slice(-64)}`, {}, /no such session/],
  ['half a session', SESSION.text.slice(0, -1), {}, /malformed session/],
  ['the moment it ends', SESSION.text, { now: END }, /session has expired/],
  ['a revoked key', SESSION.text, { key: { revoked: 5 } }, /was revoked/],
  ['a key that has expired', SESSION.text, { key: { expires: NOW } }, /has expired/],
  ['a key with another secret', SESSION.text, { key: { secrets: [{ digest: makeApiKey().digest, expires: undefined }] } }, /no such API key/],
  ['a key that is not there', SESSION.text, { origin: { kind: 'key', id: 'abcdefghijkl', proof: KEY.digest } }, /no such API key/],
  ['no tokens any more', SESSION.text, { origin: ofToken }, /token that the session was made of is no longer good/],
  ['a token that was revoked', SESSION.text, { origin: ofToken, tokens, revoked: 'alice' }, /the token was revoked/],
  ...OTHER_SETTINGS.map((settings) => [
    `other settings for tokens: ${Object.keys(settings).join()}`, SESSION.text, { origin: ofToken, tokens: new TokenIdentities(verifier(settings), { publicTopics: [], publicPublish: [] }) }, /token that the session was made of is no longer good/,
  ] as const),
];

t.test('a session that is not good is 401', async (t) => {
  for (const [name, text, world, why] of REFUSED) {
    for (const later of [undefined, 'answers'] as const) t.match(await build({ ...world, later }).identify(text, 'messages'), { code: 'invalid-credential', status: 401, message: why }, name);
  }
  t.match(await build({ later: 'fails' }).identify(SESSION.text, 'messages'), { code: 'unavailable' }, 'and one that cannot be looked up is not');
});

t.test('without a cookie that may hold a session there is none', async (t) => {
  const access = new Access({
    settings: { mode: 'on', publicTopics: [], publicPublish: [], needsKeys: false }, declared: new Map(), tokens: undefined, revocations: { isRevoked: never },
    keys: { open: never, stop: never, isFresh: true, refresh: never, hasEverBeen: true, hasBeenHeardOf: true, now: () => NOW, noteUse: never, recall: never, askEverBeen: never, find: never, findAgain: never },
    tickets: { find: never },
  });
  t.match(await access.identify(SESSION.text, 'messages'), { code: 'invalid-credential' });
});

t.test('only the owner of a session makes the database write to end it', async (t) => {
  const stored = new Map([SESSION, OTHER].map(({ id, digest }): [string, SessionRecord] => [id, { id, digest, created: 0, expires: END, origin: { kind: 'key', id: KEY.id, proof: KEY.digest } }]));
  const written: string[] = [];
  let reads = 0;
  let changes = 0;
  const administration = new SessionAdministration({
    ended: { add: () => undefined },
    store: {
      sessionChanges: never, createSession: never,
      findSessions: async (ids) => {
        reads++;
        return ids.flatMap((id) => stored.get(id) ?? []);
      },
      endSession: async ({ id }) => {
        written.push(id);
        const session = stored.get(id);
        stored.delete(id);
        return session;
      },
    },
    logger: { info: () => undefined }, counters: new Counters(), lifetimeMs: 60_000,
    onChange: async () => void changes++,
  });
  for (const texts of [[], ['x', KEY.text], [makeSession().text, makeSession().text], [`tds_${SESSION.id}_${OTHER.text.slice(-64)}`]]) t.notOk(await administration.end(texts, '127.0.0.1'));
  t.same([written, reads, changes], [[], 2, 0], 'one read for all cookies of a request, and none for what is no session');
  t.ok(await administration.end([makeSession().text, SESSION.text], '127.0.0.1'));
  t.ok(await administration.end([OTHER.text, OTHER.text], '127.0.0.1'));
  t.same([[...new Set(written)], changes], [[SESSION.id, OTHER.id], 2]);
});

t.test('a session is stored with its credential\'s end; where the database\'s clock is already past that, nothing is made of it', async (t) => {
  const stored: NewSession[] = [];
  const administration = new SessionAdministration({
    ended: { add: () => undefined },
    store: {
      sessionChanges: never, findSessions: never, endSession: never,
      createSession: async (session) => {
        stored.push(session);
        return { session: { ...session, created: NOW, expires: Math.min(NOW + session.lifetimeMs, session.until ?? Infinity) }, ended: [] };
      },
    },
    logger: { info: () => undefined }, counters: new Counters(), lifetimeMs: 60_000, onChange: never,
  });
  const identity = await tokens.identify(hs256()) as Identity;
  const { session, text } = await administration.make(identity, SESSION.text, '127.0.0.1');
  t.equal(session.expires, NOW + 60_000);
  t.match(stored, [{ until: identity.credential!.expires, origin: { kind: 'subject', subject: 'alice' }, replaces: { id: SESSION.id } }]);
  t.same(readSession(text), { id: stored[0]!.id, digest: stored[0]!.digest });
  const ending = { ...identity, credential: { ...identity.credential!, expires: NOW } };
  await t.rejects(administration.make(ending, undefined, '127.0.0.1'), { code: 'invalid-credential', status: 401 });
});
