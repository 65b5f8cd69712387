/**
 * Revocations of tokens in the database of the log. `test/contract/revocation-store.ts` checks both stores. No token comes in, only the id or subject from
 * its claims. As with API keys (key-store.ts), every change takes the next `version` in its own transaction.
 */
export interface RevocationStore {
  /** Reads the revocations with a version after `after`, in the order of their versions, from a snapshot that is not older than the call. `limit` is at most `LIST_MAX_REVOCATIONS`. */
  listRevocations(page: { readonly after: number; readonly limit: number }): Promise<RevocationPage>;

  /**
   * Revokes tokens. There is one revocation for each kind and name: revoking the same again extends it, and never shortens it. Also deletes revocations that
   * ended `KEPT_ENDED_REVOCATIONS_MS` ago by the believed clock (invariant 10).
   * @returns undefined, and stores nothing, if there are `MAX_REVOCATIONS` others. The revocation of kind `all` always has room, so an administrator can revoke
   *   all tokens instead.
   */
  revoke(revocation: NewRevocation): Promise<Revocation | undefined>;
}

/** The most revocations. Bounds the memory of every instance, because each instance keeps all of them in memory: some 20 MB. */
export const MAX_REVOCATIONS = 100_000;
/** The most revocations of one answer. Bounds its size. */
export const LIST_MAX_REVOCATIONS = 1_000;
/** How long a revocation is kept after the last token that it can revoke has expired. The clocks of issuers, instances and the database may differ. */
export const KEPT_ENDED_REVOCATIONS_MS = 60 * 60 * 1000;
/** The most ended revocations that one change deletes: more than it adds, and few enough that other changes hardly wait. */
export const DELETE_MAX_REVOCATIONS = 1_000;

/** `jti`: the token with an id. `sub`: the tokens of a subject. `all`: all tokens; its name is empty. */
export type RevocationKind = 'jti' | 'sub' | 'all';

export interface NewRevocation {
  readonly kind: RevocationKind;
  /** The id or the subject, 1 to 255 bytes of well-formed Unicode without a NUL; empty for `all`. */
  readonly name: string;
  /** Revokes only tokens that were issued before this time; undefined: before now. Ignored for a `jti`. */
  readonly before: number | undefined;
  /** How long a token that was issued at that time may be valid, in milliseconds. */
  readonly lifetimeMs: number;
}

export interface Revocation {
  readonly kind: RevocationKind;
  readonly name: string;
  /** Undefined for a `jti`. */
  readonly before: number | undefined;
  /** When it was made, or last extended. */
  readonly created: number;
  /** When the last token that it can revoke expires. */
  readonly ends: number;
  readonly version: number;
}

export interface RevocationPage {
  readonly revocations: readonly Revocation[];
  /** The newest version; 0 if there has never been a revocation. It decreases only if the database was restored. */
  readonly version: number;
}
