/** The permissions of a credential. The lists hold topics and patterns: where it may publish, read and erase. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Absent: none. So credentials that may not erase are stored as before, and an older program, which cannot erase, lacks nothing of one that may. */
  readonly erase?: readonly string[] | undefined;
  /** Where it may see who listens. Absent: nowhere. */
  readonly presence?: readonly string[] | undefined;
  readonly admin: boolean;
  /** Whether metrics, the details of readiness and the description of the service may be read: a part of what administrators may. */
  readonly operate: boolean;
}

/** The most topics and patterns of one list. Stops one credential from making every check slow. */
export const PERMISSION_MAX_PATTERNS = 100;
