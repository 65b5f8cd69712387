import type { LogState } from '../../model/epochs.ts';
import { numbered, type Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import { CommitTiming } from '../../store/commit-timing.ts';
import { StoreError, type Appended, type AppendRequest, type Store } from '../../store/store.ts';

/** How many commits the store has at a time, where they are quick: while it writes one, the next one is there already. */
const WRITING_MAX_COMMITS = 2;

/** Bounds the requests merged into one commit, so that no commit takes long. */
const MERGED_MAX_MESSAGES = 2_000;

/** Called when a commit begins. The function that it returns is called with the messages that were stored, and the state of the log. */
export type CommitListener = () => (messages: readonly Message[], log: LogState) => void;

export interface MergedAppendsDependencies {
  readonly store: Pick<Store, 'append'>;
  readonly clock: Clock;
  readonly onCommit: CommitListener;
}

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
 * Group commit over workers. After a commit the store rests once for all of them, and their appends during a commit share the next one. So a number of workers makes no more commits than one
 * does. One envelope tells all workers of a commit. Each worker has two appends under way, besides late ones, which bounds the queue.
 */
export class MergedAppends {
  readonly #store: Pick<Store, 'append'>;
  readonly #clock: Clock;
  readonly #onCommit: CommitListener;
  readonly #timing: CommitTiming;
  #waiting: Waiting[] = [];
  #waitingRequests = 0;
  #waitingMessages = 0;
  /** In the order in which the store has them. */
  readonly #commits: Commit[] = [];
  /** Whether a timer is set for the end of a rest. */
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

  #next(): void {
    while (this.#waiting.length > 0 && this.#isTime()) void this.#write(this.#take());
  }

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

  #take(): Commit {
    let count = 0;
    let messages = 0;
    let requests = 0;
    for (; count < this.#waiting.length; count++) {
      const next = this.#waiting[count]!;
      // A step of a source decides whether its whole commit is stored.
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
      for (const { requests, resolve } of appends) resolve({ outcomes: outcomes.slice(at, at += requests.length), log, isTold: true });
    } catch (error) {
      // Invariant 13: each finds out for itself whether one of its requests is the reason.
      if (appends.length > 1 && error instanceof StoreError && error.kind === 'refused') for (const one of appends) await this.#writeAlone(one);
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
    const told = this.#onCommit();
    const { outcomes, log } = await this.#store.append(requests);
    const messages = outcomes.flatMap((outcome, index) => outcome.kind === 'stored' ? requests[index]!.drafts.map((draft, at) => numbered(draft, outcome.epoch, outcome.first + at, outcome.time)) : []);
    if (messages.length > 0) told(messages, log);
    return { outcomes, log, isTold: true };
  }
}

function isStep({ requests }: Waiting): boolean {
  return requests[0]?.step !== undefined;
}
