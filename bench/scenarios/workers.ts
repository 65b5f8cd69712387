import type { Peer } from '../types.ts';
import { figure } from './compare.ts';
import { MESSAGE_BYTES, MICROSECONDS } from './figures.ts';
import { SUBJECT } from './names.ts';
import { NO_FAULTS, type Case, type Faults, type Round, type Scenario, type Setting, type Target } from './scenario.ts';
import { costOf, faultsOf, pause, sum, withServer, type Session } from './session.ts';

/** The services that are compared, by their numbers of workers. */
const WORKERS = [1, 2, 4] as const;
/** The control: this number of services with a log each, which share nothing. They show what more processes on the same cores cost by themselves. */
const APART = [2, 4] as const;
/** How often they take turns. The least of each counts: that is what other work in the machine disturbed least. */
const TURNS = 6;
const SECONDS = 2;
/** For the ends of all connections to be dealt with. */
const PAUSE_MS = 1_000;
const READY_POLL_MS = 100;

const STREAMS = 3_000;
const RATE = 10;
const OPENED_STREAMS = 4_000;
const TOPICS = 100;
const CONNECTIONS = 64;
const BATCH = 1_000;
const BATCH_CONNECTIONS = 8;
const STEADY_RATE = 1_000;

const DELIVERY = `a delivery: ${STREAMS.toLocaleString('en')} streams, ${RATE} messages a second`;
const OPENING = `a stream opened: ${OPENED_STREAMS.toLocaleString('en')} as fast as they are taken`;
const SINGLE = `a message published, as many as are answered, one to a request, ${CONNECTIONS} connections`;
const STEADY = `a message published, ${STEADY_RATE.toLocaleString('en')} a second, one to a request, ${CONNECTIONS} connections`;
const NDJSON = `a message published, as many as are answered, NDJSON of ${BATCH.toLocaleString('en')}, ${BATCH_CONNECTIONS} connections`;

/** What a service did in its turn: CPU seconds of all its processes, for so many things. */
interface Turn {
  readonly cpu: number;
  readonly things: number;
  readonly faults: Faults;
  readonly busy: number;
}

interface Work {
  /** Whether the control does it, too. A message for streams of one service is not one for those of another. */
  readonly hasControl: boolean;
  /** Once for each service, before the turns. */
  readonly prepare?: (session: Session) => Promise<void>;
  readonly turn: (session: Session, seconds: number) => Promise<Turn>;
}

interface Compared {
  readonly count: number;
  readonly apart: boolean;
}

/** All services side by side. */
function withServices<Result>(peer: Peer, services: readonly Compared[], body: (sessions: readonly Session[]) => Promise<Result>, started: readonly Session[] = []): Promise<Result> {
  const [service, ...others] = services;
  if (service === undefined) return body(started);
  const { count, apart } = service;
  return withServer(peer, apart ? { instances: count, apart } : { env: { WORKERS: String(count) } }, async (session) => {
    if (!apart) await allReady(session, count);
    return withServices(peer, others, body, [...started, session]);
  });
}

/** The port answers as soon as the first worker listens. */
async function allReady({ server }: Session, count: number): Promise<void> {
  while (count > 1 && !new RegExp(`^tidings_workers_ready ${count}$`, 'm').test(await (await fetch(`http://127.0.0.1:${server.ports[0]}/metrics`)).text())) await pause(READY_POLL_MS);
}

function compared(title: string, { hasControl, prepare, turn }: Work): Case {
  const services = [...WORKERS.map((count): Compared => ({ count, apart: false })), ...hasControl ? APART.map((count): Compared => ({ count, apart: true })) : []];
  return {
    title,
    run: (peer: Peer, { quick, say }: Setting): Promise<Round> => withServices(peer, services, async (sessions) => {
      for (const [index, session] of sessions.entries()) if (services[index]?.apart === false) await prepare?.(session);
      const costs = sessions.map((): number[] => []);
      const turns: Turn[] = [];
      for (let count = 0; count < (quick ? 1 : TURNS); count++) {
        for (const [index, session] of sessions.entries()) {
          const one = await turn(session, quick ? 1 : SECONDS);
          costs[index]!.push(one.cpu * MICROSECONDS / one.things);
          turns.push(one);
        }
        say(costs.map((each) => each.at(-1)!.toFixed(1)).join(' '));
      }
      const [one, two, four, twoApart, fourApart] = costs.map((each) => Math.min(...each)) as [number, number, number, number?, number?];
      const control: Record<string, number> = twoApart === undefined || fourApart === undefined ? {} : { twoApart, fourApart, twoOverApart: two / twoApart, fourOverApart: four / fourApart };
      return { figures: { one, two, four, twoOverOne: two / one, fourOverOne: four / one, ...control }, faults: sum(turns.map(({ faults }) => faults)), busy: Math.max(...turns.map(({ busy }) => busy)) };
    }),
  };
}

const topics = { name: 'bench.t{i}', count: TOPICS };

