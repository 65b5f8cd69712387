import { Lost } from '../support/lost.ts';
import { far, stepOf } from './clocks.ts';
import type { FaultKind } from './faults.ts';
import type { Injected, Recording } from './recording.ts';

const BUS_NAMES = { redis: 'Redis', nats: 'NATS', kafka: 'Kafka' } as const;

/** What a run was, as tables in Markdown. */
export function report(recording: Recording, skipped: readonly string[]): string {
  const { seed, store, bus = 'redis', workers = 1, duration, publications, streams, receivers = [], history, faults } = recording;
  const delays = delaysOf(recording);
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort();
  const sorted = Float64Array.from(delays, ({ delay }) => delay).sort();
  const longest = longestByKind(delays, faults);
  const answered = publications.filter(({ answers }) => answers.length > 0).length;
  const lost = new Lost(recording).messages.size;
  return [
    `Seed ${seed}, ${store}, ${(duration / 60_000).toFixed(1)} minutes, ${streams.length} streams, ${receivers.length === 0 ? '' : `${receivers.length} webhooks, `}three instances behind HAProxy, ${workers === 1 ? `one ${BUS_NAMES[bus]}` : `each with ${workers} workers`}.`,
    '',
    '| fault | times | together | longest delay of a message |',
    '|---|---|---|---|',
    ...kinds.map((kind) => {
      const some = faults.filter((fault) => fault.kind === kind);
      return `| ${kind} | ${some.length} | ${seconds(some.reduce((sum, { milliseconds }) => sum + milliseconds, 0))} | ${seconds(longest.get(kind) ?? 0)} |`;
    }),
    ...skipped.map((what) => `| not done: ${what} | | | |`),
    '',
    '| | |',
    '|---|---|',
    `| messages that publishers got a 201 for | ${number(answered)} |`,
    ...(lost === 0 ? [] : [`| messages that were lost, since a copy took the place of the log | ${number(lost)} |`]),
    `| messages in the log | ${number(history.length)} |`,
    `| deliveries | ${number(delays.length)} |`,
    `| delay from the 201 to the arrival: half of them at most, 99 of 100, the longest | ${[0.5, 0.99, 1].map((part) => seconds(at(sorted, part))).join(', ')} |`,
    ...webhooks(recording),
    ...clocks(faults),
    '',
  ].join('\n');
}

/** Deliveries of webhooks, as their receivers noted them. */
function webhooks({ receivers = [], publications }: Recording): string[] {
  if (receivers.length === 0) return [];
  const answered = new Map(publications.flatMap(({ answers }) => answers.map(({ id, at }) => [id, at] as const).reverse()));
  const firsts = receivers.map(({ entries }) => {
    const taken = new Map<string, number>();
    for (const { id, takenAt } of entries) if (takenAt !== undefined && !taken.has(id)) taken.set(id, takenAt);
    return taken;
  });
  const delays = Float64Array.from(firsts.flatMap((taken) => [...taken].flatMap(([id, takenAt]) => answered.has(id) ? [Math.max(0, takenAt - answered.get(id)!)] : []))).sort();
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const again = receivers.map(({ entries }, index) => entries.filter(({ takenAt }) => takenAt !== undefined).length - firsts[index]!.size);
  return [
    `| messages that receivers of webhooks took | ${number(sum(firsts.map(({ size }) => size)))} |`,
    `| deliveries that receivers refused, or never answered | ${number(sum(receivers.map(({ entries }) => entries.filter(({ takenAt }) => takenAt === undefined).length)))} |`,
    `| deliveries that came again, with the same id, after they were taken | ${number(sum(again))} |`,
    `| delay from the 201 until the receiver took it: half of them at most, 99 of 100, the longest | ${[0.5, 0.99, 1].map((part) => seconds(at(delays, part))).join(', ')} |`,
  ];
}

/** The faults of which a wrong clock is a part. */
const STEPS: Partial<Record<FaultKind, (fault: Injected) => number>> = {
  'instance clock stepped': stepOf,
  'database clock stepped': stepOf,
  'instance killed, its clock ahead when it is back': far,
};

/** By how much clocks were wrong. */
function clocks(faults: readonly Injected[]): string[] {
  const steps = faults.flatMap((fault) => STEPS[fault.kind]?.(fault) ?? []);
  if (steps.length === 0) return [];
  const sizes = Float64Array.from(steps, Math.abs).sort();
  return [`| steps of clocks: half of them at most, the furthest back, the furthest ahead | ${[at(sizes, 0.5), Math.max(0, -Math.min(...steps)), Math.max(0, ...steps)].map(seconds).join(', ')} |`];
}

interface Delay {
  /** When its publisher had the 201, and when the stream had it. */
  readonly answeredAt: number;
  readonly at: number;
  readonly delay: number;
}

function delaysOf({ publications, streams }: Recording): Delay[] {
  // Not by its text: what was lost and published again has two ids.
  const answered = new Map(publications.flatMap(({ answers }) => answers.map(({ id, at }) => [id, at] as const).reverse()));
  const delays: Delay[] = [];
  for (const { entries } of streams) {
    for (const entry of entries) {
      const answeredAt = entry.kind === 'message' ? answered.get(entry.id) : undefined;
      // Where the 201 came late, or never, it is the publisher that was kept waiting.
      if (answeredAt !== undefined && entry.at !== undefined) delays.push({ answeredAt, at: entry.at, delay: Math.max(0, entry.at - answeredAt) });
    }
  }
  return delays;
}

/** Counted for the fault that acted longest while the message was awaited; if there was none, for the last before: streams come back after it. */
function longestByKind(delays: readonly Delay[], faults: readonly Injected[]): ReadonlyMap<FaultKind, number> {
  const longest = new Map<FaultKind, number>();
  for (const { answeredAt, at, delay } of delays) {
    const before = faults.filter(({ began }) => began < at);
    const acted = ({ began, ended }: Injected): number => Math.max(0, Math.min(at, ended) - Math.max(answeredAt, began));
    const cause = before.reduceRight<Injected | undefined>((most, fault) => (most === undefined || acted(fault) > acted(most) ? fault : most), undefined);
    if (cause !== undefined) longest.set(cause.kind, Math.max(longest.get(cause.kind) ?? 0, delay));
  }
  return longest;
}

function at(sorted: Float64Array, part: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
}

function seconds(milliseconds: number): string {
  if (milliseconds >= 3_600_000) return `${(milliseconds / 3_600_000).toFixed(1)} h`;
  return milliseconds < 10_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function number(count: number): string {
  return count.toLocaleString('en');
}
