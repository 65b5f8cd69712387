import type { ControlChannel } from '../bus/control-channel.ts';
import type { Actor } from '../model/actor.ts';
import { Problem } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { isObject } from './notes.ts';
import type { Rebalancing } from './rebalancing.ts';
import type { Roster } from './roster.ts';
import { wholeOf, type Whole } from './stream-list.ts';

/** The kind of the question. */
const KIND = 'rebalance';

/** The streams that one instance closes, so that their clients reconnect to other instances. */
export interface InstanceShare {
  readonly id: string;
  /** The streams that it has. */
  readonly streams: number;
  /** How many of them it is about to close. */
  readonly moving: number;
  /** Its setting `REBALANCE` is `off`: it closes no streams. */
  readonly off?: true;
}

export interface EvenSharesReport extends Whole {
  /** How many streams move, on all instances together. */
  readonly moving: number;
  readonly instances: readonly InstanceShare[];
}

export interface EvenSharesDependencies {
  /** The id of this instance. */
  readonly instance: string;
  readonly rebalancing: Pick<Rebalancing, 'isOn' | 'shareNow'>;
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly counters: Pick<Counters, 'rebalancesAsked'>;
  readonly logger: Pick<Logger, 'info'>;
}

/** Shares streams evenly when an administrator asks for it. Each instance closes its own surplus (rebalancing.ts), and answers how many streams that is. */
export class EvenShares {
  readonly #self: string;
  readonly #rebalancing: EvenSharesDependencies['rebalancing'];
  readonly #roster: Pick<Roster, 'ask'>;
  readonly #counters: EvenSharesDependencies['counters'];
  readonly #logger: EvenSharesDependencies['logger'];

  constructor({ instance, rebalancing, roster, control, counters, logger }: EvenSharesDependencies) {
    this.#self = instance;
    this.#rebalancing = rebalancing;
    this.#roster = roster;
    this.#counters = counters;
    this.#logger = logger;
    control.answer(KIND, () => this.#shareHere());
  }

  /** @throws Problem `rebalance-off` if rebalancing is off at this instance */
  async share({ name: by, client }: Actor, asker?: Holder): Promise<EvenSharesReport> {
    if (!this.#rebalancing.isOn) throw new Problem('rebalance-off', 'REBALANCE is off at this instance: set it to on, or ask an instance where it is on.');
    this.#counters.rebalancesAsked++;
    const own = this.#shareHere();
    const { answers, missing, isPartial } = await this.#roster.ask(KIND, {}, asker);
    const all = [own, ...[...answers.values()].filter(isShare)];
    const instances = all.sort((one, other) => one.id < other.id ? -1 : 1);
    const moving = instances.reduce((sum, one) => sum + one.moving, 0);
    this.#logger.info({ audit: 'streams-rebalanced', moving, from: instances.filter((one) => one.moving > 0).map(({ id }) => id), by, client }, 'streams are shared out evenly, because an administrator said so');
    return { moving, instances, ...wholeOf({ missing, isPartial: isPartial || all.length <= answers.size }) };
  }

  #shareHere(): InstanceShare {
    return { id: this.#self, ...this.#rebalancing.shareNow(), ...(this.#rebalancing.isOn ? {} : { off: true }) };
  }
}

/** The value comes from an instance, perhaps of another version. */
function isShare(value: unknown): value is InstanceShare {
  return isObject(value) && typeof value['id'] === 'string' && isCount(value['streams']) && isCount(value['moving']) && (value['off'] === undefined || value['off'] === true);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
