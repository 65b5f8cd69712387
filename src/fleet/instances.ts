import type { ControlChannel } from '../bus/control-channel.ts';
import { isObject } from './notes.ts';
import type { Roster } from './roster.ts';
import { wholeOf, type Whole } from './stream-list.ts';

/** The kind of the question. */
const KIND = 'instances';

/** How an instance is, as it says itself. */
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
  /** Where it is one of several workers: the name of their machine, and its number there. */
  readonly host?: string;
  readonly worker?: number;
}

/** The same, beside the others. */
export interface InstanceRow extends InstanceState {
  /** How many numbers of the log it lacks, of those that the furthest of all has. */
  readonly lag: number;
}

export interface InstanceList extends Whole {
  readonly instances: readonly InstanceRow[];
}

export interface InstancesDependencies {
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly state: () => InstanceState;
}

/** How all instances are: each is asked. */
export class Instances {
  readonly #roster: Pick<Roster, 'ask'>;
  readonly #state: () => InstanceState;

  constructor({ roster, control, state }: InstancesDependencies) {
    this.#roster = roster;
    this.#state = state;
    control.answer(KIND, () => state());
  }

  async list(): Promise<InstanceList> {
    const { answers, ...whole } = await this.#roster.ask(KIND, {});
    const states = [this.#state(), ...[...answers.values()].filter(isState)];
    const head = Math.max(...states.map(({ position }) => position));
    const instances = states.sort((one, other) => one.id < other.id ? -1 : 1).map((state) => ({ ...state, lag: head - state.position }));
    return { instances, ...wholeOf(whole) };
  }
}

/** What else an instance says is passed on as it is: a newer version may say more. */
function isState(value: unknown): value is InstanceState {
  return isObject(value) && typeof value['id'] === 'string' && typeof value['position'] === 'number';
}
