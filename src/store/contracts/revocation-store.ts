/**
 * Revocations of tokens in the database of the log. Both stores implement this contract, and `test/contract/revocation-store.ts` checks them. No token comes in: only what tokens
 * say of themselves.
 *
 * As with API keys (key-store.ts), every change takes the next `version` in its own transaction. Changes are durable when they resolve. Times are the clock of the database's
 * machine, in milliseconds since 1970. Methods reject with a `StoreError` and nothing else.
 */
export interface RevocationStore {
  /** The revocations whose last change took a later version than `after`, in the order of their versions; at most `limit`, which is at most `LIST_MAX_REVOCATIONS`. Never from a snapshot that is older than the call. */
  listRevocations(page: { readonly after: number; readonly limit: number }): Promise<RevocationPage>;

  /**
   * Revokes tokens. There is one revocation for each name: another one for the same extends it, and never takes anything back. Also deletes revocations that ended
   * `KEPT_ENDED_REVOCATIONS_MS` ago by the clock as far as it is believed (invariant 10).
   * @returns undefined, and nothing was stored, where `MAX_REVOCATIONS` others are held. The one of kind `all` always has room: it is the way out.
   */
  revoke(revocation: NewRevocation): Promise<Revocation | undefined>;
}

/** The most revocations that are held. Bounds the memory of every instance, some 20 MB: all of them are kept there. */
export const MAX_REVOCATIONS = 100_000;
/** The most revocations of one answer. */
export const LIST_MAX_REVOCATIONS = 1_000;
/** How long a revocation is kept after the last token that it can concern has ended: the clocks of issuers, instances and the database may differ. */
export const KEPT_ENDED_REVOCATIONS_MS = 60 * 60 * 1000;
/** The most ended revocations that one change deletes: more than it adds, and few enough that others hardly wait. */
export const DELETE_MAX_REVOCATIONS = 1_000;

/** `jti`: the token of an id. `sub`: the tokens of a subject. `all`: all tokens; its name is empty. */
export type RevocationKind = 'jti' | 'sub' | 'all';

export interface NewRevocation {
  readonly kind: RevocationKind;
  /** 1 to 255 bytes of well-formed Unicode without a NUL; for `all` nothing. */
  readonly name: string;
  /** Only tokens that were issued before this time; undefined is now. For a `jti` it means nothing. */
  readonly before: number | undefined;
  /** How long a token that was issued at that time may be good, in milliseconds. */
  readonly lifetimeMs: number;
}

export interface Revocation {
  readonly kind: RevocationKind;
  readonly name: string;
  /** Undefined for a `jti`. */
  readonly before: number | undefined;
  /** When it was made, or last extended. */
  readonly created: number;
  /** When the last token that it can concern has ended. */
  readonly ends: number;
  readonly version: number;
}

export interface RevocationPage {
  readonly revocations: readonly Revocation[];
  /** The newest version; 0 if there has never been a revocation. It goes back only if the database did, and versions given after that are not given again. */
  readonly version: number;
}
