import { usage } from '../usage.ts';
import { valueOf } from './compare.ts';
import { NCHAN, ORDINARY, SUBJECT } from './names.ts';
import type { Peer } from '../types.ts';
import { NO_FAULTS, type Round, type Scenario, type Setting } from './scenario.ts';
import { pause, measured } from './session.ts';

const STREAMS = 10_000;
const KIB = 1024;
/** After the start, and after the last stream was opened: what was only needed for that is given back, or not. */
const SETTLE_MS = 2_500;
const HEARTBEAT_SECONDS = 2;
const HEARTBEATS = 2;

const CASE = '10,000 idle streams';
const ORDINARY_CASE = `${CASE}, through the framework`;
const RSS = { key: 'rss', title: 'RSS per stream, KiB', digits: 2 };

async function hold(peer: Peer, { quick }: Setting, env: Readonly<Record<string, string>> = {}): Promise<Round> {
  return measured(peer, peer.name === SUBJECT ? { env: { HEARTBEAT_SECONDS: String(HEARTBEAT_SECONDS), ...env } } : {}, async ({ server, open }) => {
    const streams = quick ? STREAMS / 10 : STREAMS;
    await pause(SETTLE_MS);
    const before = usage(server.pids);
    await open(streams / 2, 'bench.one');
    await pause(SETTLE_MS);
    const half = usage(server.pids);
    await open(streams / 2, 'bench.one');
    await pause(SETTLE_MS);
    const after = usage(server.pids);
    await pause(HEARTBEAT_SECONDS * HEARTBEATS * 1000);
    const later = usage(server.pids);
    const perStream = (bytes: number) => bytes / streams / KIB;
    return {
      figures: {
        rss: perStream(after.rssBytes - before.rssBytes), pss: perStream(after.pssBytes - before.pssBytes),
        second: 2 * perStream(after.rssBytes - half.rssBytes), later: perStream(later.rssBytes - before.rssBytes), base: before.rssBytes / KIB / KIB, whole: later.rssBytes / KIB / KIB,
      },
      faults: NO_FAULTS,
      busy: 0,
    };
  });
}

export const memory: Scenario = {
  name: 'memory',
  title: 'Memory of idle streams',
  how: `RSS and PSS of all processes of the server ${SETTLE_MS / 1000} seconds after its start, and ${SETTLE_MS / 1000} seconds after ${STREAMS.toLocaleString('en')} streams of one topic were open; the difference by the number of streams. They are opened in two halves, with as long a pause between, since the first ones find room that the start left in the heap. `
    + `Then once more after ${HEARTBEATS} heartbeats to each, which Tidings is told to send every ${HEARTBEAT_SECONDS} seconds (default 25); the others are left to themselves for that time.`,
  caveats: ['Everything that the process took for the streams counts, free space in its heap too; the memory of the sockets in the kernel does not.'],
  peers: [SUBJECT, NCHAN],
  figures: [
    RSS, { key: 'pss', title: 'PSS per stream, KiB', digits: 2 }, { key: 'second', title: 'of the second 5,000, KiB', digits: 2 }, { key: 'later', title: 'RSS per stream after heartbeats, KiB', digits: 2 },
    { key: 'base', title: 'RSS without streams, MiB', digits: 1 }, { key: 'whole', title: 'RSS with all of them, MiB', digits: 1 },
  ],
  cases: [
    { title: CASE, run: (peer, setting) => hold(peer, setting) },
    { title: ORDINARY_CASE, peers: [SUBJECT], run: (peer, setting) => hold(peer, setting, ORDINARY) },
  ],
  targets: [
    { number: 3, says: 'idle RSS per stream, 10,000 streams', at: 'most', limit: 13, unit: ' KiB', digits: 1, value: valueOf(CASE, SUBJECT, RSS.key) },
    { number: 3, says: 'the same, through the framework', at: 'most', limit: 10, unit: ' KiB', digits: 1, value: valueOf(ORDINARY_CASE, SUBJECT, RSS.key) },
    { number: 3, says: 'idle RSS per stream, after heartbeats', at: 'most', limit: 13, unit: ' KiB', digits: 1, value: valueOf(CASE, SUBJECT, 'later') },
    { number: 3, says: 'idle RSS per stream, 10,000 streams', at: 'most', limit: 10, unit: ' KiB', digits: 1, wish: true, value: valueOf(CASE, SUBJECT, RSS.key) },
  ],
};
