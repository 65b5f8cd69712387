import { StoreError } from '../../store.ts';
import type { Row } from './connection.ts';

/**
 * Refuses the answer of a standby, which may be older than what was acknowledged. The error ends the connection that the answer came from, since that one
 * would lead to the standby for good: a new connection may reach the primary.
 *
 * @param rows Each ends with the state of the log, and the last column says whether the server is a standby.
 */
export function refuseStandby(rows: readonly Row[]): void {
  if (rows.some((row) => row.at(-1) === 't')) throw new StoreError('unavailable', 'the server is a standby: its copy of the log may be old');
}
