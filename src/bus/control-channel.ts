import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { ANYBODY, FairShares, type Holder } from '../runtime/sharing/fair-shares.ts';
import type { Bus } from './bus.ts';
import { WakeLimiter } from './wake-limiter.ts';

/**
 * Notes of instances to each other on the bus: JSON with the `kind` of the note. An instance ignores kinds that it does not know.
 * Every sender of a note can read the log, and so may do everything that a note can ask for.
 */

/** How often to send a question again. An instance that has not seen the newest epoch yet refuses a note proved by it. Milliseconds. */
const ASK_AGAIN_MS = 500;
/** How long to wait for an answer. Milliseconds. */
const ANSWER_MAX_MS = 2_500;
/** Questions that wait for their answers; beyond that the client that asks most loses its newest. Stops a flood of requests from holding memory. */
const ASKING_MAX_REQUESTS = 1_000;
/** Answers that are kept for questions that come again. Stops a flood of questions from holding memory. */
const ANSWERED_MAX_ENTRIES = 1_000;
/** The most characters of kept answers; beyond them the oldest are forgotten. Stops answers with many topics from holding memory. */
const ANSWERED_MAX_CHARACTERS = 2 * 1024 * 1024;
/** Answers that one question collects. Stops a program that answers under many names from filling the memory. */
const COLLECTED_MAX_ENTRIES = 1_000;

/** Answers a question, now or later; undefined leaves it to another instance. A promise never rejects. */
export type NoteHandler = (body: unknown) => unknown;

/** The answers of all instances, by their ids. */
export type Answers = ReadonlyMap<string, unknown>;

export interface AskOptions {
  /** Where too many questions wait, the client with most gets no more answers to its newest. */
  readonly asker?: Holder | undefined;
  /** Asked before each attempt: the only instance that hears the question; undefined: all do. */
  readonly to?: (() => string | undefined) | undefined;
  /** Called with the number of listeners under that name, if the bus knows. */
  readonly reached?: ((listening: number) => void) | undefined;
}

export interface ControlChannelDependencies {
  readonly bus: Pick<Bus, 'tell' | 'state'>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'asked' | 'unanswered' | 'evicted'>;
  /** The id of this instance. */
  readonly instance: string;
  /** Looks at the lists of changes: of keys, revocations, sessions, and uses of tickets. */
  readonly look: () => void;
}

/** The answer to a question is being made. */
const UNDER_WAY = Symbol('under way');

export class ControlChannel {
  readonly #bus: Pick<Bus, 'tell' | 'state'>;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'asked' | 'unanswered'>;
  readonly #instance: string;
  readonly #looks: WakeLimiter;
  readonly #handlers = new Map<string, NoteHandler>();
  readonly #questions = new Map<string, (answer: unknown, from: unknown) => void>();
  readonly #shares: FairShares;
  /** The newest answers of this instance, by the ids of the questions. */
  readonly #answered = new Map<string, string | typeof UNDER_WAY>();
  #answeredCharacters = 0;

  constructor({ bus, clock, counters, instance, look }: ControlChannelDependencies) {
    this.#bus = bus;
    this.#clock = clock;
    this.#counters = counters;
    this.#instance = instance;
    this.#looks = new WakeLimiter(clock, look);
    this.#shares = new FairShares({ gate: 'questions', counters });
  }

  /** Tells the other instances that keys or revocations have changed: they read the list of changes. */
  tellToLook(): void {
    this.#tell({ kind: 'look' });
  }

  /** Tells the other instances something that needs no answer. Like everything on the bus, it may be lost. */
  tell(kind: string, body: object): void {
    this.#tell({ kind, id: '', body });
  }

  /** Answers the questions of a kind, or receives notes that need no answer. */
  answer(kind: string, handler: NoteHandler): void {
    this.#handlers.set(kind, handler);
  }

