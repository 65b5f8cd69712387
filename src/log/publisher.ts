import type { Bus } from '../bus/bus.ts';
import { publishProblem, type Grant } from '../model/grant.ts';
import { numbered, type Draft, type Message } from '../model/message.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, FairShares, UNCOUNTED, type Holder, type Holding, type Share } from '../runtime/fair-shares.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SourceStep } from '../store/connector-store.ts';
import { rowBytes } from '../store/row-bytes.ts';
import { StoreError, type Appended, type AppendRequest, type IdempotencyKey, type Outcome, type Store, type StoreErrorKind } from '../store/store.ts';
import { CommitRest } from './commit-rest.ts';
import { CommitSize, CONCURRENT_COMMITS, type Stored } from './commit-size.ts';
import { NO_QUOTA, type PublishQuota, type QuotaSender } from './quota.ts';
import { UNPACED, type Pace } from './retention.ts';
import { SILENT } from './store-watchdog.ts';
import type { Knowledge } from './tail-refill.ts';
import type { Tail } from './tail.ts';
import { WaitLimits, type Since } from './wait-limits.ts';

/**
 * On a slow disk, where the last commit took longer than this, a second one is not queued: everyone who just missed the first would wait for both.
 * A full commit is queued even there, because nothing more could go into it.
 */
const COMMIT_QUICK_MS = 3;

/** How often a log that could not be written is tried again when nobody publishes. */
const PROBE_MS = 1_000;

/** The answer to one publish: its messages have the numbers `first`, `first` + 1, … and one time. */
export interface Receipt {
  readonly epoch: string;
  readonly first: number;
  readonly time: number;
  /** Whether this is the answer of an earlier request with the same key. */
  readonly replayed: boolean;
}

/** A step of a source was not the next one: another instance owns the source, or has moved its position. Nothing was stored. */
export class OutdatedStep extends Error {
  override name = 'OutdatedStep';
}

interface Waiting {
  readonly request: AppendRequest;
  readonly sender: QuotaSender | undefined;
  readonly bytes: number;
  /** The bytes by which it enlarges the log. */
  readonly diskBytes: number;
  readonly since: Since;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (problem: Problem | OutdatedStep) => void;
  /** Its share of the queue, which can be taken back until the store has it. */
  readonly share: Share;
  isAnswered: boolean;
}

/** A publisher's share of the queue. */
interface Queued extends Holding {
  waiting(): Waiting;
}

/** Below this share of the queue, requests are not counted by holder, unless some still are. So an instance that keeps up pays nothing for it. */
const COUNTED_FROM_SHARE = 0.25;

/** The unit of a publisher's share of the queue: of its messages or of its bytes, whichever share is larger. */
const WHOLE_FACTOR = 1_000_000_000;

const FULL = 'More messages are waiting to be stored than this instance holds. Nothing was stored.';

const PROBLEM_OF: Record<StoreErrorKind, readonly [ProblemCode, string]> = {
  unavailable: ['unavailable', 'The message log is not available just now. Nothing was stored.'],
  'outcome-unknown': ['outcome-unknown', 'The connection to the message log was lost during the commit: retry only with an Idempotency-Key.'],
  refused: ['internal', 'The message log cannot store this message. Nothing was stored.'],
};

/** A commit that the store has, and has not answered yet. */
interface Commit extends Stored {
  readonly requests: readonly Waiting[];
  /** Whether its publishers were answered without it. */
  isGivenUp: boolean;
}

/** Who publishes. */
export interface PublishedBy {
  /** When the queue is full, what the largest holders have in it makes room for others. */
  readonly holder?: () => Holder;
  /** The sender whose share of the log it counts for. */
  readonly sender?: QuotaSender;
  /** The step of a source. Its messages are a commit of their own. If they are not the next ones, the publish rejects with `OutdatedStep`. */
  readonly step?: SourceStep;
}

