import type { KnownRevocations } from './access/records/known-revocations.ts';
import type { Bus } from './bus/bus.ts';
import type { Connectors } from './connectors/connectors.ts';
import type { Delivery } from './delivery/delivery.ts';
import type { InstanceState } from './fleet/instances.ts';
import type { Readiness } from './http/service.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { MessageLog } from './log/log.ts';
import type { Presence } from './presence/presence.ts';
import type { Gauges } from './runtime/gauges.ts';
import type { Webhooks } from './webhooks/webhooks.ts';
import { failureReason, type FailureReason } from './store/failure-reason.ts';

export interface HealthDependencies {
  readonly lifecycle: Pick<Lifecycle, 'isOpening' | 'isDraining' | 'openFailure'>;
  readonly bus: Bus;
  readonly log: MessageLog;
  readonly delivery: Delivery;
  readonly revocations: Pick<KnownRevocations, 'size'>;
  readonly presence: Pick<Presence, 'topics' | 'isWhole'>;
  readonly webhooks: Pick<Webhooks, 'size' | 'failing' | 'circuitsOpen' | 'behind'>;
  readonly connectors: Pick<Connectors, 'running'>;
}

/** The state of this instance, for load balancers (`/readyz`), Prometheus (`/metrics`) and the list of instances. */
export class Health {
  readonly #lifecycle: Pick<Lifecycle, 'isOpening' | 'isDraining' | 'openFailure'>;
  readonly #bus: Bus;
  readonly #log: MessageLog;
  readonly #delivery: Delivery;
  readonly #revocations: Pick<KnownRevocations, 'size'>;
  readonly #presence: HealthDependencies['presence'];
  readonly #webhooks: HealthDependencies['webhooks'];
  readonly #connectors: HealthDependencies['connectors'];

  constructor({ lifecycle, bus, log, delivery, revocations, presence, webhooks, connectors }: HealthDependencies) {
    this.#lifecycle = lifecycle;
    this.#bus = bus;
    this.#log = log;
    this.#delivery = delivery;
    this.#revocations = revocations;
    this.#presence = presence;
    this.#webhooks = webhooks;
    this.#connectors = connectors;
  }

  /** Whether the instance can take work, for `/readyz`. */
  readiness(): Readiness {
    const bus = this.#bus.state;
    if (this.#lifecycle.isDraining) return { ready: false, status: 'draining' };
    if (this.#lifecycle.isOpening) return { ready: false, status: 'starting', detail: { database: 'opening', ...reasonOf(this.#lifecycle.openFailure), bus } };
    if (this.#log.failure !== undefined) return { ready: false, status: 'unavailable', detail: { database: 'unavailable', ...reasonOf(this.#log.failure), bus } };
    return { ready: true, status: bus === 'degraded' ? 'degraded' : 'ready', detail: { database: 'up', bus } };
  }

  /** The state, for the list of all instances. */
  state(): Pick<InstanceState, 'since' | 'status' | 'streams' | 'position' | 'residentBytes' | 'heapBytes' | 'database' | 'bus'> {
    const { rss, heapUsed } = process.memoryUsage();
    return {
      since: new Date(performance.timeOrigin).toISOString(),
      status: this.readiness().status,
      streams: this.#delivery.streams.size,
      position: this.#lifecycle.isOpening ? 0 : this.#log.tail.last,
      residentBytes: rss,
      heapBytes: heapUsed,
      database: this.#lifecycle.isOpening ? 'opening' : this.#log.failure === undefined ? 'up' : 'unavailable',
      bus: this.#bus.state,
    };
  }

  /** The values for `/metrics`. */
  gauges(): Gauges {
    const { streams, longPolls, audience } = this.#delivery;
    const { tail, publisher, retention, eraser } = this.#log;
    const behind = streams.behind;
    return {
      streams: streams.size,
      longPolls: longPolls.waiting,
      filterBytes: audience.filterBytes,
      unreadBytes: streams.unreadBytes,
      readersBehind: behind.readers,
      furthestBehind: behind.furthest,
      tailMessages: tail.length,
      tailBytes: tail.bytes,
      tailFirst: tail.first,
      tailLast: tail.last,
      head: tail.log?.head ?? 0,
      oldest: tail.log?.oldest ?? 0,
      logBytes: retention.bytes,
      keys: retention.keys,
      clockAhead: retention.clockAhead / 1000,
      messageAhead: retention.messageAhead / 1000,
      erasuresUnwiped: eraser.isWiped ? 0 : 1,
      appendsWaiting: publisher.waiting,
      revocations: this.#revocations.size,
      webhooks: this.#webhooks.size,
      webhooksFailing: this.#webhooks.failing,
      webhooksOpen: this.#webhooks.circuitsOpen,
      webhooksBehind: this.#webhooks.behind,
      connectors: this.#connectors.running.map(([name, { state, behind }]) => ({ name, isUp: state === 'up', behind })),
      presenceTopics: this.#presence.topics,
      presence: this.#presence.isWhole ? 1 : 0,
      bus: this.#bus.state === 'degraded' ? 0 : 1,
      database: this.#lifecycle.isOpening || this.#log.failure !== undefined ? 0 : 1,
      draining: this.#lifecycle.isDraining ? 1 : 0,
    };
  }
}

function reasonOf(failure: string | undefined): { readonly reason?: FailureReason } {
  return failure === undefined ? {} : { reason: failureReason(failure) };
}
