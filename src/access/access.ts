import { Problem } from '../model/problem.ts';
import { goodSecret, isApiKey, readApiKey } from './api-key.ts';
import { anonymous, EVERYBODY, Owners, type Identity, type PublicScope } from './identity.ts';
import { KeysUnavailable, type KnownKeys } from './known-keys.ts';
import type { KeyRecord } from '../store/key-store.ts';

/**
 * The room `access` says who sent a request and what they may do. The text of a credential comes in, as admission found it in the request's head. An identity
 * with its grant goes out, or the problem that refuses the request. Keys are looked up in the database and kept true for as long as they are in use
 * (known-keys.ts). The room knows nothing of HTTP, and decides nothing about topics: a grant does.
 */

export interface AccessSettings extends PublicScope {
  /** `off`: everybody may do everything. `on`: nobody may without a credential. `loopback`: open to this machine, until there is a key. */
  readonly mode: 'off' | 'on' | 'loopback';
  /** Nobody said that everybody may come in, or who may: without a key in the log nobody could, and the process does not serve. */
  readonly needsKeys: boolean;
}

/**
 * What a request is for. `messages`: whose grant has the topics gets in. `erasure`: whose grant may erase something, which takes a credential, always. `health`: everybody does, but strangers learn nothing of the inside. `operations`: administrators, and everybody where there is no
 * access control. `administration`: administrators, always.
 */
export type Purpose = 'messages' | 'erasure' | 'health' | 'operations' | 'administration';

/** Says whether tokens that are no API keys are good; see jwt.ts. */
export interface TokenVerifier {
  /** Begins to fetch what it needs. */
  open(): void;
  close(): void;
  identify(token: string): Identity | Problem | Promise<Identity | Problem>;
}

export interface AccessDependencies {
  readonly settings: AccessSettings;
  readonly keys: Pick<KnownKeys, 'open' | 'stop' | 'hasEverBeen' | 'hasBeenHeardOf' | 'askEverBeen' | 'find' | 'recall' | 'noteUse' | 'now'>;
  /** Keys that the configuration declares, by their ids. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
  readonly tokens: TokenVerifier | undefined;
}

const NOT_KNOWN_YET = 'It cannot be said yet who may come in: the message log is not open.';

export class Access {
  readonly #settings: AccessSettings;
  readonly #keys: AccessDependencies['keys'];
  readonly #declared: ReadonlyMap<string, KeyRecord>;
  readonly #tokens: TokenVerifier | undefined;
  readonly #anonymous: Identity;
  readonly #owners: Owners;

  constructor({ settings, keys, declared, tokens }: AccessDependencies) {
    this.#settings = settings;
    this.#keys = keys;
    this.#declared = declared;
    this.#tokens = tokens;
    this.#anonymous = anonymous(settings);
    this.#owners = new Owners(settings);
  }

  /** Begins with a log that was just opened. Rejects with a `StoreError`, and may be called again then. */
  async open(): Promise<void> {
    this.#tokens?.open();
    await this.#keys.open();
  }

  stop(): void {
    this.#tokens?.close();
    this.#keys.stop();
  }

  /** Nobody could come in, and no setting says that this is meant. */
  get hasNobody(): boolean {
    return this.#settings.needsKeys && this.#keys.hasBeenHeardOf === false;
  }

  /** Whether everybody may come in without a credential; undefined while it is not known whether the log has ever had a key. */
  get isOpen(): boolean | undefined {
    if (this.#settings.mode !== 'loopback') return this.#settings.mode === 'off';
    const { hasEverBeen } = this.#keys;
    return hasEverBeen === undefined ? undefined : !hasEverBeen;
  }

  /** Whether credentials are not looked at: everybody may do everything, so they may be those of a proxy in front, of any kind. */
  ignoresCredentials(purpose: Purpose): boolean {
    return this.#settings.mode === 'off' && purpose !== 'administration' && purpose !== 'erasure';
  }

  /**
   * Who sends a request.
   * @param credential A key or token, as it was sent; undefined where there is none, or where credentials are not looked at.
   * @returns The problem is 401 where the credential is not good, and 503 where that cannot be said now. For health there is none: who is not known is nobody.
   */
  identify(credential: string | undefined, purpose: Purpose): Identity | Problem | Promise<Identity | Problem> {
    if (credential === undefined) return this.#identifyNobody(purpose);
    const found = isApiKey(credential) ? this.#identifyKey(credential, purpose) : this.#tokens?.identify(credential) ?? refused('it is no API key, and no tokens are configured');
    if (purpose !== 'health') return found;
    const orNobody = (identity: Identity | Problem): Identity => identity instanceof Problem ? this.#anonymous : identity;
    return found instanceof Promise ? found.then(orNobody) : orNobody(found);
  }

  /** Who has no credential. */
  #identifyNobody(purpose: Purpose): Identity | Problem | Promise<Identity | Problem> {
    const { isOpen } = this;
    if (isOpen !== undefined) return isOpen ? EVERYBODY : this.#anonymous;
    // While the database is away, or cannot be opened, health and metrics are what somebody looks at. They tell nothing of messages.
    if (purpose === 'health' || purpose === 'operations') return EVERYBODY;
    if (this.#keys.hasBeenHeardOf === undefined) return new Problem('unavailable', NOT_KNOWN_YET);
    return this.#keys.askEverBeen().then((hasEverBeen) => hasEverBeen ? this.#anonymous : EVERYBODY, unavailable);
  }

  #identifyKey(credential: string, purpose: Purpose): Identity | Problem | Promise<Identity | Problem> {
    const key = readApiKey(credential);
    if (key === undefined) return refused('it is no whole API key');
    const found = this.#declared.get(key.id) ?? this.#keys.find(key.id);
    if (!(found instanceof Promise)) return this.#judge(key.digest, found);
    return found.then((record) => this.#judge(key.digest, record), (error: unknown) => {
      // Health and metrics tell what is wrong with the database, so they must not need it.
      const recalled = purpose === 'operations' || purpose === 'health' ? this.#keys.recall(key.id) : undefined;
      return recalled === undefined ? unavailable(error) : this.#judge(key.digest, recalled);
    });
  }

  #judge(digest: Buffer, record: KeyRecord | undefined): Identity | Problem {
    const now = this.#keys.now();
    const secret = record === undefined ? undefined : goodSecret(digest, record.secrets, now);
    if (record === undefined || secret === undefined) return refused('there is no such API key');
    // Only who knows the secret learns more.
    if (record.revoked !== undefined) return refused(`the API key ${record.id} was revoked`);
    if (record.expires !== undefined && now >= record.expires) return refused(`the API key ${record.id} has expired`);
    this.#keys.noteUse(record.id);
    const { id, permissions } = record;
    const ends = [record.expires, secret.expires].filter((end) => end !== undefined);
    return this.#owners.of(secret, { permissions, scope: `key:${id}`, name: `key ${id}`, credential: { owner: { kind: 'key', id }, expires: ends.length === 0 ? undefined : Math.min(...ends) } });
  }
}

function unavailable(error: unknown): Problem {
  if (!(error instanceof KeysUnavailable)) throw error;
  return new Problem('unavailable', 'It cannot be checked now who may come in.', { cause: error });
}

/** The credential is not good: what is said tells nothing that could help to guess one. */
function refused(why: string): Problem {
  return new Problem('invalid-credential', `The credential is not good: ${why}.`, { field: 'Authorization' });
}
