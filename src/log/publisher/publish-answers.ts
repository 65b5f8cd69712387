import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Outcome, StoreErrorKind } from '../../store/store.ts';
import type { PublishQueue, Waiting } from './publish-queue.ts';
import type { PublishQuota } from '../retention/quota.ts';
import { OutdatedStep } from './receipt.ts';

const PROBLEM_OF: Record<StoreErrorKind, readonly [ProblemCode, string]> = {
  unavailable: ['unavailable', 'The message log is not available just now. Nothing was stored.'],
  'outcome-unknown': ['outcome-unknown', 'The connection to the message log was lost during the commit: retry only with an Idempotency-Key.'],
  refused: ['internal', 'The message log cannot store this message. Nothing was stored.'],
};

const FULL = 'More messages are waiting to be stored than this instance holds. Nothing was stored.';
const AT_BOUND = 'The log is at its bound, and older messages or idempotency keys have to be deleted first: that takes too long just now. Nothing was stored.';

export interface PublishAnswersDependencies {
  readonly queue: PublishQueue;
  readonly quota: PublishQuota;
  readonly counters: Pick<Counters, 'replayed' | 'refuse'>;
}

/** Answers publishers: each request gets one receipt, or one problem. Requests that were answered earlier, for example after a timeout, are skipped. */
export class PublishAnswers {
  readonly #queue: PublishQueue;
  readonly #quota: PublishQuota;
  readonly #counters: PublishAnswersDependencies['counters'];

  constructor({ queue, quota, counters }: PublishAnswersDependencies) {
    this.#queue = queue;
    this.#quota = quota;
    this.#counters = counters;
  }

  /** Answers requests by the store's outcomes, in the same order. */
  settle(requests: readonly Waiting[], outcomes: readonly Outcome[]): void {
    requests.forEach((waiting, index) => {
      if (waiting.isAnswered) return;
      this.#release(waiting);
      const outcome = outcomes[index]!;
      if (outcome.kind === 'conflict') {
        waiting.reject(this.#problem('key-reused', 'This key was used for a request with another topic, event, TTL, kind or body.', 'Idempotency-Key'));
        return;
      }
      if (outcome.kind === 'outdated') {
        waiting.reject(new OutdatedStep('the step of a source is not the next one'));
        return;
      }
      if (outcome.kind === 'replayed') this.#counters.replayed++;
      const { epoch, first, time } = outcome;
      waiting.resolve({ epoch, first, time, replayed: outcome.kind === 'replayed' });
    });
  }

  /** Refuses requests after an error of the store. */
  fail(requests: readonly Waiting[], kind: StoreErrorKind): void {
    this.#reject(requests, ...PROBLEM_OF[kind]);
  }

  /** Refuses a request that the queue evicted. */
  evict(waiting: Waiting): void {
    this.#reject([waiting], 'overloaded', FULL);
  }

  /** Refuses requests that waited too long for retention. */
  refuseAtBound(requests: readonly Waiting[]): void {
    this.#reject(requests, 'overloaded', AT_BOUND);
  }

  /** The problem for a request that finds the queue full. */
  queueFull(): Problem {
    return this.#problem('overloaded', FULL);
  }

  /** The problem for a request that comes while the store's answer is overdue. */
  storeSilent(): Problem {
    return this.#problem(...PROBLEM_OF.unavailable);
  }

  /** Counts a refusal. @returns The same problem. */
  countRefusal(problem: Problem): Problem {
    this.#counters.refuse(problem.code);
    return problem;
  }

  #reject(requests: readonly Waiting[], code: ProblemCode, detail: string): void {
    for (const waiting of requests) {
      if (waiting.isAnswered) continue;
      this.#release(waiting);
      waiting.reject(this.#problem(code, detail));
    }
  }

  #release(waiting: Waiting): void {
    waiting.isAnswered = true;
    this.#queue.release(waiting);
    this.#quota.giveBack(waiting.request.drafts, waiting.sender);
  }

  #problem(code: ProblemCode, detail: string, field?: string): Problem {
    return this.countRefusal(new Problem(code, detail, field === undefined ? {} : { field }));
  }
}
