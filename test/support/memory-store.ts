import { setImmediate } from 'node:timers/promises';
import type { LostEpoch } from '../../src/model/ancestry.ts';
import { epochName, Lineage, type Epoch, type LogState } from '../../src/model/epochs.ts';
import { Message, numbered, type Draft } from '../../src/model/message.ts';
import { believe, isRefuted, isWorthKeeping, type KnownTimes } from '../../src/store/believed-clock.ts';
import { stepOf } from '../../src/store/rows/connector-rows.ts';
import type { SourcePosition, SourceStep } from '../../src/store/contracts/connector-store.ts';
import { UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { StoreError, type Appended, type AppendRequest, type BackQuery, type FoundBack, type NewestBegin, type NewestBounds, type Outcome, type Page, type ReadQuery, type Sought, type Store, type StoreErrorKind, type Trimmed, type TrimPolicy } from '../../src/store/store.ts';
import { MemoryUsage } from './memory-usage.ts';
import { MemoryErasures } from './memory-erasures.ts';
import { MemoryTopics } from './memory-topics.ts';
import { MemoryKeys } from './memory-keys.ts';

/**
 * A log in memory for tests of the spine, which can fail and lose its newest part when a test says so.
 */
export class MemoryStore implements Store {
  readonly logId = 'memory';
  readonly keys = new MemoryKeys({ reply: (answer) => this.#reply(answer), now: () => this.now, believed: () => believe(this.#knownTimes) });
  readonly rowOverheadBytes = 0;
  readonly usage = new MemoryUsage({ reply: (answer) => this.#reply(answer), oldest: () => this.#oldest });
  readonly topics = new MemoryTopics({ reply: (answer) => this.#reply(answer), held: () => this.messages });
  readonly erasures = new MemoryErasures({ log: () => this.log(), reply: (answer) => this.#reply(answer), held: () => this.messages, level: () => this.level });
  /** The level of the log. */
  level = UNDERSTOOD_LEVEL;
  /** The next calls of append fail like this, one for each entry. */
  readonly appendFailures: StoreErrorKind[] = [];
  /** While set, every call fails. */
  failure: StoreErrorKind | undefined;
  /** Refuses requests that hold such data. */
  poison: string | undefined;
  appends = 0;
  reads: ReadQuery[] = [];
  /** How many messages one step back looks at: few, so that a walk has several. */
  backRows = 10;
  /** The newest fence of each connector, and how far sources have read, by connector and part with a blank between. */
  readonly fences = new Map<string, number>();
  readonly positions = new Map<string, SourcePosition>();
  now = 1_000_000;
  messages: Message[] = [];
  #keys = new Map<string, { fingerprint: string; outcome: Outcome; expires: number }>();
  #epochs: Epoch[] = [];
  /** How many epochs ever began: none has the name of another, also of one that a restored copy has forgotten. */
  #begun = 0;
  /** With the head of the log when each was kept. */
  #lost: (LostEpoch & { readonly keptAt: number })[] = [];
  #oldest = 1;
  #trimmedTime = 0;
  #keptClock: number | null = null;
  readonly #turn: () => Promise<unknown>;

  /** @param turn How long an answer is on its way. */
  constructor({ turn = setImmediate }: { turn?: () => Promise<unknown> } = {}) {
    this.#turn = turn;
  }

  open(): Promise<LogState> {
    return this.#reply(() => {
      this.#begin();
      return this.log();
    });
  }

  #begin(): void {
    const parent = this.#epochs.findLast(({ first }) => first <= this.head);
    const number = String(++this.#begun);
    // Not random, so that a simulation can be repeated: they sort by when they began, and no two begin with the same six characters.
    const epoch = epochName(`e${number.padStart(5, '0')}xx`, parent?.epoch, this.head + 1);
    this.#epochs = [...this.#epochs, { epoch, first: this.head + 1, secret: number.padStart(64, '0') }];
  }

  get head(): number {
    return this.#oldest - 1 + this.messages.length;
  }

  /** The log's own clock: never before the newest message. */
  get #time(): number {
    return Math.max(this.now, this.messages.at(-1)?.time ?? 0, this.#trimmedTime);
  }

  get #knownTimes(): KnownTimes {
    return { machine: this.now, kept: this.#keptClock, oldest: this.messages[0]?.time };
  }

  log(): LogState {
    return { lineage: new Lineage(this.#epochs), oldest: this.#oldest, head: this.head, now: this.#time, erasures: this.erasures.version };
  }

  append(requests: readonly AppendRequest[]): Promise<Appended> {
    this.appends++;
    const failure = this.appendFailures.shift();
    if (failure !== undefined) return Promise.reject(new StoreError(failure, failure));
    return this.#reply(() => {
      if (requests.some(({ drafts }) => drafts.some(({ data }) => this.poison !== undefined && Buffer.from(data).toString() === this.poison))) {
        throw new StoreError('refused', 'poison');
      }
      const step = stepOf(requests);
      if (step !== undefined && !this.#move(step)) return { outcomes: [{ kind: 'outdated' }], log: this.log() };
      return { outcomes: requests.map((request) => this.#store(request)), log: this.log() };
    });
  }

  /** @returns Whether the step is the next one of its source. */
  #move({ connector, fence, moves }: SourceStep): boolean {
    const isNext = this.fences.get(connector) === fence && moves.every(({ part, from }) => {
      const stored = this.positions.get(`${connector} ${part}`);
      return stored?.identity === from?.identity && stored?.position === from?.position;
    });
    if (isNext) for (const { part, to } of moves) this.positions.set(`${connector} ${part}`, to);
    return isNext;
  }

  #store({ drafts, key }: AppendRequest): Outcome {
    const name = key === undefined ? '' : JSON.stringify([key.scope, key.key]);
    const known = this.#keys.get(name);
    const fingerprint = key === undefined ? '' : Buffer.from(key.fingerprint).toString('hex');
    if (key !== undefined && known !== undefined && known.expires > believe(this.#knownTimes)) {
      return known.fingerprint === fingerprint ? { ...known.outcome, kind: 'replayed' } as Outcome : { kind: 'conflict' };
    }
    const time = this.#time;
    const outcome = { kind: 'stored', epoch: this.#epochs.at(-1)!.epoch, first: this.head + 1, time } as const;
    for (const draft of drafts) this.commit(draft, time);
    if (isRefuted(this.#keptClock, time)) this.#keptClock = time;
    if (key !== undefined) this.#keys.set(name, { fingerprint, outcome, expires: time + key.window });
    return outcome;
  }

  /** Another instance's commit. */
  commit(draft: Partial<Draft> = {}, time = this.now): Message {
    const whole: Draft = { topic: 'a', event: undefined, json: false, data: Buffer.from('x'), ttl: 0, ...draft };
    const message = numbered(whole, this.#epochs.at(-1)!.epoch, this.head + 1, time);
    this.messages.push(message);
    return numbered(whole, message.epoch, message.seq, time);
  }

  /** A call that fails, for tests that put it in the place of another. */
  fails(kind: StoreErrorKind): Promise<never> {
    return this.#reply(() => {
      throw new StoreError(kind, kind);
    });
  }

  keepLost(lost: readonly LostEpoch[]): Promise<void> {
    return this.#reply(() => {
      for (const one of lost) if (!this.#lost.some(({ epoch }) => epoch === one.epoch)) this.#lost.push({ ...one, keptAt: this.head });
    });
  }

  lost(): Promise<readonly LostEpoch[]> {
    return this.#reply(() => this.#lost.map(({ epoch, before }) => ({ epoch, before })));
  }

  /** What a restored copy does: it knows nothing of what came after `seq`, and begins a new epoch there. */
  async restore(seq: number): Promise<void> {
    this.messages = this.messages.filter((message) => message.seq <= seq);
    this.#epochs = this.#epochs.filter(({ first }) => first <= seq + 1);
    this.erasures.restored();
    this.#lost = this.#lost.filter(({ keptAt }) => keptAt <= seq);
    this.usage.restored();
    for (const [name, { outcome }] of this.#keys) if (outcome.kind !== 'conflict' && outcome.kind !== 'outdated' && outcome.first > seq) this.#keys.delete(name);
    this.#begin();
    await Promise.resolve();
  }

  /** What a copy does that never heard of the newest epochs when it takes over: it has nothing that was published in them. */
  async loseEpochs(count: number): Promise<void> {
    const { first } = this.#epochs.at(-count)!;
    this.#epochs = this.#epochs.slice(0, -count);
    await this.restore(first - 1);
  }

  read({ after, filter, limit, maxBytes, withoutData = false }: ReadQuery): Promise<Page> {
    this.reads.push({ after, filter, limit, maxBytes, withoutData });
    return this.#reply(() => {
      const messages: Message[] = [];
      let bytes = 0;
      let scanned = Math.max(after, this.#oldest - 1);
      for (const message of this.messages) {
        if (message.seq <= after) continue;
        if (messages.length >= limit || bytes >= maxBytes) return { messages, scanned, log: this.log(), examined: messages.length };
        scanned = message.seq;
        if (filter !== undefined && !filter.matches(message.topic)) continue;
        const { topic, event, json, data } = message;
        messages.push(new Message(message.epoch, message.seq, message.time, message.expires, { topic, event, json, data: withoutData ? new Uint8Array() : data }));
        bytes += message.data.length;
      }
      return { messages, scanned: Math.min(scanned, Math.max(this.head, 0)), log: this.log(), examined: messages.length };
    });
  }

  state(): Promise<LogState> {
    return this.#reply(() => this.log());
  }

  seek(time: number): Promise<Sought> {
    return this.#reply(() => {
      const index = this.messages.findIndex((message) => message.time >= time);
      return { seq: index === -1 ? this.head : this.#oldest - 1 + index, missing: this.#oldest > 1 && time <= this.#trimmedTime, log: this.log() };
    });
  }

  newestWithin({ messages, bytes }: NewestBounds): Promise<NewestBegin> {
    return this.#reply(() => {
      let left = bytes;
      let seq = this.head;
      for (const message of this.messages.slice(-messages).reverse()) {
        left -= message.data.length;
        if (left < 0) break;
        seq = message.seq - 1;
      }
      return { seq, log: this.log() };
    });
  }

  findBack({ before, filter, limit }: BackQuery): Promise<FoundBack> {
    return this.#reply(() => {
      const seqs: number[] = [];
      let from = Math.min(before, this.head + 1);
      let examined = 0;
      for (; from > this.#oldest && seqs.length < limit && examined < this.backRows; examined++) {
        const message = this.messages[--from - this.#oldest]!;
        if (filter.matches(message.topic) && !message.isExpired(this.#time)) seqs.push(message.seq);
      }
      return { seqs, from, log: this.log(), examined };
    });
  }

  trim({ maxAge, maxBytes, maxKeys = 0, rows, counted }: TrimPolicy): Promise<Trimmed> {
    return this.#reply(() => {
      const known = this.#knownTimes;
      const believed = believe({ ...known, counted });
      if (isWorthKeeping(believed, known)) this.#keptClock = believed;
      const bytes = (): number => this.messages.reduce((sum, { data }) => sum + data.length, 0);
      const isDue = (): boolean => {
        const [oldest] = this.messages;
        return oldest !== undefined && ((maxAge > 0 && oldest.time < believed - maxAge) || (maxBytes > 0 && bytes() > maxBytes));
      };
      let messages = 0;
      for (; messages < rows && isDue(); messages++) {
        this.#trimmedTime = this.messages.shift()!.time;
        this.#oldest++;
      }
      let keys = 0;
      let youngKeys = 0;
      let moreKeys = false;
      for (const [name, { expires }] of this.#keys) {
        const isYoung = expires > believed;
        if (isYoung && (maxKeys === 0 || this.#keys.size <= maxKeys)) continue;
        moreKeys = keys === rows;
        if (moreKeys) break;
        this.#keys.delete(name);
        keys++;
        if (isYoung) youngKeys++;
      }
      return { messages, keys, youngKeys, heldKeys: this.#keys.size, more: isDue() || moreKeys, bytes: bytes(), machine: this.now, believed, log: this.log() };
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #reply<T>(answer: () => T): Promise<T> {
    if (this.failure !== undefined) throw new StoreError(this.failure, this.failure);
    // The snapshot is taken now, the answer arrives later, as with any database.
    const value = answer();
    await this.#turn();
    return value;
  }
}
