import type { Logger } from '../../runtime/logging/logger.ts';
import { KEPT_ENDED_REVOCATIONS_MS, LIST_MAX_REVOCATIONS, MAX_REVOCATIONS, type Revocation, type RevocationStore } from '../../store/contracts/revocation-store.ts';

export interface KnownRevocationsDependencies {
  readonly store: RevocationStore;
  readonly logger: Pick<Logger, 'info'>;
}

/** The claims of a token that a revocation can name. Times are milliseconds since 1970. */
export interface Revocable {
  readonly subject: string;
  readonly tokenId: string | undefined;
  readonly issuedAt: number;
}

/** Called when this instance has learnt of more revocations. */
export interface RevocationWatcher {
  review(): void;
}

/** Tokens are not good that were issued before `before`; `ends` is when the last of them has ended. */
interface Bound {
  readonly before: number;
  readonly ends: number;
}

/**
 * All revocations of tokens, as an instance knows them: it reads them when it starts, and then follows the list of changes. It forgets one some time after the last token that the
 * revocation can concern has ended, and never because the database has lost it.
 */
export class KnownRevocations {
  readonly #store: RevocationStore;
  readonly #logger: Pick<Logger, 'info'>;
  /** When each of these tokens has ended, at the latest. */
  readonly #tokenIds = new Map<string, number>();
  readonly #subjects = new Map<string, Bound>();
  #everything: Bound = { before: 0, ends: 0 };
  #version = 0;
  #watcher: RevocationWatcher | undefined;
  /** Above this number, the next change looks for revocations that have ended. */
  #mostHeld = MAX_REVOCATIONS;

  constructor({ store, logger }: KnownRevocationsDependencies) {
    this.#store = store;
    this.#logger = logger;
  }

  watch(watcher: RevocationWatcher): void {
    this.#watcher = watcher;
  }

  /** How many are held. */
  get size(): number {
    return this.#tokenIds.size + this.#subjects.size + (this.#everything.ends > 0 ? 1 : 0);
  }

  /** Reads the new part of the list, if its version has changed. Rejects with a `StoreError`; the entries read before it count. */
  async follow(version: number): Promise<void> {
    if (version === this.#version) return;
    let count = 0;
    try {
      for (;;) {
        const page = await this.#store.listRevocations({ after: this.#version, limit: LIST_MAX_REVOCATIONS });
        for (const revocation of page.revocations) this.#add(revocation);
        count += page.revocations.length;
        this.#version = page.revocations.length < LIST_MAX_REVOCATIONS ? page.version : page.revocations.at(-1)!.version;
        if (this.#version === page.version) return;
      }
    } finally {
      if (count > 0) this.#learned(count);
    }
  }

  isRevoked({ subject, tokenId, issuedAt }: Revocable): boolean {
    if (issuedAt < this.#everything.before) return true;
    if (tokenId !== undefined && this.#tokenIds.has(tokenId)) return true;
    return issuedAt < (this.#subjects.get(subject)?.before ?? 0);
  }

  #add({ kind, name, before = 0, ends }: Revocation): void {
    if (kind === 'jti') this.#tokenIds.set(name, Math.max(ends, this.#tokenIds.get(name) ?? 0));
    else if (kind === 'sub') this.#subjects.set(name, later({ before, ends }, this.#subjects.get(name)));
    else this.#everything = later({ before, ends }, this.#everything);
  }

  #learned(count: number): void {
    this.#logger.info({ audit: 'tokens-revoked', count, version: this.#version }, 'revocations of tokens count on this instance');
    if (this.size > this.#mostHeld) this.#forget();
    this.#watcher?.review();
  }

  /** Times are on the clock that ends tokens. The ended ones are few beside those held, or there are few in all. */
  #forget(): void {
    const ended = Date.now() - KEPT_ENDED_REVOCATIONS_MS;
    for (const [name, ends] of this.#tokenIds) if (ends < ended) this.#tokenIds.delete(name);
    for (const [name, { ends }] of this.#subjects) if (ends < ended) this.#subjects.delete(name);
    this.#mostHeld = this.size + MAX_REVOCATIONS;
  }
}

function later(one: Bound, other: Bound = one): Bound {
  return { before: Math.max(one.before, other.before), ends: Math.max(one.ends, other.ends) };
}
