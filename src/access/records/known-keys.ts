import { FIND_MAX_KEYS, NOTE_MAX_KEYS, type KeyChanges, type KeyRecord, type KeyStore } from '../../store/contracts/key-store.ts';
import { KEPT_ENTRIES, KnownRecords, type Changes, type KnownRecordsDependencies } from './known-records.ts';
import type { KnownRevocations } from './known-revocations.ts';

/** How many changed keys a log line names. Stops a line from being long. */
const NAMED_MAX_KEYS = 20;

/** How often it is written down which keys were used. Stops each use from being a write. */
const NOTE_USE_MS = 60_000;

export interface KnownKeysDependencies extends KnownRecordsDependencies {
  readonly store: KeyStore;
  /** Are kept true together with the keys: the list of changes tells of both. */
  readonly revocations: Pick<KnownRevocations, 'follow'>;
}

/** The keys that an instance has seen, whether there has ever been one, and which were used. */
export class KnownKeys extends KnownRecords<KeyRecord> {
  readonly #store: KeyStore;
  readonly #monotonic: () => number;
  #hasBeen = false;
  readonly #used = new Set<string>();
  #lastNoted: number;

  constructor({ store, revocations, ...rest }: KnownKeysDependencies) {
    const changes = async (after: number): Promise<KeyChanges> => {
      const found = await store.keyChanges(after);
      await revocations.follow(found.revocations);
      return found;
    };
    super({ name: 'keys', changes, findMax: FIND_MAX_KEYS, find: (ids) => store.findKeys(ids) }, rest);
    this.#store = store;
    this.#monotonic = () => rest.clock.monotonic();
    this.#lastNoted = this.#monotonic();
  }

  /** Whether there has ever been a key in this log, as far as this process has heard; undefined before the first look. Losing the keys, as by the restore of a backup, does not open a log again. */
  get hasBeenHeardOf(): boolean | undefined {
    return this.version === undefined ? undefined : this.#hasBeen;
  }

  /** Whether the log ever had a key; undefined while the list of changes is old. Then `askEverBeen` asks the database. */
  get hasEverBeen(): boolean | undefined {
    return this.#hasBeen || this.isFresh ? this.#hasBeen : undefined;
  }

  /** Rejects with `CredentialsUnavailable`. */
  async askEverBeen(): Promise<boolean> {
    await this.refresh();
    return this.#hasBeen;
  }

  /** The key was good for a request. */
  noteUse(id: string): void {
    if (this.#used.size < KEPT_ENTRIES) this.#used.add(id);
  }

  protected override heard(before: number | undefined, { version, changed }: Changes): void {
    this.#hasBeen ||= version > 0;
    if (before !== undefined && version < before) {
      this.logger.warn({ audit: 'keys-lost', before, version }, 'the database has lost changes of API keys, as a restored backup has: keys that were revoked since may be good again');
    } else if (before !== undefined && before !== version) {
      // The audit line of every instance: a change made by the command line has no other.
      this.logger.info({ audit: 'keys-changed', keys: changed?.slice(0, NAMED_MAX_KEYS), count: changed?.length, version }, before === 0 ? 'the first API key was made: unless AUTH=off, requests take a credential from now on' : 'API keys were changed');
    }
  }

  protected override async polled(): Promise<void> {
    if (this.#monotonic() - this.#lastNoted < NOTE_USE_MS) return;
    this.#lastNoted = this.#monotonic();
    const ids = [...this.#used];
    this.#used.clear();
    for (let from = 0; from < ids.length; from += NOTE_MAX_KEYS) await this.#store.noteUse(ids.slice(from, from + NOTE_MAX_KEYS));
  }
}
