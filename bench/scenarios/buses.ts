import { kafkaMissing } from '../peers/kafka.ts';
import { natsMissing } from '../peers/nats.ts';
import { redisMissing } from '../peers/redis.ts';
import type { Peer } from '../types.ts';
import { differenceOfCases } from './compare.ts';
import { MESSAGE_BYTES, MICROSECONDS } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Case, Round, Scenario, Setting, Target } from './scenario.ts';
import { costOf, faultsOf, measured, pause, type SessionOptions } from './session.ts';

const STREAMS = 10;
const RATE = 50;
const WARM_SECONDS = 1;
const SECONDS = 4;
const WORKERS = 2;
const READY_POLL_MS = 100;

/** What the messages go through. */
const NONE = 'on one instance';
const REDIS = 'to another instance, through Redis';
const NATS = 'to another instance, through NATS';
const KAFKA = 'to another instance, through Kafka';
const HUB = `to ${WORKERS} workers of one instance, through their hub`;

function delivered(title: string, options: SessionOptions, missing?: () => string | undefined): Case {
  return {
    title, peers: [SUBJECT], ...(missing === undefined ? {} : { missing }),
    run: (peer: Peer, { quick }: Setting): Promise<Round> => measured(peer, options, async ({ server, load, target, open }) => {
      // Workers share one port, so each has some of the streams and some of the publishes.
      if (options.env !== undefined) await allReady(server.ports[0]!);
      await open(STREAMS, 'bench.one', { ports: [server.ports[0]!] });
      const what = { ...target, ports: [server.ports.at(-1)!], rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } };
      await load.publish({ ...what, seconds: quick ? 1 : WARM_SECONDS });
      const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
      return { figures: { p50: result.latency.p50, p99: result.latency.p99, most: result.latency.max, cpu: cpu * MICROSECONDS / result.accepted }, faults: faultsOf(result), busy: result.busy };
    }),
  };
}

/** The port answers as soon as the first worker listens. */
async function allReady(port: number): Promise<void> {
  while (!new RegExp(`^tidings_workers_ready ${WORKERS}$`, 'm').test(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())) await pause(READY_POLL_MS);
}

function target(title: string, says: string): Target {
  return { number: 7, says: `p50 ${says}, more than on one instance`, at: 'most', limit: 2, unit: ' ms', digits: 2, value: differenceOfCases(title, NONE, SUBJECT, 'p50') };
}

export const buses: Scenario = {
  name: 'buses',
  title: 'From publish to delivery, over each bus',
  how: `${STREAMS} streams on one instance; ${RATE} messages of ${MESSAGE_BYTES} bytes a second are published on the same one, or on another that shares the log and a bus. Nothing else goes on. CPU of all processes, Redis, NATS and Kafka too, by the messages that were published.`,
  caveats: ['Nothing is pinned to a core.', 'Through the hub only those deliveries go whose publish another worker took: workers share one port.', 'Each instance also looks at the log every second, and keeps its leases, which counts as CPU.'],
  peers: [SUBJECT],
  figures: [{ key: 'p50', title: 'latency p50, ms', digits: 2 }, { key: 'p99', title: 'latency p99, ms', digits: 2 }, { key: 'most', title: 'latency max, ms', digits: 1 }, { key: 'cpu', title: 'CPU per message published, µs', digits: 0 }],
  cases: [
    delivered(NONE, {}),
    delivered(REDIS, { instances: 2, redis: true }, redisMissing),
    delivered(NATS, { instances: 2, nats: true }, natsMissing),
    delivered(KAFKA, { instances: 2, kafka: true }, kafkaMissing),
    delivered(HUB, { env: { WORKERS: String(WORKERS) } }),
  ],
  targets: [target(REDIS, 'through Redis'), target(NATS, 'through NATS'), target(KAFKA, 'through Kafka'), target(HUB, 'with workers')],
};
