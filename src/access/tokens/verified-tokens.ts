import type { Permissions } from '../../model/permissions.ts';
import type { TokenKey } from './token-keys.ts';

/** A verified token. */
export interface Verified {
  /** The user or program that it is about: 1 to 255 bytes of well-formed Unicode, which may hold anything. */
  readonly subject: string;
  readonly permissions: Permissions;
  /** The metadata of the subject that others see where it listens: JSON. */
  readonly meta: string | undefined;
  /** From when on it is not accepted any more: milliseconds since 1970, with the clock tolerance in it. */
  readonly expires: number;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly tokenId: string | undefined;
}

/** Bounds the memory of the cache: about a kilobyte each, and at most that of the longest token. */
const CACHED_MAX_ENTRIES = 10_000;

interface Entry {
  readonly verified: Verified;
  readonly key: TokenKey;
}

/** Tokens that were verified, by the SHA-256 of their text, until they expire. The oldest entry makes room for a new one. */
export class VerifiedTokens {
  readonly #entries = new Map<string, Entry>();
  /** Changes whenever entries are dropped. */
  generation = 0;

  get(digest: string, now: number): Verified | undefined {
    const verified = this.#entries.get(digest)?.verified;
    if (verified === undefined || verified.expires > now) return verified;
    this.#entries.delete(digest);
    return undefined;
  }

  /** @param generation The generation when the verification began. A token that was dropped since then must not come back. */
  add(digest: string, entry: Entry, generation: number): void {
    if (generation !== this.generation) return;
    this.#entries.set(digest, entry);
    if (this.#entries.size > CACHED_MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }

  /** Drops the tokens that must be verified again. */
  drop(isMeant: (entry: Entry) => boolean): void {
    this.generation++;
    for (const [digest, entry] of this.#entries) if (isMeant(entry)) this.#entries.delete(digest);
  }
}
