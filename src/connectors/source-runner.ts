import type { Problem } from '../model/problem.ts';
import type { Runner } from '../ownership/ownership.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { SourcePosition } from '../store/contracts/connector-store.ts';
import { StoreError } from '../store/store.ts';
import { ConnectorState, countConnector, reasonOf, type ConnectorStatus } from './connector-state.ts';
import { openUnlessAborted } from './opening.ts';
import { OwnedElsewhere } from './owned-elsewhere.ts';
import type { SourcePlan } from './plan.ts';
import type { ContentBounds } from './record-draft.ts';
import { RetryPause } from './retry-pause.ts';
import { SourceSteps, type SourceStepsDependencies, type StoredAs } from './source-steps.ts';
import type { Reading, Source, SourceRecord } from './transport.ts';

/** The most records of one step, and their most bytes. Stops a source from filling the publishers' queue. */
export const STEP_MAX_RECORDS = 256;
const STEP_MAX_BYTES = 1024 * 1024;

export interface SourceRunnerDependencies extends SourceStepsDependencies {
  readonly bounds: ContentBounds & {
    /** APPEND_QUEUE_MESSAGES and APPEND_QUEUE_BYTES: the queue of publishers never has room for a larger step. */
    readonly queueMessages: number;
    readonly queueBytes: number;
  };
  readonly clock: Clock;
  readonly now: () => number;
  readonly random: () => number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/**
 * Runs one source under one fence: opens the transport's source, stores its records in steps (source-steps.ts), and opens a new one when it fails.
 *
 *     #run:   load the positions ─► open ─► read ─► it fails ─► close ─► pause ─► load …
 *     #take:  records ─► steps ─► #store, which repeats each step until it is stored
 */
export class SourceRunner implements Runner {
  readonly version = 0;
  readonly fence: number;
  readonly #plan: SourcePlan;
  readonly #deps: SourceRunnerDependencies;
  readonly #steps: SourceSteps;
  readonly #state: ConnectorState;
  readonly #retry: RetryPause;
  /** Aborted by `stop`. */
  readonly #stopping = new AbortController();
  /** Settles when no call of `take` or `startAt` is under way. */
  #calls: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();

  constructor(plan: SourcePlan, fence: number, deps: SourceRunnerDependencies) {
    this.#plan = plan;
    this.fence = fence;
    this.#deps = deps;
    this.#steps = new SourceSteps(plan, fence, deps);
    this.#state = new ConnectorState({ ...deps, plan });
    this.#retry = new RetryPause(deps);
  }

  get status(): ConnectorStatus {
    return { ...this.#state.status, positions: this.#steps.shownPositions };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Never cancels an append. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** The same as `stop`, which is graceful already. */
  finish(): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let goesOn = !signal.aborted; goesOn; goesOn = await this.#retry.passes(signal)) {
      let source: Source | undefined;
      const readingEnded = new AbortController();
      try {
        await this.#steps.load();
        source = await openUnlessAborted(this.#plan.opener, { name: this.#plan.name, logId: this.#deps.logId(), fence: this.fence, signal }, (error) => this.#state.failed(error));
        await source.read(this.#reading(AbortSignal.any([signal, readingEnded.signal])));
        if (!signal.aborted) throw new Error('the source ended');
      } catch (error) {
        if (error instanceof OwnedElsewhere) return;
        if (!signal.aborted) this.#state.failed(error);
      } finally {
        readingEnded.abort();
        if (source !== undefined) await this.#close(source);
        // Wait for the calls of this source: the next source delivers their records again, and two calls must not store the same record.
        await this.#calls;
      }
    }
  }

  async #close(source: Source): Promise<void> {
    try {
      await source.close();
    } catch (error) {
      this.#state.failed(error);
    }
  }

  #reading(signal: AbortSignal): Reading {
    const { counters } = this.#deps;
    const { name } = this.#plan;
    return {
      positions: this.#steps.positions, signal,
      take: (records) => this.#track(this.#take(records, signal)),
      startAt: (places) => this.#track(this.#startAt(places)),
      up: () => {
        this.#retry.opened();
        this.#state.up();
      },
      waiting: (behind) => this.#state.set({ behind }),
      lost: (records) => countConnector(counters.connectors, name, 'lost', records),
    };
  }

