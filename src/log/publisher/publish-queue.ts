import type { Problem } from '../../model/problem.ts';
import type { Counters } from '../../runtime/counters.ts';
import { FairShares, UNCOUNTED, type Holder, type Holding, type Share } from '../../runtime/sharing/fair-shares.ts';
import type { AppendRequest } from '../../store/store.ts';
import type { CommitSize } from './commit-size.ts';
import type { QuotaSender } from '../retention/quota.ts';
import type { OutdatedStep, Receipt } from './receipt.ts';
import type { Since } from './wait-limits.ts';

/** Below this share, the queue does not count new requests by holder, unless it holds counted ones. So an instance that keeps up pays nothing for fairness. */
const COUNTED_FROM_SHARE = 0.25;

/** Shares are parts per billion of the queue's messages or of its bytes: the larger fraction counts. */
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
  /** The share of the request, if it is counted. The queue can evict a counted request until the store has it. */
  share: Share;
  isAnswered: boolean;
}

/** One counted request in the queue. */
interface Queued extends Holding {
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
 * Requests that wait for their commit. If more wait than one commit holds, publishers take turns; if the queue is full, the largest holders make room.
 * The bounds also count requests that the store has, until the publisher's answer.
 */
export class PublishQueue {
  readonly #commitSize: CommitSize;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #onEvicted: (waiting: Waiting) => void;
  readonly #shares: FairShares<Queued>;
  #queue: Waiting[] = [];
  #queuedMessages = 0;
  /** These two also count the commits that the store has. */
  #waitingMessages = 0;
  #waitingBytes = 0;
  /** The request whose turn it is, if the last commit had no room for it. */
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

  /** Messages of all unanswered requests, also of those that the store has. */
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
    // Uncounted requests commit first. Beside counted ones, an uncounted new request would overtake its publisher's older requests.
    if (part > COUNTED_FROM_SHARE || this.#shares.total > 0) waiting.share = this.#shares.hold(holder(), this.#amountOf(length, bytes), { takeBack: () => this.#takeBack(waiting), waiting: () => waiting });
    this.#queue.push(waiting);
    this.#queuedMessages += length;
    this.#waitingMessages += length;
    this.#waitingBytes += bytes;
  }

  /** Frees the room of a request that the publisher answered. */
  release({ share, request: { drafts }, bytes }: Waiting): void {
    share.release();
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
   * Removes and returns the requests of the next commit. The caller has checked `leavesRoom` for the first request if the store is busy; the list is empty if
   * a larger request's turn has come.
   */
  takeCommit(isStoreBusy: boolean): readonly Waiting[] {
    if (!this.#fitsOneCommit()) return this.#takeInTurns(isStoreBusy);
    this.#nextInTurn = undefined;
    this.#queuedMessages = 0;
    const taken = this.#queue.splice(0);
    for (const { share } of taken) share.pin();
    return taken;
  }

  /** Whether one commit can hold all requests. A request that is larger than a commit fits alone. */
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
   * Lets publishers take turns, so nobody waits for another publisher's whole queue. Uncounted requests are the oldest and come first; the commit keeps the
   * order of arrival.
   */
  #takeInTurns(isStoreBusy: boolean): readonly Waiting[] {
    const chosen = new Set<Waiting>();
    let first: Waiting | undefined;
    let messages = 0;
    let bytes = 0;
    const choose = (waiting: Waiting): boolean => {
      const size = { messages: messages + waiting.request.drafts.length, bytes: bytes + waiting.bytes };
      if (first !== undefined && cannotShareCommit(waiting, first)) return false;
      if (chosen.size > 0 && (size.messages > this.#commitSize.messages || size.bytes > this.#commitSize.bytes)) return false;
      if (chosen.size === 0 && isStoreBusy && !this.#commitSize.leavesRoom(size)) return false;
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

  /** The request whose turn it is. It stays the same until a commit takes it or its publisher is answered. */
  #turn(): Waiting | undefined {
    if (this.#nextInTurn?.isAnswered !== false) this.#nextInTurn = this.#shares.next()?.waiting();
    return this.#nextInTurn;
  }
}

/** Whether two requests need separate commits: a source's step decides whether the store keeps its whole commit. */
function cannotShareCommit({ request }: Waiting, { request: first }: Waiting): boolean {
  return request.step !== undefined || first.step !== undefined;
}
