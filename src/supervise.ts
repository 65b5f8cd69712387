import closeWithGrace from 'close-with-grace';
import { startHub, type Hub } from './bus/hub/hub.ts';
import { configure } from './config/config.ts';
import { systemClock as clock } from './runtime/clock.ts';
import { makeLogger, standardOutput } from './runtime/logging/logger.ts';
import { SupervisorMetrics } from './runtime/supervisor-metrics.ts';
import { cannotListen } from './runtime/sockets/cannot-listen.ts';
import { Warnings } from './runtime/logging/warnings.ts';
import { CLOSE_MS } from './workers/closing-time.ts';
import { forkWorker } from './workers/fork.ts';
import { holdPort, type HeldPort } from './workers/held-port.ts';
import { environmentOf } from './workers/place.ts';
import { isEnding } from './workers/signals.ts';
import { Supervisor } from './workers/supervisor.ts';
import type { Exit } from './workers/worker-process.ts';

/** The composition root of a supervisor. `serve.js` loads it instead of `main.ts` if WORKERS is more than 1. Its workers run the same command line, and load `main.ts`. */

const config = configure();
const { HOST, PORT, OPS_HOST, OPS_PORT, WORKERS: count } = config;
const warnings = new Warnings();
const logger = makeLogger({ level: config.LOG_LEVEL, isExpected: () => false, destination: standardOutput(), warnings }).child({ worker: 'supervisor' });

const main = await hold(HOST, PORT, '');
const operations = OPS_PORT === undefined ? undefined : await hold(OPS_HOST, OPS_PORT, 'OPS_');
// With Redis, NATS or Kafka, workers use that bus, as instances on other machines do.
const hub = config.REDIS_URL === undefined && config.BUS_URL === undefined ? await openHub(main.port) : undefined;
const metrics = new SupervisorMetrics(count, warnings.counts);

const supervisor: Supervisor = new Supervisor({
  count, clock, logger, warnings,
  fork: (number) => forkWorker(environmentOf({ number, count, port: main.port, operationsPort: operations?.port, sharesPort: main.isShared, hub: hub?.path })),
  render: (answered) => metrics.render({ running: supervisor.running, ready: supervisor.ready, restarts: supervisor.restarts, answered }),
  onAccepting: (port) => (port === 'main' ? main : operations)?.release(),
  onAll: (greeting) => void process.stderr.write(`${greeting}${count} workers share the port\n`),
  onRefused: (exit) => void refuse(exit),
});

const drainMs = config.DRAIN_SECONDS * 1000;
closeWithGrace({ delay: false, logger, onSecondSignal: () => supervisor.killAll() }, async ({ signal, err }) => {
  if (err !== undefined) logger.error({ err }, 'the supervisor ends because of an error');
  const windowMs = signal === 'SIGTERM' ? drainMs : 0;
  logger.info({ seconds: windowMs / 1000 }, 'all workers end');
  const endedWell = await supervisor.end(isEnding(signal) ? signal : 'SIGINT', windowMs + CLOSE_MS);
  await hub?.close();
  if (!endedWell) process.exit(1);
});
supervisor.open();

/** Ends the service because the first worker ended before it listened. Such a worker has logged the reason, unless it was killed. */
async function refuse({ code, signal }: Exit): Promise<void> {
  if (code === null) logger.error({ signal }, 'the first worker was killed before it listened, so the service ends');
  await hub?.close();
  process.exit(code === null || code === 0 ? 1 : code);
}

async function openHub(port: number): Promise<Hub> {
  try {
    return await startHub({ port, clock, logger });
  } catch (error) {
    const { message, cause } = error instanceof Error ? error : new Error(String(error));
    process.stderr.write(`WORKERS: ${message}; or set WORKERS=1, or REDIS_URL${cause instanceof Error ? ` (${cause.message})` : ''}\n`);
    process.exit(1);
  }
}

async function hold(host: string, port: number, prefix: '' | 'OPS_'): Promise<HeldPort> {
  try {
    return await holdPort(host, port);
  } catch (error) {
    process.stderr.write(`${cannotListen(host, port, error, prefix)}\n`);
    process.exit(1);
  }
}
