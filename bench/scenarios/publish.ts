import { spawnSync } from 'node:child_process';
import type { FloodOptions } from '../load/protocol.ts';
import { postgresMissing } from '../peers/postgres.ts';
import type { Peer, Server, ServerOptions } from '../types.ts';
import { valueOf } from './compare.ts';
import { CORE, LOOP_MAX, LOOP_P99, MESSAGE_BYTES, P50, P99 } from './figures.ts';
import { gauge, scrape, withLoopDelay } from './loop.ts';
import { ORDINARY, SUBJECT } from './names.ts';
import { NO_FAULTS, type Round, type Scenario, type Setting } from './scenario.ts';
import { costOf, faultsOf, sum, measured } from './session.ts';

const CONNECTIONS = 64;
const SINGLE_BYTES = 1_024;
const TOPICS = 100;
const WARM_SECONDS = 1;
const SECONDS = 4;

const BATCH = 1_000;
const BATCH_CONNECTIONS = 4;

const SLOW_MS = 5;
const SLOW_STREAMS = 1_000;
const SLOW_RATE = 500;
/** What runs of the slow disk have in common with each other: only the disk differs. */
const STEADY_TOPICS = 10;

const SINGLE = '1 KB, one to a request, 64 connections, idempotency keys';
const ORDINARY_SINGLE = `${SINGLE}, through the framework`;
const NDJSON = '200 bytes, NDJSON of 1,000, 4 connections';
const POSTGRES_SINGLE = `PostgreSQL: ${SINGLE}`;
const POSTGRES_NDJSON = `PostgreSQL: ${NDJSON}`;
const QUICK_DISK = '500 messages a second to 1,000 streams, this machine\'s disk';
const SLOW_DISK = '500 messages a second to 1,000 streams, 5 ms more for each fsync';
const SLOW_FLOOD = '1 KB, one to a request, 64 connections, 5 ms more for each fsync';

const NEAR = 'PostgreSQL: 500 messages a second to 1,000 streams';
const FAR = `${NEAR}, 5 ms away`;
const FAR_FLOOD = `${POSTGRES_SINGLE}, 5 ms away`;

const FLOODED = 'As fast as answers come';
const STEADY = 'On a slow disk, or far from the database: what streams notice';

const PER_SECOND = { key: 'perSecond', title: 'messages a second', digits: 0 };
const ANSWER_P50 = { key: 'answerP50', title: 'answered p50, ms', digits: 1 };
const ANSWER_P99 = { key: 'answerP99', title: 'answered p99, ms', digits: 1 };

