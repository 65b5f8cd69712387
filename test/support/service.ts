import { pino } from 'pino';
import { EVERYBODY } from '../../src/access/credentials/identity.ts';
import { readConfig } from '../../src/config/config.ts';
import type { HistoryPage } from '../../src/delivery/long-polls.ts';
import type { FigureColumns } from '../../src/fleet/figures.ts';
import type { InstanceState } from '../../src/fleet/instances.ts';
import type { Service } from '../../src/http/service.ts';
import { FREE_PLACE } from '../../src/limits/stream-places.ts';
import type { Receipt } from '../../src/log/publisher/receipt.ts';
import { Metrics } from '../../src/runtime/metrics.ts';

function never(): never {
  throw new Error('No test of the HTTP edge alone comes here.');
}

const STATE: InstanceState = {
  id: 'aaaaaaaaaa', version: '0', since: '2026-11-30T10:00:00.000Z', status: 'ready', streams: 0, publishesPerSecond: 0, deliveriesPerSecond: 0, loopDelayMs: 0, position: 0, residentBytes: 0, heapBytes: 0, database: 'up', bus: 'local',
};
const NO_FIGURES: FigureColumns = { time: [], streams: [], publishesPerSecond: [], deliveriesPerSecond: [], bytesPerSecond: [], lag: [], readersBehind: [], loopDelayMs: [], residentBytes: [], errors: [] };

/** A service without a log behind it, for what no real one does on request: fail in odd ways. */
export function fakeService(parts: Partial<Service> = {}, environment: Record<string, string> = {}): Service {
  const metrics = new Metrics({ build: { version: '0', node: '0' }, limits: { streams: 1, tailBytes: 2, filterBytes: 7, unreadBytes: 8, appendsWaiting: 3, logBytes: 4, keys: 6, logSeconds: 5 } });
  return {
    config: readConfig(environment, { dotenv: false }),
    logger: pino({ level: 'silent' }),
    counters: metrics.counters,
    metrics,
    publisher: { publish: (): Promise<Receipt> => Promise.resolve({ epoch: 'abcdefgh', first: 7, time: 0, replayed: false }) },
    hooks: { find: () => undefined },
    history: { page: (): Promise<HistoryPage> => Promise.resolve({ messages: [], cursor: 'abcdefgh-7', more: false, gap: undefined, clean: () => true }), message: () => Promise.resolve(undefined) },
    outlines: { outline: () => Promise.resolve(undefined) },
    eraser: { message: never, topic: never },
    starts: { isReady: false, resolve: never },
    streams: { hasRoomFor: () => false, makeRoom: () => false, open: never, refuse: never, end: never, positionOf: never, changeFilter: never, drained: never, closed: never },
    filters: { hasRoomFor: () => true, makeRoom: () => true },
    draining: false,
    access: { ignoresCredentials: () => false, identify: () => EVERYBODY },
    keyOwners: { ofKey: () => Promise.resolve(undefined) },
    leases: { mayHold: () => true, hold: () => undefined, release: never },
    limits: { publish: () => undefined, topics: () => undefined, idempotencyKey: () => undefined, idempotencyKeyUnused: () => undefined, failedLogin: () => undefined, session: () => undefined, stream: () => Promise.resolve(FREE_PLACE) },
    sessions: { make: never, end: never },
    tickets: { use: never, release: never },
    ticketAdministration: { make: never },
    connectors: { list: never },
    webhooks: { create: never, list: never, find: never, change: never, pause: never, resume: never, replay: never, rotate: never, remove: never, attempts: never, test: never },
    keys: { create: never, rotate: never, revoke: never, find: never, list: never },
    renewals: { renew: never },
    owned: { add: () => ({ id: 'aaaaaaaaaa-1', secret: 'x'.repeat(22) }), delete: () => undefined },
    handles: { next: () => 1 },
    agents: { shared: (text) => text },
    fleet: { streams: never, topics: never, report: never, close: never, changeTopics: never, instances: () => Promise.resolve({ instances: [] }), instance: (id) => Promise.resolve({ ...STATE, id, everySeconds: 10, figures: NO_FIGURES, warnings: [] }), delivery: never, drain: never, rebalance: never },
    revocations: { revoke: never, list: never },
    presence: { enter: () => undefined, leave: () => undefined, change: never, watch: never, unwatch: never, page: never, counts: never, topicsOf: never },
    maxConnections: 1_000,
    readiness: () => ({ ready: true, status: 'ready' }),
    gauges: () => ({
      streams: 0, longPolls: 0, filterBytes: 0, unreadBytes: 0, readersBehind: 0, furthestBehind: 0, tailMessages: 0, tailBytes: 0, tailFirst: 0, tailLast: 0,
      head: 0, oldest: 0, logBytes: 0, keys: 0, clockAhead: 0, messageAhead: 0, erasuresUnwiped: 0, appendsWaiting: 0, revocations: 0, webhooks: 0, webhooksFailing: 0, webhooksOpen: 0, webhooksBehind: 0, connectors: [], presenceTopics: 0, presence: 1, bus: 1, database: 1, draining: 0,
    }),
    ...parts,
  };
}
