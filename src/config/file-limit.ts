import { readFileSync } from 'node:fs';
import type { Logger } from '../runtime/logging/logger.ts';

/** Open files besides streams: requests, the database, Redis, and Node's own. docs/capacity.md names the same number. */
const OTHER_OPEN_FILES = 1_000;

/**
 * Returns the most open streams: `wanted`, or fewer, with a warning, if the system allows too few open files. A process without a free file cuts every new
 * connection, even of publishes and health checks. An instance at its limit of streams still answers those.
 * @param limits The text of /proc/self/limits (proc_pid_limits(5)), in which Node has already raised the soft limit to the hard one. Only Linux has it.
 */
export function streamsThatFit(wanted: number, logger: Logger, limits = ownLimits()): number {
  const files = openFiles(limits);
  const need = wanted + OTHER_OPEN_FILES;
  if (files >= need) return wanted;
  const fit = Math.min(wanted, files - Math.min(OTHER_OPEN_FILES, Math.ceil(files / 2)));
  logger.warn({ files, need, streams: fit }, `MAX_STREAMS is ${wanted}, but the system lets this process open ${files} files only, so it takes ${fit} streams at most: raise "ulimit -n" to ${need}, or lower MAX_STREAMS`);
  return fit;
}

/** Files that the process itself keeps open: Node's, SQLite's, and the connections to Redis. */
const OWN_OPEN_FILES = 64;

/**
 * Returns the most open connections of clients: `wanted`, or fewer, so that the process has enough files for itself.
 * @param others The most connections to PostgreSQL and of the operations listener.
 */
export function connectionsThatFit(wanted: number, others: number, limits = ownLimits()): number {
  const files = openFiles(limits);
  return Math.min(wanted, Math.max(1, files - Math.min(OWN_OPEN_FILES + others, Math.ceil(files / 2))));
}

function openFiles(limits: string): number {
  return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    // This system has no such file.
    return '';
  }
}
