import { t } from 'tap';
import { Access, type AccessSettings } from '../../src/access/access.ts';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { Identity } from '../../src/access/credentials/identity.ts';
import { makeSession } from '../../src/access/credentials/session-text.ts';
import { makeTicket } from '../../src/access/tickets/ticket-text.ts';
import { TokenIdentities } from '../../src/access/token-identities.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import type { Problem } from '../../src/model/problem.ts';
import type { KeyRecord } from '../../src/store/contracts/key-store.ts';
import type { TicketRecord } from '../../src/store/contracts/ticket-store.ts';
import { claims, hs256, SECRET, verifier } from '../support/tokens.ts';

const NOW = 1_000_000;
const ALICE = makeApiKey();
const ROOT = makeApiKey();
const DECLARED = makeApiKey();

function record({ id, digest }: { readonly id: string; readonly digest: Buffer }, more: Partial<KeyRecord> = {}): KeyRecord {
  return { id, name: id, permissions: { publish: ['user.alice.>'], subscribe: ['user.alice.>', 'news'], admin: false, operate: false }, secrets: [{ digest, expires: undefined }], created: 0, expires: undefined, revoked: undefined, lastUsed: undefined, ...more };
}

function never(): never {
  throw new Error('It is not opened here.');
}

interface World {
  readonly settings?: Partial<AccessSettings>;
  readonly hasEverBeen?: boolean | undefined;
  readonly rows?: readonly KeyRecord[];
  /** The database is asked first, and may not answer. */
  readonly later?: 'answers' | 'fails';
  readonly hasTokens?: boolean;
  /** What was heard of keys, if it is old. */
  readonly heard?: boolean | undefined;
  readonly ticket?: TicketRecord;
  /** What the database has, where that is newer than what is known. */
  readonly stored?: readonly KeyRecord[];
}

function build({ settings, rows = [record(ALICE), record(ROOT, { permissions: { publish: [], subscribe: [], admin: true, operate: false } })], later, hasTokens = false, ticket, stored = rows, ...more }: World = {}): { access: Access; used: string[]; again: string[] } {
  const used: string[] = [];
  const again: string[] = [];
  const hasEverBeen = 'hasEverBeen' in more ? more.hasEverBeen : true;
  const heard = 'heard' in more ? more.heard : hasEverBeen;
  const find = (id: string): KeyRecord | undefined => rows.find((row) => row.id === id);
  const access = new Access({
    settings: { mode: 'on', publicTopics: [], publicPublish: [], needsKeys: false, ...settings },
    keys: {
      open: never, stop: never, isFresh: later === undefined, refresh: () => later === 'fails' ? Promise.reject(new CredentialsUnavailable('away')) : Promise.resolve(), hasEverBeen, hasBeenHeardOf: heard, now: () => NOW, noteUse: (id) => void used.push(id), recall: find,
      askEverBeen: () => later === 'fails' ? Promise.reject(new CredentialsUnavailable('away')) : Promise.resolve(heard ?? false),
      find: (id) => later === undefined ? find(id) : later === 'answers' ? Promise.resolve(find(id)) : Promise.reject(new CredentialsUnavailable('away')),
      findAgain: (id) => {
        again.push(id);
        return Promise.resolve(stored.find((row) => row.id === id));
      },
    },
    revocations: { isRevoked: ({ tokenId }) => tokenId === 'revoked' },
    declared: new Map([[DECLARED.id, record(DECLARED)]]),
    tokens: hasTokens ? new TokenIdentities(verifier({ JWT_SECRET: SECRET }), { publicTopics: [], publicPublish: [] }) : undefined,
    tickets: { find: () => Promise.resolve(ticket) },
  });
  return { access, used, again };
}

/** Nobody can say at once whether there has been a key. */
const UNKNOWN = { hasEverBeen: undefined } as const;

const wrongSecret = (text: string): string => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0');

