import type { KeptAttempt } from '../store/contracts/webhook-store.ts';
import type { Outcome } from './sender.ts';

/** Stops what a receiver's answer becomes as JSON from growing: each byte that is no text takes several. */
const EXCERPT_MAX_CHARACTERS = 256;

/** An attempt as the database keeps it. */
export function attemptText(id: string, { status, error, excerpt, milliseconds }: Outcome, now: number): string {
  const answer = excerpt.slice(0, EXCERPT_MAX_CHARACTERS).toWellFormed();
  return JSON.stringify({ delivery: id, time: new Date(now).toISOString(), status, error, milliseconds: Math.round(milliseconds), ...(answer === '' ? {} : { answer }) });
}

/** An attempt as administrators see it. */
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
