import { MessageWait, type MessageWaitDependencies } from '../delivery/message-wait.ts';
import type { History } from '../log/history/history-pages.ts';
import type { Found } from '../log/history/page.ts';
import type { Starts } from '../log/history/start-position.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Gap } from '../model/gap.ts';
import type { Message } from '../model/message.ts';
import { formatId, parseId, type Position } from '../model/position.ts';
import { Filter } from '../model/topic.ts';
import type { Runner } from '../ownership/ownership.ts';
import { Budget, Hold } from '../runtime/sharing/budget.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { ConnectorRecord, ConnectorStore } from '../store/contracts/connector-store.ts';
import { StoreError } from '../store/store.ts';
import { ConnectorState, countConnector, type ConnectorStatus } from './connector-state.ts';
import { openUnlessAborted } from './opening.ts';
import { DEAD_EVENT, type SinkPlan } from './plan.ts';
import { RetryPause } from './retry-pause.ts';
import { SinkSender, type SinkSenderDependencies } from './sink-sender.ts';
import { OwnedElsewhere } from './owned-elsewhere.ts';
import type { Sink } from './transport.ts';

/** The most messages of one read of the log. */
const SINK_READ_MAX_MESSAGES = 256;
/** The lease and the erasures are checked again after this many messages. An owner that froze and lost its lease sends at most this many twice. */
const SEND_MAX_MESSAGES = 32;
/** How often a moving cursor is stored. After a crash, the next owner sends the messages after the stored cursor again. JetStream deduplicates them by id. */
const CURSOR_KEPT_MS = 250;
/** How often the stored cursor of a sink without messages moves. Stops retention from passing it. */
const SINK_QUIET_MS = 60_000;

export interface SinkRunnerDependencies extends Omit<MessageWaitDependencies, 'filter' | 'quietMs' | 'tail'>, Omit<SinkSenderDependencies, 'succeeded'> {
  readonly store: Pick<ConnectorStore, 'noteConnector' | 'originsWithin'>;
  readonly history: Pick<History, 'findInTail'>;
  readonly starts: Pick<Starts, 'resolve'>;
  readonly tail: Pick<Tail, 'last' | 'log' | 'clean' | 'erasures'>;
  /** The most bytes of messages in memory. A single message may be larger. */
  readonly pageBytes: number;
  /** The dead letter topics of all connectors. No sink sends a dead letter, because a failing sink would then make dead letters of dead letters. */
  readonly deadTopics: ReadonlySet<string>;
  readonly clock: Clock;
  readonly now: () => number;
  readonly random: () => number;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
  /** Whether this instance still has its lease. */
  readonly ownsNow: () => boolean;
}

/**
 * Runs one sink under one fence: a cursor over the log, and the transport's sink. Messages go out in order. The cursor moves past a message that was acknowledged, became a dead letter, or was
 * left out.
 *
 *     #run ─► #locate (once) ─► open ─► #sendOn ─► #turn … #turn ─► at the end of the log: wait for messages ─► #turn …
 */
export class SinkRunner implements Runner {
  readonly version = 0;
  readonly fence: number;
  readonly #plan: SinkPlan;
  readonly #deps: SinkRunnerDependencies;
  readonly #filter: Filter;
  readonly #wait: MessageWait;
  readonly #stopping = new AbortController();
  readonly #state: ConnectorState;
  readonly #retry: RetryPause;
  readonly #sender: SinkSender;
  /** The cursor: all messages up to it are sent or left out. */
  #at: Position;
  /** A gap before `#at` that `#turn` has not reported yet. */
  #gap: Gap | undefined;
  /** Whether `#locate` has found `#at` in this log. */
  #isLocated = false;
  /** Whether no cursor was stored yet. Then `from` of the declaration says where the sink begins. */
  readonly #isNew: boolean;
  /** The cursor in the database, and when this runner last wrote it, by the monotonic clock. */
  #storedCursor: string;
  #storedAt = -Infinity;
  #running: Promise<void> = Promise.resolve();

