import type { Config } from '../config/config.ts';
import type { WorkerPlace } from './place.ts';

/** The least share in bytes: the minimum of the settings themselves. */
const SHARE_MIN_BYTES = 1_024;
/** The least connections to PostgreSQL: one publishes, and the others read. */
const SHARE_MIN_CONNECTIONS = 2;

type Divided = 'MAX_STREAMS' | 'TAIL_BYTES' | 'FILTER_BYTES' | 'UNREAD_BYTES' | 'REQUEST_BYTES' | 'ANSWER_BYTES' | 'APPEND_QUEUE_MESSAGES' | 'APPEND_QUEUE_BYTES' | 'DATABASE_CONNECTIONS';

/** The settings that bound the whole service, with the least share of a worker. The largest batch must fit into one worker. */
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

/** The settings of one worker: its share of each bound, and the ports of all workers. The other settings are those of the operator. */
export function shareOf(config: Config, { count, port, operationsPort }: WorkerPlace): Config {
  const shares = Object.fromEntries(Object.entries(DIVIDED).map(([name, least]) => [name, Math.max(least(config), Math.ceil(config[name as Divided] / count))]));
  return Object.freeze({ ...config, ...shares, PORT: port, OPS_PORT: operationsPort });
}
