import { valueOf } from './compare.ts';
import { MICROSECONDS } from './figures.ts';
import { NCHAN, ORDINARY, SUBJECT } from './names.ts';
import type { Peer, ServerOptions } from '../types.ts';
import { NO_FAULTS, type Round, type Scenario, type Setting } from './scenario.ts';
import { costOf, measured, pause } from './session.ts';

const STREAMS = 10_000;
/** For the ends of all connections to be dealt with. */
const PAUSE_MS = 1_000;
const CASE = '10,000 streams';
const ORDINARY_CASE = `${CASE}, through the framework`;
const OPENED = { key: 'opened', title: 'streams opened a second', digits: 0 };
const AGAIN = { key: 'again', title: 'once more', digits: 0 };

async function openTwice(peer: Peer, { quick }: Setting, options: ServerOptions = {}): Promise<Round> {
  return measured(peer, { ...options, pinned: true, warmLoad: true }, async ({ server, load, open }) => {
    const streams = quick ? STREAMS / 10 : STREAMS;
    const { cpu, result } = await costOf(server, () => open(streams, 'bench.one'));
    await load.close();
    await pause(PAUSE_MS);
    const again = await open(streams, 'bench.one');
    return { figures: { opened: result.perSecond, cpu: cpu * MICROSECONDS / result.open, again: again.perSecond }, faults: NO_FAULTS, busy: Math.max(result.busy, again.busy) };
  });
}

export const opening: Scenario = {
  name: 'opening',
  title: 'Opening streams',
  how: `${STREAMS.toLocaleString('en')} streams of one topic are opened as fast as the server takes them, 500 connections under way at any time; a stream is open when its first bytes are there (on Tidings: the event \`$open\`). Then all are closed, and opened once more.`,
  caveats: ['A server that was just started compiles its code during the first opening, which the second one does without; the load process is warm both times.', 'The server\'s processes are kept on one core and the load on the other, for all servers alike.'],
  peers: [SUBJECT, NCHAN],
  figures: [OPENED, AGAIN, { key: 'cpu', title: 'CPU per stream opened, µs', digits: 0 }],
  cases: [
    { title: CASE, run: (peer, setting) => openTwice(peer, setting) },
    { title: ORDINARY_CASE, peers: [SUBJECT], run: (peer, setting) => openTwice(peer, setting, { env: ORDINARY }) },
  ],
  targets: [
    { number: 4, says: 'streams opened a second, once its code is compiled', at: 'least', limit: 10_000, unit: '', digits: 0, value: valueOf(CASE, SUBJECT, AGAIN.key) },
    { number: 4, says: 'the same, through the framework', at: 'least', limit: 9_000, unit: '', digits: 0, value: valueOf(ORDINARY_CASE, SUBJECT, AGAIN.key) },
    { number: 4, says: 'streams opened a second, by a process that was just started', at: 'least', limit: 10_000, wish: true, unit: '', digits: 0, value: valueOf(CASE, SUBJECT, OPENED.key) },
  ],
};
