/** How long an append waits for the head's lock. Another instance holds it only for the time of its commit. */
export const LOCK_MS = 5_000;
/** How long the server works at one call before it gives up. */
const STATEMENT_MS = 10_000;
/** The server ends a transaction that waits this long for its client. Only our migrations ever wait. */
const IDLE_IN_TRANSACTION_MS = 10_000;

/**
 * Settings of each call's transaction. They override those of the server, the database and the role. They travel in the call's own message, so they also work
 * through a pooler such as PgBouncer. READ COMMITTED takes a snapshot for each statement: what follows a lock
 * sees everything that was committed under it (invariant 2). `synchronous_commit` makes an answer a promise (invariant 1). JIT compilation takes a hundred
 * times as long as these short statements.
 */
export const TRANSACTION_SETTINGS = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT '
  + Object.entries({
    statement_timeout: STATEMENT_MS, lock_timeout: LOCK_MS, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS, synchronous_commit: 'on', array_nulls: 'on', jit: 'off',
  }).map(([name, value]) => `set_config('${name}', '${value}', true)`).join(', ');
