import type { LogState } from '../../model/epochs.ts';
import { numbered, type Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import { StoreError, type Appended, type AppendRequest, type Store } from '../../store/store.ts';

/** On a slow disk, where the last commit took longer than this, requests that arrive meanwhile go into one commit. The publisher does so, too. */
const COMMIT_QUICK_MS = 3;

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

/** Group commit over workers: what they append while the store is busy goes into one commit. One envelope tells all workers of it. Each worker has two commits under way at most, which bounds the queue. */
export class MergedAppends {
  readonly #store: Pick<Store, 'append'>;
  readonly #clock: Clock;
  readonly #onCommit: CommitListener;
  #waiting: Waiting[] = [];
  #writing = 0;
  #tookMs = 0;

  constructor({ store, clock, onCommit }: MergedAppendsDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#onCommit = onCommit;
  }

  append(requests: readonly AppendRequest[]): Promise<Appended> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    this.#waiting.push({ requests, messages: requests.reduce((sum, { drafts }) => sum + drafts.length, 0), resolve, reject });
    this.#next();
    return promise;
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#writing < (this.#tookMs > COMMIT_QUICK_MS ? 1 : WRITING_MAX_COMMITS)) void this.#write(this.#take());
  }

  #take(): readonly Waiting[] {
    let count = 0;
    for (let messages = 0; count < this.#waiting.length; count++) {
      messages += this.#waiting[count]!.messages;
      // A step of a source decides whether its whole commit is stored.
      if (count > 0 && (messages > MERGED_MAX_MESSAGES || isStep(this.#waiting[count]!) || isStep(this.#waiting[0]!))) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(taken: readonly Waiting[]): Promise<void> {
    this.#writing++;
    const began = this.#clock.monotonic();
    try {
      const { outcomes, log } = await this.#append(taken.flatMap(({ requests }) => requests));
      let at = 0;
      for (const { requests, resolve } of taken) resolve({ outcomes: outcomes.slice(at, at += requests.length), log, isTold: true });
    } catch (error) {
      // Invariant 13: each finds out for itself whether one of its requests is the reason.
      if (taken.length > 1 && error instanceof StoreError && error.kind === 'refused') for (const one of taken) await this.#writeAlone(one);
      else for (const { reject } of taken) reject(error);
    }
    this.#tookMs = this.#clock.monotonic() - began;
    this.#writing--;
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
