import type { Publisher } from '../log/publisher/publisher.ts';
import { OutdatedStep } from '../log/publisher/receipt.ts';
import { FULL_GRANT } from '../model/grant.ts';
import type { Draft } from '../model/message.ts';
import { Problem } from '../model/problem.ts';
import type { Runner } from '../ownership/ownership.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { SOURCE_MAX_PARTS, type ConnectorStore, type PositionMove, type SourcePosition } from '../store/contracts/connector-store.ts';
import { StoreError } from '../store/store.ts';
import { ConnectorState, countConnector, reasonOf, type ConnectorStatus } from './connector-state.ts';
import { openUnlessAborted } from './opening.ts';
import type { SourcePlan } from './plan.ts';
import { deadRecord, draftOf, type ContentBounds } from './record-draft.ts';
import { RetryPause } from './retry-pause.ts';
import { LOG_HEADER, type Reading, type Source, type SourceRecord } from './transport.ts';

/** The most records of one step, and their most bytes. Stops a source from filling the publishers' queue. */
export const STEP_MAX_RECORDS = 256;
const STEP_MAX_BYTES = 1024 * 1024;
/** The most parts whose positions the status shows. */
const SHOWN_MAX_PARTS = 16;
/** The most characters of these parts. Stops long names of topics from making a status too large for the database. */
const SHOWN_PARTS_MAX_CHARACTERS = 1_500;
const POSITION_MAX_CHARACTERS = 24;

export interface SourceRunnerDependencies {
  readonly store: Pick<ConnectorStore, 'findConnectors' | 'sourcePositions'>;
  readonly publisher: Pick<Publisher, 'publish'>;
  readonly bounds: ContentBounds & {
    /** APPEND_QUEUE_MESSAGES and APPEND_QUEUE_BYTES: a larger step would never find room. */
    readonly queueMessages: number;
    readonly queueBytes: number;
  };
  /** The log's own id. A source recognizes this log's own records by it. */
  readonly logId: () => string;
  readonly clock: Clock;
  readonly now: () => number;
  readonly random: () => number;
  readonly counters: Pick<Counters, 'connectors'>;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Another instance owns the connector. */
export class OwnedElsewhere extends Error {
  override name = 'OwnedElsewhere';
}

/** How records are stored. The log may refuse a message: then a dead letter is tried, and then only the position moves. */
type StoredAs = 'messages' | 'dead letters' | 'nothing';

/**
 * One source under one fence. It opens the transport's source and stores its records in steps. A step moves the stored position and stores the messages in one transaction. It fails if
 * the stored position is not the one that this runner knows. So a record that comes twice, or that a frozen owner stores late, is stored once.
 */
export class SourceRunner implements Runner {
  readonly version = 0;
  readonly fence: number;
  readonly #plan: SourcePlan;
  readonly #deps: SourceRunnerDependencies;
  readonly #ended = new AbortController();
  readonly #state: ConnectorState;
  readonly #retry: RetryPause;
  #positions: Map<string, SourcePosition> = new Map();
  /** Settles when no call of `take` or `startAt` is under way. */
  #calls: Promise<void> = Promise.resolve();
  #running: Promise<void> = Promise.resolve();

  constructor(plan: SourcePlan, fence: number, deps: SourceRunnerDependencies) {
    this.#plan = plan;
    this.fence = fence;
    this.#deps = deps;
    this.#state = new ConnectorState({ ...deps, plan });
    this.#retry = new RetryPause(deps);
  }

  get status(): ConnectorStatus {
    const shown: (readonly [part: string, at: SourcePosition])[] = [];
    let characters = 0;
    for (const [part, at] of this.#positions) {
      characters += part.length + at.identity.length + POSITION_MAX_CHARACTERS;
      if (shown.length === SHOWN_MAX_PARTS || characters > SHOWN_PARTS_MAX_CHARACTERS) break;
      shown.push([part, at]);
    }
    return { ...this.#state.status, positions: Object.fromEntries(shown.map(([part, { identity, position }]) => [part, `${identity}@${position}`])) };
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  /** The append under way ends by itself. */
  finish(): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      let source: Source | undefined;
      const ended = new AbortController();
      try {
        await this.#load();
        source = await openUnlessAborted(this.#plan.opener, { name: this.#plan.name, logId: this.#deps.logId(), fence: this.fence, signal }, (error) => this.#state.failed(error));
        await source.read(this.#reading(AbortSignal.any([signal, ended.signal])));
        if (!signal.aborted) throw new Error('the source ended');
      } catch (error) {
        if (error instanceof OwnedElsewhere) return;
        if (!signal.aborted) this.#state.failed(error);
      } finally {
        // The next source brings these records again, so no call may still hold them.
        ended.abort();
        if (source !== undefined) await this.#close(source);
        await this.#calls;
      }
      await this.#retry.wait(signal);
    }
  }

  async #close(source: Source): Promise<void> {
    try {
      await source.close();
    } catch (error) {
      this.#state.failed(error);
    }
  }

  /** Reads the positions that are stored. @throws OwnedElsewhere, StoreError */
  async #load(): Promise<void> {
    const { store } = this.#deps;
    const { name } = this.#plan;
    const [record] = await store.findConnectors([name]);
    if (record?.fence !== this.fence) throw new OwnedElsewhere('another instance owns the source');
    this.#positions = new Map((await store.sourcePositions(name)).map(({ part, identity, position }) => [part, { identity, position }]));
  }

  #reading(signal: AbortSignal): Reading {
    const { counters } = this.#deps;
    const { name } = this.#plan;
    return {
      positions: this.#positions, signal,
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

  async #startAt(places: ReadonlyMap<string, SourcePosition>): Promise<void> {
    const failure = await this.#publish([], [...places].map(([part, to]) => ({ part, from: this.#positions.get(part), to })));
    // The next opening tries again.
    if (failure !== undefined) throw failure;
  }