t.test('the owner of a key may do what the key allows, and its idempotency keys are its own', async (t) => {
  for (const later of [undefined, 'answers'] as const) {
    const { access, used } = build({ later });
    const { grant, mayAdminister, mayOperate, scope, name } = await access.identify(ALICE.text, 'messages') as Identity;
    t.equal(grant.mayPublish('user.alice.inbox'), true);
    t.equal(grant.mayPublish('user.bob.inbox'), false);
    t.equal(grant.mayRead('user.alice.>'), true);
    t.equal(grant.mayRead('news'), true);
    t.equal(grant.mayRead('>'), false);
    t.same([mayAdminister, mayOperate, scope, name], [false, false, `key:${ALICE.id}`, `key ${ALICE.id}`]);
    t.same(used, [ALICE.id]);
    const root = await access.identify(ROOT.text, 'administration') as Identity;
    t.same([root.mayAdminister, root.mayOperate, root.grant.mayRead('news')], [true, true, false], 'an administrator reads what the key names');
    const operator = await build({ later, rows: [record(ALICE, { permissions: { publish: [], subscribe: [], admin: false, operate: true } })] }).access.identify(ALICE.text, 'operations') as Identity;
    t.same([operator.mayAdminister, operator.mayOperate], [false, true], 'who operates does not administer');
  }
  const declared = await build({ later: 'fails' }).access.identify(DECLARED.text, 'messages') as Identity;
  t.equal(declared.grant.mayPublish('user.alice.x'), true, 'a declared key needs no database');
});

t.test('who would come in with a key is known without its secret, and is no use of it', async (t) => {
  for (const later of [undefined, 'answers'] as const) {
    const { access, used } = build({ later });
    const asked = await access.ofKey(ALICE.id) as Identity;
    t.same(used, [], 'it was not used');
    t.equal(asked, await access.identify(ALICE.text, 'messages'), 'it is the same identity');
    t.equal(await access.ofKey('nobody'), undefined);
    for (const more of [{ revoked: 5 }, { expires: NOW }, { secrets: [] }]) {
      t.match(await build({ later, rows: [record(ALICE, more)] }).access.ofKey(ALICE.id), { code: 'invalid-credential' }, JSON.stringify(more));
    }
    const rotated = record(ALICE, { secrets: [{ digest: ROOT.digest, expires: undefined }, { digest: ALICE.digest, expires: NOW }] });
    t.match(await build({ later, rows: [rotated] }).access.ofKey(ALICE.id), { scope: `key:${ALICE.id}` });
  }
  const { access } = build({ later: 'fails' });
  t.match(await access.ofKey(ALICE.id), { code: 'unavailable' });
  t.match(await access.ofKey(DECLARED.id), { scope: `key:${DECLARED.id}` }, 'a declared key needs no database');
});

t.test('a ticket reads its own topics that its credential allows too, and does nothing else', async (t) => {
  const { id, text, digest } = makeTicket();
  const ticket: TicketRecord = { id, digest, origin: { kind: 'key', id: ALICE.id, proof: ALICE.digest }, session: undefined, until: undefined, topics: ['user.>', '*.alice.*'], generation: 0, ends: NOW + 1, isGuarded: false };
  const { access } = build({ ticket, rows: [record(ALICE, { permissions: { publish: ['>'], subscribe: ['user.alice.>', '>'], erase: ['>'], admin: true, operate: true } })] });
  const { grant, mayAdminister, mayOperate } = await access.identify(text, 'messages') as Identity;
  t.same(['user.bob', 'x.alice.y', 'user.>', '>', 'x.bob.y'].map((pattern) => grant.mayRead(pattern)), [true, true, true, false, false]);
  t.same([grant.mayPublish('user.bob'), grant.mayErase('user.bob'), mayAdminister, mayOperate], [false, false, false, false]);
  // As after a renewal by a credential that allows less.
  const { grant: less } = await build({ ticket }).access.identify(text, 'messages') as Identity;
  t.same(['user.alice.x', 'user.alice.*', 'user.bob', 'news', 'user.>'].map((pattern) => less.mayRead(pattern)), [true, true, false, false, false]);
  t.match(await build({ ticket: { ...ticket, ends: NOW } }).access.identify(text, 'messages'), { code: 'invalid-credential' });
});

t.test('a secret made on another instance is good at once, and an ended one is not asked for again', async (t) => {
  const rotated = makeApiKey(ALICE.id);
  const stored = [record(ALICE, { secrets: [{ digest: rotated.digest, expires: undefined }, { digest: ALICE.digest, expires: NOW + 1 }] })];
  const { access, again } = build({ rows: [record(ALICE)], stored });
  t.match(await access.identify(rotated.text, 'messages'), { name: `key ${ALICE.id}` });
  t.same(again, [ALICE.id]);
  const over = build({ rows: [record(ALICE, { secrets: [{ digest: rotated.digest, expires: undefined }, { digest: ALICE.digest, expires: NOW }] })] });
  t.match(await over.access.identify(ALICE.text, 'messages'), { code: 'invalid-credential' });
  t.match(await over.access.identify(wrongSecret(DECLARED.text), 'messages'), { code: 'invalid-credential' });
  t.same(over.again, []);
});

