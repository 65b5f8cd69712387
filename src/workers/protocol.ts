import type { Warning } from '../runtime/logging/warnings.ts';
import type { EndingSignal } from './signals.ts';

/** The two ports of the service. */
export type WorkerPort = 'main' | 'operations';

/** Messages of a worker to its supervisor. */
export type FromWorker =
  /** The worker begins. `instance` is its id for the other instances. */
  | { readonly kind: 'begins'; readonly instance: string }
  /** The heartbeat: the worker's event loop runs. */
  | { readonly kind: 'beat'; readonly isReady: boolean }
  /** The worker accepts connections on a port, so the supervisor can release it. */
  | { readonly kind: 'accepts'; readonly port: WorkerPort }
  /** The worker's log is open, and its port listens. */
  | { readonly kind: 'listens'; readonly greeting: string }
  /** The worker asks for the metrics of all workers. */
  | { readonly kind: 'collect'; readonly id: number }
  /** The answer to `render`. */
  | { readonly kind: 'rendered'; readonly id: number; readonly text: string };

/** Messages of the supervisor to a worker. */
export type ToWorker =
  /** The whole service got this signal, and ends. */
  | { readonly kind: 'end'; readonly signal: EndingSignal }
  /** The process of another worker has ended, so it answers no more questions. */
  | { readonly kind: 'gone'; readonly instance: string }
  /** The supervisor's own latest warnings, the newest first. */
  | { readonly kind: 'warned'; readonly warnings: readonly Warning[] }
  /** How many other workers are ready. */
  | { readonly kind: 'others'; readonly ready: number }
  /** The supervisor asks for the metrics of this worker. */
  | { readonly kind: 'render'; readonly id: number }
  /** The answer to `collect`. */
  | { readonly kind: 'collected'; readonly id: number; readonly text: string };
