import fc from 'fast-check';
import type { QUALITIES } from './bus.ts';
import { BUS_TROUBLES, STORE_TROUBLES } from './trouble.ts';

/** What happens in a simulation: what there is, and then one command after the other. */
export interface Schedule {
  /** What everything that is left to chance is drawn from. */
  readonly chance: number;
  readonly instances: number;
  readonly tailBytes: number;
  readonly writeMs: number;
  readonly bus: keyof typeof QUALITIES;
  readonly commands: readonly Command[];
}

/**
 * With how long to wait before it, in milliseconds, and the name of whom it brings in, from which their chance is drawn: it stays the same when
 * other commands are left out. Whom a command means is counted modulo how many there are.
 */
export type Command = { readonly wait: number; readonly name: string } & Deed;

export type Deed =
  | { readonly do: 'publish'; readonly topic: string; readonly messages: number; readonly times: number; readonly padding: number; readonly kind: 'plain' | 'key' | 'ttl' | 'poison' }
  | { readonly do: 'stream'; readonly wants: readonly string[]; readonly from: From; readonly capacity: number; readonly times: number }
  /** The client asks for other topics on its open stream. */
  | { readonly do: 'change'; readonly client: number; readonly wants: readonly string[] }
  | { readonly do: 'poll'; readonly wants: readonly string[]; readonly from: From }
  | { readonly do: 'cut'; readonly client: number; readonly isHalfOpen: boolean }
  | { readonly do: 'cut all' }
  | { readonly do: 'stick'; readonly client: number; readonly milliseconds: number }
  | { readonly do: 'kill' | 'drain' | 'freeze'; readonly instance: number; readonly milliseconds: number }
  | { readonly do: 'store' | 'bus'; readonly trouble: (typeof STORE_TROUBLES)[number] | (typeof BUS_TROUBLES)[number]; readonly instance: number | undefined; readonly milliseconds: number }
  | { readonly do: 'trim'; readonly messages: number }
  | { readonly do: 'restore'; readonly lost: number }
  | { readonly do: 'lose epochs'; readonly epochs: number }
  | { readonly do: 'epoch' }
  /** The store's clock is wrong from then on, by so many hours. */
  | { readonly do: 'clock'; readonly hours: number }
  /** From then on only instances that start later understand the log. */
  | { readonly do: 'raise level' };

/** Where a stream begins: after an id that was answered to a publisher so many answers `ago`, if there are as many; or with the `last` so many messages. */
export type From = 'now' | 'start' | { readonly ago: number } | { readonly last: number };

const TOPICS = ['a', 'b', 'a.x', 'a.y'] as const;
export const ALL_TOPICS: readonly string[] = TOPICS;
const WISHES: readonly (readonly string[])[] = [['a'], ['b'], ['>'], ['a.*'], ['a', 'b'], ['a.x', 'a.>', 'b'], ['*']];

const pause = fc.constantFrom(0, 1, 3, 10, 30, 100, 400, 1500);
const from: fc.Arbitrary<From> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<From>('now') },
  { weight: 1, arbitrary: fc.constant<From>('start') },
  { weight: 3, arbitrary: fc.nat({ max: 30 }).map((ago) => ({ ago })) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 3, 15).map((last) => ({ last })) },
);
const wants = fc.constantFrom(...WISHES);
const nth = fc.nat({ max: 11 });
const instance = fc.nat({ max: 2 });
const perhapsOne = fc.option(instance, { nil: undefined });
const name = fc.nat({ max: 2 ** 31 - 1 }).map((number) => number.toString(36));
const duration = fc.constantFrom(20, 100, 500, 1500, 4000);

const DEEDS: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Deed> }[] = [
  { weight: 66, arbitrary: fc.record({
    do: fc.constant('publish'), topic: fc.constantFrom(...TOPICS), messages: fc.constantFrom(1, 1, 1, 2, 5), times: fc.constantFrom(1, 1, 1, 3, 8),
    padding: fc.constantFrom(0, 0, 0, 0, 0, 300, 2000), kind: fc.constantFrom('plain', 'key', 'key', 'key', 'ttl', 'poison'),
  }) },
  // More than one step of a reader that is behind.
  { weight: 3, arbitrary: fc.record({
    do: fc.constant('publish'), topic: fc.constantFrom(...TOPICS), messages: fc.constantFrom(1, 2), times: fc.constant(1),
    padding: fc.constant(70_000), kind: fc.constantFrom('plain', 'key'),
  }) },
  { weight: 21, arbitrary: fc.record({ do: fc.constant('stream'), wants, from, capacity: fc.constantFrom(1_000_000, 1_000_000, 4000, 600), times: fc.constantFrom(1, 2) }) },
  // So many that a sweep is taken in parts.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stream'), wants, from, capacity: fc.constant(1_000_000), times: fc.constant(70) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('poll'), wants, from }) },
  { weight: 18, arbitrary: fc.record({ do: fc.constant('cut'), client: nth, isHalfOpen: fc.constantFrom(false, false, false, true) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'cut all' }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('stick'), client: nth, milliseconds: duration }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('kill'), instance, milliseconds: duration }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drain'), instance, milliseconds: duration }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('freeze'), instance, milliseconds: duration }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('store'), trouble: fc.constantFrom(...STORE_TROUBLES), instance: perhapsOne, milliseconds: duration }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('bus'), trouble: fc.constantFrom(...BUS_TROUBLES), instance: perhapsOne, milliseconds: duration }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('trim'), messages: fc.constantFrom(1, 3, 10, 50) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('restore'), lost: fc.constantFrom(1, 2, 5, 20) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'epoch' }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lose epochs'), epochs: fc.constantFrom(1, 1, 1, 2, 4) }) },
  // Small steps, and such as make everything too old at once. Never so far behind that what is stored then is too old when the clock is right again: its age is counted from the time it got.
  { weight: 3, arbitrary: fc.record({ do: fc.constant('clock'), hours: fc.constantFrom(-50, -3, 0, 0.5, 3, 200, 200, 20_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'raise level' }) },
];

