import { within, type Clock, type Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { LEDGER_WAIT_MS, LedgerAway, type Holding, type Ledger } from './ledger.ts';
import { ownerDigest } from './token-buckets.ts';

/** How long closed streams wait for others before the ledger is told of them together. */
const TELL_CLOSED_MS = 20;

/** Stops one command from keeping the ledger busy. */
const HOLD_MAX_ENTRIES = 200;

/** Everything is told again after this time: the ledger forgets what nobody has told it of for a day. */
const TELL_AGAIN_MS = 6 * 3_600_000;

/** A place among the streams of an owner, until it is released. */
export interface Place {
  release(): void;
}

/** Who holds a place where nobody is counted. */
export const FREE_PLACE: Place = { release: () => undefined };

export interface StreamPlacesDependencies {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'countedAlone'>;
}

/**
 * How many streams and long polls each owner has open. The ledger adds up what all instances hold, and grants the last place to one of them. What an instance held is free a few seconds after it was
 * killed. While the ledger is away or late, each instance counts alone.
 */
export class StreamPlaces {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'countedAlone'>;
  /** Bounded by the streams of this instance. */
  readonly #held = new Map<string, number>();
  readonly #changed = new Set<string>();
  #timer: Timer | undefined;
  #again: Timer | undefined;

  constructor({ ledger, clock, counters }: StreamPlacesDependencies) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Takes a place. Undefined where the owner has as many as it may have. */
  async take(owner: string, most: number): Promise<Place | undefined> {
    const places = (this.#held.get(owner) ?? 0) + 1;
    if (places > most) return undefined;
    this.#held.set(owner, places);
    const granted = this.#ledger.isUp ? await within(this.#clock, LEDGER_WAIT_MS, this.#hold([{ owner: ownerDigest(owner), places, most }])) : undefined;
    if (granted?.[0] === false) {
      this.#release(owner);
      return undefined;
    }
    if (granted === undefined) {
      this.#counters.countedAlone++;
      this.#tellLater(owner);
    }
    return this.#placeOf(owner);
  }

  /** Tells the ledger of everything: it may have forgotten it. */
  tellAll(): void {
    for (const owner of this.#held.keys()) this.#changed.add(owner);
    this.#tell();
    this.#again?.cancel();
    this.#again = this.#clock.after(TELL_AGAIN_MS, () => this.tellAll());
  }

  #placeOf(owner: string): Place {
    let isHeld = true;
    return {
      release: () => {
        if (isHeld) this.#release(owner);
        isHeld = false;
      },
    };
  }

  #release(owner: string): void {
    const places = this.#held.get(owner)! - 1;
    if (places === 0) this.#held.delete(owner);
    else this.#held.set(owner, places);
    this.#tellLater(owner);
  }

  #tellLater(owner: string): void {
    if (!this.#ledger.isUp) return;
    this.#changed.add(owner);
    this.#timer ??= this.#clock.after(TELL_CLOSED_MS, () => this.#tell());
  }

  #tell(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const holdings = [...this.#changed].map((owner) => ({ owner: ownerDigest(owner), places: this.#held.get(owner) ?? 0 }));
    this.#changed.clear();
    for (let at = 0; at < holdings.length; at += HOLD_MAX_ENTRIES) void this.#hold(holdings.slice(at, at + HOLD_MAX_ENTRIES));
  }

  /** Undefined where there is no answer: the ledger is told of everything when it is back. */
  async #hold(holdings: readonly Holding[]): Promise<readonly boolean[] | undefined> {
    try {
      return await this.#ledger.hold(holdings);
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
      return undefined;
    }
  }
}
