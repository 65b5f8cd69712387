import { within, type Clock, type Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { LEDGER_WAIT_MS, LedgerAway, type Holding, type Ledger } from './ledger.ts';
import { ownerDigest } from './token-buckets.ts';

/** How long a closed stream waits for others, so that one report to the ledger covers several. */
const TELL_CLOSED_MS = 20;

/** The most owners of one command. Stops one command from keeping the ledger busy. */
const HOLD_MAX_ENTRIES = 200;

/** How often all places are reported again. The ledger drops places after a day without a report. */
const TELL_AGAIN_MS = 6 * 3_600_000;

/** The places of one owner on this instance. */
interface Held {
  places: number;
  /** Whether the ledger may still count places: it got a report of some, and has not confirmed that they are released. */
  isTold: boolean;
  /** How many reports the ledger has not answered. */
  unanswered: number;
}

/** The answer for one place: granted or not, or undefined without an answer of the ledger. */
type Answer = boolean | undefined;

/** The streams of one owner that wait for their places. */
interface Takers {
  readonly most: number;
  readonly answer: ((granted: Answer) => void)[];
}

/** A place that the ledger grants or refuses separately. */
interface SinglePlace extends Holding {
  readonly answer: (granted: Answer) => void;
}

/** A place among the streams of an owner, until it is released. */
export interface Place {
  release(): void;
}

/** The place of a stream without a limit. */
export const FREE_PLACE: Place = { release: () => undefined };

export interface StreamPlacesDependencies {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'countedAlone'>;
}

/**
 * Limits the open streams and long polls of each owner. The ledger adds up the places of all instances, and decides who gets the last place. It frees the places of a killed
 * instance after a few seconds. While the ledger is down or late, each instance counts alone.
 *
 * | event | the ledger |
 * |---|---|
 * | a stream opens | is asked first; all streams that wait share one question for each owner (`#askAll`) |
 * | it refuses the sum | is asked for each place separately, so that some streams still open (`#ask`) |
 * | a stream closes | gets the new count within `TELL_CLOSED_MS` (`#tellLater`) |
 * | a report failed | gets it when it is up again (`tellChanged`) |
 * | it may have lost counts | gets all counts again (`tellAll`) |
 */
export class StreamPlaces {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'countedAlone'>;
  /** Owners with places here, or perhaps still in the ledger. Bounded by the open streams, and the streams open at the ledger's last answer. */
  readonly #held = new Map<string, Held>();
  /** The owners whose changes the ledger lacks. It gets them once it is up. */
  readonly #changed = new Set<string>();
  /** The next question to the ledger. Bounded by the streams that open. */
  readonly #waiting = new Map<string, Takers>();
  #isAsking = false;
  #timer: Timer | undefined;
  #again: Timer | undefined;

  constructor({ ledger, clock, counters }: StreamPlacesDependencies) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Takes a place. Undefined if the owner has `most` places. */
  async take(owner: string, most: number): Promise<Place | undefined> {
    const held = this.#held.get(owner) ?? { places: 0, isTold: false, unanswered: 0 };
    if (held.places >= most) return undefined;
    held.places++;
    this.#held.set(owner, held);
    const granted = this.#ledger.isUp ? await this.#granted(owner, most) : undefined;
    if (granted === false) {
      this.#release(owner);
      return undefined;
    }
    if (granted === undefined) {
      this.#counters.countedAlone++;
      this.#tellLater(owner);
    }
    return this.#placeOf(owner);
  }

  /** Reports all places to the ledger, which may have lost them. */
  tellAll(): void {
    for (const owner of this.#held.keys()) this.#changed.add(owner);
    this.tellChanged();
    this.#again?.cancel();
    this.#again = this.#clock.after(TELL_AGAIN_MS, () => this.tellAll());
  }

  /** Reports the places that have changed since the ledger's last report. */
  tellChanged(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const owners = [...this.#changed];
    this.#changed.clear();
    for (let at = 0; at < owners.length; at += HOLD_MAX_ENTRIES) void this.#tell(owners.slice(at, at + HOLD_MAX_ENTRIES));
  }

  /** Asks the ledger for a place. Streams that open in one turn of the event loop, or during a question, share the next question. */
  #granted(owner: string, most: number): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const takers = this.#waiting.get(owner);
    if (takers === undefined) this.#waiting.set(owner, { most, answer: [resolve] });
    else takers.answer.push(resolve);
    if (!this.#isAsking) {
      this.#isAsking = true;
      this.#clock.soon(() => void this.#askAll());
    }
    return promise;
  }

  /** Sends one question after the other, so that no question reports fewer places than an earlier one was granted. */
  async #askAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const some = [...this.#waiting].slice(0, HOLD_MAX_ENTRIES);
      for (const [owner] of some) this.#waiting.delete(owner);
      await this.#ask(some);
    }
    this.#isAsking = false;
  }

  async #ask(some: readonly (readonly [owner: string, takers: Takers])[]): Promise<void> {
    const answers = await this.#holdInTime(some.map(([owner, { most }]) => ({ owner, places: this.#asked(owner), most })));
    const last: SinglePlace[] = [];
    some.forEach(([owner, { most, answer }], index) => {
      const granted = answers?.[index];
      if (granted !== false || answer.length === 1) for (const each of answer) each(granted);
      else {
        // The owner has no room for all of these places, but maybe for some.
        const before = this.#asked(owner) - answer.length;
        answer.forEach((each, at) => last.push({ owner, places: before + at + 1, most, answer: each }));
      }
    });
    for (let at = 0; at < last.length; at += HOLD_MAX_ENTRIES) {
      const part = last.slice(at, at + HOLD_MAX_ENTRIES);
      const each = await this.#holdInTime(part);
      part.forEach(({ answer }, index) => answer(each?.[index]));
    }
  }

  /** Counts the places of an owner, without the streams that wait for the next question. */
  #asked(owner: string): number {
    return this.#held.get(owner)!.places - (this.#waiting.get(owner)?.answer.length ?? 0);
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
    const held = this.#held.get(owner)!;
    held.places--;
    if (held.places === 0 && !held.isTold) this.#forget(owner);
    else this.#tellLater(owner);
  }

  #forget(owner: string): void {
    this.#held.delete(owner);
    this.#changed.delete(owner);
  }

  /** While the ledger is down, the change waits in `#changed` for its return. */
  #tellLater(owner: string): void {
    this.#changed.add(owner);
    if (this.#ledger.isUp) this.#timer ??= this.#clock.after(TELL_CLOSED_MS, () => this.tellChanged());
  }

  async #tell(owners: readonly string[]): Promise<void> {
    if (await this.#hold(owners.map((owner) => ({ owner, places: this.#held.get(owner)!.places }))) !== undefined) return;
    for (const owner of owners) if (this.#held.has(owner)) this.#changed.add(owner);
  }

  #holdInTime(holdings: readonly Holding[]): Promise<readonly boolean[] | undefined> {
    return this.#ledger.isUp ? within(this.#clock, LEDGER_WAIT_MS, this.#hold(holdings)) : Promise.resolve(undefined);
  }

  /** Reports the places of some owners to the ledger. Undefined without an answer. */
  async #hold(holdings: readonly Holding[]): Promise<readonly boolean[] | undefined> {
    const told = holdings.map(({ owner, places }) => ({ owner, places, held: this.#held.get(owner)! }));
    for (const { held } of told) {
      held.isTold = true;
      held.unanswered++;
    }
    try {
      const answers = await this.#ledger.hold(holdings.map(({ owner, places, most }) => ({ owner: ownerDigest(owner), places, ...(most === undefined ? {} : { most }) })));
      for (const { owner, held, places } of told) if (places === 0 && held.places === 0 && held.unanswered === 1) this.#forget(owner);
      return answers;
    } catch (error) {
      if (!(error instanceof LedgerAway)) throw error;
      return undefined;
    } finally {
      for (const { held } of told) held.unanswered--;
    }
  }
}