export interface PublisherDependencies {
  readonly store: Pick<Store, 'append' | 'rowOverheadBytes'>;
  readonly tail: Tail;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** What commits wait for; nobody waits if absent. */
  readonly pace?: Pace;
  /** How much one topic or sender may hold; as much as there is room for if absent. */
  readonly quota?: PublishQuota;
  /** Bound the queue of commits: beyond them a publish is refused, because it would wait too long. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/**
 * The only way into the log: group commit. What arrives while a commit is under way goes into the next one. The store gets the next commit when it is as large
 * as the last one, or when the last one is finished. Small commits cost more for each message than
 * large ones, but no publisher waits while the store has nothing to do. The store takes commits one after the other, and each stands for
 * itself: one that fails says nothing of the next.
 */
export class Publisher {
  readonly #store: PublisherDependencies['store'];
  readonly #tail: Tail;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #pace: Pace;
  readonly #quota: PublishQuota;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #commitSize: CommitSize;
  readonly #rest: CommitRest;
  /** Ends the rest of what is queued. */
  #restTimer: Timer | undefined;
  #queue: Waiting[] = [];
  #queuedMessages = 0;
  /** In the queue, and in commits that the store has. */
  #waitingMessages = 0;
  #waitingBytes = 0;
  /** Whether this turn of the event loop ends with a look at the queue. */
  #willLook = false;
  /** In the order in which the store has them. */
  #commits: Commit[] = [];
  /** When the last commit was answered, and how long it took. */
  #answeredAt = 0;
  #tookMs = 0;
  /** Why the last append failed; undefined when it did not. */
  #failure: string | undefined;
  #probe: Timer | undefined;
  readonly #waits: WaitLimits;
  readonly #shares: FairShares<Queued>;
  /** Whose turn it is, where the last commit had no room for it. */
  #nextInTurn: Waiting | undefined;
  #isStopped = false;

