import { Redis } from 'ioredis';
import { redisMissing } from '../peers/redis.ts';
import type { Peer, Server } from '../types.ts';
import { cpuSeconds, usage } from '../usage.ts';
import { differenceOfCases, ratioOfCases, valueOf } from './compare.ts';
import { MICROSECONDS } from './figures.ts';
import { SUBJECT } from './names.ts';
import { NO_FAULTS, type Round, type Scenario, type Setting } from './scenario.ts';
import { measured, pause } from './session.ts';

const STREAMS = 10_000;
/** After the start, and after the last stream was opened: everything has been told by then, and what was only needed for that is given back, or not. */
const SETTLE_MS = 5_000;
/** How long commands are counted while nothing happens. */
const REST_SECONDS = 10;
const ASKED = 5;
const PAGE = 1_000;
const KIB = 1024;

interface Kind {
  readonly topics: string;
  readonly isMember: boolean;
  readonly redis: boolean;
  /** The streams are on the first of them. */
  readonly instances: number;
}

const ALONE = 'nobody in particular, on one process alone';
const MEMBERS_ALONE = 'a member each, one topic, on one process alone';
const NOBODY = 'nobody in particular, in Redis';
const NOBODY_MANY = 'nobody in particular, 1,000 topics, in Redis';
const ONE = 'a member each, one topic, in Redis';
const MANY = 'a member each, 1,000 topics, in Redis';
const FILE = 'a member each, one topic, two processes on one SQLite file';
const FILE_MANY = 'a member each, 1,000 topics, two processes on one SQLite file';

async function hold(peer: Peer, { quick }: Setting, { topics, isMember, redis, instances }: Kind): Promise<Round> {
  return measured(peer, { instances, redis, warmLoad: true, env: { PRESENCE_GRACE_SECONDS: '1' } }, async ({ server, load, open }) => {
    const streams = quick ? STREAMS / 10 : STREAMS;
    const ports = server.ports.slice(0, 1);
    const pids = server.parts!.instances.slice(0, 1);
    // What is compiled and allocated for the first streams is not counted.
    await open(streams, topics, { ports, members: isMember });
    await load.close();
    await pause(SETTLE_MS);
    const [before, heldBefore] = [usage(pids), await redisUse(server)];
    const opened = await open(streams, topics, { ports, members: isMember });
    await pause(SETTLE_MS);
    const [after, held] = [usage(pids), await redisUse(server)];
    await pause(REST_SECONDS * 1000);
    const rested = await redisUse(server);
    const [restCpu, pages] = [cpuSeconds(pids) - after.cpuSeconds, await pagesMs(ports[0]!, topics.replace('{i%1000}', '0'), !isMember ? 0 : topics.includes('{i%1000}') ? streams / 1_000 : streams)];
    return {
      figures: {
        opened: opened.perSecond,
        cpu: (after.cpuSeconds - before.cpuSeconds) * MICROSECONDS / streams,
        rss: (after.rssBytes - before.rssBytes) / streams / KIB,
        rest: restCpu / REST_SECONDS * 1000,
        all: pages.all, page: pages.first,
        ...(held === undefined ? {} : { bytes: (held.bytes - heldBefore!.bytes) / streams, commands: (rested!.commands - held.commands) / REST_SECONDS }),
      },
      faults: NO_FAULTS,
      busy: opened.busy,
    };
  });
}

/** Bytes that Redis has in use, and how many commands of presence it has done. Members that may come back are gone when streams are opened again. */
async function redisUse({ redisPort }: Server): Promise<{ readonly bytes: number; readonly commands: number } | undefined> {
  if (redisPort === undefined) return undefined;
  const client = new Redis({ host: '127.0.0.1', port: redisPort });
  try {
    const [memory, stats] = [await client.info('memory'), await client.info('commandstats')];
    return { bytes: Number(/used_memory:(\d+)/.exec(memory)?.[1]), commands: Number(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1] ?? 0) };
  } finally {
    client.disconnect();
  }
}

