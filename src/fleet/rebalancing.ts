import type { Reader } from '../delivery/reader/reader.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { Roster } from './roster.ts';

/** The largest difference between the fullest and the emptiest instance that is left alone, as a part of a fair share. Stops streams from moving back and forth. */
const SPREAD_SHARE = 0.1;
/** The same in streams: so few are no load. */
const SPREAD_MIN_STREAMS = 20;
/** The two bounds above, after an administrator asked for even shares: smaller differences cannot be improved. */
const ASKED_SPREAD_SHARE = 0.02;
const ASKED_SPREAD_MIN_STREAMS = 1;
/**
 * The kernel gives connections to workers of one machine at random. So their shares differ by about the square root of a share; a difference of four times that has a chance of one in ten thousand.
 * With shares of 10,000 streams, a surplus of up to 400 is left alone. Stops workers from closing streams that would be spread at random again.
 */
const CHANCE_FACTOR = 4;
/** How often the shares are compared. */
const REBALANCE_LOOK_MS = 1_000;
/** How many streams are closed each second, and at least which part of all: so two minutes of closing are enough for any number. Bounds the work of the other instances, which open them again. */
const SHED_PER_LOOK_STREAMS = 50;
const SHED_PER_LOOK_SHARE = 0.02;
/** How long a round closes streams. Then it waits, and looks where the streams have gone. */
const ROUND_MS = 10_000;
/** How long a round waits, after the last client may have reconnected, for the reports of the others: more than two reports. */
const SETTLE_MS = 12_000;
/** The part of the closed streams that must arrive at the others for a round to count as successful. Some clients never come back. */
const ARRIVED_SHARE = 0.5;
/** The first and the longest pause after an unsuccessful round: the balancer sends the clients back here. It doubles each time. */
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 600_000;

export interface RebalancingSettings {
  readonly isOn: boolean;
  /** Whether the kernel gives connections to this instance and others at random, as to workers. */
  readonly isByChance: boolean;
  /** Younger streams are not closed. */
  readonly minAgeMs: number;
  /** The longest time until a client reconnects. */
  readonly retryMaxMs: number;
}

export interface RebalancingDependencies {
  readonly roster: Pick<Roster, 'reports'>;
  readonly streams: Pick<StreamRegistry, 'readers' | 'size' | 'end'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'rebalanced'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly isReady: () => boolean;
  readonly settings: RebalancingSettings;
}

/**
 * One round. It has two phases:
 * 1. Each look closes some streams, until `left` is 0 or `until` is over. `lookAt` is undefined.
 * 2. Wait until `lookAt`. Then the round is successful if the others have grown.
 */
interface Round {
  /** Whether an administrator asked for it. Then it has no time limit, and closes young streams too, but none that opened after `began`. */
  readonly isAsked: boolean;
  readonly began: number;
  readonly until: number;
  /** How many streams the others had at its beginning. */
  readonly others: number;
  /** How many streams are still to be closed. */
  left: number;
  /** How many streams were closed. */
  sent: number;
  lookAt: number | undefined;
}

/**
 * Closes streams of an instance that has more than its fair share, so that their clients reconnect elsewhere. After a restart, for example, a balancer gives the other instances only new streams. A fair share is
 * the average over the ready instances, by their reports.
 *
 * It works in rounds. The reports are some seconds old, so the number of streams to close is fixed at the beginning of a round. If the others do not grow, the balancer sends the clients back here: then it pauses.
 *
 * An example: 900, 0 and 0 streams. The share is 300, so the first instance closes 600, 50 each second. The round closes streams for at most 10 s, so it takes two rounds.
 */
export class Rebalancing {
  readonly #roster: Pick<Roster, 'reports'>;
  readonly #streams: RebalancingDependencies['streams'];
  readonly #clock: Clock;
  readonly #counters: RebalancingDependencies['counters'];
  readonly #logger: RebalancingDependencies['logger'];
  readonly #isReady: () => boolean;
  readonly #settings: RebalancingSettings;
  #round: Round | undefined;
  #pausedUntil = 0;
  #restMs = FIRST_REST_MS;
  #timer: Timer | undefined;

  constructor({ roster, streams, clock, counters, logger, isReady, settings }: RebalancingDependencies) {
    this.#roster = roster;
    this.#streams = streams;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#isReady = isReady;
    this.#settings = settings;
  }

  get isOn(): boolean {
    return this.#settings.isOn;
  }