const command: fc.Arbitrary<Command> = fc.tuple(pause, name, fc.oneof(...DEEDS)).map(([wait, name, deed]) => ({ wait, name, ...deed }));

/** Deeds that make an answer wrong which is still on its way, and those that ask again. A mistake with a restored log shows when a few of them happen almost at once. */
const EXCHANGES: typeof DEEDS = [
  { weight: 6, arbitrary: fc.record({
    do: fc.constant('publish'), topic: fc.constantFrom(...TOPICS), messages: fc.constantFrom(1, 2, 5), times: fc.constantFrom(1, 3), padding: fc.constant(0), kind: fc.constant('plain'),
  }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('restore'), lost: fc.constantFrom(1, 2, 5) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('trim'), messages: fc.constantFrom(1, 3, 10, 50) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('poll'), wants, from }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stream'), wants, from, capacity: fc.constant(1_000_000), times: fc.constant(1) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'cut all' }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('store'), trouble: fc.constant('mute'), instance: perhapsOne, milliseconds: fc.constantFrom(20, 100, 500) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('bus'), trouble: fc.constant('deaf'), instance: perhapsOne, milliseconds: fc.constantFrom(100, 500, 1500) }) },
];
const exchange: fc.Arbitrary<Command> = fc.tuple(fc.constantFrom(0, 1, 3, 10, 30, 100), name, fc.oneof(...EXCHANGES)).map(([wait, name, deed]) => ({ wait, name, ...deed }));

/** Streams that change what they want, while messages come so fast that sweeps are taken in parts, sockets are full, and readers are behind. */
const CHANGES: typeof DEEDS = [
  { weight: 8, arbitrary: fc.record({
    do: fc.constant('publish'), topic: fc.constantFrom(...TOPICS), messages: fc.constantFrom(1, 2, 5), times: fc.constantFrom(1, 3, 8), padding: fc.constantFrom(0, 0, 300, 2000), kind: fc.constantFrom('plain', 'key'),
  }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stream'), wants, from, capacity: fc.constantFrom(1_000_000, 4000, 600), times: fc.constantFrom(1, 2, 2, 40) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('change'), client: fc.nat({ max: 60 }), wants }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stick'), client: nth, milliseconds: duration }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut'), client: nth, isHalfOpen: fc.constant(false) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bus'), trouble: fc.constantFrom(...BUS_TROUBLES), instance: perhapsOne, milliseconds: duration }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('store'), trouble: fc.constantFrom(...STORE_TROUBLES), instance: perhapsOne, milliseconds: duration }) },
];
const change: fc.Arbitrary<Command> = fc.tuple(fc.constantFrom(0, 0, 1, 3, 10, 30), name, fc.oneof(...CHANGES)).map(([wait, name, deed]) => ({ wait, name, ...deed }));

/** The longest schedule, without the exchanges and the changes that one in five has at its end, and the most of these. Commands. */
const LENGTH_MAX = 45;
const EXCHANGES_MAX = 20;
const CHANGES_MAX = 25;

export const schedules: fc.Arbitrary<Schedule> = fc.noBias(fc.record({
  chance: fc.nat({ max: 2 ** 31 - 1 }),
  instances: fc.constantFrom(1, 2, 3),
  tailBytes: fc.constantFrom(1_000_000, 3000, 1000),
  writeMs: fc.constantFrom(0, 0.2, 1, 4),
  bus: fc.constantFrom('good', 'mixed', 'bad'),
  commands: fc.tuple(
    fc.array(command, { maxLength: LENGTH_MAX, size: 'max' }),
    fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(exchange, { maxLength: EXCHANGES_MAX, size: 'max' }) }),
    fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(change, { maxLength: CHANGES_MAX, size: 'max' }) }),
  ).map(([some, exchanges, changes]) => [...some, ...exchanges, ...changes]),
}));

/** Commands that bring somebody in. */
const BRINGS: readonly Deed['do'][] = ['publish', 'stream', 'poll'];

/** A schedule for people: what there is, and a line for each command. */
export function describe({ commands, ...rest }: Schedule): string {
  const lines = commands.map(({ wait, name, do: what, ...details }, index) => {
    const words = Object.entries(details).map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`);
    return `  ${index + 1}. ${wait === 0 ? '' : `after ${wait} ms: `}${what}${BRINGS.includes(what) ? ` ${name}` : ''} ${words.join(', ')}`.trimEnd();
  });
  return [`  ${Object.entries(rest).map(([name, value]) => `${name} ${value}`).join(', ')}`, ...lines].join('\n');
}
