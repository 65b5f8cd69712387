import { redisMissing } from '../peers/redis.ts';
import type { Peer } from '../types.ts';
import { differenceOfCases } from './compare.ts';
import { MESSAGE_BYTES } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { faultsOf, measured } from './session.ts';

const STREAMS = 10;
const RATE = 50;
const WARM_SECONDS = 1;
const SECONDS = 4;

const SAME = 'published on the same instance';
const OTHER = 'published on the other instance, through Redis';

async function across(peer: Peer, { quick }: Setting, publishedOn: 0 | 1): Promise<Round> {
  return measured(peer, { instances: 2, redis: true }, async ({ server, load, target, open }) => {
    const [streamsOn, other] = server.ports;
    if (streamsOn === undefined || other === undefined) throw new Error('there are no two instances');
    await open(STREAMS, 'bench.one', { ports: [streamsOn] });
    const what = { ...target, ports: [publishedOn === 0 ? streamsOn : other], rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } };
    await load.publish({ ...what, seconds: quick ? 1 : WARM_SECONDS });
    const result = await load.publish({ ...what, seconds: quick ? 2 : SECONDS });
    return { figures: { p50: result.latency.p50, p99: result.latency.p99, most: result.latency.max }, faults: faultsOf(result), busy: result.busy };
  });
}

export const redis: Scenario = {
  name: 'redis',
  title: 'Across two instances, through Redis',
  how: `Two instances that share a log and a Redis; ${STREAMS} streams on one of them; ${RATE} messages of ${MESSAGE_BYTES} bytes a second are published on the same instance, or on the other one. Nothing else goes on.`,
  caveats: ['Nothing is pinned to a core.'],
  peers: [SUBJECT],
  figures: [{ key: 'p50', title: 'latency p50, ms', digits: 2 }, { key: 'p99', title: 'latency p99, ms', digits: 2 }, { key: 'most', title: 'latency max, ms', digits: 1 }],
  cases: [
    { title: SAME, peers: [SUBJECT], missing: redisMissing, run: (peer, setting) => across(peer, setting, 0) },
    { title: OTHER, peers: [SUBJECT], missing: redisMissing, run: (peer, setting) => across(peer, setting, 1) },
  ],
  targets: [
    { number: 7, says: 'p50 through Redis to another instance, more than on the same one', at: 'most', limit: 2, unit: ' ms', digits: 2, value: differenceOfCases(OTHER, SAME, SUBJECT, 'p50') },
  ],
};
