import type { KeptAttempt } from '../store/contracts/webhook-store.ts';
import type { Outcome } from './sender.ts';

/** The longest excerpt of an answer in the database. Bounds its JSON, where a byte that is no text takes several characters. */
const EXCERPT_MAX_CHARACTERS = 256;

/** An attempt as the text in the database. */
export function attemptText(id: string, { status, error, excerpt, milliseconds }: Outcome, now: number): string {
  const answer = excerpt.slice(0, EXCERPT_MAX_CHARACTERS).toWellFormed();
  return JSON.stringify({ delivery: id, time: new Date(now).toISOString(), status, error, milliseconds: Math.round(milliseconds), ...(answer === '' ? {} : { answer }) });
}

/** An attempt for administrators. */
export interface ShownAttempt {
  readonly number: number;
  readonly status?: number;
}

export function describeAttempt({ number, attempt }: KeptAttempt): ShownAttempt {
  return { number, ...JSON.parse(attempt) as Omit<ShownAttempt, 'number'> };
}

/** Whether a receiver took a delivery. */
export function isTaken(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300;
}
