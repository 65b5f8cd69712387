import { ratioOfCases } from './compare.ts';
import { CORE, CPU, MESSAGE_BYTES, MICROSECONDS, P50, P99 } from './figures.ts';
import { SUBJECT } from './names.ts';
import type { Case, Scenario } from './scenario.ts';
import { costOf, faultsOf, measured } from './session.ts';

const STREAMS = 10_000;
const RATE = 4_000;
/** Messages of one request, so that a publish costs little beside what is compared. */
const BATCH = 40;
const WARM_SECONDS = 1;
const SECONDS = 4;

const EXACT = '10,000 topics';
const AT_END = '10,000 patterns, the wildcard last';
const AT_START = '10,000 patterns, the wildcard first';

function subscribed(title: string, topics: string): Case {
  return {
    title,
    run: (peer, { quick }) => measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
      await open(STREAMS, topics);
      const what = { ...target, rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.t{i}.new', count: STREAMS }, batch: BATCH };
      await load.publish({ ...what, seconds: WARM_SECONDS });
      const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
      return {
        figures: { cpu: cpu * MICROSECONDS / result.delivered, core: cpu / result.seconds, p50: result.latency.p50, p99: result.latency.p99 },
        faults: faultsOf(result),
        busy: result.busy,
      };
    }),
  };
}

export const patterns: Scenario = {
  name: 'patterns',
  title: 'Patterns',
  how: `${STREAMS.toLocaleString('en')} streams, each with a topic of its own (\`bench.t17.new\`), or each with a pattern of its own (\`bench.t17.*\`, \`*.t17.>\`) that the same topic matches; `
    + `${RATE.toLocaleString('en')} messages a second of ${MESSAGE_BYTES} bytes, ${BATCH} to a request, each delivered once. CPU per delivered event, publishes included.`,
  caveats: ['The server\'s processes are kept on one core and the load on the other.'],
  peers: [SUBJECT],
  figures: [CPU, CORE, P50, P99],
  cases: [
    { ...subscribed(EXACT, 'bench.t{i}.new'), peers: [SUBJECT] },
    { ...subscribed(AT_END, 'bench.t{i}.*'), peers: [SUBJECT] },
    { ...subscribed(AT_START, '*.t{i}.>'), peers: [SUBJECT] },
  ],
  targets: [
    { number: 5, says: 'CPU per delivered event with 10,000 patterns (wildcard last), to that with 10,000 topics', at: 'most', limit: 2, unit: '', digits: 2, value: ratioOfCases(AT_END, EXACT, SUBJECT, CPU.key) },
    { number: 5, says: 'CPU per delivered event with 10,000 patterns (wildcard first), to that with 10,000 topics', at: 'most', limit: 2, unit: '', digits: 2, value: ratioOfCases(AT_START, EXACT, SUBJECT, CPU.key) },
  ],
};
