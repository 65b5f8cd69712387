import type { KeyRecord, KeySecret } from '../../store/contracts/key-store.ts';
import type { SessionRecord } from '../../store/contracts/session-store.ts';
import type { Credential } from '../credentials/identity.ts';
import type { KnownKeys } from '../records/known-keys.ts';
import type { KnownRevocations } from '../records/known-revocations.ts';
import type { KnownSessions } from '../records/known-sessions.ts';

/** So many bytes of a secret's digest name it among the secrets of its key. They do not reveal the secret. */
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
  /** Undefined if sessions are turned off. */
  readonly sessions: Pick<KnownSessions, 'find' | 'recall'> | undefined;
  readonly revocations: Pick<KnownRevocations, 'isRevoked'>;
  /** Keys of the configuration, by id. They do not change while the process runs. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
}

/** The rows of a credential in the database; undefined if it has none. */
interface Rows {
  readonly key: KeyRecord | undefined;
  readonly session: SessionRecord | undefined;
}

/** Tells whether the credential of an open stream is still valid. */
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

  /** The time of the clock that decides the expiry, as at admission: the database's for keys and sessions, this machine's for tokens. Milliseconds since 1970. */
  now({ owner, session }: Credential): number {
    return owner.kind === 'key' || session !== undefined ? this.#keys.now() : Date.now();
  }

  /** Whether it has expired. */
  isOver(credential: Credential): boolean {
    return credential.expires !== undefined && credential.expires <= this.now(credential);
  }

  /**
   * The current credential, from memory alone.
   * @returns Undefined if it is no longer valid; `unknown` if only the database can tell.
   */
  recall(credential: Credential): Credential | undefined | 'unknown' {
    // Expiry and revocation of a token need no row, so check them first.
    if (this.isOver(credential)) return undefined;
    const id = this.#storedKey(credential);
    const key = id === undefined ? undefined : this.#keys.recall(id);
    if (id !== undefined && key === undefined) return 'unknown';
    if (this.#judgeOwner(credential, key) === undefined) return undefined;
    const session = credential.session === undefined ? undefined : this.#sessions?.recall(credential.session);
    return credential.session !== undefined && session === undefined ? 'unknown' : this.#judge(credential, { key, session });
  }

  /** As `recall`, but asks the database if memory does not suffice. Rejects with `CredentialsUnavailable`. */
  async ask(credential: Credential): Promise<Credential | undefined> {
    const id = this.#storedKey(credential);
    const [key, session] = await Promise.all([
      id === undefined ? undefined : this.#keys.find(id),
      credential.session === undefined ? undefined : this.#sessions?.find(credential.session),
    ]);
    return this.#judge(credential, { key, session });
  }

  /** The id of the key whose row decides about the credential; undefined for tokens and keys of the configuration. */
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
