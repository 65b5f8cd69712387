import type { ReadResult } from '../load/protocol.ts';
import { spread } from '../report/statistics.ts';
import type { Peer } from '../types.ts';
import { MESSAGE_BYTES, MICROSECONDS } from './figures.ts';
import { countOf, KEEP, LAST_TOPIC, OLD_TOPIC, preparedLog } from './logs.ts';
import type { Round, Setting } from './scenario.ts';
import { costOf, faultsOf, faultsOfReading, sum, measured, type Session } from './session.ts';

/** What the scenario `growth` measures while one thing grows. */

const DELIVERIES = 50_000;
/** Faster, and messages would be written several at a time to few streams and one by one to many: not the same work. */
const MOST_RATE = 100;
const PUBLISHES = 2_000;
/** So that publishes are stored together in each case, also with one topic. */
const CONNECTIONS = 16;
const WARM_SECONDS = 1;
const SHORT_WARM_SECONDS = 0.5;
const SECONDS = 3;
/** Streams of all topics, while the topics grow. */
const WIDE_STREAMS = 100;
const WIDE_RATE = 1_000;
const WIDE_BATCH = 50;
/** At which all topics are published to once, before anything is measured. */
const KNOWN_RATE = 20_000;
const LOG_STREAMS = 1_000;
const READINGS = 9;

/** Apart from every topic of a prepared log. */
const ONE = { name: 'bench.one', count: 1 };

export async function growingStreams(peer: Peer, { quick }: Setting, streams: number): Promise<Round> {
  return measured(peer, { loadProcesses: 2 }, async (session) => {
    const rate = Math.min(MOST_RATE, DELIVERIES / streams);
    const alone = await publishing(session, ONE, quick, rate);
    await session.open(streams, ONE.name);
    const { cpu, delivered } = await live(session, rate, ONE, quick);
    return {
      figures: { cpu, alone: cpu - alone.cpu / streams, p99: delivered.latency.p99 },
      faults: sum([faultsOf(alone.delivered), faultsOf(delivered)]),
      busy: delivered.busy,
    };
  });
}

export async function growingTopics(peer: Peer, { quick }: Setting, count: number): Promise<Round> {
  return measured(peer, {}, async (session) => {
    const { load, target, open } = session;
    const topics = { name: 'bench.t{i}', count };
    const rate = Math.min(count, KNOWN_RATE);
    const known = await load.publish({ ...target, topics, rate, seconds: count / rate, bytes: MESSAGE_BYTES, ...count > WIDE_BATCH ? { batch: WIDE_BATCH } : {} });
    const publishes = await publishing(session, topics, quick);
    await open(WIDE_STREAMS, 'bench.>');
    const { cpu, delivered } = await live(session, WIDE_RATE, topics, quick, WIDE_BATCH);
    return {
      figures: { publish: publishes.cpu, cpu, p99: delivered.latency.p99 },
      faults: sum([faultsOf(known), faultsOf(publishes.delivered), faultsOf(delivered)]),
      busy: Math.max(publishes.delivered.busy, delivered.busy),
    };
  });
}

export async function growingLog(peer: Peer, setting: Setting, messages: number): Promise<Round> {
  const folder = await preparedLog(peer, setting.quick ? messages / 10 : messages, setting);
  return measured(peer, { folder, env: KEEP }, async (session) => {
    const { open } = session;
    const last = await readings(session, LAST_TOPIC);
    const spreadOut = await readings(session, OLD_TOPIC);
    const publishes = await publishing(session, ONE, setting.quick);
    await open(LOG_STREAMS, ONE.name);
    const { cpu, delivered } = await live(session, DELIVERIES / LOG_STREAMS, ONE, setting.quick);
    return {
      figures: {
        publish: publishes.cpu, cpu, p99: delivered.latency.p99,
        replay: last.milliseconds, spreadOut: spreadOut.milliseconds,
      },
      faults: sum([last.faults, spreadOut.faults, faultsOf(publishes.delivered), faultsOf(delivered)]),
      busy: Math.max(publishes.delivered.busy, delivered.busy),
    };
  });
}

/** Reads all messages of a topic from the start, several times: the first reading also warms the server up. */
async function readings({ server, load, target }: Session, topics: string) {
  const expected = await countOf(server, topics);
  const read: ReadResult[] = [];
  for (let reading = 0; reading < READINGS; reading += 1) {
    read.push(await load.read({ ...target, count: 1, topics, after: 'start', expected }));
  }
  // By the thousand: a topic may have a few more or fewer.
  return { milliseconds: spread(read.map((one) => one.caughtUp.max)).median * 1_000 / expected, faults: sum(read.map(faultsOfReading)) };
}

type Topics = Parameters<Session['load']['publish']>[0]['topics'];

/** Microseconds for each publish while nobody listens. */
async function publishing({ server, load, target }: Session, topics: Topics, quick: boolean, rate = PUBLISHES) {
  const what = { ...target, rate, bytes: MESSAGE_BYTES, topics, connections: CONNECTIONS };
  await load.publish({ ...what, seconds: SHORT_WARM_SECONDS });
  const { cpu, result: delivered } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 1 : SECONDS }));
  return { cpu: cpu * MICROSECONDS / delivered.accepted, delivered };
}

/** Microseconds for each delivery to the streams that are open. */
async function live({ server, load, target }: Session, rate: number, topics: Topics, quick: boolean, batch?: number) {
  const what = { ...target, rate, bytes: MESSAGE_BYTES, topics, ...batch === undefined ? {} : { batch } };
  await load.publish({ ...what, seconds: WARM_SECONDS });
  const { cpu, result: delivered } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
  return { cpu: cpu * MICROSECONDS / delivered.delivered, delivered };
}
