import type { KeyRecord, KeySecret } from '../../store/contracts/key-store.ts';
import type { SessionRecord } from '../../store/contracts/session-store.ts';
import type { Credential } from '../credentials/identity.ts';
import type { KnownKeys } from '../records/known-keys.ts';
import type { KnownRevocations } from '../records/known-revocations.ts';
import type { KnownSessions } from '../records/known-sessions.ts';

/** How many digits name a secret among the secrets of its key. They are not enough to find it, and nobody needs to hide them. */
const SECRET_NAME_BYTES = 8;

/** The credential of a key's secret. */
export function keyCredential({ id, expires }: KeyRecord, secret: KeySecret): Credential {
  const ends = [expires, secret.expires].filter((end) => end !== undefined);
  return { owner: { kind: 'key', id, secret: secretName(secret) }, expires: ends.length === 0 ? undefined : Math.min(...ends) };
}

function secretName({ digest }: KeySecret): string {
  return Buffer.from(digest.buffer, digest.byteOffset, SECRET_NAME_BYTES).toString('hex');
}

/** The credential of a session: it ends with the session or its credential, whichever ends first. */
export function sessionCredential({ id, expires }: Pick<SessionRecord, 'id' | 'expires'>, { owner, expires: ends = expires }: Credential): Credential {
  return { owner, session: id, expires: Math.min(ends, expires) };
}

export interface StandingDependencies {
  readonly keys: Pick<KnownKeys, 'find' | 'recall' | 'now'>;
  /** Undefined where no cookie may hold a session. */
  readonly sessions: Pick<KnownSessions, 'find' | 'recall'> | undefined;
  readonly revocations: Pick<KnownRevocations, 'isRevoked'>;
  /** Keys that the configuration declares, by their ids: they end with the process. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
}

/** The rows of a credential in the database. */
interface Rows {
  readonly key: KeyRecord | undefined;
  readonly session: SessionRecord | undefined;
}

/** Whether an admitted credential is still good while its streams are open. */
export class Standing {
  readonly #keys: StandingDependencies['keys'];
  readonly #sessions: StandingDependencies['sessions'];
  readonly #revocations: StandingDependencies['revocations'];
  readonly #declared: ReadonlyMap<string, KeyRecord>;

  constructor({ keys, sessions, revocations, declared }: StandingDependencies) {
    this.#keys = keys;
    this.#sessions = sessions;
    this.#revocations = revocations;
    this.#declared = declared;
  }

  /** By the clock that ends it: a key or session ends by the database's, a token by this machine's, as at the door. Milliseconds since 1970. */
  now({ owner, session }: Credential): number {
    return owner.kind === 'key' || session !== undefined ? this.#keys.now() : Date.now();
  }

  /** Whether the clock has ended it. */
  isOver(credential: Credential): boolean {
    return credential.expires !== undefined && credential.expires <= this.now(credential);
  }

  /** The credential as it is now, as far as is known here. Undefined: it is not good any more. `unknown`: the database has to be asked. */
  recall(credential: Credential): Credential | undefined | 'unknown' {
    // The clock needs no row.
    if (this.isOver(credential)) return undefined;
    const id = this.#storedKey(credential);
    const key = id === undefined ? undefined : this.#keys.recall(id);
    if (id !== undefined && key === undefined) return 'unknown';
    // A revocation of a token needs no row either.
    if (this.#judgeOwner(credential, key) === undefined) return undefined;
    const session = credential.session === undefined ? undefined : this.#sessions?.recall(credential.session);
    return credential.session !== undefined && session === undefined ? 'unknown' : this.#judge(credential, { key, session });
  }

  /** As `recall`, but asks the database if it must. Rejects with `CredentialsUnavailable`. */
  async ask(credential: Credential): Promise<Credential | undefined> {
    const id = this.#storedKey(credential);
    const [key, session] = await Promise.all([
      id === undefined ? undefined : this.#keys.find(id),
      credential.session === undefined ? undefined : this.#sessions?.find(credential.session),
    ]);
    return this.#judge(credential, { key, session });
  }

  /** The key whose row says how the credential stands, if there is one. */
  #storedKey({ owner }: Credential): string | undefined {
    return owner.kind === 'key' && !this.#declared.has(owner.id) ? owner.id : undefined;
  }

  #judge(credential: Credential, { key, session }: Rows): Credential | undefined {
    const owner = this.#judgeOwner(credential, key);
    if (owner === undefined || credential.session === undefined) return owner === undefined ? undefined : this.#unlessOver(owner);
    return session === undefined ? undefined : this.#unlessOver(sessionCredential(session, owner));
  }

  #judgeOwner(credential: Credential, record: KeyRecord | undefined): Credential | undefined {
    const { owner } = credential;
    if (owner.kind === 'subject') return this.#revocations.isRevoked(owner) ? undefined : credential;
    if (this.#declared.has(owner.id)) return credential;
    const secret = record?.secrets.find((one) => secretName(one) === owner.secret);
    return record === undefined || secret === undefined || record.revoked !== undefined ? undefined : keyCredential(record, secret);
  }

  #unlessOver(credential: Credential): Credential | undefined {
    return this.isOver(credential) ? undefined : credential;
  }
}
