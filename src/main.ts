import closeWithGrace from 'close-with-grace';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { pino } from 'pino';
import type { Bus } from './bus/bus.ts';
import { LocalBus } from './bus/local.ts';
import { configure } from './config/configure.ts';
import { streamsThatFit } from './config/file-limit.ts';
import { Audience } from './delivery/audience.ts';
import { Catchup } from './delivery/catchup.ts';
import { Fanout } from './delivery/fanout.ts';
import type { Reader } from './delivery/reader.ts';
import { Streams } from './delivery/stream-registry.ts';
import type { Readiness, Service } from './http/service.ts';
import { History } from './log/history.ts';
import { Publisher } from './log/publisher.ts';
import { Retention } from './log/retention.ts';
import { Starts } from './log/start.ts';
import { StoreClock } from './log/store-clock.ts';
import { Tail } from './log/tail.ts';
import type { LogState } from './model/epochs.ts';
import { systemClock } from './runtime/clock.ts';
import { Counters } from './runtime/counters.ts';
import type { Gauges } from './runtime/metrics.ts';
import { StoreError, type Store } from './store/store.ts';

/** The composition root: configuration, store, bus, the spine, the HTTP server; and their end in reverse. */

/** Between two tries to open a database that could not be opened; doubled each time, up to the second. Milliseconds. */
const OPEN_RETRY_MS = 1_000;
const OPEN_RETRY_MAX_MS = 30_000;
/**
 * For how long the port stays closed while the log is opened for the first time: clients that came earlier would be told `$busy`, and be away
 * for longer than the opening takes. Past it, or when the log cannot be opened, whoever asks for the health is answered. Milliseconds.
 */
const OPEN_FIRST_MS = 5_000;
/** Connections that wait to be accepted; the system may allow fewer. Of thousands that come back at once, those beyond Node's 511 would try again after a second. */
const BACKLOG = 4_096;
/** What the end may take beyond the drain window, before the process is ended as it is. Milliseconds. */
const CLOSE_MS = 10_000;
/** For last words to leave, when the window is over: those of streams whose sockets are full, and answers. Milliseconds. */
const LAST_WORDS_MS = 1_000;

const config = configure();
const logger = pino({ level: config.LOG_LEVEL });
const maxStreams = streamsThatFit(config.MAX_STREAMS, logger);
const clock = systemClock;
const storeClock = new StoreClock(clock);
const counters = new Counters();
const database = config.DATABASE_URL;

const store: Store = await makeStore();
const bus: Bus = await connectBus();
const tail = new Tail({ store, clock, storeClock, counters, logger, maxBytes: config.TAIL_BYTES, pollMs: config.POLL_MS });
const audience = new Audience();
const catchup = new Catchup({ store, tail, clock, storeClock, counters, logger });
const fanout = new Fanout({ tail, audience, catchup, clock, storeClock, counters });
const streams = new Streams({
  audience, fanout, catchup,
  around: { tail, counters, clock, blocked: new Set<Reader>() },
  settings: {
    maxStreams,
    heartbeatMs: config.HEARTBEAT_SECONDS * 1000,
    stallMs: config.STALL_SECONDS * 1000,
    retryMinMs: config.RETRY_MIN_MS,
    retryMaxMs: config.RETRY_MAX_MS,
  },
});
const starts = new Starts({ store, tail, storeClock });
const history = new History({ store, tail, audience, starts, clock, storeClock, maxWaiting: maxStreams });
const publisher = new Publisher({
  store, tail, bus, clock, counters, logger, maxMessages: config.APPEND_QUEUE_MESSAGES, maxBytes: config.APPEND_QUEUE_BYTES,
});
const retention = new Retention({
  store, clock, counters, logger, maxAge: config.RETENTION_SECONDS * 1000, maxBytes: config.RETENTION_BYTES,
});

let draining = false;
let opening = true;
const service: Service = {
  config, logger, publisher, history, starts, streams, counters, readiness, gauges,
  get draining() {
    return draining;
  },
};
// The HTTP side is most of what a start loads: meanwhile SQLite's thread opens the log. PostgreSQL would be asked from this thread, which on a busy
// machine would then be too late to hear the answer.
const early = database.kind === 'sqlite' ? openOnce() : undefined;
const { buildApp } = await import('./http/app.ts');
const app = buildApp(service);
const firstTry = early ?? openOnce();

closeWithGrace({ delay: config.DRAIN_SECONDS * 1000 + CLOSE_MS, logger }, async ({ signal, err }) => {
  if (err !== undefined) logger.fatal({ err }, 'the service ends because of an error');
  // Whoever presses Ctrl-C wants it to end now; an orchestrator's SIGTERM leaves time for a drain.
  await close(signal === 'SIGTERM' ? config.DRAIN_SECONDS * 1000 : 0);
});
await Promise.race([firstTry, pause(OPEN_FIRST_MS)]);
if (!draining) await listen();
await opened(firstTry);
if (!draining) greet();