  constructor({ store, tail, bus, clock, counters, logger, pace = UNPACED, quota = NO_QUOTA, maxMessages, maxBytes }: PublisherDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#bus = bus;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#pace = pace;
    this.#quota = quota;
    pace.whenCaughtUp(() => this.#next());
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
    this.#commitSize = new CommitSize({ maxMessages, maxBytes });
    this.#rest = new CommitRest(clock);
    this.#shares = new FairShares({ gate: 'publishes', counters });
    this.#waits = new WaitLimits({ clock, look: () => this.#look() });
  }

  /** Messages that wait for their commit. */
  get waiting(): number {
    return this.#waitingMessages;
  }

  /** Why messages cannot be stored; undefined when they can. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get #isSilent(): boolean {
    return this.#commits.some(({ isGivenUp }) => isGivenUp);
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
      diskBytes += rowBytes(draft, this.#store.rowOverheadBytes);
    }
    if (!this.#hasRoom(drafts.length, bytes) && !this.#makeRoom(drafts.length, bytes, holder())) return Promise.reject(this.#problem('overloaded', FULL));
    if (this.#isSilent) return Promise.reject(this.#problem(...PROBLEM_OF.unavailable));
    const exceeded = this.#quota.take(drafts, sender);
    if (exceeded !== undefined) return Promise.reject(this.#counted(exceeded));
    const since = this.#waits.begin();
    return new Promise((resolve, reject) => {
      const part = this.#partOf(this.#waitingMessages + drafts.length, this.#waitingBytes + bytes);
      // While any request is counted, new ones are, too: a publisher's requests keep their order.
      const share = part <= COUNTED_FROM_SHARE && this.#shares.total === 0 ? UNCOUNTED : this.#shares.hold(holder(), this.#amountOf(drafts.length, bytes), { takeBack: () => this.#takeBack(waiting), waiting: () => waiting });
      const waiting: Waiting = { request: step === undefined ? { drafts, key } : { drafts, key, step }, sender, bytes, diskBytes, since, resolve, reject, share, isAnswered: false };
      this.#queue.push(waiting);
      this.#queuedMessages += drafts.length;
      this.#waitingMessages += drafts.length;
      this.#waitingBytes += bytes;
      if (this.#willLook || this.#commits.length === CONCURRENT_COMMITS) return;
      this.#willLook = true;
      this.#clock.soon(() => {
        this.#willLook = false;
        this.#next();
      });
    });
  }

  get #waitingRequests(): number {
    return this.#commits.reduce((sum, { requests }) => sum + requests.length, this.#queue.length);
  }

  #hasRoom(messages: number, bytes: number): boolean {
    return this.#waitingMessages + messages <= this.#maxMessages && this.#waitingBytes + bytes <= this.#maxBytes;
  }

  /** What so much is of the whole queue. */
  #partOf(messages: number, bytes: number): number {
    return Math.max(messages / this.#maxMessages, bytes / this.#maxBytes);
  }

  #amountOf(messages: number, bytes: number): number {
    return Math.ceil(WHOLE_FACTOR * this.#partOf(messages, bytes));
  }

  #makeRoom(messages: number, bytes: number, holder: Holder): boolean {
    if (messages > this.#maxMessages || bytes > this.#maxBytes) return false;
    const amount = this.#amountOf(messages, bytes);
    while (!this.#hasRoom(messages, bytes)) if (!this.#shares.makeRoom(holder, amount)) return false;
    return true;
  }

  /** The store has not got it, so nothing of it is stored. */
  #takeBack(waiting: Waiting): void {
    // Searched from the end: the request is one of the newest.
    this.#queue.splice(this.#queue.lastIndexOf(waiting), 1);
    this.#queuedMessages -= waiting.request.drafts.length;
    this.#release(waiting);
    waiting.reject(this.#problem('overloaded', FULL));
  }

  /** The process ends: everyone who still waits is answered now. What the store has may be stored. */
  giveUp(): void {
    for (const commit of this.#commits) this.#giveUp(commit, commit.requests.filter(({ isAnswered }) => !isAnswered));
    this.#refuse(this.#queue.length);
  }

  stop(): void {
    this.#probe?.cancel();
    this.#restTimer?.cancel();
    this.#waits.stop();
    this.#isStopped = true;
  }

  /**
   * Tests whether the log can be written again. While it cannot, this instance is not ready, and a load balancer sends no publisher that would find out.
   */
  #probeLater(): void {
    if (this.#isStopped) return;
    this.#probe ??= this.#clock.after(PROBE_MS, () => {
      this.#probe = undefined;
      if (this.#failure === undefined) return;
      // The store still owes an answer, which will tell.
      if (this.#isSilent) this.#probeLater();
      else this.#store.append([]).then(() => this.#worked(), (error: unknown) => this.#failed(error));
    });
  }

  #look(): boolean {
    for (const commit of this.#commits) this.#giveUpOverdue(commit);
    this.#refuseOverdue();
    return this.#waitingMessages > 0;
  }

  #giveUpOverdue(commit: Commit): void {
    this.#giveUp(commit, commit.requests.filter(({ since, isAnswered }) => !isAnswered && this.#waits.isUnansweredTooLong(since)));
  }

  /** The store may still perform the commit: then its messages go to the tail, like those of any other. */
  #giveUp(commit: Commit, requests: readonly Waiting[]): void {
    if (requests.length === 0) return;
    commit.isGivenUp = true;
    this.#fail(requests, new StoreError('outcome-unknown', SILENT));
  }

  #refuseOverdue(): void {
    const mayWait = ({ since }: Waiting): boolean => !this.#isSilent && !this.#waits.isQueuedTooLong(since);
    const first = this.#queue.findIndex(mayWait);
    this.#refuse(first === -1 ? this.#queue.length : first);
  }

  /** Refuses the first requests of the queue. The store does not have them yet, so nothing of them is stored. */
  #refuse(count: number): void {
    const refused = this.#queue.splice(0, count);
    if (refused.length === 0) return;
    this.#queuedMessages -= refused.reduce((sum, { request }) => sum + request.drafts.length, 0);
    // The log can be written: it is full, and that says nothing against this instance.
    if (this.#pace.isBehind && !this.#isSilent) this.#reject(refused, 'overloaded', 'The log is at its bound, and older messages or idempotency keys have to be deleted first: that takes too long just now. Nothing was stored.');
    else this.#fail(refused, new StoreError('unavailable', SILENT));
  }

