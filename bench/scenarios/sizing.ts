import type { Delivered, Flooded } from '../load/protocol.ts';
import { postgresMissing } from '../peers/postgres.ts';
import { redisMissing } from '../peers/redis.ts';
import type { Peer, Server } from '../types.ts';
import { cpuSeconds } from '../usage.ts';
import { CORE, MESSAGE_BYTES, MICROSECONDS } from './figures.ts';
import { SUBJECT } from './names.ts';
import { NO_FAULTS, type Round, type Scenario, type Setting } from './scenario.ts';
import { faultsOf, measured, sum, type Session } from './session.ts';

const INSTANCES = 3;
const TOPICS = 100;
/** On each instance, so that every message has to be looked at by each, and few are written. */
const STREAMS = 3;
const CONNECTIONS = 48;
const RATE = 1_000;
/** Commits come one after the other: the more wait for one, the more go into it. */
const MANY_CONNECTIONS = 384;
const BATCH = 1_000;
const BATCH_RATE = 20_000;
const BATCH_CONNECTIONS = 6;
const WARM_SECONDS = 1;
const SECONDS = 5;

const SINGLE = '1,000 messages a second, one to a request';
const NDJSON = '20,000 messages a second, NDJSON of 1,000';
const MOST_SINGLE = `as many as are answered, one to a request, ${MANY_CONNECTIONS} connections`;
const MOST_NDJSON = `as many as are answered, NDJSON of 1,000, ${BATCH_CONNECTIONS} connections`;

/** What of a fleet did the work: each kind of process by itself. */
interface Shares {
  readonly instances: number;
  readonly redis: number;
  readonly postgres: number;
}

function used(server: Server): Shares {
  const { instances = [], redis = [], postgres = [] } = server.parts ?? {};
  return { instances: cpuSeconds(instances), redis: cpuSeconds(redis), postgres: cpuSeconds(postgres) };
}

/** What was published meanwhile, and what each part used for it. */
async function fleet(peer: Peer, { quick }: Setting, work: (session: Session, seconds: number) => Promise<Flooded | Delivered>): Promise<Round> {
  return measured(peer, { instances: INSTANCES, redis: true, postgres: true }, async (session) => {
    const { server, open } = session;
    for (const port of server.ports) await open(STREAMS, 'bench.t0', { ports: [port] });
    const warm = await work(session, WARM_SECONDS);
    const before = used(server);
    const planned = quick ? 2 : SECONDS;
    const result = await work(session, planned);
    const after = used(server);
    // A schedule takes as long as it is planned to, whenever its last message arrived.
    const seconds = 'perSecond' in result ? result.seconds : planned;
    const each = (part: keyof Shares): number => after[part] - before[part];
    const cost = (part: keyof Shares): number => each(part) / result.accepted * MICROSECONDS;
    return {
      figures: {
        perSecond: result.accepted / seconds,
        instance: cost('instances') / INSTANCES, redis: cost('redis'), postgres: cost('postgres'),
        core: (each('instances') + each('redis') + each('postgres')) / seconds,
      },
      faults: sum([faults(warm), faults(result)]),
      busy: result.busy * result.seconds / seconds,
    };
  });
}

function faults(result: Flooded | Delivered): Round['faults'] {
  if ('lost' in result) return faultsOf(result);
  return { ...result.delivery === undefined ? NO_FAULTS : faultsOf(result.delivery), refused: result.refused };
}

const what = { topics: { name: 'bench.t{i}', count: TOPICS }, bytes: MESSAGE_BYTES };
const missing = (): string | undefined => redisMissing() ?? postgresMissing();

export const sizing: Scenario = {
  name: 'sizing',
  title: 'What each part of a fleet has to do for a message',
  how: `${INSTANCES} instances on one PostgreSQL and one Redis; messages of ${MESSAGE_BYTES} bytes on ${TOPICS} topics are published to all instances for ${SECONDS} s, after ${WARM_SECONDS} s to warm up. Few streams listen (${STREAMS} on each instance, to one of the topics): what is counted is the way of a message to all instances, not the writes to streams, `
    + 'which are in the tables above. CPU time of each kind of process, its threads and the kernel on its behalf included, by the messages that were answered with 201.',
  caveats: ['Nothing is pinned to a core: five servers and the load share two, so "as many as are answered" is what this machine does as a whole. A million by the CPU per message is what one core of a part could do at most.'],
  peers: [SUBJECT],
  figures: [
    { key: 'perSecond', title: 'messages a second', digits: 0 }, { key: 'instance', title: 'CPU per message, µs: each instance', digits: 1 },
    { key: 'redis', title: 'Redis', digits: 1 }, { key: 'postgres', title: 'PostgreSQL', digits: 1 }, { ...CORE, title: 'all of them, of a core' },
  ],
  cases: [
    { title: SINGLE, peers: [SUBJECT], missing, run: (peer, setting) => fleet(peer, setting, ({ load, target }, seconds) => load.publish({ ...target, ...what, rate: RATE, connections: CONNECTIONS, seconds })) },
    { title: NDJSON, peers: [SUBJECT], missing, run: (peer, setting) => fleet(peer, setting, ({ load, target }, seconds) => load.publish({ ...target, ...what, rate: BATCH_RATE, batch: BATCH, connections: BATCH_CONNECTIONS, seconds })) },
    { title: MOST_SINGLE, peers: [SUBJECT], missing, run: (peer, setting) => fleet(peer, setting, ({ load, target }, seconds) => load.flood({ ...target, ...what, connections: MANY_CONNECTIONS, seconds })) },
    { title: MOST_NDJSON, peers: [SUBJECT], missing, run: (peer, setting) => fleet(peer, setting, ({ load, target }, seconds) => load.flood({ ...target, ...what, batch: BATCH, connections: BATCH_CONNECTIONS, seconds })) },
  ],
  onDemand: true,
  targets: [],
};
