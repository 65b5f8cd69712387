import { checkVersion, checkWhole } from './key-rows.ts';
import { LIST_MAX_REVOCATIONS, type NewRevocation, type Revocation, type RevocationKind } from '../contracts/revocation-store.ts';
import { StoreError } from '../store.ts';

/** A row of `revocations`. */
export interface RevocationRow {
  readonly kind: string;
  readonly name: string;
  readonly before: number | null;
  readonly created: number;
  readonly ends: number;
  readonly version: number;
}

const KINDS: readonly string[] = ['jti', 'sub', 'all'] satisfies RevocationKind[];

/** Throws at a kind that this program does not know: it may revoke tokens that this program would accept. */
export function revocationOf({ kind, name, before, created, ends, version }: RevocationRow): Revocation {
  if (!KINDS.includes(kind)) throw new StoreError('unavailable', 'a revocation is of a kind that this program does not know: replace it by a newer version');
  return { kind: kind as RevocationKind, name, before: before ?? undefined, created, ends, version };
}

export function checkNewRevocation({ before, lifetimeMs }: NewRevocation): void {
  if (before !== undefined) checkWhole('the time before which tokens are revoked', before, 0, Number.MAX_SAFE_INTEGER);
  checkWhole('the lifetime of a token', lifetimeMs, 0, Number.MAX_SAFE_INTEGER);
}

export function checkRevocationPage({ after, limit }: { readonly after: number; readonly limit: number }): void {
  checkVersion(after);
  checkWhole('the number of revocations', limit, 0, LIST_MAX_REVOCATIONS);
}
