import type { Socket } from 'node:net';
import { guardSocket } from '../../runtime/guarded-socket.ts';
import { Argument, MalformedCall } from './argument.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { FrameWriter } from './frame-writer.ts';
import { ASKED_FRAME_MAX_BYTES, FRAME, framesIn, HUB_VERSION, hubFraming, jsonFrame } from './frames.ts';
import type { HubLog } from './hub-log.ts';

/** The longest id of a log. */
const LOG_ID_MAX_CHARACTERS = 255;

/** The longest name of a call. */
const CALL_MAX_CHARACTERS = 40;

export interface SessionDependencies {
  readonly socket: Socket;
  /** The part of the hub that belongs to a log. Throws where there are too many. */
  readonly logOf: (id: string) => HubLog;
  readonly onEnd: (session: Session, reason: string | undefined) => void;
}

/** One connection as the hub sees it. What it sends is believed as far as it can be read: only programs of the hub's own user reach the socket. */
export class Session {
  readonly socket: Socket;
  readonly writer: FrameWriter;
  readonly #logOf: (id: string) => HubLog;
  #isGreeted = false;
  #bus: HubLog | undefined;

  constructor({ socket, logOf, onEnd }: SessionDependencies) {
    this.socket = socket;
    this.writer = new FrameWriter(socket);
    this.#logOf = logOf;
    let reason: string | undefined;
    guardSocket(socket, hubFraming(ASKED_FRAME_MAX_BYTES));
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('end', () => socket.destroy());
    socket.on('error', (error: Error) => {
      reason = error.message;
    });
    socket.on('close', () => {
      this.#leaveAll();
      onEnd(this, reason);
    });
  }

  /** Whether it has said who it is. */
  get isGreeted(): boolean {
    return this.#isGreeted;
  }

  /** Commits and notes that came one after the other are handed on in one write. */
  #receive(bytes: Buffer): void {
    let hintsFrom = 0;
    const handOn = (to: number): void => {
      if (to > hintsFrom) this.#bus?.handOn(this, bytes.subarray(hintsFrom, to), bytes);
    };
    for (const { kind, from, end, body } of framesIn(bytes)) {
      if (kind === FRAME.commit || kind === FRAME.note) continue;
      handOn(from);
      hintsFrom = end;
      if (kind === FRAME.question) this.#answer(body);
      else if (kind === FRAME.missed) this.#bus?.missed(this);
      else throw new MalformedCall(`a frame of kind ${kind}`);
    }
    handOn(bytes.length);
  }

  #answer(body: Buffer): void {
    const question = new Argument(parse(body));
    const id = question.count('id');
    const name = question.text('name', CALL_MAX_CHARACTERS);
    if (!this.#isCall(name)) throw new MalformedCall('an unknown call');
    if (!this.#isGreeted && name !== 'hello') throw new MalformedCall('no hello');
    this.writer.talk(jsonFrame(FRAME.answer, { id, value: this.#calls[name](question) }));
  }

  readonly #calls: { readonly [Name in HubCall]: (question: Argument) => HubCalls[Name]['value'] } = {
    hello: () => {
      this.#isGreeted = true;
      return { version: HUB_VERSION };
    },
    ping: () => null,
    'bus.join': (question) => {
      this.#leaveBus();
      this.#bus = this.#logOf(question.inner('argument').text('log', LOG_ID_MAX_CHARACTERS));
      this.#bus.join(this);
      return null;
    },
    'bus.leave': () => {
      this.#leaveBus();
      return null;
    },
  };

  #isCall(name: string): name is HubCall {
    return Object.hasOwn(this.#calls, name);
  }

  #leaveBus(): void {
    this.#bus?.leave(this);
    this.#bus = undefined;
  }

  #leaveAll(): void {
    this.#leaveBus();
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
