import type { Redis } from 'ioredis';
import type { Access, Address } from '../../config/redis-url.ts';

/** Finds the server that a connection should lead to: one fixed server, the master that sentinels name, or a node of a cluster. */
export interface ServerDiscovery {
  /** How a client gets into the servers that it finds. */
  readonly access: Access;

  /** The server for the next attempt to connect. Rejects with the reason if there is no server yet; the connection asks again later. `close` ends the wait. */
  next(): Promise<Address>;

  /**
   * Why an open connection leads to the wrong server; undefined if it does not, or if nobody can tell. A connection asks before it is used,
   * and every few seconds after that. Never rejects; waits no longer than the connection waits for an answer.
   */
  reasonToLeave(redis: Redis, address: Address): Promise<string | undefined>;

  /** Releases connections of its own; does not wait for one that hangs. */
  close(): Promise<void>;
}

/** Always the same server. */
export function fixedServer(address: Address, access: Access): ServerDiscovery {
  return { access, next: () => Promise.resolve(address), reasonToLeave: () => Promise.resolve(undefined), close: () => Promise.resolve() };
}
