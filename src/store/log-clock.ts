import { setTimeout as sleep } from 'node:timers/promises';
import type { Migration } from './migrations.ts';
import { StoreError } from './store.ts';

/** The questions of the command `npm run clock`. Both stores answer them unopened, while instances run. */

/** One step: small enough that a publish which meets it waits for some milliseconds. Messages, and keys, which are smaller. */
export const ACCEPT_STEP_MESSAGES = 500;
export const ACCEPT_STEP_KEYS = 20_000;
/** The pause between steps, which leaves the database to the publishers. */
const ACCEPT_PAUSE_MS = 20;

/** Milliseconds since 1970. */
export interface LogClocks {
  readonly machine: number;
  /** The machine's clock as far as it is believed. */
  readonly believed: number;
  /** The newest message's time; undefined when there never was one. */
  readonly newest: number | undefined;
}

/** The messages that got the present time. */
export interface Restamped {
  readonly messages: number;
  readonly keys: number;
}

/** Takes one step after the other, until one says that there are no more. */
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

/** Throws where the schema is older than this program. */
export function requireSchema(missing: readonly Migration[]): void {
  if (missing.length > 0) throw new StoreError('unavailable', 'the schema of the database is older than this program: run `npm run migrate` first');
}

export function neverOpened(): StoreError {
  return new StoreError('unavailable', 'there is no log yet: an instance makes it when it starts');
}
