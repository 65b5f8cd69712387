/** What a credential allows: topics and patterns that it may publish to, those that it may read, and whether it administers. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly admin: boolean;
}

/** The most topics and patterns of one list. Stops one credential from making every check slow. */
export const PERMISSION_MAX_PATTERNS = 100;
