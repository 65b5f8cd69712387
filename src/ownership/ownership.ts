import { waitAtMost, type Clock, type Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { StoreError } from '../store/store.ts';

/**
 * This room decides which instance runs a task that only one may run at a time: a webhook, or a connector. The database gives each task an owner, under a lease, and a fence that
 * grows with each owner. The tasks of this instance come in from the database; the room starts and stops their runners. Another instance takes over when the lease ends, or at once
 * when this instance closes.
 */

/** How long an instance that does not renew its lease keeps its tasks. Stops a short stall from moving them all. */
const OWNER_LEASE_MS = 5_000;
/** How often an instance renews its lease, and looks for tasks without an owner. */
const OWNED_LOOK_MS = 1_000;
/** How often an instance looks for the first task while there is none. The instance that creates it looks at once. */
const IDLE_LOOK_MS = 10_000;
/** How long a look waits for tasks to stop; the next look handles the rest. Far below the lease, so that no look lets the lease end. */
const CHANGE_WAIT_MS = 1_000;
/** How long tasks may take to end by themselves when the instance closes. */
const FINISH_MS = 2_000;

/** A task that the database gave to this instance. */
export interface OwnedTask {
  readonly id: string;
  /** The version of its settings. A task whose version changes is started again. */
  readonly version: number;
  /** Counts its owners. */
  readonly fence: number;
}

/** Runs one task under one fence. */
export interface Runner {
  readonly version: number;
  readonly fence: number;
  start(): void;
  /** Cancels the work under way. Resolves when it has ended. */
  stop(): Promise<void>;
  /** Begins no new work. Resolves when the work under way has ended by itself. */
  finish(): Promise<void>;
}

/** The leases in the database. Each call rejects with a `StoreError` and nothing else. */
export interface TaskLeases<Task extends Runner> {
  /** Whether there is any task. Writes nothing. */
  hasAny(): Promise<boolean>;
  /** Renews the lease, and takes tasks without an owner. Returns all tasks of this instance, and how many it should keep. */
  lease(owner: { readonly owner: string; readonly leaseMs: number }): Promise<{ readonly held: readonly OwnedTask[]; readonly share: number }>;
  /** Gives up tasks; all of them if `ids` is undefined. */
  letGo(owner: string, ids: readonly string[] | undefined): Promise<void>;
  /** Makes a runner for each task, without those that cannot run. `ownsNow` returns whether this instance's lease still lasts. */
  runners(tasks: readonly OwnedTask[], ownsNow: () => boolean): Promise<readonly (readonly [id: string, runner: Task])[]>;
}

export interface OwnershipDependencies<Task extends Runner> {
  readonly leases: TaskLeases<Task>;
  /** The name of this process. No other process ever has it. */
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
  /** The kind of tasks, for log lines: `webhooks`. */
  readonly what: string;
  /** The most tasks of one call of `letGo` or `runners`. */
  readonly maxTasks: number;
}

/** A task whose runner is being stopped. */
interface Change<Task> {
  /** The runner to start afterwards. */
  next: Task | undefined;
  readonly ended: Promise<void>;
}

/** The tasks that this instance owns, each with its runner. */
export class Ownership<Task extends Runner> {
  readonly #deps: OwnershipDependencies<Task>;
  readonly #runners = new Map<string, Task>();
  /** Tasks whose runners are being stopped. */
  readonly #changing = new Map<string, Change<Task>>();
  /** When the lease ends, by this process's monotonic clock. It counts from before the query, so it ends here before it ends in the database. */
  #ownsUntil = -Infinity;
  #timer: Timer | undefined;
  #look: Promise<void> | undefined;
  #isLookDue = false;
  #hasLease = false;
  #isClosed = false;

  constructor(deps: OwnershipDependencies<Task>) {
    this.#deps = deps;
  }

  /** The tasks that run on this instance. */
  get runners(): ReadonlyMap<string, Task> {
    return this.#runners;
  }

  open(): void {
    void this.look();
  }

  /** Looks now, for example after a change of the tasks. All calls during a look share the next look. */
  look(): Promise<void> {
    this.#isLookDue = true;
    return this.#look ??= this.#lookAll();
  }

  /** Ends all runners and gives up the lease, so that another instance takes over at once. The work under way has `FINISH_MS` to end. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    if (this.#look !== undefined) await waitAtMost(FINISH_MS, this.#look);
    const runners = [...this.#runners.values()];
    await waitAtMost(FINISH_MS, Promise.all(runners.map((runner) => runner.finish())));
    await waitAtMost(FINISH_MS, Promise.all(runners.map((runner) => runner.stop())));
    this.#runners.clear();
    if (!this.#hasLease) return;
    try {
      await this.#deps.leases.letGo(this.#deps.instance, undefined);
    } catch (error) {
      // Then the lease ends by itself.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  async #lookAll(): Promise<void> {
    while (this.#isLookDue && !this.#isClosed) {
      this.#isLookDue = false;
      this.#timer?.cancel();
      try {
        await this.#lookOnce();
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        this.#deps.logger.warn({ err: error }, `${this.#deps.what}: the leases cannot be kept`);
      }
    }
    this.#look = undefined;
    if (!this.#isClosed) this.#timer = this.#deps.clock.after(this.#hasLease ? OWNED_LOOK_MS : IDLE_LOOK_MS, () => void this.look());
  }

  async #lookOnce(): Promise<void> {
    const { leases, clock, instance } = this.#deps;
    // Without tasks, an instance writes nothing to the database.
    if (!this.#hasLease && !await leases.hasAny()) return;
    const asked = clock.monotonic();
    const leased = await leases.lease({ owner: instance, leaseMs: OWNER_LEASE_MS });
    this.#hasLease = true;
    this.#ownsUntil = asked + OWNER_LEASE_MS;
    await this.#takeOver(leased);
    if (leased.held.length === 0 && !await leases.hasAny()) {
      await leases.letGo(instance, undefined);
      this.#hasLease = false;
    }
  }

  async #takeOver({ held, share }: { readonly held: readonly OwnedTask[]; readonly share: number }): Promise<void> {
    const mine = new Map(held.slice(0, share).map((one) => [one.id, one]));
    const surplus = held.slice(share).map(({ id }) => id);
    // Let the work of surplus tasks end by itself: another instance would repeat cancelled work.
    for (const id of surplus) this.#change(id, undefined, (runner) => runner.finish());
    for (const id of this.#runners.keys()) if (!mine.has(id)) this.#change(id, undefined);
    for (const [id, change] of this.#changing) if (!mine.has(id)) change.next = undefined;
    // A task changed again while its runner was being stopped, so the runner to start next is outdated: wait, then start a newer one.
    const outdated = [...mine.values()].flatMap(({ id, version, fence }) => {
      const change = this.#changing.get(id);
      return change === undefined || (change.next?.version === version && change.next.fence === fence) ? [] : [change.ended];
    });
    if (outdated.length > 0) await waitAtMost(CHANGE_WAIT_MS, Promise.all(outdated));
    const fresh = [...mine.values()].filter(({ id, version, fence }) => {
      const runner = this.#runners.get(id);
      return !this.#changing.has(id) && (runner?.version !== version || runner.fence !== fence);
    });
    const { clock, leases, maxTasks } = this.#deps;
    for (let index = 0; index < fresh.length; index += maxTasks) {
      const runners = await leases.runners(fresh.slice(index, index + maxTasks), () => clock.monotonic() < this.#ownsUntil);
      for (const [id, runner] of runners) if (!this.#isClosed) this.#change(id, runner);
    }
    if (surplus.length > 0) await this.#letGo(surplus);
  }

  /** Gives tasks up to instances with fewer, once their runners have stopped. */
  async #letGo(ids: readonly string[]): Promise<void> {
    const { instance, leases, maxTasks } = this.#deps;
    await waitAtMost(CHANGE_WAIT_MS, Promise.all(ids.flatMap((id) => this.#changing.get(id)?.ended ?? [])));
    const stopped = ids.filter((id) => !this.#changing.has(id));
    for (let index = 0; index < stopped.length; index += maxTasks) await leases.letGo(instance, stopped.slice(index, index + maxTasks));
  }

  /** Stops the runner of a task, and then starts the next one, if any. So two runners of one task never run at the same time. */
  #change(id: string, next: Task | undefined, end = (runner: Task): Promise<void> => runner.stop()): void {
    const before = this.#runners.get(id);
    this.#runners.delete(id);
    if (before === undefined) {
      if (next !== undefined) this.#start(id, next);
      return;
    }
    const ended = end(before).then(() => {
      const starting = this.#changing.get(id)?.next;
      this.#changing.delete(id);
      if (starting !== undefined && !this.#isClosed) this.#start(id, starting);
    });
    this.#changing.set(id, { next, ended });
  }

  #start(id: string, runner: Task): void {
    this.#runners.set(id, runner);
    runner.start();
  }
}
