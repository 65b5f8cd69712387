/** Sentences that are kept, each once. Stops a program that warns of ever new things from filling the memory. */
const WARNINGS_MAX_ENTRIES = 50;
/** The stored part of a sentence. Stops one line from being most of an answer. */
const SENTENCE_MAX_CHARACTERS = 300;
/** The most bytes of a list as JSON: it travels between instances with other things, in a note of 64 KiB. */
export const WARNINGS_MAX_BYTES = 16 * 1024;

/** The levels of lines that are kept, the least serious first. */
export const WARNING_LEVELS = ['warn', 'error', 'fatal'] as const;
export type WarningLevel = (typeof WARNING_LEVELS)[number];

export interface Warning {
  readonly level: WarningLevel;
  readonly message: string;
  /** When it was last logged, and first. */
  readonly time: string;
  readonly first: string;
  /** How often. */
  readonly count: number;
  /** Where the supervisor of several workers logged it. */
  readonly worker?: 'supervisor';
}

/**
 * The latest warnings of the logger. Only the sentences are kept: facts and errors of a line may hold what others sent. A sentence that comes again is counted, so that one
 * that comes a thousand times pushes no other out.
 */
export class Warnings {
  /** Lines since the process began, by their levels. */
  readonly counts: Record<WarningLevel, number> = { warn: 0, error: 0, fatal: 0 };
  /** By level and sentence, the one that was logged last at the end. */
  readonly #kept = new Map<string, Warning>();
  readonly #now: () => number;

  /** @param now Milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  add(level: WarningLevel, sentence: string): void {
    this.counts[level]++;
    const message = sentence.slice(0, SENTENCE_MAX_CHARACTERS).toWellFormed();
    const key = `${level} ${message}`;
    const time = new Date(this.#now()).toISOString();
    const before = this.#kept.get(key);
    this.#kept.delete(key);
    this.#kept.set(key, { level, message, time, first: before?.first ?? time, count: (before?.count ?? 0) + 1 });
    if (this.#kept.size > WARNINGS_MAX_ENTRIES) this.#kept.delete(this.#kept.keys().next().value!);
  }

  /** The newest first, as many as `WARNINGS_MAX_BYTES` hold. */
  get newest(): readonly Warning[] {
    return thatFit([...this.#kept.values()].reverse());
  }
}

/** The newest of two lists, as many as `WARNINGS_MAX_BYTES` hold. */
export function newestOf(one: readonly Warning[], other: readonly Warning[]): readonly Warning[] {
  return thatFit([...one, ...other].sort((a, b) => Number(a.time < b.time) - Number(a.time > b.time)));
}

function thatFit(all: readonly Warning[]): readonly Warning[] {
  let bytes = 0;
  const end = all.findIndex((warning) => (bytes += Buffer.byteLength(JSON.stringify(warning))) > WARNINGS_MAX_BYTES);
  return end === -1 ? all : all.slice(0, end);
}
