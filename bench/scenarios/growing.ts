import { spread } from '../report/statistics.ts';
import type { Peer } from '../types.ts';
import { MESSAGE_BYTES, MICROSECONDS } from './figures.ts';
import { countOf, KEEP, preparedLog } from './logs.ts';
import type { Round, Setting } from './scenario.ts';
import { costOf, faultsOf, faultsOfReading, sum, withServer, type Session } from './session.ts';

/** What the scenario `growth` measures while one thing grows. */

const DELIVERIES = 50_000;
const PUBLISHES = 2_000;
const WARM_SECONDS = 1;
const SECONDS = 4;
/** Streams of all topics, while the topics grow. */
const WIDE_STREAMS = 100;
const WIDE_RATE = 1_000;
const WIDE_BATCH = 50;
const LOG_STREAMS = 10_000;
const READINGS = 5;

/** Apart from every topic of a prepared log. */
const ONE = { name: 'bench.one', count: 1 };

export async function growingStreams(peer: Peer, { quick }: Setting, streams: number): Promise<Round> {
  return withServer(peer, { loadProcesses: 2 }, async (session) => {
    await session.open(streams, ONE.name);
    const { cpu, delivered } = await live(session, DELIVERIES / streams, ONE, quick);
    return { figures: { cpu, p99: delivered.latency.p99 }, faults: faultsOf(delivered), busy: delivered.busy };
  });
}

export async function growingTopics(peer: Peer, { quick }: Setting, count: number): Promise<Round> {
  return withServer(peer, {}, async (session) => {
    const { load, target, open } = session;
    const topics = { name: 'bench.t{i}', count };
    const known = await load.publish({ ...target, topics, rate: count, seconds: 1, bytes: MESSAGE_BYTES, ...count > WIDE_BATCH ? { batch: WIDE_BATCH } : {} });
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
  return withServer(peer, { folder, env: KEEP }, async (session) => {
    const { server, load, target, open } = session;
    const expected = await countOf(server, 'bench.t0');
    const readings = [];
    for (let reading = 0; reading < READINGS; reading += 1) {
      readings.push(await load.read({ ...target, count: 1, topics: 'bench.t0', after: 'start', expected }));
    }
    const publishes = await publishing(session, ONE, setting.quick);
    await open(LOG_STREAMS, ONE.name);
    const { cpu, delivered } = await live(session, DELIVERIES / LOG_STREAMS, ONE, setting.quick);
    return {
      figures: {
        publish: publishes.cpu, cpu, p99: delivered.latency.p99,
        // By the thousand: a topic may have a few more or fewer.
        replay: spread(readings.map((reading) => reading.caughtUp.max)).median * 1_000 / expected,
      },
      faults: sum([...readings.map(faultsOfReading), faultsOf(publishes.delivered), faultsOf(delivered)]),
      busy: Math.max(publishes.delivered.busy, delivered.busy),
    };
  });
}

type Topics = Parameters<Session['load']['publish']>[0]['topics'];

/** Microseconds for each publish while nobody listens. */
async function publishing({ server, load, target }: Session, topics: Topics, quick: boolean) {
  const what = { ...target, rate: PUBLISHES, bytes: MESSAGE_BYTES, topics, connections: 16 };
  await load.publish({ ...what, seconds: WARM_SECONDS });
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
