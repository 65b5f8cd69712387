import type { Problem } from '../../model/problem.ts';
import type { Counters } from '../../runtime/counters.ts';
import { type Charge, type Evictable, FairShares, type Holder, UNCOUNTED } from '../../runtime/sharing/fair-shares.ts';
import type { AppendRequest } from '../../store/store.ts';
import type { CommitSize } from './commit-size.ts';
import type { QuotaSender } from '../retention/quota.ts';
import type { OutdatedStep, Receipt } from './receipt.ts';
import type { Since } from './wait-limits.ts';

/**
 * While the queue is less full than this and has no counted request, it does not record the holders of new requests. So an instance that keeps up pays nothing
 * for fairness.
 */
const COUNTED_FROM_SHARE = 0.25;

/** The amount of a request in `FairShares` is its part of the queue in parts per billion: of the messages or of the bytes, whichever is larger. */
const WHOLE_FACTOR = 1_000_000_000;

/** A request whose publisher waits for its answer. */
export interface Waiting {
  readonly request: AppendRequest;
  readonly sender: QuotaSender | undefined;
  readonly bytes: number;
  /** The bytes that the request adds to the log. */
  readonly diskBytes: number;
  readonly since: Since;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (problem: Problem | OutdatedStep) => void;
  /** `UNCOUNTED`, or the request's entry under its holder. The queue can evict a counted request until a commit takes it. */
  charge: Charge;
  isAnswered: boolean;
}

/** One counted request in the queue. */
interface Queued extends Evictable {
  waiting(): Waiting;
}

export interface PublishQueueDependencies {
  readonly counters: Pick<Counters, 'evicted'>;
  readonly commitSize: CommitSize;
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** The queue evicted a request to make room. The store has stored nothing of it. */
  readonly onEvicted: (waiting: Waiting) => void;
}

/**
 * Requests that wait for their commit. If one commit cannot hold them all, publishers take turns. If the queue is full, it evicts requests of the largest holders.
 * The queue's bounds also count requests in commits, until their publishers are answered.
 */
export class PublishQueue {
  readonly #commitSize: CommitSize;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #onEvicted: (waiting: Waiting) => void;
  readonly #shares: FairShares<Queued>;
  /** Requests that are not in a commit yet, in the order of arrival. */
  #queue: Waiting[] = [];
  #queuedMessages = 0;
  /** Messages and bytes of all unanswered requests: of the queue, and of commits that the store is writing. */
  #waitingMessages = 0;
  #waitingBytes = 0;
  /** The request whose turn it is, if the last commit had no room for it. It comes first in the next commit. */
  #nextInTurn: Waiting | undefined;

  constructor({ counters, commitSize, maxMessages, maxBytes, onEvicted }: PublishQueueDependencies) {
    this.#commitSize = commitSize;
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
    this.#onEvicted = onEvicted;
    this.#shares = new FairShares({ gate: 'publishes', counters });
  }

  /** Requests that are not in a commit yet. */
  get length(): number {
    return this.#queue.length;
  }

  /** Messages of these requests. */
  get messages(): number {
    return this.#queuedMessages;
  }

  /** The oldest of these requests. The queue must not be empty. */
  get first(): Waiting {
    return this.#queue[0]!;
  }

  /** Messages of all unanswered requests, including requests in commits. */
  get waitingMessages(): number {
    return this.#waitingMessages;
  }

  /** Makes room for a request of this size. @returns False if the publisher must refuse it. */
  makeRoom(messages: number, bytes: number, holder: () => Holder): boolean {
    return this.#hasRoom(messages, bytes) || this.#evict(messages, bytes, holder());
  }

