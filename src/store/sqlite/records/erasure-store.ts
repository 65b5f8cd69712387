import type { LogState } from '../../../model/epochs.ts';
import type { Position } from '../../../model/position.ts';
import { requireErasingLevel } from '../../rows/erasure-rows.ts';
import type { ErasedMessage, ErasedStep, ErasureChanges, ErasureStore, TopicErasure, Wiped } from '../../contracts/erasure-store.ts';
import type { ErasureCalls } from './erasures.ts';

/** Performs one call of `Erasures` in a transaction of its own, and returns the state of the log after it, too. */
export type CallErasures = <Name extends keyof ErasureCalls>(name: Name, argument: ErasureCalls[Name]['argument']) => Promise<{ readonly answer: ErasureCalls[Name]['answer']; readonly log: LogState }>;

/** The main thread's end: turns each method into a call of `Erasures`. */
export class SqliteErasureStore implements ErasureStore {
  readonly #call: CallErasures;
  readonly #wipe: () => Promise<Wiped>;

  constructor(call: CallErasures, wipe: () => Promise<Wiped>) {
    this.#call = call;
    this.#wipe = wipe;
  }

  async eraseMessage({ epoch, seq }: Position): Promise<ErasedMessage> {
    const { answer: { level, outcome } } = await this.#call('eraseMessage', { epoch, seq });
    requireErasingLevel(level);
    return outcome;
  }

  async eraseTopic({ topic, after, through, rows }: TopicErasure): Promise<ErasedStep> {
    const { answer: { level, step } } = await this.#call('eraseTopic', { topic, after, epoch: through.epoch, through: through.seq, rows });
    requireErasingLevel(level);
    return step;
  }

  async changes(after: number): Promise<ErasureChanges> {
    const { answer, log } = await this.#call('erasureChanges', { after });
    return { ...answer, log };
  }

  wipe(): Promise<Wiped> {
    return this.#wipe();
  }
}
