import type { Figure } from './scenario.ts';

/** Columns that several tables have. */

export const CPU: Figure = { key: 'cpu', title: 'CPU per delivered event, µs', digits: 2 };
export const DELIVERIES: Figure = { key: 'deliveries', title: 'deliveries a second', digits: 0 };
export const CORE: Figure = { key: 'core', title: 'server, of a core', digits: 2 };
export const P50: Figure = { key: 'p50', title: 'latency p50, ms', digits: 1 };
export const P99: Figure = { key: 'p99', title: 'latency p99, ms', digits: 1 };
/** Of the event loop: what prom-client tells, less the sampling interval. */
export const LOOP_P99: Figure = { key: 'loopP99', title: 'event-loop delay p99, ms', digits: 1 };
export const LOOP_MAX: Figure = { key: 'loopMax', title: 'event-loop delay max, ms', digits: 1 };

/** The size of a message's data in every scenario that names no other. */
export const MESSAGE_BYTES = 200;

export const MICROSECONDS = 1e6;
