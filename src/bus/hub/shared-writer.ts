import type { Lineage } from '../../model/epochs.ts';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import { StoreError, type Appended, type AppendRequest, type Appends, type Store } from '../../store/store.ts';
import { packAppend, unpackAppend, type UnpackedAppend } from './append-frames.ts';
import { packAppended, packFailure, unpackAppended, type Written } from './appended-frames.ts';
import { awayOnly, type HubConnection } from './connection.ts';
import { FRAME, HANDED, nextCallId } from './frames.ts';
import { MergedAppends, type CommitListener } from './merged-appends.ts';

/** A worker writes larger commits itself. Stops them from delaying the other frames of the hub. */
const HANDED_MAX_BYTES = 1024 * 1024;

/** If the writer owes an answer for longer, this worker writes for itself until the writer answers. */
const WRITER_LATE_MS = 1_000;

/** The timeout of an answer. It is longer than the store's own timeout, and shorter than a publisher's. */
const WRITER_ANSWER_MAX_MS = 12_000;

/** How long a stopping writer waits until it has answered the requests of other workers. */
const WRITER_END_MAX_MS = 2_000;

const ENDED = 'the worker that writes for all ended before it answered';
const SILENT = 'the worker that writes for all does not answer';

export interface SharedWriterOptions {
  readonly connection: HubConnection;
  readonly store: Store;
  readonly clock: Clock;
  /** Called for each commit of this worker, also for the requests of other workers. It publishes the messages on the bus. */
  readonly onCommit: CommitListener;
}

/** Requests that the writer has not answered yet. */
interface Handed {
  readonly requests: readonly AppendRequest[];
  readonly resolve: (appended: Appended | Promise<Appended>) => void;
  readonly reject: (error: unknown) => void;
  readonly timers: readonly Timer[];
}

/**
 * Lets one worker of a machine, the writer, write for all of them. Several writers would wait for SQLite's lock, which is not fair.
 *
 * Every worker may still write at any time. A worker does so while there is no writer, or the writer is late. So the promises are those of `Store.append`. If the writer dies with
 * requests in flight, their outcome is unknown. A client that repeats its request with the same idempotency key gets the outcome, because the key is in the database.
 */
export class SharedWriter implements Appends {
  readonly isShared = true;
  readonly #connection: HubConnection;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #merged: MergedAppends;
  /** By the numbers of their calls. */
  readonly #handed = new Map<number, Handed>();
  #lastCallId = 0;
  /** Which worker writes for all, as the hub said; undefined before it did. */
  #role: 'self' | 'other' | undefined;
  #isFollowing = false;
  /** Whether the writer owes an answer for longer than `WRITER_LATE_MS`. */
  #isLate = false;
  /** Requests of other workers that this worker is writing. */
  readonly #serving = new Set<Promise<void>>();
  /** The epochs of the log, as this worker read them last. */
  #lineage: Lineage | undefined;

  constructor({ connection, store, clock, onCommit }: SharedWriterOptions) {
    this.#connection = connection;
    this.#store = store;
    this.#clock = clock;
    this.#merged = new MergedAppends({ store, clock, onCommit });
  }

  get rowOverheadBytes(): number {
    return this.#store.rowOverheadBytes;
  }