/** ioredis is loaded where it is used: that takes a while. */
async function connectBus(): Promise<Bus> {
  if (config.REDIS_URL === undefined) return new LocalBus();
  const { RedisBus } = await import('./bus/redis/redis.ts');
  return new RedisBus({ url: config.REDIS_URL, logger });
}

/** Only what is needed is loaded: the driver of the one or of the other. */
async function makeStore(): Promise<Store> {
  if (database.kind === 'sqlite') return new (await import('./store/sqlite/sqlite.ts')).SqliteStore({ file: resolve(database.file), logger });
  return new (await import('./store/postgres/postgres.ts')).PostgresStore({ url: database.url, connections: config.DATABASE_CONNECTIONS });
}

async function listen(): Promise<void> {
  try {
    await app.listen({
      host: config.HOST, port: config.PORT, backlog: BACKLOG,
      listenTextResolver: (address) => `HTTP answers at ${address}${opening ? '; the log is being opened' : ''}`,
    });
  } catch (error) {
    process.stderr.write(`HOST, PORT: cannot listen on ${config.HOST}:${config.PORT} (${error instanceof Error ? error.message : String(error)})\n`);
    process.exit(1);
  }
}

function greet(): void {
  const { port } = app.server.address() as AddressInfo;
  const url = `http://${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${port}`;
  // Not on standard output, where every line is a line of the log.
  process.stderr.write([
    `Tidings listens on ${url}`,
    `Its messages are in ${database.kind === 'sqlite' ? resolve(database.file) : database.shown}${config.REDIS_URL === undefined ? '' : '; other instances are told through Redis'}`,
    'Try it:',
    `  curl -N ${url}/topics/hello/events`,
    `  curl -d 'Hello, world' ${url}/topics/hello`,
    '',
  ].join('\n'));
}

/** Opens the log; answers with why it cannot be opened. */
async function openOnce(): Promise<StoreError | undefined> {
  let log: LogState;
  try {
    log = await store.open();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return error;
  }
  await tail.start(log, fanout);
  if (draining) return undefined;
  bus.join(store.logId, { receive: (messages) => tail.offer(messages), wake: () => void tail.look() });
  retention.start();
  opening = false;
  logger.info({ oldest: log.oldest, head: log.head }, 'the log is open');
  return undefined;
}

/** Goes on trying where the log cannot be opened: meanwhile publishes get 503 and streams `$busy`. */
async function opened(tried: Promise<StoreError | undefined>): Promise<void> {
  for (let wait = OPEN_RETRY_MS; ; wait = Math.min(wait * 2, OPEN_RETRY_MAX_MS)) {
    const failure = await tried;
    if (failure === undefined || draining) return;
    logger.error({ retryMs: wait }, `the log cannot be opened: ${failure.message}`);
    await pause(wait);
    if (draining) return;
    tried = openOnce();
  }
}

function readiness(): Readiness {
  if (draining) return { ready: false, status: 'draining' };
  if (opening) return { ready: false, status: 'starting', detail: { database: 'opening', bus: bus.state } };
  const failure = tail.failure ?? publisher.failure;
  if (failure !== undefined) return { ready: false, status: 'unavailable', detail: { database: 'unavailable', bus: bus.state } };
  return { ready: true, status: bus.state === 'degraded' ? 'degraded' : 'ready', detail: { database: 'up', bus: bus.state } };
}

function gauges(): Gauges {
  const behind = streams.behind;
  return {
    streams: streams.open,
    longPolls: history.waiting,
    readersBehind: behind.readers,
    furthestBehind: behind.furthest,
    tailMessages: tail.length,
    tailBytes: tail.bytes,
    tailFirst: tail.first,
    tailLast: tail.last,
    head: tail.log?.head ?? 0,
    oldest: tail.log?.oldest ?? 0,
    logBytes: retention.bytes,
    appendsWaiting: publisher.waiting,
    bus: bus.state === 'degraded' ? 0 : 1,
    database: opening || tail.failure !== undefined || publisher.failure !== undefined ? 0 : 1,
    draining: draining ? 1 : 0,
  };
}

/** Publishes are taken until the window is over; by then every stream was closed and every long poll answered. */
async function close(windowMs: number): Promise<void> {
  if (draining) return;
  draining = true;
  logger.info({ streams: streams.open, seconds: windowMs / 1000 }, 'draining');
  history.drain();
  const drained = streams.drain(windowMs);
  await pause(windowMs);
  await Promise.race([drained, pause(LAST_WORDS_MS)]);
  streams.stop();
  const closed = app.close();
  await Promise.race([closed, answered()]);
  // Whatever is left is a request that was never sent to its end: it must not keep the process from ending.
  app.server.closeAllConnections();
  await closed;
  publisher.stop();
  retention.stop();
  catchup.stop();
  tail.stop();
  await bus.close();
  await store.close();
}

/** Resolves when every publish that was sent has been answered, and the answers have had time to leave. */
async function answered(): Promise<void> {
  do await pause(LAST_WORDS_MS);
  while (publisher.waiting > 0);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
