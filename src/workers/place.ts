import cluster from 'node:cluster';
import { ConfigError } from '../config/config.ts';

/** The facts that a worker gets from the supervisor at its start. */
export interface WorkerPlace {
  /** From 1 on. A worker that takes the place of another has its number. */
  readonly number: number;
  /** How many workers there are. */
  readonly count: number;
  /** The port of all workers. */
  readonly port: number;
  readonly operationsPort: number | undefined;
  /** Whether the system spreads connections over sockets that listen on one port. Otherwise the supervisor accepts them, and hands them over. */
  readonly sharesPort: boolean;
  /** The path of the hub's socket, over which the workers talk; undefined where they do so over Redis. */
  readonly hub: string | undefined;
}

/** Carries the place from the supervisor to its workers. */
const VARIABLE = 'TIDINGS_WORKER';

export function environmentOf(place: WorkerPlace): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify(place) };
}

/**
 * The place of this process among the workers; undefined if it is no worker.
 * @throws ConfigError where somebody else has set the variable
 */
export function ownPlace(): WorkerPlace | undefined {
  const text = process.env[VARIABLE];
  if (text === undefined) return undefined;
  if (!cluster.isWorker) throw new ConfigError([`${VARIABLE}: only the process that starts workers sets it; unset it, and set WORKERS`]);
  return JSON.parse(text) as WorkerPlace;
}

/** Whether this process is to start workers rather than serve. @throws ConfigError where it cannot */
export function startsWorkers(workers: number): boolean {
  if (workers === 1 || ownPlace() !== undefined) return false;
  if (cluster.isWorker) throw new ConfigError([`WORKERS: it is ${workers}, but another program has started this process as one of a cluster (PM2 does); set WORKERS=1, or let it start one process`]);
  return true;
}
