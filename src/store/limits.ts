/** Limits that both stores keep. */

/** How many rows and index entries one read examines: stops a filter that matches little from keeping every other read waiting. */
export const SCAN_MAX_ROWS = 10_000;

/** A step of retention also ends after this many bytes: large rows take longer, and appends wait for the step. */
export const TRIM_STEP_BYTES = 4 * 1024 * 1024;

/** A step of an erasure also ends after this many bytes, and after this many examined messages: appends wait for the step. */
export const ERASE_STEP_BYTES = 4 * 1024 * 1024;
export const ERASE_SCAN_MAX_ROWS = 5_000;

/** How many of the newest epochs stay known after their messages are gone: a client that comes back late gets `expired`, not `unknown-log`. */
export const KEPT_EPOCHS = 1_000;

/** How many epochs SQLite forgets together, at least: it then looks which epochs the idempotency keys name, and reads all keys for it. */
export const PRUNE_EPOCHS = 100;
