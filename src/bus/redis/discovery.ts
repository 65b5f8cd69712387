import type { Redis } from 'ioredis';
import type { Access, Address } from '../../config/redis-url.ts';

/** Where the connections of a bus lead: which server, and whether it is still the right one. */
export interface Route {
  readonly access: Access;

  /** Where the next attempt leads. Rejects with why there is nowhere to go yet; it is asked again. `close` ends its waiting. */
  next(): Promise<Address>;

  /**
   * Why a connection that is open leads to the wrong server; undefined when it does not, or when nobody can tell. Asked before the
   * connection is used, and again and again. Never rejects; waits no longer than the connection itself does. Without it, no server is wrong.
   */
  wrong?(redis: Redis, at: Address): Promise<string | undefined>;

  /** Releases what it holds; waits for none that hangs. */
  close?(): Promise<void>;
}

/** To one server, always. */
export function fixedRoute(address: Address, access: Access): Route {
  return { access, next: () => Promise.resolve(address) };
}
