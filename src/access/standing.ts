import type { KeyRecord, KeySecret } from '../store/key-store.ts';
import type { Credential } from './identity.ts';
import type { KnownKeys } from './known-keys.ts';
import type { KnownRevocations } from './known-revocations.ts';

/** How many digits name a secret among the secrets of its key. They are not enough to find it, and nobody needs to hide them. */
const SECRET_NAME_BYTES = 8;

/** The credential of who has shown a secret of a key. */
export function keyCredential({ id, expires }: KeyRecord, secret: KeySecret): Credential {
  const ends = [expires, secret.expires].filter((end) => end !== undefined);
  return { owner: { kind: 'key', id, secret: secretName(secret) }, expires: ends.length === 0 ? undefined : Math.min(...ends) };
}

function secretName({ digest }: KeySecret): string {
  return Buffer.from(digest.buffer, digest.byteOffset, SECRET_NAME_BYTES).toString('hex');
}

export interface StandingDependencies {
  readonly keys: Pick<KnownKeys, 'find' | 'recall' | 'now'>;
  readonly revocations: Pick<KnownRevocations, 'isRevoked'>;
  /** Keys that the configuration declares, by their ids: they end with the process. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
}

/** How a credential that was let in stands later, while what it opened is still open. */
export class Standing {
  readonly #keys: StandingDependencies['keys'];
  readonly #revocations: StandingDependencies['revocations'];
  readonly #declared: ReadonlyMap<string, KeyRecord>;

  constructor({ keys, revocations, declared }: StandingDependencies) {
    this.#keys = keys;
    this.#revocations = revocations;
    this.#declared = declared;
  }

  /** By the clock that ends it: a key ends by the database's, a token by this machine's, as at the door. Milliseconds since 1970. */
  now({ owner }: Credential): number {
    return owner.kind === 'key' ? this.#keys.now() : Date.now();
  }

  /** As far as is known here: the credential as it is now; undefined where it is not good any more, `unknown` where the database has to be asked. */
  recall(credential: Credential): Credential | undefined | 'unknown' {
    const id = this.#storedKey(credential);
    const record = id === undefined ? undefined : this.#keys.recall(id);
    return id !== undefined && record === undefined ? 'unknown' : this.#judge(credential, record);
  }

  /** The same, asked of the database where that is needed. Rejects with `KeysUnavailable`. */
  async ask(credential: Credential): Promise<Credential | undefined> {
    const id = this.#storedKey(credential);
    return this.#judge(credential, id === undefined ? undefined : await this.#keys.find(id));
  }

  /** The key whose row says how the credential stands, if there is one. */
  #storedKey({ owner }: Credential): string | undefined {
    return owner.kind === 'key' && !this.#declared.has(owner.id) ? owner.id : undefined;
  }

  #judge(credential: Credential, record: KeyRecord | undefined): Credential | undefined {
    const { owner } = credential;
    if (owner.kind === 'subject') return this.#revocations.isRevoked(owner) ? undefined : this.#unlessOver(credential);
    if (this.#declared.has(owner.id)) return credential;
    const secret = record?.secrets.find((one) => secretName(one) === owner.secret);
    if (record === undefined || secret === undefined || record.revoked !== undefined) return undefined;
    return this.#unlessOver(keyCredential(record, secret));
  }

  #unlessOver(credential: Credential): Credential | undefined {
    return credential.expires !== undefined && credential.expires <= this.now(credential) ? undefined : credential;
  }
}
