import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { Bus } from '../../src/bus/bus.ts';
import { KafkaBus } from '../../src/bus/kafka/kafka.ts';
import { NatsBus } from '../../src/bus/nats/nats.ts';
import { RedisBus, type RedisBusOptions } from '../../src/bus/redis/redis.ts';
import { isKafkaUrl } from '../../src/config/kafka-url.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { Ear, message } from '../contract/bus.ts';
import { recordingLogger } from './logger.ts';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

/** Turns of the event loop, a millisecond each or more. They end sooner than any timer that the bus could leave. */
const TURNS = 200;

export interface OpenBus {
  readonly bus: Bus;
  readonly ear: Ear;
  /** What the bus logged. */
  readonly lines: string[];
  /** What the bus counted. */
  readonly counters: Counters;
}

/** A bus that has joined no log yet. */
export function redisBus({ clock = systemClock, counters = new Counters(), ...rest }: Pick<RedisBusOptions, 'url' | 'logger'> & Partial<RedisBusOptions>): RedisBus {
  return new RedisBus({ clock, counters, ...rest });
}

/** A bus of the server that a URL names, which has joined no log yet. */
export function busOf({ url, clock = systemClock, counters = new Counters(), logger }: Pick<RedisBusOptions, 'url' | 'logger'> & Partial<RedisBusOptions>): Bus {
  if (isKafkaUrl(url)) return new KafkaBus({ url, clock, counters, logger });
  return /^(?:nats|tls):/.test(url) ? new NatsBus({ url, clock, counters, logger }) : redisBus({ url, clock, counters, logger });
}

/** The bus of one more instance. It has joined the log, but need not be up. */
export function openBus(t: Scope, url: string, logId: string, clock = systemClock): OpenBus {
  const { logger, lines } = recordingLogger();
  const counters = new Counters();
  const bus = busOf({ url, clock, counters, logger });
  t.teardown(() => bus.close());
  const ear = new Ear();
  bus.join(logId, ear);
  return { bus, ear, lines, counters };
}

export interface BusPair extends OpenBus {
  readonly other: Bus;
  readonly otherEar: Ear;
}

/** The buses of two instances, both up. */
export async function busPair(t: Scope, url: string, logId: string): Promise<BusPair> {
  const { bus: other, ear: otherEar } = openBus(t, url, logId);
  const pair = { ...openBus(t, url, logId), other, otherEar };
  await bothAre(pair, 'up');
  return pair;
}

/** Publishes until a message arrives: everything sent before on the same connection has arrived then too. */
export async function flows(bus: Bus, ear: Ear): Promise<void> {
  let seq = 1_000_000;
  const before = ear.commits.length;
  const marked = (): boolean => ear.commits.slice(before).some(([first]) => first!.seq >= 1_000_000);
  await until('messages flow', () => {
    if (!marked()) bus.publish([message(seq++)]);
    return marked();
  });
}

/** Messages flow both ways. */
export async function bothFlow({ bus, ear, other, otherEar }: Pick<BusPair, 'bus' | 'ear' | 'other' | 'otherEar'>): Promise<void> {
  await flows(bus, otherEar);
  await flows(other, ear);
}

/** Waits until both buses of a pair are up, or both are degraded. */
export async function bothAre({ bus, other }: Pick<BusPair, 'bus' | 'other'>, state: 'up' | 'degraded'): Promise<void> {
  await until(`both are ${state}`, () => bus.state === state && other.state === state);
}

/** The states that a bus logged, in order. */
export function states(lines: readonly string[]): (string | undefined)[] {
  return lines.map((line) => /is (up|degraded)/.exec(line)?.[1]);
}

/**
 * Each change was logged once, from being up to being up again. There may be more losses than the test caused: a machine that stands still costs
 * a connection too.
 */
export function loggedOnce(t: Test, lines: readonly string[], losses: number): void {
  const logged = states(lines);
  t.ok(logged.length >= 2 * losses + 1, logged.join());
  t.same(logged, logged.map((_, index) => (index % 2 === 0 ? 'up' : 'degraded')));
  t.equal(logged.at(-1), 'up');
}

/** The sockets, name look-ups and timers of this process: what a bus must not leave behind. */
export function openResources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /TCPSocket|TCPWRAP|TCPConnect|TLS|Timeout|DNS|GETADDR/i.test(name));
}

/**
 * What is left of these resources that was not there before; some of those before may have been about to go. The other end of a socket closes a few turns later. A timer that is left goes too, in the
 * end; a busy machine makes turns longer, not more.
 */
export async function leftBeside(before: readonly string[]): Promise<string> {
  const more = (): string => {
    const left = openResources();
    for (const one of before) if (left.includes(one)) left.splice(left.indexOf(one), 1);
    return left.join(' ');
  };
  for (let turn = 0; turn < TURNS && more() !== ''; turn++) await sleep(1);
  return more();
}
