import type { Clock } from '../../runtime/clock.ts';
import { StoreError } from '../../store/store.ts';

/** How long a request waits for the database to say whether its credential is good. Stops a database that hangs from keeping requests, and clients that gave up from filling the queue. */
const ASK_MAX_MS = 3_000;

/** It cannot be said now whether a credential is good: too many questions wait, or the database does not answer. */
export class CredentialsUnavailable extends Error {
  override name = 'CredentialsUnavailable';
}

/**
 * The database's answer about credentials, if it comes in time. Rejects with `CredentialsUnavailable` otherwise.
 * @param name The kind of record, for messages: `keys`.
 */
export async function inTime<Answer>(clock: Clock, name: string, answer: Promise<Answer>): Promise<Answer> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(ASK_MAX_MS, () => late.reject(new CredentialsUnavailable(`the database did not answer within ${ASK_MAX_MS / 1000} seconds`)));
  try {
    return await Promise.race([answer, late.promise]);
  } catch (error) {
    throw error instanceof StoreError ? new CredentialsUnavailable(`the database cannot be asked for ${name}: ${error.message}`, { cause: error }) : error;
  } finally {
    timer.cancel();
  }
}
