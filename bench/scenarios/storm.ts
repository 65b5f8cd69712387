import { now } from '../load/clock.ts';
import type { Peer } from '../types.ts';
import { valueOf } from './compare.ts';
import { MESSAGE_BYTES } from './figures.ts';
import { NCHAN, SUBJECT } from './names.ts';
import type { Round, Scenario, Setting } from './scenario.ts';
import { faultsOf, pause, measured } from './session.ts';

const STREAMS = 10_000;
const RATE = 5;
/** Messages flow for so long before the cut, and for so long in all. */
const BEFORE_MS = 2_000;
const SECONDS = 8;
const AWAY_MS = 1_000;
const FLOW = { rate: RATE, seconds: SECONDS, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } };

const CUT = 'clients cut, away for 1 s';
const KILLED = 'server killed and started again, clients back after 1 s';

const CAUGHT_UP = { key: 'caughtUp', title: 'all caught up after, s', digits: 2 };

/** All connections are cut from the client's side; the server stays. */
async function cut(peer: Peer, { quick }: Setting): Promise<Round> {
  return measured(peer, { warmLoad: true }, async ({ load, target, open }) => {
    await open(quick ? STREAMS / 10 : STREAMS, 'bench.one');
    const [delivered, { gone, back }] = await Promise.all([load.publish({ ...target, ...FLOW }), (async () => {
      await pause(BEFORE_MS);
      return { gone: await load.cut(), back: await load.reopen({ afterMs: AWAY_MS }) };
    })()]);
    if (back.failed > 0) throw new Error(`${back.failed} streams did not come back: ${JSON.stringify(back.reasons)}`);
    const returned = gone + AWAY_MS;
    return {
      figures: { caughtUp: caughtUp(delivered.caughtUpAt, returned), reopened: (back.at - returned) / 1000, retried: back.retried, busyAnswers: back.busyAnswers },
      faults: faultsOf(delivered),
      busy: Math.max(back.busy, delivered.busy),
    };
  });
}

/** The server is killed with SIGKILL and started again at once; each client comes back a second after it was cut off. */
async function killed(peer: Peer, { quick }: Setting): Promise<Round> {
  return measured(peer, { warmLoad: true }, async ({ server, load, target, open }) => {
    await open(quick ? STREAMS / 10 : STREAMS, 'bench.one', { reconnectMs: AWAY_MS });
    const [delivered, { died, up, back }] = await Promise.all([load.publish({ ...target, ...FLOW }), (async () => {
      await pause(BEFORE_MS);
      const died = now();
      if (server.restart === undefined) throw new Error('it cannot be started again');
      await server.restart(0);
      return { died, up: now(), back: await load.whole() };
    })()]);
    const returned = Math.max(up, died + AWAY_MS);
    return {
      figures: {
        caughtUp: caughtUp(delivered.caughtUpAt, returned), reopened: (back.at - returned) / 1000, restart: (up - died) / 1000,
        retried: back.retried, busyAnswers: back.busyAnswers,
      },
      // Every stream ends here, and that is the point; publishes fail while there is no server.
      faults: { ...faultsOf(delivered), ended: delivered.gaps },
      busy: Math.max(back.busy, delivered.busy),
    };
  });
}

function caughtUp(at: number | undefined, returned: number): number {
  if (at === undefined) throw new Error('the streams did not catch up');
  return (at - returned) / 1000;
}

export const storm: Scenario = {
  name: 'storm',
  title: 'The storm: everybody comes back at once',
  how: `${STREAMS.toLocaleString('en')} streams of one topic, ${RATE} messages of ${MESSAGE_BYTES} bytes a second. All connections are cut; ${AWAY_MS / 1000} second later all come back with the \`Last-Event-ID\` that each saw last, while publishing goes on. `
    + 'Counted is the time from that second\'s end, or from when the server that was killed could be used again if that was later, until every stream had everything that was published before it was back.',
  caveats: ['Nothing is pinned to a core.', 'Nchan\'s messages are in its memory and would not survive a kill: for it, the clients are cut.'],
  peers: [SUBJECT, NCHAN],
  figures: [CAUGHT_UP, { key: 'reopened', title: 'all open after, s', digits: 2 }, { key: 'restart', title: 'killed server ready after, s', digits: 2 }, { key: 'retried', title: 'connections tried again', digits: 0 }, { key: 'busyAnswers', title: '$busy answers', digits: 0 }],
  cases: [
    { title: CUT, peers: [SUBJECT, NCHAN], run: cut },
    { title: KILLED, peers: [SUBJECT], run: killed },
  ],
  targets: [
    { number: 4, says: 'storm, clients cut: all caught up', at: 'most', limit: 1.5, unit: ' s', digits: 2, value: valueOf(CUT, SUBJECT, CAUGHT_UP.key) },
    { number: 4, says: 'storm, server killed: all caught up', at: 'most', limit: 1.5, unit: ' s', digits: 2, value: valueOf(KILLED, SUBJECT, CAUGHT_UP.key) },
  ],
};
