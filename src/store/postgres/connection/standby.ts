import { StoreError } from '../../store.ts';
import type { Row } from './connection.ts';

/**
 * Refuses the answer of a standby, because it may lack acknowledged messages. The error also ends the connection, because a connection never moves to another
 * server. A new one may reach the primary.
 *
 * @param rows The last column of each tells whether the server is a standby.
 */
export function refuseStandby(rows: readonly Row[]): void {
  if (rows.some((row) => row.at(-1) === 't')) throw new StoreError('unavailable', 'the server is a standby: its copy of the log may be old');
}