  open(): void {
    if (this.#settings.isOn) this.#schedule();
  }

  /**
   * Begins to close the surplus, even if it is small or the streams are young.
   * @returns How many streams this instance has, and how many of them it will close.
   */
  shareNow(): { readonly streams: number; readonly moving: number } {
    const others = this.#others;
    const streams = this.#streams.size;
    if (!this.isOn || !this.#isReady() || others.length === 0) return { streams, moving: 0 };
    const before = this.#round;
    this.#round = this.#begin(others, this.#clock.monotonic(), before ?? true) ?? before;
    return { streams, moving: this.#round?.left ?? 0 };
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #schedule(): void {
    this.#timer = this.#clock.after(REBALANCE_LOOK_MS, () => {
      this.#schedule();
      this.#look();
    });
  }

  #look(): void {
    const now = this.#clock.monotonic();
    const others = this.#others;
    if (!this.#isReady() || others.length === 0) {
      this.#round = undefined;
      return;
    }
    const elsewhere = sumOf(others);
    if (this.#round?.lookAt !== undefined && now >= this.#round.lookAt) this.#end(this.#round, elsewhere, now);
    this.#round ??= now < this.#pausedUntil ? undefined : this.#begin(others, now);
    if (this.#round !== undefined && this.#round.lookAt === undefined) this.#shed(this.#round, now);
  }

  /** The number of streams of each other instance that takes new streams. */
  get #others(): readonly number[] {
    return [...this.#roster.reports.values()].filter(({ isReady }) => isReady).map(({ streams }) => streams);
  }

  /**
   * @param asked Only if an administrator asked for it: the current round, or true without one.
   * @returns Undefined if this instance has no more than its share, the emptiest instance has nearly as many streams, or all streams are young.
   */
  #begin(others: readonly number[], now: number, asked?: Round | true): Round | undefined {
    const { size } = this.#streams;
    const instances = others.length + 1;
    const elsewhere = sumOf(others);
    const before = typeof asked === 'object' ? asked : undefined;
    // Streams that were closed and have not arrived are in no report yet.
    const onTheirWay = before === undefined ? 0 : Math.min(before.sent, Math.max(0, before.others + before.sent - elsewhere));
    const share = Math.ceil((size + elsewhere + onTheirWay) / instances);
    const excess = size - share;
    const spread = size - Math.min(...others) - onTheirWay;
    if (excess <= 0) return undefined;
    if (asked !== undefined ? spread <= Math.max(ASKED_SPREAD_MIN_STREAMS, share * ASKED_SPREAD_SHARE) : this.#isLeftAlone(excess, share, spread) || this.#old(now - this.#settings.minAgeMs, 1).length === 0) return undefined;
    this.#logger.info({ streams: size, share, instances }, 'this instance has more than its share of the streams: some are sent to the others');
    return { isAsked: asked !== undefined, began: before?.isAsked === true ? before.began : now, until: asked === undefined ? now + ROUND_MS : Infinity, others: before?.others ?? elsewhere, left: excess, sent: before?.sent ?? 0, lookAt: undefined };
  }

  #isLeftAlone(excess: number, share: number, spread: number): boolean {
    return (this.#settings.isByChance && excess <= CHANCE_FACTOR * Math.sqrt(share)) || spread <= Math.max(SPREAD_MIN_STREAMS, share * SPREAD_SHARE);
  }

  #shed(round: Round, now: number): void {
    const most = Math.min(round.left, Math.max(SHED_PER_LOOK_STREAMS, Math.ceil(this.#streams.size * SHED_PER_LOOK_SHARE)));
    const leaving = this.#old(round.isAsked ? round.began : now - this.#settings.minAgeMs, most);
    // No stream from before the round is left: their clients have closed them.
    if (round.isAsked && leaving.length === 0) round.left = 0;
    for (const reader of leaving) {
      this.#streams.end(reader, 'rebalancing');
      this.#counters.rebalanced++;
      round.left--;
      round.sent++;
    }
    if (round.left === 0 || now >= round.until) round.lookAt = now + this.#settings.retryMaxMs + SETTLE_MS;
  }

  /** Up to `most` streams that were open at a time. */
  #old(at: number, most: number): readonly Reader[] {
    const old: Reader[] = [];
    const bornTenths = Math.round(at / 100);
    for (const reader of this.#streams.readers) {
      if (old.length >= most) break;
      if (!reader.isGone && reader.openedTenths <= bornTenths) old.push(reader);
    }
    return old;
  }

  #end({ others, sent }: Round, elsewhere: number, now: number): void {
    this.#round = undefined;
    if (sent === 0) return;
    if (elsewhere - others >= sent * ARRIVED_SHARE) {
      this.#restMs = FIRST_REST_MS;
      return;
    }
    const restMs = this.#restMs;
    this.#pausedUntil = now + restMs;
    this.#restMs = Math.min(2 * restMs, LONGEST_REST_MS);
    this.#logger.info({ sent, arrived: elsewhere - others, pauseSeconds: restMs / 1000 }, 'streams that were sent away did not arrive at the other instances, so no more are: does the balancer go by the fewest connections?');
  }
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
