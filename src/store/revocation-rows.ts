import { LIST_MAX_REVOCATIONS, type NewRevocation, type Revocation, type RevocationKind } from './revocation-store.ts';
import { StoreError } from './store.ts';

/** What both stores do with a row of the table `revocations`. */

export interface RevocationRow {
  readonly kind: string;
  readonly name: string;
  readonly before: number | null;
  readonly created: number;
  readonly ends: number;
  readonly version: number;
}

const KINDS: readonly string[] = ['jti', 'sub', 'all'] satisfies RevocationKind[];

/** Throws at a kind that this program does not know: it may concern tokens that would be let in. */
export function revocationOf({ kind, name, before, created, ends, version }: RevocationRow): Revocation {
  if (!KINDS.includes(kind)) throw new StoreError('unavailable', 'a revocation is of a kind that this program does not know: replace it by a newer version');
  return { kind: kind as RevocationKind, name, before: before ?? undefined, created, ends, version };
}

export function checkNewRevocation({ before, lifetimeMs }: NewRevocation): void {
  if (before !== undefined) checkWhole('the time before which tokens are revoked', before);
  checkWhole('the lifetime of a token', lifetimeMs);
}

export function checkRevocationPage({ after, limit }: { readonly after: number; readonly limit: number }): void {
  checkWhole('a version', after);
  if (!Number.isSafeInteger(limit) || limit < 0 || limit > LIST_MAX_REVOCATIONS) throw new StoreError('refused', `the number of revocations is ${limit}, and not a whole number from 0 to ${LIST_MAX_REVOCATIONS}`);
}

function checkWhole(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new StoreError('refused', `${what} is ${value}, and no whole number`);
}
