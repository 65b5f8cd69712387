import t from 'tap';
import type { Credential } from '../../src/access/credentials/identity.ts';
import { CredentialsUnavailable } from '../../src/access/records/credentials-unavailable.ts';
import { keyCredential, sessionCredential, Standing } from '../../src/access/leases/standing.ts';
import type { KeyRecord } from '../../src/store/contracts/key-store.ts';
import type { SessionRecord } from '../../src/store/contracts/session-store.ts';

/** How the credential of a stream stands later, by what an instance knows of its key and its session. */

const NOW = 1_000;
const SECRET = { digest: Buffer.alloc(32, 1), expires: undefined };
const OTHER_SECRET = { digest: Buffer.alloc(32, 2), expires: undefined };
const KEY: KeyRecord = { id: 'k', name: 'x', permissions: { publish: [], subscribe: ['a'], admin: false, operate: false }, secrets: [SECRET], created: 0, expires: 9_000, revoked: undefined, lastUsed: undefined };
const SESSION: SessionRecord = { id: 's', digest: Buffer.alloc(32, 3), created: 0, expires: 5_000, origin: { kind: 'key', id: 'k', proof: SECRET.digest } };

const ofKey = keyCredential(KEY, SECRET);
const ofSession = sessionCredential(SESSION, ofKey);
const token: Credential = { owner: { kind: 'subject', subject: 'alice', tokenId: undefined, issuedAt: 0 }, expires: Date.now() + 3_600_000 };
/** The instance's own clock is far beyond its end, and the database's is not. */
const tokenInSession = sessionCredential(SESSION, token);

interface World {
  readonly key?: KeyRecord | undefined;
  readonly session?: SessionRecord | undefined;
  readonly revoked?: string;
  readonly now?: number;
  readonly hasSessions?: boolean;
}

/** Whoever knows something and whoever has to ask for it say the same. */
async function stands(credential: Credential, { revoked, now = NOW, hasSessions = true, ...rows }: World = {}): Promise<readonly [recalled: unknown, asked: unknown]> {
  const { key, session } = { key: KEY, session: SESSION, ...rows };
  const standing = new Standing({
    keys: { now: () => now, recall: () => key, find: async () => key },
    sessions: hasSessions ? { recall: () => session, find: async () => session } : undefined,
    revocations: { isRevoked: ({ subject }) => subject === revoked }, declared: new Map(),
  });
  return [standing.recall(credential), await standing.ask(credential)];
}

const both = <Value>(value: Value): readonly [Value, Value] => [value, value];

t.test('a session is as good as it is itself and as its key or token is, and ends with the first of them', async (t) => {
  t.same(await stands(ofSession), both(ofSession));
  t.equal(ofSession.expires, SESSION.expires);
  t.same(await stands(ofSession, { key: { ...KEY, expires: 3_000 } }), both({ ...ofSession, expires: 3_000 }), 'its key ends sooner by now');
  t.same(await stands(tokenInSession), both(tokenInSession), 'by the clock of the database');
  const ends: readonly (readonly [string, Credential, World])[] = [
    ['its key was revoked', ofSession, { key: { ...KEY, revoked: 1 } }], ['its key has another secret', ofSession, { key: { ...KEY, secrets: [OTHER_SECRET] } }],
    ['its token was revoked', tokenInSession, { revoked: 'alice' }], ['it is over', ofSession, { now: SESSION.expires }], ['that of a token is over', tokenInSession, { now: SESSION.expires }],
  ];
  for (const [why, credential, world] of ends) t.same(await stands(credential, world), both(undefined), why);
});

t.test('a row that is not in memory is asked for; a missing row ends the streams that it opened', async (t) => {
  t.same(await stands(ofSession, { session: undefined }), ['unknown', undefined], 'it was ended');
  t.same(await stands(tokenInSession, { session: undefined }), ['unknown', undefined]);
  t.same(await stands(tokenInSession, { session: undefined, revoked: 'alice' }), both(undefined), 'that its token was revoked is known');
  t.same(await stands(ofSession, { key: undefined }), ['unknown', undefined], 'its key was deleted');
  t.same(await stands(ofSession, { hasSessions: false }), ['unknown', undefined], 'an instance without a name for the cookie lets nobody in by one');
  t.same(await stands(ofKey, { session: undefined }), both(ofKey), 'a stream of the key itself is none of a session');
});

t.test('the clock ends credentials, also those that are not in memory and cannot be asked for', async (t) => {
  const away = async (): Promise<never> => {
    throw new CredentialsUnavailable('away');
  };
  const standing = new Standing({
    keys: { now: () => 9_000, recall: () => undefined, find: away }, sessions: { recall: () => undefined, find: away }, revocations: { isRevoked: () => false }, declared: new Map(),
  });
  t.same([ofKey, ofSession, tokenInSession].map((credential) => standing.recall(credential)), [undefined, undefined, undefined]);
  await t.rejects(standing.ask(ofSession), CredentialsUnavailable);
});