  /**
   * Asks all other instances. Resolves with the first answer; with undefined where none comes.
   * @param asker As in `AskOptions`.
   */
  async ask(kind: string, body: object, asker?: Holder): Promise<unknown> {
    let first: unknown;
    await this.#ask(kind, body, (answer) => {
      first = answer;
      return true;
    }, { asker });
    return first;
  }

  /**
   * Asks all other instances, and takes the answers of all of them. Instances of an older version never answer.
   * @param isEnough Whether no more answers are waited for. It is asked after each answer, and when the question is sent again.
   * @returns The answers that arrived until then, or within `ANSWER_MAX_MS`.
   */
  async collect(kind: string, body: object, isEnough: (answers: Answers) => boolean, { asker, to, reached }: AskOptions = {}): Promise<Answers> {
    const answers = new Map<string, unknown>();
    await this.#ask(kind, body, (answer, from) => {
      if (typeof from === 'string' && (answers.size < COLLECTED_MAX_ENTRIES || answers.has(from))) answers.set(from, answer);
      return isEnough(answers);
    }, { isOver: () => isEnough(answers), asker, to, reached });
    return answers;
  }

  /**
   * Sends a question again and again, until it is over.
   * @param take Takes an answer; true: no more is waited for.
   * @param isOver Whether no more is waited for, though no answer came.
   */
  async #ask(kind: string, body: object, take: (answer: unknown, from: unknown) => boolean, { isOver = () => false, asker = ANYBODY, to, reached }: AskOptions & { readonly isOver?: () => boolean }): Promise<void> {
    if (this.#bus.state !== 'up' || (this.#shares.total >= ASKING_MAX_REQUESTS && !this.#shares.makeRoom(asker, 1))) return;
    this.#counters.asked++;
    const id = randomBytes(16).toString('hex');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#questions.set(id, (answer, from) => {
      if (take(answer, from)) resolve();
    });
    const share = this.#shares.hold(asker, 1, { takeBack: resolve });
    const until = this.#clock.monotonic() + ANSWER_MAX_MS;
    let timer: Timer | undefined;
    const send = (): void => {
      if (isOver()) {
        resolve();
        return;
      }
      if (this.#clock.monotonic() >= until) {
        this.#counters.unanswered++;
        resolve();
        return;
      }
      this.#tell({ kind, id, from: this.#instance, body }, to?.(), (listening) => {
        reached?.(listening);
        if (isOver()) resolve();
      });
      timer = this.#clock.after(ASK_AGAIN_MS, send);
    };
    send();
    try {
      await promise;
    } finally {
      share.release();
      timer?.cancel();
      this.#questions.delete(id);
    }
  }

  /** A note came in that does not count (`BusListener`). It may have been a `look`, so this instance looks, at a bounded rate. */
  toldUnproved(): void {
    this.#looks.wake();
  }

  /** A note came in, from a sender that can read the log. */
  told(text: string): void {
    const note = parse(text);
    if (note === undefined) return;
    const { kind, id, from, body } = note;
    if (kind === 'look') this.#looks.wake();
    else if (typeof kind === 'string' && typeof id === 'string') {
      if (kind === 'answer') this.#questions.get(id)?.(body, from);
      else this.#asked(kind, id, body, typeof from === 'string' ? from : undefined);
    }
  }

  /**
   * A question that comes again gets its answer again. It changes nothing a second time: another question may have changed more since then.
   * @param from Who asked, and gets the answer. An instance of an older version does not say: then all instances get it.
   */
  #asked(kind: string, id: string, body: unknown, from: string | undefined): void {
    const known = this.#answered.get(id);
    if (known === UNDER_WAY) return;
    if (known !== undefined) return this.#bus.tell(known, from);
    const answer = this.#handlers.get(kind)?.(body);
    if (answer instanceof Promise) {
      this.#keep(id, UNDER_WAY);
      void answer.then((later: unknown) => this.#answerLater(id, later, from));
    } else if (answer !== undefined) {
      const note = this.#answerNote(id, answer);
      this.#keep(id, note);
      this.#bus.tell(note, from);
    }
  }

  /** A slow question only reads, and its answer may be large: it is not kept. */
  #answerLater(id: string, answer: unknown, from: string | undefined): void {
    this.#answered.delete(id);
    if (answer !== undefined) this.#bus.tell(this.#answerNote(id, answer), from);
  }

  #keep(id: string, kept: string | typeof UNDER_WAY): void {
    this.#answered.set(id, kept);
    this.#answeredCharacters += charactersOf(kept);
    for (const [first, old] of this.#answered) {
      if (this.#answered.size <= ANSWERED_MAX_ENTRIES && this.#answeredCharacters <= ANSWERED_MAX_CHARACTERS) return;
      this.#answered.delete(first);
      this.#answeredCharacters -= charactersOf(old);
    }
  }

  #answerNote(id: string, body: unknown): string {
    return JSON.stringify({ kind: 'answer', id, from: this.#instance, body });
  }

  #tell(note: object, to?: string, reached?: (listening: number) => void): void {
    this.#bus.tell(JSON.stringify(note), to, reached);
  }
}

function charactersOf(kept: string | typeof UNDER_WAY): number {
  return kept === UNDER_WAY ? 0 : kept.length;
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
