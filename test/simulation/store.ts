import type { LostEpoch } from '../../src/model/ancestry.ts';
import type { LogState } from '../../src/model/epochs.ts';
import type { ErasureStore } from '../../src/store/contracts/erasure-store.ts';
import { StoreError, type Appended, type AppendRequest, type BackQuery, type FoundBack, type NewestBegin, type NewestBounds, type Page, type ReadQuery, type Sought, type Store, type Trimmed, type TrimPolicy } from '../../src/store/store.ts';
import type { TopicStore } from '../../src/store/contracts/topic-store.ts';
import type { UsageStore } from '../../src/store/contracts/usage-store.ts';
import type { MemoryStore } from '../support/memory-store.ts';
import type { Make } from './instance.ts';
import type { Troubles } from './trouble.ts';
import type { Place, World } from './world.ts';

/** The store's clock when a simulation begins. Milliseconds since 1970. */
const EPOCH_MS = 1_700_000_000_000;

/** How long a question is on its way to the database, and an answer on its way back: mostly, and seldom. Milliseconds. */
const USUAL_MS = 2;
const SELDOM_MS = 60;

/** Whose way it is. */
interface SimulatedProcess extends Place {
  readonly number: number;
  readonly understands: boolean;
}

interface Call {
  /** The names of chance. */
  readonly name: string;
  /** Whether it comes after those of its kind that were made before it, as on one connection. */
  readonly inOrder: boolean;
  /** Whether it changes the log: then a connection that breaks leaves it unknown whether it did. */
  readonly changes: boolean;
}

/**
 * An instance's way to the one log: the contract of `store.ts`, over a line on which every question and answer takes its time,
 * overtakes others, or gets lost together with the connection. What is asked is answered from the snapshot of one moment.
 */
export class SimulatedStore implements Store {
  readonly #log: MemoryStore;
  readonly #world: World;
  readonly #troubles: Troubles;
  readonly #instance: SimulatedProcess;
  readonly #make: Pick<Make, 'clockMs'>;
  #isOpen = false;
  #doneAt = 0;
  #answeredAt = 0;

  constructor(options: { log: MemoryStore; world: World; troubles: Troubles; instance: SimulatedProcess; make: Pick<Make, 'clockMs'> }) {
    this.#log = options.log;
    this.#world = options.world;
    this.#troubles = options.troubles;
    this.#instance = options.instance;
    this.#make = options.make;
  }

  get logId(): string {
    return this.#log.logId;
  }

  get rowOverheadBytes(): number {
    return this.#log.rowOverheadBytes;
  }

  get topics(): TopicStore {
    return {
      names: (query) => this.#whenOpen({ name: 'topicNames', inOrder: false, changes: false }, () => this.#log.topics.names(query)),
      holdings: (topics, most) => this.#whenOpen({ name: 'topicHoldings', inOrder: false, changes: false }, () => this.#log.topics.holdings(topics, most)),
    };
  }

  get usage(): UsageStore {
    return {
      write: (stretches) => this.#whenOpen({ name: 'writeUsage', inOrder: false, changes: true }, () => this.#log.usage.write(stretches)),
      changes: (after) => this.#whenOpen({ name: 'usageChanges', inOrder: false, changes: false }, () => this.#log.usage.changes(after)),
    };
  }

  async open(): Promise<LogState> {
    const log = await this.#call({ name: 'open', inOrder: false, changes: true }, () => this.#log.open());
    this.#isOpen = true;
    return log;
  }

  append(requests: readonly AppendRequest[]): Promise<Appended> {
    return this.#whenOpen({ name: 'append', inOrder: true, changes: true }, () => this.#log.append(requests));
  }

  read(query: ReadQuery): Promise<Page> {
    return this.#whenOpen({ name: 'read', inOrder: false, changes: false }, () => this.#log.read(query));
  }

  state(): Promise<LogState> {
    return this.#whenOpen({ name: 'state', inOrder: false, changes: false }, () => this.#log.state());
  }

  seek(time: number): Promise<Sought> {
    return this.#whenOpen({ name: 'seek', inOrder: false, changes: false }, () => this.#log.seek(time));
  }