/** How long it takes to hear of all members, page by page, and of the first page: medians. */
async function pagesMs(port: number, topic: string, expected: number): Promise<{ readonly all: number; readonly first: number }> {
  const [whole, first]: [number[], number[]] = [[], []];
  for (let asked = 0; asked < ASKED; asked++) {
    const began = performance.now();
    let after: string | undefined = '';
    let heard = 0;
    for (let page = 0; after !== undefined; page++) {
      const query: string = new URLSearchParams({ limit: String(PAGE), ...(after === '' ? {} : { after }) }).toString();
      const answer = await fetch(`http://127.0.0.1:${port}/topics/${encodeURIComponent(topic)}/presence?${query}`);
      const { cursor, partial, members } = await answer.json() as { readonly cursor?: string; readonly partial?: true; readonly members: readonly unknown[] };
      if (!answer.ok || partial === true) throw new Error(`presence was answered with ${answer.status}, ${partial === true ? 'partial' : 'whole'}`);
      if (page === 0) first.push(performance.now() - began);
      heard += members.length;
      after = cursor;
    }
    if (heard !== expected) throw new Error(`${heard} members are there, and not ${expected}`);
    whole.push(performance.now() - began);
  }
  const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
  return { all: median(whole), first: median(first) };
}

const kinds: Readonly<Record<string, Kind>> = {
  [ALONE]: { topics: 'bench.one', isMember: false, redis: false, instances: 1 },
  [MEMBERS_ALONE]: { topics: 'bench.one', isMember: true, redis: false, instances: 1 },
  [NOBODY]: { topics: 'bench.one', isMember: false, redis: true, instances: 1 },
  [ONE]: { topics: 'bench.one', isMember: true, redis: true, instances: 1 },
  [NOBODY_MANY]: { topics: 'bench.{i%1000}', isMember: false, redis: true, instances: 1 },
  [MANY]: { topics: 'bench.{i%1000}', isMember: true, redis: true, instances: 1 },
  [FILE]: { topics: 'bench.one', isMember: true, redis: false, instances: 2 },
  [FILE_MANY]: { topics: 'bench.{i%1000}', isMember: true, redis: false, instances: 2 },
};

export const presence: Scenario = {
  name: 'presence',
  title: 'Who is there',
  how: `${STREAMS.toLocaleString('en')} streams are opened on one instance, closed, and opened once more, which is what counts: with nothing of presence but a count for each topic, and with a member each, on the one process that there is, told to Redis, or to a file that another process shares. `
    + `CPU and memory are those of the instance, up to ${SETTLE_MS / 1000} seconds after the last stream: all of it has been told by then. Then ${REST_SECONDS} seconds in which nothing happens. Then the members of a topic are asked for, a thousand at a time.`,
  caveats: ['Closing the first streams leaves free space in the heap, which the second ones use: memory for each stream is less than in the table of idle streams. Only the differences count here.'],
  peers: [SUBJECT],
  figures: [
    { key: 'opened', title: 'streams opened a second', digits: 0 }, { key: 'cpu', title: 'CPU per stream, µs', digits: 0 }, { key: 'rss', title: 'RSS per stream, KiB', digits: 2 },
    { key: 'bytes', title: 'bytes in Redis per stream', digits: 0 }, { key: 'commands', title: 'commands a second at rest', digits: 1 }, { key: 'rest', title: 'CPU at rest, ms a second', digits: 1 },
    { key: 'page', title: 'first page, ms', digits: 1 }, { key: 'all', title: 'all members, ms', digits: 1 },
  ],
  cases: Object.entries(kinds).map(([title, kind]) => ({ title, peers: [SUBJECT], ...(kind.redis ? { missing: redisMissing } : {}), run: (peer: Peer, setting: Setting) => hold(peer, setting, kind) })),
  targets: [
    { number: 10, says: 'commands of Redis a second at rest, whatever the number of streams', at: 'most', limit: 1.5, unit: '', digits: 1, value: valueOf(ONE, SUBJECT, 'commands') },
    { number: 10, says: 'CPU per stream opened with a member, over that of nobody in particular', at: 'most', limit: 1.1, wish: true, unit: '', digits: 2, value: ratioOfCases(MEMBERS_ALONE, ALONE, SUBJECT, 'cpu') },
    { number: 10, says: 'the same in Redis, one topic', at: 'most', limit: 1.1, wish: true, unit: '', digits: 2, value: ratioOfCases(ONE, NOBODY, SUBJECT, 'cpu') },
    { number: 10, says: 'the same in Redis, 1,000 topics', at: 'most', limit: 1.1, wish: true, unit: '', digits: 2, value: ratioOfCases(MANY, NOBODY_MANY, SUBJECT, 'cpu') },
    { number: 10, says: 'memory per stream for a member in Redis, more than for nobody in particular', at: 'most', limit: 0.5, wish: true, unit: ' KiB', digits: 2, value: differenceOfCases(ONE, NOBODY, SUBJECT, 'rss') },
  ],
};
