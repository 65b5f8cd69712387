import { ratioTo } from './compare.ts';
import { CORE, CPU, MESSAGE_BYTES, MICROSECONDS, P50, P99 } from './figures.ts';
import { BARE_NET, FASTIFY_SSE, NCHAN, SUBJECT } from './names.ts';
import type { Case, Scenario } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const WARM_SECONDS = 1;
const SECONDS = 4;

const MANY = '10,000 streams, 5 messages a second';
const FEWER = '1,000 streams, 50 messages a second';

function fixedRate(title: string, streams: number, rate: number): Case {
  return {
    title,
    run: (peer, { quick }) => measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
      await open(quick ? streams / 10 : streams, 'bench.one');
      const what = { ...target, rate, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } };
      await load.publish({ ...what, seconds: quick ? 1 : WARM_SECONDS });
      const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
      return {
        figures: { cpu: cpu * MICROSECONDS / result.delivered, core: cpu / result.seconds, p50: result.latency.p50, p99: result.latency.p99 },
        faults: faultsOf(result),
        busy: result.busy,
      };
    }),
  };
}

export const fanout: Scenario = {
  name: 'fanout',
  title: 'Fan-out at a fixed rate',
  how: `All streams listen to one topic; messages of ${MESSAGE_BYTES} bytes are published at a fixed rate for ${SECONDS} s, after ${WARM_SECONDS} s to warm up. `
    + 'CPU of all processes of the server by the events that streams received; latency from the moment that a publish was due to the moment that a stream had it whole.',
  caveats: ['The server\'s processes are kept on one core and the load on the other (`taskset`), for all servers alike.'],
  peers: [SUBJECT, BARE_NET, NCHAN, FASTIFY_SSE],
  figures: [CPU, CORE, P50, P99],
  cases: [fixedRate(MANY, 10_000, 5), { ...fixedRate(FEWER, 1_000, 50), usual: [SUBJECT, NCHAN] }],
  targets: [
    { number: 1, says: 'CPU per delivered event at 10,000 streams, to Nchan\'s', at: 'most', limit: 0.8, unit: '', digits: 2, value: ratioTo(NCHAN, MANY, SUBJECT, CPU.key) },
    { number: 1, says: 'CPU per delivered event at 10,000 streams, to @fastify/sse\'s', at: 'most', limit: 0.55, unit: '', digits: 2, value: ratioTo(FASTIFY_SSE, MANY, SUBJECT, CPU.key) },
    { number: 1, says: 'CPU per delivered event at 10,000 streams, to the bare Node `net` server\'s', at: 'most', limit: 1.25, unit: '', digits: 2, value: ratioTo(BARE_NET, MANY, SUBJECT, CPU.key) },
    { number: 1, says: 'latency p99 at 1,000 streams, to Nchan\'s', at: 'most', limit: 1, unit: '', digits: 2, value: ratioTo(NCHAN, FEWER, SUBJECT, P99.key) },
  ],
};
