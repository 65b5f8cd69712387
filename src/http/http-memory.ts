import type { Config } from '../config/config.ts';
import { Budget } from '../runtime/sharing/budget.ts';
import { systemClock as clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { Slices } from '../runtime/slices.ts';
import { HeldRequests } from './held-requests.ts';
import { BatchTurns } from './input/batch-turns.ts';
import { OutgoingBytes } from './output/outgoing-bytes.ts';
import { PageBodies } from './output/page-bodies.ts';

/** The budgets of memory for requests and their answers, over all connections. */
export interface HttpMemory {
  /** Bodies that arrive or wait, the messages of batches until they are stored, parts of requests, heads that arrive, and long heads. */
  readonly bodies: Budget;
  /** Pages of history while they are put together, and answers until their clients have taken them. */
  readonly answers: Budget;
  readonly outgoing: OutgoingBytes;
  readonly requests: HeldRequests;
  readonly batches: BatchTurns;
  readonly pages: PageBodies;
}

export function httpMemory({ REQUEST_BYTES, ANSWER_BYTES, BATCH_BYTES, TRUST_PROXY }: Config, counters: Pick<Counters, 'evicted'>): HttpMemory {
  const bodies = new Budget(REQUEST_BYTES, { gate: 'bodies', counters, clock });
  const answers = new Budget(ANSWER_BYTES, { gate: 'answers', counters, clock });
  // All long work of requests shares the same part of a turn.
  const slices = new Slices(clock);
  return { bodies, answers, pages: new PageBodies({ slices, counters }), requests: new HeldRequests(bodies, TRUST_PROXY), outgoing: new OutgoingBytes(answers), batches: new BatchTurns({ maxBytes: BATCH_BYTES, slices, counters }) };
}