  async #track(call: Promise<void>): Promise<void> {
    this.#calls = Promise.allSettled([this.#calls, call]).then(() => undefined);
    await call;
  }

  async #startAt(places: ReadonlyMap<string, SourcePosition>): Promise<void> {
    const outcome = await this.#steps.moveTo(places);
    // The error ends the reading, and the next source tries again.
    if (outcome.kind !== 'stored') throw outcome.failure;
  }

  /** Divides records into steps, and stores one after the other. */
  async #take(records: readonly SourceRecord[], signal: AbortSignal): Promise<void> {
    const { queueMessages, queueBytes } = this.#deps.bounds;
    const [maxRecords, maxBytes] = [Math.min(STEP_MAX_RECORDS, queueMessages), Math.min(STEP_MAX_BYTES, queueBytes)];
    for (let from = 0; from < records.length;) {
      let to = from + 1;
      let bytes = records[from]!.data.length;
      while (to < records.length && to - from < maxRecords && (bytes += records[to]!.data.length) <= maxBytes) to++;
      await this.#store(records.slice(from, to), 'messages', signal);
      from = to;
    }
  }

  /** Stores records as one step, and repeats it until it is stored. @throws OwnedElsewhere, or any error once the reading has ended */
  async #store(records: readonly SourceRecord[], storedAs: StoredAs, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const fresh = this.#steps.freshOf(records);
      if (fresh.length === 0) return;
      const outcome = await this.#steps.store(fresh, storedAs);
      switch (outcome.kind) {
        case 'stored':
          this.#retry.succeeded();
          this.#state.up();
          return;
        case 'refused':
          return this.#storeRefused(fresh, storedAs, outcome.failure, signal);
        case 'failed':
          this.#state.failed(outcome.failure);
          await this.#retry.wait(signal);
          break;
        case 'unknown':
          this.#state.failed(outcome.failure);
          // Without positions we cannot tell whether the records were stored. Such a source promises at most once, so do not repeat the step: count the records as lost.
          if (fresh.some(({ at }) => at === undefined)) {
            countConnector(this.#deps.counters.connectors, this.#plan.name, 'lost', fresh.length);
            return;
          }
          await this.#reloadLater(signal);
          break;
        case 'outdated':
          await this.#reloadLater(signal);
      }
    }
  }

  /** The log refused the step because of one record. Splits the step until that record is alone; then stores a dead letter instead, or at last only the position. */
  async #storeRefused(records: readonly SourceRecord[], storedAs: StoredAs, failure: Problem, signal: AbortSignal): Promise<void> {
    if (records.length > 1) {
      const middle = records.length >> 1;
      await this.#store(records.slice(0, middle), storedAs, signal);
      return this.#store(records.slice(middle), storedAs, signal);
    }
    const facts = { connector: this.#plan.name, at: records[0]!.at, reason: reasonOf(failure) };
    switch (storedAs) {
      case 'messages':
        this.#deps.logger.error(facts, 'the log refused a record of a source: it becomes a dead letter');
        return this.#store(records, 'dead letters', signal);
      case 'dead letters':
        this.#deps.logger.error(facts, 'the log refused the dead letter of a record of a source: only the position moves');
        return this.#store(records, 'nothing', signal);
      case 'nothing':
        throw failure;
    }
  }

  /** Reads the stored positions after a pause: another owner may have moved them, or the last step may have been stored. */
  async #reloadLater(signal: AbortSignal): Promise<void> {
    await this.#retry.wait(signal);
    for (;;) {
      try {
        return await this.#steps.load();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#state.failed(error);
        await this.#retry.wait(signal);
      }
    }
  }
}
