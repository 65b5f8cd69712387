import type { Socket } from 'node:net';
import type { Debit, Holding } from '../../limits/ledger.ts';
import { MEMBER_MAX_BYTES, META_MAX_BYTES } from '../../presence/member.ts';
import { PRESENCE_PAGE_MAX_ENTRIES, type PresenceChange } from '../../presence/place.ts';
import { TOPIC_MAX_BYTES } from '../../model/topic.ts';
import { guardSocket } from '../../runtime/sockets/guarded-socket.ts';
import { Argument, MalformedCall } from './argument.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { FrameWriter } from './frame-writer.ts';
import { ASKED_FRAME_MAX_BYTES, FRAME, framesIn, HUB_VERSION, hubFraming, jsonFrame, NAME_LENGTH_BYTES } from './frames.ts';
import type { HubLog } from './hub-log.ts';
import type { Holder } from './limit-book.ts';

/** The longest name in a question: of a call, a log, a lease, a bucket or an owner. */
const ASKED_NAME_MAX_CHARACTERS = 600;

/** The most changes, topics, debits or holdings in one question. Stops a question from delaying commits. */
const QUESTION_MAX_ENTRIES = 2_000;

export interface SessionDependencies {
  readonly socket: Socket;
  /** The part of the hub for a log. Throws if there are too many logs. */
  readonly logOf: (id: string) => HubLog;
  /** Called with the reason when a question is refused. */
  readonly onRefused: (reason: string) => void;
  /** Called when the connection has ended. @param reason Undefined for an ordinary end. */
  readonly onEnd: (session: Session, reason: string | undefined) => void;
}

/**
 * The hub's side of one connection. It forwards the frames of the bus, and answers questions in order, each within one turn of the event loop. A question with an invalid argument is refused. Any other
 * malformed frame ends the connection.
 */
export class Session {
  readonly socket: Socket;
  readonly writer: FrameWriter;
  readonly #logOf: (id: string) => HubLog;
  readonly #onRefused: (reason: string) => void;
  #isGreeted = false;
  #logId = '';
  #log: HubLog | undefined;
  #holder: Holder | undefined;

  constructor({ socket, logOf, onRefused, onEnd }: SessionDependencies) {
    this.socket = socket;
    this.writer = new FrameWriter(socket);
    this.#logOf = logOf;
    this.#onRefused = onRefused;
    let reason: string | undefined;
    guardSocket(socket, hubFraming(ASKED_FRAME_MAX_BYTES));
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('end', () => socket.destroy());
    socket.on('error', (error: Error) => {
      // An error with a code comes from the system: the worker died, which is an ordinary end.
      if (!('code' in error)) reason = error.message;
    });
    socket.on('close', () => {
      this.#leaveLimits();
      this.#log?.exit(this);
      onEnd(this, reason);
    });
  }

  /** Whether the worker has sent its hello. */
  get isGreeted(): boolean {
    return this.#isGreeted;
  }

