import { readFileSync } from 'node:fs';
import { settingLine } from '../access/access-settings.ts';
import { ConfigError, type Config } from '../config/config.ts';
import { Ownership, type OwnedTask } from '../ownership/ownership.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { MAX_CONNECTORS, type ConnectorStore } from '../store/contracts/connector-store.ts';
import { orProblem } from '../store/change-problem.ts';
import { StoreError } from '../store/store.ts';
import type { ConnectorStatus } from './connector-state.ts';
import { readConnectors } from './connectors-file.ts';
import type { ConnectorPlan } from './plan.ts';
import { SinkRunner, type SinkRunnerDependencies } from './sink-runner.ts';
import { SourceRunner, type SourceRunnerDependencies } from './source-runner.ts';
import type { Transport } from './transport.ts';

/**
 * This room connects the log to other systems. A source reads records of a system and appends them to the log. A sink sends messages of the log to a system. Neither has a queue: a source's position
 * is stored in the transaction of its messages, and a sink is a reader with a cursor. One instance at a time runs a connector (ownership/).
 *
 * Read `connectors-file.ts` first (the declarations), then `transport.ts` (the contract of a system's client). Sources: `source-runner.ts`, `source-steps.ts`, `record-draft.ts`. Sinks: `sink-runner.ts`, `sink-sender.ts`.
 */

/** The memory for the messages that sinks are sending. Each sink has an equal part, so a sink that hangs takes no memory from the others. */
const CONNECTORS_MAX_BYTES = 16 * 1024 * 1024;
/** The most memory of one sink, even if it is the only sink. Stops it from reading 16 MiB at a time. */
const SINK_PAGE_MAX_BYTES = 4 * 1024 * 1024;
/** How often the owner stores the status of its connectors, so that every instance can report it. */
const STATUS_KEPT_MS = 5_000;

export interface ConnectorsDependencies extends Omit<SourceRunnerDependencies, 'store' | 'logger'>, Omit<SinkRunnerDependencies, 'store' | 'ownsNow' | 'deadTopics' | 'pageBytes' | 'logger' | 'counters' | 'publisher'> {
  readonly plans: readonly ConnectorPlan[];
  readonly store: ConnectorStore;
  /** The name of this process. No later process has the same. */
  readonly instance: string;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'connectors'>;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** A connector as administrators see it. */
export interface ConnectorView extends Partial<ConnectorStatus> {
  readonly name: string;
  readonly kind: ConnectorPlan['kind'];
  readonly of: string;
  /** The system on the other side. */
  readonly place: string;
  readonly deadTopic: string;
  /** The instance that runs it. */
  readonly owner: string | undefined;
  /** The cursor of a sink; undefined for a source. */
  readonly cursor: string | undefined;
}

type ConnectorRunner = SourceRunner | SinkRunner;

/** Reads the file CONNECTORS_FILE; no connectors without the setting. @param env The environment variables, for secrets that the file refers to. @throws ConfigError */
export function readConnectorsFile({ CONNECTORS_FILE, TOPICS_PER_STREAM }: Pick<Config, 'CONNECTORS_FILE' | 'TOPICS_PER_STREAM'>, env: Readonly<Record<string, string | undefined>>, transports: Readonly<Record<string, Transport>>): readonly ConnectorPlan[] {
  if (CONNECTORS_FILE === undefined) return [];
  try {
    return readConnectors(readFileSync(CONNECTORS_FILE, 'utf8'), { env, transports, maxTopics: TOPICS_PER_STREAM });
  } catch (error) {
    throw new ConfigError([settingLine('CONNECTORS_FILE', error)]);
  }
}

/** The connectors that this instance runs. */
export class Connectors {
  readonly #deps: ConnectorsDependencies;
  readonly #plans: ReadonlyMap<string, ConnectorPlan>;
  readonly #deadTopics: ReadonlySet<string>;
  /** The memory for the messages of one sink. */
  readonly #pageBytes: number;
  readonly #owned: Ownership<ConnectorRunner>;
  /** The fence and status that this instance stored last, by the names of connectors. */
  readonly #storedStatus = new Map<string, { readonly fence: number; readonly status: string }>();
  #isOpen = false;
  #isClosed = false;

