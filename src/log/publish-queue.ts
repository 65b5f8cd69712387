import type { Problem } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import { FairShares, UNCOUNTED, type Holder, type Holding, type Share } from '../runtime/fair-shares.ts';
import type { AppendRequest } from '../store/store.ts';
import type { CommitSize } from './commit-size.ts';
import type { QuotaSender } from './quota.ts';
import type { OutdatedStep, Receipt } from './receipt.ts';
import type { Since } from './wait-limits.ts';

/** Below this share of the queue, requests are not counted by holder, unless some still are. So an instance that keeps up pays nothing for it. */
const COUNTED_FROM_SHARE = 0.25;

/** The unit of a publisher's share of the queue: of its messages or of its bytes, whichever share is larger. */
const WHOLE_FACTOR = 1_000_000_000;

/** A request whose publisher waits for its answer. */
export interface Waiting {
  readonly request: AppendRequest;
  readonly sender: QuotaSender | undefined;
  readonly bytes: number;
  /** The bytes that it adds to the log. */
  readonly diskBytes: number;
  readonly since: Since;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (problem: Problem | OutdatedStep) => void;
  /** Its publisher's part of the queue; it can be taken back until the store has it. */
  share: Share;
  isAnswered: boolean;
}

/** A publisher's part of the queue. */
interface Queued extends Holding {
  waiting(): Waiting;
}

export interface PublishQueueDependencies {
  readonly counters: Pick<Counters, 'evicted'>;
  readonly commitSize: CommitSize;
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** A request has made room for another one. The store has not got it, so nothing of it is stored. */
  readonly onEvicted: (waiting: Waiting) => void;
}

/** Requests that wait for their commit. Its bounds also count requests that the store has, until their publishers are answered. Where it is full, the largest holders make room, and publishers take turns. */
export class PublishQueue {
  readonly #commitSize: CommitSize;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #onEvicted: (waiting: Waiting) => void;
  readonly #shares: FairShares<Queued>;
  #queue: Waiting[] = [];
  #queuedMessages = 0;
  /** In the queue, and in commits that the store has. */
  #waitingMessages = 0;
  #waitingBytes = 0;
  /** The request whose turn it is, where the last commit had no room for it. */
  #nextInTurn: Waiting | undefined;

  constructor({ counters, commitSize, maxMessages, maxBytes, onEvicted }: PublishQueueDependencies) {
    this.#commitSize = commitSize;
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
    this.#onEvicted = onEvicted;
    this.#shares = new FairShares({ gate: 'publishes', counters });
  }

  /** Requests that the store has not got. */
  get length(): number {
    return this.#queue.length;
  }

  /** Messages of these requests. */
  get messages(): number {
    return this.#queuedMessages;
  }

  /** The first of these requests. Call it only where there is one. */
  get first(): Waiting {
    return this.#queue[0]!;
  }

  /** Messages of all requests that are not answered. */
  get waitingMessages(): number {
    return this.#waitingMessages;
  }

  /** @returns False where a request of this size has to be refused. */
  makeRoom(messages: number, bytes: number, holder: () => Holder): boolean {
    return this.#hasRoom(messages, bytes) || this.#evict(messages, bytes, holder());
  }

  /** Adds a request for which there is room. */
  add(waiting: Waiting, holder: () => Holder): void {
    const { bytes, request: { drafts: { length } } } = waiting;
    const part = this.#partOf(this.#waitingMessages + length, this.#waitingBytes + bytes);
    // While any request is counted, new ones are, too: a publisher's requests keep their order.
    if (part > COUNTED_FROM_SHARE || this.#shares.total > 0) waiting.share = this.#shares.hold(holder(), this.#amountOf(length, bytes), { takeBack: () => this.#takeBack(waiting), waiting: () => waiting });
    this.#queue.push(waiting);
    this.#queuedMessages += length;
    this.#waitingMessages += length;
    this.#waitingBytes += bytes;
  }

  /** A request is answered: it holds nothing of the bounds any more. */
  release({ share, request: { drafts }, bytes }: Waiting): void {
    share.release();
    this.#waitingMessages -= drafts.length;
    this.#waitingBytes -= bytes;
  }

  /** Takes the first requests out, up to the first one that may wait on. */
  takeUntil(mayWait: (waiting: Waiting) => boolean): readonly Waiting[] {
    const first = this.#queue.findIndex(mayWait);
    const taken = this.#queue.splice(0, first === -1 ? this.#queue.length : first);
    this.#queuedMessages -= taken.reduce((sum, { request }) => sum + request.drafts.length, 0);
    return taken;
  }

  /** Takes the requests of the next commit out. The list may be empty while the store is busy. */
  takeCommit(isStoreBusy: boolean): readonly Waiting[] {
    let count = 0;
    let messages = 0;
    for (let bytes = 0; count < this.#queue.length; count++) {
      const next = this.#queue[count]!;
      const more = messages + next.request.drafts.length;
      bytes += next.bytes;
      if (count > 0 && (more > this.#commitSize.messages || bytes > this.#commitSize.bytes || isAlone(next, this.#queue[0]!))) break;
      messages = more;
    }
    if (count < this.#queue.length) return this.#takeInTurns(isStoreBusy);
    this.#nextInTurn = undefined;
    this.#queuedMessages -= messages;
    const taken = this.#queue.splice(0, count);
    for (const { share } of taken) share.pin();
    return taken;
  }

  #hasRoom(messages: number, bytes: number): boolean {
    return this.#waitingMessages + messages <= this.#maxMessages && this.#waitingBytes + bytes <= this.#maxBytes;
  }

  /** The part of the whole queue that so much takes. */
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
    // It is one of the newest.
    this.#queue.splice(this.#queue.lastIndexOf(waiting), 1);
    this.#queuedMessages -= waiting.request.drafts.length;
    this.#onEvicted(waiting);
  }

  /**
   * More requests wait than one commit holds: publishers take turns, so nobody waits for all that another has queued. Uncounted requests are the oldest and come first. The commit keeps the
   * order of arrival.
   */
  #takeInTurns(isStoreBusy: boolean): readonly Waiting[] {
    const chosen = new Set<Waiting>();
    let first: Waiting | undefined;
    let messages = 0;
    let bytes = 0;
    const choose = (waiting: Waiting): boolean => {
      const size = { messages: messages + waiting.request.drafts.length, bytes: bytes + waiting.bytes };
      if (first !== undefined && isAlone(waiting, first)) return false;
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

  /** The request whose turn it is, until it is chosen. */
  #turn(): Waiting | undefined {
    if (this.#nextInTurn?.isAnswered !== false) this.#nextInTurn = this.#shares.next()?.waiting();
    return this.#nextInTurn;
  }
}

/** Whether two requests cannot be in one commit: a step of a source decides whether its whole commit is stored. */
function isAlone({ request }: Waiting, { request: first }: Waiting): boolean {
  return request.step !== undefined || first.step !== undefined;
}
