import type { Config } from '../config/config.ts';
import type { WorkerPlace } from './place.ts';

/** Stops a share from being of no use: what the settings themselves allow at least. */
const SHARE_MIN_BYTES = 1_024;
/** One connection publishes, and the others read. */
const SHARE_MIN_CONNECTIONS = 2;

type Divided = 'MAX_STREAMS' | 'TAIL_BYTES' | 'FILTER_BYTES' | 'UNREAD_BYTES' | 'REQUEST_BYTES' | 'ANSWER_BYTES' | 'APPEND_QUEUE_MESSAGES' | 'APPEND_QUEUE_BYTES' | 'DATABASE_CONNECTIONS';

/** Settings that bound the whole service: each worker has its share, but never less than this. The largest batch has to fit into one worker. */
export const DIVIDED: Readonly<Record<Divided, (config: Config) => number>> = {
  MAX_STREAMS: () => 0,
  TAIL_BYTES: () => SHARE_MIN_BYTES,
  FILTER_BYTES: () => SHARE_MIN_BYTES,
  UNREAD_BYTES: () => SHARE_MIN_BYTES,
  REQUEST_BYTES: ({ BATCH_BYTES }) => BATCH_BYTES,
  ANSWER_BYTES: ({ BATCH_BYTES, ANSWER_BYTES }) => Math.min(BATCH_BYTES, ANSWER_BYTES),
  APPEND_QUEUE_MESSAGES: ({ BATCH_MESSAGES }) => BATCH_MESSAGES,
  APPEND_QUEUE_BYTES: ({ BATCH_BYTES }) => BATCH_BYTES,
  DATABASE_CONNECTIONS: () => SHARE_MIN_CONNECTIONS,
};

/** The settings of one worker: its share of what bounds the whole service, and the ports that all workers have. Everything else is as the operator set it. */
export function shareOf(config: Config, { count, port, operationsPort }: WorkerPlace): Config {
  const shares = Object.fromEntries(Object.entries(DIVIDED).map(([name, least]) => [name, Math.max(least(config), Math.ceil(config[name as Divided] / count))]));
  return Object.freeze({ ...config, ...shares, PORT: port, OPS_PORT: operationsPort });
}