  append(requests: readonly AppendRequest[], onLate?: () => void): Promise<Appended> {
    this.#follow();
    // An append without requests tests whether this worker itself can write.
    if (this.#role !== 'other' || this.#isLate || requests.length === 0 || !this.#connection.isReady) return this.#merged.append(requests);
    this.#lastCallId = nextCallId(this.#lastCallId, (callId) => this.#handed.has(callId));
    const frame = packAppend(this.#lastCallId, requests);
    return frame.length > HANDED_MAX_BYTES ? this.#merged.append(requests) : this.#hand(requests, frame, onLate);
  }

  /** Offers to write for all. Only an append calls it, because the log's id is unknown until the store is open. */
  #follow(): void {
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    this.#connection.follow({
      onReady: () => void this.#connection.ask('writer.join', { log: this.#store.logId }).catch(awayOnly),
      onLost: () => this.#lost(),
      onFrame: (kind, body) => this.#receive(kind, body),
      beforeEnd: () => this.#end(),
    });
  }

  #hand(requests: readonly AppendRequest[], frame: Buffer, onLate: (() => void) | undefined): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    const callId = this.#lastCallId;
    // `soon` lets a busy process first read an answer that has already arrived.
    const after = (milliseconds: number, task: () => void): Timer => this.#clock.after(milliseconds, () => this.#clock.soon(() => {
      if (this.#handed.has(callId)) task();
    }));
    const timers = [
      after(WRITER_LATE_MS, () => {
        this.#isLate = true;
        onLate?.();
      }),
      after(WRITER_ANSWER_MAX_MS, () => this.#take(callId)?.reject(new StoreError('outcome-unknown', SILENT))),
    ];
    this.#handed.set(callId, { requests, resolve, reject, timers });
    this.#connection.send(frame);
    return promise;
  }

  #take(callId: number): Handed | undefined {
    const handed = this.#handed.get(callId);
    this.#handed.delete(callId);
    for (const timer of handed?.timers ?? []) timer.cancel();
    return handed;
  }

  #receive(kind: number, body: Buffer): void {
    if (kind === FRAME.writer) {
      this.#role = body[0] === 1 ? 'self' : 'other';
      this.#isLate = false;
    } else if (kind === FRAME.append) {
      const serving = this.#serve(unpackAppend(body)).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    } else if (kind === FRAME.appended) this.#answered(body);
  }

  #answered(body: Buffer): void {
    const { callId, handed: verdict, answer: { written, failure } } = unpackAppended(body);
    const handed = this.#take(callId);
    if (verdict === HANDED.answered) this.#isLate = false;
    if (handed === undefined) return;
    if (written !== undefined) handed.resolve(this.#appended(written));
    else if (verdict === HANDED.lost) handed.reject(new StoreError('outcome-unknown', ENDED));
    // The requests are certainly not stored, for example because the writer is stopping. So this worker writes them.
    else if (failure === undefined || failure.kind === 'unavailable') handed.resolve(this.#merged.append(handed.requests));
    else handed.reject(new StoreError(failure.kind, failure.message));
  }

  /** Reads the epochs of the log if this worker does not know the newest one. */
  async #appended({ outcomes, log: { epoch, ...log }, isPublished }: Written): Promise<Appended> {
    if (this.#lineage?.epochs.at(-1)?.epoch !== epoch) {
      try {
        this.#lineage = (await this.#store.state()).lineage;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        // The commit is stored, but without the epochs this worker cannot compute the ids of its messages.
        throw new StoreError('outcome-unknown', error.message, error);
      }
    }
    return { outcomes, log: { lineage: this.#lineage, ...log }, isPublished };
  }

  /** Writes the requests of another worker, and sends it the outcome. */
  async #serve({ callId, requests }: UnpackedAppend): Promise<void> {
    let answer: Buffer;
    try {
      // Malformed requests are certainly not stored, so `unavailable` is right. Their sender then writes them itself.
      if (requests === undefined) throw new StoreError('unavailable', 'the requests that came over the hub cannot be read');
      answer = packAppended(callId, await this.#merged.append(requests));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      answer = packFailure(callId, error);
    }
    if (this.#connection.isReady) this.#connection.send(answer);
  }

  /** The connection is lost, and with it the answers to all calls. */
  #lost(): void {
    this.#role = undefined;
    this.#isLate = false;
    for (const callId of [...this.#handed.keys()]) this.#take(callId)?.reject(new StoreError('outcome-unknown', ENDED));
  }

  /** Resigns as the writer. Waits until the requests that other workers sent before are answered. */
  async #end(): Promise<void> {
    this.#role = undefined;
    const left = this.#connection.ask('writer.leave', {}).catch(awayOnly).then(() => Promise.all(this.#serving));
    await within(this.#clock, WRITER_END_MAX_MS, left);
  }
}