  keepLost(lost: readonly LostEpoch[]): Promise<void> {
    return this.#whenOpen({ name: 'keepLost', inOrder: false, changes: true }, () => this.#log.keepLost(lost));
  }

  lost(): Promise<readonly LostEpoch[]> {
    return this.#whenOpen({ name: 'lost', inOrder: false, changes: false }, () => this.#log.lost());
  }

  newestWithin(bounds: NewestBounds): Promise<NewestBegin> {
    return this.#whenOpen({ name: 'newestWithin', inOrder: false, changes: false }, () => this.#log.newestWithin(bounds));
  }

  findBack(query: BackQuery): Promise<FoundBack> {
    return this.#whenOpen({ name: 'findBack', inOrder: false, changes: false }, () => this.#log.findBack(query));
  }

  trim(policy: TrimPolicy): Promise<Trimmed> {
    return this.#whenOpen({ name: 'trim', inOrder: false, changes: true }, () => this.#log.trim(policy));
  }

  readonly erasures: ErasureStore = {
    eraseMessage: (position) => this.#whenOpen({ name: 'erase', inOrder: false, changes: true }, () => this.#log.erasures.eraseMessage(position)),
    eraseTopic: (query) => this.#whenOpen({ name: 'erase', inOrder: false, changes: true }, () => this.#log.erasures.eraseTopic(query)),
    changes: (after) => this.#whenOpen({ name: 'erasures', inOrder: false, changes: false }, () => this.#log.erasures.changes(after)),
    wipe: () => this.#whenOpen({ name: 'wipe', inOrder: false, changes: false }, () => this.#log.erasures.wipe()),
  };

  async close(): Promise<void> {
    // The log is everybody's.
  }

  #whenOpen<Answer>(call: Call, work: () => Promise<Answer>): Promise<Answer> {
    return this.#isOpen ? this.#call(call, work) : Promise.reject(new StoreError('unavailable', 'not open'));
  }

  #call<Answer>(call: Call, work: () => Promise<Answer>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const chance = this.#world.chance(`${call.name} ${this.#instance.number}`);
    // Always drawn, so that a trouble less does not shift everything after it.
    const [there, back, isDone, breaksAt] = [latency(chance.next()), latency(chance.next()), chance.next() < 0.5, chance.next()];
    const fail = (kind: 'unavailable' | 'outcome-unknown'): void => reject(new StoreError(kind, kind));
    const doneAt = Math.max(this.#world.now + there, this.#trouble('stalled') ?? 0, call.inOrder ? this.#doneAt : 0);
    if (call.inOrder) this.#doneAt = doneAt;

    this.#world.at(doneAt, undefined, () => {
      const isBreaking = this.#trouble('breaking') !== undefined && breaksAt < 0.7;
      // Also that of an append: its transaction is rolled back.
      const isRefused = this.#trouble('away') !== undefined || !this.#instance.understands;
      if (this.#instance.isGone && !isDone) return;
      if (isRefused || (isBreaking && !(call.changes && isDone))) {
        this.#answer(call, back, () => fail(isBreaking && call.changes ? 'outcome-unknown' : 'unavailable'));
        return;
      }
      this.#log.now = EPOCH_MS + Math.round(this.#world.now) + this.#make.clockMs;
      work().then(
        (answer) => this.#answer(call, back, () => (isBreaking ? fail('outcome-unknown') : resolve(answer))),
        (error: unknown) => this.#answer(call, back, () => reject(error)),
      );
    });
    return promise;
  }

  #answer(call: Call, back: number, settle: () => void): void {
    const at = Math.max(this.#world.now + back, this.#trouble('mute') ?? 0, call.inOrder ? this.#answeredAt : 0);
    if (call.inOrder) this.#answeredAt = at;
    this.#world.at(at, this.#instance, settle);
  }

  #trouble(kind: 'away' | 'breaking' | 'stalled' | 'mute'): number | undefined {
    return this.#troubles.until(kind, this.#instance.number);
  }
}

function latency(chance: number): number {
  return chance < 0.9 ? chance * USUAL_MS : (chance - 0.9) * 10 * SELDOM_MS;
}