/** A hundredth of the messages goes to a stream, so that loss and doubles are seen. */
function flooded(batch?: number): Work {
  return {
    hasControl: true,
    prepare: async ({ open }) => {
      await open(1, 'bench.t0');
    },
    turn: async ({ server, load, target }, seconds) => {
      const { cpu, result } = await costOf(server, () => load.flood({ ...target, topics, bytes: MESSAGE_BYTES, seconds, ...batch === undefined ? { connections: CONNECTIONS } : { connections: BATCH_CONNECTIONS, batch } }));
      return { cpu, things: result.accepted, faults: { ...result.delivery === undefined ? NO_FAULTS : faultsOf(result.delivery), refused: result.refused }, busy: result.busy };
    },
  };
}

const delivery: Work = {
  hasControl: false,
  prepare: async ({ open }) => {
    await open(STREAMS, 'bench.one');
  },
  turn: async ({ server, load, target }, seconds) => {
    const { cpu, result } = await costOf(server, () => load.publish({ ...target, rate: RATE, seconds, bytes: MESSAGE_BYTES, topics: { name: 'bench.one', count: 1 } }));
    return { cpu, things: result.delivered, faults: faultsOf(result), busy: result.busy };
  },
};

const opening: Work = {
  hasControl: true,
  turn: async ({ server, load, open }) => {
    const { cpu, result } = await costOf(server, () => open(OPENED_STREAMS, 'bench.one'));
    await load.close();
    await pause(PAUSE_MS);
    return { cpu, things: result.open, faults: NO_FAULTS, busy: result.busy };
  },
};

const steady: Work = {
  hasControl: true,
  turn: async ({ server, load, target }, seconds) => {
    const { cpu, result } = await costOf(server, () => load.publish({ ...target, rate: STEADY_RATE, seconds, bytes: MESSAGE_BYTES, topics, connections: CONNECTIONS }));
    return { cpu, things: result.accepted, faults: faultsOf(result), busy: result.busy };
  },
};

/** With more workers no thing costs more than this times what it costs with one, and working together no more than this times what separate services cost. */
const COST_MAX_RATIO = 1.1;

function target(says: string, title: string, workers: 'two' | 'four'): Target {
  return { number: 11, says: `CPU for ${says}, ${workers} workers to one`, at: 'most', limit: COST_MAX_RATIO, unit: '', digits: 2, value: (rounds) => figure(rounds, title, SUBJECT, `${workers}OverOne`) };
}

/** What working together costs: on few cores more processes cost more by themselves. */
function togetherTarget(says: string, title: string, workers: 'two' | 'four'): Target {
  return { number: 11, says: `CPU for ${says}, ${workers} workers to ${workers} separate services`, at: 'most', limit: COST_MAX_RATIO, unit: '', digits: 2, value: (rounds) => figure(rounds, title, SUBJECT, `${workers}OverApart`) };
}

export const workers: Scenario = {
  name: 'workers',
  title: 'What several workers cost',
  how: `Services with ${WORKERS.join(', ')} workers run side by side and take turns, ${TURNS} for each, of ${SECONDS} s where they are not over sooner. The control is the same number of services with a log each, which share nothing. CPU time of all processes of a service (the supervisor with its hub, too), by what was done in a turn; the least of all turns counts.`,
  caveats: [
    'Nothing is pinned to a core. A load that one worker carries lets several sleep and wake more often, and with more workers than cores each is put aside more often: both make each thing dearer than on a machine whose cores are all busy.',
    'Messages that are published are handed to the worker that writes, and each worker hears of each of them. The supervisor and each worker also do a little while nothing happens, which counts.',
  ],
  peers: [SUBJECT],
  figures: [
    { key: 'one', title: 'CPU, µs: 1 worker', digits: 1 }, { key: 'two', title: '2 workers', digits: 1 }, { key: 'four', title: '4 workers', digits: 1 },
    { key: 'twoOverOne', title: '2 to 1', digits: 2 }, { key: 'fourOverOne', title: '4 to 1', digits: 2 },
    { key: 'twoApart', title: '2 services', digits: 1 }, { key: 'fourApart', title: '4 services', digits: 1 }, { key: 'twoOverApart', title: '2 workers to 2 services', digits: 2 }, { key: 'fourOverApart', title: '4 to 4', digits: 2 },
  ],
  cases: [compared(DELIVERY, delivery), compared(OPENING, opening), compared(SINGLE, flooded()), compared(STEADY, steady), compared(NDJSON, flooded(BATCH))],
  onDemand: true,
  targets: [
    target('a delivery', DELIVERY, 'two'), target('a delivery', DELIVERY, 'four'), target('a stream opened', OPENING, 'two'), target('a stream opened', OPENING, 'four'),
    target('a message published', SINGLE, 'two'), target('a message published', SINGLE, 'four'),
    togetherTarget('a stream opened', OPENING, 'two'), togetherTarget('a stream opened', OPENING, 'four'), togetherTarget('a message published', SINGLE, 'two'), togetherTarget('a message published', SINGLE, 'four'),
    togetherTarget('a message published at a steady rate', STEADY, 'two'), togetherTarget('a message published at a steady rate', STEADY, 'four'),
  ],
};