const REFUSED: readonly (readonly [credential: string, rows: readonly KeyRecord[], why: RegExp])[] = [
  [wrongSecret(ALICE.text), [record(ALICE)], /no such API key/],
  [makeApiKey().text, [record(ALICE)], /no such API key/],
  [wrongSecret(DECLARED.text), [], /no such API key/],
  [ALICE.text.slice(0, -1), [record(ALICE)], /malformed API key/],
  ['tdg_', [], /malformed API key/],
  ['eyJhbGciOiJub25lIn0.e30.', [], /no tokens are configured/],
  [makeSession().text, [], /no sessions are configured/],
  [ALICE.text, [record(ALICE, { revoked: 5 })], /was revoked/],
  [ALICE.text, [record(ALICE, { expires: NOW })], /has expired/],
  [wrongSecret(ALICE.text), [record(ALICE, { revoked: 5 })], /no such API key/],
  [ALICE.text, [record(ALICE, { secrets: [{ digest: ROOT.digest, expires: undefined }, { digest: ALICE.digest, expires: NOW }] })], /no such API key/],
  [ALICE.text, [record(ALICE, { secrets: [] })], /no such API key/],
];

t.test('a credential that is not good is 401 wherever credentials count, and never nobody\'s', async (t) => {
  for (const mode of ['on', 'loopback'] as const) {
    for (const hasEverBeen of [true, false]) {
      for (const [credential, rows, why] of REFUSED) {
        const { access, used } = build({ settings: { mode, publicTopics: ['>'] }, hasEverBeen, rows });
        const problem = await access.identify(credential, 'messages');
        t.match(problem, { code: 'invalid-credential', status: 401, message: why }, `${mode} ${String(why)}`);
        t.notOk((problem as Problem).message.includes(credential.slice(-40)), 'it is not repeated');
        t.same(used, []);
      }
    }
  }
});

t.test('a secret is good while it overlaps with the next one', async (t) => {
  const { access } = build({ rows: [record(ALICE, { secrets: [{ digest: ROOT.digest, expires: undefined }, { digest: ALICE.digest, expires: NOW + 1 }] })] });
  t.match(await access.identify(ALICE.text, 'messages'), { credential: { owner: { kind: 'key', id: ALICE.id }, expires: NOW + 1 } }, 'it ends with the overlap');
});

t.test('an identity says when its credential ends, and by what it can be revoked', async (t) => {
  for (const expires of [undefined, NOW + 5]) {
    const { access } = build({ rows: [record(ALICE, { expires })] });
    t.same((await access.identify(ALICE.text, 'messages') as Identity).credential, { owner: { kind: 'key', id: ALICE.id, secret: ALICE.digest.toString('hex', 0, 8) }, expires });
  }
  const tokens = new TokenIdentities(verifier({ JWT_SECRET: SECRET }), { publicTopics: [], publicPublish: [] });
  t.match((await tokens.identify(hs256()) as Identity).credential, { owner: { kind: 'subject', subject: String, issuedAt: Number }, expires: Number });
  t.equal((build({ settings: { mode: 'off' } }).access.identify(undefined, 'messages') as Identity).credential, undefined);
});

t.test('a key that cannot be looked up now is 503, and not 401', async (t) => {
  t.match(await build({ later: 'fails' }).access.identify(ALICE.text, 'messages'), { code: 'unavailable', status: 503 });
});

t.test('a sender without a credential may do public things', async (t) => {
  const { access } = build({ settings: { publicTopics: ['news.>'], publicPublish: ['feedback'] } });
  const { grant, mayAdminister, mayOperate, scope } = access.identify(undefined, 'messages') as Identity;
  t.same([grant.isAnonymous, grant.mayRead('news.*'), grant.mayRead('>'), grant.mayPublish('feedback'), grant.mayPublish('news.x'), mayAdminister, mayOperate, scope], [true, true, false, true, false, false, false, '']);
});

t.test('public topics stay public with a credential, and a credential widens nothing else', async (t) => {
  const settings: AccessSettings = { mode: 'on', publicTopics: ['news.>'], publicPublish: ['feedback'], needsKeys: false };
  const { access } = build({ settings });
  const tokens = new TokenIdentities(verifier({ JWT_SECRET: SECRET }), settings);
  for (const identity of [await access.identify(ALICE.text, 'messages'), await tokens.identify(hs256())] as Identity[]) {
    const { grant } = identity;
    t.same([grant.mayRead('news.today'), grant.mayRead('news.*'), grant.mayPublish('feedback'), grant.mayRead('>'), grant.mayPublish('news.today')], [true, true, true, false, false], String(identity.name));
  }
  t.equal(await tokens.identify(hs256()), await tokens.identify(hs256()), 'an identity is made once for each token');
});

