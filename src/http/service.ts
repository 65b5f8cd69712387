import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify';
import type { Logger } from 'pino';
import type { Access } from '../access/access.ts';
import type { KeyAdministration } from '../access/credentials/key-administration.ts';
import type { Leases } from '../access/leases/leases.ts';
import type { OwnedStreams } from '../access/leases/owned-streams.ts';
import type { Renewals } from '../access/leases/renewals.ts';
import type { RevocationAdministration } from '../access/credentials/revocation-administration.ts';
import type { SessionAdministration } from '../access/credentials/session-administration.ts';
import type { TicketAdministration } from '../access/tickets/ticket-administration.ts';
import type { StreamHandles } from '../access/leases/stream-handles.ts';
import type { Tickets } from '../access/tickets/tickets.ts';
import type { Config } from '../config/config.ts';
import type { Connectors } from '../connectors/connectors.ts';
import type { Audience } from '../delivery/audience.ts';
import type { LongPolls } from '../delivery/long-polls.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { ChangeableStream } from '../fleet/topic-changes.ts';
import type { Hooks } from '../hooks/hooks.ts';
import type { Limits } from '../limits/limits.ts';
import type { Eraser } from '../log/eraser.ts';
import type { History } from '../log/history/history-pages.ts';
import type { Publisher } from '../log/publisher/publisher.ts';
import type { Starts } from '../log/history/start-position.ts';
import type { Presence } from '../presence/presence.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Gauges } from '../runtime/gauges.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { SharedTexts } from '../runtime/shared-texts.ts';
import type { WebhookAdministration } from '../webhooks/administration.ts';

/** The Fastify instance with its types: routes are added to it. */
export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, TypeBoxTypeProvider>;

/**
 * Everything that routes are handed: what this instance can do, and how it is. A new route gets a member of its own, also in `test/support/service.ts`.
 * Many tests replace a member by an object, which would lack a method added to that member.
 */
export interface Service {
  readonly config: Config;
  readonly logger: Logger;
  readonly publisher: Pick<Publisher, 'publish'>;
  /** The hooks for other systems. */
  readonly hooks: Pick<Hooks, 'find'>;
  readonly history: Pick<LongPolls, 'page'> & Pick<History, 'message'>;
  /** Messages without their data. */
  readonly outlines: Pick<History, 'outline'>;
  readonly eraser: Pick<Eraser, 'message' | 'topic'>;
  readonly starts: Pick<Starts, 'isReady' | 'resolve'>;
  readonly streams: Pick<StreamRegistry, 'hasRoomFor' | 'makeRoom' | 'open' | 'refuse' | 'end' | 'positionOf' | 'changeFilter' | 'drained' | 'closed'>;
  /** Whether there is memory for the filter of a stream. */
  readonly filters: Pick<Audience, 'hasRoomFor' | 'makeRoom'>;
  readonly counters: Counters;
  readonly metrics: Metrics;
  /** From the first SIGTERM on. */
  readonly draining: boolean;
  /** Identifies the sender of a request, with its rights. */
  readonly access: Pick<Access, 'identify' | 'ignoresCredentials'>;
  /** Finds the identity of a key. */
  readonly keyOwners: Pick<Access, 'ofKey'>;
  /** The leases of credentials. */
  readonly leases: Pick<Leases, 'mayHold' | 'hold' | 'release'>;
  readonly renewals: Pick<Renewals, 'renew'>;
  /** The streams that their clients can name. */
  readonly owned: Pick<OwnedStreams<ChangeableStream>, 'add' | 'delete'>;
  /** Numbers for streams. */
  readonly handles: Pick<StreamHandles, 'next'>;
  /** The `User-Agent` of clients. */
  readonly agents: Pick<SharedTexts, 'shared'>;
  /** All instances, and the streams and topics of all. */
  readonly fleet: Pick<Fleet, 'streams' | 'topics' | 'report' | 'close' | 'changeTopics' | 'instances' | 'instance' | 'delivery' | 'drain' | 'rebalance'>;
  readonly limits: Pick<Limits, 'publish' | 'topics' | 'idempotencyKey' | 'idempotencyKeyUnused' | 'failedLogin' | 'session' | 'stream'>;
  readonly keys: Pick<KeyAdministration, 'create' | 'rotate' | 'revoke' | 'find' | 'list'>;
  readonly revocations: Pick<RevocationAdministration, 'revoke' | 'list'>;
  readonly sessions: Pick<SessionAdministration, 'make' | 'end'>;
  readonly tickets: Pick<Tickets, 'use' | 'release'>;
  /** Presence on all instances. */
  readonly presence: Pick<Presence, 'enter' | 'leave' | 'change' | 'watch' | 'unwatch' | 'page' | 'counts' | 'topicsOf'>;
  readonly ticketAdministration: Pick<TicketAdministration, 'make'>;
  readonly connectors: Pick<Connectors, 'list'>;
  readonly webhooks: Pick<WebhookAdministration, 'create' | 'list' | 'find' | 'change' | 'pause' | 'resume' | 'replay' | 'rotate' | 'remove' | 'attempts' | 'test'>;
  /** Connections that may be open at once, streams and all. */
  readonly maxConnections: number;
  readiness(): Readiness;
  gauges(): Gauges;
  /** The metrics of all workers of this machine, as text; undefined where this process is no worker. */
  readonly allMetrics?: (() => Promise<string>) | undefined;
}

export interface Readiness {
  /** Whether a load balancer should send requests here. */
  readonly ready: boolean;
  /** `degraded`: it works, but messages of other instances come later, because the bus is away. */
  readonly status: 'ready' | 'degraded' | 'starting' | 'draining' | 'unavailable';
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}
