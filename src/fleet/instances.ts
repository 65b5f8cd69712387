import type { ControlChannel } from '../bus/control-channel.ts';
import { Problem } from '../model/problem.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { Warning } from '../runtime/logging/warnings.ts';
import { FIGURES_EVERY_MS, type FigureColumns, type Figures } from './figures.ts';
import { isObject } from './notes.ts';
import type { Roster } from './roster.ts';
import { wholeOf, type Whole } from './stream-list.ts';

/** The kinds of the questions. */
const KIND = 'instances';
const ONE = 'instance-detail';

/** The state of an instance, from itself. */
export interface InstanceState {
  readonly id: string;
  readonly version: string;
  /** When its process began. */
  readonly since: string;
  readonly status: string;
  readonly streams: number;
  readonly publishesPerSecond: number;
  readonly deliveriesPerSecond: number;
  /** The longest delay of its event loop in the last ten seconds. */
  readonly loopDelayMs: number;
  /** The last number of the log that its streams may have been sent. */
  readonly position: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly database: string;
  readonly bus: string;
  /** Only of a worker: the name of its machine, and its number there. */
  readonly host?: string;
  readonly worker?: number;
}

/** The state of an instance, compared with the others. */
export interface InstanceRow extends InstanceState {
  /** How many numbers of the log it is behind the furthest instance. */
  readonly lag: number;
}

export interface InstanceList extends Whole {
  readonly instances: readonly InstanceRow[];
}

/** One instance with the figures of its last hour. */
export interface InstanceDetail extends InstanceState {
  /** The time between two figures. */
  readonly everySeconds: number;
  readonly figures: FigureColumns;
  /** Its warnings, the newest first. */
  readonly warnings: readonly Warning[];
}

export interface InstancesDependencies {
  /** The id of this instance. */
  readonly instance: string;
  readonly roster: Pick<Roster, 'ask' | 'askOne'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly state: () => InstanceState;
  readonly figures: Pick<Figures, 'since'>;
  readonly warnings: () => readonly Warning[];
}

/** The states of all instances. Each is asked for its own. */
export class Instances {
  readonly #self: string;
  readonly #roster: InstancesDependencies['roster'];
  readonly #state: () => InstanceState;
  readonly #figures: Pick<Figures, 'since'>;
  readonly #warnings: () => readonly Warning[];

  constructor({ instance, roster, control, state, figures, warnings }: InstancesDependencies) {
    this.#self = instance;
    this.#roster = roster;
    this.#state = state;
    this.#figures = figures;
    this.#warnings = warnings;
    control.answer(KIND, () => state());
    control.answer(ONE, (body) => this.#detailHere(body));
  }

  async list(asker?: Holder): Promise<InstanceList> {
    const { answers, ...whole } = await this.#roster.ask(KIND, {}, asker);
    const states = [this.#state(), ...[...answers.values()].filter(isState)];
    const head = Math.max(...states.map(({ position }) => position));
    const instances = states.sort((one, other) => one.id < other.id ? -1 : 1).map((state) => ({ ...state, lag: head - state.position }));
    return { instances, ...wholeOf(whole) };
  }

  /**
   * One instance with its last hour. The question may reach all instances, and only that one answers.
   * @param after Only figures of later moments, in seconds since 1970.
   * @throws Problem `not-found`; `unavailable` if it did not answer
   */
  async one(id: string, after: number, asker?: Holder): Promise<InstanceDetail> {
    if (id === this.#self) return this.#detail(after);
    const asked = await this.#roster.askOne(id, ONE, { to: id, after }, asker);
    if ('answer' in asked && isDetail(asked.answer)) return asked.answer;
    if ('answer' in asked || asked.mayExist) throw new Problem('unavailable', 'The instance did not answer.', { field: 'id' });
    throw new Problem('not-found', 'There is no such instance; GET /instances lists those there are.', { field: 'id' });
  }

  #detail(after: number): InstanceDetail {
    return { ...this.#state(), everySeconds: FIGURES_EVERY_MS / 1000, figures: this.#figures.since(after), warnings: this.#warnings() };
  }

  /** Returns a promise, although the answer is ready: the control channel does not keep such answers, and this one is large. */
  #detailHere(body: unknown): unknown {
    if (!isObject(body) || body['to'] !== this.#self || !Number.isSafeInteger(body['after'])) return undefined;
    return Promise.resolve(this.#detail(body['after'] as number));
  }
}

/** Does not check unknown members, because a newer version may have more. */
function isState(value: unknown): value is InstanceState {
  return isObject(value) && typeof value['id'] === 'string' && typeof value['position'] === 'number';
}

function isDetail(value: unknown): value is InstanceDetail {
  return isObject(value) && isState(value) && isObject(value['figures']) && Array.isArray(value['warnings']);
}
