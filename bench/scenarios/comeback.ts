import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReadResult } from '../load/protocol.ts';
import type { Peer, Server } from '../types.ts';
import { LOOP_MAX, LOOP_P99, MESSAGE_BYTES } from './figures.ts';
import { KEEP } from './logs.ts';
import { gauge, scrape, withLoopDelay } from './loop.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { faultsOf, faultsOfReading, measured, pause, sum, withServer, type Session } from './session.ts';

/** How far back the streams go: groups of equal size, the last of which has missed everything. */
const MISSED = 10_000;
const GROUPS = 20;
const STREAMS = 5_000;
/** Each stream listens to one of so many topics. */
const TOPICS = 10;
/** Small, so that every group has missed some of every topic. */
const BATCH = 25;
/** What goes on meanwhile: on a topic that none of the streams has asked for. */
const LIVE = { rate: 100, bytes: MESSAGE_BYTES, topics: { name: 'live.one', count: 1 } };
const LIVE_SECONDS = 8;
const AHEAD_MS = 1_000;
/** Nothing came to a group for so long: given up. Longer than its turn may be in coming. */
const QUIET_MS = 20_000;
/** At its start an instance takes the newest 10,000 messages into memory, and nobody has missed more: with so little memory it cannot. */
const LITTLE = { TAIL_BYTES: '256KiB' };

const REPLACED = 'a new process, as after a crash';
const SMALL = 'the same with TAIL_BYTES=256KiB, so that nearly all has to be read';

const READS = { key: 'reads', title: 'reads of the database', digits: 0 };

async function replaced(peer: Peer, setting: Setting, env: Readonly<Record<string, string>>): Promise<Round> {
  const folder = join(setting.scratch, `comeback-${setting.round}-${Object.keys(env).join()}`);
  await mkdir(folder);
  await withServer(peer, { folder, env: KEEP }, async ({ load, target }) => {
    await load.publish({ ...target, bytes: MESSAGE_BYTES, batch: BATCH, connections: 1, rate: MISSED, seconds: 1, topics: { name: 'bench.t{i}', count: TOPICS } });
  });
  return measured(peer, { folder, env: { ...KEEP, ...env }, warmLoad: true }, (session) => comeBack(session, setting));
}

/** All streams at once, each from the id that it saw last. */
async function comeBack({ server, load, target }: Session, { quick }: Setting): Promise<Round> {
  const log = await readLog(server);
  if (log.length !== MISSED) throw new Error(`the log has ${log.length} messages, not ${MISSED}`);
  const perGroup = Math.ceil((quick ? STREAMS / 10 : STREAMS) / GROUPS / TOPICS);
  const before = await counters(server);
  const { result, delay } = await withLoopDelay(server, async () => {
    const live = load.publish({ ...target, ...LIVE, seconds: quick ? 3 : LIVE_SECONDS });
    await pause(AHEAD_MS);
    const groups = await Promise.all(Array.from({ length: GROUPS * TOPICS }, (_, index) => {
      const last = MISSED - MISSED / GROUPS * (1 + index % GROUPS);
      const topic = `bench.t${Math.floor(index / GROUPS)}`;
      const expected = log.slice(last).filter((one) => one.topic === topic).length;
      return load.read({ ...target, count: perGroup, topics: topic, expected, patient: true, quietMs: QUIET_MS, after: last === 0 ? 'start' : log[last - 1]!.id });
    }));
    return { groups, live: await live };
  });
  const after = await counters(server);
  const { groups, live } = result;
  const failed = groups.reduce((all, one) => all + one.failed, 0);
  if (failed > 0) throw new Error(`${failed} streams did not open`);
  return {
    figures: {
      caughtUp: longest(groups).seconds, streams: perGroup * groups.length, events: groups.reduce((all, one) => all + one.events, 0),
      reads: after.reads - before.reads, served: after.served - before.served, rows: after.rows - before.rows, told: after.busy - before.busy,
      answered: live.answer.p99, ...delay ?? {},
    },
    faults: sum([...groups.map((one) => faultsOfReading(one)), faultsOf(live)]),
    // All groups are read by the same process: what it did for any is in the figure of each, and the longest is the nearest.
    busy: Math.max(longest(groups).busy, live.busy),
  };
}

function longest(groups: readonly ReadResult[]): ReadResult {
  return groups.reduce((most, one) => (one.seconds > most.seconds ? one : most));
}

interface Entry {
  readonly id: string;
  readonly topic: string;
}

/** Ids and topics of the whole log, in its order. */
async function readLog(server: Server): Promise<readonly Entry[]> {
  const all: Entry[] = [];
  let after = 'start';
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${server.ports[0]}/messages?topic=%3E&limit=1000&after=${after}`);
    if (!answer.ok) throw new Error(`the history answered ${answer.status}`);
    const page = await answer.json() as { readonly messages: readonly Entry[]; readonly cursor: string; readonly more: boolean };
    all.push(...page.messages);
    if (!page.more) return all;
    after = page.cursor;
  }
}

async function counters(server: Server): Promise<{ readonly reads: number; readonly served: number; readonly rows: number; readonly busy: number }> {
  const text = await scrape(server, 0) ?? '';
  const of = (name: string) => gauge(text, `tidings_${name}_total`);
  return { reads: of('catchup_reads'), served: of('catchup_streams_served'), rows: of('catchup_rows_examined'), busy: of('streams_busy') };
}

export const comeback: Scenario = {
  name: 'comeback',
  title: 'The storm from far behind',
  how: `${STREAMS.toLocaleString('en')} streams of one instance come back at the same moment, each to one of ${TOPICS} topics, with a cursor between ${(MISSED / GROUPS).toLocaleString('en')} and ${MISSED.toLocaleString('en')} messages of ${MESSAGE_BYTES} bytes old (${GROUPS} groups). `
    + `Meanwhile ${LIVE.rate} messages a second are published on a topic of their own. Counted until every stream had everything that it had missed; the reads of the database are those of \`tidings_catchup_reads_total\`, and what they served is one for each stream and read. A new process has taken the newest 10,000 messages into memory before it is ready, so the first case needs none.`,
  caveats: ['Nothing is pinned to a core.', 'The load process reads what the streams get on the same machine: its share of a core is told beside.'],
  peers: [SUBJECT],
  figures: [
    { key: 'streams', title: 'streams', digits: 0 }, { key: 'caughtUp', title: 'all caught up after, s', digits: 2 }, { key: 'told', title: '$busy answers', digits: 0 }, { key: 'events', title: 'events delivered', digits: 0 }, READS,
    { key: 'served', title: 'streams served by them', digits: 0 }, { key: 'rows', title: 'rows looked at', digits: 0 },
    { key: 'answered', title: 'publishes answered p99, ms', digits: 1 }, LOOP_P99, LOOP_MAX,
  ],
  cases: [
    { title: REPLACED, peers: [SUBJECT], run: (peer, setting) => replaced(peer, setting, {}) },
    { title: SMALL, peers: [SUBJECT], run: (peer, setting) => replaced(peer, setting, LITTLE) },
  ],
  // A drill for operators: the run of everything is long enough.
  onDemand: true,
  targets: [],
};
