import { ratioTo, valueOf } from './compare.ts';
import { CORE, CPU, MESSAGE_BYTES, MICROSECONDS, P50, P99 } from './figures.ts';
import { FASTIFY_SSE, NCHAN_REDIS, SUBJECT } from './names.ts';
import type { Scenario } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const STREAMS = 10_000;
const TOPICS = 1_000;
const RATE = 1_000;
const WARM_SECONDS = 1;
const SECONDS = 4;

const CASE = '10,000 streams on 1,000 topics, 1,000 messages a second';

export const topics: Scenario = {
  name: 'topics',
  title: 'Many topics',
  how: `${STREAMS.toLocaleString('en')} streams, ten on each of ${TOPICS.toLocaleString('en')} topics; ${RATE.toLocaleString('en')} messages of ${MESSAGE_BYTES} bytes a second, one request each, for ${SECONDS} seconds: each is delivered ten times. `
    + 'CPU of all processes of the server, Redis included, for publishes and deliveries together, by the events that streams received.',
  caveats: ['Tidings has each message on disk before it answers; the others store nothing durably.', 'Nothing is pinned to a core: publishing uses more than one process or thread on each of these servers.'],
  peers: [SUBJECT, FASTIFY_SSE, NCHAN_REDIS],
  figures: [CPU, CORE, P50, P99, { key: 'answer', title: 'publish answered p99, ms', digits: 1 }],
  cases: [{
    title: CASE,
    run: (peer, { quick }) => measured(peer, {}, async ({ server, load, target, open }) => {
      await open(quick ? STREAMS / 10 : STREAMS, `bench.t{i%${TOPICS}}`);
      const what = { ...target, rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.t{i}', count: TOPICS } };
      await load.publish({ ...what, seconds: quick ? 1 : WARM_SECONDS });
      const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
      return {
        figures: {
          cpu: cpu * MICROSECONDS / result.delivered, core: cpu / result.seconds,
          p50: result.latency.p50, p99: result.latency.p99, answer: result.answer.p99,
        },
        faults: faultsOf(result),
        busy: result.busy,
      };
    }),
  }],
  targets: [
    { number: 5, says: 'CPU per delivered event on 1,000 topics, durable publishes included, to @fastify/sse\'s', at: 'most', limit: 1, unit: '', digits: 2, value: ratioTo(FASTIFY_SSE, CASE, SUBJECT, CPU.key) },
    { number: 5, says: 'the same', at: 'most', limit: 35, unit: ' µs', digits: 1, value: valueOf(CASE, SUBJECT, CPU.key) },
    { number: 5, says: 'the same, to that of Nchan with Redis', at: 'most', limit: 1, unit: '', digits: 2, wish: true, value: ratioTo(NCHAN_REDIS, CASE, SUBJECT, CPU.key) },
  ],
};
