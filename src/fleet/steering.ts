import type { StreamHandles } from '../access/leases/stream-handles.ts';
import type { SessionAdministration } from '../access/credentials/session-administration.ts';
import type { Tickets } from '../access/tickets/tickets.ts';
import type { ControlChannel } from '../bus/control-channel.ts';
import type { Reader } from '../delivery/reader/reader.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Actor } from '../model/actor.ts';
import { Problem } from '../model/problem.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { orProblem } from '../store/change-problem.ts';
import { isObject } from './notes.ts';
import type { OpenStreams } from './open-streams.ts';
import type { Roster } from './roster.ts';

/** The kinds of the questions. */
const CLOSE = 'stream-close';
const IDENTIFY = 'stream-identity';
const DRAIN = 'instance-drain';

/** When the client of a closed stream may come back: after this number of milliseconds, never, or by default as at a drain. */
export type Retry = number | 'never' | undefined;

/** The answer of an instance that does not have the stream. */
const ELSEWHERE = { outcome: 'elsewhere' };

export interface SteeringDependencies {
  readonly local: Pick<OpenStreams, 'find'>;
  readonly streams: Pick<StreamRegistry, 'end'>;
  readonly tickets: Pick<Tickets, 'end'>;
  readonly sessions: Pick<SessionAdministration, 'endWithStream'>;
  readonly handles: Pick<StreamHandles, 'instance' | 'read'>;
  readonly roster: Pick<Roster, 'askOne'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'dismissed'>;
  readonly logger: Pick<Logger, 'info'>;
  /** Ends this instance, as SIGTERM does. */
  readonly drain: () => void;
}

/** Closes streams and drains instances, on any instance. The instance that got the request writes an audit line. */
export class Steering {
  readonly #local: SteeringDependencies['local'];
  readonly #streams: SteeringDependencies['streams'];
  readonly #tickets: SteeringDependencies['tickets'];
  readonly #sessions: SteeringDependencies['sessions'];
  readonly #handles: SteeringDependencies['handles'];
  readonly #roster: SteeringDependencies['roster'];
  readonly #clock: Clock;
  readonly #counters: SteeringDependencies['counters'];
  readonly #logger: SteeringDependencies['logger'];
  readonly #drain: () => void;

  constructor({ local, streams, tickets, sessions, handles, roster, control, clock, counters, logger, drain }: SteeringDependencies) {
    this.#local = local;
    this.#streams = streams;
    this.#tickets = tickets;
    this.#sessions = sessions;
    this.#handles = handles;
    this.#roster = roster;
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#drain = drain;
    control.answer(IDENTIFY, (body) => this.#identifyHere(body));
    control.answer(CLOSE, (body) => this.#closeHere(body));
    control.answer(DRAIN, (body) => this.#drainHere(body));
  }

  /**
   * Closes a stream, and sends its client the time to reconnect. With `never`, first ends the client's ticket or session, so that it cannot reconnect.
   * @throws Problem `not-found`; `outcome-unknown` if the instance of the stream did not answer; `stream-without-identity` for `never` if the client has no ticket or session of its own
   */
  async close(id: string, retry: Retry, { name: by, client }: Actor, asker?: Holder): Promise<void> {
    const stream = this.#handles.read(id);
    if (stream === undefined) throw streamMissing();
    if (retry === 'never') await this.#endIdentity(id, stream.instance, client ?? '', asker);
    const question = { stream: id, retryMs: retry === 'never' ? undefined : retry };
    // A stream whose session has just ended may have ended with it.
    const audited = { audit: 'stream-closed', stream: id, retryMs: retry, by, client };
    const answer = await this.#ask(CLOSE, question, { instance: stream.instance, asker }, () => this.#closeHere(question)).catch((error: unknown) => this.#unanswered(audited, error));
    if (!isDone(answer) && retry !== 'never') throw streamMissing();
    this.#logger.info(audited, 'a stream was closed by an administrator');
  }

  /** Ends the ticket or session with which the client would reconnect. */
  async #endIdentity(id: string, instance: string, client: string, asker: Holder | undefined): Promise<void> {
    const question = { stream: id };
    const answer = await this.#ask(IDENTIFY, question, { instance, asker }, () => this.#identifyHere(question));
    if (!isObject(answer) || !isDone(answer)) throw streamMissing();
    const { ticket, generation, session } = answer;
    const sentences = { unknown: 'It is not known whether its ticket or session was ended: try again.', unavailable: 'Its ticket or session cannot be ended now. Nothing was changed.' };
    if (typeof ticket === 'string' && typeof generation === 'number') {
      if (!await orProblem(this.#tickets.end({ id: ticket, generation }), sentences)) throw streamMissing();
    } else if (typeof session === 'string') await orProblem(this.#sessions.endWithStream(session, client), sentences);
    else throw new Problem('stream-without-identity', 'The stream was opened by no ticket or session of its own, so its next attempt looks like any other: revoke its key or token, or close it with retry=<seconds>.', { field: 'retry' });
  }

  /**
   * Ends an instance, as SIGTERM does. Resolves when it has begun to drain.
   * @throws Problem `not-found`; `outcome-unknown` if it did not answer
   */
  async drain(instance: string, { name: by, client }: Actor, asker?: Holder): Promise<void> {
    const question = { to: instance };
    const audited = { audit: 'instance-drained', drained: instance, by, client };
    const answer = await this.#ask(DRAIN, question, { instance, asker }, () => this.#drainHere(question)).catch((error: unknown) => this.#unanswered(audited, error));
    if (!isDone(answer)) throw new Problem('not-found', 'There is no such instance; GET /instances lists those there are.', { field: 'id' });
    this.#logger.info(audited, 'an instance drains, because an administrator said so');
  }

  /** Writes the audit line although no answer came, because the instance may still act. */
  #unanswered(audited: object, error: unknown): never {
    this.#logger.info(audited, 'an administrator has asked for it, and the instance that would have it did not answer');
    throw error;
  }

  /**
   * Sends an order to an instance.
   * @param here Carries out the order if it is for this instance.
   * @returns The answer; undefined if there is no such instance.
   * @throws Problem `outcome-unknown` if the instance did not answer
   */
  async #ask(kind: string, question: object, { instance, asker }: { readonly instance: string; readonly asker: Holder | undefined }, here: () => unknown): Promise<unknown> {
    if (instance === this.#handles.instance) return here();
    const asked = await this.#roster.askOne(instance, kind, question, asker);
    if ('answer' in asked) return asked.answer;
    if (asked.mayExist) throw new Problem('outcome-unknown', 'The instance that would have it did not answer. It may have ended, or do it when it goes on: ask again.', { field: 'id' });
    return undefined;
  }

  #identifyHere(body: unknown): unknown {
    if (!isObject(body) || typeof body['stream'] !== 'string') return undefined;
    const stream = this.#handles.read(body['stream']);
    if (stream?.isHere !== true) return ELSEWHERE;
    const reader = this.#local.find(stream.number);
    return reader === undefined ? { outcome: 'missing' } : { outcome: 'done', ...reader.client?.ownIdentity };
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
    this.#streams.end(reader, 'dismissed', retryMs);
  }

  /** Drains after the answer has left. */
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
