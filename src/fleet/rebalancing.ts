import type { Reader } from '../delivery/reader.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Roster } from './roster.ts';

/** By how much an instance may be above its fair share. Stops streams from being sent to and fro for small differences. */
const MARGIN_SHARE = 0.1;
/** An instance that is fewer streams above its share keeps them: that is no load. */
const EXCESS_MIN_STREAMS = 20;
/**
 * Workers of one machine get connections by chance. Their shares differ by about the square root of what they have, and by four times that once in some ten thousand. Stops them from sending
 * streams away that chance would only spread as before.
 */
const CHANCE_FACTOR = 4;
/** How often it is looked. Milliseconds. */
const REBALANCE_LOOK_MS = 1_000;
/** How many are sent away in each second: opening them again costs other instances some milliseconds of it. */
const SHED_PER_LOOK_STREAMS = 50;
/** How long streams are sent away before it is looked where they have gone. Milliseconds. */
const ROUND_MS = 10_000;
/** How long after the last of them may have come back the reports of the others count them: two reports and more. Milliseconds. */
const SETTLE_MS = 12_000;
/** The part of the streams that were sent away by which the others must have grown. Some clients never come back, and others close meanwhile. */
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
  /** The longest time after which a client is told to come back. */
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
  readonly until: number;
  /** How many the others had. */
  readonly others: number;
  left: number;
  sent: number;
  /** When it is looked; undefined while streams are sent away. */
  lookAt: number | undefined;
}

/**
 * Sends streams away where an instance has more than its fair share: after a restart or a new instance, the balancer gives the others only what comes anew. Shares are counted among the instances that are ready, by
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

  open(): void {
    if (this.#settings.isOn) this.#schedule();
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
    const others = [...this.#roster.reports.values()].filter(({ isReady }) => isReady).map(({ streams }) => streams);
    if (!this.#isReady() || others.length === 0) {
      this.#round = undefined;
      return;
    }
    const elsewhere = others.reduce((sum, streams) => sum + streams, 0);
    if (this.#round?.lookAt !== undefined && now >= this.#round.lookAt) this.#end(this.#round, elsewhere, now);
    this.#round ??= now < this.#pausedUntil ? undefined : this.#begin(elsewhere, others.length, now);
    if (this.#round !== undefined && this.#round.lookAt === undefined) this.#shed(this.#round, now);
  }

  /** @returns undefined where this instance has no more than its share, and the margin, or only young streams. */
  #begin(elsewhere: number, count: number, now: number): Round | undefined {
    const { size } = this.#streams;
    const share = Math.ceil((size + elsewhere) / (count + 1));
    const excess = size - share;
    if (excess < EXCESS_MIN_STREAMS || excess <= share * MARGIN_SHARE || (this.#settings.isByChance && excess <= CHANCE_FACTOR * Math.sqrt(share)) || this.#old(now).length === 0) return undefined;
    this.#logger.info({ streams: size, share, instances: count + 1 }, 'this instance has more than its share of the streams: some are sent to the others');
    return { until: now + ROUND_MS, others: elsewhere, left: excess, sent: 0, lookAt: undefined };
  }

  #shed(round: Round, now: number): void {
    for (const reader of this.#old(now)) {
      if (round.left === 0) break;
      this.#streams.end(reader, 'rebalancing');
      this.#counters.rebalanced++;
      round.left--;
      round.sent++;
    }
    if (round.left === 0 || now >= round.until) round.lookAt = now + this.#settings.retryMaxMs + SETTLE_MS;
  }

  /** Some streams that are old enough to be sent away. */
  #old(now: number): readonly Reader[] {
    const old: Reader[] = [];
    const bornTenths = (now - this.#settings.minAgeMs) / 100;
    for (const reader of this.#streams.readers) {
      if (reader.isGone || reader.openedTenths > bornTenths) continue;
      old.push(reader);
      if (old.length === SHED_PER_LOOK_STREAMS) break;
    }
    return old;
  }

  #end({ others, sent }: Round, elsewhere: number, now: number): void {
    this.#round = undefined;
    // A few say nothing: others close meanwhile.
    if (sent < EXCESS_MIN_STREAMS) return;
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
