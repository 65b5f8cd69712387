/** Limits that both stores keep. */

/** The most rows and index entries that one read examines. Stops a filter with few matches from delaying all other reads. */
export const SCAN_MAX_ROWS = 10_000;

/** A step of retention also ends after this many bytes. Stops steps with large rows from delaying appends. */
export const TRIM_STEP_BYTES = 4 * 1024 * 1024;

/** A step of an erasure also ends after this many bytes, or this many examined messages. Stops a step from delaying appends. */
export const ERASE_STEP_BYTES = 4 * 1024 * 1024;
export const ERASE_SCAN_MAX_ROWS = 5_000;

/** How many of the newest epochs stay known after their messages are deleted. So the `$gap` of a client that comes back late says `expired`, not `unknown-log`. */
export const KEPT_EPOCHS = 1_000;

/** SQLite deletes old epochs only when this many are due. Each deletion reads all idempotency keys, because a key may name an epoch. */
export const PRUNE_EPOCHS = 100;
