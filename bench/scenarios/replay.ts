import type { Peer } from '../types.ts';
import { CORE, MICROSECONDS } from './figures.ts';
import { held, KEEP, preparedLog } from './logs.ts';
import { SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { costOf, faultsOfReading, measured } from './session.ts';

const MESSAGES = 1_000_000;
const FEWER = 50_000;

async function from(peer: Peer, setting: Setting, messages: number, streams: number): Promise<Round> {
  const folder = await preparedLog(peer, setting.quick ? messages / 100 : messages, setting);
  return measured(peer, { folder, env: KEEP }, async ({ server, load, target }) => {
    const expected = await held(server);
    const { cpu, result } = await costOf(server, () => load.read({ ...target, count: streams, topics: 'bench.>', after: 'start', expected, contiguous: true }));
    return {
      figures: { perSecond: result.perSecond, seconds: result.seconds, messages: expected, cpu: cpu * MICROSECONDS / result.events, core: cpu / result.seconds, first: result.first.p99 },
      faults: faultsOfReading(result),
      busy: result.busy,
    };
  });
}

export const replay: Scenario = {
  name: 'replay',
  title: 'Replay of old messages',
  how: `A log of ${MESSAGES.toLocaleString('en')} or ${FEWER.toLocaleString('en')} messages of 200 bytes, made before; a server that was just started on it, and nothing of it in its memory. Streams of \`bench.>\` begin at \`start\` and read until they have all of it. Every number must come, in order, once.`,
  caveats: ['Nothing is pinned to a core: the service reads its log on a thread of its own.'],
  peers: [SUBJECT],
  figures: [
    { key: 'messages', title: 'messages of the log', digits: 0 }, { key: 'perSecond', title: 'events a second', digits: 0 }, { key: 'seconds', title: 'all had everything after, s', digits: 2 },
    { key: 'cpu', title: 'CPU per event, µs', digits: 2 }, CORE, { key: 'first', title: 'first event p99, ms', digits: 0 },
  ],
  cases: [
    { title: '1,000,000 messages to 1 stream', peers: [SUBJECT], run: (peer, setting) => from(peer, setting, MESSAGES, 1) },
    { title: '50,000 messages to 100 streams', peers: [SUBJECT], run: (peer, setting) => from(peer, setting, FEWER, 100) },
  ],
  targets: [],
};
