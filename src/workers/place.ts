import cluster from 'node:cluster';
import { ConfigError } from '../config/config.ts';

/** What a worker gets from the supervisor at its start. */
export interface WorkerPlace {
  /** From 1 on. A worker that replaces another has its number. */
  readonly number: number;
  /** How many workers there are. */
  readonly count: number;
  /** The port of all workers. */
  readonly port: number;
  readonly operationsPort: number | undefined;
  /** Whether the system spreads connections over sockets that listen on one port. Otherwise the supervisor accepts them, and passes them to the workers. */
  readonly sharesPort: boolean;
  /** The path of the hub's socket, over which the workers talk; undefined if they talk over Redis. */
  readonly hub: string | undefined;
}

/** The environment variable with the place, from the supervisor to its workers. */
const VARIABLE = 'TIDINGS_WORKER';

export function environmentOf(place: WorkerPlace): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify(place) };
}

/**
 * The place of this process among the workers; undefined if it is no worker.
 * @throws ConfigError if another program has set the variable
 */
export function ownPlace(): WorkerPlace | undefined {
  const text = process.env[VARIABLE];
  if (text === undefined) return undefined;
  if (!cluster.isWorker) throw new ConfigError([`${VARIABLE}: only the process that starts workers sets it; unset it, and set WORKERS`]);
  return JSON.parse(text) as WorkerPlace;
}

/** Whether this process is to start workers instead of serving. @throws ConfigError if it is a worker of another program */
export function startsWorkers(workers: number): boolean {
  if (workers === 1 || ownPlace() !== undefined) return false;
  if (cluster.isWorker) throw new ConfigError([`WORKERS: it is ${workers}, but another program has started this process as one of a cluster (PM2 does); set WORKERS=1, or let it start one process`]);
  return true;
}
