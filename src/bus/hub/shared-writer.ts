import type { Lineage } from '../../model/epochs.ts';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import { StoreError, type Appended, type AppendRequest, type Appends, type Store } from '../../store/store.ts';
import { packAppend, packAppended, packFailure, unpackAppend, unpackAppended, type UnpackedAppend, type Written } from './append-frames.ts';
import { awayOnly, type HubConnection } from './connection.ts';
import { FRAME, HANDED, nextNumber } from './frames.ts';
import { MergedAppends, type CommitListener } from './merged-appends.ts';

/** Larger commits are written by the worker that has them. Stops them from delaying what else goes over the hub. */
const HANDED_MAX_BYTES = 1024 * 1024;

/** A writer that owes an answer for longer is not handed anything more until it answers. */
const WRITER_LATE_MS = 1_000;

/** How long an answer is waited for. A store gives up sooner by itself, and a publisher gives up later. */
const WRITER_ANSWER_MAX_MS = 12_000;

/** How long a writer that ends waits for the requests handed to it. */
const WRITER_END_MAX_MS = 2_000;

const ENDED = 'the worker that writes for all ended before it answered';
const SILENT = 'the worker that writes for all does not answer';

export interface SharedWriterOptions {
  readonly connection: HubConnection;
  readonly store: Store;
  readonly clock: Clock;
  /** Hears of the commits that this worker makes, for itself and for others, and tells all others. */
  readonly onCommit: CommitListener;
}

interface Handed {
  readonly requests: readonly AppendRequest[];
  readonly resolve: (appended: Appended | Promise<Appended>) => void;
  readonly reject: (error: unknown) => void;
  readonly timers: readonly Timer[];
}

/**
 * Lets one worker of a machine write for all of them: SQLite's lock makes several that write wait for each other, and takes turns badly. It changes who writes and nothing else: every worker may
 * write at any time, and does when there is no writer, or that is late. The promises are those of `Store.append`. If the writer dies with requests in flight, their outcome is unknown.
 * A client that repeats its request with the same key finds out: the key is in the database.
 */
export class SharedWriter implements Appends {
  readonly isShared = true;
  readonly #connection: HubConnection;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #merged: MergedAppends;
  readonly #handed = new Map<number, Handed>();
  #number = 0;
  /** The role from the hub: this worker writes for all, or another one does. */
  #role: 'self' | 'other' | undefined;
  #isFollowing = false;
  #isLate = false;
  /** Requests of other workers that are not answered yet. */
  readonly #serving = new Set<Promise<void>>();
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
    // An empty one finds out whether this worker can write.
    if (this.#role !== 'other' || this.#isLate || requests.length === 0 || !this.#connection.isReady) return this.#merged.append(requests);
    this.#number = nextNumber(this.#number, (number) => this.#handed.has(number));
    const frame = packAppend(this.#number, requests);
    return frame.length > HANDED_MAX_BYTES ? this.#merged.append(requests) : this.#hand(requests, frame, onLate);
  }

  /** Called by the first append, because the log's id is known once the store is open. */
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
    const number = this.#number;
    // An answer that has arrived counts, also where this process was too busy to read it.
    const after = (milliseconds: number, task: () => void): Timer => this.#clock.after(milliseconds, () => this.#clock.soon(() => {
      if (this.#handed.has(number)) task();
    }));
    const timers = [
      after(WRITER_LATE_MS, () => {
        this.#isLate = true;
        onLate?.();
      }),
      after(WRITER_ANSWER_MAX_MS, () => this.#take(number)?.reject(new StoreError('outcome-unknown', SILENT))),
    ];
    this.#handed.set(number, { requests, resolve, reject, timers });
    this.#connection.send(frame);
    return promise;
  }

  #take(number: number): Handed | undefined {
    const handed = this.#handed.get(number);
    this.#handed.delete(number);
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
    const { number, handed: said, answer: { written, failure } } = unpackAppended(body);
    const handed = this.#take(number);
    if (said === HANDED.answered) this.#isLate = false;
    if (handed === undefined) return;
    if (written !== undefined) handed.resolve(this.#appended(written));
    else if (said === HANDED.lost) handed.reject(new StoreError('outcome-unknown', ENDED));
    // Certainly not stored: the writer may be about to end.
    else if (failure === undefined || failure.kind === 'unavailable') handed.resolve(this.#merged.append(handed.requests));
    else handed.reject(new StoreError(failure.kind, failure.message));
  }

  /** An epoch that began meanwhile is read from the log. */
  async #appended({ outcomes, log: { epoch, ...log }, isTold }: Written): Promise<Appended> {
    if (this.#lineage?.epochs.at(-1)?.epoch !== epoch) {
      try {
        this.#lineage = (await this.#store.state()).lineage;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        // The commit is stored, but this worker cannot tell its epoch.
        throw new StoreError('outcome-unknown', error.message, error);
      }
    }
    return { outcomes, log: { lineage: this.#lineage, ...log }, isTold };
  }

  async #serve({ number, requests }: UnpackedAppend): Promise<void> {
    let answer: Buffer;
    try {
      // Unreadable requests are certainly not stored: the worker that sent them writes them itself.
      if (requests === undefined) throw new StoreError('unavailable', 'the requests that came over the hub cannot be read');
      answer = packAppended(number, await this.#merged.append(requests));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      answer = packFailure(number, error);
    }
    if (this.#connection.isReady) this.#connection.send(answer);
  }

  /** The connection is lost, and with it every answer. */
  #lost(): void {
    this.#role = undefined;
    this.#isLate = false;
    for (const number of [...this.#handed.keys()]) this.#take(number)?.reject(new StoreError('outcome-unknown', ENDED));
  }

  /** Another worker writes from now on; this one still answers the requests handed to it. */
  async #end(): Promise<void> {
    this.#role = undefined;
    const left = this.#connection.ask('writer.leave', {}).catch(awayOnly).then(() => Promise.all(this.#serving));
    await within(this.#clock, WRITER_END_MAX_MS, left);
  }
}
