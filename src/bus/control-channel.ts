import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { FairShares, type Holder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Bus } from './bus.ts';
import { WakeLimiter } from './wake-limiter.ts';

/**
 * Notes between instances, over the bus. A note is JSON with a `kind`; an instance ignores unknown kinds. There are four:
 *
 *     look      {kind}                     read the lists of changes
 *     (a fact)  {kind, id: '', body}       needs no answer: `tell`
 *     (a question)  {kind, id, from, body} is repeated until it is answered: `ask`, `collect`
 *     answer    {kind, id, from, body}     to the question with this id
 *
 * Every sender of a note has proved that it can read the log. So it may do everything that a note can ask for.
 */

/** How often a question is sent again, because an instance that does not know the newest epoch yet refuses its proof. */
const ASK_AGAIN_MS = 500;
/** The timeout of a question. */
const ANSWER_MAX_MS = 2_500;
/** Questions that wait for answers. Above it, the client with most questions loses its newest. Stops a flood of requests from filling the memory. */
const ASKING_MAX_REQUESTS = 1_000;
/** Answers that are kept for repeated questions. Stops a flood of questions from filling the memory. */
const ANSWERED_MAX_ENTRIES = 1_000;
/** The most characters of kept answers. Above it, the oldest are dropped. Stops answers with many topics from filling the memory. */
const ANSWERED_MAX_CHARACTERS = 2 * 1024 * 1024;
/** Answers that one question collects. Stops a program that answers under many names from filling the memory. */
const COLLECTED_MAX_ENTRIES = 1_000;

/** Returns the answer to a question, or a promise of it that never rejects. Undefined: another instance answers. */
export type NoteHandler = (body: unknown) => unknown;

/** Answers, by the ids of the instances. */
export type Answers = ReadonlyMap<string, unknown>;

export interface AskOptions {
  /** The client that the question counts against `ASKING_MAX_REQUESTS` for. */
  readonly asker?: Holder | undefined;
  /** Called before each attempt. Returns the id of the only instance to send the question to; undefined for all. */
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
  /** Reads the lists of changes: of keys, revocations, sessions, and uses of tickets. */
  readonly look: () => void;
}

/** Stands in `#answered` for an answer that is being made. */
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

  /** Makes the other instances read the lists of changes, after a change of keys or revocations. */
  tellToLook(): void {
    this.#tell({ kind: 'look' });
  }

  /** Sends a note that needs no answer. It may be lost, as everything on the bus. */
  tell(kind: string, body: object): void {
    this.#tell({ kind, id: '', body });
  }

  /** Registers the handler of a kind of notes. */
  answer(kind: string, handler: NoteHandler): void {
    this.#handlers.set(kind, handler);
  }

  /**
   * Asks all other instances. Resolves with the first answer, or with undefined after `ANSWER_MAX_MS`.
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
   * Asks all other instances, and collects their answers. Instances of an older version never answer.
   * @param isEnough Whether to stop waiting. Called after each answer, and before each repetition.
   * @returns The answers that arrived before that, or before `ANSWER_MAX_MS`.
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
   * Sends a question every `ASK_AGAIN_MS`. Ends when `take` or `isOver` returns true, after `ANSWER_MAX_MS`, or when another client's question evicts this one.
   * @param take Called with each answer.
   * @param isOver Called before each repetition.
   */
  async #ask(kind: string, body: object, take: (answer: unknown, from: unknown) => boolean, { isOver = () => false, asker = UNNAMED, to, reached }: AskOptions & { readonly isOver?: () => boolean }): Promise<void> {
    if (this.#bus.state !== 'up' || (this.#shares.total >= ASKING_MAX_REQUESTS && !this.#shares.makeRoom(asker, 1))) return;
    this.#counters.asked++;
    const id = randomBytes(16).toString('hex');
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#questions.set(id, (answer, from) => {
      if (take(answer, from)) resolve();
    });
    const charge = this.#shares.charge(asker, 1, { takeBack: resolve });
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
      charge.release();
      timer?.cancel();
      this.#questions.delete(id);
    }
  }

  /** A note was refused (`BusListener`). It may have been a `look`, so this instance looks, at a bounded rate. */
  toldUnproved(): void {
    this.#looks.wake();
  }

  /** A note from a sender that can read the log. */
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
   * Answers a question. A repeated question gets the kept answer: its handler must not run twice, because another question may have changed the same thing between.
   * @param from The instance that asked, and gets the answer. An older version does not name itself: then all instances get the answer.
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

  /** Sends an answer that took a while, and does not keep it: such a question only reads, and its answer may be large. */
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

/** Undefined if the text is no JSON object: a proved sender may still have a bug. */
function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : undefined;
  } catch {
    return undefined;
  }
}
