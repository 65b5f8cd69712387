import { valueOf } from './compare.ts';
import { CORE, CPU, DELIVERIES, MESSAGE_BYTES, MICROSECONDS, P50, P99 } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Scenario } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const STREAMS = 1_000;
const RATE = 1_600;
const CONNECTIONS = 16;
const WARM_SECONDS = 1;
const SECONDS = 5;

const CASE = '1,600 messages a second to 1,000 streams';
const SHARE = { key: 'share', title: 'delivered of what was due, %', digits: 2 };

export const burst: Scenario = {
  name: 'burst',
  title: '1,600 messages a second to 1,000 streams',
  how: `All streams listen to one topic, ${RATE.toLocaleString('en')} messages of ${MESSAGE_BYTES} bytes are published a second, one request each over ${CONNECTIONS} connections, for ${SECONDS} seconds: 1.6 million deliveries are due a second.`,
  caveats: ['The server\'s processes, its SQLite thread among them, are kept on one core and the load on the other.'],
  peers: [SUBJECT],
  figures: [DELIVERIES, SHARE, CORE, CPU, P50, P99],
  cases: [{
    title: CASE,
    run: (peer, { quick }) => measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
      await open(quick ? STREAMS / 10 : STREAMS, 'bench.one');
      const what = { ...target, rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 }, connections: CONNECTIONS };
      await load.publish({ ...what, seconds: WARM_SECONDS });
      const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
      return {
        figures: {
          deliveries: result.delivered / result.seconds, share: 100 * result.delivered / result.expected, core: cpu / result.seconds,
          cpu: cpu * MICROSECONDS / result.delivered, p50: result.latency.p50, p99: result.latency.p99,
        },
        faults: faultsOf(result),
        busy: result.busy,
      };
    }),
  }],
  targets: [
    { number: 2, says: '1,600 messages a second to 1,000 streams: delivered', at: 'least', limit: 100, unit: ' %', digits: 2, value: valueOf(CASE, SUBJECT, SHARE.key) },
    { number: 2, says: '1,600 messages a second to 1,000 streams: CPU of the server', at: 'most', limit: 1, unit: ' cores', digits: 2, value: valueOf(CASE, SUBJECT, CORE.key) },
  ],
};
