/** The figures of the last hour, as instances tell them. Each answer brings the newest figures. An open page also keeps those of instances that have ended. */

/** The figures of `GET /instances/{id}` that have charts. */
export const CHARTED = ['streams', 'publishesPerSecond', 'deliveriesPerSecond', 'lag', 'loopDelayMs', 'residentBytes'] as const;
export type Charted = (typeof CHARTED)[number];

/** The values of each figure, the oldest first. `time` is in seconds since 1970. */
export type Columns = Readonly<Record<'time' | Charted, readonly number[]>>;

export interface Warning {
  readonly level: string;
  readonly message: string;
  readonly time: string;
  readonly first: string;
  readonly count: number;
}

/** The part of `GET /instances/{id}` that tells of the last hour. */
export interface LastHour {
  readonly figures: Columns;
  readonly warnings: readonly Warning[];
}

export interface InstanceHistory extends LastHour {
  readonly id: string;
}

/** How far charts reach back. Stops the figures from growing. */
export const HISTORY_MAX_SECONDS = 3_600;
/** Instances that have ended get new ids. Stops a fleet that restarts again and again from filling the memory. */
export const HISTORY_MAX_ENTRIES = 12;

export class FigureHistory {
  /** The one that was heard last at the end. */
  readonly #kept = new Map<string, InstanceHistory>();

  /** The time of the newest figure; 0 without figures. */
  newest(id: string): number {
    return this.#kept.get(id)?.figures.time.at(-1) ?? 0;
  }

  get all(): readonly InstanceHistory[] {
    return [...this.#kept.values()];
  }

  /** @param answer Figures later than `newest(id)`; others are left out. */
  add(id: string, { figures, warnings }: LastHour): void {
    const before = this.#kept.get(id)?.figures;
    const known = this.newest(id);
    const fresh = figures.time.findIndex((time) => time > known);
    const latest = figures.time.at(-1) ?? known;
    const column = (name: 'time' | Charted): number[] => [...(before?.[name] ?? []), ...(fresh === -1 ? [] : figures[name].slice(fresh))];
    const time = column('time');
    const first = Math.max(0, time.findIndex((one) => one > latest - HISTORY_MAX_SECONDS));
    const kept = Object.fromEntries((['time', ...CHARTED] as const).map((name) => [name, name === 'time' ? time.slice(first) : column(name).slice(first)])) as Record<'time' | Charted, number[]>;
    this.#kept.delete(id);
    this.#kept.set(id, { id, figures: kept, warnings });
    this.#forget();
  }

  #forget(): void {
    const end = Math.max(...this.all.map(({ figures }) => figures.time.at(-1) ?? 0));
    for (const { id, figures } of this.all) if ((figures.time.at(-1) ?? end) <= end - HISTORY_MAX_SECONDS) this.#kept.delete(id);
    while (this.#kept.size > HISTORY_MAX_ENTRIES) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

/** One figure of one instance. */
export interface Course {
  readonly times: readonly number[];
  readonly values: readonly number[];
}

/** The newest value, and between which values the figure was, each with the time of the last such value. */
export interface Extremes {
  readonly now: number;
  readonly lowest: number;
  readonly lowestAt: number;
  readonly highest: number;
  readonly highestAt: number;
}

/** @returns undefined where there are no values yet. */
export function extremes({ times, values }: Course): Extremes | undefined {
  const now = values.at(-1);
  if (now === undefined) return undefined;
  let low = values.length - 1;
  let high = low;
  for (let at = low - 1; at >= 0; at--) {
    if (values[at]! < values[low]!) low = at;
    if (values[at]! > values[high]!) high = at;
  }
  return { now, lowest: values[low]!, lowestAt: times[low]!, highest: values[high]!, highestAt: times[high]! };
}

/** The value at a time: of the figure before it, unless that is older than a few figures. */
export function valueAt({ times, values }: Course, time: number, staleSeconds: number): number | undefined {
  for (let at = times.length - 1; at >= 0; at--) if (times[at]! <= time) return times[at]! < time - staleSeconds ? undefined : values[at];
  return undefined;
}

/** A new process has figures of seconds: they are shown as part of so much at least, or each would look like an hour. */
const SHOWN_MIN_SECONDS = 600;

/** From when to when charts show, so that all show the same. Seconds since 1970. @returns undefined where there are no figures. */
export function shownTime(courses: readonly Course[]): readonly [from: number, to: number] | undefined {
  const first = Math.min(...courses.flatMap(({ times }) => times.slice(0, 1)));
  const last = Math.max(...courses.flatMap(({ times }) => times.slice(-1)));
  if (!Number.isFinite(first) || !Number.isFinite(last)) return undefined;
  return [Math.max(last - HISTORY_MAX_SECONDS, Math.min(first, last - SHOWN_MIN_SECONDS)), last];
}
