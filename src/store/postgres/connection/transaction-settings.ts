/** How long an append waits for the lock of the head. Other instances hold it only during their commits. */
export const LOCK_MS = 5_000;
/** How long the server may work at one call. */
const STATEMENT_MS = 10_000;
/** The server ends a transaction that waits this long for its client. Only migrations have transactions that wait. */
const IDLE_IN_TRANSACTION_MS = 10_000;

/**
 * The settings of each call's transaction. They override the settings of the server, the database and the role. They travel in the same message as the call,
 * so they also work through a pooler such as PgBouncer.
 *
 * - READ COMMITTED takes a snapshot for each statement. So a statement after a lock sees everything that was committed under that lock (invariant 2).
 * - `synchronous_commit` makes an answer a promise (invariant 1).
 * - `jit` is off: compilation would take a hundred times as long as these short statements.
 */
export const TRANSACTION_SETTINGS = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT '
  + Object.entries({
    statement_timeout: STATEMENT_MS, lock_timeout: LOCK_MS, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS, synchronous_commit: 'on', array_nulls: 'on', jit: 'off',
  }).map(([name, value]) => `set_config('${name}', '${value}', true)`).join(', ');