t.test('on a loopback address everybody may come in until there has been a key, and nobody before that is known', (t) => {
  const loopback = { settings: { mode: 'loopback' } as const };
  const open = build({ ...loopback, hasEverBeen: false }).access;
  t.equal(open.isOpen, true);
  t.match(open.identify(undefined, 'messages'), { mayAdminister: false, mayOperate: true });
  const closed = build({ ...loopback, hasEverBeen: true }).access;
  t.equal(closed.isOpen, false);
  t.match(closed.identify(undefined, 'messages'), { mayOperate: false, grant: { isAnonymous: true } });
  const unknown = build({ settings: { mode: 'loopback' }, heard: undefined, ...UNKNOWN }).access;
  t.equal(unknown.isOpen, undefined);
  t.match(unknown.identify(undefined, 'messages'), { code: 'unavailable' });
  for (const purpose of ['operations', 'health'] as const) t.match(unknown.identify(undefined, purpose), { mayOperate: true, mayAdminister: false }, 'what is wrong with the database can be seen');
  t.end();
});

t.test('on a loopback address, old answers about keys are asked for again; health and metrics do not wait for it', async (t) => {
  const loopback = { settings: { mode: 'loopback' } as const };
  for (const [heard, mayOperate] of [[false, true], [true, false]] as const) {
    const { access } = build({ ...loopback, ...UNKNOWN, heard });
    t.match(await access.identify(undefined, 'messages'), { mayOperate }, 'the database answers');
    t.match(access.identify(undefined, 'health'), { mayOperate: true });
  }
  const away = build({ ...loopback, ...UNKNOWN, heard: false, later: 'fails' }).access;
  t.match(await away.identify(undefined, 'messages'), { code: 'unavailable', status: 503 });
  t.match(away.identify(undefined, 'operations'), { mayOperate: true });
  t.match(away.identify(undefined, 'health'), { mayOperate: true });
});

t.test('while the database is away, health and metrics go by the last state of a key, and health refuses nobody', async (t) => {
  const { access } = build({ later: 'fails' });
  t.match(await access.identify(ROOT.text, 'operations'), { mayOperate: true });
  t.match(await access.identify(ROOT.text, 'health'), { mayOperate: true });
  t.match(await access.identify(ROOT.text, 'administration'), { status: 503 });
  t.match(await access.identify(makeApiKey().text, 'operations'), { status: 503 });
  for (const credential of [makeApiKey().text, wrongSecret(ROOT.text), 'tdg_', 'x.y.z']) t.match(await access.identify(credential, 'health'), { mayOperate: false }, credential.slice(0, 10));
});

t.test('where everybody may come in on purpose, credentials are those of a proxy, but administration asks for ours', async (t) => {
  const { access } = build({ settings: { mode: 'off' } });
  t.same([access.ignoresCredentials('messages'), access.ignoresCredentials('operations'), access.ignoresCredentials('administration')], [true, true, false]);
  t.match(access.identify(undefined, 'messages'), { mayOperate: true, mayAdminister: false });
  t.match(await access.identify(ROOT.text, 'administration'), { mayAdminister: true });
  t.match(await access.identify('whatever', 'administration'), { status: 401 });
  t.match(access.identify(undefined, 'administration'), { mayAdminister: false });
});

t.test('a revoked token is refused, also after it was accepted; while revocations are unknown it gets 503, except for metrics', async (t) => {
  const good = hs256();
  const revoked = hs256(claims({ jti: 'revoked' }));
  const { access } = build({ hasTokens: true });
  for (const round of [1, 2]) {
    t.match(await access.identify(good, 'messages'), { name: 'subject alice' }, `round ${round}`);
    t.match(await access.identify(revoked, 'messages'), { code: 'invalid-credential', message: /the token was revoked/ });
  }
  const later = build({ later: 'answers', hasTokens: true }).access;
  t.match(await later.identify(good, 'messages'), { name: 'subject alice' });
  t.match(await later.identify(revoked, 'messages'), { code: 'invalid-credential' });
  const away = build({ later: 'fails', hasTokens: true }).access;
  for (const purpose of ['messages', 'administration'] as const) t.match(await away.identify(good, purpose), { code: 'unavailable' }, purpose);
  for (const purpose of ['operations', 'health'] as const) t.match(await away.identify(good, purpose), { name: 'subject alice' }, purpose);
});
