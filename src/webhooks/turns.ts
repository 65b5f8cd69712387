import type { Clock } from '../runtime/clock.ts';

/** The most quick turns at a time. A turn is quick until it has taken `QUICK_TURN_MS`; then it is slow. */
const QUICK_MAX_CONNECTIONS = 64;
/** A webhook that failed last time begins its turn, a slow turn, only while fewer turns than this are slow. */
const SLOW_MAX_CONNECTIONS = 128;
/** The most turns at a time. Bounds the connections when many receivers begin to hang at once. */
const MAX_TURN_CONNECTIONS = 512;
/** The most turns of one origin at a time. Stops one host from taking the turns of others, and protects that host from a burst. */
const HOST_MAX_CONNECTIONS = 16;
/** After this time, a turn counts as slow. */
const QUICK_TURN_MS = 1_000;

/** A webhook that waits for its turn. */
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
  /** By their origins. The origin that waited longest is first. */
  readonly waiting: Map<string, Turn[]>;
}

/**
 * Bounds the turns of webhooks, in all and for each origin. Origins take turns.
 *
 * A receiver that hangs frees its quick turn after a second, because its turn becomes slow. Its next turns are slow from the beginning. So webhooks whose receivers answer wait for a hanging receiver once,
 * for about a second.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #good: Queue = { isSuspect: false, waiting: new Map() };
  readonly #suspect: Queue = { isSuspect: true, waiting: new Map() };
  /** How many turns run, by their origins. */
  readonly #running = new Map<string, number>();
  /** How many quick and slow turns run. */
  #quick = 0;
  #slow = 0;

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** How many turns run. */
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
      // Move this origin to the end.
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
