import type { Clock } from '../runtime/clock.ts';

/** Bounds the turns that have taken no longer than `QUICK_TURN_MS` so far. */
const QUICK_MAX_CONNECTIONS = 64;
/** Bounds the turns of webhooks that failed last time: they begin only while fewer than these are slow. */
const SLOW_MAX_CONNECTIONS = 128;
/** Bounds all of them together: receivers that begin to hang at the same moment have one of these each. */
const MAX_TURN_CONNECTIONS = 512;
/** Stops the webhooks of one host from taking the places of all others, and a burst from being an attack on that host. */
const HOST_MAX_CONNECTIONS = 16;
/** From then on a turn counts as slow. */
const QUICK_TURN_MS = 1_000;

/** Somebody who waits for a turn. */
export interface Turn {
  /** Scheme, name and port. */
  readonly origin: string;
  /** Whether the webhook failed last time. */
  readonly isSuspect: boolean;
  /** Resolves when the turn is over; it does not reject. */
  readonly run: () => Promise<void>;
}

interface Queue {
  readonly isSuspect: boolean;
  /** By their origins, which take turns. */
  readonly waiting: Map<string, Turn[]>;
}

/**
 * Gives out connections: bounded in all and for each origin, and in turns between origins. A receiver that hangs holds a place of the slow ones: after a second its place among the quick
 * ones is free again. So receivers that answer wait for those that hang for about a second once, and never again.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #good: Queue = { isSuspect: false, waiting: new Map() };
  readonly #suspect: Queue = { isSuspect: true, waiting: new Map() };
  /** How many run, by their origins. */
  readonly #running = new Map<string, number>();
  #quick = 0;
  #slow = 0;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** How many run. */
  get running(): number {
    return this.#quick + this.#slow;
  }

  ask(turn: Turn): void {
    const { waiting } = turn.isSuspect ? this.#suspect : this.#good;
    const same = waiting.get(turn.origin);
    if (same === undefined) waiting.set(turn.origin, [turn]);
    else same.push(turn);
    this.#next();
  }

  #next(): void {
    for (const queue of [this.#good, this.#suspect]) {
      for (let turn = this.#take(queue); turn !== undefined; turn = this.#take(queue)) void this.#run(turn);
    }
  }

  #take({ isSuspect, waiting }: Queue): Turn | undefined {
    if (this.running >= MAX_TURN_CONNECTIONS || (isSuspect ? this.#slow >= SLOW_MAX_CONNECTIONS : this.#quick >= QUICK_MAX_CONNECTIONS)) return undefined;
    for (const [origin, turns] of waiting) {
      if ((this.#running.get(origin) ?? 0) >= HOST_MAX_CONNECTIONS) continue;
      const turn = turns.shift();
      // The next time this origin comes last.
      waiting.delete(origin);
      if (turns.length > 0) waiting.set(origin, turns);
      return turn;
    }
    return undefined;
  }

  async #run({ origin, isSuspect, run }: Turn): Promise<void> {
    this.#running.set(origin, (this.#running.get(origin) ?? 0) + 1);
    let isSlow = isSuspect;
    if (isSlow) this.#slow += 1;
    else this.#quick += 1;
    const timer = this.#clock.after(QUICK_TURN_MS, () => {
      if (isSlow) return;
      isSlow = true;
      this.#quick -= 1;
      this.#slow += 1;
      this.#next();
    });
    await run();
    timer.cancel();
    if (isSlow) this.#slow -= 1;
    else this.#quick -= 1;
    const left = this.#running.get(origin)! - 1;
    if (left === 0) this.#running.delete(origin);
    else this.#running.set(origin, left);
    this.#next();
  }
}
