/** The permissions of a credential. The lists hold topics and patterns: where it may publish, read and erase. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Absent: nowhere. So a credential that may not erase is stored in the older format, which older programs read too. */
  readonly erase?: readonly string[] | undefined;
  /** Where the credential may see presence. Absent: nowhere. */
  readonly presence?: readonly string[] | undefined;
  readonly admin: boolean;
  /** Whether the credential may read metrics, the details of readiness and the description of the service. `admin` includes it. */
  readonly operate: boolean;
}

/** The most topics and patterns of one list. Stops one credential from making every check slow. */
export const PERMISSION_MAX_PATTERNS = 100;
