import { setTimeout as sleep } from 'node:timers/promises';
import type { Migration } from './migrations.ts';
import { StoreError } from './store.ts';

/**
 * The common part of the command `npm run clock`, for both stores (`sqlite/log-clock.ts`, `postgres/log-clock.ts`). The command works on a database that no
 * `Store` has opened in this process. Instances may use it at the same time.
 */

/** The most messages, and the most keys, of one step. Stops a step from delaying publishes for more than some milliseconds. */
export const ACCEPT_STEP_MESSAGES = 500;
export const ACCEPT_STEP_KEYS = 20_000;
/** The pause between steps. Gives waiting publishes the lock. */
const ACCEPT_PAUSE_MS = 20;

/** Milliseconds since 1970. */
export interface LogClocks {
  readonly machine: number;
  /** The believed clock (believed-clock.ts). */
  readonly believed: number;
  /** The time of the newest message; undefined if the log never had one. */
  readonly newest: number | undefined;
}

/** How many messages and idempotency keys got the present time, because theirs was beyond it. */
export interface Restamped {
  readonly messages: number;
  readonly keys: number;
}

/** Runs steps until a step reports that no more are left. Returns the sums. */
export async function acceptInSteps(step: () => Promise<Restamped & { readonly more: boolean }>): Promise<Restamped> {
  const all = { messages: 0, keys: 0 };
  for (;;) {
    const { messages, keys, more } = await step();
    all.messages += messages;
    all.keys += keys;
    if (!more) return all;
    await sleep(ACCEPT_PAUSE_MS);
  }
}

/** Throws if a database lacks migrations. */
export function requireSchema(missing: readonly Migration[]): void {
  if (missing.length > 0) throw new StoreError('unavailable', 'the schema of the database is older than this program: run `npm run migrate` first');
}

export function neverOpened(): StoreError {
  return new StoreError('unavailable', 'there is no log yet: an instance makes it when it starts');
}