/** Every fsync takes so much longer: what a cloud volume does. */
const SLOW_DISK_BY = ['strace', '-f', '-qq', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync', '-e', `inject=fdatasync,fsync:delay_exit=${SLOW_MS * 1000}`];

interface Commits {
  readonly messages: number;
  readonly commits: number;
}

async function commitsOf(server: Server): Promise<Commits> {
  const text = await scrape(server, 0) ?? '';
  return { messages: gauge(text, 'tidings_commit_messages_sum'), commits: gauge(text, 'tidings_commit_messages_count') };
}

/** How many messages share a commit; nothing where the server does not tell. */
async function shared(server: Server, before: Commits): Promise<{ readonly perCommit: number } | undefined> {
  const after = await commitsOf(server);
  const perCommit = (after.messages - before.messages) / (after.commits - before.commits);
  return Number.isNaN(perCommit) ? undefined : { perCommit };
}

/** A hundredth of the messages goes to a stream, so that loss and doubles are seen. */
async function flood(peer: Peer, { quick }: Setting, what: Pick<FloodOptions, 'connections' | 'bytes' | 'batch' | 'key'>, options: ServerOptions = {}): Promise<Round> {
  return measured(peer, options, async ({ server, load, target, open }) => {
    await open(1, 'bench.t0');
    const whole = { ...target, ...what, topics: { name: 'bench.t{i}', count: TOPICS } };
    const warm = await load.flood({ ...whole, seconds: quick ? 1 : WARM_SECONDS });
    const before = await commitsOf(server);
    const { cpu, result: { result, delay } } = await costOf(server, () => withLoopDelay(server, () => load.flood({ ...whole, seconds: quick ? 2 : SECONDS })));
    const faults = sum([warm, result].map(({ delivery, refused }) => ({ ...delivery === undefined ? NO_FAULTS : faultsOf(delivery), refused })));
    return {
      figures: {
        perSecond: result.perSecond, answerP50: result.answer.p50, answerP99: result.answer.p99,
        // A tracer's work is not the server's.
        ...options.by === undefined ? { core: cpu / result.seconds } : {}, ...delay, ...await shared(server, before),
      },
      faults,
      busy: result.busy,
    };
  });
}

async function steady(peer: Peer, { quick }: Setting, options: ServerOptions = {}): Promise<Round> {
  return measured(peer, options, async ({ server, load, target, open }) => {
    await open(SLOW_STREAMS, `bench.t{i%${STEADY_TOPICS}}`);
    const what = { ...target, rate: SLOW_RATE, bytes: MESSAGE_BYTES, topics: { name: 'bench.t{i}', count: STEADY_TOPICS }, connections: 16 };
    await load.publish({ ...what, seconds: WARM_SECONDS });
    const before = await commitsOf(server);
    const { result, delay } = await withLoopDelay(server, () => load.publish({ ...what, seconds: quick ? 2 : SECONDS }));
    return {
      figures: { p50: result.latency.p50, p99: result.latency.p99, most: result.latency.max, answerP50: result.answer.p50, answerP99: result.answer.p99, ...delay, ...await shared(server, before) },
      faults: faultsOf(result),
      busy: result.busy,
    };
  });
}

function straceMissing(): string | undefined {
  return spawnSync('strace', ['-V']).error === undefined ? undefined : 'strace is not installed: apt-get install strace';
}

export const publish: Scenario = {
  name: 'publish',
  title: 'Durable publishing',
  how: `Messages are published for ${SECONDS} s, after ${WARM_SECONDS} s to warm up, over ${TOPICS} topics; each connection sends its next request when the last one was answered. A message is answered when it is on disk (SQLite, WAL, \`synchronous=FULL\`; PostgreSQL, \`synchronous_commit=on\`). `
    + 'A hundredth of them goes to a stream, so that loss and doubles are seen. '
    + `The slow disk: each \`fsync\` and \`fdatasync\` of the service takes ${SLOW_MS} ms longer (\`strace\` holds it up); there, messages are also published on a schedule, and what counts is when streams have them.`,
  caveats: [
    'Nothing is pinned to a core: the service commits on a thread of its own, or in a PostgreSQL beside it, whose CPU time counts as the service\'s.',
    'Idempotency keys are sent to Tidings alone; its peers, where they are measured here, know none and store nothing durably.',
    'The event loop\'s delay is the service\'s own figure (`nodejs_eventloop_lag_p99_seconds` of `/metrics`), less its sampling interval of 10 ms.',
  ],
  peers: [SUBJECT],
  figures: [PER_SECOND, P50, P99, { key: 'most', title: 'latency max, ms', digits: 1 }, ANSWER_P50, ANSWER_P99, LOOP_P99, LOOP_MAX, { key: 'perCommit', title: 'messages in a commit', digits: 1 }, CORE],
  cases: [
    { title: SINGLE, table: FLOODED, run: (peer, setting) => flood(peer, setting, { connections: CONNECTIONS, bytes: SINGLE_BYTES, key: peer.name === SUBJECT }) },
    { title: ORDINARY_SINGLE, table: FLOODED, peers: [SUBJECT], run: (peer, setting) => flood(peer, setting, { connections: CONNECTIONS, bytes: SINGLE_BYTES, key: true }, { env: ORDINARY }) },
    { title: NDJSON, table: FLOODED, peers: [SUBJECT], run: (peer, setting) => flood(peer, setting, { connections: BATCH_CONNECTIONS, bytes: MESSAGE_BYTES, batch: BATCH }) },
    {
      title: SLOW_FLOOD, table: FLOODED, peers: [SUBJECT],
      missing: straceMissing, run: (peer, setting) => flood(peer, setting, { connections: CONNECTIONS, bytes: SINGLE_BYTES, key: true }, { by: SLOW_DISK_BY }),
    },
    {
      title: POSTGRES_SINGLE, table: FLOODED, peers: [SUBJECT], missing: postgresMissing,
      run: (peer, setting) => flood(peer, setting, { connections: CONNECTIONS, bytes: SINGLE_BYTES, key: true }, { postgres: true }),
    },
    {
      title: POSTGRES_NDJSON, table: FLOODED, peers: [SUBJECT], missing: postgresMissing,
      run: (peer, setting) => flood(peer, setting, { connections: BATCH_CONNECTIONS, bytes: MESSAGE_BYTES, batch: BATCH }, { postgres: true }),
    },
    {
      title: FAR_FLOOD, table: FLOODED, peers: [SUBJECT], missing: postgresMissing,
      run: (peer, setting) => flood(peer, setting, { connections: CONNECTIONS, bytes: SINGLE_BYTES, key: true }, { postgres: true, postgresDistanceMs: SLOW_MS }),
    },
    { title: QUICK_DISK, table: STEADY, peers: [SUBJECT], run: (peer, setting) => steady(peer, setting) },
    { title: SLOW_DISK, table: STEADY, peers: [SUBJECT], missing: straceMissing, run: (peer, setting) => steady(peer, setting, { by: SLOW_DISK_BY }) },
    { title: NEAR, table: STEADY, peers: [SUBJECT], missing: postgresMissing, run: (peer, setting) => steady(peer, setting, { postgres: true }) },
    { title: FAR, table: STEADY, peers: [SUBJECT], missing: postgresMissing, run: (peer, setting) => steady(peer, setting, { postgres: true, postgresDistanceMs: SLOW_MS }) },
  ],
  targets: [
    { number: 6, says: 'durable publishes of 1 KB a second, SQLite, 64 connections', at: 'least', limit: 28_000, unit: '', digits: 0, value: valueOf(SINGLE, SUBJECT, PER_SECOND.key) },
    { number: 6, says: 'the same: answered p99', at: 'most', limit: 20, unit: ' ms', digits: 1, value: valueOf(SINGLE, SUBJECT, ANSWER_P99.key) },
    { number: 6, says: 'the same: event-loop delay p99', at: 'most', limit: 10, unit: ' ms', digits: 1, value: valueOf(SINGLE, SUBJECT, LOOP_P99.key) },
    { number: 6, says: 'NDJSON, messages of 200 bytes a second', at: 'least', limit: 150_000, unit: '', digits: 0, value: valueOf(NDJSON, SUBJECT, PER_SECOND.key) },
    { number: 6, says: 'durable publishes of 1 KB a second, PostgreSQL, 64 connections', at: 'least', limit: 12_000, unit: '', digits: 0, value: valueOf(POSTGRES_SINGLE, SUBJECT, PER_SECOND.key) },
    { number: 6, says: 'NDJSON, messages of 200 bytes a second, PostgreSQL', at: 'least', limit: 100_000, unit: '', digits: 0, value: valueOf(POSTGRES_NDJSON, SUBJECT, PER_SECOND.key) },
    // What "must not stutter" is taken to be: the loop as free as with a quick disk, and messages later by the commits that they wait for, their own and the one before.
    { number: 6, says: '5 ms more for each fsync: event-loop delay p99', at: 'most', limit: 10, unit: ' ms', digits: 1, value: valueOf(SLOW_DISK, SUBJECT, LOOP_P99.key) },
    { number: 6, says: '5 ms more for each fsync: latency p99 of deliveries', at: 'most', limit: 50, unit: ' ms', digits: 1, value: valueOf(SLOW_DISK, SUBJECT, P99.key) },
    { number: 6, says: 'PostgreSQL 5 ms away: event-loop delay p99', at: 'most', limit: 10, unit: ' ms', digits: 1, value: valueOf(FAR, SUBJECT, LOOP_P99.key) },
    { number: 6, says: 'PostgreSQL 5 ms away: latency p99 of deliveries', at: 'most', limit: 50, unit: ' ms', digits: 1, value: valueOf(FAR, SUBJECT, P99.key) },
  ],
};
