import { now } from '../load/clock.ts';
import { haproxyMissing, startHaproxy } from '../peers/haproxy.ts';
import { redisMissing } from '../peers/redis.ts';
import type { Peer } from '../types.ts';
import { valueOf } from './compare.ts';
import { MESSAGE_BYTES } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { faultsOf, pause, withServer } from './session.ts';

const INSTANCES = 3;
const STREAMS = 3_000;
/** The service's own defaults. */
const DRAIN_SECONDS = 20;
const RETRY_MAX_SECONDS = 4;
/** A drain that takes longer than its window by so much has failed. Milliseconds. */
const DRAIN_SLACK_MS = 15_000;
/** Messages to all streams. */
const RATE = 10;
/** Each publishes on a topic of its own, waits for the answer, and sends again what was refused. */
const PUBLISHERS = 10;
const THINK_MS = 50;
/** Longer than all three take; what is left of it when they are replaced is published all the same. Seconds. */
const SECONDS = 85;
const SECOND_MS = 1_000;
/** Where a publish that fails again and again counts as one that no retry cures. */
const ATTEMPTS = 10;

const BUSIEST = { key: 'busiest', title: 'reconnects in the busiest second', digits: 0 };
const RATIO = { key: 'ratio', title: 'the same by the mean', digits: 2 };
const TITLE = 'three instances behind HAProxy, replaced one after the other';

async function replaceAll(peer: Peer, { quick, say }: Setting): Promise<Round> {
  const drain = quick ? 2 : DRAIN_SECONDS;
  return withServer(peer, { instances: INSTANCES, redis: true, env: { DRAIN_SECONDS: String(drain) }, warmLoad: true }, async ({ server, load, target, open }) => {
    const haproxy = await startHaproxy(server.ports);
    try {
      const ports = [haproxy.port];
      await open(quick ? STREAMS / 10 : STREAMS, 'bench.one', { ports, reconnectMs: SECOND_MS });
      const publishers = startPublishers(haproxy.port);
      const [delivered, window] = await Promise.all([
        load.publish({ ...target, ports, rate: RATE, seconds: quick ? 15 : SECONDS, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } }),
        (async () => {
          await pause(SECOND_MS);
          const begun: number[] = [];
          for (let index = 0; index < INSTANCES; index++) {
            say(`replacing instance ${index + 1}`);
            begun.push(now());
            await server.replace?.(index, drain * SECOND_MS + DRAIN_SLACK_MS);
          }
          const { busyAnswers, returns } = await load.whole();
          return { begun, ended: now(), busyAnswers, returns };
        })(),
      ]);
      const published = await publishers.stop();
      // Those of one drain come before the next begins: while its instance ends and is started again, none is closed.
      const drains = window.begun.map((at, index) => spreadOf(window.returns.filter((one) => one >= at && one < (window.begun[index + 1] ?? Infinity)), drain));
      const seconds = (window.ended - window.begun[0]!) / SECOND_MS;
      return {
        figures: {
          window: seconds, reconnects: drains.reduce((all, { count }) => all + count, 0), busiest: Math.max(...drains.map((one) => one.busiest)),
          ratio: Math.max(...drains.map((one) => one.ratio)), told: window.busyAnswers,
          scheduled: delivered.scheduled, refused: delivered.refused, keyed: published.messages, again: published.again, uncured: published.uncured,
        },
        // Every stream ends here, and that is the point.
        faults: { ...faultsOf(delivered), ended: delivered.gaps, lost: delivered.lost + published.uncured },
        busy: delivered.busy,
      };
    } finally {
      await haproxy.stop();
    }
  });
}

/** How the reconnects of one drain are spread over the time in which they can come: its window, and the longest `retry:` after it. */
function spreadOf(returns: readonly number[], drain: number): { readonly count: number; readonly busiest: number; readonly ratio: number } {
  const busiest = busiestSecond(returns);
  return { count: returns.length, busiest, ratio: busiest / (returns.length / (drain + RETRY_MAX_SECONDS)) };
}