  constructor(deps: ConnectorsDependencies) {
    this.#deps = deps;
    this.#plans = new Map(deps.plans.map((plan) => [plan.name, plan]));
    this.#deadTopics = new Set(deps.plans.map(({ deadTopic }) => deadTopic));
    this.#pageBytes = Math.floor(Math.min(CONNECTORS_MAX_BYTES / deps.plans.filter(({ kind }) => kind === 'sink').length, SINK_PAGE_MAX_BYTES));
    const { store, instance, clock, logger } = deps;
    const names = [...this.#plans.keys()];
    this.#owned = new Ownership({
      instance, clock, logger, what: 'connectors', maxTasks: MAX_CONNECTORS,
      leases: {
        hasAny: () => Promise.resolve(names.length > 0), lease: (owner) => store.leaseConnectors({ ...owner, names }), letGo: (owner, some) => store.letGoOfConnectors(owner, some),
        runners: (tasks, ownsNow) => this.#runners(tasks, ownsNow),
      },
    });
  }

  /** The connectors that run here, with their status. */
  get running(): readonly (readonly [name: string, status: ConnectorStatus])[] {
    return [...this.#owned.runners].map(([name, { status }]) => [name, status]);
  }

  open(): void {
    if (this.#plans.size === 0 || this.#isOpen) return;
    this.#isOpen = true;
    this.#owned.open();
    this.#storeLater();
  }

  /** Releases all connectors at once, so that another instance takes them over. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#owned.close();
  }

  /** All connectors that the file declares, also those that other instances run. Rejects with a `Problem`. */
  async list(): Promise<readonly ConnectorView[]> {
    if (this.#plans.size === 0) return [];
    const records = await orProblem(this.#deps.store.findConnectors([...this.#plans.keys()]), { unknown: 'The connectors cannot be read just now.', unavailable: 'The connectors cannot be read just now.' });
    const stored = new Map(records.map((record) => [record.name, record]));
    return [...this.#plans.values()].map(({ name, kind, of, opener: { place }, deadTopic }) => {
      const record = stored.get(name);
      const runner = this.#owned.runners.get(name);
      const owner = record === undefined || record.owner === '' ? undefined : record.owner;
      const cursor = kind === 'sink' ? (runner instanceof SinkRunner ? runner.cursor : record?.cursor) || undefined : undefined;
      return { name, kind, of, place, deadTopic, owner, cursor, ...(runner?.status ?? statusIn(record?.status)) };
    });
  }

  async #runners(tasks: readonly OwnedTask[], ownsNow: () => boolean): Promise<readonly (readonly [id: string, runner: ConnectorRunner])[]> {
    const records = await this.#deps.store.findConnectors(tasks.map(({ id }) => id));
    return records.flatMap((record) => {
      const plan = this.#plans.get(record.name);
      if (plan === undefined || record.owner !== this.#deps.instance) return [];
      return [[record.name, plan.kind === 'source' ? new SourceRunner(plan, record.fence, this.#deps) : new SinkRunner(plan, record, { ...this.#deps, ownsNow, deadTopics: this.#deadTopics, pageBytes: this.#pageBytes })]];
    });
  }

  #storeLater(): void {
    this.#deps.clock.after(STATUS_KEPT_MS, () => void this.#storeAll());
  }

  /** Stores the status of the connectors that run here, if it has changed. */
  async #storeAll(): Promise<void> {
    if (this.#isClosed) return;
    try {
      for (const [name, runner] of this.#owned.runners) {
        const { fence } = runner;
        const status = JSON.stringify(runner.status);
        const before = this.#storedStatus.get(name);
        // With another fence, another instance may have stored its own status between.
        if (before?.fence === fence && before.status === status) continue;
        await this.#deps.store.noteConnector({ name, fence, cursor: undefined, status });
        this.#storedStatus.set(name, { fence, status });
      }
    } catch (error) {
      // The next round stores the status of then.
      if (!(error instanceof StoreError)) throw error;
    }
    this.#storeLater();
  }
}

/** The status that the owner stored last; empty if it is no JSON, because another program may have written it. */
function statusIn(text: string | undefined): Partial<ConnectorStatus> {
  if (text === undefined || text === '') return {};
  try {
    return JSON.parse(text) as Partial<ConnectorStatus>;
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