  /** Handles the frames of one read. Forwards consecutive commits and notes in one write. */
  #receive(bytes: Buffer): void {
    let hintsFrom = 0;
    const handOn = (to: number): void => {
      if (to > hintsFrom) this.#log?.handOn(this, bytes.subarray(hintsFrom, to), bytes);
    };
    for (const { kind, from, end, body } of framesIn(bytes)) {
      if (kind === FRAME.commit || kind === FRAME.note) continue;
      handOn(from);
      hintsFrom = end;
      if (kind === FRAME.question) this.#answer(body);
      else if (kind === FRAME.missed) this.#log?.missed(this);
      else if (kind === FRAME.noteToOne) this.#handToOne(body);
      else if (kind === FRAME.append) this.#entered.appends.forward(this, bytes.subarray(from, end), bytes);
      else if (kind === FRAME.appended) this.#entered.appends.answer(this, bytes.subarray(from, end), bytes);
      else throw new MalformedCall(`a frame of kind ${kind}`);
    }
    handOn(bytes.length);
  }

  #handToOne(body: Buffer): void {
    const end = body.length < NAME_LENGTH_BYTES ? Infinity : NAME_LENGTH_BYTES + body.readUInt16BE();
    if (body.length <= end) throw new MalformedCall('a note without a text');
    this.#log?.handTo(this, body.toString('utf8', NAME_LENGTH_BYTES, end), body.subarray(end));
  }

  #answer(body: Buffer): void {
    const question = new Argument(parse(body));
    const id = question.count('id');
    this.writer.talk(jsonFrame(FRAME.answer, { id, ...this.#outcome(question) }));
  }

  /** Refuses a malformed question without ending the connection, because the bus, presence and limits of a worker share it. */
  #outcome(question: Argument): { readonly value: unknown } | { readonly error: string } {
    try {
      const name = question.text('name', ASKED_NAME_MAX_CHARACTERS);
      if (!this.#isCall(name)) throw new MalformedCall('an unknown call');
      if (!this.#isGreeted && name !== 'hello') throw new MalformedCall('no hello');
      return { value: this.#calls[name](question.inner('argument')) };
    } catch (error) {
      // Before its hello, the client is perhaps no worker: end the connection.
      if (!(error instanceof MalformedCall) || !this.#isGreeted) throw error;
      this.#onRefused(error.message);
      return { error: error.message };
    }
  }

  readonly #calls: { readonly [Name in HubCall]: (argument: Argument) => HubCalls[Name]['value'] } = {
    hello: () => {
      this.#isGreeted = true;
      return { version: HUB_VERSION };
    },
    ping: () => null,

    'bus.join': (argument) => {
      this.#enter(argument).joinBus(this, argument.text('instance', ASKED_NAME_MAX_CHARACTERS));
      return null;
    },
    'bus.leave': () => {
      this.#log?.leaveBus(this);
      return null;
    },

    'presence.begin': (argument) => {
      this.#enter(argument).presence.begin(nameIn(argument), argument.number('leaseMs'));
      return null;
    },
    'presence.write': (argument) => this.#entered.presence.write(nameIn(argument), argument.list('changes', QUESTION_MAX_ENTRIES, changeIn)),
    'presence.activate': (argument) => this.#entered.presence.activate(nameIn(argument), argument.text('before', ASKED_NAME_MAX_CHARACTERS), argument.number('leaseMs')),
    'presence.renew': (argument) => this.#entered.presence.renew(nameIn(argument), argument.number('leaseMs')),
    'presence.page': (argument) => this.#entered.presence.page(nameIn(argument), topicIn(argument), argument.text('after', MEMBER_MAX_BYTES), limitIn(argument)) ?? null,
    'presence.counts': (argument) => this.#entered.presence.counts(nameIn(argument), argument.texts('topics', QUESTION_MAX_ENTRIES, TOPIC_MAX_BYTES)) ?? null,
    'presence.topicsOf': (argument) => this.#entered.presence.topicsOf(nameIn(argument), argument.text('member', MEMBER_MAX_BYTES), argument.text('after', TOPIC_MAX_BYTES), limitIn(argument)) ?? null,
    'presence.changes': (argument) => this.#entered.presence.changes(argument.number('after')),

    'limits.join': (argument) => {
      const log = this.#enter(argument);
      this.#leaveLimits();
      this.#holder = log.limits.enter(argument.text('instance', ASKED_NAME_MAX_CHARACTERS));
      return null;
    },
    'limits.spend': (argument) => this.#entered.limits.spend(argument.list('debits', QUESTION_MAX_ENTRIES, debitIn)),
    'limits.addTopics': (argument) => this.#entered.limits.addTopics(
      argument.text('owner', ASKED_NAME_MAX_CHARACTERS), argument.texts('topics', QUESTION_MAX_ENTRIES, TOPIC_MAX_BYTES), argument.number('windowMs'),
    ),
    'limits.hold': (argument) => this.#entered.limits.hold(this.#held, argument.list('holdings', QUESTION_MAX_ENTRIES, holdingIn)),
    'limits.leave': () => {
      this.#leaveLimits();
      return null;
    },

    'writer.join': (argument) => {
      this.#enter(argument).appends.join(this);
      return null;
    },
    'writer.leave': () => {
      this.#log?.appends.leave(this);
      return null;
    },
  };

  #isCall(name: string): name is HubCall {
    return Object.hasOwn(this.#calls, name);
  }

  /** The part of the hub for the log of a call. A connection is bound to the log of its first such call. */
  #enter(argument: Argument): HubLog {
    const id = argument.text('log', ASKED_NAME_MAX_CHARACTERS);
    if (this.#log === undefined) {
      this.#log = this.#logOf(id);
      this.#logId = id;
      this.#log.enter(this);
    } else if (id !== this.#logId) throw new MalformedCall('another log');
    return this.#log;
  }

  get #entered(): HubLog {
    if (this.#log === undefined) throw new MalformedCall('no log');
    return this.#log;
  }

  get #held(): Holder {
    if (this.#holder === undefined) throw new MalformedCall('no instance');
    return this.#holder;
  }

  #leaveLimits(): void {
    if (this.#holder !== undefined) this.#log?.limits.leave(this.#holder);
    this.#holder = undefined;
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new MalformedCall('no JSON');
  }
}

function nameIn(argument: Argument): string {
  return argument.text('name', ASKED_NAME_MAX_CHARACTERS);
}

function topicIn(argument: Argument): string {
  return argument.text('topic', TOPIC_MAX_BYTES);
}

function limitIn(argument: Argument): number {
  return Math.min(PRESENCE_PAGE_MAX_ENTRIES, argument.count('limit'));
}

function changeIn(change: Argument): PresenceChange {
  return {
    topic: topicIn(change), member: change.text('member', MEMBER_MAX_BYTES), topicStreams: change.count('topicStreams'), isPresent: change.flag('isPresent'), streams: change.count('streams'),
    since: change.number('since'), meta: change.optionalText('meta', META_MAX_BYTES), metaAt: change.number('metaAt'),
  };
}

function debitIn(debit: Argument): Debit {
  const onlyWithinMs = debit.optionalNumber('onlyWithinMs');
  return { bucket: debit.text('bucket', ASKED_NAME_MAX_CHARACTERS), costMs: debit.number('costMs'), ...(onlyWithinMs === undefined ? {} : { onlyWithinMs }) };
}

function holdingIn(holding: Argument): Holding {
  const most = holding.optionalNumber('most');
  return { owner: holding.text('owner', ASKED_NAME_MAX_CHARACTERS), places: holding.count('places'), ...(most === undefined ? {} : { most }) };
}
