import type { Position } from '../../model/position.ts';
import { requireErasingLevel } from '../erasure-rows.ts';
import type { ErasedMessage, ErasedStep, ErasureChanges, ErasureStore, TopicErasure } from '../erasure-store.ts';
import type { ErasureCall, ErasureCalls } from './erasures.ts';

/** Performs one call of `Erasures` in a transaction of its own. */
export type CallErasures = <Name extends ErasureCall>(name: Name, argument: ErasureCalls[Name]['argument']) => Promise<ErasureCalls[Name]['answer']>;

/** Turns each call into one of `Erasures`. */
export class SqliteErasureStore implements ErasureStore {
  readonly #call: CallErasures;
  readonly #wipe: () => Promise<boolean>;

  constructor(call: CallErasures, wipe: () => Promise<boolean>) {
    this.#call = call;
    this.#wipe = wipe;
  }

  async eraseMessage({ epoch, seq }: Position): Promise<ErasedMessage> {
    const { level, outcome } = await this.#call('eraseMessage', { epoch, seq });
    requireErasingLevel(level);
    return outcome;
  }

  async eraseTopic({ topic, after, through, rows }: TopicErasure): Promise<ErasedStep> {
    const { level, step } = await this.#call('eraseTopic', { topic, after, epoch: through.epoch, through: through.seq, rows });
    requireErasingLevel(level);
    return step;
  }

  changes(after: number): Promise<ErasureChanges> {
    return this.#call('erasureChanges', { after });
  }

  wipe(): Promise<boolean> {
    return this.#wipe();
  }
}