  /** Hands the next commit to the store, if it is time for it. */
  #next(): void {
    if (this.#queue.length === 0 || !this.#isTime()) return;
    const queued = this.#queuedMessages;
    const requests = this.#take();
    if (requests.length === 0) return;
    const commit: Commit = { messages: queued - this.#queuedMessages, bytes: requests.reduce((sum, { bytes }) => sum + bytes, 0), requests, isGivenUp: false };
    this.#commits.push(commit);
    void this.#commit(requests, () => {
      this.#commits.splice(this.#commits.indexOf(commit), 1);
      // Before any publisher is answered: the store may have nothing to do.
      this.#next();
    });
    // What did not fit into it.
    this.#next();
  }

  #isTime(): boolean {
    if (this.#pace.isBehind) return false;
    const before = this.#commits.at(-1);
    if (before === undefined) return this.#hasRested();
    if (this.#commits.length === CONCURRENT_COMMITS) return false;
    const { request: { drafts }, bytes } = this.#queue[0]!;
    if (!this.#commitSize.leavesRoom(before) || !this.#commitSize.leavesRoom({ messages: drafts.length, bytes })) return false;
    const { messages } = this.#commitSize;
    return this.#queuedMessages >= (this.#tookMs > COMMIT_QUICK_MS ? messages : Math.min(before.messages, messages));
  }

  #hasRested(): boolean {
    if (this.#queuedMessages >= this.#commitSize.messages) return true;
    const leftMs = this.#rest.leftMs(this.#queue.length);
    if (leftMs === 0) return true;
    this.#restTimer ??= this.#clock.after(leftMs, () => {
      this.#restTimer = undefined;
      this.#next();
    });
    return false;
  }

