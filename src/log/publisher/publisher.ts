import type { Bus } from '../../bus/bus.ts';
import { publishProblem, type Grant } from '../../model/grant.ts';
import { numbered, type Draft, type Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { ANYBODY, UNCOUNTED, type Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { SourceStep } from '../../store/contracts/connector-store.ts';
import { rowBytes } from '../../store/row-bytes.ts';
import { StoreError, type Appended, type Appends, type IdempotencyKey } from '../../store/store.ts';
import { CommitSize } from './commit-size.ts';
import { GroupCommit, type Commit } from './group-commit.ts';
import { PublishAnswers } from './publish-answers.ts';
import { PublishQueue, type Waiting } from './publish-queue.ts';
import { NO_QUOTA, type PublishQuota, type QuotaSender } from '../retention/quota.ts';
import type { Receipt } from './receipt.ts';
import { UNPACED, type Pace } from '../retention/retention.ts';
import { SILENT } from '../tail/store-watchdog.ts';
import type { Knowledge } from '../tail/tail-refill.ts';
import type { Tail } from '../tail/tail.ts';
import { WaitLimits } from './wait-limits.ts';
import { WriteHealth } from './write-health.ts';

/**
 * This room makes messages durable. Checked messages come in and wait in a queue; a group commit stores many at once. Receipts go out once the commit is
 * durable, or a refusal that says whether the messages were stored. A commit's messages go on to the tail.
 */

/** The origin of a publish. */
export interface PublishedBy {
  /** Its share of the queue: a full queue takes requests back from the largest holders. */
  readonly holder?: () => Holder;
  /** The sender on whose share of the log it counts. */
  readonly sender?: QuotaSender;
  /** The step of a source. Its messages are a commit of their own. If they are not the next ones, the publish rejects with `OutdatedStep`. */
  readonly step?: SourceStep;
}

export interface PublisherDependencies {
  readonly store: Appends;
  readonly tail: Tail;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Commits wait for it; absent: nobody waits. */
  readonly pace?: Pace;
  /** The most that one topic or sender may hold; absent: as much as there is room for. */
  readonly quota?: PublishQuota;
  /** Bound the queue of commits: beyond them a publish is refused, because it would wait too long. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/**
 * The only way into the log. A request waits in the queue (`publish-queue.ts`), is stored together with others (`group-commit.ts`), and its publisher gets an answer (`publish-answers.ts`). The messages
 * of a commit go to the tail and the bus first. While the log cannot be written, `write-health.ts` tries it again.
 */
export class Publisher {
  readonly #rowOverheadBytes: number;
  readonly #tail: Tail;
  readonly #bus: Bus;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #pace: Pace;
  readonly #quota: PublishQuota;
  readonly #queue: PublishQueue;
  readonly #commits: GroupCommit;
  readonly #answers: PublishAnswers;
  readonly #health: WriteHealth;
  readonly #waits: WaitLimits;

  constructor({ store, tail, bus, clock, counters, logger, pace = UNPACED, quota = NO_QUOTA, maxMessages, maxBytes }: PublisherDependencies) {
    this.#rowOverheadBytes = store.rowOverheadBytes;
    this.#tail = tail;
    this.#bus = bus;
    this.#counters = counters;
    this.#logger = logger;
    this.#pace = pace;
    this.#quota = quota;
    const commitSize = new CommitSize({ maxMessages, maxBytes });
    this.#queue = new PublishQueue({ counters, commitSize, maxMessages, maxBytes, onEvicted: (waiting) => this.#answers.evict(waiting) });
    this.#answers = new PublishAnswers({ queue: this.#queue, quota, counters });
    this.#health = new WriteHealth({ store, clock, logger, isSilent: () => this.#isSilent });
    this.#commits = new GroupCommit({
      store, queue: this.#queue, commitSize, tail, clock, counters, pace,
      listener: { stored: (requests, before, appended) => this.#stored(requests, before, appended), failed: (requests, error) => this.#fail(requests, error) },
    });
    this.#waits = new WaitLimits({ clock, look: () => this.#look() });
  }

  /** Messages that wait for their commit. */
  get waiting(): number {
    return this.#queue.waitingMessages;
  }

  /** Why messages cannot be stored; undefined when they can. */
  get failure(): string | undefined {
    return this.#health.failure;
  }

  get #isSilent(): boolean {
    return this.#commits.underWay.some(({ isGivenUp, isLate }) => isGivenUp && !isLate);
  }

  /**
   * Resolves once the messages are durable (invariant 1). Answers within 15 seconds, whatever the store does. Otherwise it rejects with a `Problem`. `overloaded`, `unavailable` and
   * `internal` mean that nothing was stored. `outcome-unknown`: nobody can say. `key-reused`: the key belongs to another request. `forbidden`: the grant leaves out one of the topics.
   * `topic-quota`: a topic or the sender holds too much.
   */
  publish(grant: Grant, drafts: readonly Draft[], key: IdempotencyKey | undefined, { holder = () => ANYBODY, sender, step }: PublishedBy = {}): Promise<Receipt> {
    const forbidden = publishProblem(grant, drafts);
    if (forbidden !== undefined) return Promise.reject(forbidden);
    let bytes = 0;
    let diskBytes = 0;
    for (const draft of drafts) {
      bytes += draft.data.length;
      diskBytes += rowBytes(draft, this.#rowOverheadBytes);
    }
    if (!this.#queue.makeRoom(drafts.length, bytes, holder)) return Promise.reject(this.#answers.queueFull());
    if (this.#isSilent) return Promise.reject(this.#answers.storeSilent());
    const exceeded = this.#quota.take(drafts, sender);
    if (exceeded !== undefined) return Promise.reject(this.#answers.countRefusal(exceeded));
    const since = this.#waits.begin();
    return new Promise((resolve, reject) => {
      this.#queue.add({ request: step === undefined ? { drafts, key } : { drafts, key, step }, sender, bytes, diskBytes, since, resolve, reject, share: UNCOUNTED, isAnswered: false }, holder);
      this.#commits.queued();
    });
  }

  /** The process ends: everyone who still waits is answered now. Requests that the store has may be stored. */
  giveUp(): void {
    for (const commit of this.#commits.underWay) this.#giveUp(commit, commit.requests.filter(({ isAnswered }) => !isAnswered));
    this.#refuse(this.#queue.takeUntil(() => false));
  }

  stop(): void {
    this.#health.stop();
    this.#commits.stop();
    this.#waits.stop();
  }

  /** @returns Whether anyone waits still. */
  #look(): boolean {
    for (const commit of this.#commits.underWay) this.#giveUp(commit, commit.requests.filter(({ since, isAnswered }) => !isAnswered && this.#waits.isUnansweredTooLong(since)));
    this.#refuse(this.#queue.takeUntil(({ since }) => !this.#isSilent && !this.#waits.isQueuedTooLong(since)));
    return this.#queue.waitingMessages > 0;
  }

  /** The store may still perform the commit: then its messages go to the tail, like those of any other. */
  #giveUp(commit: Commit, requests: readonly Waiting[]): void {
    if (requests.length === 0) return;
    commit.isGivenUp = true;
    this.#fail(requests, new StoreError('outcome-unknown', SILENT));
  }

  /** For requests that the store has not got: none of their messages is stored. */
  #refuse(requests: readonly Waiting[]): void {
    if (requests.length === 0) return;
    // The log can be written: it is full, and that says nothing against this instance.
    if (this.#pace.isBehind && !this.#isSilent) this.#answers.refuseAtBound(requests);
    else this.#fail(requests, new StoreError('unavailable', SILENT));
  }

  #stored(requests: readonly Waiting[], before: Knowledge, { outcomes, log, isPublished = false }: Appended): void {
    // The answer of an earlier request with the same key was only read. It does not show that the log can be written.
    if (outcomes.some(({ kind }) => kind === 'stored')) this.#health.worked();
    const messages: Message[] = [];
    outcomes.forEach((outcome, index) => {
      if (outcome.kind !== 'stored') return;
      const { request: { drafts }, sender } = requests[index]!;
      this.#quota.stored(drafts, sender, outcome.first);
      drafts.forEach((draft, at) => messages.push(numbered(draft, outcome.epoch, outcome.first + at, outcome.time)));
    });
    this.#counters.published += messages.length;
    if (messages.length > 0) {
      this.#counters.commitMessages.observe(messages.length);
      this.#tail.committed(messages, before, log);
      // Invariant 6: a hint, not waited for. The next look at the log finds what the bus does not carry.
      if (!isPublished) this.#bus.publish(messages);
    }
    this.#answers.settle(requests, outcomes);
  }

  #fail(requests: readonly Waiting[], error: StoreError): void {
    // While the log is away, one line stands for all failed publishes. Unknown outcomes, and refusals of the message itself, are always logged.
    if (error.kind !== 'unavailable' || this.#health.failure === undefined) this.#logger.error({ err: error, requests: requests.length }, 'messages could not be stored');
    if (error.kind !== 'refused') this.#health.failed(error);
    this.#answers.fail(requests, error.kind);
    // The commit may have happened after all: then its messages are in the log, and the tail must not wait for its next look.
    if (error.kind === 'outcome-unknown') void this.#tail.look();
  }
}
