import { LedgerAway, type Balance, type Debit, type Holding, type Ledger, type TopicCount } from '../../src/limits/ledger.ts';
import type { Clock } from '../../src/runtime/clock.ts';

/** What a ledger knows, for several instances of one process: the rules of the scripts in Redis. */
export class MemoryLedgers {
  readonly clock: Clock;
  /** When each bucket is full again. */
  readonly buckets = new Map<string, number>();
  readonly places = new Map<string, Map<MemoryLedger, number>>();
  readonly topics = new Map<string, { readonly all: Set<string>; readonly endsAt: number }>();
  isAway = false;
  /** It answers, but counts as away until `returned`. */
  isLate = false;
  /** How long an answer takes. Milliseconds. */
  answerMs = 1;
  commands = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The ledger of one more instance. */
  instance(): MemoryLedger {
    return new MemoryLedger(this);
  }
}

class MemoryLedger implements Ledger {
  readonly #shared: MemoryLedgers;
  #onReturn: (mayHaveForgotten: boolean) => void = () => undefined;

  constructor(shared: MemoryLedgers) {
    this.#shared = shared;
  }

  get isUp(): boolean {
    return !this.#shared.isAway && !this.#shared.isLate;
  }

  join(_logId: string, onReturn: (mayHaveForgotten: boolean) => void): void {
    this.#onReturn = onReturn;
  }

  /** It is back, and may have forgotten everything. */
  returned(mayHaveForgotten = true): void {
    this.#onReturn(mayHaveForgotten);
  }

  spend(debits: readonly Debit[]): Promise<readonly Balance[]> {
    const { buckets, clock } = this.#shared;
    return this.#answer(() => debits.map(({ bucket, costMs, onlyWithinMs = Infinity }) => {
      const ahead = Math.max(0, (buckets.get(bucket) ?? 0) - clock.monotonic());
      if (ahead > onlyWithinMs) return { isTaken: false, fullInMs: ahead };
      const fullInMs = Math.max(0, ahead + costMs);
      buckets.set(bucket, clock.monotonic() + fullInMs);
      return { isTaken: true, fullInMs };
    }));
  }

  addTopics(owner: string, topics: readonly string[], windowMs: number): Promise<TopicCount> {
    const now = this.#shared.clock.monotonic();
    return this.#answer(() => {
      const known = this.#shared.topics.get(owner);
      const window = known !== undefined && known.endsAt > now ? known : { all: new Set<string>(), endsAt: now + windowMs };
      this.#shared.topics.set(owner, window);
      for (const topic of topics) window.all.add(topic);
      return { topics: window.all.size, windowLeftMs: window.endsAt - now };
    });
  }

  hold(holdings: readonly Holding[]): Promise<readonly boolean[]> {
    return this.#answer(() => holdings.map(({ owner, places, most = Infinity }) => {
      const held = this.#shared.places.get(owner) ?? new Map<MemoryLedger, number>();
      this.#shared.places.set(owner, held);
      const others = [...held].filter(([who]) => who !== this).reduce((sum, [, count]) => sum + count, 0);
      if (others + places > most) return false;
      held.set(this, places);
      return true;
    }));
  }

  close(): Promise<void> {
    for (const held of this.#shared.places.values()) held.delete(this);
    return Promise.resolve();
  }

  /** It is asked at once, and heard later. */
  #answer<Answer>(ask: () => Answer): Promise<Answer> {
    if (this.#shared.isAway) return Promise.reject(new LedgerAway());
    this.#shared.commands++;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const answer = ask();
    this.#shared.clock.after(this.#shared.answerMs, () => resolve(answer));
    return promise;
  }
}
