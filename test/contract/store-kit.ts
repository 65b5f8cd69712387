import type { Draft, Message } from '../../src/model/message.ts';
import { Filter } from '../../src/model/topic.ts';
import { StoreError, type AppendRequest, type Outcome, type Page, type ReadQuery, type Store, type StoreErrorKind } from '../../src/store/store.ts';
import type { Scope } from '../support/temp.ts';

/** What the contract needs of an implementation: databases to run it on. */
export type StoreFactory = (t: Scope) => Promise<TestDatabase>;

/** An empty database that goes away with the test. */
export interface TestDatabase {
  /** A store on it, as another instance would have; not open. */
  store(): Store;
  /** Copies it while no store has it open; the answer puts the copy in its place, again while none has. */
  backup(): Promise<() => Promise<void>>;
  /** Makes the newest message's time so many milliseconds later than the clock, as if the clock had been ahead and was set back. */
  clockWasAhead(milliseconds: number): Promise<void>;
  /** Makes everything that the log remembers so many milliseconds older, as if the clock had jumped ahead since. */
  clockJumped(milliseconds: number): Promise<void>;
  /** Begins so many epochs, as starts of processes do that crash at once. */
  beginEpochs(count: number): Promise<void>;
  /** Sets the level of the log, as an operator or a newer program does. */
  setLevel(level: number): Promise<void>;
}

/** Opens a store and closes it with the test. */
export async function openStore(t: Scope, database: Pick<TestDatabase, 'store'>): Promise<Store> {
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  return store;
}

export function draft(topic: string, data: string | Uint8Array = '', parts: Partial<Draft> = {}): Draft {
  return { topic, event: undefined, json: false, ttl: 0, ...parts, data: typeof data === 'string' ? Buffer.from(data) : data };
}

/** A request without a key. */
export function request(...drafts: Draft[]): AppendRequest {
  return { drafts, key: undefined };
}

/** Requests of one small message each, whose data are their numbers if the log was empty. */
export function numberedRequests(count: number, topic = 'numbers', from = 1): AppendRequest[] {
  return Array.from({ length: count }, (_, index) => request(draft(topic, String(from + index))));
}

export function keyed(key: string, drafts: readonly Draft[], parts: { scope?: string; window?: number; body?: number } = {}): AppendRequest {
  return { drafts, key: { scope: parts.scope ?? '', key, fingerprint: new Uint8Array(32).fill(parts.body ?? 1), window: parts.window ?? 3_600_000 } };
}

/** A request that no database can store: its message would expire at no time. */
export function impossible(): AppendRequest {
  return request(draft('impossible', 'x', { ttl: NaN }));
}

/** Stores requests and answers with the first number of each. */
export async function stored(store: Store, requests: readonly AppendRequest[]): Promise<number[]> {
  const { outcomes } = await store.append(requests);
  return outcomes.map(firstOf);
}

export function firstOf(outcome: Outcome): number {
  if (outcome.kind === 'conflict' || outcome.kind === 'outdated') throw new Error(outcome.kind);
  return outcome.first;
}

/** The outcome of a request that was not stored before. */
export function newlyStored(outcome: Outcome | undefined): Exclude<Outcome, { kind: 'conflict' | 'outdated' }> {
  if (outcome?.kind !== 'stored') throw new Error(outcome?.kind ?? 'no outcome');
  return outcome;
}

export const EVERYTHING: ReadQuery = { after: 0, filter: undefined, limit: 1_000, maxBytes: 1_000_000 };

export async function readPages(store: Store, query: Partial<ReadQuery> = {}): Promise<Page[]> {
  const pages: Page[] = [];
  let { after } = { ...EVERYTHING, ...query };
  for (;;) {
    const page = await store.read({ ...EVERYTHING, ...query, after });
    pages.push(page);
    if (page.scanned >= page.log.head) return pages;
    if (page.scanned <= after) throw new Error(`a read after ${after} did not move on`);
    after = page.scanned;
  }
}

export async function readMessages(store: Store, query: Partial<ReadQuery> = {}): Promise<Message[]> {
  return (await readPages(store, query)).flatMap(({ messages }) => [...messages]);
}

export function seqs(messages: readonly Message[]): number[] {
  return messages.map(({ seq }) => seq);
}

export function texts(messages: readonly Message[]): string[] {
  return messages.map(({ data }) => Buffer.from(data).toString());
}

/** first, first + 1, … last. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

/** How a call failed: the kind of its `StoreError`. Throws any other error. */
export async function failure(call: Promise<unknown>): Promise<StoreErrorKind | 'none'> {
  return (await failed(call))?.kind ?? 'none';
}

/** The message of the `StoreError` with which a call failed; '' when it did not fail. Throws any other error. */
export async function complaint(call: Promise<unknown>): Promise<string> {
  return (await failed(call))?.message ?? '';
}

async function failed(call: Promise<unknown>): Promise<StoreError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
}

/** Each method that needs an open store, as a call that can be made again. */
export function everyCall(store: Store): (() => Promise<unknown>)[] {
  return [
    () => store.append([request(draft('a', 'lost'))]), () => store.append([]), () => store.read(EVERYTHING), () => store.state(), () => store.seek(0),
    () => store.newestWithin({ messages: 1, bytes: 1 }), () => store.findBack({ before: 10, filter: new Filter(['a']), limit: 1 }),
    () => store.trim({ maxAge: 1, maxBytes: 1, rows: 1 }),
  ];
}
