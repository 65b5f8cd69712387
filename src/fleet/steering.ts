import type { StreamHandles } from '../access/stream-handles.ts';
import type { ControlChannel } from '../bus/control-channel.ts';
import type { Reader } from '../delivery/reader.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Actor } from '../model/actor.ts';
import { Problem } from '../model/problem.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { isObject } from './notes.ts';
import type { OpenStreams } from './open-streams.ts';
import type { Roster } from './roster.ts';

/** The kinds of the questions. */
const CLOSE = 'stream-close';
const DRAIN = 'instance-drain';

/** What an instance says of something that another one would have. */
const ELSEWHERE = { outcome: 'elsewhere' };

export interface SteeringDependencies {
  readonly local: Pick<OpenStreams, 'find'>;
  readonly streams: Pick<StreamRegistry, 'end'>;
  readonly handles: Pick<StreamHandles, 'instance' | 'read'>;
  readonly roster: Pick<Roster, 'ask'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'dismissed'>;
  readonly logger: Pick<Logger, 'info'>;
  /** Ends this instance, as SIGTERM does. */
  readonly drain: () => void;
}

/** Closes streams and drains instances, wherever they are, with an audit line where it was asked for. */
export class Steering {
  readonly #local: SteeringDependencies['local'];
  readonly #streams: SteeringDependencies['streams'];
  readonly #handles: SteeringDependencies['handles'];
  readonly #roster: SteeringDependencies['roster'];
  readonly #clock: Clock;
  readonly #counters: SteeringDependencies['counters'];
  readonly #logger: SteeringDependencies['logger'];
  readonly #drain: () => void;

  constructor({ local, streams, handles, roster, control, clock, counters, logger, drain }: SteeringDependencies) {
    this.#local = local;
    this.#streams = streams;
    this.#handles = handles;
    this.#roster = roster;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#drain = drain;
    control.answer(CLOSE, (body) => this.#closeHere(body));
    control.answer(DRAIN, (body) => this.#drainHere(body));
  }

  /**
   * Closes a stream. Its client is told when to come back.
   * @param retryMs When that is; undefined: a time of its own, as at a drain.
   * @throws Problem `not-found`; `unavailable` where the instance that would have it did not answer
   */
  async close(id: string, retryMs: number | undefined, { name: by, client }: Actor): Promise<void> {
    const stream = this.#handles.read(id);
    const question = { stream: id, retryMs };
    if (stream === undefined || !await this.#isDone(CLOSE, question, stream.instance, this.#closeHere(question))) throw streamMissing();
    this.#logger.info({ audit: 'stream-closed', stream: id, retryMs, by, client }, 'a stream was closed by an administrator');
  }

  /**
   * Ends an instance, as SIGTERM does. Resolves when it has begun to drain.
   * @throws Problem `not-found`; `unavailable` where it did not answer
   */
  async drain(instance: string, { name: by, client }: Actor): Promise<void> {
    const question = { to: instance };
    if (!await this.#isDone(DRAIN, question, instance, this.#drainHere(question))) throw new Problem('not-found', 'There is no such instance; GET /instances lists those there are.', { field: 'id' });
    this.#logger.info({ audit: 'instance-drained', drained: instance, by, client }, 'an instance drains, because an administrator said so');
  }

  /**
   * Asks the instance that has something to do something with it.
   * @param here What this instance answers to the question.
   * @returns False where it, or no instance, has it.
   */
  async #isDone(kind: string, question: object, instance: string, here: unknown): Promise<boolean> {
    if (instance === this.#handles.instance) return isDone(here);
    const { answers, missing, isPartial } = await this.#roster.ask(kind, question, (some) => some.has(instance));
    if (answers.has(instance)) return isDone(answers.get(instance));
    // Without a bus, or beside older versions, nobody knows who else there is.
    if (missing.includes(instance) || isPartial) throw new Problem('unavailable', 'The instance that would have it did not answer. It may have ended: try again.', { field: 'id' });
    return false;
  }

  #closeHere(body: unknown): unknown {
    if (!isObject(body) || typeof body['stream'] !== 'string') return undefined;
    const stream = this.#handles.read(body['stream']);
    if (stream?.isHere !== true) return ELSEWHERE;
    const reader = this.#local.find(stream.number);
    const { retryMs } = body;
    if (reader === undefined) return { outcome: 'missing' };
    this.#end(reader, typeof retryMs === 'number' ? retryMs : undefined);
    return { outcome: 'done' };
  }

  #end(reader: Reader, retryMs: number | undefined): void {
    this.#counters.dismissed++;
    this.#streams.end(reader, retryMs);
  }

  /** The answer leaves first. */
  #drainHere(body: unknown): unknown {
    if (!isObject(body) || body['to'] !== this.#handles.instance) return ELSEWHERE;
    this.#clock.soon(this.#drain);
    return { outcome: 'done' };
  }
}

function isDone(answer: unknown): boolean {
  return isObject(answer) && answer['outcome'] === 'done';
}

function streamMissing(): Problem {
  return new Problem('not-found', 'No instance has this stream: it has ended, or never was.', { field: 'id' });
}