  /** Adds a request for which there is room. */
  add(waiting: Waiting, holder: () => Holder): void {
    const { bytes, request: { drafts: { length } } } = waiting;
    const part = this.#partOf(this.#waitingMessages + length, this.#waitingBytes + bytes);
    // Uncounted requests go into a commit first. So once one request is counted, count all new ones: otherwise a new request would overtake older ones of its publisher.
    if (part > COUNTED_FROM_SHARE || this.#shares.total > 0) waiting.charge = this.#shares.charge(holder(), this.#amountOf(length, bytes), { takeBack: () => this.#takeBack(waiting), waiting: () => waiting });
    this.#queue.push(waiting);
    this.#queuedMessages += length;
    this.#waitingMessages += length;
    this.#waitingBytes += bytes;
  }

  /** Frees the room of a request that the publisher answered. */
  release({ charge, request: { drafts }, bytes }: Waiting): void {
    charge.release();
    this.#waitingMessages -= drafts.length;
    this.#waitingBytes -= bytes;
  }

  /** Removes and returns the oldest requests, up to the first that may keep waiting. */
  takeUntil(mayWait: (waiting: Waiting) => boolean): readonly Waiting[] {
    const first = this.#queue.findIndex(mayWait);
    const taken = this.#queue.splice(0, first === -1 ? this.#queue.length : first);
    this.#queuedMessages -= taken.reduce((sum, { request }) => sum + request.drafts.length, 0);
    return taken;
  }

  /**
   * Removes and returns the requests of the next commit. If the store is busy, the caller must first check that the first request passes `leavesRoom`. The list
   * is empty if the request whose turn it is does not pass.
   */
  takeCommit(isStoreBusy: boolean): readonly Waiting[] {
    if (!this.#fitsOneCommit()) return this.#takeInTurns(isStoreBusy);
    this.#nextInTurn = undefined;
    this.#queuedMessages = 0;
    const taken = this.#queue.splice(0);
    for (const { charge } of taken) charge.pin();
    return taken;
  }

  /** Whether one commit can hold all requests. A single request always fits. */
  #fitsOneCommit(): boolean {
    const [first] = this.#queue;
    let messages = 0;
    let bytes = 0;
    for (const waiting of this.#queue) {
      messages += waiting.request.drafts.length;
      bytes += waiting.bytes;
      if (waiting !== first && (messages > this.#commitSize.messages || bytes > this.#commitSize.bytes || cannotShareCommit(waiting, first!))) return false;
    }
    return true;
  }

  #hasRoom(messages: number, bytes: number): boolean {
    return this.#waitingMessages + messages <= this.#maxMessages && this.#waitingBytes + bytes <= this.#maxBytes;
  }

  /** The fraction of the queue that these messages and bytes take. */
  #partOf(messages: number, bytes: number): number {
    return Math.max(messages / this.#maxMessages, bytes / this.#maxBytes);
  }

  #amountOf(messages: number, bytes: number): number {
    return Math.ceil(WHOLE_FACTOR * this.#partOf(messages, bytes));
  }

  #evict(messages: number, bytes: number, holder: Holder): boolean {
    if (messages > this.#maxMessages || bytes > this.#maxBytes) return false;
    let missingMessages = this.#waitingMessages + messages - this.#maxMessages;
    let missingBytes = this.#waitingBytes + bytes - this.#maxBytes;
    return this.#shares.makeRoom(holder, this.#amountOf(messages, bytes), (queued) => {
      const waiting = queued.waiting();
      missingMessages -= waiting.request.drafts.length;
      missingBytes -= waiting.bytes;
      return missingMessages <= 0 && missingBytes <= 0;
    });
  }

  #takeBack(waiting: Waiting): void {
    // Evictions hit the newest requests: search from the end.
    this.#queue.splice(this.#queue.lastIndexOf(waiting), 1);
    this.#queuedMessages -= waiting.request.drafts.length;
    this.#onEvicted(waiting);
  }

  /**
   * Fills one commit in turns, so that nobody waits for another publisher's whole queue. Uncounted requests are the oldest and come first. Within the commit, requests
   * keep their order of arrival.
   *
   * Example: a commit holds four messages, and publisher a sent a1 to a9 before b sent b1. The commit gets a1, b1, a2, a3, in the order a1, a2, a3, b1.
   */
  #takeInTurns(isStoreBusy: boolean): readonly Waiting[] {
    const commit = new NextCommit(this.#commitSize, isStoreBusy);
    if (this.#addUncounted(commit)) {
      let next = this.#turn();
      while (next !== undefined && commit.add(next)) {
        this.#nextInTurn = undefined;
        next = this.#turn();
      }
    }
    this.#queuedMessages -= commit.messages;
    const taken = this.#queue.filter((waiting) => commit.has(waiting));
    this.#queue = this.#queue.filter((waiting) => !commit.has(waiting));
    return taken;
  }

  /** Returns false if the commit has no room for all uncounted requests. */
  #addUncounted(commit: NextCommit): boolean {
    for (const waiting of this.#queue) if (waiting.charge === UNCOUNTED && !commit.add(waiting)) return false;
    return true;
  }

  /** The request whose turn it is. It stays the same until a commit takes it or its publisher is answered. */
  #turn(): Waiting | undefined {
    if (this.#nextInTurn?.isAnswered !== false) this.#nextInTurn = this.#shares.next()?.waiting();
    return this.#nextInTurn;
  }
}

/** A commit while requests are added to it. */
class NextCommit {
  readonly #commitSize: CommitSize;
  readonly #isStoreBusy: boolean;
  readonly #requests = new Set<Waiting>();
  #first: Waiting | undefined;
  #messages = 0;
  #bytes = 0;

  constructor(commitSize: CommitSize, isStoreBusy: boolean) {
    this.#commitSize = commitSize;
    this.#isStoreBusy = isStoreBusy;
  }

  get messages(): number {
    return this.#messages;
  }

  has(waiting: Waiting): boolean {
    return this.#requests.has(waiting);
  }

  /** Returns false if the request does not fit. The first one always fits, unless the store is busy: then it must pass `leavesRoom`. */
  add(waiting: Waiting): boolean {
    const messages = this.#messages + waiting.request.drafts.length;
    const bytes = this.#bytes + waiting.bytes;
    if (this.#first === undefined) {
      if (this.#isStoreBusy && !this.#commitSize.leavesRoom({ messages, bytes })) return false;
      this.#first = waiting;
    } else if (cannotShareCommit(waiting, this.#first) || messages > this.#commitSize.messages || bytes > this.#commitSize.bytes) return false;
    this.#messages = messages;
    this.#bytes = bytes;
    this.#requests.add(waiting);
    waiting.charge.pin();
    return true;
  }
}

/**
 * Whether two requests need separate commits. A step (a source's messages with its new position) gets a commit of its own, because the store rolls back the whole commit
 * if the step is outdated.
 */
function cannotShareCommit({ request }: Waiting, { request: first }: Waiting): boolean {
  return request.step !== undefined || first.step !== undefined;
}
