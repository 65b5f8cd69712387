import { spread } from '../report/statistics.ts';
import type { Peer } from '../types.ts';
import { usage } from '../usage.ts';
import { valueOf } from './compare.ts';
import { CORE, CPU, DELIVERIES, MESSAGE_BYTES, MICROSECONDS, P99 } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const STREAMS = 10_000;
/** 750,000 deliveries a second: half of what the saturation scenario finds. */
const RATE = 75;
const SECONDS = 600;
const SAMPLE_MS = 10_000;
/** What the service holds in memory of the newest messages has a bound, which is reached before anything counts: more than twice as much is published. */
const FILL = { connections: 4, bytes: MESSAGE_BYTES, batch: 1_000, topics: { name: 'bench.old', count: 100 }, seconds: 5 };
const MIB = 1024 * 1024;

const CASE = `10 minutes, 10,000 streams, ${RATE} messages a second`;
const GROWN = { key: 'grown', title: 'last two minutes to the third and fourth', digits: 2 };

async function soaked(peer: Peer, { quick, say }: Setting): Promise<Round> {
  return measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
    await load.flood({ ...target, ...FILL });
    await open(STREAMS, 'bench.one');
    const rss: number[] = [];
    const sampling = setInterval(() => {
      rss.push(usage(server.pids).rssBytes / MIB);
      say(`RSS ${rss.at(-1)?.toFixed(1)} MiB`);
    }, quick ? SAMPLE_MS / 20 : SAMPLE_MS);
    try {
      const { cpu, result } = await costOf(server, () => load.publish({
        ...target, rate: RATE, seconds: quick ? SECONDS / 20 : SECONDS, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 },
      }));
      const fifth = Math.floor(rss.length / 5);
      const early = spread(rss.slice(fifth, 2 * fifth)).median;
      const late = spread(rss.slice(-fifth)).median;
      return {
        figures: {
          first: rss[0] ?? 0, early, late, most: Math.max(...rss), grown: late / early,
          deliveries: result.delivered / result.seconds, cpu: cpu * MICROSECONDS / result.delivered, core: cpu / result.seconds, p99: result.latency.p99,
        },
        faults: faultsOf(result),
        busy: result.busy,
      };
    } finally {
      clearInterval(sampling);
    }
  });
}

export const soak: Scenario = {
  name: 'soak',
  title: 'Ten minutes at half load',
  how: `${STREAMS.toLocaleString('en')} streams of one topic, ${RATE} messages of ${MESSAGE_BYTES} bytes a second for ${SECONDS / 60} minutes; RSS every ${SAMPLE_MS / 1000} seconds. Before, so much is published in ${FILL.seconds} seconds that what is held in memory of the newest messages has reached its bound. `
    + 'Flat means that the median of the last two minutes is no higher than that of the third and fourth.',
  caveats: ['One round. The server\'s processes are kept on one core and the load on the other.'],
  peers: [SUBJECT],
  figures: [
    { key: 'first', title: 'RSS after 10 s, MiB', digits: 0 }, { key: 'early', title: 'third and fourth minute, MiB', digits: 0 }, { key: 'late', title: 'last two minutes, MiB', digits: 0 },
    { key: 'most', title: 'most, MiB', digits: 0 }, GROWN, DELIVERIES, CPU, CORE, P99,
  ],
  cases: [{ title: CASE, run: soaked }],
  // The heap breathes between two collections: a tenth is that and no growth.
  targets: [{ number: 8, says: 'RSS over ten minutes, last two to the third and fourth', at: 'most', limit: 1.1, unit: '', digits: 2, value: valueOf(CASE, SUBJECT, GROWN.key) }],
  onDemand: true,
  rounds: 1,
};
