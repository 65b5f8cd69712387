import { valueOf } from './compare.ts';
import { MICROSECONDS } from './figures.ts';
import { NCHAN, SUBJECT } from './names.ts';
import { NO_FAULTS, type Scenario } from './scenario.ts';
import { costOf, measured } from './session.ts';

const STREAMS = 10_000;
const CASE = '10,000 streams';
const OPENED = { key: 'opened', title: 'streams opened a second', digits: 0 };

export const opening: Scenario = {
  name: 'opening',
  title: 'Opening streams',
  how: `${STREAMS.toLocaleString('en')} streams of one topic are opened as fast as the server takes them, 500 connections under way at any time; a stream is open when its first bytes are there (on Tidings: the event \`$open\`).`,
  caveats: ['A server that was just started compiles its code meanwhile.', 'The server\'s processes are kept on one core and the load on the other, for all servers alike.'],
  peers: [SUBJECT, NCHAN],
  figures: [OPENED, { key: 'cpu', title: 'CPU per stream opened, µs', digits: 0 }],
  cases: [{
    title: CASE,
    run: (peer, { quick }) => measured(peer, { pinned: true }, async ({ server, open }) => {
      const { cpu, result } = await costOf(server, () => open(quick ? STREAMS / 10 : STREAMS, 'bench.one'));
      return { figures: { opened: result.perSecond, cpu: cpu * MICROSECONDS / result.open }, faults: NO_FAULTS, busy: result.busy };
    }),
  }],
  targets: [
    { number: 4, says: 'streams opened a second', at: 'least', limit: 10_000, unit: '', digits: 0, value: valueOf(CASE, SUBJECT, OPENED.key) },
  ],
};
