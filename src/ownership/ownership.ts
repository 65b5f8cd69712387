import { waitAtMost, type Clock, type Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { StoreError } from '../store/store.ts';

/**
 * This room decides which instance runs a task that only one may run at a time: the delivery of a webhook, a connector. The database says who owns a task, under a lease, and hands out its fence. Tasks that
 * this instance owns come in with their fences; runners go out, which are started and stopped. Another instance takes over when the lease ends, or at once where an instance closes.
 */

/** How long an instance that is not heard of keeps its tasks. Stops a short stall from moving them all. */
const OWNER_LEASE_MS = 5_000;
/** How often an instance keeps its leases, and looks for tasks that nobody has. */
const OWNED_LOOK_MS = 1_000;
/** How often it looks whether there are any tasks. The instance that makes the first one looks at once. */
const IDLE_LOOK_MS = 10_000;
/** How long a look waits for tasks that are being stopped. The next look follows up on the others. It is far below the lease, which no look may let end. */
const CHANGE_WAIT_MS = 1_000;
/** How long tasks under way have to end by themselves when the instance closes. */
const FINISH_MS = 2_000;

/** A task as the database knows it. */
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
  /** Ends all tasks under way. Resolves when the last one has ended. */
  stop(): Promise<void>;
  /** Begins nothing more. Resolves when the tasks under way have ended by themselves. */
  finish(): Promise<void>;
}

/** Where leases are. Each call rejects with a `StoreError` and nothing else. */
export interface TaskLeases<Task extends Runner> {
  /** Whether there is anything to own. Writes nothing. */
  hasAny(): Promise<boolean>;
  lease(owner: { readonly owner: string; readonly leaseMs: number }): Promise<{ readonly held: readonly OwnedTask[]; readonly share: number }>;
  letGo(owner: string, ids: readonly string[] | undefined): Promise<void>;
  /** Makes runners of tasks that this instance owns. `ownsNow` says whether its lease lasts. A task that cannot be run is left out. */
  runners(tasks: readonly OwnedTask[], ownsNow: () => boolean): Promise<readonly (readonly [id: string, runner: Task])[]>;
}

export interface OwnershipDependencies<Task extends Runner> {
  readonly leases: TaskLeases<Task>;
  /** The name of this process, which lives once. */
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
  /** For lines of the logger: `webhooks`. */
  readonly what: string;
  /** The most tasks of one call that lets go of some. */
  readonly maxTasks: number;
}

interface Change<Task> {
  next: Task | undefined;
  readonly ended: Promise<void>;
}

/** The tasks that this instance owns, each with its runner. */
export class Ownership<Task extends Runner> {
  readonly #deps: OwnershipDependencies<Task>;
  readonly #runners = new Map<string, Task>();
  /** Tasks that are being stopped, and the task to start after each. */
  readonly #changing = new Map<string, Change<Task>>();
  /** Until when this instance owns its tasks, by its own monotonic clock. It counts from before the question: the database counts from later. */
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

  /** Looks now, as after a change. Calls during a look are answered by one more. */
  look(): Promise<void> {
    this.#isLookDue = true;
    return this.#look ??= this.#lookAll();
  }

  /** Lets go of everything at once, so that another instance goes on. Tasks under way have a moment to end. */
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
    // Where there are no tasks, nothing is written.
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
    // A task under way that another instance gets may go to its end: it would be done twice otherwise.
    for (const id of surplus) this.#change(id, undefined, (runner) => runner.finish());
    for (const id of this.#runners.keys()) if (!mine.has(id)) this.#change(id, undefined);
    for (const [id, change] of this.#changing) if (!mine.has(id)) change.next = undefined;
    // A change that came during another one: what that one starts is outdated already.
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

  /** Another instance has fewer. */
  async #letGo(ids: readonly string[]): Promise<void> {
    const { instance, leases, maxTasks } = this.#deps;
    await waitAtMost(CHANGE_WAIT_MS, Promise.all(ids.flatMap((id) => this.#changing.get(id)?.ended ?? [])));
    const stopped = ids.filter((id) => !this.#changing.has(id));
    for (let index = 0; index < stopped.length; index += maxTasks) await leases.letGo(instance, stopped.slice(index, index + maxTasks));
  }

  /** Two runners of one task are never under way at the same time: the next one starts when the one before has stopped. */
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
