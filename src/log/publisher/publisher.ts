import type { Bus } from '../../bus/bus.ts';
import { publishProblem, type Grant } from '../../model/grant.ts';
import { numbered, type Draft, type Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import { type Holder, UNCOUNTED, UNNAMED } from '../../runtime/sharing/fair-shares.ts';
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
import type { Knowledge } from '../tail/known-log.ts';
import type { Tail } from '../tail/tail.ts';
import { WaitLimits } from './wait-limits.ts';
import { WriteHealth } from './write-health.ts';

/**
 * This room makes messages durable. Checked messages come in and wait in a queue; a group commit stores many requests at once. When a commit is durable, its messages
 * go to the tail and the bus, and each publisher gets a receipt. A refused publisher gets a problem that says whether its messages were stored.
 *
 * Read `publisher.ts` first, then `publish-queue.ts`, `group-commit.ts` with `commit-size.ts`, and `publish-answers.ts`. `wait-limits.ts` and `write-health.ts` are for stores that fail or hang.
 */

/** The origin of a publish. */
export interface PublishedBy {
  /** The holder that the request counts for in the queue: a full queue evicts requests of the largest holders. */
  readonly holder?: () => Holder;
  /** The sender whose quota the messages count against. */
  readonly sender?: QuotaSender;
  /** A source's new position, which is stored with its messages in a commit of their own. If the source moved meanwhile, the publish rejects with `OutdatedStep`. */
  readonly step?: SourceStep;
}

export interface PublisherDependencies {
  readonly store: Appends;
  readonly tail: Tail;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Delays commits while retention cannot keep up. Absent: no delay. */
  readonly pace?: Pace;
  /** Refuses messages beyond a topic's or sender's quota. Absent: no quota. */
  readonly quota?: PublishQuota;
  /** The most messages and bytes of data that wait. Beyond them a publish is refused, because it would wait too long. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/**
 * The only way into the log. A request passes these steps:
 *
 * 1. `publish` checks the grant, the room in the queue, and the quota.
 * 2. It waits in the queue (`publish-queue.ts`).
 * 3. A group commit stores it with others (`group-commit.ts`).
 * 4. The messages go to the tail and the bus (`#stored`).
 * 5. Its publisher gets an answer (`publish-answers.ts`).
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

  /** Messages whose publishers wait for an answer. */
  get waiting(): number {
    return this.#queue.waitingMessages;
  }

  /** Why messages cannot be stored; undefined if they can. */
  get failure(): string | undefined {
    return this.#health.failure;
  }

  /** Whether the store's answer to a commit is overdue. Late commits of a shared writer do not count: the next ones go on without them. */
  get #isSilent(): boolean {
    return this.#commits.underWay.some(({ isGivenUp, isLate }) => isGivenUp && !isLate);
  }

  /**
   * Resolves when the messages are durable (invariant 1). Otherwise rejects with a `Problem`. Either happens within 15 seconds, even if the store hangs.
   *
   * - `overloaded`, `unavailable`, `internal`: nothing was stored.
   * - `outcome-unknown`: the messages may be stored or not.
   * - `key-reused`: the key belongs to another request.
   * - `forbidden`, `unauthorized`: the grant lacks one of the topics.
   * - `topic-quota`: a topic or the sender has reached its quota.
   */
  publish(grant: Grant, drafts: readonly Draft[], key: IdempotencyKey | undefined, { holder = () => UNNAMED, sender, step }: PublishedBy = {}): Promise<Receipt> {
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
      this.#queue.add({ request: step === undefined ? { drafts, key } : { drafts, key, step }, sender, bytes, diskBytes, since, resolve, reject, charge: UNCOUNTED, isAnswered: false }, holder);
      this.#commits.queued();
    });
  }

  /** Answers all waiting publishers now, because the process ends. Requests in commits may still be stored. */
  giveUp(): void {
    for (const commit of this.#commits.underWay) this.#giveUp(commit, commit.requests.filter(({ isAnswered }) => !isAnswered));
    this.#refuse(this.#queue.takeUntil(() => false));
  }

  stop(): void {
    this.#health.stop();
    this.#commits.stop();
    this.#waits.stop();
  }

  /** Answers publishers that wait too long. Returns whether any publisher still waits. */
  #look(): boolean {
    for (const commit of this.#commits.underWay) this.#giveUp(commit, commit.requests.filter(({ since, isAnswered }) => !isAnswered && this.#waits.isUnansweredTooLong(since)));
    this.#refuse(this.#queue.takeUntil(({ since }) => !this.#isSilent && !this.#waits.isQueuedTooLong(since)));
    return this.#queue.waitingMessages > 0;
  }

  /** Answers some requests of a commit with `outcome-unknown`. If the store performs the commit later, its messages still go to the tail. */
  #giveUp(commit: Commit, requests: readonly Waiting[]): void {
    if (requests.length === 0) return;
    commit.isGivenUp = true;
    this.#fail(requests, new StoreError('outcome-unknown', SILENT));
  }

  /** Refuses requests that are in no commit: nothing of them is stored. */
  #refuse(requests: readonly Waiting[]): void {
    if (requests.length === 0) return;
    // If only retention holds commits back, the log can be written: so do not count it as a failure of the store.
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
      // Invariant 6: this is a hint, so do not wait for it. The next poll finds messages that the bus loses.
      if (!isPublished) this.#bus.publish(messages);
    }
    this.#answers.settle(requests, outcomes);
  }

  #fail(requests: readonly Waiting[], error: StoreError): void {
    // While the log is unavailable, log one line for all failed publishes. Log each unknown outcome, and each message that the store refuses.
    if (error.kind !== 'unavailable' || this.#health.failure === undefined) this.#logger.error({ err: error, requests: requests.length }, 'messages could not be stored');
    if (error.kind !== 'refused') this.#health.failed(error);
    this.#answers.fail(requests, error.kind);
    // The commit may have happened: then a look brings its messages to the tail without waiting for the next poll.
    if (error.kind === 'outcome-unknown') void this.#tail.look();
  }
}
