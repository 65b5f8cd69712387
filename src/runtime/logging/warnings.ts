/** The most different sentences in memory. Stops ever new warnings from filling the memory. */
const WARNINGS_MAX_ENTRIES = 50;
/** The kept length of a sentence. Stops one long line from filling most of an answer. */
const SENTENCE_MAX_CHARACTERS = 300;
/** The most bytes of a list as JSON. A list travels between instances in a note of at most 64 KiB, with other facts. */
export const WARNINGS_MAX_BYTES = 16 * 1024;

/** The levels of warnings, the least serious first. */
export const WARNING_LEVELS = ['warn', 'error', 'fatal'] as const;
export type WarningLevel = (typeof WARNING_LEVELS)[number];

export interface Warning {
  readonly level: WarningLevel;
  readonly message: string;
  /** The times at which it was last and first logged. */
  readonly time: string;
  readonly first: string;
  /** The number of times that it was logged. */
  readonly count: number;
  /** Set if the supervisor of several workers logged it. */
  readonly worker?: 'supervisor';
}

/**
 * Keeps the latest warnings of the logger. It keeps only their sentences, because a line's facts and errors may hold clients' data. A repeated sentence is counted, so that it does not
 * push out the others.
 */
export class Warnings {
  /** The number of lines since the process began, by level. */
  readonly counts: Record<WarningLevel, number> = { warn: 0, error: 0, fatal: 0 };
  /** By level and sentence, in the order in which they were last logged. */
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
