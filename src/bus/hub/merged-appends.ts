import type { LogState } from '../../model/epochs.ts';
import { numbered, type Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CommitTiming } from '../../store/commit-timing.ts';
import { StoreError, type Appended, type AppendRequest, type Store } from '../../store/store.ts';

/** The most commits that the store has at a time. With two, a fast store has the next commit ready when it ends one. */
const WRITING_MAX_COMMITS = 2;

/** The most messages of one commit. Stops a commit from taking long. */
const MERGED_MAX_MESSAGES = 2_000;

/** Called when a commit begins. Returns a function, which is called when the commit is durable: with the stored messages, and the state of the log. */
export type CommitListener = () => (messages: readonly Message[], log: LogState) => void;

export interface MergedAppendsDependencies {
  readonly store: Pick<Store, 'append'>;
  readonly clock: Clock;
  readonly onCommit: CommitListener;
}

/** One call of `append`. */
interface Waiting {
  readonly requests: readonly AppendRequest[];
  readonly messages: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

/** Appends that share a commit. */
interface Commit {
  readonly appends: readonly Waiting[];
  readonly requests: number;
  readonly messages: number;
}

/**
 * Group commit for the appends of all workers. Appends that arrive during a commit, or during the pause after it, share the next commit. So several workers cause no more commits than one.
 * The bus carries one envelope for each commit. A worker has at most two appends under way (and late ones), which bounds the queue.
 */
export class MergedAppends {
  readonly #store: Pick<Store, 'append'>;
  readonly #clock: Clock;
  readonly #onCommit: CommitListener;
  readonly #timing: CommitTiming;
  #waiting: Waiting[] = [];
  #waitingRequests = 0;
  #waitingMessages = 0;
  /** The commits that the store is writing, in order. */
  readonly #commits: Commit[] = [];
  /** Whether a timer runs for the end of the pause after a commit. */
  #isResting = false;

  constructor({ store, clock, onCommit }: MergedAppendsDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#onCommit = onCommit;
    this.#timing = CommitTiming.ofStore(clock);
  }

  append(requests: readonly AppendRequest[]): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    const messages = requests.reduce((sum, { drafts }) => sum + drafts.length, 0);
    this.#waiting.push({ requests, messages, resolve, reject });
    this.#waitingRequests += requests.length;
    this.#waitingMessages += messages;
    this.#next();
    return promise;
  }

  /** Begins commits while appends wait and the store may take one. */
  #next(): void {
    while (this.#waiting.length > 0 && this.#isTime()) void this.#write(this.#take());
  }

  /** Whether a commit may begin now. If a pause is due first, sets the timer for its end. */
  #isTime(): boolean {
    const before = this.#commits.at(-1);
    if (before !== undefined) return this.#commits.length < WRITING_MAX_COMMITS && this.#timing.mayFollow(before.messages, this.#waitingMessages, MERGED_MAX_MESSAGES);
    const restMs = this.#waitingMessages >= MERGED_MAX_MESSAGES ? 0 : this.#timing.restMs(this.#waitingRequests);
    if (restMs === 0) return true;
    if (!this.#isResting) this.#clock.after(restMs, () => {
      this.#isResting = false;
      this.#next();
    });
    this.#isResting = true;
    return false;
  }

  /** Takes the oldest appends off the queue, as many as one commit may have. */
  #take(): Commit {
    let count = 0;
    let messages = 0;
    let requests = 0;
    for (; count < this.#waiting.length; count++) {
      const next = this.#waiting[count]!;
      // If a source's step is outdated, the store rolls back the whole commit. So a step gets a commit of its own.
      if (count > 0 && (messages + next.messages > MERGED_MAX_MESSAGES || isStep(next) || isStep(this.#waiting[0]!))) break;
      messages += next.messages;
      requests += next.requests.length;
    }
    this.#waitingMessages -= messages;
    this.#waitingRequests -= requests;
    return { appends: this.#waiting.splice(0, count), requests, messages };
  }

  async #write(commit: Commit): Promise<void> {
    const { appends } = commit;
    this.#commits.push(commit);
    const beganAt = this.#clock.monotonic();
    try {
      const { outcomes, log } = await this.#append(appends.flatMap(({ requests }) => requests));
      let at = 0;
      for (const { requests, resolve } of appends) resolve({ outcomes: outcomes.slice(at, at += requests.length), log, isPublished: true });
    } catch (error) {
      // Invariant 13: retry each append alone, so that only the worker whose request was refused gets the error.
      if (appends.length > 1 && error instanceof StoreError && error.kind === 'refused') for (const append of appends) await this.#writeAlone(append);
      else for (const { reject } of appends) reject(error);
    }
    this.#timing.ended(beganAt, this.#commits.reduce((sum, { requests }) => sum + requests, this.#waitingRequests));
    this.#commits.splice(this.#commits.indexOf(commit), 1);
    this.#next();
  }

  async #writeAlone({ requests, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(await this.#append(requests));
    } catch (error) {
      reject(error);
    }
  }

  async #append(requests: readonly AppendRequest[]): Promise<Appended> {
    const committed = this.#onCommit();
    const { outcomes, log } = await this.#store.append(requests);
    const messages = outcomes.flatMap((outcome, index) => outcome.kind === 'stored' ? requests[index]!.drafts.map((draft, at) => numbered(draft, outcome.epoch, outcome.first + at, outcome.time)) : []);
    if (messages.length > 0) committed(messages, log);
    return { outcomes, log, isPublished: true };
  }
}

function isStep({ requests }: Waiting): boolean {
  return requests[0]?.step !== undefined;
}