/** The most of any second, wherever it begins. */
function busiestSecond(returns: readonly number[]): number {
  const sorted = returns.toSorted((a, b) => a - b);
  let first = 0;
  return sorted.reduce((most, at, index) => {
    while (sorted[first]! <= at - SECOND_MS) first++;
    return Math.max(most, index - first + 1);
  }, 0);
}

interface Published {
  readonly messages: number;
  /** Requests that were not answered with 201, and were sent again. */
  readonly again: number;
  /** Messages that were given up. */
  readonly uncured: number;
}

/** Publishers that do what they are told: with a key, again after `Retry-After` where the answer is 503. */
function startPublishers(port: number): { stop(): Promise<Published> } {
  let stopped = false;
  let messages = 0;
  let again = 0;
  let uncured = 0;
  const publish = async (topic: string, key: string): Promise<void> => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const answer = await fetch(`http://127.0.0.1:${port}/topics/${topic}`, { method: 'POST', headers: { 'content-type': 'text/plain', 'idempotency-key': key }, body: key }).catch(() => undefined);
      await answer?.text();
      if (answer?.status === 201) return;
      again++;
      await pause(Number(answer?.headers.get('retry-after') ?? 1) * SECOND_MS);
    }
    uncured++;
  };
  const all = Promise.all(Array.from({ length: PUBLISHERS }, async (_, publisher) => {
    for (let number = 0; !stopped; number++) {
      await publish(`keyed.p${publisher}`, `${publisher}-${number}`);
      messages++;
      await pause(THINK_MS);
    }
  }));
  return {
    stop: async () => {
      stopped = true;
      await all;
      return { messages, again, uncured };
    },
  };
}

export const rolling: Scenario = {
  name: 'rolling',
  title: 'A rolling deploy',
  how: `${STREAMS.toLocaleString('en')} streams of one topic on ${INSTANCES} instances with one log and Redis, behind HAProxy with \`deploy/haproxy.cfg\`; ${RATE} messages of ${MESSAGE_BYTES} bytes a second to all of them, and ${PUBLISHERS} publishers with keys that do as \`Retry-After\` says. `
    + `One instance after the other gets SIGTERM, drains for ${DRAIN_SECONDS} seconds (\`DRAIN_SECONDS\`), ends, and is started again. Streams come back when \`retry:\` says. The mean of the reconnects is over the drain and the ${RETRY_MAX_SECONDS} seconds of the longest \`retry:\` after it, and of the three drains the one with the worst ratio counts.`,
  caveats: ['Nothing is pinned to a core.', 'SQLite: all instances are on one host. "Lost" counts keyed publishes that were given up, too.', 'A stream can be sent on more than once: to an instance whose turn comes later.'],
  peers: [SUBJECT],
  figures: [
    { key: 'window', title: 'all three replaced after, s', digits: 1 }, { key: 'reconnects', title: 'reconnects', digits: 0 }, BUSIEST, RATIO, { key: 'told', title: 'streams told when to come back', digits: 0 },
    { key: 'scheduled', title: 'publishes without a key', digits: 0 }, { key: 'refused', title: 'of them refused', digits: 0 },
    { key: 'keyed', title: 'publishes with a key', digits: 0 }, { key: 'again', title: 'of them sent again', digits: 0 }, { key: 'uncured', title: 'given up', digits: 0 },
  ],
  cases: [{ title: TITLE, peers: [SUBJECT], missing: () => haproxyMissing() ?? redisMissing(), run: replaceAll }],
  // A drill for operators: the run of everything is long enough.
  onDemand: true,
  targets: [{ number: 9, says: 'rolling deploy: reconnects in the busiest second, to their mean', at: 'most', limit: 3, unit: '', digits: 2, value: valueOf(TITLE, SUBJECT, RATIO.key) }],
};
