import type { Warning } from '../runtime/logging/warnings.ts';
import type { EndingSignal } from './signals.ts';

/** The two ports of the service. */
export type WorkerPort = 'main' | 'operations';

/** Messages of a worker to its supervisor. */
export type FromWorker =
  /** The worker begins. By this id the other instances know it. */
  | { readonly kind: 'begins'; readonly instance: string }
  /** The worker lives, and its event loop turns. */
  | { readonly kind: 'beat'; readonly isReady: boolean }
  /** The worker accepts connections on a port, which the supervisor need not keep any more. */
  | { readonly kind: 'accepts'; readonly port: WorkerPort }
  /** The worker's log is open, and its port listens. */
  | { readonly kind: 'listens'; readonly greeting: string }
  /** The worker wants the metrics of all. */
  | { readonly kind: 'collect'; readonly id: number }
  | { readonly kind: 'rendered'; readonly id: number; readonly text: string };

/** Messages of the supervisor to a worker. */
export type ToWorker =
  /** The whole service ends as this signal says. */
  | { readonly kind: 'end'; readonly signal: EndingSignal }
  /** The process of another worker has ended. It answers nothing any more. */
  | { readonly kind: 'gone'; readonly instance: string }
  /** All that the supervisor has warned of lately, the newest first. */
  | { readonly kind: 'warned'; readonly warnings: readonly Warning[] }
  /** How many other workers take work. */
  | { readonly kind: 'others'; readonly ready: number }
  /** The supervisor wants the metrics of this worker. */
  | { readonly kind: 'render'; readonly id: number }
  | { readonly kind: 'collected'; readonly id: number; readonly text: string };