  constructor(plan: SinkPlan, { cursor, fence }: ConnectorRecord, deps: SinkRunnerDependencies) {
    this.#plan = plan;
    this.fence = fence;
    this.#deps = deps;
    this.#filter = new Filter(plan.topics);
    this.#wait = new MessageWait({ ...deps, filter: this.#filter, quietMs: SINK_QUIET_MS });
    this.#state = new ConnectorState({ ...deps, plan });
    this.#retry = new RetryPause(deps);
    this.#sender = new SinkSender(plan, { ...deps, succeeded: () => {
      this.#retry.succeeded();
      this.#state.up();
    } });
    this.#storedCursor = cursor;
    this.#isNew = cursor === '';
    this.#at = parseId(cursor) ?? { epoch: '', seq: 0 };
  }

  get status(): ConnectorStatus {
    return { ...this.#state.status, behind: this.#isLocated ? Math.max(0, this.#deps.tail.last - this.#at.seq) : undefined };
  }

  /** The cursor as an id; '' until a new sink has found its start. */
  get cursor(): string {
    return this.#isLocated ? formatId(this.#at.epoch, this.#at.seq) : this.#storedCursor;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wait.cancel();
    await this.#running;
  }

  /** The same as `stop`, because `stop` never cancels a `send`. */
  finish(): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let goesOn = !signal.aborted; goesOn; goesOn = await this.#retry.passes(signal)) {
      let sink: Sink | undefined;
      try {
        await this.#locate();
        sink = await openUnlessAborted(this.#plan.opener, { name: this.#plan.name, logId: this.#deps.logId(), fence: this.fence, signal }, (error) => this.#state.failed(error));
        this.#retry.opened();
        await this.#sendOn(sink);
      } catch (error) {
        if (error instanceof OwnedElsewhere) return;
        if (!signal.aborted) this.#state.failed(error);
      } finally {
        if (sink !== undefined) await this.#close(sink);
      }
      await this.#tryToStoreCursor();
    }
  }

  async #close(sink: Sink): Promise<void> {
    try {
      await sink.close();
    } catch (error) {
      this.#state.failed(error);
    }
  }

  /** Finds the stored cursor in the log. Sets `#gap` if retention has deleted messages after it. */
  async #locate(): Promise<void> {
    if (this.#isLocated) return;
    const request = this.#isNew ? { kind: this.#plan.from } as const : { kind: 'after', position: this.#at } as const;
    const { at, gap } = await this.#deps.starts.resolve(request, { filter: this.#filter, hasLeft: () => this.#stopping.signal.aborted });
    this.#at = at;
    this.#gap = gap;
    this.#isLocated = true;
    // Store it at once: otherwise a new sink with `from: now` would begin later after a crash.
    await this.#storeCursor();
  }

  /** Sends messages until the runner stops. Rejects if the connection is lost, or the log cannot be read now. */
  async #sendOn(sink: Sink): Promise<void> {
    const { signal } = this.#stopping;
    let lost: Error | undefined;
    void sink.lost.then((reason) => {
      lost = reason instanceof Error ? reason : new Error('the connection was lost');
      this.#wait.cancel();
    });
    while (!signal.aborted) {
      if (lost !== undefined) throw lost;
      const isAtEnd = await this.#turn(sink);
      if (isAtEnd || this.#isCursorDue) await this.#storeCursor();
      if (!isAtEnd || signal.aborted || lost !== undefined) continue;
      this.#state.up();
      if (!this.#wait.makeRoom()) {
        this.#retry.succeeded();
        await this.#retry.wait(signal);
        this.#retry.opened();
        continue;
      }
      // No message up to `quietTo` matches: advance the cursor.
      const quietTo = await this.#wait.after(this.#at.seq);
      const { log } = this.#deps.tail;
      if (quietTo !== undefined && quietTo > this.#at.seq && log?.lineage.isGood(this.#at) === true) this.#at = log.lineage.at(quietTo);
    }
  }

  /** Reads some messages and sends them. @returns Whether the cursor is at the end of the log. */
  async #turn(sink: Sink): Promise<boolean> {
    const { counters, history, logger, pageBytes, tail } = this.#deps;
    const { erasures } = tail;
    // A budget of its own for each read: so a read never fails for lack of memory that others hold.
    const found = await history.findInTail({ at: this.#at, gap: this.#gap }, { filter: this.#filter, limit: SINK_READ_MAX_MESSAGES, maxBytes: pageBytes, hold: new Hold(new Budget(pageBytes)), ofHeld: false, readTo: 0 });
    if (found.gap !== undefined) {
      countConnector(counters.connectors, this.#plan.name, 'gap');
      logger.warn({ connector: this.#plan.name, gap: found.gap }, 'a sink missed messages: the log no longer has them');
      this.#at = parseId(found.gap.resumed)!;
      this.#gap = undefined;
      return false;
    }
    return this.#sendFound(sink, found, erasures);
  }

  /** Sends the messages of one read, except those that a source took from the same system. @returns As `#turn`. */
  async #sendFound(sink: Sink, { messages, at, more }: Found, erasures: number): Promise<boolean> {
    const origins = messages.length === 0 ? [] : await this.#deps.store.originsWithin(messages[0]!.seq, messages.at(-1)!.seq);
    const isFromSystem = ({ seq }: Message): boolean => origins.some(({ first, last, origin }) => seq >= first && seq <= last && origin === this.#plan.opener.place);
    const mayHandOver = (some: readonly Message[]): boolean => this.#mayHandOver(some, erasures);
    for (let from = 0; from < messages.length; from += SEND_MAX_MESSAGES) {
      const some = messages.slice(from, from + SEND_MAX_MESSAGES);
      if (!mayHandOver(some)) return false;
      if (!await this.#sender.send(sink, some.filter((message) => this.#wants(message, isFromSystem)), { mayHandOver, passed: (message) => this.#moveTo(message) })) return false;
      this.#moveTo(some.at(-1)!);
      if (this.#isCursorDue) await this.#storeCursor();
    }
    this.#moveTo(at);
    return messages.length === 0 && !more;
  }

  /**
   * Checks the lease, and makes tombstones of messages that were erased since they were read.
   * @param erasures The version of the erasures at the time of the read.
   * @returns False if the runner is stopping, or the tail has forgotten the erasures since that version: then read the messages again.
   * @throws Error if the lease has ended
   */
  #mayHandOver(messages: readonly Message[], erasures: number): boolean {
    if (this.#stopping.signal.aborted) return false;
    if (!this.#deps.ownsNow()) throw new Error('the lease of this instance has ended');
    return this.#deps.tail.clean(messages, { erasures });
  }

  #wants(message: Message, isFromSystem: (message: Message) => boolean): boolean {
    if (message.isErased || message.isExpired(this.#deps.now())) return false;
    if (message.event === DEAD_EVENT && this.#deps.deadTopics.has(message.topic)) return false;
    if (!isFromSystem(message)) return true;
    countConnector(this.#deps.counters.connectors, this.#plan.name, 'origin');
    return false;
  }

  #moveTo({ epoch, seq }: Position): void {
    this.#at = { epoch, seq };
  }

  get #isCursorDue(): boolean {
    return this.#deps.clock.monotonic() - this.#storedAt >= CURSOR_KEPT_MS;
  }

  /** @throws OwnedElsewhere, StoreError */
  async #storeCursor(): Promise<void> {
    const { cursor } = this;
    this.#storedAt = this.#deps.clock.monotonic();
    if (cursor === this.#storedCursor) return;
    if (!await this.#deps.store.noteConnector({ name: this.#plan.name, fence: this.fence, cursor, status: JSON.stringify(this.status) })) throw new OwnedElsewhere('another instance owns the sink');
    this.#storedCursor = cursor;
  }

  /** Stores the cursor after a failure, and at the end. If that fails too, the next owner sends some messages again. */
  async #tryToStoreCursor(): Promise<void> {
    try {
      await this.#storeCursor();
    } catch (error) {
      if (!(error instanceof StoreError) && !(error instanceof OwnedElsewhere)) throw error;
    }
  }
}
