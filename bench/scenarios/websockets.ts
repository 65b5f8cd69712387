import type { Peer } from '../types.ts';
import { usage } from '../usage.ts';
import { ratioTo, valueOf } from './compare.ts';
import { CORE, CPU, MESSAGE_BYTES, MICROSECONDS, P50, P99 } from './figures.ts';
import { SOCKET_IO, SUBJECT, WEBSOCKET } from './names.ts';
import { NO_FAULTS, type Case, type Round, type Scenario, type Setting } from './scenario.ts';
import { costOf, faultsOf, measured, pause } from './session.ts';

const WARM_SECONDS = 1;
const SECONDS = 4;
const STREAMS = 2_000;
const RATE = 25;
const IDLE_STREAMS = 8_000;
const KIB = 1024;
/** After the start, and after the last stream was opened: what was only needed for that is given back, or not. */
const SETTLE_MS = 2_500;

const FANOUT = `${STREAMS.toLocaleString('en')} streams, ${RATE} messages a second`;
const IDLE = `${IDLE_STREAMS.toLocaleString('en')} idle streams`;
const RSS = { key: 'rss', title: 'RSS per stream, KiB', digits: 2 };
const OPENED = { key: 'opened', title: 'CPU per stream opened, µs', digits: 0 };

const fanout: Case = {
  title: FANOUT, table: 'Fan-out',
  run: (peer: Peer, { quick }: Setting): Promise<Round> => measured(peer, { pinned: true }, async ({ server, load, target, open }) => {
    await open(quick ? STREAMS / 10 : STREAMS, 'bench.one');
    const what = { ...target, rate: RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } };
    await load.publish({ ...what, seconds: quick ? 1 : WARM_SECONDS });
    const { cpu, result } = await costOf(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
    return { figures: { cpu: cpu * MICROSECONDS / result.delivered, core: cpu / result.seconds, p50: result.latency.p50, p99: result.latency.p99 }, faults: faultsOf(result), busy: result.busy };
  }),
};

const idle: Case = {
  title: IDLE, table: 'Idle streams',
  run: (peer: Peer, { quick }: Setting): Promise<Round> => measured(peer, {}, async ({ server, open }) => {
    const streams = quick ? IDLE_STREAMS / 10 : IDLE_STREAMS;
    await pause(SETTLE_MS);
    const before = usage(server.pids);
    const { cpu } = await costOf(server, () => open(streams, 'bench.one'));
    await pause(SETTLE_MS);
    return { figures: { rss: (usage(server.pids).rssBytes - before.rssBytes) / streams / KIB, opened: cpu * MICROSECONDS / streams }, faults: NO_FAULTS, busy: 0 };
  }),
};

export const websockets: Scenario = {
  name: 'websockets',
  title: 'WebSocket beside Server-Sent Events',
  how: `The same streams as events and as WebSockets, and Socket.IO over WebSocket. Fan-out: all streams listen to one topic; ${RATE} messages of ${MESSAGE_BYTES} bytes a second are published for ${SECONDS} s, after ${WARM_SECONDS} s to warm up. Idle: RSS of all processes of the server before and after ${IDLE_STREAMS.toLocaleString('en')} streams were opened, by their number.`,
  caveats: ['In the fan-out, the server\'s processes are kept on one core and the load on the other.', 'Socket.IO stores nothing, and a stream of it that comes back has missed what was sent meanwhile. It has a Redis beside it, which counts.'],
  peers: [SUBJECT, WEBSOCKET, SOCKET_IO],
  figures: [CPU, CORE, P50, P99, RSS, OPENED],
  cases: [fanout, idle],
  targets: [
    { number: 12, says: 'CPU per delivered event of a WebSocket, to an event stream\'s', at: 'most', limit: 1.15, unit: '', digits: 2, value: ratioTo(SUBJECT, FANOUT, WEBSOCKET, CPU.key) },
    { number: 12, says: 'CPU per delivered event of a WebSocket, to Socket.IO\'s', at: 'most', limit: 1, unit: '', digits: 2, value: ratioTo(SOCKET_IO, FANOUT, WEBSOCKET, CPU.key) },
    { number: 12, says: 'idle RSS per WebSocket', at: 'most', limit: 25, unit: ' KiB', digits: 1, value: valueOf(IDLE, WEBSOCKET, RSS.key) },
    { number: 12, says: 'idle RSS per WebSocket, to Socket.IO\'s', at: 'most', limit: 1, unit: '', digits: 2, value: ratioTo(SOCKET_IO, IDLE, WEBSOCKET, RSS.key) },
  ],
};
