import { randomBytes } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import type { Bus } from './bus.ts';
import { WakeLimiter } from './wake-limiter.ts';

/**
 * What instances say to each other besides messages, as notes on the bus: JSON with the `kind` of the note. A kind that an instance does not know means nothing to it. Whoever sends a
 * note can read the log, and whoever can read the log may do everything that a note asks for.
 */

/** How often a question is sent again: the one that knows may not have heard yet of the newest epoch, by which notes are proved. Milliseconds. */
const ASK_AGAIN_MS = 500;
/** How long an answer is waited for. Milliseconds. */
const ANSWER_MAX_MS = 2_500;
/** Questions that wait for their answers. Stops a flood of requests from holding memory. */
const ASKING_MAX_REQUESTS = 1_000;
/** Answers that are kept for questions that come again. Stops a flood of questions from holding memory. */
const ANSWERED_MAX_ENTRIES = 1_000;

/** Answers a question; undefined: another instance has to. */
export type NoteHandler = (body: unknown) => unknown;

export interface ControlChannelDependencies {
  readonly bus: Pick<Bus, 'tell' | 'state'>;
  readonly clock: Clock;
  /** Looks at the lists of changes: of keys, revocations, sessions, and uses of tickets. */
  readonly look: () => void;
}

export class ControlChannel {
  readonly #bus: Pick<Bus, 'tell' | 'state'>;
  readonly #clock: Clock;
  readonly #looks: WakeLimiter;
  readonly #handlers = new Map<string, NoteHandler>();
  readonly #questions = new Map<string, (answer: unknown) => void>();
  /** What this instance has answered last, by the ids of the questions. */
  readonly #answered = new Map<string, unknown>();

  constructor({ bus, clock, look }: ControlChannelDependencies) {
    this.#bus = bus;
    this.#clock = clock;
    this.#looks = new WakeLimiter(clock, look);
  }

  /** Tells the other instances that keys or revocations have changed. It carries no truth: they look. */
  tellToLook(): void {
    this.#tell({ kind: 'look' });
  }

  /** Tells the other instances something that needs no answer. Like everything on the bus, it may be lost. */
  tell(kind: string, body: object): void {
    this.#tell({ kind, id: '', body });
  }

  /** Answers the questions of a kind, or hears what needs no answer. */
  answer(kind: string, handler: NoteHandler): void {
    this.#handlers.set(kind, handler);
  }

  /** Asks all other instances. Resolves with the first answer; with undefined where none comes. */
  async ask(kind: string, body: object): Promise<unknown> {
    if (this.#bus.state !== 'up' || this.#questions.size >= ASKING_MAX_REQUESTS) return undefined;
    const id = randomBytes(16).toString('hex');
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.#questions.set(id, resolve);
    const until = this.#clock.monotonic() + ANSWER_MAX_MS;
    const send = (): void => {
      if (!this.#questions.has(id)) return;
      if (this.#clock.monotonic() >= until) {
        resolve(undefined);
        return;
      }
      this.#tell({ kind, id, body });
      this.#clock.after(ASK_AGAIN_MS, send);
    };
    send();
    try {
      return await promise;
    } finally {
      this.#questions.delete(id);
    }
  }

  /** A note came in that does not count. Others may have something to look at; how often they can make this instance look has a bound. */
  toldUnproved(): void {
    this.#looks.wake();
  }

  /** A note came in, from a sender that can read the log. */
  told(text: string): void {
    const note = parse(text);
    if (note === undefined) return;
    const { kind, id, body } = note;
    if (kind === 'look') this.#looks.wake();
    else if (typeof kind === 'string' && typeof id === 'string') {
      if (kind === 'answer') this.#questions.get(id)?.(body);
      else this.#asked(kind, id, body);
    }
  }

  /** A question that comes again gets its answer again. It changes nothing a second time: another question may have changed more since then. */
  #asked(kind: string, id: string, body: unknown): void {
    const answer = this.#answered.get(id) ?? this.#handlers.get(kind)?.(body);
    if (answer === undefined) return;
    this.#answered.set(id, answer);
    if (this.#answered.size > ANSWERED_MAX_ENTRIES) this.#answered.delete(this.#answered.keys().next().value!);
    this.#tell({ kind: 'answer', id, body: answer });
  }

  #tell(note: object): void {
    this.#bus.tell(JSON.stringify(note));
  }
}

/** Undefined where it is no object: a sender that proves itself may still be a program with a fault. */
function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : undefined;
  } catch {
    return undefined;
  }
}