  #take(): readonly Waiting[] {
    let count = 0;
    let messages = 0;
    for (let bytes = 0; count < this.#queue.length; count++) {
      const next = this.#queue[count]!;
      const more = messages + next.request.drafts.length;
      bytes += next.bytes;
      if (count > 0 && (more > this.#commitSize.messages || bytes > this.#commitSize.bytes || isAlone(next, this.#queue[0]!))) break;
      messages = more;
    }
    if (count < this.#queue.length) return this.#takeInTurns();
    this.#nextInTurn = undefined;
    this.#queuedMessages -= messages;
    const taken = this.#queue.splice(0, count);
    for (const { share } of taken) share.pin();
    return taken;
  }

  /**
   * More requests wait than one commit holds: publishers take turns, so nobody waits for all that another has queued. Uncounted requests are the oldest and come first. The commit keeps the
   * order of arrival. The list may be empty while the store has another commit.
   */
  #takeInTurns(): readonly Waiting[] {
    const chosen = new Set<Waiting>();
    let first: Waiting | undefined;
    let messages = 0;
    let bytes = 0;
    const choose = (waiting: Waiting): boolean => {
      const size = { messages: messages + waiting.request.drafts.length, bytes: bytes + waiting.bytes };
      if (first !== undefined && isAlone(waiting, first)) return false;
      if (chosen.size > 0 && (size.messages > this.#commitSize.messages || size.bytes > this.#commitSize.bytes)) return false;
      if (chosen.size === 0 && this.#commits.length > 0 && !this.#commitSize.leavesRoom(size)) return false;
      ({ messages, bytes } = size);
      first ??= waiting;
      chosen.add(waiting);
      waiting.share.pin();
      return true;
    };
    const hasRoom = this.#queue.every((waiting) => waiting.share !== UNCOUNTED || choose(waiting));
    for (let next = hasRoom ? this.#turn() : undefined; next !== undefined && choose(next); next = this.#turn()) this.#nextInTurn = undefined;
    this.#queuedMessages -= messages;
    const taken = this.#queue.filter((waiting) => chosen.has(waiting));
    this.#queue = this.#queue.filter((waiting) => !chosen.has(waiting));
    return taken;
  }

  /** Whose turn it is. It stays so until it is chosen. */
  #turn(): Waiting | undefined {
    if (this.#nextInTurn?.isAnswered !== false) this.#nextInTurn = this.#shares.next()?.waiting();
    return this.#nextInTurn;
  }

  /** @param done Called when the store has nothing more to do for these requests, before their publishers are answered. */
  async #commit(requests: readonly Waiting[], done: () => void): Promise<void> {
    const began = this.#clock.monotonic();
    const before = this.#tail.knowledge;
    try {
      const { outcomes, log, isTold } = await this.#store.append(requests.map(({ request }) => request));
      const now = this.#clock.monotonic();
      // While it waited for the commit before it, it took no time itself.
      this.#tookMs = now - Math.max(began, this.#answeredAt);
      this.#answeredAt = now;
      this.#rest.ended(this.#tookMs, this.#waitingRequests);
      // Before the next commit, which may have to wait.
      this.#countStored(requests, outcomes);
      done();
      this.#counters.commitMilliseconds.observe(this.#tookMs);
      // The answer of an earlier request with the same key was only read. It does not show that the log can be written.
      if (outcomes.some(({ kind }) => kind === 'stored')) this.#worked();
      this.#settle(requests, before, { outcomes, log, isTold });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.kind === 'refused' && requests.length > 1) {
        // Invariant 13: one of the requests is the reason, and only that one shall fail.
        const middle = requests.length >> 1;
        await this.#commit(requests.slice(0, middle), () => undefined);
        await this.#commit(requests.slice(middle), done);
        return;
      }
      done();
      this.#fail(requests, error);
    }
  }

  #countStored(requests: readonly Waiting[], outcomes: readonly Outcome[]): void {
    let bytes = 0;
    let keys = 0;
    for (const [index, { kind }] of outcomes.entries()) {
      if (kind !== 'stored') continue;
      const { request: { key }, diskBytes } = requests[index]!;
      bytes += diskBytes;
      if (key !== undefined) keys++;
    }
    this.#pace.stored(bytes, keys);
  }

  #settle(requests: readonly Waiting[], before: Knowledge, { outcomes, log, isTold = false }: Appended): void {
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
      if (!isTold) this.#bus.publish(messages);
    }
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

  #fail(requests: readonly Waiting[], error: StoreError): void {
    // While the log is away, one line stands for all failed publishes. Unknown outcomes, and refusals of the message itself, are always logged.
    if (error.kind !== 'unavailable' || this.#failure === undefined) this.#logger.error({ err: error, requests: requests.length }, 'messages could not be stored');
    if (error.kind !== 'refused') this.#failed(error);
    this.#reject(requests, ...PROBLEM_OF[error.kind]);
    // The commit may have happened after all: then its messages are in the log, and the tail must not wait for its next look.
    if (error.kind === 'outcome-unknown') void this.#tail.look();
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
    waiting.share.release();
    this.#waitingMessages -= waiting.request.drafts.length;
    this.#waitingBytes -= waiting.bytes;
    this.#quota.giveBack(waiting.request.drafts, waiting.sender);
  }

  #problem(code: ProblemCode, detail: string, field?: string): Problem {
    return this.#counted(new Problem(code, detail, field === undefined ? {} : { field }));
  }

  #counted(problem: Problem): Problem {
    this.#counters.refuse(problem.code);
    return problem;
  }

  #failed(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    this.#failure = error.message;
    this.#probeLater();
  }

  #worked(): void {
    if (this.#failure !== undefined) this.#logger.info('the log can be written again');
    this.#failure = undefined;
  }
}

/** Whether two requests cannot be in one commit: a step of a source decides whether its whole commit is stored. */
function isAlone({ request }: Waiting, { request: first }: Waiting): boolean {
  return request.step !== undefined || first.step !== undefined;
}
