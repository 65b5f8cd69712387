import type { Peer } from '../types.ts';
import { usage } from '../usage.ts';
import { ratioOfCases } from './compare.ts';
import { CORE, P50, P99 } from './figures.ts';
import { gauge, scrape } from './loop.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const STREAMS = 1_000;
const SHARE = 0.05;
/** The slow ones listen to all topics and the others to the first: 2 MB a second, so that what the kernel holds for a socket is full in a few seconds. */
const TOPICS = 20;
const BYTES = 4_096;
const RATE = 500;
const WARM_SECONDS = 1;
const SECONDS = 6;
const MIB = 1024 * 1024;

const WITHOUT = 'all of 1,000 read';
const WITH = '50 of 1,000 read nothing for 6 s';

async function read(peer: Peer, { quick }: Setting, slow: number): Promise<Round> {
  return measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
    // The first ones that were opened are those that become slow.
    await open(STREAMS * SHARE, 'bench.>');
    await open(STREAMS * (1 - SHARE), 'bench.t0');
    const what = { ...target, rate: RATE, bytes: BYTES, topics: { name: 'bench.t{i}', count: TOPICS } };
    await load.publish({ ...what, seconds: WARM_SECONDS });
    const before = usage(server.pids);
    const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 3 : SECONDS, ...slow > 0 ? { slow } : {} }));
    const after = usage(server.pids);
    const text = await scrape(server, 0);
    return {
      figures: {
        p50: result.latency.p50, p99: result.latency.p99, core: cpu / result.seconds, rss: (after.rssBytes - before.rssBytes) / MIB,
        ...text === undefined ? {} : { behind: gauge(text, 'tidings_readers_fell_behind_total') },
        ...result.slow === undefined ? {} : { slowMost: result.slow.latency.max / 1000 },
      },
      faults: faultsOf(result),
      busy: result.busy,
    };
  });
}

export const slow: Scenario = {
  name: 'slow',
  title: 'Slow readers',
  how: `${STREAMS.toLocaleString('en')} streams; ${RATE} messages of ${BYTES / 1024} KiB a second on ${TOPICS} topics for ${SECONDS} seconds. ${SHARE * 100} % of the streams listen to all of them, the others to one. `
    + 'In the second case that 5 % reads nothing meanwhile, and reads on afterwards: they must get everything too. Latency is that of the streams that read.',
  caveats: ['The server\'s processes are kept on one core and the load on the other.', 'The kernel holds some megabytes for a socket that nobody reads; only what goes beyond is the server\'s business.'],
  peers: [SUBJECT],
  figures: [
    P50, P99, CORE, { key: 'rss', title: 'RSS more than before, MiB', digits: 1 }, { key: 'behind', title: 'streams that fell behind', digits: 0 },
    { key: 'slowMost', title: 'latest message to a slow one, s', digits: 1 },
  ],
  cases: [
    { title: WITHOUT, peers: [SUBJECT], run: (peer, setting) => read(peer, setting, 0) },
    { title: WITH, peers: [SUBJECT], run: (peer, setting) => read(peer, setting, SHARE) },
  ],
  targets: [
    // "A slow reader slows nobody" as a number; within what two rounds of the same thing differ by.
    { number: 8, says: 'latency p99 of the others beside 5 % slow readers, to that without', at: 'most', limit: 1.3, unit: '', digits: 2, value: ratioOfCases(WITH, WITHOUT, SUBJECT, P99.key) },
  ],
};