  /** Stores records as one step, and tries again until that succeeds. @throws OwnedElsewhere, or any error once the reading has ended */
  async #store(records: readonly SourceRecord[], storedAs: StoredAs, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const fresh = this.#freshOf(records);
      countConnector(this.#deps.counters.connectors, this.#plan.name, 'known', records.length - fresh.length);
      if (fresh.length === 0) return;
      const failure = await this.#step(fresh, storedAs);
      if (failure === undefined) return;
      if (failure instanceof Problem && failure.code === 'internal') return this.#storeRefused(fresh, storedAs, failure, signal);
      if (!(failure instanceof OutdatedStep)) this.#state.failed(failure);
      if (failure instanceof Problem && failure.code === 'outcome-unknown' && fresh.some(({ at }) => at === undefined)) {
        // A record without a position may be stored already, and its source delivers at most once: it is not stored again.
        countConnector(this.#deps.counters.connectors, this.#plan.name, 'lost', fresh.length);
        return;
      }
      await this.#retry.wait(signal);
      // Another owner may have moved the position, or this append may have succeeded.
      if (failure instanceof OutdatedStep || (failure instanceof Problem && failure.code === 'outcome-unknown')) await this.#reload(signal);
    }
  }

  /** The log refuses one of these records, which must not keep the others out. Halves find it. */
  async #storeRefused(records: readonly SourceRecord[], storedAs: StoredAs, failure: Problem, signal: AbortSignal): Promise<void> {
    if (records.length > 1) {
      const middle = records.length >> 1;
      await this.#store(records.slice(0, middle), storedAs, signal);
      return this.#store(records.slice(middle), storedAs, signal);
    }
    if (storedAs === 'nothing') throw failure;
    this.#deps.logger.error({ connector: this.#plan.name, at: records[0]!.at, reason: reasonOf(failure) }, 'the log does not take a record of a source');
    return this.#store(records, storedAs === 'messages' ? 'dead letters' : 'nothing', signal);
  }

  async #reload(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await this.#load();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#state.failed(error);
        await this.#retry.wait(signal);
        signal.throwIfAborted();
      }
    }
  }

  /** The records that are not stored yet. */
  #freshOf(records: readonly SourceRecord[]): readonly SourceRecord[] {
    return records.filter(({ part, at }) => {
      const stored = this.#positions.get(part);
      return at === undefined || stored === undefined || stored.identity !== at.identity || at.position > stored.position;
    });
  }

  /** @returns Undefined once stored; otherwise the failure. After `outcome-unknown` the step may be stored. */
  async #step(records: readonly SourceRecord[], storedAs: StoredAs): Promise<Problem | OutdatedStep | undefined> {
    const { counters } = this.#deps;
    const { name } = this.#plan;
    const counted = { stored: 0, dead: 0, own: 0 };
    const drafts = storedAs === 'nothing' ? [] : records.flatMap((record) => this.#draftsOf(record, storedAs, counted));
    const failure = await this.#publish(drafts, this.#movesOf(records));
    if (failure !== undefined) return failure;
    for (const [outcome, count] of Object.entries(counted)) countConnector(counters.connectors, name, outcome as keyof typeof counted, count);
    this.#retry.succeeded();
    this.#state.up();
    return undefined;
  }

  /** @returns As `#step`. */
  async #publish(drafts: readonly Draft[], moves: readonly PositionMove[]): Promise<Problem | OutdatedStep | undefined> {
    const { name, opener } = this.#plan;
    try {
      await this.#deps.publisher.publish(FULL_GRANT, drafts, undefined, { step: { connector: name, fence: this.fence, origin: opener.place, moves } });
    } catch (error) {
      if (error instanceof Problem || error instanceof OutdatedStep) return error;
      throw error;
    }
    for (const { part, from, to } of moves) {
      if (from !== undefined && ((from.identity !== to.identity && from.identity !== '') || to.position < from.position)) this.#warnOfRenewal(part, from, to);
      this.#positions.set(part, to);
    }
    return undefined;
  }

  #draftsOf(record: SourceRecord, storedAs: StoredAs, counted: { stored: number; dead: number; own: number }): readonly Draft[] {
    // The record came from this log: stored again, it would go round for ever.
    if (record.headers[LOG_HEADER] === this.#deps.logId()) {
      counted.own += 1;
      return [];
    }
    const { name, deadTopic } = this.#plan;
    let reason = 'the log cannot store it';
    if (storedAs === 'messages') {
      try {
        const draft = draftOf(this.#plan, record, this.#deps.bounds);
        counted.stored += 1;
        return [draft];
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        reason = error.message;
      }
    }
    counted.dead += 1;
    return [deadRecord(name, deadTopic, record, reason)];
  }

  #movesOf(records: readonly SourceRecord[]): readonly PositionMove[] {
    const last = new Map<string, SourcePosition>();
    for (const { part, at } of records) if (at !== undefined) last.set(part, { identity: at.identity, position: at.position });
    if (last.size > SOURCE_MAX_PARTS) throw new RangeError(`a source has more than ${SOURCE_MAX_PARTS} parts`);
    return [...last].map(([part, to]) => ({ part, from: this.#positions.get(part), to }));
  }

  #warnOfRenewal(part: string, from: SourcePosition, to: SourcePosition): void {
    countConnector(this.#deps.counters.connectors, this.#plan.name, 'renewed');
    this.#deps.logger.warn({ connector: this.#plan.name, part, from, to }, 'the other system recreated or reset a stream or topic: its source reads on from the new position');
  }
}
