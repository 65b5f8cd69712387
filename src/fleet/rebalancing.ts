import type { Reader } from '../delivery/reader/reader.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { Roster } from './roster.ts';

/** By how much of a fair share the fullest instance and the emptiest one may differ. Stops streams from being sent to and fro for small differences. */
const SPREAD_SHARE = 0.1;
/** Instances that differ by no more streams than this keep them: that is no load. */
const SPREAD_MIN_STREAMS = 20;
/** The same where an administrator has asked for even shares: the smallest differences that sending streams away makes smaller. */
const ASKED_SPREAD_SHARE = 0.02;
const ASKED_SPREAD_MIN_STREAMS = 1;
/**
 * Workers of one machine get connections by chance. Their shares differ by about the square root of what they have, and by four times that once in some ten thousand. Stops them from sending
 * streams away that chance would only spread as before.
 */
const CHANCE_FACTOR = 4;
/** How often it is looked. Milliseconds. */
const REBALANCE_LOOK_MS = 1_000;
/** How many are sent away in each second: opening them again costs other instances some milliseconds of it. Of many streams it is a part, so that two minutes are enough for any number. */
const SHED_PER_LOOK_STREAMS = 50;
const SHED_PER_LOOK_SHARE = 0.02;
/** How long streams are sent away before it is looked where they have gone. Milliseconds. */
const ROUND_MS = 10_000;
/** How long after the last of them may have come back the reports of the others count them: two reports and more. Milliseconds. */
const SETTLE_MS = 12_000;
/** The others must have grown by this part of the streams that were sent away. Some clients never come back, and others close meanwhile. */
const ARRIVED_SHARE = 0.5;
/** How long nothing is sent away after streams did not arrive elsewhere, because the balancer brings them back here: first, and at most. It doubles each time. Milliseconds. */
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 600_000;

export interface RebalancingSettings {
  readonly isOn: boolean;
  /** Whether the kernel gives connections to this instance and others by chance. */
  readonly isByChance: boolean;
  /** Younger streams are left alone. */
  readonly minAgeMs: number;
  /** The longest time after which a client comes back. */
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

/** Streams are sent away until `left` is 0, or the time is up. Then it is looked whether the others have them. */
interface Round {
  /** An administrator has asked for it: it goes on until all of them have left, and takes young streams too, each once. */
  readonly isAsked: boolean;
  readonly began: number;
  readonly until: number;
  /** How many the others had. */
  readonly others: number;
  left: number;
  sent: number;
  /** When it is looked; undefined while streams are sent away. */
  lookAt: number | undefined;
}

/**
 * Sends streams away where an instance has more than its fair share: after a restart or a new instance, the balancer gives the others only new streams. Shares are counted among the instances that are ready, by
 * their reports. It goes in rounds: the reports are some seconds old, so how many leave is settled at the beginning of a round. Where the others do not grow, the balancer has brought the streams back, and it stops.
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
   * Begins to send the surplus away, however young the streams are and however small it is.
   * @returns How many streams there are, and how many of them are to leave.
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

  /** The streams of each of the others that take new ones. */
  get #others(): readonly number[] {
    return [...this.#roster.reports.values()].filter(({ isReady }) => isReady).map(({ streams }) => streams);
  }

  /**
   * @param asked Set where an administrator has asked for it: the round that is under way, or true.
   * @returns undefined where this instance has no more than its share, the emptiest one has nearly as many, or all streams are young.
   */
  #begin(others: readonly number[], now: number, asked?: Round | true): Round | undefined {
    const { size } = this.#streams;
    const instances = others.length + 1;
    const elsewhere = sumOf(others);
    const before = typeof asked === 'object' ? asked : undefined;
    // Streams that were sent away and have not arrived are counted nowhere yet.
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
    // Clients may have left meanwhile: then there is nobody to send away.
    if (round.isAsked && leaving.length === 0) round.left = 0;
    for (const reader of leaving) {
      this.#streams.end(reader, 'rebalancing');
      this.#counters.rebalanced++;
      round.left--;
      round.sent++;
    }
    if (round.left === 0 || now >= round.until) round.lookAt = now + this.#settings.retryMaxMs + SETTLE_MS;
  }

  /** Some streams that were open at a moment. */
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
